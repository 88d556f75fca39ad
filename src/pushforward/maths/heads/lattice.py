"""Mixtures of logistics integrated over the cells of a lattice: ordered values with few parameters.

    P(k) = sum_j w_j [sigmoid(b_j) - sigmoid(a_j)],   a, b = (k -/+ 1/2 - m_j) / s_j,      k, m, s in cells

(Salimans et al., "PixelCNN++", ICLR 2017, eq. 2). The first and the last cell take the tails.
Each term is exact, with no threshold:

    log(sigmoid(b) - sigmoid(a)) = logsigmoid(b) + logsigmoid(-a) + log(-expm1(a - b)),      b - a = 1 / s

and the edges are known by their index, so the sum telescopes to 1 whatever the scales. Counting in cells keeps
k - m exact near m.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import ceil, inf, isinf, log, log2

import torch
from torch import Tensor
from torch.nn import functional as F

from .continuous import spread
from .head import Head, inside, likeliest, log_scale, log_shares, under_one

FLOOR = -4.0  # of a log-scale in cells: all but 1e-11 of a component then falls into one cell
UNBOUNDED = 32  # halvings; they find one cell among 4e9


@dataclass(frozen=True)
class Cells(Head):
    """K logistics over the cells first … last. Its heirs say how values and parameters are brought to cells."""

    components: int = 10
    discrete = True

    @property
    def features(self) -> int:
        return 3 * self.components

    @abstractmethod
    def frame(self) -> tuple[float, float, float, float]:
        """Cell 0 and the width of a cell in the coordinates of the parameters; the first and the last cell."""

    @abstractmethod
    def cell(self, x: Tensor) -> Tensor:
        """The cell of a value."""

    @abstractmethod
    def value(self, k: Tensor) -> Tensor:
        """The value of a cell."""

    def parts(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights as logits, centres and log-scales in cells, each (..., K)."""
        zero, unit, _, _ = self.frame()
        logits, means, widths = p.split(self.components, -1)
        return logits, (means - zero) / unit, log_scale(widths - log(unit), FLOOR)

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        _, _, first, last = self.frame()
        logits, centres, widths = self.parts(p)
        k = self.cell(x).to(p.dtype).unsqueeze(-1)
        gap = (-widths).exp()  # b - a
        a, b = (k - 0.5 - centres) * gap, (k + 0.5 - centres) * gap
        # All three terms are finite with finite gradients, so choosing by index lets no NaN through.
        right = F.logsigmoid(b).masked_fill(k >= last, 0.0)
        left = F.logsigmoid(-a).masked_fill(k <= first, 0.0)
        middle = torch.log(-torch.expm1(-gap)).expand_as(b).masked_fill((k >= last) | (k <= first), 0.0)
        out = (logits + left + right + middle).logsumexp(-1) - logits.logsumexp(-1)
        k = k.squeeze(-1)
        return out if isinf(first) and isinf(last) else out.masked_fill((k < first) | (k > last), -inf)

    def rise(self, k: Tensor, weights: Tensor, centres: Tensor, gap: Tensor) -> Tensor:
        """P(K <= k)."""
        _, _, first, last = self.frame()
        total = (weights * torch.sigmoid((k.unsqueeze(-1) + 0.5 - centres) * gap)).sum(-1).clamp(max=1)
        return total.masked_fill(k >= last, 1.0).masked_fill(k < first, 0.0)

    def cdf(self, x: Tensor, p: Tensor) -> Tensor:
        return self.upto(self.cell(x).to(p.dtype), p)

    def below(self, x: Tensor, p: Tensor) -> Tensor:
        return self.upto(self.cell(x).to(p.dtype) - 1, p)

    def upto(self, k: Tensor, p: Tensor) -> Tensor:
        logits, centres, widths = self.parts(p)
        return self.rise(k, log_shares(logits).exp(), centres, (-widths).exp())

    def icdf(self, u: Tensor, p: Tensor) -> Tensor:
        _, _, first, last = self.frame()
        logits, centres, widths = self.parts(p)
        weights, gap = log_shares(logits).exp(), (-widths).exp()
        tails = centres + torch.logit(inside(u, p)).unsqueeze(-1) / gap
        low = (tails.amin(-1) - 1).floor().clamp(first, last)
        high = (tails.amax(-1) + 1).ceil().clamp(first, last)
        u = under_one(u, p)
        for _ in range(UNBOUNDED if isinf(last - first) else ceil(log2(last - first + 1))):
            k = torch.floor(0.5 * (low + high))
            more = self.rise(k, weights, centres, gap) > u
            low, high = torch.where(more, low, torch.minimum(k + 1, high)), torch.where(more, k, high)
        return self.value(high)

    def mean(self, p: Tensor) -> Tensor:
        """Of the undiscretised mixture cut at the ends: within half a cell, and far closer once scales pass a cell."""
        _, _, first, last = self.frame()
        logits, centres, widths = self.parts(p)
        if not isinf(first) or not isinf(last):
            scales = widths.exp()
            lower = scales * F.softplus((first - centres) / scales) if not isinf(first) else 0.0
            upper = scales * F.softplus((centres - last) / scales) if not isinf(last) else 0.0
            centres = (centres + lower - upper).clamp(first, last)  # E min(max(X, first), last), X logistic
        return self.value((log_shares(logits).exp() * centres).sum(-1))

    def mode(self, p: Tensor) -> Tensor:
        """The likeliest of the components' cells and of the ends, where tails gather."""
        _, _, first, last = self.frame()
        cells = self.parts(p)[1].round().clamp(first, last)
        ends = [torch.full_like(cells[..., :1], end) for end in (first, last) if not isinf(end)]
        return likeliest(self, self.value(torch.cat([cells, *ends], -1)), p)


