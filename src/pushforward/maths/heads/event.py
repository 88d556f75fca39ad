"""Events of several variables, variables that may be missing, and the heads that a space asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from math import inf
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import Usage, did_you_mean
from .continuous import Gaussian, GaussianMixture, Logistic
from .discrete import Bernoulli, Categorical
from .head import Head, wide
from .lattice import LatticeMixture, LogisticMixture

MANY = 64  # levels up to which each has a number of its own


@dataclass(frozen=True)
class Missing(Head):
    """NaN with probability sigmoid(p_0), else a value of `head`. In the order of the cdf NaN comes before every number.

    >>> Missing(Gaussian()).log_prob(torch.tensor(torch.nan), torch.zeros(3)).item()
    -0.6931471824645996
    """

    head: Head

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        return self.head.discrete

    @property
    def features(self) -> int:
        return 1 + self.head.features

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        gone, logit = torch.isnan(x), p[..., 0]
        # The head sees 0 for a NaN: the branch not taken stays finite, and so does its gradient.
        here = F.logsigmoid(-logit) + self.head.log_prob(x.masked_fill(gone, 0.0), p[..., 1:])
        return torch.where(gone, F.logsigmoid(logit), here)

    def after(self, share: Callable[[Tensor, Tensor], Tensor], x: Tensor, p: Tensor, at_nan: Tensor) -> Tensor:
        """P(NaN) + P(number) share(x), and `at_nan` for NaN."""
        gone, logit = torch.isnan(x), p[..., 0]
        here = torch.sigmoid(logit) + torch.sigmoid(-logit) * share(x.masked_fill(gone, 0.0), p[..., 1:])
        return torch.where(gone, at_nan, here)

    def cdf(self, x: Tensor, p: Tensor) -> Tensor:
        return self.after(self.head.cdf, x, p, torch.sigmoid(p[..., 0]))

    def below(self, x: Tensor, p: Tensor) -> Tensor:
        return self.after(self.head.below, x, p, torch.zeros_like(p[..., 0]))

    def icdf(self, u: Tensor, p: Tensor) -> Tensor:
        u, gone = u.to(p.dtype), torch.sigmoid(p[..., 0])
        rest = (u - gone) / torch.sigmoid(-p[..., 0]).clamp(min=torch.finfo(p.dtype).tiny)
        return self.head.icdf(rest.clamp(0, 1), p[..., 1:]).masked_fill(u < gone, torch.nan)

    def mean(self, p: Tensor) -> Tensor:
        """Of the value, where there is one."""
        return self.head.mean(p[..., 1:])

    def mode(self, p: Tensor) -> Tensor:
        """NaN where that is more likely than a value."""
        return self.head.mode(p[..., 1:]).masked_fill(p[..., 0] > 0, torch.nan)

    def start(self) -> Tensor:
        return torch.cat([torch.zeros(1), self.head.start()])


class Product(nn.Module):
    """An event of D variables, independent given their parameters: x (..., D), p (..., total) variable after variable.

    Equal heads are one call, whatever their number. A module, so that it moves with its model; it has nothing to learn.

    >>> event = Product([Bernoulli(), Categorical(3), Bernoulli()])
    >>> event.widths, event.total, event.log_prob(torch.tensor([[1.0, 2.0, 0.0]]), torch.zeros(1, 5))
    ((1, 3, 1), 5, tensor([-2.4849]))
    """

    def __init__(self, heads: Sequence[Head]):
        super().__init__()
        self.heads = tuple(heads)
        self.widths = tuple(head.features for head in self.heads)
        self.starts = tuple(accumulate(self.widths, initial=0))
        self.total = sum(self.widths)
        self.discrete = all(head.discrete for head in self.heads)
        self.kinds = tuple(dict.fromkeys(self.heads))  # each different head once
        if len(self.kinds) > 1:
            self.index()

    def index(self) -> None:
        """Where the variables and the parameters of each kind of head stand, and the way back."""
        members = [[d for d, head in enumerate(self.heads) if head == kind] for kind in self.kinds]
        for g, variables in enumerate(members):
            spots = [self.starts[d] + f for d in variables for f in range(self.widths[d])]
            self.register_buffer(f"variables_{g}", torch.tensor(variables), persistent=False)
            self.register_buffer(f"spots_{g}", torch.tensor(spots), persistent=False)
        self.register_buffer("back", torch.tensor([*chain(*members)]).argsort(), persistent=False)

    def each(self, act: Callable[[Head, Tensor | None, Tensor], Tensor], x: Tensor | None, p: Tensor) -> Tensor:
        """act(head, values, parameters) of every kind of head on all of its variables at once -> (..., D)."""
        p = wide(p)
        if len(self.kinds) == 1:
            return act(self.kinds[0], x, p.unflatten(-1, (len(self.heads), self.widths[0])))
        parts = []
        for g, kind in enumerate(self.kinds):
            variables, spots = self.get_buffer(f"variables_{g}"), self.get_buffer(f"spots_{g}")
            own = p.index_select(-1, spots).unflatten(-1, (len(variables), kind.features))
            parts.append(act(kind, None if x is None else x.index_select(-1, variables), own))
        return torch.cat(parts, -1).index_select(-1, cast(Tensor, self.back))

    def log_probs(self, x: Tensor, p: Tensor) -> Tensor:
        return self.each(lambda head, x, p: head.log_prob(cast(Tensor, x), p), x, p)

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        if len(self.kinds) == 1:
            return self.kinds[0].log_prob_all(x, wide(p).unflatten(-1, (len(self.heads), self.widths[0])))
        return self.log_probs(x, p).sum(-1)

    def cdf(self, x: Tensor, p: Tensor) -> Tensor:
        return self.each(lambda head, x, p: head.cdf(cast(Tensor, x), p), x, p)

    def below(self, x: Tensor, p: Tensor) -> Tensor:
        return self.each(lambda head, x, p: head.below(cast(Tensor, x), p), x, p)

    def icdf(self, u: Tensor, p: Tensor) -> Tensor:
        return self.each(lambda head, u, p: head.icdf(cast(Tensor, u), p), u, p)

    def sample(self, p: Tensor, u: Tensor) -> Tensor:
        return self.icdf(u, p)

    def mean(self, p: Tensor) -> Tensor:
        return self.each(lambda head, _, p: head.mean(p), None, p)

    def mode(self, p: Tensor) -> Tensor:
        return self.each(lambda head, _, p: head.mode(p), None, p)

    def start(self) -> Tensor:
        """(total,) parameters to begin learning from; a network's last bias may begin here."""
        return torch.cat([head.start() for head in self.heads])

    def one(self, d: int) -> tuple[Head, slice]:
        """Variable d alone: its head and the place of its parameters."""
        return self.heads[d], slice(self.starts[d], self.starts[d + 1])

    def extra_repr(self) -> str:
        return ", ".join(f"{sum(head == kind for head in self.heads)} x {kind}" for kind in self.kinds)


