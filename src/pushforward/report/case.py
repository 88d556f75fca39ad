"""What a report is about: one model, real rows that it is judged on, rows that it learned from where they are known, and what it draws.

Everything is a tensor in the units of the data; `raw` gives rows back as the kind of thing that came in. The rows that are looked at are
chosen by the seed. A drawn row with a value that the space does not hold (NaN, infinity, a code out of range) is counted and set aside.

N real rows, L of the training, M drawn and whole, of space X:   x (N, *X)   train (L, *X)   fake (M, *X)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .. import noise
from ..errors import Usage
from ..metrics.sides import Side
from ..space import Chart, Space
from ..space.space import is_text
from .rows import readable, rows_of

WIDE = 1 << 25  # numbers of a matrix of features at most, so that a page is made in bounded memory
PIECES = {"rows": 1, "drawn": 2, "train": 3, "shown": 4}  # uses of one seed that must not choose alike


@dataclass
class Case:
    """A model and the rows of its report."""

    model: Any
    x: Tensor
    given: Tensor | None = None
    train: Tensor | None = None
    train_given: Tensor | None = None
    baselines: Mapping[str, Any] = field(
        default_factory=dict
    )  # fitted, by what they are in words; or a sentence why there is none
    names: Mapping[str, str] = field(default_factory=dict)  # what the data and the training data are called
    made: Mapping[str, Any] = field(default_factory=dict)  # facts of the file that the model was read from
    seed: int = 0
    n: int = 2000  # rows of a side that measures look at
    quick: bool = False
    outside: str = ""  # what is to be said of rows that the model has no place for
    results: dict[str, Any] = field(default_factory=dict)  # what the sections found, for the verdict

    @classmethod
    def of(cls, model: Any, x: Any, given: Any = None, train: Any = None, **words: Any) -> Case:
        """Rows of any kind that the doors of the model take, read and checked."""
        real = rows_of(model, x, given, "x")
        learned, told = train if isinstance(train, tuple) and not is_text(train) else (train, None)
        known = None if learned is None else rows_of(model, learned, told, "train")
        words |= {"outside": real.outside}
        if known is None:
            return cls(model, real.x, real.given, **words)
        return cls(model, real.x, real.given, known.x, known.given, **words)

    @property
    def space(self) -> Space:
        return self.model.space

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or self.n < 10:
            raise Usage(f"n={self.n!r}: a whole number of at least 10 rows is awaited.")

    # ---- rows --------------------------------------------------------------------------------------------------------
    @cached_property
    def most(self) -> int:
        """Rows of a side that measures look at: n, and fewer where a row is very wide."""
        return max(min(self.n, WIDE // max(self.width, 1)), 10)

    @property
    def width(self) -> int:
        """Features of a row, codes and symbols one-hot."""
        symbols = self.space.levels if self.space.kind == "tokens" else 1
        return sum(c.size for c in self.space.columns) or self.space.size * symbols

    def chosen(self, count: int, most: int, use: str) -> Tensor:
        """Numbers of rows, in their order, at random by the seed."""
        if count <= most:
            return torch.arange(count)
        with noise.stream(noise.mix(self.seed, PIECES[use])):
            return noise.permutation(count)[:most].sort().values

    @cached_property
    def rows(self) -> Tensor:
        return self.chosen(len(self.x), self.most, "rows")

    @property
    def real(self) -> Tensor:
        """The real rows that are compared."""
        return self.x[self.rows]

    @cached_property
    def seen(self) -> Tensor | None:
        """As many rows of the training."""
        return None if self.train is None else self.train[self.chosen(len(self.train), len(self.rows), "train")]

    def condition(self, which: Tensor, known: bool = False) -> Any:
        """What is given with rows of x (or of the training), as the doors take it."""
        given = self.train_given if known else self.given
        return None if given is None else self.model._given.restore(given[which])

    # ---- what the model draws ----------------------------------------------------------------------------------------
    @cached_property
    def draw(self) -> tuple[Tensor, int] | None:
        """Rows that the model drew, whole ones, and how many were not; None where it cannot sample."""
        if "sample" not in self.model.abilities:
            return None
        raw = self.model.sample(
            len(self.rows), given=self.condition(self.rows), seed=noise.mix(self.seed, PIECES["drawn"])
        )
        x, whole = readable(self.space, raw)
        return x[whole], int((~whole).sum())

    @property
    def fake(self) -> Tensor:
        """The whole rows that were drawn; ask `draw` first whether there are any."""
        assert self.draw is not None
        return self.draw[0]

    @property
    def broken(self) -> int:
        return 0 if self.draw is None else self.draw[1]

    # ---- other forms -------------------------------------------------------------------------------------------------
    def raw(self, x: Tensor) -> Any:
        """Rows as the kind of thing that came in."""
        return self.space.restore(x)

    def side(self, x: Tensor, what: str) -> Side:
        """Rows for a measure, with the space that they are of."""
        return Side(f"{len(x):,} {what}", raw=self.raw(x), space=self.space)

    def frame(self, x: Tensor) -> Any:
        """Rows as a DataFrame with a column for each variable."""
        import pandas as pd

        if self.space.kind == "table" or self.space.form == "frame":
            return self.raw(x)
        values = x.flatten(1).cpu().numpy()
        return pd.DataFrame(values, columns=self.labels)

    @property
    def labels(self) -> list[str]:
        """What the variables are called."""
        return list(self.space.names) or [f"x{j}" for j in range(self.space.size)]

    def scaler(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """Rows -> features in which a distance means something: numbers standardised by x, codes and symbols one-hot (two different
        ones are a distance of 1 apart)."""
        space = self.space
        if space.kind == "tokens":
            return lambda y: torch.nn.functional.one_hot(y.long(), space.levels).flatten(1).float() / 2**0.5
        if space.kind != "table":
            centre, spread = x.double().mean(0), x.double().std(0)
            spread = torch.where(spread > 0, spread, 1.0) if space.kind == "real" else torch.ones_like(spread)
            return lambda y: ((y.double() - centre) / spread).flatten(1).float()
        chart = Chart.of(space, "features", x)
        half = torch.cat(
            [torch.full((c.size,), 0.5**0.5) if c.discrete else torch.ones(1 + 2 * c.missing) for c in space.columns]
        )
        return lambda y: chart(y.double())[0].float().nan_to_num() * half

    @property
    def picture(self) -> bool:
        """Whether a row is an image."""
        return len(self.space.shape) == 3 and self.space.shape[0] in (1, 3) and min(self.space.shape[1:]) > 1
