"""Inverse-transform sampling.   g(z) = inf {x : F(x) >= z},  z ~ U(0, 1)

Lecture 000, "Inverse transform sampling".

One kind of noise serves every law on the line: go up to the height z and across to the curve of F. Where F jumps, many heights lead to one
value, as many as its mass; where F is flat, no height leads there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from ..catalogue import find
from .board import BLUE, GREY, INK, VERMILION, Board

FACES, MASSES = np.array([1.0, 2.0, 3.0, 5.0]), np.array([0.125, 0.5, 0.125, 0.25])
DRY = 0.3  # P(no rain); how much it rains is exponential
SHOWN = np.array([0.18, 0.55, 0.86])

Law = tuple[Callable, Any]  # F, and the system that draws


def lesson(board: Board) -> None:
    n = 2_000 if board.quick else 20_000
    z = 1 - np.random.default_rng(board.seed).random(n)
    of = find("InverseTransform").of
    laws: dict[str, Law] = {
        "continuous: logistic": (stats.logistic.cdf, of(cdf=stats.logistic.cdf)),
        "discrete: a loaded die": (die, of(points=FACES, masses=MASSES)),
        "mixed: rain, or none": (rain, of(cdf=rain)),
    }
    for name, (cdf, system) in laws.items():
        galois(board, name, cdf, system, z)
    middles = (np.arange(800) + 0.5) / 800  # all masses are eighths, so these tell the lengths exactly
    lengths = [(inverse(laws["discrete: a loaded die"][1], middles) == face).mean() for face in FACES]
    board.check("discrete: lengths of preimages minus masses", np.abs(lengths - MASSES).max(), 0)
    board.check(
        "mixed: length of the preimage of 0, minus P(no rain)",
        (inverse(laws["mixed: rain, or none"][1], middles) == 0).mean() - DRY,
        0,
    )
    gap = stats.kstest(inverse(laws["continuous: logistic"][1], z), stats.logistic.cdf).statistic
    board.check("continuous: Kolmogorov's distance times √n, exceeded once in a thousand", gap * n**0.5, 0, 1.95)
    drawn(board, laws, z)


def die(x: np.ndarray) -> np.ndarray:
    return np.where(x >= FACES[0], MASSES.cumsum()[np.searchsorted(FACES, x, side="right") - 1], 0.0)


def rain(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, DRY - (1 - DRY) * np.expm1(-np.maximum(x, 0)), 0.0)


def inverse(system: Any, z: np.ndarray) -> np.ndarray:
    return np.asarray(system.decode(z[:, None]), dtype=np.float64)[:, 0]


def galois(board: Board, name: str, cdf: Callable, system: Any, z: np.ndarray) -> None:
    """The two inequalities that make g an inverse of F where F has none; by whole floating-point numbers, so without a tolerance."""
    short = (z - cdf(inverse(system, z))).max()
    board.check(f"{name}: by how much F(g(z)) is below z", max(0.0, short), 0)
    x = np.linspace(-8, 8, 2001)
    inner = cdf(x) > 0
    beyond = (inverse(system, cdf(x[inner])) - x[inner]).max()
    board.check(f"{name}: by how much g(F(x)) is above x", max(0.0, beyond), 0)


def drawn(board: Board, laws: dict[str, Law], z: np.ndarray) -> None:
    axes = board.axes(2, 3, width=12.0, height=5.4, height_ratios=(3, 1), sharex="col")
    for column, ((name, (cdf, system)), (low, high)) in enumerate(
        zip(laws.items(), ((-6, 6), (0, 6), (-0.5, 5)), strict=True)
    ):
        curve, below = axes[:, column]
        x = np.linspace(low, high, 2001)
        curve.plot(x, cdf(x), color=INK)
        for height, goal in zip(SHOWN, inverse(system, SHOWN), strict=True):
            curve.plot([low, goal], [height, height], color=VERMILION, linewidth=1.2)
            curve.annotate(
                "", (goal, 0), (goal, height), arrowprops={"arrowstyle": "->", "color": VERMILION, "lw": 1.2}
            )
        curve.set(title=name, ylim=(0, 1.02), xlim=(low, high), ylabel="z,  F(x)" if column == 0 else "")
        below.hist(inverse(system, z), bins=np.linspace(low, high, 61), color=BLUE, density=True)
        below.set(xlabel="x = g(z)", yticks=[])
        below.spines["left"].set_color(GREY)
    board.draw(axes)
