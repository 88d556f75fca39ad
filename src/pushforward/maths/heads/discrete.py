"""Heads of codes 0 … K-1, with the cumulative sums that make them pushforwards of a uniform."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .head import Head, log_shares, under_one


@dataclass(frozen=True)
class Bernoulli(Head):
    """P(x = 1) = sigmoid(p).

    >>> Bernoulli().log_prob(torch.tensor([1.0, 0.0]), torch.tensor([[0.0], [0.0]]))
    tensor([-0.6931, -0.6931])
    """

    discrete = True
    features = 1

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        return -F.binary_cross_entropy_with_logits(p.squeeze(-1), x.to(p.dtype), reduction="none")

    def log_prob_all(self, x: Tensor, p: Tensor) -> Tensor:
        return AllBits.apply(x.to(p.dtype), p.squeeze(-1))  # type: ignore[no-any-return]

    def cdf(self, x: Tensor, p: Tensor) -> Tensor:
        zero = torch.sigmoid(-p.squeeze(-1))
        return torch.where(x < 0, torch.zeros_like(zero), torch.where(x < 1, zero, torch.ones_like(zero)))

    def below(self, x: Tensor, p: Tensor) -> Tensor:
        return self.cdf(x.to(p.dtype) - 1, p)

    def icdf(self, u: Tensor, p: Tensor) -> Tensor:
        return (u >= torch.sigmoid(-p.squeeze(-1))).to(p.dtype)

    def mean(self, p: Tensor) -> Tensor:
        return torch.sigmoid(p.squeeze(-1))

    def mode(self, p: Tensor) -> Tensor:
        return (p.squeeze(-1) > 0).to(p.dtype)


@dataclass(frozen=True)
class Categorical(Head):
    """P(x = k) = softmax(p)_k for k in 0 … K-1; the mean is that of the codes.

    >>> Categorical(4).icdf(torch.tensor([0.0, 0.6, 1.0]), torch.zeros(3, 4))
    tensor([0., 2., 3.])
    """

    levels: int  # K
    discrete = True

    @property
    def features(self) -> int:
        return self.levels

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        x = x.expand(p.shape[:-1]).long()
        if self.levels < 16:  # there cross_entropy leaves its vectorised path on a CPU, and takes four times as long
            return p.gather(-1, x.unsqueeze(-1)).squeeze(-1) - p.logsumexp(-1)
        return -F.cross_entropy(p.reshape(-1, self.levels), x.reshape(-1), reduction="none").view(x.shape)

    def cumulative(self, p: Tensor) -> Tensor:
        """(..., K) P(X <= k), which ends in exactly 1."""
        rising = (p - p.amax(-1, keepdim=True)).exp().cumsum(-1)
        return rising / rising[..., -1:]

    def cdf(self, x: Tensor, p: Tensor) -> Tensor:
        known = x.long().clamp(0, self.levels - 1).unsqueeze(-1)
        found = self.cumulative(p).gather(-1, known).squeeze(-1)
        return torch.where(x < 0, torch.zeros_like(found), found)

    def below(self, x: Tensor, p: Tensor) -> Tensor:
        return self.cdf(x.long() - 1, p)

    def icdf(self, u: Tensor, p: Tensor) -> Tensor:
        u = under_one(u, p).unsqueeze(-1).contiguous()
        found = torch.searchsorted(self.cumulative(p), u, right=True).squeeze(-1)
        return found.clamp(max=self.levels - 1).to(p.dtype)  # of weights that are not finite no sum reaches u

    def mean(self, p: Tensor) -> Tensor:
        return log_shares(p).exp() @ torch.arange(self.levels, dtype=p.dtype, device=p.device)

    def mode(self, p: Tensor) -> Tensor:
        return p.argmax(-1).to(p.dtype)


class AllBits(torch.autograd.Function):
    """sum_d x_d p_d - softplus(p_d), with d/dp = x - sigmoid(p): x, p (..., D) -> (...).

    By its terms this is the dearest part of a step of a small network: seven passes over (B, D) and as many temporaries.
    """

    @staticmethod
    def forward(ctx, x, p):
        ctx.save_for_backward(x, p)
        return torch.linalg.vecdot(x, p) - F.softplus(p).sum(-1)

    @staticmethod
    def backward(ctx, slope):
        x, p = ctx.saved_tensors
        slope = slope.unsqueeze(-1)
        return slope * p if ctx.needs_input_grad[0] else None, (x - p.sigmoid()) * slope
