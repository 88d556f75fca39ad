"""Pushforward and change of variables.   p_X(x) = sum of p_Z(z) |dz/dx| over the z with g(z) = x

Lecture 000, "Pushforward distributions" and "Calculating the likelihood?"; lecture 003, "change of variables", with x = 2z + 1.

A map moves mass and neither makes nor loses any: a slab of noise keeps its area, so where the map is steep the density becomes low.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import stats

from ..maths.pushforward import Pushforward
from .board import BLUE, GREY, INK, VERMILION, Board

SLAB = (0.55, 0.75)  # the part of the noise's mass that the figure follows


def lesson(board: Board) -> None:
    coin = Pushforward("uniform", lambda z: z < 0.3, cuts=[0.3])
    board.check("P(1{z < 0.3} = 1), the length of the preimage", (coin.table or {})[True], 0.3)
    for name, slope, shift in (("θz with θ = 4", 4.0, 0.0), ("2z + 1", 2.0, 1.0), ("1 - z/4", -0.25, 1.0)):
        line = Pushforward("uniform", lambda z, a=slope, b=shift: a * z + b, lambda x, a=slope, b=shift: (x - b) / a)
        x = shift + slope * torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
        gap = (line.log_prob(x[:, None]).exp() - 1 / abs(slope)).abs().max()
        board.check(f"{name}: largest gap to the density {1 / abs(slope):g}", gap, 0, 1e-14)
    curves(board, 20_000 if board.quick else 200_000)
    drawn(board)


def curves(board: Board, n: int) -> None:
    """exp is invertible; the square has two preimages, and their masses add up; of a map with unknown preimages there are only draws."""
    x = np.geomspace(0.05, 8.0, 200)
    power = Pushforward("normal", torch.exp, torch.log)
    square = Pushforward("normal", torch.square, [torch.sqrt, lambda x: -torch.sqrt(x)])
    for name, law, truth in (("exp(z)", power, stats.lognorm(1)), ("z²", square, stats.chi2(1))):
        gap = np.abs(law.log_prob(x[:, None]).numpy() - truth.logpdf(x)).max()
        board.check(f"{name}: largest gap to the log-density of {truth.dist.name}", gap, 0, 1e-12)
        share = float(truth.cdf(1))
        found = float((law.sample(n, seed=board.seed) < 1).double().mean())
        board.check(
            f"{name}: P(x < 1) in {n:,} draws, within 4 standard errors",
            found,
            share,
            4 * (share * (1 - share) / n) ** 0.5,
        )
    blind = Pushforward("normal", lambda z: torch.sin(3 * z) + z)
    board.check("sin(3z) + z without its inverses: has a density", "log_prob" in blind.abilities, 0)


def drawn(board: Board) -> None:
    axes = board.axes(1, 3, width=12.0, height=4.2)
    panel(axes[0, 0], "$x = 2z + 1$", stats.uniform(), lambda z: 2 * z + 1, (0, 1), (0.9, 3.1))
    panel(axes[0, 1], "$x = e^z$", stats.norm(), np.exp, (-2.2, 1.4), (0, 4))
    panel(axes[0, 2], r"$x = \sinh(2z)\,/\,4$", stats.norm(), lambda z: np.sinh(2 * z) / 4, (-1.9, 1.9), (-4, 4))
    board.draw(axes)


def panel(axis: Any, title: str, noise: Any, g: Callable, across: tuple[float, float], up: tuple[float, float]) -> None:
    """The density of z along the foot, the map, the density of x along the left side: one slab, two shapes, one area."""
    z = np.linspace(*across, 801)
    x, p = g(z), noise.pdf(z)
    q = p / np.gradient(x, z)
    tall, wide = 0.3 * (up[1] - up[0]) / p.max(), 0.34 * (across[1] - across[0]) / q.max()
    edge, foot = across[0] - 0.38 * (across[1] - across[0]), up[0] - 0.36 * (up[1] - up[0])
    a, b = noise.ppf(SLAB)
    inside = (z >= a) & (z <= b)
    for where, colour, strength in ((slice(None), BLUE, 0.35), (inside, VERMILION, 1.0)):
        axis.fill_between(z[where], foot, foot + tall * p[where], color=colour, alpha=strength, linewidth=0)
        axis.fill_betweenx(x[where], edge, edge + wide * q[where], color=colour, alpha=strength, linewidth=0)
    axis.plot(z, x, color=INK)
    for end in (a, b):
        axis.plot([end, end, edge], [foot, g(end), g(end)], color=GREY, linewidth=0.9, linestyle=":")
    axis.set(title=title, xlabel="noise z", ylabel="x = g(z)", xlim=(edge, across[1]), ylim=(foot, up[1]))
