"""Independent tables, one a variable.   p(x) = prod_j p_j(x_j)

Lectures 001 and 003. With c_j(v) of n examples whose variable j has the value v, one of K_j, and a pseudo-count a:
    p_j(v) = (c_j(v) + a) / (n + a K_j)                       sum_j (K_j - 1) parameters: 784 for 28 x 28 black-or-white pixels
The maximum of the likelihood among all models in which no variable hears another. Numbers are counted in bins.

N examples of D variables, K values at most:   x, cells (N, D)   counts (D, K)
"""

from __future__ import annotations

from math import inf
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import BadData, Usage
from ...maths.bins import Bins
from ...maths.tables import below
from ...noise import uniform
from .family import Classical


class Factorised(Classical):
    """Every variable by itself: the fewest parameters, and nothing of how variables belong together.

    >>> import numpy as np
    >>> model = Factorised(smooth=1.0).fit(np.array([[0, 1], [0, 0], [1, 1]], dtype=np.uint8))
    >>> np.exp(model.log_prob(np.array([[0, 1]], dtype=np.uint8))).round(3).tolist(), model.parameters_
    ([0.36], 2)
    """

    bins: int = 20  # of each number
    smooth: float = 0.0  # a, examples added to every value of every variable

    coordinates: ClassVar[str] = "codes"
    gaps: ClassVar[bool] = True
    spaces: ClassVar[tuple[str, ...]] = ("binary", "levels", "tokens", "table")
    plates: ClassVar[str] = "D{pi; N{[x]}; pi -> x}"
    why_not: ClassVar[dict[str, str]] = {
        "encode": "a row is not a code.",
        "decode": "a row is not a code.",
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        if self.bins < 1 or self.smooth < 0:
            raise Usage(
                f"Factorised(bins={self.bins}, smooth={self.smooth}): at least 1 bin and 0 or more are awaited."
            )
        self.cut = Bins(space, self.bins)
        self.register_buffer("counts", torch.zeros(0, 0))

    def solve(self, x, given=None):
        self.absorb([(x, given)])

    def absorb(self, lots):
        self.cut.lay(x.flatten(1) for x, _ in lots)
        d, k = len(self.cut.sizes), max(self.cut.sizes)
        counts = torch.zeros(d * k, dtype=torch.long, device=self.device)
        for x, _ in lots:
            cells = self.cut.cells(x.flatten(1)) + k * torch.arange(d, device=x.device)
            counts += torch.bincount(cells.flatten(), minlength=d * k)
        self.counts = counts.view(d, k).to(self.dtype)

    @property
    def parameters_(self) -> int:
        """sum_j (K_j - 1)"""
        return sum(size - 1 for size in self.cut.sizes)

    @property
    def weights(self) -> Tensor:
        """c_j(v) + a for the values that there are: (D, K)."""
        return self.counts + self.smooth * valued(self.counts, self.cut.sizes)

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        cells, weights = self.cut.cells(x.flatten(1)), self.weights
        shares = (weights / weights.sum(1, keepdim=True)).log()
        nats = shares[torch.arange(len(shares), device=x.device), cells.clamp(min=0)].sum(1)
        return torch.where((cells >= 0).all(1), nats - self.cut.log_volumes(cells), -inf)

    def _sample(self, n, given=None):
        return self.draw(self.weights, n)

    def _complete(self, x, known, given=None):
        weights = self.weights * ~last(self.counts, self.cut)
        if bool((empty := (weights.sum(1) == 0) & ~known.flatten(1).all(0)).any()):
            raise BadData(
                f"Variable {int(empty.nonzero()[0])} was missing in every example, so there is nothing to fill it with. "
                "Leave it out."
            )
        return self.draw(weights, len(x))

    def draw(self, weights: Tensor, n: int) -> Tensor:
        d = len(weights)
        u = uniform(n, 2 * d).to(weights)
        steps = weights.cumsum(1)
        level = below(steps[:, -1:] * u[:, :d].T, steps[:, -1:].expand(-1, n))
        return self.cut.values(torch.searchsorted(steps, level.contiguous(), right=True).T, u[:, d:])


def valued(counts: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Which of the K places of each variable are values of it: (D, K)."""
    return torch.arange(counts.shape[-1], device=counts.device) < torch.tensor(sizes, device=counts.device)[:, None]


def last(counts: Tensor, cut: Bins) -> Tensor:
    """Which of the K places of each variable says that it is missing: (D, K)."""
    place = [size - 1 if gap else -1 for size, gap in zip(cut.sizes, cut.missing, strict=True)]
    return torch.arange(counts.shape[-1], device=counts.device) == torch.tensor(place, device=counts.device)[:, None]
