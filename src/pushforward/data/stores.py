"""Where examples live: in one tensor, in a memory-mapped array, in a stream of symbols or in the row groups of a file.

A store gives rows by number, an order to read them in that suits how they lie, and a part of itself. Of many processes that learn together each
reads its portion of what lies on the disk: rows that follow one another, in an order of its own.

B rows of space X, G numbers given:   x (B, *X)   given (B, G) or None
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..engine.machine import ranks
from ..errors import BadData
from ..space import Space

Pair = tuple[Tensor, Tensor | None]
BLOCK = 1 << 26  # bytes that a pass over a larger-than-memory source holds at a time
BUFFER = 1 << 29  # bytes of decoded row groups that are kept


def rows_of(n: int, rank: int, world: int) -> slice:
    """The rows of one process of many: they follow one another, all processes have as many, or one more.

    >>> [rows_of(10, rank, 3) for rank in range(3)]
    [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
    """
    return slice(rank * n // world, (rank + 1) * n // world)


class Store(ABC):
    """Rows by number."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def take(self, rows: Tensor) -> Pair:
        """The rows with these numbers, in this order."""

    @abstractmethod
    def part(self, rows: Tensor) -> Store:
        """These rows as a store of their own."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Store:
        """The same rows, handed out on a device."""

    def portion(self, rank: int, world: int) -> Store:
        """What process `rank` of `world` reads while it learns: all, where all is in memory; else its own rows."""
        return self

    def order(self, generator: torch.Generator) -> Tensor:
        """The rows of one epoch."""
        return torch.randperm(len(self), generator=generator)

    def split(self, held: int, generator: torch.Generator) -> tuple[Store, Store]:
        """Two parts, the second of `held` rows; each keeps the order of the source."""
        shuffled = torch.randperm(len(self), generator=generator)
        return self.part(shuffled[held:].sort().values), self.part(shuffled[:held].sort().values)


class Tensors(Store):
    """Everything in memory, one tensor a field; bytes stay bytes."""

    def __init__(self, x: Tensor, given: Tensor | None = None):
        self.x, self.given = x, given

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Tensor) -> Pair:
        rows = rows.to(self.x.device)
        # By brackets: index_select takes three times as long on a CPU.
        return self.x[rows], None if self.given is None else self.given[rows]

    def part_of(self, rows: slice) -> Pair:
        """Rows that follow one another, without a copy: who reads them does not write into them."""
        return self.x[rows], None if self.given is None else self.given[rows]

    def part(self, rows: Tensor) -> Store:
        return Tensors(*self.take(rows))

    def to(self, device: torch.device | str) -> Store:
        return Tensors(self.x.to(device), None if self.given is None else self.given.to(device))


class Mapped(Store):
    """The rows of a memory-mapped array, read when they are asked for."""

    def __init__(self, array: np.ndarray, space: Space, given: Tensor | None = None, rows: Tensor | None = None):
        self.array, self.space, self.given, self.rows = array, space, given, rows
        self.device: torch.device | str = "cpu"

    def __len__(self) -> int:
        return len(self.array) if self.rows is None else len(self.rows)

    def check(self) -> None:
        """One pass over the array, of many processes each over its rows, so that a bad value is found now and not in the middle of training."""
        step = max(1, BLOCK // max(1, self.array[:1].nbytes))
        own = rows_of(len(self.array), *ranks())
        for start in range(own.start, own.stop, step):
            try:
                self.space.read(np.array(self.array[start : min(start + step, own.stop)]))
            except BadData as problem:
                raise BadData(f"Counted from row {start}: {problem}") from problem

    def take(self, rows: Tensor) -> Pair:
        rows = rows.cpu()
        found = (rows if self.rows is None else self.rows[rows]).numpy()
        sequence = np.argsort(found, kind="stable")  # a disk is read forwards
        block = np.empty((len(found), *self.array.shape[1:]), self.array.dtype)
        block[sequence] = self.array[found[sequence]]
        given = None if self.given is None else self.given[torch.from_numpy(found)].to(self.device)
        return self.space.read(block).to(self.device), given

    def part(self, rows: Tensor) -> Store:
        kept = rows if self.rows is None else self.rows[rows]
        return self.on(self.device, kept)

    def portion(self, rank: int, world: int) -> Store:
        if len(self) < world:
            return self
        own = rows_of(len(self), rank, world)
        if self.rows is not None:
            return self.on(self.device, self.rows[own])
        out = Mapped(self.array[own], self.space, None if self.given is None else self.given[own])
        out.device = self.device
        return out

    def to(self, device: torch.device | str) -> Store:
        return self.on(device, self.rows)

    def on(self, device: torch.device | str, rows: Tensor | None) -> Mapped:
        out = Mapped(self.array, self.space, self.given, rows)
        out.device = device
        return out


class Windows(Store):
    """A stream of symbols cut into windows of one length.

    There are W = T // length windows, and row w < W is the window at w * length. An epoch reads every window once, all moved
    by one random offset, so that in time a window begins anywhere: row `offset * W + w` begins at w * length + offset.
    """

    def __init__(self, stream: Tensor, length: int):
        if not 0 < length <= len(stream):
            raise BadData(
                f"The text has {len(stream)} symbols; windows of length {length} do not fit. Pass a smaller length=."
            )
        self.stream, self.length = stream, length
        self.steps = torch.arange(length, device=stream.device)

    def __len__(self) -> int:
        return len(self.stream) // self.length

    def take(self, rows: Tensor) -> Pair:
        rows = rows.to(self.stream.device)
        starts = rows % len(self) * self.length + rows // len(self)
        starts = starts.clamp(max=len(self.stream) - self.length)
        return self.stream[starts[:, None] + self.steps].long(), None

    def order(self, generator: torch.Generator) -> Tensor:
        offset = int(torch.randint(self.length, (), generator=generator))
        return torch.randperm(len(self), generator=generator) + offset * len(self)

    def split(self, held: int, generator: torch.Generator) -> tuple[Store, Store]:
        # Windows overlap, so only whole stretches of text are disjoint: the end is held out.
        cut = len(self.stream) - held * self.length
        return Windows(self.stream[:cut], self.length), Windows(self.stream[cut:], self.length)

    def part(self, rows: Tensor) -> Store:
        return Tensors(*self.take(rows))

    def to(self, device: torch.device | str) -> Store:
        return Windows(self.stream.to(device), self.length)


class Source(Protocol):
    """A table that lies in row groups."""

    sizes: list[int]

    def frame(self, group: int, names: tuple[str, ...]) -> Any: ...


class Groups(Store):
    """A table read by row groups; the last few groups stay decoded.

    An epoch shuffles the groups, fills a buffer with some of them and shuffles the rows in it, so each group is decoded once.
    """

    def __init__(self, source: Source, space: Space, given_space: Space | None = None, rows: Tensor | None = None):
        self.source, self.space, self.given_space, self.rows = source, space, given_space, rows
        self.device: torch.device | str = "cpu"
        starts = torch.tensor([0, *source.sizes]).cumsum(0)
        self.starts = starts  # of each group, in the file
        self.bounds = starts if rows is None else torch.searchsorted(rows, starts)  # and among the rows kept
        largest = max(source.sizes, default=1) * 8 * (space.size + (given_space.size if given_space else 0))
        self.buffer = int(min(16, max(1, BUFFER // max(1, largest))))
        self.decoded: OrderedDict[int, Pair] = OrderedDict()

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def group(self, number: int) -> Pair:
        if number not in self.decoded:
            while len(self.decoded) >= self.buffer:
                self.decoded.popitem(last=False)
            x = self.space.read(self.source.frame(number, self.space.names))
            given = None
            if self.given_space is not None:
                given = self.given_space.read(self.source.frame(number, self.given_space.names))
            self.decoded[number] = (x, given)
        self.decoded.move_to_end(number)
        return self.decoded[number]

    def take(self, rows: Tensor) -> Pair:
        rows = rows.cpu()
        found = rows if self.rows is None else self.rows[rows]
        groups = torch.searchsorted(self.starts, found, right=True) - 1
        parts: list[list[Tensor]] = [[], []]
        places = []
        for number in dict.fromkeys(groups.tolist()):
            here = (groups == number).nonzero()[:, 0]
            places.append(here)
            for part, field in zip(parts, self.group(number), strict=True):
                if field is not None:
                    part.append(field[found[here] - self.starts[number]])
        back = torch.cat(places).argsort() if places else torch.empty(0, dtype=torch.long)
        x, given = (torch.cat(part)[back].to(self.device) if part else None for part in parts)
        return (self.group(0)[0][:0] if x is None else x), given

    def order(self, generator: torch.Generator) -> Tensor:
        out = []
        for some in torch.randperm(len(self.source.sizes), generator=generator).split(self.buffer):
            rows = torch.cat([torch.arange(int(self.bounds[g]), int(self.bounds[g + 1])) for g in some.tolist()])
            out.append(rows[torch.randperm(len(rows), generator=generator)])
        return torch.cat(out)

    def part(self, rows: Tensor) -> Store:
        # Sorted, because `bounds` are found among the rows kept; the order of an epoch is drawn anyway.
        kept = (rows if self.rows is None else self.rows[rows]).sort().values
        return self.on(self.device, kept)

    def portion(self, rank: int, world: int) -> Store:
        """Rows that follow one another in the file, so that a process decodes no row group but its own and those at its two ends."""
        own = rows_of(len(self), rank, world)
        return self if len(self) < world else self.part(torch.arange(own.start, own.stop))

    def to(self, device: torch.device | str) -> Store:
        return self.on(device, self.rows)

    def on(self, device: torch.device | str, rows: Tensor | None) -> Groups:
        out = Groups(self.source, self.space, self.given_space, rows)
        out.device = device
        return out
