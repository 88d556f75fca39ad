"""Rows of which the rare values come more often than they are: training by sampling.

    a column j at random,   a value v of it with probability ~ log(1 + n_jv),   a row at random among the n_jv that have it
    P(row) = 1/J sum_j q_j(v) / n_jv      so, of a row that has come, column j was the one with probability ~ q_j(v) / n_jv

Xu et al., "Modeling tabular data using conditional GAN", NeurIPS 2019, section 4.3. The rows are sorted by the value of each column once;
then a whole epoch is a few operations on arrays.

N rows with J discrete columns of at most K values:   rows, N row numbers for each (J, N)   counts, rise (J, K)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..noise import mix
from .examples import Examples

SAMPLING = 3  # a use of the seed that is not that of the order of plain examples
LOT = 1 << 16  # rows that are looked at at a time


class Balanced(Examples):
    """Examples whose epochs are drawn by the values of the discrete columns. Without such a column they are as they were.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"kind": ["often"] * 990 + ["seldom"] * 10, "x": [row / 7 for row in range(1000)]})
    >>> rows = Balanced.of_all(Examples(table)).order(seed=0, epoch=0)
    >>> 0.2 < float((rows >= 990).double().mean()) < 0.3        # log 11 / (log 991 + log 11)
    True
    """

    index: tuple[Tensor, Tensor] | None = None  # the rows by value, and how many have each
    columns: tuple[int, ...] = ()

    @classmethod
    def of_all(cls, examples: Examples) -> Balanced:
        """The same examples in another order."""
        out = cls(examples.store, space=examples.space, given_space=examples.given_space, name=examples.name)
        out.columns = tuple(j for j, c in enumerate(examples.space.columns) if c.discrete)
        return out

    def of(self, store: Any) -> Any:
        out: Any = super().of(store)
        out.index = None
        return out

    def sorted(self) -> tuple[Tensor, Tensor]:
        """The row numbers by the value of each column (J, N), and counts (J, K)."""
        if self.index is None:
            codes = torch.cat(
                [self.take(slice(at, at + LOT))[0][:, list(self.columns)].T.int() for at in range(0, len(self), LOT)], 1
            )
            most = max(self.space.columns[j].size for j in self.columns)
            self.index = codes.argsort(dim=1, stable=True), counted(codes, most)
        return self.index

    def order(self, seed: int, epoch: int) -> Tensor:
        if not self.columns:
            return super().order(seed, epoch)
        rows, counts = self.sorted()
        draw, n = torch.Generator().manual_seed(mix(seed, epoch, SAMPLING)), len(self)
        column = torch.randint(len(rows), (n,), generator=draw)
        u = torch.rand(n, 2, generator=draw, dtype=torch.float64)
        rise = chances(counts).cumsum(1)
        starts = counts.cumsum(1) - counts
        flat = (
            rise / rise[:, -1:] + torch.arange(len(rise))[:, None]
        ).flatten()  # each column has an interval of length 1
        value = (torch.searchsorted(flat, u[:, 0] + column, right=True) - column * counts.shape[1]).clamp(
            0, counts.shape[1] - 1
        )
        size = counts[column, value]
        return rows[column, starts[column, value] + (u[:, 1] * size).long().clamp(max=size - 1)]


def counted(codes: Tensor, size: int) -> Tensor:
    """How often each code came: (J, N) -> (J, size)."""
    found = [torch.bincount(code.long(), minlength=size) for code in codes]
    return torch.stack(found) if found else torch.zeros(0, size, dtype=torch.long, device=codes.device)


def chances(counts: Tensor) -> Tensor:
    """q: the logarithm of how often each value came, as shares (J, K)."""
    weight = torch.log1p(counts.double())
    return weight / weight.sum(1, keepdim=True)
