"""Scores against those of reference examples: conformal p-values, and flags that keep a rate of false ones.

n reference scores:   scores, p (N,)   null (n,)
"""

from __future__ import annotations

import numpy as np
import torch

from .. import noise


def conformal(scores: np.ndarray, null: np.ndarray, seed: int | None = None) -> np.ndarray:
    """The share of reference scores, the row's own among them, that reach a score; with a seed, ties are broken at random.

    >>> conformal(np.array([2.5, 0.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [0.5, 1.0]
    """
    ordered, n = np.sort(null), len(null)
    reached = n - np.searchsorted(ordered, scores, side="left")
    if seed is None:
        return (1 + reached) / (n + 1)
    above = n - np.searchsorted(ordered, scores, side="right")
    with noise.stream(seed, dtype=torch.float64):
        u = 1 - noise.uniform(len(scores)).numpy()  # (0, 1]
    return (above + u * (1 + reached - above)) / (n + 1)


def benjamini_hochberg(p: np.ndarray, rate: float) -> np.ndarray:
    """Which hypotheses are rejected: those up to the largest k with p_(k) <= k rate / m.

    >>> benjamini_hochberg(np.array([0.02, 0.9, 0.03, 0.001]), 0.05).tolist()
    [True, False, True, True]
    """
    ordered = np.sort(p)
    below = np.flatnonzero(ordered <= rate * np.arange(1, len(p) + 1) / len(p))
    return p <= ordered[below[-1]] if len(below) else np.zeros(len(p), dtype=bool)
