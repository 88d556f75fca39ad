"""Distinct rows and how often each was seen: tables as long as the data, not as the space.

    key(x) = sum_d m(m(b_d) r_d)  mod 2^64,   b_d the bits of x_d,   m(v) = v xor (v >> 32),   r_d odd and as good as random

Rows are looked up by key and then compared, so nothing is approximate: what a key does is to make one comparison do for a row of any width.

    p(x) = s (c(x) - r + e),  x seen c(x) times,      p(x) = s e,  x not seen but in the support of K rows,      s = 1 / (n - C r + K e)
    Laplace: r = 0, e = a.      Good-Turing: r = e, with s e (K - C) = N_1 / n, the mass that the unseen is due.
    p(x_u | x_o) is proportional to the same numbers, over the rows that agree with x_o.

Good, "The population frequencies of species and the estimation of population parameters", Biometrika 1953.
N rows of D variables, C seen:   x (N, D)   rows (C, D)   counts, keys, place (C,)   known (N, D), o (D,)   u uniform (N,)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import exp, inf, log1p
from typing import Any

import torch
from torch import Tensor, nn

from ..noise import current, mix
from .gaussians import patterns

BLOCK = 1 << 20  # numbers whose keys are made at a time


class Seen(nn.Module):
    """Distinct rows in the order of their first appearance, and how often each came.

    >>> seen = Seen(2).gather([torch.tensor([[3, 1], [2, 2]]), torch.tensor([[3, 1]])])
    >>> seen.rows.tolist(), seen.counts.tolist(), seen.find(torch.tensor([[2, 2], [1, 3]])).tolist()
    ([[3, 1], [2, 2]], [2, 1], [1, -1])
    """

    rows: Tensor
    counts: Tensor
    keys: Tensor  # sorted
    place: Tensor  # the number of the row of each key

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("rows", torch.zeros(0, width))
        for name in ("counts", "keys", "place"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.long))

    def gather(self, lots: Iterable[Tensor]) -> Seen:
        """Count the rows of all lots. Lots are put together whenever they have doubled what there is."""
        parts: list[tuple[Tensor, Tensor]] = []
        settled = 0
        for lot in lots:
            parts.append(distinct(lot))
            if sum(len(rows) for rows, _ in parts) > 2 * settled:
                parts = [merged(parts)]
                settled = len(parts[0][0])
        rows, self.counts = merged(parts)
        self.rows = narrow(rows)
        self.keys, self.place = keys(rows).sort()
        return self

    def find(self, x: Tensor) -> Tensor:
        """The number of each row among those seen; -1 for one that is not."""
        at = torch.searchsorted(self.keys, keys(x)).clamp(max=len(self.keys) - 1)
        row = self.place[at]
        return torch.where((bits(self.rows[row]) == bits(x)).all(1), row, -1)

    def pick(self, weights: Tensor, u: Tensor) -> Tensor:
        """Rows in proportion to their weights (C,)."""
        steps = weights.cumsum(0)
        return torch.searchsorted(steps, below(u * steps[-1], steps[-1]), right=True)

    def agreeing(
        self, x: Tensor, known: Tensor, weights: Tensor, u: Tensor, gone: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """A row that agrees with what is known of each x, drawn in proportion to the weights, and the weight of all of them.

        `gone` (C, D) says which cells of the rows are missing: a row that lacks what is asked for does not count.
        """
        drawn, mass = torch.zeros_like(u, dtype=torch.long), torch.zeros_like(u)
        for asked, o in patterns(known):
            mine = weights if gone is None else weights * ~gone[:, ~o].any(1)
            key, order = keys(self.rows[:, o]).sort(stable=True)
            wanted = keys(x[asked][:, o])
            low, high = torch.searchsorted(key, wanted), torch.searchsorted(key, wanted, right=True)
            first = self.rows[order[low.clamp(max=len(order) - 1)]][:, o]
            high = torch.where((bits(first) == bits(x[asked][:, o])).all(1), high, low)
            steps = nn.functional.pad(mine[order].cumsum(0), (1, 0))
            mass[asked] = steps[high] - steps[low]
            level = below(steps[low] + u[asked] * mass[asked], steps[high])
            at = torch.searchsorted(steps[1:].contiguous(), level, right=True)
            drawn[asked] = order[at.clamp(max=len(order) - 1)]
        return drawn, mass


def missing(rows: Tensor, space: Any) -> Tensor | None:
    """(C, D) which cells of rows of a space are missing; None where none can be."""
    if space.kind != "table" or not any(c.missing for c in space.columns):
        return None
    last = [c.size - 1.0 if c.missing and c.discrete else inf for c in space.columns]
    return torch.isnan(rows) | (rows == torch.tensor(last, device=rows.device))


def first_row(rows: Tensor) -> int:
    """The number of the first of these rows (a mask), counted over all lots of what a door was asked."""
    return current().start + int(rows.nonzero()[0])


def below(x: Tensor, limit: Tensor) -> Tensor:
    """A number that rounding has brought up to its limit goes back under it, so that no row of weight 0 is drawn."""
    return torch.minimum(x, torch.nextafter(limit, torch.full_like(limit, -inf)))


def bits(x: Tensor) -> Tensor:
    """Numbers as whole numbers that are equal where they are: one zero, one NaN."""
    x = x.double()
    return torch.where(torch.isnan(x), torch.nan, x + 0.0).view(torch.int64)


def keys(x: Tensor) -> Tensor:
    """(N, D) -> (N,) one whole number a row."""
    factors = multipliers(x.shape[1]).to(x.device)
    parts = [fold(fold(bits(part)) * factors).sum(1) for part in x.split(max(1, BLOCK // max(1, x.shape[1])))]
    return torch.cat(parts) if parts else x.new_zeros(0, dtype=torch.long)


@cache
def multipliers(count: int) -> Tensor:
    return torch.tensor([mix(d, 1) | 1 for d in range(count)], dtype=torch.long)


def fold(v: Tensor) -> Tensor:
    """The upper half of the bits comes to bear on the lower half."""
    return v ^ ((v >> 32) & 0xFFFFFFFF)


def distinct(rows: Tensor, counts: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Each row once, in the order of first appearance, and its count: (N, D) -> (C, D), (C,)."""
    if counts is None:
        counts = torch.ones(len(rows), dtype=torch.long, device=rows.device)
    found, group = torch.unique(keys(rows), return_inverse=True)
    number = torch.arange(len(rows), device=rows.device)
    first = torch.full_like(found, len(rows)).scatter_reduce(0, group, number, "amin")
    if not torch.equal(bits(rows[first])[group], bits(rows)):
        raise ArithmeticError("Two different rows have one key of 64 bits, which has a chance of 2^-64 a pair.")
    order = first.argsort()
    return rows[first[order]], torch.zeros_like(found).index_add(0, group, counts)[order]


def merged(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    if len(parts) == 1:
        return parts[0]
    return distinct(*(torch.cat(both) for both in zip(*parts, strict=True)))


def narrow(rows: Tensor) -> Tensor:
    """The smallest type that holds the same numbers."""
    if not rows.numel() or bool((rows != rows.round()).any()):  # NaN is not NaN, so a row with a gap stays as it is
        return rows
    low, high = float(rows.min()), float(rows.max())
    for kind in (torch.uint8, torch.int16, torch.int32):
        if torch.iinfo(kind).min <= low and high <= torch.iinfo(kind).max:
            return rows.to(kind)
    return rows


def log_sum(a: float, b: float) -> float:
    """log(exp a + exp b)"""
    return max(a, b) + log1p(exp(-abs(a - b)))
