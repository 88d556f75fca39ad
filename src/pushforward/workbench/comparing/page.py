"""The page of a comparison: what to take and why at the top, then the table, the picture, the samples, and how it was done."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from ...errors import Problem
from ...report import Page, pictures, portrait
from ...report.page import picture
from .cells import kept
from .shown import table
from .standing import Stand, top

if TYPE_CHECKING:
    from . import Comparison

SHOWN = 6  # models whose samples are shown
HOW_TO_READ = {
    "nats a row": "the mean log-likelihood of rows that no model learned from, with its standard error. More is better: one nat more is a row "
                  "held 2.7 times as likely. Only differences say something, and their error, row by row, is far smaller than that of each number.",
    "kind": "exact: the model's own likelihood. Lower bound: the likelihood is at least this, on average over its draws.",
    "behind the best": "how many nats a row it lies below the first, with the error of that difference.",
    "told apart": "how well a classifier tells samples from real rows, on rows it was not trained on: 0.5 cannot, 1 always.",
    "columns": "how alike each column is by itself, 1: the same.",
    "pairs": "how alike columns are in pairs, 1: the same.",
    "copied": "how far samples are copies of rows that were learned from: 0 is clean (a little more or less is chance), 1 is a copier.",
}  # fmt: skip


def page(done: Comparison) -> Page:
    facts = done.facts
    sheet = Page(
        f"Which model fits {facts['data'] or 'these data'}?",
        f"{len(done.stands)} models learned from the same {facts['train']:,} rows and were judged on the same {facts['judged']:,} others.",
    )
    sheet.section("What to take", "verdict")
    for sentence in [*done.said, *facts["warnings"]]:
        sheet.text(sentence)
    sheet.section("The table", "table")
    rows = table(done.rows())
    sheet.table(rows, {one.name: one.name for one in done.stands})
    for name, words in HOW_TO_READ.items():
        if name in rows[0]:
            sheet.text(f"{name}: {words}{floor(done.stands, name)}", soft=True)
    drawn = chart(done.stands)
    if drawn is not None:
        words = (
            "Nats a row, with 95 % intervals. In orange what is not told apart from the best, in grey the baselines."
        )
        sheet.row([picture(drawn, "Likelihoods with their intervals", words, 560)])
    sheet.section("The models", "models")
    for place, one in enumerate(done.stands):
        section(sheet, done, one, place)
    sheet.section("How it was done", "how")
    for sentence in account(done):
        sheet.text(sentence)
    return sheet


def floor(stands: list[Stand], name: str) -> str:
    """What the measure is between two parts of the real rows: no sample can do better but by chance."""
    told = (cell.get("measures", {}).get(name, {}).get("floor") for one in stands for cell in one.done)
    known = next((value for value in told if value is not None and isfinite(value)), None)
    return "" if known is None else f" Of two halves of the real rows, each of half as many, it is {known:.3f}."


def section(sheet: Page, done: Comparison, one: Stand, place: int) -> None:
    sheet.section(one.name, one.name)
    role = f", the baseline for {one.entrant.baseline}" if one.entrant.baseline else ""
    sheet.text(f"{one.entrant.model}{role}: {one.entrant.why}.", soft=True)
    if not one.done:
        sheet.text(f"It did not come to an end: {one.said}")
        return
    cell = one.done[0]
    for name, said in cell.get("unmeasured", {}).items():
        sheet.text(f"{name} was not measured: {said}", soft=True)
    if place >= SHOWN or done.folder is None or "sample" not in cell["abilities"]:
        return
    try:
        model = done.load(one.name)
        test = kept(done.folder, "test")
        sheet.row(portrait(model, test.space.restore(test.head(2000).x), done.facts["seed"]))
    except Problem as problem:
        sheet.text(f"There is no picture of it: {problem}", soft=True)


def chart(stands: list[Stand]) -> bytes | None:
    """Likelihoods as dots with their intervals, the best on top."""
    known = [one for one in stands if one.kind and isfinite(one.nats)]
    if len(known) < 2:
        return None
    # What lies far below the rest would press the rest together.
    values = np.array([one.nats for one in known])
    reach = values[0] - np.quantile(values, 0.25)
    known = [one for one in known if values[0] - one.nats <= 4 * max(reach, 1e-9)]
    figure, (axis,) = pictures.canvas(5.6, 0.6 + 0.28 * len(known))
    best = {one.name for one in top(stands)}
    for y, one in enumerate(known):
        colour = pictures.DRAWN if one.name in best else pictures.NEUTRAL if one.entrant.baseline else pictures.DATA
        error = 1.96 * one.stderr if isfinite(one.stderr) else 0.0
        axis.errorbar(one.nats, y, xerr=error, fmt="o", color=colour, ms=5, lw=1.2, capsize=2)
    axis.set_yticks(range(len(known)), [one.name for one in known])
    axis.invert_yaxis()
    axis.set_xlabel("nats a row", color=pictures.NEUTRAL, fontsize=7)
    return pictures.png(figure)


def account(done: Comparison) -> list[str]:
    from importlib.metadata import version

    import torch

    facts = done.facts
    where = facts["data"] or "as they were passed"
    said = [
        f"The data: {where}, {facts['rows']:,} rows of {facts['space']}. Likelihoods are against the {facts['measure']} measure.",
        f"The split is by seed {facts['seed']}; a digest of both parts: {facts['digest']}.",
        f"The whole took {facts['seconds']:.0f} s of the {facts['time']:.0f} s allowed. "
        "Models that take steps had the same time each, and those with a closed form what they needed.",
        "Test rows served no model while it learned; a model that stops early holds out a part of its training rows for that.",
        f"pushforward {version('pushforward')}, torch {torch.__version__}.",
    ]
    if done.folder is not None:
        said.append(
            f"The fitted models are in {done.folder.name}, as NAME-SEED.pf: pushforward sample {done.folder.name}/{done.best}-{facts['seed']}.pf"
        )
    return said
