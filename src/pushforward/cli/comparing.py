"""`pushforward compare DATA`: which model fits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .speech import say, show, table
from .words import Data, Json, Overwrite, Quiet, Read, Seed

EPILOG = "Examples: pushforward compare my.csv --time 10m -o page.html · pushforward compare moons --models MAF,GAN"


def compare(
    data: Data,
    models: Annotated[
        str, typer.Option("--models", "-m", help="Names separated by commas, or auto: a panel across the families.")
    ] = "auto",
    time: Annotated[str, typer.Option("--time", help="For the whole comparison: 90s, 10m, 1h.")] = "5m",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page. Without: DATA's name with .compare.html.", show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Runs of each model; 0: more where there is time.")] = 0,
    workers: Annotated[int, typer.Option("--workers", help="Processes at a time; 0: one a core, up to 8.")] = 0,
    given: Annotated[
        list[str] | None,
        typer.Option("--given", metavar="COLUMN", help="Learn p(the rest | this column).", show_default=False),
    ] = None,
    read: Read = None,
    overwrite: Overwrite = False,
    json: Json = False,
    seed: Seed = None,
    quiet: Quiet = False,
) -> None:
    """Fit many models on one part of DATA, judge them on the other, and say which to take."""
    from .. import workbench
    from ..workbench.comparing.shown import table as shown

    place = out or workbench.place_of(data).with_suffix(".compare.html")
    said = workbench.options(read or ()) | ({"given": given[0] if len(given) == 1 else given} if given else {})
    try:
        done = workbench.compare(
            data,
            models,
            time=time,
            out=place,
            seed=seed or 0,
            seeds=seeds,
            workers=workers,
            overwrite=overwrite,
            tell=lambda text: say(text, quiet or json),
            **said,
        )
    except KeyboardInterrupt:
        say("Stopped. What is finished is kept; the same command goes on from there.", quiet or json)
        raise typer.Exit(130) from None
    if json:
        show(done.to_json() | {"page": str(place)}, True)
        return
    if quiet:
        return
    for sentence in [*done.said, *done.facts["warnings"]]:
        print(sentence)
    few = ("model", "nats a row", "kind", "behind the best", "told apart", "learning")
    table([{name: row[name] for name in few if name in row} for row in shown(done.rows())])
    say(f"The page is {place}; the fitted models are in {place.with_suffix('.runs')}.")
