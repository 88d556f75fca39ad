"""Classical models: closed forms and expectation–maximisation, solved at once and in double precision."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import ClassVar

import torch
from torch import Tensor

from ...engine import Recipe
from ...errors import Usage
from ...model import Model

TRIES = 64  # draws of a row before a code that still says that it is missing is made the last that is a value


class Classical(Model):
    """A model that is solved, not stepped."""

    recipe: ClassVar[Recipe] = Recipe(precision="float64", valid=0.0)

    def judges(self):
        return super().judges() and ("_space" not in self.__dict__ or self.unable("log_prob") is None)

    def unconditional(self, given: int | None) -> None:
        """What a joint distribution without a condition says when it is given one."""
        if given:
            raise Usage(
                f"{type(self).__name__} is not conditional. Fit it on all columns together"
                + (": complete() then draws some given the others." if hasattr(type(self), "_complete") else ".")
            )

    def filled(self, draw: Callable[[], Tensor], known: Tensor) -> Tensor:
        """Rows drawn until no cell that is filled says that it is missing: what fills a gap is a value. A code plus noise has one more to say so."""
        columns = self.space.columns
        last = [c.size - 1.0 if c.discrete and c.missing else inf for c in columns] or [inf] * self.space.size
        out = draw()
        lost = self.chart.seen(torch.tensor([last], dtype=out.dtype, device=out.device)).masked_fill(known, inf)
        for _ in range(TRIES):
            again = (out >= lost).any(1, keepdim=True)
            if not bool(again.any()):
                return out
            out = torch.where(again, draw(), out)
        return torch.where(out >= lost, lost - 0.5, out)
