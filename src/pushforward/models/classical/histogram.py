"""The histogram as a density: p(x) = mass of the cell of x / volume of the cell.

Lectures 001 and 004. With c_i of n examples in cell i of K cells and a pseudo-count a:   mass_i = (c_i + a) / (n + a K).
Only cells that were hit are stored, so many columns do not need k^D numbers. A code is a cell of its own (volume 1).

N examples, D variables, C cells that were hit:   x (N, D)   edges (D, k+1)   cells (C, D)   counts (C,)
"""

from __future__ import annotations

from math import log
from typing import ClassVar

import torch
from torch import Tensor

from ...noise import uniform
from .family import Classical


class Histogram(Classical):
    """Counts in equal bins: the simplest model that can be sampled and evaluated exactly.

    >>> import numpy as np
    >>> model = Histogram(bins=4).fit(np.array([[0.0], [1.0], [1.0], [4.0]]))
    >>> model.log_prob(np.array([[1.0], [9.0]])).round(4).tolist()
    [-0.6931, -inf]
    """

    bins: int = 20  # k, of each number
    smooth: float = 0.0  # a, examples added to every cell, seen or not

    coordinates: ClassVar[str] = "codes"
    why_not: ClassVar[dict[str, str]] = {
        "encode": "a cell is not a latent code.",
        "decode": "a cell is not a latent code.",
        "bound": "its log_prob is exact.",
    }

    def build(self, space, given=None):
        self.columns_ = kinds(space)
        d = len(self.columns_)
        for name, shape in (
            ("edges", (d, max(self.bins, *self.columns_) + 1)),
            ("whole", (d,)),
            ("used", (d,)),
            ("total", ()),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("cells", torch.zeros(0, d, dtype=torch.long))
        self.register_buffer("counts", torch.zeros(0, dtype=torch.long))

    def solve(self, x, given=None):
        x = x.flatten(1).double()
        for j, size in enumerate(self.columns_):
            edges, whole = grid(x[:, j], size, self.bins)
            self.edges[j, : len(edges)], self.edges[j, len(edges) :] = edges, torch.inf
            self.whole[j], self.used[j] = whole, len(edges) - 1
        cells, counts = torch.unique(self.cell(x), dim=0, return_counts=True)
        self.cells, self.counts, self.total = cells, counts, torch.tensor(float(len(x)), dtype=torch.float64)

    def cell(self, x: Tensor) -> Tensor:
        """(N, D) -> the number of the bin of each value; -1 outside, one past the last bin where missing."""
        columns = x.T.contiguous()
        found = torch.searchsorted(self.edges, torch.nan_to_num(columns), right=True).T - 1
        last = torch.where(self.whole > 0, torch.nan, self.edges.gather(1, self.used.long()[:, None])[:, 0])
        found = found - (x == last).long()  # the last bin of a number is closed, as everywhere
        found = torch.where((found >= self.used) | (found < 0), -1, found)
        return torch.where(torch.isnan(x), self.used.long(), found)

    def volumes(self, cells: Tensor) -> Tensor:
        """log volume of each cell: the product of its bins' widths; the bin of the missing has width 1."""
        gone = cells >= self.used
        at = torch.where(gone, 0, cells).T
        widths = self.edges.gather(1, at + 1) - self.edges.gather(1, at)
        return torch.where(gone.T, 1.0, widths).log().sum(0)

    def _log_prob(self, x, given=None):
        cells = self.cell(x.flatten(1).double())
        inside = (cells >= 0).all(1)
        both, index = torch.unique(torch.cat([self.cells, cells]), dim=0, return_inverse=True)
        counts = torch.zeros(len(both), dtype=torch.float64, device=x.device)
        counts[index[: len(self.cells)]] = self.counts.double()
        log_total = log(float(self.total)) if not self.smooth else self.log_total()
        log_mass = (counts[index[len(self.cells) :]] + self.smooth).log() - log_total
        return torch.where(inside, log_mass - self.volumes(cells.clamp(min=0)), -torch.inf)

    def log_total(self) -> float:
        """log(n + a K), with the K of many columns kept in logarithms."""
        all_cells = log(self.smooth) + float((self.used + self.missing).log().sum())
        return float(torch.logaddexp(self.total.log(), torch.tensor(all_cells, dtype=torch.float64)))

    @property
    def missing(self) -> Tensor:
        """1 for a column whose missing cells were counted."""
        return (self.cells == self.used).any(0).double()

    def _sample(self, n, given=None):
        u = uniform(n, 2 + 2 * len(self.columns_)).double()
        cumulated = self.counts.cumsum(0).double() / self.total
        cells = self.cells[
            torch.searchsorted(cumulated, u[:, 0].contiguous(), right=True).clamp(max=len(self.cells) - 1)
        ]
        if self.smooth:
            anywhere = (u[:, 2 : 2 + len(self.columns_)] * (self.used + self.missing)).long()
            fresh = u[:, 1] >= (self.total.log() - self.log_total()).exp()
            cells = torch.where(fresh[:, None], anywhere, cells)
        gone = cells >= self.used
        at = torch.where(gone, 0, cells).T
        low, high, share = self.edges.gather(1, at), self.edges.gather(1, at + 1), u[:, 2 + len(self.columns_) :].T
        # Whole numbers of a bin are equally likely: low is half a step below the first of them.
        values = torch.where(
            self.whole[:, None] > 0, low + 0.5 + (share * (high - low)).floor(), low + share * (high - low)
        )
        return torch.where(gone, torch.nan, values.T)


def kinds(space) -> tuple[int, ...]:
    """Codes of each variable; -1 for whole numbers on a lattice, 0 for a number."""
    if space.kind == "table":
        return tuple(c.size if c.discrete else -1 if c.step else 0 for c in space.columns)
    return ({"real": 0, "binary": 2}.get(space.kind, space.levels),) * space.size


def grid(x: Tensor, size: int, bins: int) -> tuple[Tensor, int]:
    """The edges of one variable's bins, and whether they hold whole numbers."""
    if size > 0:
        return torch.arange(size + 1, dtype=torch.float64) - 0.5, 1
    known = x[~torch.isnan(x)]
    low, high = float(known.min()), float(known.max())
    if size < 0:
        step = -(-(high - low + 1) // bins)
        return torch.arange(low, high + step + 0.5, step, dtype=torch.float64).clamp(max=high + 1) - 0.5, 1
    if low == high:
        low, high = low - 0.5, high + 0.5
    return torch.linspace(low, high, bins + 1, dtype=torch.float64), 0
