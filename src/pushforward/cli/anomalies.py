"""`pushforward anomaly MODEL DATA`: which rows are odd, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from .speech import HERE, deliver, ready, say, show, table
from .words import Data, Device, Given, Json, ModelPath, Out, Overwrite, Quiet, Read, Seed

EPILOG = "Examples: pushforward anomaly m.pf new.csv --reference usual.csv -o odd.csv · pushforward anomaly m.pf new.csv --way typicality"
SHOWN = 10


def anomaly(
    model: ModelPath,
    data: Data,
    reference: Annotated[
        str,
        typer.Option(
            "--reference",
            metavar="DATA",
            help="Usual rows that the model has not learned from; p-values are against them. Without: against its own draws.",
            show_default=False,
        ),
    ] = "",
    way: Annotated[
        str,
        typer.Option("--way", help="likelihood, typicality, ratio (with --background), latent; auto suits the model."),
    ] = "auto",
    background: Annotated[
        str,
        typer.Option(
            "--background", metavar="MODEL", help="A saved model of all such data, for --way ratio.", show_default=False
        ),
    ] = "",
    rate: Annotated[float, typer.Option("--rate", help="The share of false ones among the flags, at most.")] = 0.05,
    given: Given = None,
    read: Read = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """How odd each row of DATA is for a model: a score, a p-value, a flag, and the column that is most to blame; each row to --out."""
    from .. import workbench

    ready(out, overwrite, json, numbers=True)
    found = workbench.anomaly(
        model, data, reference, background, way, rate, workbench.options(read or ()), given or (), seed or 0, device
    )
    frame = found.to_frame()
    if out == HERE:
        return deliver(frame, None, out, overwrite, json, quiet, "rows")
    if out is not None:
        workbench.write(frame, None, out, overwrite)
    if json:
        show(found.to_json() | ({"out": str(out)} if out is not None else {}), True)
        return
    if quiet:
        return
    say(f"{len(found):,} rows by {found.way}. " + ". ".join(word[0].upper() + word[1:] for word in found.words) + ".")
    few = [name for name in ("score", "p_value", "flagged", "column") if name in frame]
    table([{"row": int(i), **{name: plain(frame[name].iloc[i]) for name in few}} for i in found.oddest(SHOWN)])
    if found.flags is not None:
        say(
            f"{int(found.flags.sum()):,} of {len(found):,} rows are flagged, at most {100 * rate:g} % of them by chance."
        )
    if out is not None:
        say(f"Each row is in {out}.")


def plain(value: object) -> object:
    return value.item() if hasattr(value, "item") else value
