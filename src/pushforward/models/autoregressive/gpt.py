"""GPT: a causal transformer over symbols.   log p(x) = sum_t log softmax(net(x_<t))_{x_t}

Radford et al., "Language models are unsupervised multitask learners", 2019 (GPT-2); lectures 001 and 003.
An example of variable length ends with the symbol `end`: what stands after it has no probability to pay, and the last position,
which is there for `end` alone, neither. Over all strings the probabilities then sum to 1.
B examples of T symbols out of V, G features given:   x (B, T)   given (B, G)   parameters (B, T V)   log_prob (B,)
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ...engine import Recipe
from ...maths.heads import Categorical, Product
from ...nets.attention import State, Transformer
from .family import Autoregressive


class GPT(Autoregressive):
    """The transformer of GPT-2 on text, on bytes, or on any short row of symbols.

    >>> model = GPT(layers=1, heads=2, width=16).fit(["abab", "baba"] * 50, steps=40, quiet=True)
    >>> len(model.sample(1, seed=0)[0])
    4
    >>> model.complete(["ab"], seed=0)[0][:2]
    'ab'
    """

    layers: int = 6  # blocks of attention and perceptron
    heads: int = 6  # of attention, which share the width
    width: int = 192  # of a position
    dropout: float = 0.0  # share of each branch that is dropped while training

    recipe: ClassVar[Recipe] = Recipe(
        steps=3000, batch=32, lr=1e-3, beta2=0.99, warmup=100, schedule="cosine", clip=1.0
    )
    spaces: ClassVar[tuple[str, ...]] = ("tokens", "levels", "binary")
    small: ClassVar[dict] = {"layers": 2, "heads": 2, "width": 32}

    def build(self, space, given=None):
        symbols = {"binary": 2}.get(space.kind, space.levels)
        self._end = space.end if space.kind == "tokens" and space.end >= 0 else None
        self.net = Transformer(symbols, space.size, self.layers, self.heads, self.width, self.dropout, given or 0)
        self.head = Product([Categorical(symbols)] * space.size)

    @property
    def end(self) -> int | None:  # type: ignore[override]
        return self._end

    @property
    def footprint(self) -> int:  # type: ignore[override]
        return 8 * self.width + self.head.widths[0]

    def conditionals(self, x, given=None):
        return Writer(self.net).conditionals(x, given)

    def _log_prob(self, x, given=None):
        x = x.flatten(1)
        nats = self.head.log_probs(x, self.conditionals(x, given))
        if self.end is None:
            return nats.sum(1)
        last = (x == self.end).long()
        free = (last.cumsum(1) - last) > 0  # what follows the first `end`
        free[:, -1] = True
        return nats.masked_fill(free, 0.0).sum(1)

    def push(self, u, order, given, known=None, x=None, through=None):
        drawn = super().push(u, order, given, known, x, through)
        if self.end is not None:
            drawn[:, -1] = self.end
        return drawn

    def under(self, order):
        return Writer(self.net)


class Writer:
    """The transformer as the sampler wants it: all positions at once, one after another from a cache, or a prompt in one pass."""

    def __init__(self, net: Transformer):
        self.net, self.start = net, net.start

    def conditionals(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        return self.net(x.long(), given).flatten(1)

    def step(self, state: State, t: int, value: Tensor | None) -> Tensor:
        return self.net.step(state, None if value is None else value.long())

    def prefill(self, state: State, values: Tensor) -> Tensor:
        return self.net.prefill(state, values.long())
