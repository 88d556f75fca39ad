"""Markov chains on two layers of bits, and the partition function that they estimate.

E(v, h) = -b'v - c'h - v'Wh               F(v) = -log sum_h exp(-E(v, h)) = -b'v - sum_j softplus(c + v'W)_j
P(h_j = 1 | v) = sigmoid(c + v'W)_j       P(v_i = 1 | h) = sigmoid(b + Wh)_i
log f_beta(v) = (1 - beta) b0'v + beta b'v + sum_j softplus(beta (c + v'W)_j)     from base rates b0 to the machine
log w = sum_k log f_k(v_k) - log f_{k-1}(v_k),   v_{k+1} ~ T_k(. | v_k),   E[w] = Z / Z_0        annealed importance

An energy is low where the density is high: p(v) = exp(-F(v)) / Z.
Neal, "Annealed importance sampling", 2001; Salakhutdinov & Murray, "On the quantitative analysis of deep belief
networks", ICML 2008; the way down: Burda, Grosse & Salakhutdinov, "Accurate and conservative estimates of MRF
log-likelihood using reverse annealing", AISTATS 2015.
n chains of D visible and H hidden units:   v (n, D)   h (n, H)   W (D, H)   energy (n,)   log w (n,)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

from .. import noise
from ..errors import Usage


def bits(chances: Tensor) -> Tensor:
    """Bits (n, ...) as 0.0 and 1.0, each 1 with its chance; row i has noise of its own."""
    u = noise.uniform(*chances.shape).to(chances.device)
    # Into the uniforms' own memory, and not torch.bernoulli: on a CPU each of the two is worth a factor of two to four.
    return torch.lt(u, chances, out=u)


def fire(field: Tensor) -> Tensor:
    """Bits from their log-odds."""
    return bits(field.sigmoid())


@dataclass(frozen=True)
class Bipartite:
    """A restricted Boltzmann machine as a chain sees it: two layers of bits that hear only each other.

    >>> machine = Bipartite(torch.zeros(3, 2), torch.zeros(3), torch.zeros(2))
    >>> round(exact(machine).value / math.log(2), 4)        # 2^5 states of energy 0
    5.0
    """

    weight: Tensor  # W (D, H)
    visible: Tensor  # b (D,), or (n, D) where each chain has its own
    hidden: Tensor  # c (H,), or (n, H)

    def hidden_field(self, v: Tensor) -> Tensor:
        """c + v'W, the log-odds of the hidden units: (n, D) -> (n, H)."""
        return torch.addmm(self.hidden, v.to(self.weight.dtype), self.weight)

    def visible_field(self, h: Tensor) -> Tensor:
        """b + Wh, the log-odds of the visible units: (n, H) -> (n, D)."""
        return torch.addmm(self.visible, h.to(self.weight.dtype), self.weight.mT)

    def energy(self, v: Tensor) -> Tensor:
        """F(v), with the hidden units summed out: (n, D) -> (n,)."""
        return -(v.to(self.weight.dtype) * self.visible).sum(-1) - softplus(self.hidden_field(v)).sum(-1)

    def joint(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h): (n, D), (n, H) -> (n,)."""
        v, h = v.to(self.weight.dtype), h.to(self.weight.dtype)
        return -(v * self.visible).sum(-1) - (h * self.hidden).sum(-1) - ((v @ self.weight) * h).sum(-1)

    def up(self, v: Tensor) -> Tensor:
        return fire(self.hidden_field(v))

    def down(self, h: Tensor) -> Tensor:
        return fire(self.visible_field(h))

    def turned(self) -> Bipartite:
        """The same machine seen from its hidden side."""
        return Bipartite(self.weight.mT, self.hidden, self.visible)

    def tempered(self, beta: float, base: Tensor) -> Bipartite:
        """The machine on the way from independent units with log-odds `base` (beta = 0) to this one (beta = 1)."""
        return Bipartite(beta * self.weight, base + beta * (self.visible - base), beta * self.hidden)


# --- kernels --------------------------------------------------------------------------------------------------------


class Kernel(Protocol):
    """One transition that leaves a target's density as it is: x (n, ...) -> x (n, ...)."""

    def step(self, x: Tensor, target: Blocks) -> Tensor: ...


