"""Invertible maps of one number, as pure functions of their parameters: what couplings and autoregressive maps condition.

    affine   z = (x - m) exp(-s)
    spline   on bin k, with t = (x - x_k) / w_k, slope s_k = h_k / w_k and derivatives d_k, d_k+1 at the knots
             z = y_k + h_k (s_k t^2 + d_k t(1-t)) / (s_k + (d_k + d_k+1 - 2 s_k) t(1-t));    z = x outside [-bound, bound]

A number x has the parameters p (..., F) in the last axis, F = `features`; zero parameters are the identity.
Dinh et al., "Density estimation using Real NVP", ICLR 2017; Papamakarios et al., "Masked autoregressive flow", NeurIPS 2017,
eq. 4; Durkan et al., "Neural spline flows", NeurIPS 2019, eqs. 4-8.
Any shape S of numbers:   x, z, log-Jacobian (*S)   p (*S, F) or what can be broadcast to it   bins K
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import Usage
from .base import full_precision


class Scalar(nn.Module, ABC):
    """An increasing map of one number, element by element."""

    features: int

    @abstractmethod
    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Data to noise: z and log dz/dx, each of the shape of x."""

    @abstractmethod
    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Noise to data: x and log dx/dz, each of the shape of z."""


class AffineScalar(Scalar):
    """z = (x - m) exp(-s) with p = (m, raw s). |s| stays below `limit`, so that no step of learning can blow the map up.

    >>> AffineScalar()(torch.tensor([3.0]), torch.tensor([[1.0, 0.0]]))[0]
    tensor([2.])
    """

    features = 2

    def __init__(self, limit: float = 5.0):
        super().__init__()
        self.limit = limit

    def parts(self, p: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = p.unbind(-1)
        return mean, raw / (1 + raw.abs() / self.limit)  # a quarter of the cost of a tanh

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        mean, s = self.parts(p)
        return (x - mean) * torch.exp(-s), -s.expand_as(x)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        mean, s = self.parts(p)
        return torch.addcmul(mean, z, torch.exp(s)), s.expand_as(z)


class Spline(Scalar):
    """A monotone rational-quadratic spline of K bins on [-bound, bound], the identity outside; F = 3 K - 1.

    Shapes are static and both branches of the tails are finite. Bins lie in the first axis while they are worked on: a
    softmax or a sum over a short last axis costs a CPU twenty times as much.

    >>> spline = Spline(bins=4, bound=3.0)
    >>> x = torch.tensor([-7.0, 0.5])
    >>> torch.allclose(spline(x, torch.zeros(2, 11))[0], x)
    True
    """

    free: Tensor
    floors: Tensor

    def __init__(self, bins: int = 8, bound: float = 5.0, floor: float = 1e-3):
        super().__init__()
        if bins < 1 or not bound > 0 or not 0 < floor * bins < 1:
            got = f"Spline(bins={bins}, bound={bound}, floor={floor})"
            raise Usage(f"{got}: bins >= 1, bound > 0 and 0 < floor * bins < 1 were awaited.")
        self.features, self.bins, self.bound, self.floor = 3 * bins - 1, bins, bound, floor
        self.shift = math.log(math.expm1(1 - floor))  # softplus(shift) + floor = 1: zero parameters have derivative 1
        # Left edges and sizes of the bins, as sums over the shares of the bins: in parts of the free width, and counted in floors.
        # Edges are summed from both sides, so that they are as exact on the right as on the left; shares add up to 1.
        k = torch.arange(bins)
        free = torch.cat([torch.where(k[None, :] < k[:, None], 0.5, -0.5), torch.eye(bins)])
        floors = torch.cat([k - bins / 2, torch.ones(bins)])[:, None]
        self.register_buffer("free", free, persistent=False)  # (2K, K)
        self.register_buffer("floors", floors, persistent=False)  # (2K, 1)

    def knots(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """(2, K, 2, *S): left edges and sizes of all bins, of x and of y; (K + 1, *S): the raw derivatives at all knots."""
        shape, K = p.shape[:-1], self.bins
        shares, raw = p.movedim(-1, 0).contiguous().split([2 * K, K - 1])
        width = 2 * self.bound
        sums = torch.add(width * self.floor * self.floors, self.free, alpha=width * (1 - K * self.floor))
        with full_precision(p):
            knots = sums @ shares.reshape(K, -1).softmax(0)
        raw = F.pad(raw, (0, 0) * len(shape) + (1, 1))  # the outermost derivatives are 1, as in the tails
        return knots.view(2, K, 2, *shape), raw

    def bin(self, v: Tensor, p: Tensor, side: int) -> tuple[Tensor, ...]:
        """The bin of each v, found among the knots of x (side 0) or y (side 1).

        Left edges in x and y, sizes in x and y, the slope h / w, and the derivatives at both ends in units of the slope.
        """
        knots, raw = self.knots(p)
        k = (v >= knots[0, 1:, side]).sum(0, keepdim=True)  # (1, *S)
        knots = knots.expand(2, -1, 2, *v.shape).gather(1, k.expand(2, 1, 2, *v.shape))
        x, y, w, h = knots.flatten(0, 2).unbind()
        d = raw.expand(-1, *v.shape).gather(0, torch.cat([k, k + 1]))
        slope = h / w
        a, b = ((self.floor + F.softplus(d + self.shift)) / slope).unbind()
        return x, y, w, h, slope, a, b

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        v = x.clamp(-self.bound, self.bound)
        left, low, w, h, slope, a, b = self.bin(v, p, 0)
        value, rise = curve(((v - left) / w).clamp(0, 1), a, b)
        inside = v == x
        return torch.where(inside, torch.addcmul(low, h, value), x), torch.where(inside, torch.log(slope * rise), 0.0)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        v = z.clamp(-self.bound, self.bound)
        left, low, w, h, slope, a, b = self.bin(v, p, 1)
        value = ((v - low) / h).clamp(0, 1)
        with torch.no_grad():
            t = root(value, a, b)
        # One step of Newton: it takes off the last rounding, and at the root it carries the gradient of the implicit function.
        now, rise = curve(t, a, b)
        t = (t - (now - value) / rise.detach()).clamp(0, 1)
        inside = v == z
        ladj = -torch.log(slope * curve(t, a, b)[1])
        return torch.where(inside, torch.addcmul(left, w, t), z), torch.where(inside, ladj, 0.0)


def curve(t: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The curve of a bin from (0, 0) to (1, 1) with derivatives a and b at its ends: its value and its derivative at t."""
    c = 1 - t
    below = 1 + (a + b - 2) * (t * c)
    value = t * torch.addcmul(t, a, c) / below
    rise = (t * torch.addcmul(c, b, t) + c * torch.addcmul(t, a, c)) / (below * below)
    return value, rise


def root(value: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The t in [0, 1] at which the curve has this value: A t^2 + B t = value, by the formula that does not cancel."""
    A = value * (b - 1) + (1 - value) * (1 - a)
    B = value * (2 - b) + (1 - value) * a
    r = torch.sqrt((B * B + 4 * A * value).clamp(min=0))
    return torch.where(B > 0, 2 * value / (B + r), (r - B) / (2 * A)).clamp(0, 1)
