"""One Gaussian for a mixture of them: what the forward KL covers and what the reverse KL seeks.   Lecture 001.

    argmin KL(p || N)   the moments of p:   m = sum_k w_k m_k,   S = sum_k w_k (S_k + m_k m_k') - m m'
    argmin KL(N || p)   no closed form, and several optima, about one a mode:
        KL(N(m, L L') || p) = -log |det L| - D/2 log 2 pi e - E_e log p(m + L e),   e ~ N(0, I), the mean by the trapezoid rule

The trapezoid rule in e converges geometrically for a smooth integrand. Bishop, "Pattern recognition and machine learning", 2006, §10.1.2.
K components of D variables, T nodes:   m (D,)   L (D, D)   e (T, D)
"""

from __future__ import annotations

from math import e as euler
from math import log, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import Usage
from ..gaussians import Mixture
from ..laws import Normal, numbers

NODES = {1: 721, 2: 121}  # along an axis, from -9 to 9 standard deviations


def bells(weights: Any, means: Any, spreads: Any) -> Mixture:
    """A mixture from weights (K,), means (K,) or (K, D) and standard deviations (K,) or (K, D), or triangles L (K, D, D)."""
    w, m, s = numbers(weights), numbers(means), numbers(spreads)
    m = m[:, None] if m.ndim == 1 else m
    s = s[:, None] if s.ndim == 1 else s
    s = s.expand_as(m) if s.ndim == 2 else s
    return Mixture(w.log() - w.sum().log(), m, s.contiguous(), torch.zeros_like(m))


def triangles(mixture: Mixture) -> Tensor:
    return mixture.spread if mixture.spread.ndim == 3 else torch.diag_embed(mixture.spread)


def forward_fit(mixture: Mixture) -> Normal:
    """The Gaussian of least KL(mixture || Gaussian): it has the mixture's mean and covariance, so it covers all modes.

    >>> fit = forward_fit(bells([0.5, 0.5], [-3.0, 3.0], [1.0, 1.0]))
    >>> fit.mean.item(), fit.covariance.item()
    (0.0, 10.0)
    """
    w, triangle = mixture.log_weights.exp(), triangles(mixture)
    mean = w @ mixture.means
    gaps = mixture.means - mean
    return Normal(mean, torch.einsum("k,kde->de", w, triangle @ triangle.mT + gaps[:, :, None] * gaps[:, None]))


def reverse_kl(mixture: Mixture, mean: Tensor, triangle: Tensor) -> Tensor:
    """KL(N(mean, L L') || mixture), differentiable."""
    d = len(mean)
    if d not in NODES:
        raise Usage(f"The reverse KL is summed on a grid of nodes in 1 or 2 variables; the mixture has {d}.")
    axis = torch.linspace(-9, 9, NODES[d], dtype=torch.float64)
    e = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
    weight = torch.softmax(-0.5 * (e**2).sum(1), 0)
    nats = mixture.joint(mean + e @ triangle.T).logsumexp(1)
    return -triangle.diagonal().log().sum() - 0.5 * d * log(2 * pi * euler) - weight @ nats


def reverse_fits(mixture: Mixture) -> list[tuple[float, Normal]]:
    """The local optima of KL(Gaussian || mixture) that the components and the forward fit lead to, the best first."""
    wide = forward_fit(mixture)
    starts = [*zip(mixture.means, triangles(mixture), strict=True), (wide.mean, wide.triangle)]
    found: list[tuple[float, Normal]] = []
    for mean, triangle in starts:
        value, fit = descend(mixture, mean, triangle)
        alike = [
            torch.allclose(fit.mean, other.mean, atol=1e-4)
            and torch.allclose(fit.covariance, other.covariance, atol=1e-4)
            for _, other in found
        ]
        found += [] if any(alike) else [(value, fit)]
    return sorted(found, key=lambda pair: pair[0])


def descend(mixture: Mixture, mean: Tensor, triangle: Tensor) -> tuple[float, Normal]:
    """Down the reverse KL from one Gaussian, in (m, log of the diagonal of L, L below it)."""
    from scipy.optimize import minimize

    d = len(mean)
    below = torch.tril_indices(d, d, -1)

    def unpack(theta: Tensor) -> tuple[Tensor, Tensor]:
        lower = torch.zeros(d, d, dtype=torch.float64).index_put((below[0], below[1]), theta[2 * d :])
        return theta[:d], lower + torch.diag(theta[d : 2 * d].exp())

    def both(theta: np.ndarray) -> tuple[float, np.ndarray]:
        t = torch.tensor(theta, requires_grad=True)
        value = reverse_kl(mixture, *unpack(t))
        return value.item(), torch.autograd.grad(value, t)[0].numpy()

    start = torch.cat([mean, triangle.diagonal().log(), triangle[below[0], below[1]]])
    end = minimize(both, start.numpy(), jac=True, method="BFGS", options={"gtol": 1e-9})
    mean, triangle = unpack(torch.from_numpy(end.x))
    return float(end.fun), Normal(mean, triangle @ triangle.T)
