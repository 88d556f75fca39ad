"""All rows that there could be: how many, how many agree with a part of one, and one of these at random.

    Grid: D variables of K_d values each, prod K_d rows.      Strings: up to T - 1 symbols of V, then the end, sum_t V^t rows.

Numbers of rows are whole numbers of Python, exact however large: 784 black-or-white pixels have 2^784.
N rows of D variables:   x (N, D)   known (N, D) which of them are given   u uniform (N, D + 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, prod
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad


class Support(Protocol):
    """A finite set of rows."""

    @property
    def size(self) -> int: ...

    def holds(self, x: Tensor) -> Tensor:
        """Whether each row is one of them: (N,)."""

    def log_agreeing(self, x: Tensor, known: Tensor) -> Tensor:
        """log how many agree with what is known of each row, and lack nothing of the rest: (N,)."""

    def fill(self, x: Tensor, known: Tensor, u: Tensor) -> Tensor:
        """One of these for each row, all equally likely."""

    def draw(self, u: Tensor) -> Tensor:
        """Any of all rows."""


@dataclass(frozen=True)
class Grid:
    """Every combination of the values low, low + 1, … of each variable. The last value of one that can be missing says that it is.

    >>> grid = Grid((2, 3), missing=(False, True))
    >>> grid.size, grid.log_agreeing(torch.zeros(1, 2), torch.tensor([[True, False]])).exp().round().tolist()
    (6, [2.0])
    """

    sizes: tuple[int, ...]
    missing: tuple[bool, ...] = ()
    lows: tuple[float, ...] = ()
    numbers: tuple[bool, ...] = ()  # variables whose missing value is written as NaN

    @property
    def size(self) -> int:
        return prod(self.sizes)

    def row(self, values: Sequence[float], x: Tensor) -> Tensor:
        return torch.tensor(values or [0.0] * len(self.sizes), dtype=torch.float64, device=x.device)

    def there(self, x: Tensor) -> Tensor:
        """(D,) how many values of each variable are not the missing one."""
        return self.row([float(size) for size in self.sizes], x) - self.row(self.missing, x)

    def holds(self, x: Tensor) -> Tensor:
        code, gap = x.double() - self.row(self.lows, x), self.row(self.missing, x) * self.row(self.numbers, x)
        values = self.row([float(size) for size in self.sizes], x) - gap
        return (((code >= 0) & (code < values) & (code == code.round())) | (torch.isnan(code) & (gap > 0))).all(1)

    def log_agreeing(self, x: Tensor, known: Tensor) -> Tensor:
        return torch.where(known, 0.0, self.there(x).log()).sum(1)

    def fill(self, x: Tensor, known: Tensor, u: Tensor) -> Tensor:
        new = self.row(self.lows, x) + (u[:, 1:].double() * self.there(x)).floor()
        return torch.where(known, x, new.to(x.dtype))

    def draw(self, u: Tensor) -> Tensor:
        code = (u[:, 1:].double() * self.row([float(size) for size in self.sizes], u)).floor()
        gap = (code >= self.there(u)) & (self.row(self.numbers, u) > 0)
        return torch.where(gap, torch.nan, self.row(self.lows, u) + code)


@dataclass(frozen=True)
class Strings:
    """Every text of fewer than `length` of the symbols 0 … end - 1, filled up with `end`.

    >>> Strings(3, end=2).size            # "", a, b, aa, ab, ba, bb
    7
    """

    length: int
    end: int

    @property
    def size(self) -> int:
        return sum(self.end**t for t in range(self.length))

    def holds(self, x: Tensor) -> Tensor:
        over = (x == self.end).long()
        return ((x >= 0) & (x <= self.end) & (over.cummax(1).values == over)).all(1) & (over[:, -1] == 1)

    def log_counts(self, x: Tensor, known: Tensor) -> Tensor:
        """log how many texts of each length 0 … length - 1 agree: (N, T)."""
        lengths, over = torch.arange(self.length, device=x.device), x == self.end
        free = pad((~known).double().cumsum(1), (1, 0))[:, :-1]  # symbols to choose in a text of each length
        shortest = ((known & ~over) * (lengths + 1)).amax(1, keepdim=True)
        longest = torch.where(known & over, lengths, self.length - 1).amin(1, keepdim=True)
        return torch.where((lengths >= shortest) & (lengths <= longest), free * log(self.end), -inf)

    def log_agreeing(self, x: Tensor, known: Tensor) -> Tensor:
        return self.log_counts(x, known).logsumexp(1)

    def fill(self, x: Tensor, known: Tensor, u: Tensor) -> Tensor:
        steps = self.log_counts(x, known).softmax(1).nan_to_num().cumsum(1)
        length = torch.searchsorted(steps, u[:, :1].double() * steps[:, -1:], right=True).clamp(max=self.length - 1)
        symbols = (u[:, 1:].double() * self.end).floor().to(x.dtype)
        new = torch.where(torch.arange(self.length, device=x.device) < length, symbols, self.end)
        return torch.where(known, x, new)

    def draw(self, u: Tensor) -> Tensor:
        blank = torch.zeros(len(u), self.length, dtype=torch.long, device=u.device)
        return self.fill(blank, blank > 0, u)


def support_of(space: Any) -> Grid | Strings | None:
    """The rows that there could be of a space, as its examples are written; None where a column is a continuum."""
    if space.kind == "tokens" and space.end >= 0:
        return Strings(space.size, space.end)
    if space.kind in ("binary", "levels", "tokens"):
        return Grid(({"binary": 2}.get(space.kind, space.levels),) * space.size)
    if not space.discrete:
        return None
    numbers = [not c.discrete for c in space.columns]
    sizes = [int(c.high - c.low) + 1 + c.missing if n else c.size for c, n in zip(space.columns, numbers, strict=True)]
    lows = [c.low if n else 0.0 for c, n in zip(space.columns, numbers, strict=True)]
    return Grid(tuple(sizes), tuple(c.missing for c in space.columns), tuple(lows), tuple(numbers))
