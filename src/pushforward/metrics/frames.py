"""Tables, arrays, texts and models read together, so that one cell means one number on all sides.

The first side says what the columns are. A category that only another side has gets a code of its own instead of an error, as it is what is to be judged; no
table is as wide as its categories. Other types are brought to those of the first side ("3", 3 and 3.0 are one number where the first side holds numbers);
what cannot be is refused by name. An infinite number of another side is counted, and read as missing.

n rows of D columns:   x (n, D) numbers and codes 0, 1 …, NaN where missing   discrete (D,)   sizes (D,) the number of codes
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import noise
from ..errors import BadData, Usage, did_you_mean
from ..maths import tables as hashing
from ..space import Space, alike
from ..space import columns as col
from ..space.columns import Column
from ..space.space import as_array, is_frame, is_text
from .sides import drawn, side, upright

DRAWS = 10_000  # of a model, where no examples beside it say how many
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """One side."""

    name: str
    x: Numbers
    raw: Any  # as it came, to be shown
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Any) -> Table:
        """These rows, by number or mask."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        raw = (
            self.raw.iloc[rows]
            if is_frame(self.raw)
            else [self.raw[i] for i in rows]
            if is_text(self.raw)
            else self.raw[rows]
        )
        return replace(self, x=self.x[rows], raw=raw)

    def shown(self, rows: Any) -> Any:
        """These rows as they came, as a DataFrame."""
        import pandas as pd

        rows = np.asarray(rows, dtype=np.int64)
        if not len(rows):
            return self.raw.iloc[:0] if is_frame(self.raw) else pd.DataFrame()
        part = self.take(rows).raw
        return part if is_frame(part) else pd.DataFrame(part if is_text(part) else flat(part), index=rows)


@dataclass(frozen=True)
class Tables:
    """All sides, by name, and what their columns are."""

    columns: tuple[Column, ...]
    labels: tuple[tuple[Any, ...], ...]  # of each column what its codes stand for; empty for numbers
    sides: dict[str, Table]

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]

    @property
    def discrete(self) -> NDArray[np.bool_]:
        return np.array([c.discrete for c in self.columns], dtype=bool)

    @property
    def sizes(self) -> list[int]:
        return [len(labels) for labels in self.labels]

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for table in self.sides.values() for note in table.notes)

    def __getitem__(self, name: str) -> Table:
        return self.sides[name]

    def place(self, name: str) -> int:
        """The number of a column by name."""
        if name not in self.names:
            raise Usage(
                f"There is no column {name!r}.{did_you_mean(name, self.names)} There are: {', '.join(self.names[:20])}."
            )
        return self.names.index(name)

    def label(self, column: int, code: float) -> str:
        """What a code stands for, in words."""
        if np.isnan(code):
            return "missing"
        found = self.labels[column][int(code)]
        return f"{found:g}" if isinstance(found, float) else str(found)


def read(n: int | None = None, seed: int = 0, /, **things: Any) -> Tables:
    """The sides by name, the first of them the one that says what the columns are. A model is drawn from: n rows, or as many as the first side has.

    >>> import pandas as pd
    >>> both = read(real=pd.DataFrame({"a": ["u", "v"], "b": [0.5, 2.0]}), fake=pd.DataFrame({"b": [1, 2], "a": ["w", None]}))
    >>> both["fake"].x.tolist(), both.sizes
    ([[2.0, 1.0], [nan, 2.0]], [3, 0])
    """
    raw: dict[str, Any] = {}
    for i, (name, thing) in enumerate(things.items()):
        one = side(thing, name)
        if one.table is not None:
            raise Usage(
                f"{name} is {one.what}, and rows of columns are awaited: examples, a DataFrame or a model. A vector is x[:, None]."
            )
        rows = n or (len(next(iter(raw.values()))) if raw else DRAWS)
        part = drawn(one, rows, noise.mix(seed, i))
        raw[name] = part if is_frame(part) or is_text(part) else upright(part)
    first = next(iter(raw.values()))
    for name, part in raw.items():
        if len(part) == 0:
            raise BadData(f"{name} has no rows. At least one is needed.")
        if (is_frame(part), is_text(part)) != (is_frame(first), is_text(first)):
            came = f"{next(iter(raw))} came as {type(first).__name__} and {name} as {type(part).__name__}"
            raise BadData(f"{came}. Pass both as the same kind of thing.")
    return with_gaps(of_frames(raw) if is_frame(first) else of_arrays(raw))


