"""Every variable in cells: a code is a cell of its own, numbers come in k bins of equal width, a missing number has a cell after the last.

    x -> cell numbers -> x uniform in its cell,      p(x) = P(cell) / volume

Edges are those of numpy.histogramdd: from the least to the largest value, the last bin closed, a constant in the middle of a bin of width 1.
Bins of whole numbers hold whole steps: their volume is a count.
N rows of D variables, M of them numbers:   x (N, D)   cells (N, D) whole numbers, -1 outside   edges (M, k + 1)   u uniform (N, D)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .supports import Grid


class Bins(nn.Module):
    """The cells of a space.

    >>> from pushforward.space import Space
    >>> bins = Bins(Space("real", (1,)), 2).lay([torch.tensor([[0.0], [4.0]], dtype=torch.float64)])
    >>> bins.edges.tolist(), bins.cells(torch.tensor([[1.0], [4.0], [5.0]])).tolist()
    ([[0.0, 2.0, 4.0]], [[0], [1], [-1]])
    """

    edges: Tensor  # infinite after the last
    gone: Tensor  # (M,) whether missing numbers were seen

    def __init__(self, space: Any, bins: int):
        super().__init__()
        self.bins, self.codes = bins, codes_of(space)
        self.numbers = [j for j, size in enumerate(self.codes) if size <= 0]
        self.whole = [self.codes[j] < 0 for j in self.numbers]
        self.gaps = tuple(c.missing and c.discrete for c in space.columns) or (False,) * len(self.codes)
        self.register_buffer("edges", torch.full((len(self.numbers), bins + 1), torch.inf))
        self.register_buffer("gone", torch.zeros(len(self.numbers), dtype=torch.bool))

    def lay(self, lots: Iterable[Tensor]) -> Bins:
        """Edges from the range of the numbers: one pass, and none where there are no numbers."""
        if self.numbers:
            low, high = torch.full_like(self.edges[:, 0], torch.inf), torch.full_like(self.edges[:, 0], -torch.inf)
            self.gone.zero_()
            for x in lots:
                x = x[:, self.numbers].to(low)
                self.gone |= torch.isnan(x).any(0)
                low = torch.minimum(low, x.nan_to_num(torch.inf).amin(0))
                high = torch.maximum(high, x.nan_to_num(-torch.inf).amax(0))
            for m, whole in enumerate(self.whole):
                found = torch.from_numpy(grid(float(low[m]), float(high[m]), self.bins, whole)).to(low)
                self.edges[m, : len(found)], self.edges[m, len(found) :] = found, torch.inf
        return self

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of cells of each variable."""
        used, gone = (torch.isfinite(self.edges).sum(1) - 1).tolist(), self.gone.tolist()
        found = iter([count + gap for count, gap in zip(used, gone, strict=True)])
        return tuple(size if size > 0 else next(found) for size in self.codes)

    @property
    def missing(self) -> tuple[bool, ...]:
        """Whether the last cell of each variable is that of the missing."""
        gone = iter(self.gone.tolist())
        return tuple(gap if size > 0 else next(gone) for size, gap in zip(self.codes, self.gaps, strict=True))

    @property
    def grid(self) -> Grid:
        """All rows of cells."""
        return Grid(self.sizes, self.missing)

    def cells(self, x: Tensor) -> Tensor:
        out = x.nan_to_num(-1.0).long() if x.is_floating_point() else x.long()
        if self.numbers:
            value = x[:, self.numbers].to(self.edges).T.contiguous()
            used = torch.isfinite(self.edges).sum(1)
            found = torch.searchsorted(self.edges, value.nan_to_num(0.0), right=True) - 1
            last = self.edges.gather(1, used[:, None] - 1)
            closed = ~torch.tensor(self.whole, device=x.device)[:, None]
            found = found - ((value == last) & closed).long()
            found = torch.where((found < 0) | (found >= used[:, None] - 1), -1, found)
            lost = torch.where(self.gone, used - 1, -1)[:, None]
            out[:, self.numbers] = torch.where(torch.isnan(value), lost, found).T
        return out

    def log_volumes(self, cells: Tensor) -> Tensor:
        """log of the product of the widths of each row's cells; that of a code, or of what is missing, is 1."""
        if not self.numbers:
            return torch.zeros(len(cells), dtype=self.edges.dtype, device=cells.device)
        low, high, gone = self.ends(cells)
        return torch.where(gone, 1.0, high - low).log().sum(0)

    def values(self, cells: Tensor, u: Tensor) -> Tensor:
        """Rows uniform in their cells."""
        out = cells.to(self.edges.dtype)
        if self.numbers:
            low, high, gone = self.ends(cells)
            share = u[:, self.numbers].to(low).T
            whole = torch.tensor(self.whole, device=low.device)[:, None]
            # Whole numbers of a bin are equally likely: low is half a step below the first of them.
            step = torch.where(whole, 0.5 + (share * (high - low)).floor(), share * (high - low))
            out[:, self.numbers] = torch.where(gone, torch.nan, low + step).T
        return out

    def ends(self, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Both edges of the numbers' cells, and where a number is missing: (M, N) each."""
        at, used = cells[:, self.numbers].T.clamp(min=0), torch.isfinite(self.edges).sum(1, keepdim=True)
        gone = at >= used - 1
        at = torch.where(gone, 0, at)
        return self.edges.gather(1, at), self.edges.gather(1, at + 1), gone


def codes_of(space: Any) -> tuple[int, ...]:
    """Codes of each variable; -1 for whole numbers on a lattice, 0 for a number."""
    if space.kind == "table":
        return tuple(c.size if c.discrete else -1 if c.step else 0 for c in space.columns)
    return ({"real": 0, "binary": 2}.get(space.kind, space.levels),) * space.size


def grid(low: float, high: float, bins: int, whole: bool) -> np.ndarray:
    """The edges of one variable's bins."""
    if low > high:  # every cell is missing
        return np.zeros(1)
    if whole:
        step = -(-(high - low + 1) // bins)
        return np.minimum(np.arange(low, high + step + 0.5, step), high + 1) - 0.5
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)
