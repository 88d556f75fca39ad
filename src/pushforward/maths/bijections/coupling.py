"""Coupling: one part of the variables moves, by a map whose parameters a network reads off the part that stays.

    z_a = x_a,   z_b = f(x_b; net(x_a, given)),   log|det| = sum log|f'|

Dinh et al., "Density estimation using Real NVP", ICLR 2017, eqs. 4-8; Durkan et al., "Neural spline flows", NeurIPS 2019,
section 3.1 and eq. 5 (the part that stays goes through splines of its own).
B rows of D variables (or of D channels of H by W), A stay and M move, F features a scalar:
    x, z (B, D, ...)   net: (B, A, ...) -> (B, M F, ...), the F of one variable side by side   log-Jacobian (B,)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...errors import Usage
from .base import Bijection, total
from .scalar import Scalar


def halves(dims: int, turn: int) -> list[int]:
    """Which variables stay at turn 0, 1, 2, ...: every second one, in turns. Of a single variable none stays.

    >>> halves(5, 0), halves(5, 1), halves(1, 0)
    ([1, 3], [0, 2, 4], [])
    """
    return [] if dims == 1 else list(range(1 - turn % 2, dims, 2))


class Coupling(Bijection):
    """x (B, D, ...) with the variables or channels `stay` kept and the others moved by `scalar` under `net(x_stay[, given])`.

    `own` is a bijection for the part that stays, such as `Elementwise(Spline(), A)`.

    >>> from .scalar import AffineScalar
    >>> coupling = Coupling(AffineScalar(), nn.Linear(1, 4), dims=3, stay=[1])
    >>> z, ladj = coupling(torch.randn(5, 3))
    >>> z.shape, ladj.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    kept: Tensor
    moved: Tensor
    back: Tensor

    def __init__(self, scalar: Scalar, net: nn.Module, dims: int, stay: Sequence[int], own: Bijection | None = None):
        super().__init__()
        moves = sorted(set(range(dims)) - set(stay))
        if not set(stay) <= set(range(dims)) or len(set(stay)) < len(stay) or not moves:
            raise Usage(f"stay is {list(stay)}; some of 0 .. {dims - 1}, each once and not all, were awaited.")
        self.scalar, self.net, self.own = scalar, net, own
        # A split by index, not by a mask: only what moves is computed.
        for name, index in {"kept": list(stay), "moved": moves}.items():
            self.register_buffer(name, torch.tensor(index, dtype=torch.int64))
        self.register_buffer("back", torch.cat([self.kept, self.moved]).argsort())

    def parameters_of(self, kept: Tensor, moved: Tensor, given: Tensor | None) -> Tensor:
        """(B, A, ...) -> (B, M, ..., F)."""
        p = self.net(kept) if given is None else self.net(kept, given)
        p = p.to(kept.dtype).unflatten(1, (moved.shape[1], self.scalar.features))
        return p.movedim(2, -1)

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = x.index_select(1, self.kept), x.index_select(1, self.moved)
        moved, ladj = self.scalar(moved, self.parameters_of(kept, moved, given))
        ladj = total(ladj)
        if self.own is not None:
            kept, more = self.own(kept, given)
            ladj = ladj + more
        return torch.cat([kept, moved], 1).index_select(1, self.back), ladj

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = z.index_select(1, self.kept), z.index_select(1, self.moved)
        more = None
        if self.own is not None:
            kept, more = self.own.inverse(kept, given)
        moved, ladj = self.scalar.inverse(moved, self.parameters_of(kept, moved, given))
        ladj = total(ladj) if more is None else total(ladj) + more
        return torch.cat([kept, moved], 1).index_select(1, self.back), ladj
