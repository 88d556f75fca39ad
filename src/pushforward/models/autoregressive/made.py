"""MADE: all conditionals of the chain rule from one masked network.   maximise  sum_t log p(x_o(t) | x_o(<t), given)

Germain, Gregor, Murray & Larochelle, "MADE: masked autoencoder for distribution estimation", ICML 2015, eqs. 1-2 and 8-13,
https://arxiv.org/abs/1502.03509; residual blocks: Nash & Durkan, "Autoregressive energy machines", ICML 2019.

Learned in K orders, one drawn at each step, the probabilities of the K are averaged (§4.1):  p(x) = 1/K sum_k p_k(x), which
sums to 1 as each does. With order="any" each step draws one of all D!, so that completion can take the known part first.
Beside a variable stands a 1 then, which tells a value of 0 from one that is not seen (the connectivity weights of §4.2).

B examples of D variables, I numbers that they enter as, P parameters:   x (B, D)   inputs (B, I)   parameters (B, P)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...engine import Recipe
from ...errors import Usage, did_you_mean
from ...maths import heads
from ...nets.masked import Inputs, MaskedNet
from ...noise import generator, mix, permutation
from .family import Autoregressive, Order

ORDERS = ("natural", "random", "any")


class MADE(Autoregressive):
    """A masked autoencoder: exact likelihood in one pass, and samples for the price of about one.

    >>> from pushforward.data import toys
    >>> model = MADE(hidden=(64, 64)).fit(toys.moons(500), steps=20, quiet=True)
    >>> model.sample(3, seed=0).shape, model.abilities["log_prob"]
    ((3, 2), 'exact')
    """

    hidden: tuple = (256, 256, 256)  # widths of the layers
    residual: bool = True  # layers after the first are residual blocks, all as wide
    order: str = "natural"  # of the variables: natural, random, any (all are learned), or their numbers, as 2,0,1
    orders: int = 1  # orders learned and averaged
    number: str = "mixture"  # p of a number: gaussian, mixture, logistic
    level: str = "auto"  # p of a level: categorical, logistic (discretised mixtures), auto: those beyond 64 levels
    components: int = 10  # of a mixture
    dropout: float = 0.0  # share of the hidden units that a step of learning leaves out

    gaps: ClassVar[bool] = True
    recipe: ClassVar[Recipe] = Recipe(steps=5000, lr=1e-3, ema=0.999)
    small: ClassVar[dict[str, Any]] = {"hidden": (32, 32), "components": 4}

    def build(self, space, given=None):
        self.head = heads.of(space, self.components, self.number, self.level)
        self._orders = sequences(self.order, self.orders, space.size)
        self.inputs = Inputs(space, self.free)
        inputs = None if self.inputs.single else self.inputs.widths
        order, widths = self._orders[0], self.head.widths
        self.net = MaskedNet(
            space.size, self.hidden, widths, order, given, self.residual, "relu", inputs, self.free, self.dropout
        )
        with torch.no_grad():
            self.net.output.bias.copy_(self.head.start())

    @property  # type: ignore[misc]
    def footprint(self) -> int:  # type: ignore[override]
        return max(256, (4 * self.head.total + 2 * sum(self.hidden)) // self.net.dims)

    @property
    def free(self) -> bool:
        """Whether one network serves several orders."""
        return self.order == "any" or self.orders > 1

    def loss(self, x, given=None):
        order = self._orders[0]
        if self.order == "any":
            order = permutation(self.net.dims).tolist()
        elif self.orders > 1:
            order = self._orders[int(torch.randint(self.orders, (), generator=generator()))]
        x = x.flatten(1)
        return -self.head.log_prob(x, self.under(order).conditionals(x, given)).mean()

    # ---- orders --------------------------------------------------------------------------------------------------
    def averaged(self) -> Sequence[Order]:
        return self._orders

    def under(self, order: Order) -> Any:
        return Ordered(self.net, self.inputs, order)

    def ways(self, known: Tensor) -> Iterator[tuple[Tensor, Sequence[Order]]]:
        """With order="any" what is known comes first, else the orders are those that there are."""
        if self.order != "any":
            yield from super().ways(known)
            return
        patterns, which = torch.unique(known, dim=0, return_inverse=True)
        for k, pattern in enumerate(patterns.tolist()):
            yield (which == k).nonzero()[:, 0], [sorted(self._orders[0], key=[not o for o in pattern].__getitem__)]


class Ordered:
    """The network in one order: parameters at once, or step by step."""

    def __init__(self, net: MaskedNet, inputs: Inputs, order: Order):
        self.net, self.inputs, self.order = net, inputs, order
        self.told = torch.tensor(order, device=net.order.device) if net.free else None

    def conditionals(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        return self.net(self.inputs(x), given, self.told)

    def start(self, n: int, given: Tensor | None = None) -> Any:
        return self.net.start(n, given, self.told)

    def step(self, state: Any, t: int, value: Tensor | None) -> Tensor:
        return self.net.step(state, t, None if value is None else self.inputs.one(self.order[t - 1], value))


def sequences(order: str, count: int, dims: int) -> list[list[int]]:
    """The orders that are averaged. A shuffle is that of its number alone, so that a saved model finds it again."""
    if count < 1:
        raise Usage(f"orders={count}: a whole number of at least 1 is awaited.")
    first = list(range(dims))
    if order not in ORDERS and set(order) <= set("0123456789, "):
        first = [int(d) for d in order.replace(",", " ").split()]
        if sorted(first) != list(range(dims)):
            raise Usage(f"order={order!r} is not a permutation of the variables 0 … {dims - 1}.")
    elif order not in ORDERS:
        raise Usage(
            f"order={order!r} is not one of {', '.join(ORDERS)}, nor numbers such as 2,0,1.{did_you_mean(order, ORDERS)}"
        )
    shuffles = [
        torch.randperm(dims, generator=torch.Generator().manual_seed(mix(dims, k))).tolist() for k in range(count)
    ]
    return shuffles if order == "random" else [first, *shuffles[1:]]
