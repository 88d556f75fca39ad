"""Exact sums and exact draws from a product of tables, one variable after another.     p(x) = 1/Z prod_f T_f(x_f)

Elimination of v: the tables that hold v are multiplied to one, M_v, and v is summed out of it. What is left when no variable is, is Z.
Backwards, each v is drawn from M_v at the values of the others of M_v, which by then have all been drawn.
The next v is the one whose M_v is smallest; a tree is eliminated leaf by leaf, and its M_v hold two variables.

Zhang & Poole, "A simple approach to Bayesian network computations", 1994; Dechter, "Bucket elimination", Artif. Intell. 1999.
N rows, each with tables of its own (or 1: the same for all):   a table of variables a < b < …   (N, r_a, r_b, …)   codes (N, D)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from ..errors import Unable
from .gaussians import pick

MOST = 1 << 24  # numbers of the largest M_v of one row


@dataclass
class Table:
    """A factor: its variables in increasing order, and its values.

    >>> one = Table.of([1, 0], torch.tensor([[1.0, 2.0], [3.0, 4.0]]))       # T(x_1, x_0)
    >>> one.variables, one.values[0].tolist(), one.at(torch.tensor([[0, 1]]), [True, False]).values.tolist()
    ((0, 1), [[1.0, 3.0], [2.0, 4.0]], [[1.0, 3.0]])
    """

    variables: tuple[int, ...]
    values: Tensor

    @classmethod
    def of(cls, variables: Sequence[int], values: Tensor) -> Table:
        """One table for all rows, its axes in the order of `variables`."""
        order = sorted(range(len(variables)), key=lambda a: variables[a])
        return cls(tuple(variables[a] for a in order), values.permute(order)[None])

    def at(self, codes: Tensor, known: Sequence[bool]) -> Table:
        """The table of the variables that are not known, with the known ones set to each row's codes."""
        seen = [a for a, v in enumerate(self.variables) if known[v]]
        rest = [a for a, v in enumerate(self.variables) if not known[v]]
        if not seen:
            return self
        sizes = self.values.shape[1:]
        flat = self.values[0].permute(*seen, *rest).reshape(-1, *(sizes[a] for a in rest))
        index = place(codes, [self.variables[a] for a in seen], [sizes[a] for a in seen])
        return Table(tuple(self.variables[a] for a in rest), flat[index])


def place(codes: Tensor, variables: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Where each row stands in a flat table of these variables, the last of them running fastest."""
    at = torch.zeros_like(codes[:, 0])
    for v, size in zip(variables, sizes, strict=True):
        at = at * size + codes[:, v]
    return at


def plan(scopes: Collection[Sequence[int]], unknown: Collection[int], sizes: Sequence[int]) -> tuple[list[int], int]:
    """The order of elimination, and how many numbers the largest M_v holds.

    >>> plan([(0, 1), (1, 2), (2, 3)], range(4), (2, 2, 2, 2))
    ([0, 1, 2, 3], 4)
    """
    left, order, largest = set(unknown), [], 1
    near = {v: {v} for v in sorted(left)}  # the variables of M_v
    for scope in scopes:
        group = left.intersection(scope)
        for v in group:
            near[v] |= group
    costs = {v: prod(sizes[u] for u in group) for v, group in near.items()}
    while costs:
        v = min(costs, key=lambda u: costs[u])
        group = near.pop(v) - {v}
        largest = max(largest, costs.pop(v))
        for u in group:
            near[u] = (near[u] | group) - {v}
            costs[u] = prod(sizes[w] for w in near[u])
        order.append(v)
    if largest > MOST:
        raise Unable(
            f"These gaps make so many variables depend on each other that a table of {largest:,} numbers is needed; {MOST:,} are the most. "
            "Fill fewer at a time, or take a net with fewer parents, such as a tree."
        )
    return order, largest


def product(tables: Sequence[Table], sizes: Sequence[int]) -> Table:
    """One table of all their variables."""
    variables = tuple(sorted(set().union(*(t.variables for t in tables))))
    shapes = [[sizes[v] if v in t.variables else 1 for v in variables] for t in tables]
    out = tables[0].values.reshape(-1, *shapes[0])
    for t, shape in zip(tables[1:], shapes[1:], strict=True):
        out = out * t.values.reshape(-1, *shape)
    return Table(variables, out)


def eliminate(
    tables: list[Table], order: Sequence[int], sizes: Sequence[int]
) -> tuple[list[tuple[int, Table]], Tensor]:
    """Each variable of the order with its M_v, and log Z of each row."""
    steps = []
    nats = tables[0].values.new_zeros(1)
    for v in order:
        whole = product([t for t in tables if v in t.variables], sizes)
        summed = whole.values.sum(whole.variables.index(v) + 1)
        top = summed.flatten(1).amax(1) if summed.ndim > 1 else summed
        nats = nats + top.log()  # what is taken off keeps products of many tables in range
        scaled = summed / torch.where(top > 0, top, 1.0).view(-1, *(1,) * (summed.ndim - 1))
        tables = [t for t in tables if v not in t.variables]
        tables.append(Table(tuple(u for u in whole.variables if u != v), scaled))
        steps.append((v, whole))
    for t in tables:
        nats = nats + t.values.log()
    return steps, nats


def backwards(steps: list[tuple[int, Table]], codes: Tensor, u: Tensor) -> Tensor:
    """codes with the eliminated variables drawn, by a uniform each: u (N, D)."""
    codes = codes.clone()
    for v, whole in reversed(steps):
        values = whole.values.movedim(whole.variables.index(v) + 1, -1)
        at = place(codes, [w for w in whole.variables if w != v], values.shape[1:-1])
        if len(values) > 1:
            at = at + torch.arange(len(codes), device=codes.device) * prod(values.shape[1:-1])
        codes[:, v] = pick(values.flatten(0, -2)[at], u[:, v])
    return codes
