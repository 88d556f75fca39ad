"""Pictures that lay data and samples over one another: pairs of columns, one variable, ranks, symbols.

Data in blue, samples in vermilion, as in pictures.py; what is neither is grey. N rows of D columns:   real, drawn (N, D)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .pictures import DATA, DRAWN, FILLED, NEUTRAL, canvas, outlines, png, shortened

PAIRED = 6  # columns of a pair plot at most
DOTTED = 500  # points of a small picture, so that neither colour hides the other


def strongest(real: np.ndarray, most: int = PAIRED) -> list[int]:
    """The columns that depend most on others: by the largest |rank correlation| of pairs, pair by pair; gaps are left out.

    >>> x = np.random.default_rng(0).normal(size=(500, 4)); x[:, 3] = x[:, 1] + 0.1 * x[:, 0]
    >>> strongest(x, 2)
    [1, 3]
    """
    ties = np.abs(np.nan_to_num(ranked_correlation(real)))
    np.fill_diagonal(ties, 0.0)
    places = np.dstack(np.unravel_index(np.argsort(-ties, axis=None, kind="stable"), ties.shape))[0]
    found: list[int] = []
    for pair in places:
        for j in map(int, pair):
            if j not in found and len(found) < most:
                found.append(j)
        if len(found) == most:
            break
    return sorted(found)


def ranked_correlation(x: np.ndarray) -> np.ndarray:
    """Spearman's, with the mean rank where a cell is missing."""
    ranks = np.zeros_like(x, dtype=np.float64)
    for j, column in enumerate(x.T):
        known = np.isfinite(column)
        _, which, counts = np.unique(column[known], return_inverse=True, return_counts=True)
        middle = counts.cumsum() - (counts + 1) / 2  # ties share the mean of their ranks
        ranks[known, j] = middle[which] - middle[which].mean() if known.any() else 0.0
    size = np.sqrt((ranks**2).sum(0))
    size[size == 0] = 1.0  # a column that never varies goes with none
    return (ranks.T @ ranks) / np.outer(size, size)


def pairs(real: np.ndarray, drawn: np.ndarray, names: Sequence[str]) -> bytes:
    """Every pair of a few columns below the diagonal, each column by itself on it."""
    d = len(names)
    figure, axes = canvas(1.45 * d + 0.3, 1.45 * d + 0.3, d, d)
    lows, highs = zip(*(limits(real[:, j]) for j in range(d)), strict=True)
    for i in range(d):
        for j in range(d):
            axis = axes[i * d + j]
            if j > i:
                axis.set_visible(False)
                continue
            axis.set(xlim=(lows[j], highs[j]))
            if i == j:
                outlines(axis, known(real[:, j]), known(drawn[:, j]))
                axis.set_yticks([])
                axis.spines["left"].set_visible(False)
            else:
                axis.set(ylim=(lows[i], highs[i]))
                axis.locator_params(nbins=4)
                for rows, colour in ((real, FILLED), (drawn, DRAWN)):
                    axis.scatter(rows[:DOTTED, j], rows[:DOTTED, i], s=2.5, color=colour, alpha=0.6, linewidths=0)
            axis.set_xlabel(shortened(names[j], 16) if i == d - 1 else "", fontsize=7, color=NEUTRAL)
            axis.set_ylabel(shortened(names[i], 16) if j == 0 and i > 0 else "", fontsize=7, color=NEUTRAL)
            axis.tick_params(labelsize=5, labelbottom=i == d - 1, labelleft=j == 0 and i > 0)
    return png(figure)


def known(x: np.ndarray) -> np.ndarray:
    return x[np.isfinite(x)]


def limits(x: np.ndarray, margin: float = 0.06) -> tuple[float, float]:
    """From where to where a column is shown, far outliers left out."""
    x = known(x)
    low, high = np.quantile(x, [0.002, 0.998]) if len(x) else (0.0, 1.0)
    pad = margin * (high - low) or 0.5
    return float(low - pad), float(high + pad)


def line(real: np.ndarray, drawn: np.ndarray | None, at: np.ndarray, density: np.ndarray | None, name: str) -> bytes:
    """One variable: its histogram, that of the samples, and the density of the model where it has one."""
    figure, (axis,) = canvas(5.2, 2.6)
    low, high = limits(real, 0.02)
    edges = np.linspace(low, high, 41)
    axis.hist(np.clip(real, low, high), edges, density=True, color=FILLED, alpha=0.8)
    if drawn is not None and len(drawn):
        axis.hist(np.clip(drawn, low, high), edges, density=True, histtype="step", color=DRAWN, linewidth=1.4)
    if density is not None:
        axis.plot(at, density, color=NEUTRAL, linewidth=1.4)
    axis.set_xlabel(shortened(name, 40), fontsize=7, color=NEUTRAL)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    return png(figure)


