"""`pushforward report MODEL DATA`: one page that says how good a model is and how far that is known."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..errors import Usage
from .speech import say, show
from .words import Data, Device, Given, Json, ModelPath, Overwrite, Quiet, Read, Seed

EPILOG = "Examples: pushforward report m.pf test.csv --train train.csv · pushforward report m.pf test.csv -o page.html --json"
QUICK = 500  # rows of a side in a quick report


def report(
    model: ModelPath,
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page. Without: MODEL's name with .html.", show_default=False),
    ] = None,
    train: Annotated[
        str,
        typer.Option(
            "--train", metavar="DATA", help="The rows that it learned from: says whether it copies.", show_default=False
        ),
    ] = "",
    n: Annotated[
        int | None,
        typer.Option(
            "--number", "-n", "--n", min=10, help="Rows of a side that measures look at: 2000.", show_default=False
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rows and no slow measures.")] = False,
    given: Given = None,
    read: Read = None,
    overwrite: Overwrite = False,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Judge a saved model on DATA, rows that it has not learned from, and write one page with all that is found."""
    from .. import workbench
    from ..workbench.reporting import report as judge
    from ..workbench.writing import whole

    place = out or Path(f"{Path(model.rstrip('/')).stem or 'model'}.html")
    page_place(place, overwrite)
    said = workbench.options(read or ())
    rows = n or (QUICK if quick else 2000)
    told = judge(
        model,
        data,
        train=train or None,
        given=given or None,
        said=said,
        seed=seed or 0,
        n=rows,
        quick=quick,
        device=device,
        command=command(model, data, place, train, rows, quick, given or [], read or [], seed or 0),
    )
    whole(place, told.write)
    if json:
        show(told.to_json() | {"out": str(place)}, True)
        return
    if not quiet:
        print(told)
    say(f"The page is {place}.", quiet)


def page_place(place: Path, overwrite: bool) -> None:
    """A place for a page, or an error before any work is done."""
    if place.suffix.lower() not in (".html", ".htm"):
        raise Usage(f"{place}: a report is a page; name a file that ends in .html.")
    if place.exists() and not overwrite:
        raise Usage(f"{place} exists. Say --overwrite to replace it, or name another file.")


def command(
    model: str, data: str, out: Path, train: str, n: int, quick: bool, given: list[str], read: list[str], seed: int
) -> str:
    """The words that make the same page again."""
    words = [
        "pushforward",
        "report",
        model,
        data,
        *(["--train", train] if train else []),
        "--seed",
        str(seed),
        "-n",
        str(n),
    ]
    words += ["--quick"] if quick else []
    for option, values in (("--given", given), ("--read", read)):
        for value in values:
            words += [option, value]
    return shlex.join([*words, "-o", str(out)])
