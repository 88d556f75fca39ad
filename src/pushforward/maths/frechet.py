"""The Frechet distance of two samples: the squared Wasserstein-2 distance of the Gaussians with their means and covariances.

    FD = |m - w|^2 + tr S + tr T - 2 tr (S^1/2 T S^1/2)^1/2                       Dowson & Landau, J. Multivar. Anal. 1982
    tr (S^1/2 T S^1/2)^1/2 = sum of the roots of the eigenvalues of L'TL, S = LL'

which is symmetric, so that no root of a matrix is taken. Where S or T is singular it is the sum of the singular values of F'G, S = FF', T = GG'.
Standard error, to first order: dFD/dS = I - A, dFD/dm = 2 (m - w), with A = L'^-1 (L'TL)^1/2 L^-1, the slope of the optimal map; so
    phi(x) = c'(I - A)c + 2 (m - w)'c,   c = x - m,   and   var phi / n + var psi / m
Bias: moments of finite samples are never equal, so FD of two samples of one law is above 0, about (1/n + 1/m) times
    tr S + tr S / 4 + 1/2 sum_ij l_i l_j / (l_i + l_j)
for Gaussians with eigenvalues l of S (second order in S^ - S), and in any case falls like 1/n: the line through FD at several n meets 1/n = 0 at
FD-infinity (Chong & Forsyth, "Effectively unbiased FID and Inception score", CVPR 2020).
Shrinkage of S towards its mean variance: Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", J. Multivar. Anal. 2004.

x (n, D)   y (m, D)   S, T (D, D), all in float64
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from .. import noise
from ..errors import BadData
from .moments import square

ROUND = 2e-15  # rounding error of an eigenvalue, over the largest one
LOST = 1e-9  # share of the overlap that rounding may take before a slower way is gone
SIZES = 10  # numbers of examples that the line of FD-infinity goes through


@dataclass(frozen=True)
class Fitted:
    """The moments of a sample."""

    n: int
    mean: Tensor
    covariance: Tensor
    shrinkage: float = 0.0


def fitted(x: Tensor, shrink: bool = False) -> Fitted:
    """Mean and covariance over n - 1, or that of Ledoit and Wolf.

    >>> fitted(torch.tensor([[0.0], [2.0]])).covariance.item()
    2.0
    """
    if x.ndim != 2 or len(x) < 2:
        raise BadData(f"x has shape {tuple(x.shape)}; at least 2 rows of numbers are awaited.")
    x = x.double()
    mean = x.mean(0)
    centred = x - mean
    scatter = square(centred)
    if not shrink:
        return Fitted(len(x), mean, scatter / (len(x) - 1))
    covariance = scatter / len(x)
    share = shrinkage(centred, covariance)
    target = covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    return Fitted(len(x), mean, torch.lerp(covariance, target, share), share)


def shrinkage(c: Tensor, s: Tensor) -> float:
    """Ledoit and Wolf's share of the target, from centred rows and their covariance."""
    n, d = c.shape
    away = float((s - s.diagonal().mean() * torch.eye(d, dtype=s.dtype)).square().sum())
    noise_ = (float(c.square().sum(1).square().sum()) / n - float(s.square().sum())) / n
    return min(max(noise_, 0.0) / away, 1.0) if away > 0 else 1.0


def overlap(s: Tensor, t: Tensor) -> float:
    """tr (S^1/2 T S^1/2)^1/2."""
    triangle, wrong = torch.linalg.cholesky_ex(s)
    if not int(wrong):
        values = torch.linalg.eigvalsh(triangle.T @ t @ triangle)
        rounding = ROUND * float(values[-1])
        roots = values.clamp(min=0.0).sqrt()
        if float((rounding / values.clamp(min=rounding).sqrt()).sum()) <= LOST * float(roots.sum()):
            return float(roots.sum())
    return float(torch.linalg.svdvals(factor(s).T @ factor(t)).sum())


