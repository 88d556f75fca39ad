"""Autoregressive models: the chain rule in an order o of the variables, and the pushforward of uniforms that it is.

    log p(x) = sum_t log p(x_o(t) | x_o(<t), given),    x_o(t) = F_t^-1(u_t | x_o(<t)),  u_t ~ U[0, 1)

Encoding is the way back to u (Rosenblatt, 1952). Completion keeps the known part: that is conditioning where it comes first in
the order. Elsewhere S candidates are drawn from q, and one is kept by weight (sampling importance resampling: Rubin, 1987):

    w_s = p(x_known, x_s) / q(x_s),    q(x_s) = product of p(x_t | x_<t) over the unknown t,    ESS = (sum w)^2 / sum w^2

What fills a gap is a value: q leaves out that the cell could be missing, and w makes up for it.

B examples of D variables, P parameters in all, S candidates:   x, u, known (B, D)   parameters (B, P)   weights (B, S)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, log
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...graphs import Graph, chain_rule
from ...maths.heads import Product, Whole
from ...maths.unroll import Incremental, encode, is_prefix, unroll
from ...model import Model
from ...noise import uniform

Order = Sequence[int]
HELD = 1 << 25  # parameters that completion holds at once, about


class Autoregressive(Model):
    """A system makes `self.head` (a Product) in `build` and gives `conditionals(x, given)`; to be sampled for the price of one
    pass, `start` and `step` (maths/unroll.py). One that knows other orders than 0 .. D-1 gives `averaged`, `under`, `ways`.
    """

    kinds: ClassVar[dict[str, str]] = {"complete": "exact or importance-weighted"}
    why_not: ClassVar[dict[str, str]] = {
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
    }
    head: ClassVar[Product]

    def conditionals(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no conditionals(x, given).")

    @property
    def end(self) -> int | None:
        """The token after which an example has ended, where there is one."""
        return None

    @property  # type: ignore[misc]
    def plates(self) -> Graph:  # type: ignore[override]
        """The chain rule, in the (first) order of this model."""
        if "_space" not in self.__dict__:
            return chain_rule(["x1", "x2", "…", "xD"])
        order = self.averaged()[0]
        named = len(self.space.names) == len(order)
        return chain_rule([self.space.names[t] if named else f"x{t + 1}" for t in order])

    # ---- orders --------------------------------------------------------------------------------------------------
    def averaged(self) -> Sequence[Order]:
        """The orders whose probabilities are averaged."""
        return (range(len(self.head.heads)),)

    def under(self, order: Order) -> Any:
        """What has the parameters, and the steps, of an order."""
        return self

    def ways(self, known: Tensor) -> Iterator[tuple[Tensor, Sequence[Order]]]:
        """Rows of known (B, D), and the orders in which their gaps are filled."""
        yield torch.arange(len(known), device=known.device), self.averaged()

    def unable(self, ability: str) -> str | None:
        if ability in ("encode", "decode") and len(self.averaged()) > 1:
            return f"it averages the probabilities of {len(self.averaged())} orders, each with an encoding of its own. Fit with orders=1."
        return None

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        x = x.flatten(1)
        nats = [self.head.log_prob(x, self.under(order).conditionals(x, given)) for order in self.averaged()]
        return nats[0] if len(nats) == 1 else torch.stack(nats).logsumexp(0) - log(len(nats))

    def _sample(self, n, given=None):
        u, orders = self.uniforms(n), self.averaged()
        if len(orders) == 1:
            return self.push(u, orders[0], given)
        which = (uniform(n, 1)[:, 0] * len(orders)).long().to(u.device)
        out = torch.empty_like(u)
        for k, order in enumerate(orders):
            rows = (which == k).nonzero()[:, 0]
            if len(rows):
                out[rows] = self.push(u[rows], order, take(given, rows)).to(out.dtype)
        return out

    def _encode(self, x, given=None):
        return encode(self.under(self.averaged()[0]), self.head, x.flatten(1), self.uniforms(len(x)), given)

    def _decode(self, z, given=None):
        return self.push(z.flatten(1), self.averaged()[0], given)

    def _complete(self, x, known, given=None, samples: int = 256):
        x, known = x.flatten(1), known.flatten(1)
        u, out, choices = self.uniforms(len(x)), x.clone(), None
        ess = torch.full((len(x),), float(samples))
        whole = Whole(self.chart.space, self.head, x.device)
        unsure = (~known & whole.maybe).any(1)
        for rows, orders in self.ways(known):
            exact = known[rows].all(1) if len(orders) > 1 else is_prefix(known[rows], orders[0]) & ~unsure[rows]
            sure, rest = rows[exact], rows[~exact]
            if len(sure):
                out[sure] = self.push(u[sure], orders[0], take(given, sure), known[sure], x[sure]).to(out.dtype)
            if len(rest):
                # Drawn for the whole batch, so that the candidates of a row do not depend on its company.
                choices = self.uniforms(len(x), samples) if choices is None else choices
                found, weights = self.candidates(choices[rest], orders, take(given, rest), known[rest], x[rest], whole)
                chosen = torch.searchsorted(weights.cumsum(1), u[rest, :1].to(weights)).clamp(max=samples - 1)
                out[rest] = found.gather(1, chosen[:, :, None].expand(-1, -1, x.shape[1]))[:, 0].to(out.dtype)
                ess[rest.cpu()] = (1 / (weights**2).sum(1)).float().cpu()
        seen = self.completion_
        seen["ess"] = torch.cat([seen["ess"], ess]) if "ess" in seen else ess
        seen["kind"] = "exact" if choices is None and seen["kind"] != "importance-weighted" else "importance-weighted"
        return out

    # ---- inside the abilities ------------------------------------------------------------------------------------
    def uniforms(self, n: int, *more: int) -> Tensor:
        return uniform(n, *more, len(self.head.heads)).to(self.device)

    def push(
        self, u: Tensor, order: Order, given: Any, known: Any = None, x: Any = None, through: Any = None
    ) -> Tensor:
        """Values pushed forward from u in this order."""
        return unroll(through or self.under(order), self.head, u, given, known, x, order, self.end)

    def candidates(self, u: Tensor, orders: Sequence[Order], given: Any, known: Tensor, x: Tensor, whole: Whole) -> Any:
        """u (B, S, D), shared by the orders, pushed forward around what is known, and the weights (B, S), which sum to 1."""
        found, nats = [], []
        size = max(1, min(4096, HELD // self.head.total) // len(x))
        for order, share in zip(orders, u.tensor_split(len(orders), 1), strict=True):
            model = self.under(order)
            through = seen_whole(model, whole, order)
            for some in share.split(size, 1):
                times = some.shape[1]
                o, g = known.repeat_interleave(times, 0), None if given is None else given.repeat_interleave(times, 0)
                y = self.push(some.flatten(0, 1), order, g, o, x.repeat_interleave(times, 0), through)
                p = model.conditionals(y, g)
                drawn = self.head.log_probs(y, whole(p)).masked_fill(o, 0.0).sum(1)
                found.append(y.unflatten(0, (-1, times)))
                nats.append((self.head.log_prob(y, p) - drawn).unflatten(0, (-1, times)))
        return torch.cat(found, 1), torch.cat(nats, 1).softmax(1)


class Full:
    """A model whose parameters are brought under which no cell is missing."""

    def __init__(self, model: Any, whole: Whole, order: Order):
        self.model, self.whole, self.order = model, whole, order

    def conditionals(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        return self.whole(self.model.conditionals(x, given))


class Stepwise(Full):
    """The same, step by step."""

    def start(self, n: int, given: Tensor | None = None) -> Any:
        return self.model.start(n, given)

    def step(self, state: Any, t: int, value: Tensor | None) -> Tensor:
        return self.model.step(state, t, value).masked_fill(self.whole.each[self.order[t]], -inf)


def seen_whole(model: Any, whole: Whole, order: Order) -> Any:
    """The model with parameters under which no cell is missing."""
    if not bool(whole.maybe.any()):
        return model
    return Stepwise(model, whole, order) if isinstance(model, Incremental) else Full(model, whole, order)


def take(given: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if given is None else given[rows]
