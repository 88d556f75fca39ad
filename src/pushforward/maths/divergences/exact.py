"""Divergences without an estimate: tables, Gaussians, densities on the line.

    KL(p || q) = 1/2 [ tr S_q^-1 S_p + d' S_q^-1 d - D + log det S_q / det S_p ],   d = m_p - m_q
    chi2(p || q) = det S_p^-1 det(S_q)^1/2 det(A)^-1/2 exp 1/2 d' (S_q^-1 + S_q^-1 A^-1 S_q^-1) d - 1,   A = 2 S_p^-1 - S_q^-1,
        infinite where A is not positive definite
    H2(p, q) = 2 - 2 det(S_p S_q)^1/4 det(M)^-1/2 exp(-1/8 d' M^-1 d),   M = (S_p + S_q) / 2
    JS, GAN   no closed form: quadrature on the line; equal covariances are a case of the line, N(|L^-1 d|, 1) against N(0, 1)

Pardo, "Statistical inference based on divergence measures", 2006, ch. 1.
Tables p, q (K,)   points x (n,)   S (D, D)   m (D,)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import expm1, inf

import numpy as np
import torch
from torch import Tensor

from ...errors import BadData, Unable
from ..laws import Normal
from .generators import Divergence, integrand, of

REACH = (
    -12.0,
    -8.0,
    -5.0,
    -3.0,
    -2.0,
    -1.0,
    0.0,
    1.0,
    2.0,
    3.0,
    5.0,
    8.0,
    12.0,
)  # standard deviations; 1e-32 is beyond


def tables(d: Divergence | str, p: Tensor, q: Tensor) -> float:
    """D of two probability vectors; an outcome that one side lacks costs what its f says, for KL and chi2 infinity.

    >>> tables("kl", torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
    inf
    """
    if p.shape != q.shape or p.numel() == 0:
        raise BadData(
            f"Tables of {p.numel()} and {q.numel()} outcomes: two of the same, non-zero number are awaited. Give an outcome a side lacks the mass 0."
        )
    return float(integrand(of(d), p.double().log(), q.double().log()).sum())


def gaussians(d: Divergence | str, p: Normal, q: Normal) -> float:
    """D of two Gaussians.

    >>> round(gaussians("kl", Normal(1.0), Normal(0.0)), 12)
    0.5
    """
    d = of(d)
    if p.size != q.size:
        raise BadData(f"p has {p.size} variables and q has {q.size}. Compare laws of the same variables.")
    forms: dict[str, Callable[[Normal, Normal], float]] = {
        "kl": kl,
        "reverse_kl": lambda a, b: kl(b, a),
        "pearson": pearson,
        "hellinger": hellinger,
    }
    if d.name in forms:
        return forms[d.name](p, q)
    if p.size > 1:
        if not torch.allclose(p.covariance, q.covariance, rtol=1e-12, atol=0.0):
            raise Unable(
                f"{d} of Gaussians with different covariances has no closed form in {p.size} variables. Estimate it by Monte Carlo."
            )
        p, q = Normal(torch.linalg.norm(whitened(q, p.mean - q.mean))), Normal(0.0)
    knots = [float(side.mean + r * side.triangle[0, 0]) for side in (p, q) for r in REACH]
    return on_line(d, p.log_prob, q.log_prob, knots)


def whitened(law: Normal, gap: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(law.triangle, gap[:, None], upper=False)[:, 0]


def half_log_det(law: Normal) -> Tensor:
    return law.triangle.diagonal().log().sum()


def kl(p: Normal, q: Normal) -> float:
    shape = torch.linalg.solve_triangular(q.triangle, p.triangle, upper=False)
    quadratic = (shape**2).sum() + (whitened(q, p.mean - q.mean) ** 2).sum() - p.size
    return float(quadratic / 2 + half_log_det(q) - half_log_det(p))


def pearson(p: Normal, q: Normal) -> float:
    precision, other = torch.cholesky_inverse(p.triangle), torch.cholesky_inverse(q.triangle)
    a, wrong = torch.linalg.cholesky_ex(2 * precision - other)
    if int(wrong):
        return inf
    pulled = other @ (p.mean - q.mean)
    exponent = (p.mean - q.mean) @ pulled + (torch.linalg.solve_triangular(a, pulled[:, None], upper=False) ** 2).sum()
    log_integral = float(exponent / 2 - 2 * half_log_det(p) + half_log_det(q) - a.diagonal().log().sum())
    return expm1(log_integral) if log_integral < 700 else inf


def hellinger(p: Normal, q: Normal) -> float:
    middle = Normal(p.mean - q.mean, (p.covariance + q.covariance) / 2)
    log_overlap = (
        (half_log_det(p) + half_log_det(q)) / 2 - half_log_det(middle) - (whitened(middle, middle.mean) ** 2).sum() / 8
    )
    return -2 * expm1(float(log_overlap))


def on_line(
    d: Divergence | str,
    log_p: Callable[[Tensor], Tensor],
    log_q: Callable[[Tensor], Tensor],
    knots: Sequence[float],
    nodes: int = 64,
) -> float:
    """D of two densities on the line by Gauss-Legendre quadrature between neighbouring knots: name ends, modes and kinks.

    >>> flat = lambda x: torch.zeros_like(x)
    >>> round(on_line("kl", flat, lambda x: (2 * x).log(), [0.0, 1.0]), 3)      # of 1 to 2x on [0, 1]: 1 - log 2
    0.307
    """
    ends = np.unique(np.asarray(knots, dtype=np.float64))
    t, w = np.polynomial.legendre.leggauss(nodes)
    middle, reach = (ends[1:] + ends[:-1])[:, None] / 2, (ends[1:] - ends[:-1])[:, None] / 2
    x, weight = torch.from_numpy(middle + reach * t).flatten(), torch.from_numpy(reach * w).flatten()
    return float((weight * integrand(of(d), log_p(x), log_q(x))).sum())