def factor(s: Tensor) -> Tensor:
    """F with FF' = S, of a covariance that may be singular."""
    values, vectors = torch.linalg.eigh(s)
    known = (
        values > len(s) * torch.finfo(s.dtype).eps * values[-1]
    )  # below it is rounding, whose root would be 1e-8 and not 1e-16
    return vectors * torch.where(known, values, 0.0).sqrt()


def between(p: Fitted, q: Fitted) -> float:
    """FD of two samples of which the moments are known."""
    if len(p.mean) != len(q.mean):
        raise BadData(f"One sample has {len(p.mean)} variables, the other {len(q.mean)}. Compare the same variables.")
    total = float((p.mean - q.mean).square().sum() + p.covariance.trace() + q.covariance.trace())
    return max(total - 2 * overlap(p.covariance, q.covariance), 0.0)


def frechet(x: Tensor, y: Tensor, shrink: bool = False) -> float:
    """The Frechet distance of two samples.

    >>> x = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> frechet(x, 2 * x + 3)          # 3^2 + (2 - 1)^2
    10.0
    """
    return between(fitted(x, shrink), fitted(y, shrink))


def stderr(x: Tensor, y: Tensor, p: Fitted, q: Fitted) -> float:
    """The first-order standard error; nan where examples are too few for their covariance: there is no map then, or none to trust."""
    triangle, wrong = torch.linalg.cholesky_ex(p.covariance)
    if int(wrong) or any(side.n <= len(side.mean) and not side.shrinkage for side in (p, q)):
        return float("nan")
    values, vectors = torch.linalg.eigh(triangle.T @ q.covariance @ triangle)
    values = values.clamp(min=max(ROUND * float(values[-1]), 1e-300))
    there = torch.linalg.solve_triangular(triangle.T, vectors * values**0.25, upper=True)  # A = there there'
    back = triangle @ (vectors * values**-0.25)
    gap = 2 * (p.mean - q.mean)
    variance = 0.0
    for rows, own, slope, shift in ((x, p, there, gap), (y, q, back, -gap)):
        c = rows.double() - own.mean
        curved = c.square().sum(1) - (c @ slope).square().sum(1)
        variance += float(((1 - own.shrinkage) * curved + c @ shift).var()) / own.n
    return sqrt(variance)


def bias(s: Tensor, n: int, m: int) -> float:
    """FD of two samples of n and m of one Gaussian with covariance S, in expectation, to first order in 1/n and 1/m."""
    l = torch.linalg.eigvalsh(s).clamp(min=0.0)
    both = l[:, None] + l
    pairs = torch.where(both > 0, l[:, None] * l / both.clamp(min=1e-300), 0.0).sum()
    return (1 / n + 1 / m) * float(1.25 * l.sum() + 0.5 * pairs)


def extrapolated(x: Tensor, y: Tensor, seed: int = 0, shrink: bool = False) -> tuple[float, float]:
    """FD-infinity: the value at 1/n = 0 of the line through FD at several n, and its standard error."""
    most = min(len(x), len(y))
    least = max(most // 5, 2 * x.shape[1])
    if least >= most:
        raise BadData(
            f"FD-infinity needs more than {2 * x.shape[1]} examples of each side for {x.shape[1]} variables; there are {len(x)} and {len(y)}. "
            "Compare fewer features, as features='pca:20'."
        )
    at = torch.linspace(1 / most, 1 / least, SIZES, dtype=torch.float64)
    values = []
    with noise.stream(seed):
        for size in (1 / at).round().long().tolist():
            some = [part[noise.permutation(len(part))[:size]] for part in (x, y)]
            values.append(frechet(some[0], some[1], shrink))
    design = torch.stack([torch.ones_like(at), at], 1)
    inverse = torch.linalg.inv(design.T @ design)
    line = inverse @ design.T @ torch.tensor(values, dtype=torch.float64)
    rest = torch.tensor(values, dtype=torch.float64) - design @ line
    return float(line[0]), sqrt(float(rest.square().sum()) / (SIZES - 2) * float(inverse[0, 0]))
