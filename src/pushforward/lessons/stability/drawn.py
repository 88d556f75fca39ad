"""The figures of the study: samples and their statistics over the epochs (2.3), one arm over its learning rates (2.4), all rates at a glance."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..board import BLUE, GREEN, GREY, INK, VERMILION, Board
from .plan import ARMS, SLOW, TARGETS, Plan
from .run import EDGES
from .told import Cell, Floors

COLOURS = dict(zip(ARMS, (BLUE, VERMILION, GREEN), strict=True))
MARKS = dict(zip(ARMS, "osD", strict=True))


def densities(axis: Any, cell: Cell) -> None:
    """The generated density of each seed against the truth."""
    target = TARGETS[cell.target]
    edges = np.linspace(*target.frame, EDGES)
    middle = (edges[1:] + edges[:-1]) / 2
    truth = target.law.pdf(middle)
    axis.fill_between(middle, truth, color=GREY, alpha=0.35, linewidth=0)
    for run in cell.runs:
        if run["density"]:
            axis.plot(middle, run["density"], color=COLOURS[cell.arm], linewidth=1.1, alpha=0.75)
    axis.set(xlim=target.frame, ylim=(0, 2 * truth.max()), yticks=[])


def courses(axis: Any, cell: Cell, plan: Plan) -> None:
    """Mean and width over the epochs: the median of the seeds, a band from the least to the largest, the truth dashed."""
    paths, law = cell.paths(), TARGETS[cell.target].law
    if not paths.size:
        return axis.set_axis_off()
    epochs = np.arange(1, paths.shape[1] + 1)
    reach = law.std()
    for i, (value, colour) in enumerate(((law.mean(), COLOURS[cell.arm]), (reach, INK))):
        part = paths[:, :, i]
        axis.fill_between(epochs, part.min(0), part.max(0), color=colour, alpha=0.22, linewidth=0)
        axis.plot(epochs, np.median(part, 0), color=colour, linewidth=1.4)
        axis.axhline(value, color=GREY, linestyle="--", linewidth=1.0)
    axis.set(xlim=(1, epochs[-1]), ylim=(-0.2 * reach, law.mean() + 1.6 * reach))


def by_arm(board: Board, found: list[Cell], plan: Plan) -> None:
    """Figure 2.3, at the rate in the middle of the grid."""
    rate = plan.rates[len(plan.rates) // 2]
    axes = board.axes(len(ARMS), 4, width=14.0, height=7.2)
    for row, arm in zip(axes, ARMS, strict=True):
        for i, target in enumerate(TARGETS):
            cell = next(c for c in found if (c.target, c.arm, c.rate) == (target, arm, rate))
            densities(row[i], cell)
            courses(row[2 + i], cell, plan)
        row[0].set_ylabel(arm)
    for i, known in enumerate(TARGETS.values()):
        axes[0, i].set_title(known.title)
        axes[0, 2 + i].set_title(f"{known.name}: mean (colour), width (black)")
        axes[-1, i].set_xlabel("value")
        axes[-1, 2 + i].set_xlabel(f"epoch of {plan.epoch} steps")
    board.draw(axes, f"by-loss-rate-{rate:g}")


def by_rate(board: Board, found: list[Cell], plan: Plan) -> None:
    """Figure 2.4: one arm, from its largest to its least rate."""
    rates = (*plan.rates, plan.slow)
    axes = board.axes(2 * len(TARGETS), len(rates), width=3.5 * len(rates), height=9.0)
    for i, target in enumerate(TARGETS):
        for j, rate in enumerate(rates):
            cell = next(c for c in found if (c.target, c.arm, c.rate) == (target, SLOW, rate))
            courses(axes[2 * i, j], cell, plan)
            densities(axes[2 * i + 1, j], cell)
            axes[2 * i, j].set_title(f"rate {rate:g}, {cell.steps:,} steps")
            axes[2 * i, j].set_xlabel("epoch")
        axes[2 * i, 0].set_ylabel(f"{target}\nmean, width")
    board.draw(axes, "wgan-gp-by-rate")


def glance(board: Board, found: list[Cell], least: Floors, plan: Plan) -> None:
    """KL over the learning rates, every seed a mark."""
    axes = board.axes(1, len(TARGETS), width=11.0, height=4.4)
    for axis, target in zip(axes[0], TARGETS.values(), strict=True):
        for arm in ARMS:
            mine = [c for c in found if (c.target, c.arm) == (target.name, arm)]
            ends = [(c.rate, v) for c in mine for v in c.kl("histogram") if np.isfinite(v)]
            axis.loglog(*np.array(ends).T, MARKS[arm], color=COLOURS[arm], markersize=4, alpha=0.45)
            axis.loglog([c.rate for c in mine], [c.median("histogram") for c in mine], color=COLOURS[arm], label=arm)
        axis.axhline(least[target.name]["histogram"], color=INK, linestyle=":", label="floor")
        axis.set(title=target.title, xlabel="learning rate", ylabel="KL by histograms")
    axes[0, -1].legend(loc="upper left")
    board.draw(axes)
