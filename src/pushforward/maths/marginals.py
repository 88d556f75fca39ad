"""For each variable the increasing map that makes it standard normal: smooth, with an exact inverse and Gaussian tails.

    z = T(x),   log p(x) = log N(T(x)) + log T'(x),   T(x_k) = Phi^-1(p_k) at the quantiles x_k of the data

Between two knots T is a rational-quadratic curve, with the slope at a knot the weighted geometric mean of those of its two chords
(Gregory & Delbourgo, "Piecewise rational quadratic interpolation to monotonic data", 1982), outside a straight line, so that the
tails are those of a normal. The p_k are evenly spaced, and halve towards both ends down to a few examples.

A slope is at most `STEEPEST` over the standard deviation: of values that many examples share the likelihood has no maximum.
N rows of D variables, B knots:   x, z, ladj (N, D)   knots, slopes (D, B)   levels (B,)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import numpy as np
import torch
from torch import Tensor

from .bijections.scalar import curve, root

STEEPEST = 1e3  # the largest slope, for a variable of variance 1
FEW = 8  # examples beyond the last knot but one, about


@dataclass
class Marginals:
    """D increasing maps, to be found by `Marginals.of(x)`.

    >>> x = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None]
    >>> maps = Marginals.of(x)
    >>> z, ladj = maps.forward(x)
    >>> bool((maps.inverse(z) - x).abs().max() < 1e-12)
    True
    >>> bool(maps.log_prob(torch.tensor([[0.5]], dtype=torch.float64)).abs() < 0.01)  # a uniform's is 0
    True
    """

    knots: Tensor
    slopes: Tensor
    levels: Tensor  # z at the knots, the same for all variables

    @classmethod
    def of(cls, x: Tensor, bins: int = 0) -> Marginals:
        """From the quantiles of x. `bins` is the number of even parts; 0 is N^(1/3), and at most 64."""
        n = len(x)
        p = probabilities(n, bins or min(64, round(n ** (1 / 3))))
        ranked = torch.from_numpy(np.sort(x.detach().cpu().T.contiguous().numpy())).to(x)  # (D, N)
        place = (p * n - 0.5).clamp(0, n - 1)
        low = place.long().clamp(max=max(n - 2, 0))
        share = (place - low).to(x)
        knots = torch.lerp(ranked[:, low], ranked[:, (low + 1).clamp(max=n - 1)], share)
        levels = torch.special.ndtri(p).to(x)
        scale = torch.linalg.vector_norm(ranked - ranked.mean(1, keepdim=True), dim=1) / n**0.5
        scale = torch.where(scale > 0, scale, 1.0)
        rise = levels.diff()
        widths = torch.maximum(knots.diff(), rise * scale[:, None] / STEEPEST)
        middle = len(p) // 2  # what the floor of the widths adds is spread to both sides
        steps = torch.nn.functional.pad(widths.cumsum(1), (1, 0))
        knots = knots[:, middle, None] + steps - steps[:, middle, None]
        chords = (rise / widths).log()
        inner = (widths[:, 1:] * chords[:, :-1] + widths[:, :-1] * chords[:, 1:]) / (widths[:, 1:] + widths[:, :-1])
        ends = tail(ranked), tail(-ranked.flip(1))
        steepest = (STEEPEST / scale)[:, None]
        slopes = torch.cat([torch.minimum(ends[0], steepest), inner.exp(), torch.minimum(ends[1], steepest)], 1)
        return cls(knots, slopes, levels)

    def piece(self, k: Tensor) -> tuple[Tensor, ...]:
        """Left ends and sizes in x and z, and the slopes at both ends in units of the chord's, of piece k (D, N) of each variable."""
        left, right = self.knots.gather(1, k), self.knots.gather(1, k + 1)
        low, high = self.levels[k], self.levels[k + 1]
        w, h = right - left, high - low
        chord = h / w
        return left, low, w, h, chord, self.slopes.gather(1, k) / chord, self.slopes.gather(1, k + 1) / chord

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z and log dz/dx, each (N, D)."""
        x = x.T.contiguous()
        low, high = self.knots[:, :1], self.knots[:, -1:]
        v = torch.where(x < low, low, torch.where(x > high, high, x))
        k = torch.searchsorted(self.knots, v.detach(), right=True).clamp(1, len(self.levels) - 1) - 1
        left, low, w, h, chord, a, b = self.piece(k)
        value, rise = curve(((v - left) / w).clamp(0, 1), a, b)
        end = torch.where(x < v, self.slopes[:, :1], self.slopes[:, -1:])
        outside = x != v
        z = low + h * value + torch.where(outside, (x - v.detach()) * end, 0.0)
        return z.T, torch.where(outside, end, chord * rise).log().T

    def inverse(self, z: Tensor) -> Tensor:
        """x (N, D)."""
        z = z.T.contiguous()
        v = z.clamp(float(self.levels[0]), float(self.levels[-1]))
        k = torch.searchsorted(self.levels, v.detach(), right=True).clamp(1, len(self.levels) - 1) - 1
        left, low, w, h, _, a, b = self.piece(k)
        value = ((v - low) / h).clamp(0, 1)
        t = root(value, a, b)
        now, rise = curve(t, a, b)
        t = (t - (now - value) / rise).clamp(0, 1)  # a step of Newton takes off the last rounding
        end = torch.where(z < v, self.slopes[:, :1], self.slopes[:, -1:])
        return (left + w * t + (z - v) / end).T

    def log_prob(self, x: Tensor) -> Tensor:
        """log p of each variable, (N, D)."""
        z, ladj = self.forward(x)
        return ladj - 0.5 * (z * z + log(2 * pi))


def tail(ranked: Tensor) -> Tensor:
    """The slope of z in the lower tail (D, 1): its regression on x over a sixteenth of the examples. Where examples are few it is rather
    too small than too large, so that a chain of such maps does not blow an outlier up.
    """
    n = ranked.shape[1]
    m = min(n, max(FEW, n // 16))
    z = torch.special.ndtri((torch.arange(m, dtype=torch.float64) + 0.5) / n).to(ranked)
    x = ranked[:, :m] - ranked[:, :m].mean(1, keepdim=True)
    return (x @ (z - z.mean()) / (x * x).sum(1).clamp(min=1e-300)).clamp(min=1e-300)[:, None]


def probabilities(n: int, bins: int) -> Tensor:
    """The p_k of n examples: even parts, then halves of the outer ones, then the outermost examples, which stand at 1/2n and 1 - 1/2n.

    >>> probabilities(64, 4).tolist()
    [0.0078125, 0.0625, 0.125, 0.25, 0.5, 0.75, 0.875, 0.9375, 0.9921875]
    """
    bins = max(2, min(bins, n // 4))
    tail = []
    p = 1 / bins
    while n * p >= FEW:
        p /= 2
        tail.append(p)
    left = torch.tensor([0.5 / n, *reversed(tail)], dtype=torch.float64)
    left = left[(left < 1 / bins) & (left >= 0.5 / n)]
    return torch.cat([left, torch.arange(1, bins, dtype=torch.float64) / bins, 1 - left.flip(0)])