def with_gaps(tables: Tables) -> Tables:
    """A note on each side that lacks cells where the first side lacks none."""
    first, *others = tables.sides.values()
    whole = ~np.isnan(first.x).any(0)
    for table in others:
        gone = np.isnan(table.x[:, whole]).any(1)
        if gone.any():
            note = (
                f"{int(gone.sum()):,} of {len(table):,} rows of {table.name} lack cells where {first.name} lacks none"
            )
            tables.sides[table.name] = replace(table, notes=(*table.notes, note))
    return tables


# ---- tables -------------------------------------------------------------------------------------------------------------


def of_frames(raw: dict[str, Any]) -> Tables:
    first = next(iter(raw))
    columns = columns_of(raw[first])
    names = [c.name for c in columns]
    for name, frame in raw.items():
        same_columns(first, names, name, [str(c) for c in frame.columns])
    labels, parts = [], []
    for column in columns:
        cells = {
            name: frame.iloc[:, [str(c) for c in frame.columns].index(column.name)].reset_index(drop=True)
            for name, frame in raw.items()
        }
        found, values = (
            coded(column, cells) if column.discrete else ((), {n: numbers(column, c, n) for n, c in cells.items()})
        )
        labels.append(found)
        parts.append(values)
    sides = {name: finite(name, np.stack([values[name] for values in parts], 1), frame) for name, frame in raw.items()}
    return Tables(columns, tuple(labels), sides)


def same_columns(first: str, names: list[str], other: str, have: list[str]) -> None:
    lost, new = [n for n in names if n not in have], [n for n in have if n not in names]
    if lost or new or len(have) != len(names):
        said = [f"{other} lacks {', '.join(map(repr, lost))}"] if lost else []
        said += [f"{other} has {', '.join(map(repr, new))}, which {first} has not"] if new else []
        said = said or [f"{other} has a column twice"]
        raise BadData(
            f"The tables have different columns: {'; '.join(said)}. Rename them, leave them out, or add them."
        )


def columns_of(frame: Any) -> tuple[Column, ...]:
    """What each column is. Columns of words are categories however many words there are."""
    names = [str(name) for name in frame.columns]
    if not names:
        raise BadData("The table has no columns. At least one is needed.")
    if len(set(names)) < len(names):
        raise BadData(f"Column {next(n for n in names if names.count(n) > 1)!r} stands twice in the table. Rename one.")
    words = [worded(frame.iloc[:, i]) for i in range(len(frame.columns))]
    if not any(words):
        space = Space.of(frame)
        return space.columns or tuple(Column(name, "number") for name in space.names)
    found = []
    for i, text in enumerate(words):
        name, cells = names[i], frame.iloc[:, i]
        found.append(Column(name, "category", str(cells.dtype)) if text else col.infer(name, cells))
    return tuple(found)


def worded(cells: Any) -> bool:
    """Whether the cells are words: neither numbers, dates, truths nor categories by their type."""
    import pandas as pd

    kinds = pd.api.types
    if (
        isinstance(cells.dtype, pd.CategoricalDtype)
        or kinds.is_numeric_dtype(cells.dtype)
        or kinds.is_datetime64_any_dtype(cells.dtype)
    ):
        return False
    return not set(map(type, cells.dropna().unique())) <= {bool, np.bool_}


def coded(column: Column, cells: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Numbers]]:
    """(what the codes stand for, the codes of each side): those of the column first, then what is met."""
    import pandas as pd

    by_value = bool(column.categories) and all(isinstance(c, bool | int | float) for c in column.categories)
    known = {same(c, by_value): i for i, c in enumerate(column.categories)}
    out = {}
    for name, part in cells.items():
        which, distinct = pd.factorize(part)  # -1 where missing
        codes = [known.setdefault(same(value, by_value), len(known)) for value in np.asarray(distinct, dtype=object)]
        out[name] = np.append(np.array(codes, dtype=np.float64), np.nan)[which]
    return tuple(known), out


