"""Sums of Gaussian kernels around points.   S(x) = sum_i exp(-|x - x_i|^2 / 2)

With x' = (x, -|x|^2 / 2, 1) and x_i' = (x_i, 1, -|x_i|^2 / 2) the exponents are one product of matrices, x' . x_i'. They are at most 0, so the sum
needs no largest term taken out, except where all terms are too small for a number, and there it is done over again.
The product loses the digits that |x|^2 has before the point: where that is too many, differences are squared instead.

N rows x (N, D), M points x_i (M, D), log S (N,)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

CACHE = 1 << 16  # exponents of a block: half a megabyte stays in a core's cache
ROWS = 128  # rows of a block
LARGE = 1e6  # sum of squares above which a product of matrices loses more than 1e-9
TINY = 1e-280  # a sum below this has lost digits, or all of them


@dataclass
class Kernels:
    """The points, laid out for products.

    >>> x = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    >>> Kernels(x).log_sum(x).round(decimals=4).tolist(), Kernels(x).log_sum(x, torch.tensor([0, 1])).tolist()
    ([0.1269, 0.1269], [-2.0, -2.0])
    """

    points: Tensor

    def __post_init__(self):
        self.halves = 0.5 * (self.points * self.points).sum(1, keepdim=True)
        self.right = torch.cat([self.points, torch.ones_like(self.halves), -self.halves], 1)
        self.far = float(self.halves.max())

    def log_sum(self, x: Tensor, leave: Tensor | None = None) -> Tensor:
        """log S of each row. `leave` (N,) names a point that is left out of each row's sum, such as the row itself."""
        parts = [
            self.part(x[i : i + ROWS], None if leave is None else leave[i : i + ROWS]) for i in range(0, len(x), ROWS)
        ]
        return torch.cat(parts) if parts else x.new_zeros(0)

    def part(self, x: Tensor, leave: Tensor | None) -> Tensor:
        total = x.new_zeros(len(x))
        for e in self.exponents(x, leave):
            total = total + e.exp_().sum(1)
        lost = total.detach() < TINY
        if not bool(lost.any()):
            return total.log()
        rest = None if leave is None else leave[lost]
        again = torch.stack([e.logsumexp(1) for e in self.exponents(x[lost], rest)]).logsumexp(0)
        return torch.where(lost, 1.0, total).log().index_put((lost.nonzero()[:, 0],), again)

    def exponents(self, x: Tensor, leave: Tensor | None = None) -> Iterator[Tensor]:
        """Blocks (N, …) of -|x - x_i|^2 / 2."""
        half = 0.5 * (x * x).sum(1, keepdim=True)
        near = float(half.detach().max()) + self.far < LARGE
        left, size = torch.cat([x, -half, torch.ones_like(half)], 1), max(1, CACHE // len(x))
        for start in range(0, len(self.points), size):
            some = slice(start, start + size)
            if near:
                e = left @ self.right[some].T
            else:
                gap = torch.cdist(x, self.points[some], compute_mode="donot_use_mm_for_euclid_dist")
                e = -0.5 * gap * gap
            if leave is not None:
                here = torch.arange(start, start + e.shape[1], device=x.device)
                e = e.masked_fill(leave[:, None] == here, -torch.inf)
            yield e
