"""What every head gives, and the guards that keep its arithmetic finite."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

CEILING = 20.0  # of a log-scale: e^20 is flat for any data and still far from overflow in float32


class Head(ABC):
    """The distribution of one variable, given F parameters. Heads of equal constants are equal and share calls."""

    discrete: bool = False  # counting measure: probabilities that sum to 1

    @property
    @abstractmethod
    def features(self) -> int:
        """F, the numbers that it takes from a network."""

    @abstractmethod
    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        """log p(x) in nats."""

    def log_prob_all(self, x: Tensor, p: Tensor) -> Tensor:
        """The sum over the last axis of x, where it costs less than its terms."""
        return self.log_prob(x, p).sum(-1)

    @abstractmethod
    def cdf(self, x: Tensor, p: Tensor) -> Tensor:
        """P(X <= x)."""

    def below(self, x: Tensor, p: Tensor) -> Tensor:
        """P(X < x)."""
        return self.cdf(x, p)

    @abstractmethod
    def icdf(self, u: Tensor, p: Tensor) -> Tensor:
        """The smallest x with P(X <= x) > u."""

    @abstractmethod
    def mean(self, p: Tensor) -> Tensor:
        """The expectation of x."""

    @abstractmethod
    def mode(self, p: Tensor) -> Tensor:
        """The likeliest x; of a mixture the likeliest of its components' means."""

    def sample(self, p: Tensor, u: Tensor) -> Tensor:
        """What uniform u are pushed forward to."""
        return self.icdf(u, p)

    def start(self) -> Tensor:
        """(F,) parameters to begin learning from: a broad distribution whose components, if any, differ."""
        return torch.zeros(self.features)


def wide(p: Tensor) -> Tensor:
    """Parameters in at least 32 bits: a likelihood added up in half precision is not one."""
    return p.float() if p.dtype in (torch.bfloat16, torch.float16) else p


def log_scale(raw: Tensor, floor: float = -8.0) -> Tensor:
    """log(e^raw + e^floor), at most 20: a scale cannot collapse to a point, and its gradient goes on there."""
    return (floor + F.softplus(raw - floor)).clamp(max=CEILING)


def log_shares(logits: Tensor) -> Tensor:
    """log softmax; over few numbers logsumexp is several times faster on a CPU than log_softmax."""
    return logits - logits.logsumexp(-1, keepdim=True)


def likeliest(head: Head, x: Tensor, p: Tensor) -> Tensor:
    """Of several values x (..., K) the one that the head finds most probable, or dense."""
    best = head.log_prob(x, p.unsqueeze(-2).expand(*x.shape, -1)).argmax(-1, keepdim=True)
    return x.gather(-1, best).squeeze(-1)


def under_one(u: Tensor, p: Tensor) -> Tensor:
    """u in the precision of p, with 1 brought to the largest number below it."""
    return u.to(p.dtype).clamp(max=1 - torch.finfo(p.dtype).eps / 2)


def inside(u: Tensor, p: Tensor) -> Tensor:
    """u in the open interval (0, 1), in the precision of p.

    A generator that counts in units of eps/2 means the whole cell [0, eps/2) by 0: its middle stands for it.
    """
    u = under_one(u, p)
    return torch.where(u > 0, u, torch.finfo(p.dtype).eps / 4)
