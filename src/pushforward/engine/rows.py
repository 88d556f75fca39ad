"""Which examples a step sees: a window on the endless sequence of shuffled epochs.

    in memory      one sequence for all; process r of W takes the r-th part of each window, as one process would
    on the disk    each process has rows of its own (`portion`) and a sequence of its own, so that it reads nothing else

The order of an epoch is a function of (seed, epoch), and on the disk of (rank, world) too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import noise


def evenly(batch: int, world: int, say: Callable[[str], None]) -> int:
    """The rows of a step, of which each process takes as many."""
    found = max(1, batch // world) * world
    if found != batch:
        say(f"A batch of {batch} is not shared out evenly over {world} processes: {found} are taken.")
    return found


class Rows:
    """The rows of one process of a run. Examples are anything with `len`, `take`, `order`; of several processes with `store` and `of` too."""

    def __init__(self, examples: Any, seed: int, batch: int, rank: int = 0, world: int = 1):
        part = examples.store.portion(rank, world) if world > 1 else None
        self.alone = part is not None and part is not examples.store
        self.examples = examples.of(part) if self.alone else examples
        self.size, self.batch, self.offset = batch // world, batch, rank * (batch // world)
        self.seed = noise.mix(seed, rank, world) if self.alone else noise.mix(seed)
        self.epoch, self.permutation = -1, torch.empty(0)

    def take(self, step: int) -> tuple[Tensor, Tensor | None]:
        return self.examples.take(self.numbers(step))

    def numbers(self, step: int) -> Tensor:
        start = step * self.size if self.alone else step * self.batch + self.offset
        epoch, offset = divmod(start, len(self.examples))
        chunk = self.order(epoch)[offset : offset + self.size]
        if len(chunk) < self.size:
            chunk = torch.cat([chunk, self.examples.order(self.seed, epoch + 1)[: self.size - len(chunk)]])
        return chunk

    def lot(self, parts: int, spread: bool) -> int:
        """How many rows are judged at a time. With spread weights as many as a step takes at a time, and no more: a lot that does not fit
        cannot be halved while the others gather with it."""
        return max(1, self.size // parts) if spread else max(self.batch, 500)

    def order(self, epoch: int) -> Tensor:
        if epoch != self.epoch:
            self.epoch, self.permutation = epoch, self.examples.order(self.seed, epoch)
        return self.permutation
