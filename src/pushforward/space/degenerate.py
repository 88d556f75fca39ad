"""Data on which a density has no limit, or whose digits arithmetic loses: what is constant, what follows from other columns, what lies far out.

    constant          every value alike: the density is a point mass there. It is left out of a model's coordinates and comes back as it was
    determined        a column that is a linear function of others up to a 10^-6 of its spread: a density has no limit on that plane, so it is said
    far               values whose differences drown in their size (10^18 + 1), or whose squares overflow: a model sees them standardised

N rows of D columns:   x (N, D)
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

FINE = 1e-6  # of a column's spread: so near to others it follows from them
LOOKED = 4096  # rows among which what determines what is looked for
WIDE = 512  # columns up to which sums of several others are looked for
SAMPLE = 1 << 16  # rows that say how far out a column lies


def constants(x: np.ndarray) -> tuple[tuple[int, Any], ...]:
    """(column, value) of those that never vary, of an array of at least two rows in which something does.

    >>> constants(np.array([[1.0, 7.5], [2.0, 7.5], [3.0, 7.5]]))
    ((1, 7.5),)
    """
    if x.ndim != 2 or len(x) < 2:
        return ()
    still = np.arange(x.shape[1])
    for stop in (2, 64, 4096, len(x)):  # most columns vary at once
        if len(still):
            still = still[(x[:stop, still] == x[0, still]).all(0)]
    return tuple((int(j), x[0, j].item()) for j in still) if len(still) < x.shape[1] else ()


def far(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which columns cannot be squared and summed as they are without losing their digits.

    >>> far(np.array([0.0, 1e9, -1e200]), np.array([1.0, 1e9 + 5, 1e200])).tolist()
    [False, True, True]
    """
    with np.errstate(over="ignore"):
        size, width = np.maximum(np.abs(low), np.abs(high)), high - low
    return (width > 0) & ((size > 1e30) | (width < 1e-7 * size) | (size < 1e-30))


def far_out(x: np.ndarray) -> bool:
    """Whether an array of numbers has such a column."""
    some = np.asarray(x[:SAMPLE], dtype=np.float64)
    return bool(far(some.min(0), some.max(0)).any()) if some.ndim == 2 and len(some) else False


def determined(x: Tensor, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Groups of columns of numbers that determine one another, found among some of the rows and held against all of them."""
    x = x.double()
    x = x[~torch.isnan(x).any(1)]
    scale = spread(x)
    live = (scale > 0).nonzero()[:, 0]
    if len(live) < 2 or len(x) < 3:
        return []
    y = ((x - x[:1]) / torch.where(scale > 0, scale, 1.0))[:, live]
    y = y - y.mean(0)
    labels = [names[j] for j in live.tolist()]
    found = sums(y, labels) if y.shape[1] <= WIDE and len(y) > y.shape[1] + 1 else []
    return found or copies(y, labels)


def spread(x: Tensor) -> Tensor:
    """Half the range of each column, which does not overflow."""
    return x.amax(0) / 2 - x.amin(0) / 2 if len(x) else torch.zeros(x.shape[1:])


def copies(y: Tensor, labels: list[str]) -> list[tuple[str, ...]]:
    """Columns alike up to their unit and sign."""
    groups: dict[Any, list[int]] = {}
    for j, column in enumerate((y[:LOOKED] * y[:LOOKED].gather(0, y[:LOOKED].abs().argmax(0, keepdim=True)).sign()).T):
        groups.setdefault(tuple((column[:64] * 1e5).round().tolist()), []).append(j)
    return [tuple(labels[j] for j in group) for group in groups.values() if len(group) > 1]


def sums(y: Tensor, labels: list[str]) -> list[tuple[str, ...]]:
    """Columns that are sums of others: those that a pivoted QR leaves without a length of their own."""
    from scipy.linalg import qr, solve_triangular

    some = y[:: max(1, len(y) // LOOKED)]
    r, order = qr(some.numpy(), mode="r", pivoting=True)
    length = np.abs(np.diag(r)) / np.sqrt(len(some))
    rank = int((length > FINE).sum())
    if rank == len(order):
        return []
    weights = solve_triangular(r[:rank, :rank], r[:rank, rank:])
    groups = []
    for k, j in enumerate(order[rank:]):
        on = order[:rank][np.abs(weights[:, k]) > 1e-4]
        rest = y[:, j] - y[:, order[:rank].copy()] @ torch.from_numpy(weights[:, k])
        if float(rest.square().mean().sqrt()) <= 10 * FINE:
            groups.append(tuple(labels[i] for i in sorted({int(j), *map(int, on)})))
    return groups


def singular(space: Any, x: Tensor) -> list[tuple[str, ...]]:
    """Groups of columns of which one follows from the others, by name. Only what is measured by its density is looked at: probabilities have
    a limit, and so have columns that never vary, for they are left out."""
    if len(space.shape) != 1 or space.kind not in ("real", "table"):
        return []
    names = space.names or tuple(f"x{j}" for j in range(space.size))
    still = {j for j, _ in space.fixed}
    if space.kind == "table":
        still |= {j for j, c in enumerate(space.columns) if c.discrete or c.step}
    keep = [j for j in range(space.size) if j not in still]
    return determined(x[:, keep], tuple(names[j] for j in keep)) if len(keep) > 1 else []


def warn(space: Any, x: Tensor) -> None:
    """Say which columns determine one another, once a fit; and that rows are fewer than columns, where all lie on one plane."""
    if space.kind == "real" and len(space.shape) == 1 and 2 < len(x) <= space.size - len(space.fixed):
        warnings.warn(
            f"There are {len(x)} rows of {space.size} columns: a density of so few rows has no limit, and what is learned of it is a model's own "
            "assumption. Pass more rows or fewer columns.",
            stacklevel=2,
        )
    for group in singular(space, x):
        said = ", ".join(map(repr, group[:8])) + (", …" if len(group) > 8 else "")
        warnings.warn(
            f"Columns {said} determine one another: a density has no limit there, so log-likelihoods say how finely a model resolves that, "
            "and are not to be compared between models. Leave one of the columns out.",
            stacklevel=2,
        )
