"""Which examples a step sees: a window on the endless sequence of shuffled epochs.

    in memory      one sequence for all; process r of W takes the r-th part of each window, as one process would
    on the disk    each process has rows of its own (`portion`) and a sequence of its own, so that it reads nothing else

The order of an epoch is a function of (seed, epoch), and on the disk of (rank, world) too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import noise


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

    def order(self, epoch: int) -> Tensor:
        if epoch != self.epoch:
            self.epoch, self.permutation = epoch, self.examples.order(self.seed, epoch)
        return self.permutation
