"""Heads of a continuous variable: densities against Lebesgue measure.

Parameters: (mean, log-scale) of Gaussian and logistic; (K weights as logits, K means, K log-scales) of a mixture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi, sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from .head import Head, inside, likeliest, log_scale, log_shares


@dataclass(frozen=True)
class Gaussian(Head):
    """x = mean + scale * z, z standard normal.

    >>> round(Gaussian().log_prob(torch.tensor(0.0), torch.tensor([0.0, 0.0])).item(), 2)
    -0.92
    """

    floor: float = -8.0  # the least log-scale
    features = 2

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        mean, raw = p.unbind(-1)
        width = log_scale(raw, self.floor)
        return -0.5 * ((x - mean) * (-width).exp()).square() - width - 0.5 * log(2 * pi)

    def cdf(self, x: Tensor, p: Tensor) -> Tensor:
        return torch.special.ndtr((x - p[..., 0]) * (-log_scale(p[..., 1], self.floor)).exp())

    def icdf(self, u: Tensor, p: Tensor) -> Tensor:
        return p[..., 0] + log_scale(p[..., 1], self.floor).exp() * torch.special.ndtri(inside(u, p))

    def mean(self, p: Tensor) -> Tensor:
        return p[..., 0]

    def mode(self, p: Tensor) -> Tensor:
        return p[..., 0]


@dataclass(frozen=True)
class Logistic(Head):
    """F(x) = sigmoid((x - mean) / scale).

    >>> Logistic().cdf(torch.tensor(1.0), torch.tensor([1.0, 0.0])).item()
    0.5
    """

    floor: float = -8.0
    features = 2

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        mean, raw = p.unbind(-1)
        width = log_scale(raw, self.floor)
        z = (x - mean) * (-width).exp()
        return F.logsigmoid(z) + F.logsigmoid(-z) - width

    def cdf(self, x: Tensor, p: Tensor) -> Tensor:
        return torch.sigmoid((x - p[..., 0]) * (-log_scale(p[..., 1], self.floor)).exp())

    def icdf(self, u: Tensor, p: Tensor) -> Tensor:
        return p[..., 0] + log_scale(p[..., 1], self.floor).exp() * torch.logit(inside(u, p))

    def mean(self, p: Tensor) -> Tensor:
        return p[..., 0]

    def mode(self, p: Tensor) -> Tensor:
        return p[..., 0]


@dataclass(frozen=True)
class GaussianMixture(Head):
    """sum_k w_k N(x; mean_k, scale_k²), a density of any number of modes.

    >>> head = GaussianMixture(3)
    >>> head.icdf(torch.tensor(0.5), head.start()).abs() < 1e-6
    tensor(True)
    """

    components: int = 10  # K
    floor: float = -8.0

    @property
    def features(self) -> int:
        return 3 * self.components

    def parts(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, means, widths = p.split(self.components, -1)
        return logits, means, log_scale(widths, self.floor)

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        logits, means, widths = self.parts(p)
        z = (x.unsqueeze(-1) - means) * (-widths).exp()
        each = logits - 0.5 * z.square() - widths
        return each.logsumexp(-1) - logits.logsumexp(-1) - 0.5 * log(2 * pi)

    def cdf(self, x: Tensor, p: Tensor) -> Tensor:
        logits, means, widths = self.parts(p)
        return (log_shares(logits).exp() * torch.special.ndtr((x.unsqueeze(-1) - means) * (-widths).exp())).sum(-1)

    def icdf(self, u: Tensor, p: Tensor) -> Tensor:
        u = inside(u, p)
        logits, means, widths = self.parts(p)
        weights, inverse = log_shares(logits).exp(), (-widths).exp()
        # A quantile of the mixture lies between the least and the greatest of its components' quantiles.
        ends = means + widths.exp() * torch.special.ndtri(u).unsqueeze(-1)
        slope = weights * inverse / sqrt(2 * pi)

        def curve(x: Tensor) -> Tensor:
            return (weights * torch.special.ndtr((x.unsqueeze(-1) - means) * inverse)).sum(-1)

        def density(x: Tensor) -> Tensor:
            return (slope * torch.exp(-0.5 * ((x.unsqueeze(-1) - means) * inverse).square())).sum(-1)

        return quantile(u, ends.amin(-1), ends.amax(-1), curve, density)

    def mean(self, p: Tensor) -> Tensor:
        logits, means, _ = self.parts(p)
        return (log_shares(logits).exp() * means).sum(-1)

    def mode(self, p: Tensor) -> Tensor:
        return likeliest(self, self.parts(p)[1], p)

    def start(self) -> Tensor:
        return spread(self.components, 1.5)


def spread(components: int, reach: float) -> Tensor:
    """(3K,) equal weights, means evenly over [-reach, reach], and scales that make neighbours overlap."""
    means = torch.linspace(-reach, reach, components) if components > 1 else torch.zeros(1)
    widths = torch.full((components,), log(2 * reach / components) if components > 1 else 0.0)
    return torch.cat([torch.zeros(components), means, widths])


def quantile(
    u: Tensor,
    low: Tensor,
    high: Tensor,
    curve: Callable[[Tensor], Tensor],
    density: Callable[[Tensor], Tensor],
    halvings: int = 32,
) -> Tensor:
    """x in [low, high] with curve(x) = u: bisection to Newton's basin, then Newton; no branch on data."""
    for _ in range(halvings):
        x = 0.5 * (low + high)
        more = curve(x) > u
        low, high = torch.where(more, low, x), torch.where(more, x, high)
    x = 0.5 * (low + high)
    for _ in range(3):
        step = (curve(x) - u) / density(x).clamp(min=torch.finfo(x.dtype).tiny)
        x = torch.minimum(torch.maximum(x - step, low), high)
    return x