@dataclass(frozen=True)
class LogisticMixture(Cells):
    """Levels 0 … L-1 by a discretised mixture of logistics; means and scales are in units in which they span [-1, 1].

    >>> head = LogisticMixture(5, levels=256)
    >>> round(head.log_prob(torch.arange(256.0), head.start().expand(256, -1)).exp().sum().item(), 4)
    1.0
    """

    levels: int = 256  # L

    def frame(self) -> tuple[float, float, float, float]:
        return -1.0, 2.0 / max(self.levels - 1, 1), 0.0, float(self.levels - 1)

    def cell(self, x: Tensor) -> Tensor:
        return x

    def value(self, k: Tensor) -> Tensor:
        return k

    def start(self) -> Tensor:
        return spread(self.components, 1.0)


@dataclass(frozen=True)
class LatticeMixture(Cells):
    """Values origin + k * step (integers after standardising) by a discretised mixture of logistics.

    With bounds `low`, `high`, on the lattice, the tails fall to the end values and a value beyond has probability zero.
    float32 tells 2^24 cells apart; on a finer lattice it is a density times the step.

    >>> head = LatticeMixture(2, step=0.5, low=-1.0)
    >>> head.icdf(torch.tensor([0.0, 0.99]), torch.zeros(2, 6))
    tensor([-1.0000,  4.5000])
    """

    step: float = 1.0
    low: float = -inf
    high: float = inf
    origin: float = 0.0  # any point of the lattice; `low` where that is finite

    @property
    def zero(self) -> float:
        return self.origin if isinf(self.low) else self.low

    def frame(self) -> tuple[float, float, float, float]:
        first = self.low if isinf(self.low) else 0.0
        last = self.high if isinf(self.high) else float(round((self.high - self.zero) / self.step))
        return self.zero, self.step, first, last

    def cell(self, x: Tensor) -> Tensor:
        return torch.round((x - self.zero) / self.step)

    def value(self, k: Tensor) -> Tensor:
        return self.zero + k * self.step

    def start(self) -> Tensor:
        return spread(self.components, 1.5)
