"""Invertible maps and their log-Jacobians.     log p(x) = log q(z) + log |det dz/dx|,   z = f(x) of noise density q

`forward` goes from data to noise, `inverse` from noise to data; each gives the log-Jacobian of its own direction. A chain adds
them up: the determinant of a product is the product of the determinants.
Rezende & Mohamed, "Variational inference with normalizing flows", ICML 2015, eqs. 5-7;
Papamakarios et al., "Normalizing flows for probabilistic modeling and inference", JMLR 2021, section 2.1.
B rows of shape S (D variables, or C channels of H by W):   x, z (B, *S)   given (B, G) or None   log-Jacobian (B,)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ...errors import Usage


class Bijection(nn.Module, ABC):
    """A map that can be undone."""

    @abstractmethod
    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to noise: z, and the log-Jacobian (B,) of this direction."""

    @abstractmethod
    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Noise to data: x, and the log-Jacobian (B,) of that direction."""


class Chain(Bijection):
    """One bijection after another; the first is the nearest to the data.

    >>> chain = Chain([Permutation([1, 0]), Permutation([1, 0])])
    >>> chain(torch.tensor([[1.0, 2.0]]))
    (tensor([[1., 2.]]), tensor([0.]))
    """

    def __init__(self, links: Iterable[Bijection]):
        super().__init__()
        self.links = nn.ModuleList(links)

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = constant(x)
        for link in self.links:
            x, ladj = link(x, given)
            total = total + ladj
        return x, total

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = constant(z)
        for link in reversed(self.links):
            z, ladj = link.inverse(z, given)  # type: ignore[operator]
            total = total + ladj
        return z, total


class Inverse(Bijection):
    """The same map with data and noise exchanged: the inverse of a masked autoregressive flow is an inverse autoregressive one.

    >>> Inverse(Permutation([2, 0, 1]))(torch.tensor([[1.0, 2.0, 3.0]]))[0]
    tensor([[2., 3., 1.]])
    """

    def __init__(self, map: Bijection):
        super().__init__()
        self.map = map

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.map.inverse(x, given)

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.map(z, given)


class Permutation(Bijection):
    """z_i = x_order(i), of variables or of channels.

    >>> Permutation([2, 0, 1])(torch.tensor([[1.0, 2.0, 3.0]]))[0]
    tensor([[3., 1., 2.]])
    """

    order: Tensor
    back: Tensor

    def __init__(self, order: Sequence[int] | Tensor):
        super().__init__()
        self.register_buffer("order", torch.as_tensor(order, dtype=torch.int64).clone())
        # Both are saved: a file brings its own permutation, and the way back with it.
        self.register_buffer("back", self.order.argsort())
        if not torch.equal(self.order[self.back], torch.arange(len(self.order))):
            raise Usage(f"order is {self.order.tolist()}; a permutation of 0 .. {len(self.order) - 1} was awaited.")

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.index_select(1, self.order), constant(x)

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z.index_select(1, self.back), constant(z)


def constant(x: Tensor, ladj: Tensor | None = None) -> Tensor:
    """A log-Jacobian that is the same for all rows, as (B,): a view, without a number for each row. None is 0."""
    return (x.new_zeros(()) if ladj is None else ladj).expand(len(x))


def total(ladj: Tensor) -> Tensor:
    """(B, *S) -> (B,), the sum over everything but the rows."""
    return ladj.flatten(1).sum(1)


def full_precision(x: Tensor) -> torch.autocast:
    """Knots and linear maps must be undone to the last digit, so their products are not left to bfloat16."""
    return torch.autocast(x.device.type, enabled=False)
