"""The options that many verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.", rich_help_panel="Always")]
Seed = Annotated[
    int | None, typer.Option("--seed", help="The same seed gives the same result.", rich_help_panel="Always")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel="Always")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but errors and what was asked for.", rich_help_panel="Always")
]
Data = Annotated[
    str,
    typer.Argument(
        help="A file, a folder of images, or a built-in set (see `pushforward data list`).", show_default=False
    ),
]
ModelPath = Annotated[str, typer.Argument(metavar="MODEL", help="A saved model, NAME.pf.", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Where to write; the suffix says the kind of file, - is standard output.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what stands there.")]
Read = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        metavar="KEY=VALUE",
        help="How to read DATA: separator=';', drop=id, lines=yes, size=28 …",
        show_default=False,
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option(
        "--given",
        metavar="COLUMN=VALUE",
        help="The condition, for a model that was fitted with one.",
        show_default=False,
    ),
]
