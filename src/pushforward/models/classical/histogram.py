"""The histogram as a density: p(x) = mass of the cell of x / volume of the cell.

Lectures 001 and 004. With c_i of n examples in cell i of K cells and a pseudo-count a:   mass_i = (c_i + a) / (n + a K).
    p(x_u | x_o):  the cells that agree with x_o, in proportion to their masses, and uniform inside
Only cells that were hit are stored, so many columns do not need k^D numbers. A code is a cell of its own (volume 1).

N examples of D variables, C cells that were hit:   x (N, D)   bins.edges (D, k+1)   seen.rows (C, D)   seen.counts (C,)
"""

from __future__ import annotations

from math import inf, log
from typing import ClassVar

import torch

from ...errors import BadData, Usage
from ...maths.bins import Bins
from ...maths.tables import Seen, first_row, log_sum
from ...noise import uniform
from .family import Classical


class Histogram(Classical):
    """Counts in equal bins: the simplest model that can be sampled and evaluated exactly.

    >>> import numpy as np
    >>> model = Histogram(bins=4).fit(np.array([[0.0], [1.0], [1.0], [4.0]]))
    >>> model.log_prob(np.array([[1.0], [9.0]])).round(4).tolist(), model.parameters_
    ([-0.6931, -inf], 3)
    """

    bins: int = 20  # k, of each number
    smooth: float = 0.0  # a, examples added to every cell, seen or not

    coordinates: ClassVar[str] = "codes"
    gaps: ClassVar[bool] = True
    why_not: ClassVar[dict[str, str]] = {
        "encode": "a cell is not a latent code.",
        "decode": "a cell is not a latent code.",
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        if self.bins < 1 or self.smooth < 0:
            raise Usage(f"Histogram(bins={self.bins}, smooth={self.smooth}): at least 1 bin and 0 or more are awaited.")
        self.cut, self.seen = Bins(space, self.bins), Seen(space.size)

    def solve(self, x, given=None):
        self.absorb([(x, given)])

    def absorb(self, lots):
        self.cut.lay(x.flatten(1) for x, _ in lots)
        self.seen.gather(self.cut.cells(x.flatten(1)) for x, _ in lots)

    @property
    def parameters_(self) -> int:
        """K - 1, the masses that are free: exact, however many digits it has. Only cells that were hit are stored."""
        return self.cut.grid.size - 1

    @property
    def log_total(self) -> float:
        """log(n + a K)"""
        n = log(int(self.seen.counts.sum()))
        return log_sum(n, log(self.smooth) + log(self.cut.grid.size)) if self.smooth else n

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        cells = self.cut.cells(x.flatten(1))
        row = self.seen.find(cells)
        counts = torch.where(row < 0, 0.0, self.seen.counts.to(self.dtype)[row])
        nats = (counts + self.smooth).log() - self.log_total - self.cut.log_volumes(cells)
        return torch.where((cells >= 0).all(1), nats, -inf)

    def _sample(self, n, given=None):
        d = len(self.cut.codes)
        u = uniform(n, 2 + 2 * d).to(self.device).double()
        cells = self.seen.rows[self.seen.pick(self.seen.counts.double(), u[:, 0])].long()
        if self.smooth:
            fresh = u[:, 1].log() < log(self.smooth) + log(self.cut.grid.size) - self.log_total
            cells = torch.where(fresh[:, None], self.cut.grid.draw(u[:, 1 : 2 + d]).long(), cells)
        return self.cut.values(cells, u[:, 2 + d :])

    def _complete(self, x, known, given=None):
        d, known = len(self.cut.codes), known.flatten(1)
        u = uniform(len(x), 2 + 2 * d).to(self.device).double()
        cells = self.cut.cells(x.flatten(1))
        gone = self.seen.rows == torch.tensor(self.lost(), device=self.device)
        drawn, mass = self.seen.agreeing(cells, known, self.seen.counts.double(), u[:, 0], gone)
        extra = log(self.smooth) if self.smooth else -inf
        possible = torch.where(((cells >= 0) | ~known).all(1), extra + self.cut.grid.log_agreeing(cells, known), -inf)
        if bool((impossible := (mass == 0) & (possible == -inf)).any()):
            raise BadData(
                f"The known part of row {first_row(impossible)} lies in cells where no example was, so p(unknown | known) is 0 / 0. "
                "Take fewer bins or smooth=…; GaussianMixture and KernelDensity complete anywhere."
            )
        fresh = u[:, 1] < torch.sigmoid(possible - mass.log())
        cells = torch.where(
            fresh[:, None], self.cut.grid.fill(cells, known, u[:, 1 : 2 + d]), self.seen.rows[drawn].long()
        )
        return self.cut.values(cells, u[:, 2 + d :])

    def lost(self) -> list[int]:
        """The cell of each variable that stands for a missing value; -1 where there is none."""
        grid = self.cut.grid
        return [size - 1 if gap else -1 for size, gap in zip(grid.sizes, grid.missing, strict=True)]