class Blocks(Protocol):
    """What block Gibbs asks of a target: draw one layer given the other."""

    def up(self, v: Tensor) -> Tensor: ...

    def down(self, h: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class BlockGibbs:
    """`sweeps` times v -> h -> v. Where `known` is true x stays, so that the chain draws from p(x | what is known)."""

    sweeps: int = 1
    known: Tensor | None = None  # (n, D) or (D,) of bool

    @torch.no_grad()
    def step(self, x: Tensor, target: Blocks) -> Tensor:
        for _ in range(self.sweeps):
            drawn = target.down(target.up(x))
            x = drawn if self.known is None else torch.where(self.known, x.to(drawn.dtype), drawn)
        return x


def walk(x: Tensor, target: Blocks, kernel: Kernel, steps: int, every: int = 0) -> Tensor:
    """The state after `steps` steps (n, ...); with `every`, the first and each so many-th (1 + steps // every, n, ...)."""
    seen = [x]
    for t in range(1, steps + 1):
        x = kernel.step(x, target)
        if every and t % every == 0:
            seen.append(x.to(seen[0].dtype))
    return torch.stack(seen) if every else x


def in_blocks(n: int, draw: Callable[[slice], Tensor], device: torch.device | str = "cpu") -> Tensor:
    """n rows of `draw(rows)`, asked for in blocks of one size, so that a row's bits do not depend on n.

    A matrix product of 3 rows rounds otherwise than one of 100, and a chain that once fires otherwise never comes back.
    So the last block is drawn whole and cut: `draw` is asked for rows past n.
    """
    size = 64 if torch.device(device).type == "cpu" else 1024
    outer, parts = noise.current(), []
    for first in range(0, max(n, 1), size):
        with noise.stream(outer.seed, outer.step, outer.start + first, outer.device, outer.dtype) as inner:
            inner.call = outer.call
            parts.append(draw(slice(first, first + size)))
    outer.call = inner.call
    return torch.cat(parts)[:n]


# --- the partition function -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogZ:
    """log Z and how far to trust it: `low` and `high` enclose it, by three standard errors for "ais"."""

    value: float
    stderr: float
    kind: str  # "exact" or "ais"
    low: float
    high: float
    effective: float = math.inf  # chains' worth of independent, equal weights; far below their number means: more steps


def states(first: int, last: int, units: int, like: Tensor) -> Tensor:
    """The states number first .. last-1 of `units` bits, (last - first, units), unit 0 being the lowest bit."""
    codes = torch.arange(first, last, device=like.device)
    return (codes[:, None] >> torch.arange(units, device=like.device) & 1).to(like.dtype)


def enumerated(machine: Bipartite, most: int = 20) -> Tensor:
    """log Z as a scalar, by all states of the smaller side; differentiable (which keeps every chunk in memory).

    The 2^units terms are summed in chunks that share their higher bits: a chunk costs one addition and no product.
    """
    if machine.weight.shape[0] < machine.weight.shape[1]:
        machine = machine.turned()
    units = machine.weight.shape[1]
    if units > most:
        raise Usage(
            f"log Z by enumeration of 2^{units} states; at most {most} units are enumerated. "
            f"Allow more (most={units}; every unit doubles the time), or estimate it with chains.ais."
        )
    low = min(units, max(0, 18 - machine.weight.shape[0].bit_length()))  # a chunk of a megabyte stays in the cache
    inner = states(0, 1 << low, units, machine.weight)
    inner_field, inner_bias = machine.visible_field(inner), inner @ machine.hidden
    terms = []
    for outer in states(0, 1 << (units - low), units - low, machine.weight):
        field = inner_field + machine.weight[:, low:] @ outer
        total = softplus(field).sum(-1, dtype=torch.float64) + inner_bias
        terms.append(torch.logsumexp(total, 0) + outer @ machine.hidden[low:])
    return torch.logsumexp(torch.stack(terms), 0)


@torch.no_grad()
def exact(machine: Bipartite, most: int = 20) -> LogZ:
    """log Z by enumeration of the smaller side."""
    value = enumerated(machine, most).item()
    return LogZ(value, 0.0, "exact", value, value)


class Path(Protocol):
    """A way from a density with known Z_0 (beta = 0) to the target (beta = 1)."""

    log_start: float  # log Z_0

    def start(self, n: int) -> Tensor:
        """n exact draws at beta = 0."""

    def advance(self, x: Tensor, before: float, after: float) -> tuple[Tensor, Tensor]:
        """log f_after(x) - log f_before(x) (n,), and the next state, by a kernel that keeps f_after."""


class BaseRates:
    """The geometric path from independent units with log-odds b0 (the machine's own b unless given) to the machine.

    The product v'W is formed once a step, for the weight and for the draw of h.
    """

    def __init__(self, machine: Bipartite, base: Tensor | None = None):
        self.machine = machine
        self.base = machine.visible if base is None else base.to(machine.visible)
        self.shift = machine.visible - self.base
        self.log_start = softplus(self.base.double()).sum().item() + machine.weight.shape[1] * math.log(2)

    def start(self, n: int) -> Tensor:
        return fire(self.base.expand(n, -1))

    def advance(self, x: Tensor, before: float, after: float) -> tuple[Tensor, Tensor]:
        x = x.to(self.base.dtype)
        field = self.machine.hidden_field(x)
        # Differences first, float64 sums after: thousands of steps must not add up float32 rounding.
        gain = (softplus(after * field) - softplus(before * field)).sum(-1, dtype=torch.float64)
        gain += (after - before) * (x @ self.shift).double()
        h = fire(after * field).to(x.dtype)
        drawn = fire(torch.addmm(self.base + after * self.shift, h, self.machine.weight.mT, alpha=after))
        return gain, drawn


def ladder(steps: int) -> list[float]:
    """steps + 1 temperatures from 0 to 1: a quarter of the steps below .5, two fifths above .9.

    Between an even ladder, which serves small machines best, and that of Salakhutdinov & Murray (500 : 4000 : 10000
    steps below .5, .9, 1), which serves large ones.
    """
    knots, shares = (0.0, 0.5, 0.9, 1.0), (0.0, 0.25, 0.6, 1.0)
    betas = []
    for k in range(steps):
        i = max(j for j in range(3) if k / steps >= shares[j])
        betas.append(knots[i] + (knots[i + 1] - knots[i]) * (k / steps - shares[i]) / (shares[i + 1] - shares[i]))
    return [*betas, 1.0]


def pairs(betas: Sequence[float]) -> Iterator[tuple[float, float]]:
    return zip(betas[:-1], betas[1:], strict=True)


@torch.no_grad()
def anneal(path: Path, x: Tensor, betas: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Carry x along the temperatures `betas`, up or down: the last states (n, ...) and log w (n,)."""
    log_w = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for before, after in pairs(betas):
        gain, x = path.advance(x, before, after)
        log_w += gain
    return x, log_w


def mean_weight(log_w: Tensor) -> tuple[float, float, float]:
    """log of the mean of w, its standard error (delta method), and the effective number of weights."""
    n = len(log_w)
    value = torch.logsumexp(log_w, 0) - math.log(n)
    w = (log_w - value).exp()  # mean 1
    spread = w.std().item() if n > 1 else math.inf
    return value.item(), spread / math.sqrt(n), (w.sum() ** 2 / (w * w).sum()).item()


def resample(x: Tensor, log_w: Tensor) -> Tensor:
    """As many rows of x, each kept in proportion to its weight (systematic resampling: one random number)."""
    n = len(x)
    at = (torch.arange(n, device=x.device) + noise.uniform(1).to(x.device).double()) / n
    return x[torch.searchsorted(log_w.softmax(0).cumsum(0), at).clamp(max=n - 1)]


@torch.no_grad()
def ais(path: Path, chains: int = 256, steps: int = 1000, samples: Tensor | None = None) -> LogZ:
    """log Z by annealed importance sampling up the path, enclosed from above by the way down.

    Up, log mean w falls short of log Z on average; down from draws of the target, -log mean w exceeds it. `samples` are
    such draws; without them the weighted ends of the way up serve, after a tenth as many steps at beta = 1. They share
    what the way up has not found: a mode that all chains miss is missing in both.
    """
    betas = ladder(steps)
    ends, log_w = anneal(path, path.start(chains), betas)
    up, error_up, effective = mean_weight(log_w)
    if samples is None:
        samples, _ = anneal(path, resample(ends, log_w), [1.0] * (2 + steps // 10))
    _, log_w = anneal(path, samples, betas[::-1])
    down, error_down, _ = mean_weight(log_w)
    up, down = path.log_start + up, path.log_start - down
    low = min(up - 3 * error_up, down - 3 * error_down)
    return LogZ(up, error_up, "ais", low, max(up + 3 * error_up, down + 3 * error_down), effective)
