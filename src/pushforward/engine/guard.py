"""What keeps a run sound: gradients that are not finite move no weight, and a loss that is not finite is never masked.

A step whose loss or gradient is not finite is passed over: weights, the optimiser's state and its count of steps stay. More than `SKIPS` such steps
between two looks, or a weight or buffer that is no longer finite, and the run goes back to its last good state with half the learning rate.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

SKIPS = 3  # steps between two looks that may be passed over


class Window:
    """The losses of the steps since the last look, and how many steps were passed over. On a GPU nothing here waits for it.

    >>> window = Window()
    >>> for loss in (1.0, math.nan, 3.0): window.add(loss, float(loss != loss))
    >>> window.mean, window.passed_over
    (2.0, 1)
    """

    def __init__(self, passed_over: int = 0):
        self.total: Any = 0.0
        self.fine: Any = 0
        self.missed: Any = float(passed_over)

    def add(self, loss: Tensor | float, missed: Tensor | float) -> None:
        if isinstance(loss, Tensor) and loss.device.type != "cpu":
            fine = torch.isfinite(loss)
            self.total, self.fine = self.total + torch.where(fine, loss, 0.0), self.fine + fine
        elif math.isfinite(value := float(loss)):
            self.total, self.fine = self.total + value, self.fine + 1
        self.missed = self.missed + missed

    @property
    def mean(self) -> float:
        """Of the losses that are finite; NaN where none is."""
        return float(self.total) / int(self.fine) if int(self.fine) else math.nan

    @property
    def passed_over(self) -> int:
        return int(self.missed)


def not_finite(loss: Tensor | float, grads: list[Tensor]) -> Tensor | float:
    """1 where a loss or one of its gradients is not finite, else 0; on a GPU a number that stays there."""
    here = [g.to_local() if hasattr(g, "to_local") else g for g in grads]
    device = here[0].device if here else torch.device("cpu")
    if device.type in ("cpu", "cuda"):
        found = torch.zeros((), dtype=torch.float32, device=device)
        if here:  # one pass, multiplying by 1; what torch's own scaling of gradients looks with
            torch._amp_foreach_non_finite_check_and_unscale_(here, found, torch.ones_like(found))
    else:
        found = (~torch.isfinite(torch.stack([g.sum() for g in here])).all()).float()
    if isinstance(loss, Tensor) and device.type == "cuda":
        return torch.maximum(found, (~torch.isfinite(loss)).to(found))
    return max(float(found), float(not math.isfinite(loss)))


def sound(now: list[Tensor], good: list[Tensor]) -> bool:
    """Whether every tensor that was finite in the good state still is."""
    for tensor, kept in zip(now, good, strict=True):
        if tensor.is_floating_point() and not whole(tensor) and whole(kept):
            return False
    return True


def whole(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor.to_local() if hasattr(tensor, "to_local") else tensor).all())
