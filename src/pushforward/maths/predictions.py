"""How good predictions are, where each row has a weight: so one pass scores all resamples of the rows.

    accuracy   share of rows whose class was found
    f1         2 tp / (2 tp + fp + fn) of the rarer class; of more than two classes the mean over those that are there
    auc        P(score of a row of the class > score of another), ties half; of more than two classes the mean of one against the rest
    r2         1 - sum w (y - p)^2 / sum w (y - mean y)^2

N rows, K classes, R resamples:   truth, found (N,)   chances (N, K)   weights (R, N) -> (R,)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]


def accuracy(truth: Whole, found: Whole, weights: Numbers) -> Numbers:
    """Share of the weight that was found."""
    return weights @ (truth == found) / weights.sum(1)


def f1(truth: Whole, found: Whole, weights: Numbers, of: list[int]) -> Numbers:
    """F1, its mean over the classes `of`; 0 of a class that is neither there nor found.

    >>> float(f1(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), np.ones((1, 4)), [1])[0])
    0.8
    """
    parts = []
    for k in of:
        hit, either = weights @ ((truth == k) & (found == k)), weights @ (truth == k) + weights @ (found == k)
        parts.append(np.divide(2 * hit, either, out=np.zeros_like(hit), where=either > 0))
    return np.mean(parts, 0)


def auc(truth: Whole, chances: Numbers, weights: Numbers, of: list[int]) -> Numbers:
    """The area under the ROC curve of each class of `of` against the rest, its mean over those that some rows have and others not; else nan.

    >>> float(auc(np.array([0, 0, 1, 1]), np.array([[0.9], [0.4], [0.4], [0.1]]), np.ones((1, 4)), [0])[0])
    0.875
    """
    areas = np.array([area(truth == k, chances[:, i], weights) for i, k in enumerate(of)])
    known = ~np.isnan(areas)
    return np.divide(
        np.where(known, areas, 0.0).sum(0), known.sum(0), out=np.full(len(weights), np.nan), where=known.any(0)
    )


def area(positive: NDArray[np.bool_], score: Numbers, weights: Numbers) -> Numbers:
    _, level = np.unique(score, return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    up = np.add.reduceat(
        (weights * positive)[:, order], starts, axis=1
    )  # (R, levels) weight of the class at each score
    down = np.add.reduceat((weights * ~positive)[:, order], starts, axis=1)
    below = np.cumsum(down, 1) - 0.5 * down
    total = up.sum(1) * down.sum(1)
    return np.divide((up * below).sum(1), total, out=np.full(len(total), np.nan), where=total > 0)


def r2(truth: Numbers, found: Numbers, weights: Numbers) -> Numbers:
    """The share of the variance that the predictions explain; nan where there is none to explain.

    >>> float(r2(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0]), np.ones((1, 3)))[0])
    1.0
    """
    centre = weights @ truth / weights.sum(1)
    total = (weights * (truth - centre[:, None]) ** 2).sum(1)
    left = weights @ (truth - found) ** 2
    return 1 - np.divide(left, total, out=np.full(len(left), np.nan), where=total > 0)
