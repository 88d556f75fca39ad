"""Optimal transport between two small sets of points, exactly, and between two Gaussians.

    W_p^p = min over plans pi >= 0 with row sums 1/n and column sums 1/m of sum_ij pi_ij |x_i - y_j|^p
          = max phi, psi of mean phi + mean psi,   phi_i + psi_j <= |x_i - y_j|^p

Sets of one size: a plan is a matching (Birkhoff), found by the algorithm of Jonker and Volgenant (Crouse, IEEE Trans. Aerosp. Electron. Syst.
2016); else the linear programme. The prices phi, psi give the standard error, as on the line.
Gaussians: W_2^2 = |m_p - m_q|^2 + tr(S_p + S_q - 2 (S_p^1/2 S_q S_p^1/2)^1/2).   Dowson & Landau, J. Multivar. Anal. 1982.

x (n, D)   y (m, D)   cost (n, m)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...errors import BadData, Usage
from ..laws import Normal
from .line import error, root

LARGEST = 2000  # rows of a matching
CELLS = 60_000  # n m of a linear programme


def costs(x: Tensor, y: Tensor, order: float) -> np.ndarray:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not len(x) or not len(y):
        raise BadData(f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}; rows of the same variables are awaited.")
    most = max(len(x), len(y))
    if most > LARGEST or (len(x) != len(y) and len(x) * len(y) > CELLS):
        raise Usage(
            f"Exact transport between {len(x)} and {len(y)} points: at most {LARGEST} of each are matched, and n m up to {CELLS} where they are not "
            "as many. Take fewer, as many of each, or the sliced distance."
        )
    return (torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist") ** order).numpy()


def planned(x: Tensor, y: Tensor, order: float = 1.0) -> tuple[float, float]:
    """W_p between two sets of points, and its standard error as an estimate from two samples.

    >>> planned(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))[0]
    5.0
    """
    cost = costs(x, y, order)
    value, phi, psi = matched(cost) if len(x) == len(y) else transported(cost)
    return root(value, error(torch.from_numpy(phi), torch.from_numpy(psi)), order)


def assigned(x: Tensor, y: Tensor, order: float = 1.0) -> Tensor:
    """The number of the y that each x goes to."""
    from scipy.optimize import linear_sum_assignment

    if len(x) != len(y):
        raise Usage(f"{len(x)} and {len(y)} points: a matching is between as many of each.")
    return torch.from_numpy(linear_sum_assignment(costs(x, y, order))[1])


def matched(cost: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Sets of one size: the mean cost of the best matching, and the prices that prove it."""
    from scipy.optimize import linear_sum_assignment

    match = linear_sum_assignment(cost)[1]
    own = cost[np.arange(len(cost)), match]
    # Prices by Bellman and Ford: psi at the partner of i' is at most cost(i, partner of i') - phi_i, and phi_i = own_i - psi at i's partner.
    gaps = cost[:, match] - own[:, None]  # what it costs i to take the partner of i' instead
    psi = np.zeros(len(cost))
    for _ in range(len(cost)):
        lower = (gaps + psi[:, None]).min(0)
        if np.allclose(lower, psi, rtol=0.0, atol=1e-12 * (1 + own.max())):
            break
        psi = lower
    prices = np.empty_like(psi)
    prices[match] = psi
    return float(own.mean()), own - psi, prices


def transported(cost: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Sets of two sizes: the linear programme and its dual."""
    from scipy.optimize import linprog
    from scipy.sparse import identity, kron, vstack

    n, m = cost.shape
    sums = vstack([kron(identity(n), np.ones((1, m))), kron(np.ones((1, n)), identity(m))]).tocsr()
    found = linprog(cost.ravel(), A_eq=sums, b_eq=np.r_[np.full(n, 1 / n), np.full(m, 1 / m)], method="highs")
    if found.status != 0:
        raise BadData(f"The linear programme of the transport did not end: {found.message}")
    prices = found.eqlin.marginals
    return float(found.fun), prices[:n], prices[n:]


def bures(p: Normal, q: Normal) -> float:
    """The Wasserstein-2 distance of two Gaussians.

    >>> bures(Normal(0.0, 1.0), Normal(3.0, 25.0))
    5.0
    """
    if p.size != q.size:
        raise BadData(f"p has {p.size} variables and q has {q.size}. Compare laws of the same variables.")
    inner = torch.linalg.svdvals(p.triangle.T @ q.triangle).sum()  # tr (S_p^1/2 S_q S_p^1/2)^1/2
    squared = ((p.mean - q.mean) ** 2).sum() + p.covariance.trace() + q.covariance.trace() - 2 * inner
    return float(squared.clamp(min=0.0).sqrt())
