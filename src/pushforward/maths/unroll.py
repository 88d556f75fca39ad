"""Unrolling: the one sampler of autoregressive models. Each is a pushforward of uniforms,

    x_t = F_t^{-1}(u_t | x_<t),    u_t ~ U[0, 1),    and back:    u_t = F_t(x_t- | x_<t) + v_t P(x_t | x_<t)

(Rosenblatt, "Remarks on a multivariate transformation", 1952). With v uniform, u is uniform for discrete x too; for a
continuous x the last term is 0. The uniforms are drawn up front, so x does not depend on the batch.

B examples of D variables, whose parameters are N numbers:   x, u, v, known (B, D)   p (B, N)   order: D positions
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from .heads import Product, wide

PATIENCE = 16  # steps between two looks at whether every row has ended: each look waits for the device


class Autoregressive(Protocol):
    """All positions at once: the parameters of a variable depend only on the variables before it."""

    def conditionals(self, x: Tensor, given: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Incremental(Protocol):
    """One variable at a time: `step` t = 0 .. D-1 gives the parameters (B, F) of variable order[t], told the value (B,)
    of the variable before it (None at t = 0); it changes the state in place."""

    def start(self, n: int, given: Tensor | None = None) -> Any: ...

    def step(self, state: Any, t: int, value: Tensor | None) -> Tensor: ...


@runtime_checkable
class Prefilling(Protocol):
    """Many at once: `prefill` takes the place of steps 0 .. m, told the first m values (B, m) in the order."""

    def prefill(self, state: Any, values: Tensor) -> Tensor: ...


class Draws:
    """The values of the variables: drawn from u, or kept where known, or `end` after the first `end`."""

    def __init__(self, head: Product, u: Tensor, known: Tensor | None, x: Tensor | None, end: int | None):
        self.head, self.end = head, end
        self.u = u.t().contiguous().unbind(0)
        self.known = None if known is None else known.expand_as(u).unbind(1)
        self.x = None if x is None else x.unbind(1)
        self.ended = torch.zeros(len(u), dtype=torch.bool, device=u.device)

    def value(self, i: int, p: Tensor) -> Tensor:
        """Variable i, given its parameters (B, F)."""
        return self.settle(i, self.head.heads[i].sample(wide(p), self.u[i]))

    def settle(self, i: int, value: Tensor) -> Tensor:
        if self.end is not None:
            value = value.masked_fill(self.ended, self.end)
        if self.known is not None and self.x is not None:
            value = torch.where(self.known[i], self.x[i].to(value.dtype), value)
        if self.end is not None:
            self.ended = self.ended | (value == self.end)
        return value

    def over(self, t: int) -> bool:
        return self.end is not None and t > 0 and t % PATIENCE == 0 and bool(self.ended.all())


def unroll(
    model: Autoregressive,
    head: Product,
    u: Tensor,
    given: Tensor | None = None,
    known: Tensor | None = None,
    x: Tensor | None = None,
    order: Sequence[int] | None = None,
    end: int | None = None,
) -> Tensor:
    """(B, D) values pushed forward from u, in `order` (that of the model), for about one pass if the model steps.

    `known` ((B, D) or (D,)) keeps x: exact conditioning where `is_prefix`. After `end` a row is filled with `end`.
    """
    if not isinstance(model, Incremental):
        return naive(model, head, u, given, known, x, order, end)
    order = range(u.shape[1]) if order is None else order
    draws, out = Draws(head, u, known, x, end), dict[int, Tensor]()
    state, value, prefill, prompt = model.start(len(u), given), None, None, 0
    if isinstance(model, Prefilling) and x is not None:
        prefill, prompt = model.prefill, min(shared_prefix(known, order), len(order) - 1)
        out |= {i: draws.settle(i, x[:, i].to(u.dtype)) for i in order[:prompt]}
    for t, i in enumerate(order[prompt:], prompt):
        if draws.over(t):
            out |= {j: draws.settle(j, torch.zeros_like(u[:, j])) for j in order[t:]}
            break
        if prefill is not None and 0 < t == prompt:
            p = prefill(state, torch.stack([out[j] for j in order[:prompt]], 1))
        else:
            p = model.step(state, t, value)
        out[i] = value = draws.value(i, p)
    return torch.stack([out[i] for i in range(len(order))], 1)


def naive(
    model: Autoregressive,
    head: Product,
    u: Tensor,
    given: Tensor | None = None,
    known: Tensor | None = None,
    x: Tensor | None = None,
    order: Sequence[int] | None = None,
    end: int | None = None,
) -> Tensor:
    """The same values by D full passes: the oracle of `unroll`, and the sampler of models that have no steps."""
    draws, out = Draws(head, u, known, x, end), torch.zeros_like(u)
    for i in range(u.shape[1]) if order is None else order:
        value = draws.value(i, model.conditionals(out, given)[:, head.one(i)[1]])
        out = out.to(value.dtype, copy=True)
        out[:, i] = value
    return out


def encode(
    model: Autoregressive, head: Product, x: Tensor, v: Tensor | float = 0.5, given: Tensor | None = None
) -> Tensor:
    """u with unroll(u) = x, from v in [0, 1): uniform if x came from the model and v is uniform.

    A value whose probability is below the resolution of the numbers leaves no room for u, and cannot be brought back.
    """
    p = model.conditionals(x, given)
    low, high = head.below(x, p), head.cdf(x, p)
    # Rounding must not carry u onto `high`, where the next value begins.
    return torch.minimum(low + v * (high - low), torch.nextafter(high, low))


def is_prefix(known: Tensor, order: Sequence[int] | None = None) -> Tensor:
    """(B,) whether the known variables of a row come first in the order: only then is keeping them conditioning."""
    ranked = (known if order is None else known[..., list(order)]).int()
    return (ranked.diff(dim=-1) <= 0).all(-1)


def shared_prefix(known: Tensor | None, order: Sequence[int]) -> int:
    """How many variables at the head of the order are known in every row."""
    if known is None:
        return 0
    everywhere = known.reshape(-1, known.shape[-1]).all(0)[list(order)]
    return int(everywhere.int().cumprod(0).sum())
