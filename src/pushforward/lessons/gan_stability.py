"""The stability study: three games, two targets, many learning rates.   KL(generated || true), and mean and width over the epochs

Lecture 002, figures 2.3 and 2.4 and table 2.2: generation of Gaussian and Beta distributions with three losses.

The lecture's finding is that a penalty on the discriminator's slope makes the game come to rest, that an unregularised GAN and WGAN-GP leave what they had
reached, and that WGAN-GP comes close at a rate of 1e-5 and with many steps. Here every cell is run with several seeds, and the estimators' floor stands
beside what they say: two samples of one law differ too. Each run is kept; the same command goes on where it was stopped.
"""

from __future__ import annotations

from pathlib import Path

from ..report import Page
from ..report.page import picture
from .board import Board
from .stability import FULL, QUICK, TARGETS, Plan, floors, results, told
from .stability import drawn as figures
from .stability.plan import ARMS

LEAD = (
    "Generators of one number, three ways to play, several learning rates and seeds. Every number of the table is the median over the seeds with the "
    "least and the largest in brackets, of the Kullback-Leibler divergence of what is generated from the truth, averaged over many samples."
)


def lesson(board: Board) -> None:
    """Options: `plan`, another Plan; `workers`, processes of one thread each."""
    plan: Plan = board.options.get("plan") or (QUICK if board.quick else FULL)
    place = (board.out or Path("lessons")) / board.name
    runs = results(place / "runs", plan, board.options.get("workers", 0), board.say)
    least = floors(place / "runs", plan)
    found = told.cells(runs)
    figures.glance(board, found, least, plan)
    figures.by_arm(board, found, plan)
    figures.by_rate(board, found, plan)
    checks(board, found, least, plan)
    board.table("each model at its best learning rate", told.summary(found, least, plan))
    board.table("every cell", told.table(found, least))
    for sentence in told.verdict(found, plan):
        board.remark(sentence)
    board.files.append(page(board, found, least, plan).write(place.with_suffix(".html")))


def checks(board: Board, found: list[told.Cell], least: told.Floors, plan: Plan) -> None:
    """What must hold whoever wins: that all was run, and that the floor is where theory has it."""
    for arm in ARMS:
        runs = sum(len(c.runs) for c in found if c.arm == arm and c.rate in plan.rates)
        board.check(f"{arm}: runs of the grid", runs, len(TARGETS) * len(plan.rates) * plan.seeds)
    # Two histograms of n values over B filled bins differ by about (B - 1)/n; the outer bins are hardly filled.
    wanted = (plan.bins - 1) / plan.values
    for name in TARGETS:
        board.check(f"{name}: floor of the histograms over (bins - 1) / n", least[name]["histogram"] / wanted, 0.8, 0.3)
    below = min(c.median(way) - least[c.target][way] for c in found for way in told.WAYS)
    board.check(
        "no model is below the floor by more than a fifth of it",
        min(0.0, below + 0.2 * min(v for f in least.values() for v in f.values())),
        0,
    )


def page(board: Board, found: list[told.Cell], least: told.Floors, plan: Plan) -> Page:
    from io import BytesIO

    sheet = Page("Stability of three games", LEAD)
    sheet.section("What came out")
    for sentence in told.verdict(found, plan):
        sheet.text(sentence)
    sheet.section("Table: each model at its best learning rate")
    sheet.table(told.summary(found, least, plan))
    captions = (
        "KL over the learning rates; marks are seeds, lines medians. WGAN-GP at its least rate has more steps.",
        "After figure 2.3: what is generated, a line a seed, over the truth in grey; mean and width over the epochs, from the least seed to the largest.",
        "After figure 2.4: WGAN-GP from its largest to its least learning rate.",
    )
    for (name, figure), caption in zip(board.figures.items(), captions, strict=True):
        sheet.section(name)
        out = BytesIO()
        figure.savefig(out, format="png", dpi=130)
        sheet.row([picture(out.getvalue(), name, caption)])
    sheet.section("Every cell")
    sheet.table(told.table(found, least))
    sheet.text(
        "Unrest: how far mean and width move about their own average in the second half of the run, as a share of the true width. "
        f"Sizes: {', '.join(f'{name} {value}' for name, value in plan.facts().items())}.",
        soft=True,
    )
    return sheet