def ranks(shares: np.ndarray, expected: tuple[float, float], names: Sequence[str]) -> bytes:
    """Histograms of ranks (D, bins), one small picture each, with the band in which 95 of 100 bars stand if all is right."""
    d, bins = shares.shape
    across = min(4, d)
    down = -(-d // across)
    figure, axes = canvas(1.7 * across, 1.25 * down, across, down)
    for axis, row, name in zip(axes, shares, names, strict=False):
        axis.axhspan(*expected, color=NEUTRAL, alpha=0.25, linewidth=0)
        axis.bar(np.arange(bins) + 0.5, row, 0.9, color=DATA, alpha=0.8)
        axis.set(xlim=(0, bins), ylim=(0, max(1.6 / bins, 1.1 * float(row.max()))), xticks=[], yticks=[])
        axis.set_title(shortened(name, 22), fontsize=8, color=NEUTRAL)
        axis.spines["left"].set_visible(False)
    for axis in axes[d:]:
        axis.set_visible(False)
    return png(figure)


def symbols(real: Any, drawn: Any, names: Sequence[str]) -> bytes:
    """The shares of the most frequent symbols of texts, in data and samples."""
    figure, (axis,) = canvas(5.2, 2.2)
    for shift, shares, colour in ((-0.2, real, DATA), (0.2, drawn, DRAWN)):
        axis.bar(np.arange(len(names)) + shift, shares, 0.4, color=colour)
    axis.set_xticks(range(len(names)), [shortened(name, 12) for name in names], fontsize=7)
    axis.set_ylabel("share", fontsize=7, color=NEUTRAL)
    return png(figure)


def training(
    history: Sequence[dict[str, Any]], shift: float, rate: tuple[np.ndarray, np.ndarray] | None
) -> bytes | None:
    """The loss of training steps and -log p of held-out rows over the steps; below them the learning rate, where it is known.

    `shift` brings the loss from the coordinates of the model to the units of the data; None of it can be drawn of fewer than two points.
    """
    found = {
        name: np.array([(e["step"], e[name]) for e in history if name in e and np.isfinite(e[name])]).reshape(-1, 2)
        for name in ("loss", "valid")
    }
    if max(len(points) for points in found.values()) < 2:
        return None
    figure, axes = canvas(5.2, 3.2 if rate is not None else 2.6, 1, 1)
    axis = axes[0]
    found["loss"] = found["loss"] + np.array([0.0, shift])
    for name, colour, label, width in (("loss", NEUTRAL, "training steps", 0.9), ("valid", DATA, "held-out rows", 1.8)):
        if len(points := found[name]):
            axis.plot(points[:, 0], points[:, 1], color=colour, linewidth=width, label=label)
    values = np.concatenate([points[len(points) // 20 :, 1] for points in found.values()])
    low, high = float(values.min()), float(np.quantile(values, 0.97))  # the first steps may tower over the rest
    axis.set_ylim(low - 0.06 * (high - low + 1e-9), high + 0.12 * (high - low + 1e-9))
    axis.set_xlabel("step", fontsize=7, color=NEUTRAL)
    axis.set_ylabel("nats", fontsize=7, color=NEUTRAL)
    axis.legend(fontsize=7, frameon=False, labelcolor=NEUTRAL)
    if rate is not None:
        above(axis, *rate)
    return png(figure)


def above(axis: Any, steps: np.ndarray, rate: np.ndarray) -> None:
    """A narrow picture of the learning rate over that of the loss."""
    side = axis.inset_axes((0.0, 1.06, 1.0, 0.2), sharex=axis)
    side.patch.set_alpha(0)
    side.plot(steps, rate, color=DRAWN, linewidth=1.1)
    side.set_ylabel("rate", fontsize=6, color=NEUTRAL)
    side.set_ylim(bottom=0)
    side.tick_params(colors=NEUTRAL, labelsize=5, length=2, labelbottom=False)
    for spine in side.spines.values():
        spine.set_color(NEUTRAL)
        spine.set_linewidth(0.4)
