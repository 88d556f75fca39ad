"""The histogram and the curse of dimension.   k bins of D variables: k^D cells,   p(x) = mass of the cell of x / its volume

Lecture 001, "Histogram as a generative model" and its question of how many parameters; lecture 004, "Histograms: inefficient in high dimensions".

The cells outnumber the examples before there are many variables, and then a new example falls into a cell that nobody has seen. A model that
assumes something (here that the variables are independent, which is true of these data) needs few numbers and does not care.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from ..catalogue import find
from .board import BLUE, GREY, INK, VERMILION, Board

BINS, MOST = 10, 8
LAW = stats.beta(2, 4)  # of each variable


def lesson(board: Board) -> None:
    parameters(board)
    n, asked = (1_000, 4_000) if board.quick else (10_000, 20_000)
    rng = np.random.default_rng(board.seed)
    x, fresh = LAW.rvs((n, MOST), random_state=rng), LAW.rvs((asked, MOST), random_state=rng)
    single = [find("Histogram")(bins=BINS, smooth=0.5).fit(x[:, [j]]).log_prob(fresh[:, [j]]) for j in range(MOST)]
    truth = LAW.logpdf(fresh)
    rows = []
    for d in range(1, MOST + 1):
        plain = find("Histogram")(bins=BINS).fit(x[:, :d])
        smooth = find("Histogram")(bins=BINS, smooth=0.5).fit(x[:, :d])
        never = np.isneginf(plain.log_prob(fresh[:, :d]))
        exact = 1 - seen_mass(x[:, :d])
        error = (exact * (1 - exact) / asked) ** 0.5
        board.check(f"{d} variables: share of new examples that are impossible", never.mean(), exact, 5 * error)
        inside = ((fresh[:, :d] >= x[:, :d].min(0)) & (fresh[:, :d] <= x[:, :d].max(0))).all(1)  # beyond lies no cell
        loss = (truth[:, :d].sum(1) - smooth.log_prob(fresh[:, :d]))[inside].mean()
        apart = (truth[:, :d] - np.stack(single[:d], 1)).sum(1)[inside].mean()
        rows.append(
            {
                "variables": d,
                "cells": BINS**d,
                "impossible": never.mean(),
                "nats lost, smoothed": loss,
                "nats lost, independent": apart,
            }
        )
    board.table(f"{n:,} examples, {BINS} bins", rows)
    ahead = rows[-1]["nats lost, smoothed"] > 10 * rows[-1]["nats lost, independent"]
    board.check(
        f"{MOST} variables: assuming nothing costs over ten times more than assuming what is true (1: yes)",
        float(ahead),
        1,
    )
    drawn(board, rows, n)


def parameters(board: Board) -> None:
    """Of 28 x 28 black-or-white pixels, by what is assumed of them."""
    pixels = np.random.default_rng(0).random((4, 28 * 28)) < 0.5
    for name, system, wanted in (
        ("nothing", "Counts", 2**784 - 1),
        ("independence", "Factorised", 784),
        ("first-order Markov", "Markov", 1567),
    ):
        found = find(system)().fit(pixels).parameters_
        board.check(
            f"parameters of 784 pixels, {name} assumed, less {'2^784 - 1' if wanted > 1e9 else wanted}",
            found - wanted,
            0,
        )


def seen_mass(x: np.ndarray) -> float:
    """The true probability of all cells that hold an example: a product of marginal masses for each."""
    edges = [np.linspace(column.min(), column.max(), BINS + 1) for column in x.T]
    masses = [np.diff(LAW.cdf(e)) for e in edges]
    cells = np.stack(
        [
            np.clip(np.searchsorted(e, column, side="right") - 1, 0, BINS - 1)
            for e, column in zip(edges, x.T, strict=True)
        ],
        1,
    )
    different = np.unique(cells, axis=0)
    return float(np.prod([mass[different[:, j]] for j, mass in enumerate(masses)], axis=0).sum())


def drawn(board: Board, rows: list[dict], n: int) -> None:
    axes = board.axes(1, 2, width=11.0, height=4.2)
    left, right = axes[0]
    d = [row["variables"] for row in rows]
    left.plot(d, [row["impossible"] for row in rows], color=VERMILION, marker="o", label="in a cell that nobody saw")
    left.plot(
        d, [min(1.0, n / row["cells"]) for row in rows], color=GREY, linestyle="--", label="examples a cell, at most 1"
    )
    left.set(
        title=f"{n:,} examples, {BINS} bins a variable",
        xlabel="variables",
        ylabel="share of new examples",
        ylim=(-0.02, 1.02),
    )
    left.legend(loc="center left", bbox_to_anchor=(0.0, 0.55))
    for key, colour, dashes, name in (
        ("nats lost, smoothed", BLUE, "-", "histogram, smoothed"),
        ("nats lost, independent", INK, "--", "independent histograms"),
    ):
        right.plot(d, [row[key] for row in rows], color=colour, linestyle=dashes, marker="o", label=name)
    right.set(title="and what that costs", xlabel="variables", ylabel="nats below the truth", ylim=(0, None))
    right.legend(loc="upper left")
    board.draw(axes)
