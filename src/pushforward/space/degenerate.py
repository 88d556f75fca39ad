"""Data on which a density has no limit, or whose digits arithmetic loses: what is constant, what follows from other columns, what lies far out.

    constant          every value alike: the density is a point mass there. It is left out of a model's coordinates and comes back as it was
    determined        a column that is a linear function of others up to a 10^-6 of its spread: a density has no limit on that plane, so it is said
    far               values whose differences drown in their size (10^18 + 1), or whose squares overflow: a model sees them standardised

N rows of D columns:   x (N, D)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import caution

FINE = 1e-6  # of a column's spread: so near to others it follows from them
LOOKED = 1024  # rows among which what determines what is looked for, or twice the columns
WIDE = 512  # columns up to which sums of several others are looked for
SAID = 4  # groups of columns that a fit names
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
    """Groups of columns of numbers that determine one another: looked for in some of the rows, held against all of them.

    >>> x = torch.tensor([[0.0, 1.0, 5.0], [1.0, 1.0, 7.0], [3.0, 2.0, 11.0], [4.0, 0.0, 13.0], [9.0, 2.0, 23.0]])
    >>> determined(x, ("a", "b", "c"))
    [('a', 'c')]
    """
    some = x[:: max(1, len(x) // max(LOOKED, 2 * x.shape[1]))].double()
    if bool(torch.isnan(some.sum())):
        some = x[~torch.isnan(x.sum(1))].double()
    first, scale = some[:1], spread(some)
    live = (scale > 0).nonzero()[:, 0]
    if len(live) < 2 or len(some) < 3:
        return []
    y = ((some - first) / torch.where(scale > 0, scale, 1.0))[:, live]
    y = y - y.mean(0)
    look = sums if len(live) <= WIDE and len(y) > len(live) + 1 else copies
    groups = []
    for columns, weights in look(y):
        of = live[columns]
        rest = ((x[:, of].double() - first[:, of]) / scale[of]) @ weights
        rest = rest[~torch.isnan(rest)]
        if float((rest - rest.mean()).square().mean().sqrt()) <= 10 * FINE:
            groups.append(tuple(names[j] for j in sorted(of.tolist())))
    return groups


def spread(x: Tensor) -> Tensor:
    """Half the range of each column, which does not overflow."""
    return x.amax(0) / 2 - x.amin(0) / 2 if len(x) else torch.zeros(x.shape[1:])


def sums(y: Tensor) -> list[tuple[list[int], Tensor]]:
    """Columns of which one is a sum of the others, with weights that take all to 0: what a pivoted QR leaves without a length of its own. It is
    asked where some column has next to no spread given those before it, which a Cholesky factor tells at a tenth of the price."""
    from scipy.linalg import qr, solve_triangular

    unit = y / y.norm(dim=0)
    factor, failed = torch.linalg.cholesky_ex(unit.T @ unit)
    if not bool(failed) and float(factor.diagonal().min()) > 3e-3:
        return []
    r, order = qr(y.numpy(), mode="r", pivoting=True)
    rank = int((np.abs(np.diag(r)) > FINE * np.sqrt(len(y))).sum())
    weights = solve_triangular(r[:rank, :rank], r[:rank, rank:])
    found = []
    for j, weight in zip(order[rank:].tolist(), weights.T, strict=True):
        on = np.abs(weight) > 1e-4
        found.append(([j, *order[:rank][on].tolist()], torch.from_numpy(np.concatenate([[1.0], -weight[on]]))))
    return found


def copies(y: Tensor) -> list[tuple[list[int], Tensor]]:
    """Two columns alike up to their unit and sign: neighbours in one direction of all rows."""
    along = (torch.arange(len(y)).double() * 0.618033988749895).frac() - 0.5
    length = along @ (y / y.norm(dim=0))
    order = length.abs().argsort()
    close = (length.abs()[order].diff() < 1e-5).nonzero()[:, 0].tolist()
    pairs = [(int(order[k]), int(order[k + 1])) for k in close]
    return [
        ([i, j], torch.tensor([1.0, -float(y[:, i] @ y[:, j] / y[:, j].square().sum())]).double()) for i, j in pairs
    ]


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
    if len(keep) < space.size:
        x, names = x[:, keep], tuple(names[j] for j in keep)
    return determined(x, names) if len(keep) > 1 else []


def warn(space: Any, x: Tensor) -> None:
    """Say which columns determine one another, once a fit; and that rows are fewer than columns, where all lie on one plane."""
    if space.kind == "real" and len(space.shape) == 1 and 2 < len(x) <= space.size - len(space.fixed):
        caution(
            f"There are {len(x)} rows of {space.size} columns: a density of so few rows has no limit, and what is learned of it is a model's own "
            "assumption. Pass more rows or fewer columns.",
        )
    groups = singular(space, x)
    for group in groups[:SAID]:
        said = ", ".join(map(repr, group[:8])) + (", …" if len(group) > 8 else "")
        caution(
            f"Columns {said} determine one another: a density has no limit there, so log-likelihoods say how finely a model resolves that, "
            "and are not to be compared between models. Leave one of the columns out.",
        )
    if len(groups) > SAID:
        caution(
            f"So do {len(groups) - SAID} other groups of columns; pushforward.data.singular(x) tells which.",
        )