class Whole:
    """Parameters p (..., total) under which no cell is missing: those that give missing cells a chance become minus infinity."""

    def __init__(self, space: Any, head: Product, device: torch.device | str = "cpu"):
        spots = torch.zeros(head.total, dtype=torch.bool)
        for d, column in enumerate(space.columns):
            if column.missing:
                # A code's last value stands for missing; a number has a logit for it, its first parameter.
                spots[head.starts[d] + (column.size - 1 if isinstance(head.heads[d], Categorical) else 0)] = True
        self.head, self.spots = head, spots.to(device)
        self.each = self.spots.split(list(head.widths))
        self.maybe = torch.stack([own.any() for own in self.each])  # (D,) variables that can be missing

    def __call__(self, p: Tensor) -> Tensor:
        return p.masked_fill(self.spots, -inf)

    def told(self, x: Tensor, known: Tensor, p: Tensor) -> Tensor:
        """Of a known cell log p(x), of another log P(it is not missing): x, known (..., D) -> (..., D)."""
        nats = self.head.log_probs(x, p) * known
        if not bool((self.maybe & ~known).any()):
            return nats
        # What any value that is there loses by p as against by parameters that know of no missing cells.
        there = self(p)
        value = self.head.mode(there)
        chance = self.head.log_probs(value, p) - self.head.log_probs(value, there)
        return torch.where(known | ~self.maybe, nats, chance)


def of(
    space: Any, components: int = 10, continuous: str = "gaussian", levels: str = "auto", bounded: bool = False
) -> Product:
    """The event that an example of this space (in model coordinates) is.

    `continuous` is the head of a number: gaussian, mixture, logistic; `levels` that of a level: categorical, logistic, or auto:
    a number for each of up to 64 levels, and of more a mixture, for which 256 cost no more than 10.
    Columns with a step are lattices; `bounded` gathers their tails at the lowest and the highest value seen.
    """
    numbers = {"gaussian": Gaussian(), "mixture": GaussianMixture(components), "logistic": Logistic()}
    number = choose("continuous", continuous, numbers)
    codes = {"categorical": Categorical(space.levels), "logistic": LogisticMixture(components, space.levels)}
    codes["auto"] = codes["categorical" if space.levels <= MANY else "logistic"]
    level = choose("levels", levels, codes)
    if space.kind == "table":
        return Product([column_head(column, number, components, bounded) for column in space.columns])
    alone = {"real": number, "binary": Bernoulli(), "levels": level, "tokens": Categorical(space.levels)}
    return Product([alone[space.kind]] * space.size)


def column_head(column: Any, number: Head, components: int, bounded: bool) -> Head:
    if column.discrete:
        return Bernoulli() if column.size == 2 else Categorical(column.size)
    head = number
    if column.step > 0:
        low, high = (column.low, column.high) if bounded else (-inf, inf)
        head = LatticeMixture(components, column.step, low, high, origin=column.low)
    return Missing(head) if column.missing else head


def choose(field: str, name: str, known: dict[str, Head]) -> Head:
    if name not in known:
        raise Usage(f"{field} is {name!r}; awaited: {', '.join(known)}.{did_you_mean(name, known)}")
    return known[name]
