"""Flows.   x = g(z),  z ~ N(0, I),  f = g^-1:     log p(x) = log N(f(x); 0, I) + log |det df/dx|

Lectures 003 and 004. B examples of D variables:   x, z (B, D)   log_prob (B,)
"""

from __future__ import annotations

from math import log, pi
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import Usage, did_you_mean
from ...maths import bijections as b
from ...model import Model
from ...nets.mlp import mlp
from ...noise import normal


class Flow(Model):
    """A model whose `self.flow` is a bijection from data to Gaussian noise."""

    coordinates: ClassVar[str] = "continuous"
    plates: ClassVar[Any] = "N{(z) <-> [x]}; theta -> x"
    why_not: ClassVar[dict[str, str]] = {
        "bound": "its log_prob is exact.",
        "energy": "it has a normalised log_prob.",
        "evidence": "its likelihood needs no estimate.",
        "complete": "conditioning on a part of x has no closed form in a flow. Fit with given= to condition, or use MADE or GaussianMixture.",
    }

    def prime(self, x: Tensor, given: Tensor | None = None) -> None:
        """Norms that start from the data see them once, as they will in training."""
        self.flow.train()
        self.flow(x.flatten(1), given)
        self.flow.eval()

    def _log_prob(self, x, given=None):
        z, ladj = self.flow(x.flatten(1), given)
        return ladj - 0.5 * (z.square().sum(1) + z.shape[1] * log(2 * pi))

    def _sample(self, n, given=None):
        return self._decode(normal(n, self.dims_).to(self.device), given)

    def _encode(self, x, given=None):
        return self.flow(x.flatten(1), given)[0]

    def _decode(self, z, given=None):
        return self.flow.inverse(z, given)[0]


class Conditioner(nn.Module):
    """A perceptron that reads the variables that stay and what is given."""

    def __init__(
        self, inputs: int, outputs: int, given: int, hidden: tuple, activation: str = "relu", dropout: float = 0.0
    ):
        super().__init__()
        self.net = mlp(inputs + given, outputs, hidden, activation, dropout)
        # A flow that starts as the identity starts stably.
        for weight in self.net[-1].parameters():
            nn.init.zeros_(weight)

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        return self.net(x if given is None else torch.cat([x, given], 1))


def scalar_of(name: str, bins: int, bound: float) -> b.Scalar:
    known: dict[str, Any] = {"affine": b.AffineScalar, "spline": lambda: b.Spline(bins, bound)}
    if name not in known:
        raise Usage(f"scalar={name!r} is not one of {', '.join(known)}.{did_you_mean(name, known)}")
    return known[name]()


def between(norm: str, mix: str, dims: int) -> list[b.Bijection]:
    """What stands between two transforms."""
    norms = {"none": None, "act": b.ActNorm, "batch": b.BatchNorm}
    mixes = {"none": None, "lu": b.LU}
    links: list[b.Bijection] = []
    for name, known, what in ((norm, norms, "norm"), (mix, mixes, "mix")):
        if name not in known:
            raise Usage(f"{what}={name!r} is not one of {', '.join(known)}.{did_you_mean(name, known)}")
        if known[name] is not None:
            links.append(known[name](dims))  # type: ignore[misc]
    return links
