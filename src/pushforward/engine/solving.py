"""What a closed form learns from: the examples in one piece, or in lots of rows where they are too many for that.

A system with `solve(x, given)` sees everything at once. One that has `absorb(lots)` beside it can learn from examples that are larger than memory: it
may go through the lots as often as it needs.

    for x, given in lots: ...        x (B, *X) and given (B, G) or None, in the coordinates of the model

Row i of the examples meets the same noise whatever lot it comes in, and in every pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from .. import noise
from .machine import ranks

LOT = 1 << 24  # numbers that a lot holds


class Lots:
    """The examples of one `fit`, in model coordinates, a lot of rows at a time."""

    def __init__(self, model: Any, examples: Any, seed: int, step: int):
        self.model, self.examples, self.seed, self.step = model, examples, seed, step
        self.rows = max(1, LOT // max(1, model.space.size))

    def __len__(self) -> int:
        return -(-len(self.examples) // self.rows)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        return self.between(0, len(self.examples))

    @property
    def own(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The rows of this process of many alone, for sums that all of them add up (`machine.total`)."""
        (rank, world), n = ranks(), len(self.examples)
        return self.between(rank * n // world, (rank + 1) * n // world)

    def between(self, first: int, last: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        for start in range(first, last, self.rows):
            with noise.stream(self.seed, self.step, start, self.model.device, self.model.dtype):
                lot = self.take(start, min(start + self.rows, last))
            yield lot

    def whole(self) -> tuple[Tensor, Tensor | None]:
        """All rows in one piece; their noise comes from the open stream."""
        return self.take(0, len(self.examples))

    def take(self, start: int, stop: int) -> tuple[Tensor, Tensor | None]:
        x, given = self.examples.take(slice(start, stop))
        device = self.model.device
        y, g, _ = self.model.enter(x.to(device), None if given is None else given.to(device))
        return y, g