def same(value: Any, by_value: bool) -> Any:
    """A cell as what it is compared by: its number where the column holds numbers, else its words."""
    if not by_value and type(value) is str:
        return value.strip()
    value = col.plain(value)
    if by_value:
        word = str(value).strip().lower()
        if word in ("true", "false"):
            return float(word == "true")
        try:
            return float(value)
        except ValueError:
            return str(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def numbers(column: Column, cells: Any, side: str) -> Numbers:
    """Cells of a column of numbers or dates; an infinite one stays for `finite` to count."""
    import pandas as pd

    if column.kind == "date":
        try:
            return col.read(column, cells)
        except BadData as problem:
            raise BadData(f"{side}: {problem}") from problem
    plain = cells.astype(object) if isinstance(cells.dtype, pd.CategoricalDtype) else cells
    found = alike.numbers(plain)
    wrong = np.isnan(found) & cells.notna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise BadData(
            f"{side}, column {column.name!r}, row {row}: {cells.iloc[row]!r} is not a number, as the column holds on the other side."
        )
    return found


def finite(name: str, x: Numbers, raw: Any) -> Table:
    """A side, its infinite numbers counted and read as missing."""
    wrong = np.isinf(x)
    if not wrong.any():
        return Table(name, x, raw)
    note = f"{int(wrong.sum()):,} cells in {int(wrong.any(1).sum()):,} of {len(x):,} rows of {name} are infinite; they were read as missing"
    return Table(name, np.where(wrong, np.nan, x), raw, (note,))


# ---- arrays and text ----------------------------------------------------------------------------------------------------


def flat(x: Any) -> NDArray[Any]:
    array = as_array(x)
    return array.reshape(len(array), -1)


def of_arrays(raw: dict[str, Any]) -> Tables:
    """Rows of an array: numbers, or codes where they are bits or symbols of a text."""
    first = next(iter(raw))
    if is_text(raw[first]):
        space = Space.of([line for part in raw.values() for line in part])
        parts = {name: space.read(part).numpy().astype(np.float64) for name, part in raw.items()}
        discrete = True
    else:
        for name, part in raw.items():
            if tuple(part.shape[1:]) != tuple(raw[first].shape[1:]):
                shapes = f"{first} has rows of shape {tuple(raw[first].shape[1:])} and {name} of shape {tuple(part.shape[1:])}"
                raise BadData(f"{shapes}. Compare rows of the same columns.")
        parts = {name: flat(part).astype(np.float64) for name, part in raw.items()}
        discrete = Space.of(raw[first]).kind == "binary" and all(np.isin(x, (0, 1)).all() for x in parts.values())
    width = next(iter(parts.values())).shape[1]
    top = int(max(x.max() for x in parts.values())) + 1 if discrete else 0
    column = Column("", "category" if discrete else "number", categories=tuple(range(top)))
    columns = tuple(replace(column, name=f"x{j}") for j in range(width))
    sides = {name: finite(name, x, raw[name]) for name, x in parts.items()}
    return Tables(columns, (tuple(range(top)),) * width, sides)


# ---- rows as wholes -----------------------------------------------------------------------------------------------------


def repeated(x: Numbers, among: Numbers) -> NDArray[np.int64]:
    """The number of the first row of `among` that each row of x is equal to, cell by cell; -1 where there is none.

    >>> repeated(np.array([[1.0, np.nan], [2.0, 0.0]]), np.array([[3.0, 3.0], [1.0, np.nan]])).tolist()
    [1, -1]
    """
    rows = torch.from_numpy(np.ascontiguousarray(among))
    keys, order = hashing.keys(rows).sort(stable=True)
    asked = torch.from_numpy(np.ascontiguousarray(x))
    at = torch.searchsorted(keys, hashing.keys(asked)).clamp(max=len(keys) - 1)
    found = order[at]
    equal = (hashing.bits(rows[found]) == hashing.bits(asked)).all(1)
    return torch.where(equal, found, -1).numpy()


def halves(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two random halves of the numbers 0 … n - 1, of one size."""
    with noise.stream(seed):
        order = noise.permutation(n).numpy()
    return order[: n // 2], order[n // 2 : n // 2 * 2]


def some(table: Table, most: int, seed: int) -> Table:
    """At most so many rows, at random, and a note where that leaves some out."""
    if len(table) <= most:
        return table
    with noise.stream(seed):
        rows = noise.permutation(len(table))[:most].sort().values.numpy()
    note = f"{most:,} of the {len(table):,} rows of {table.name}, at random"
    return replace(table.take(rows), notes=(*table.notes, note))
