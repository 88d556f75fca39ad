"""The columns of a table: what each may hold, how it becomes a number and back.

Numbers, integers and dates are read as numbers (NaN = missing); categories, ordinals and booleans as codes 0 … K-1, where a
missing cell is one more code. Everything needed to write the same table back (types, categories, bounds) is kept.

A float64 holds whole numbers up to 2^53. A column beyond that is read as the distance from its least value, which is exact where the whole
column spans less than 2^53; where it spans more it is rounded to 53 bits. Durations are whole numbers of their unit, decimals are numbers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import BadData, did_you_mean
from . import alike, foreign

DISCRETE = ("category", "ordinal", "boolean")
UNITS = {"D": 86_400_000_000, "s": 1_000_000, "us": 1, "ns": 0.001}  # a date's unit in microseconds
NANOSECONDS = {"D": 86_400_000_000_000, "s": 1_000_000_000, "us": 1000, "ns": 1}
EXACT = 2**53  # whole numbers that a float64 holds
MANY = 10_000  # categories that a network can still take one by one
FEW = 12  # so few distinct integers, each often seen, are a scale of their own (ratings, counts of children)


@dataclass(frozen=True)
class Column:
    """One column of a table.

    >>> Column("age", "integer", low=17, high=90, step=1).discrete
    False
    """

    name: str
    kind: str  # number, integer, category, ordinal, boolean, date
    dtype: str = "float64"
    categories: tuple[Any, ...] = ()
    low: float = -np.inf
    high: float = np.inf
    missing: bool = False  # missing cells were seen
    step: float = 0.0  # distance of neighbouring values: 1 for integers and dates, 0 for a continuum
    unit: str = ""  # of a date or a duration
    base: int = 0  # what is taken off whole numbers that are too large for a float64

    @property
    def discrete(self) -> bool:
        return self.kind in DISCRETE

    @property
    def size(self) -> int:
        """The number of codes of a discrete column; 1 for a number."""
        return len(self.categories) + self.missing if self.discrete else 1

    def said(self, value: float) -> str:
        """A number of this column as a reader writes it.

        >>> Column("day", "date", unit="D").said(3.0), Column("key", "integer", base=2**53).said(1.0)
        ('1970-01-04', '9007199254740993')
        """
        if self.kind == "date":
            return str(np.array(int(value) + self.base).astype(f"datetime64[{self.unit or 'D'}]"))[:10]
        return str(int(value) + self.base) if self.base else f"{value:g}"

    @property
    def holds(self) -> str:
        """What it may hold, in a few words.

        >>> Column("kind", "category", categories=("a", "b")).holds, Column("age", "integer", low=17, high=90).holds
        ('2 values: a, b', '17 … 90')
        """
        if not self.discrete:
            return f"{self.said(self.low)} … {self.said(self.high)}"
        few = ", ".join(str(value)[:24] for value in self.categories[:5])
        return f"{len(self.categories)} values: {few}{', …' if len(self.categories) > 5 else ''}"

    def moved(self, mean: float, scale: float) -> Column:
        """This column in the coordinates (x - mean) / scale."""
        return replace(self, low=(self.low - mean) / scale, high=(self.high - mean) / scale, step=self.step / scale)

    def to_json(self) -> dict:
        out = {key: value for key, value in asdict(self).items() if value != getattr(Column, key, None)}
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in out.items()
            if key not in ("low", "high")
        } | {key: float(out[key]) for key in ("low", "high") if key in out and np.isfinite(out[key])}

    @classmethod
    def from_json(cls, card: dict) -> Column:
        return cls(**{**card, "categories": tuple(card.get("categories", ()))})


def infer(name: str, cells: Any) -> Column:
    """What kind of column these cells (a pandas Series) are."""
    import pandas as pd

    dtype, cells = str(cells.dtype), foreign.known(name, cells)
    missing, present = bool(cells.isna().any()), cells.dropna()
    if len(present) == 0:
        return Column(name, "category", dtype, missing=True)
    if isinstance(cells.dtype, pd.CategoricalDtype):
        refuse_many(name, len(cells.cat.categories))
        seen = tuple(plain(v) for v in cells.cat.categories)
        return Column(
            name,
            "ordinal" if cells.cat.ordered else "category",
            f"category:{cells.cat.categories.dtype}",
            seen,
            missing=missing,
        )
    if (inner := inside(cells.dtype, present)) != "":
        dtype, present = f"object:{inner}", typed(inner, present)
    elif cells.dtype == object:
        foreign.check(name, present)
    kind = {"M": "date", "m": "integer"}.get(getattr(present.dtype, "kind", ""), "")
    if kind or pd.api.types.is_datetime64_any_dtype(present.dtype):
        unit, whole = counted(present)
        return spanning(Column(name, kind or "date", dtype, missing=missing, step=1.0, unit=unit), whole)
    if pd.api.types.is_bool_dtype(present.dtype) or set(map(type, present.unique())) <= {bool, np.bool_}:
        return Column(name, "boolean", dtype, (False, True), missing=missing)
    if pd.api.types.is_numeric_dtype(present.dtype):
        return numeric(name, dtype, present.to_numpy(), missing, cells)
    return labels(name, dtype, present, missing)


def inside(dtype: Any, present: Any) -> str:
    """What Python objects a column holds, where they are numbers or dates alone; nothing otherwise."""
    if str(dtype) != "object":
        return ""
    names = {
        "int": "int",
        "float": "float",
        "Decimal": "Decimal",
        "date": "date",
        "datetime": "datetime",
        "timedelta": "timedelta",
    }
    found = {type(v).__name__ for v in present}
    if found == {"int", "float"}:
        return "float"
    name = names.get(found.pop(), "") if len(found) == 1 else ""
    if name == "int" and max(abs(v) for v in present) >= 2**63:
        return ""
    if name == "datetime" and any(v.tzinfo is not None for v in present):
        return ""
    if name == "Decimal":
        return f"Decimal:{max(0, *(-v.as_tuple().exponent for v in present))}"
    return name


def typed(inner: str, present: Any) -> Any:
    """Python objects of one kind as a pandas column of that type."""
    import pandas as pd

    kinds = {"int": "int64", "date": "datetime64[s]", "datetime": "datetime64[us]", "timedelta": "timedelta64[us]"}
    values = present.tolist()
    if inner in ("date", "datetime"):
        values = np.array(values, dtype=f"datetime64[{'D' if inner == 'date' else 'us'}]")
    return pd.Series(values, index=present.index, dtype=kinds.get(inner, "float64"))


def counted(present: Any) -> tuple[str, np.ndarray]:
    """The coarsest unit that loses nothing of dates or durations, and how many of it each is: int64."""
    own, ticks = ticking(present)
    ratios = {unit: size // NANOSECONDS[own] for unit, size in NANOSECONDS.items()}
    unit = next(unit for unit, ratio in ratios.items() if ratio and (ticks % ratio == 0).all())
    return unit, ticks // ratios[unit]


def ticking(cells: Any) -> tuple[str, np.ndarray]:
    """Dates or durations as whole numbers of the unit that they are stored in."""
    raw = (
        cells.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(cells.dt, "tz", None) is not None else cells
    ).to_numpy()
    own = np.datetime_data(raw.dtype)[0]
    own = own if own in NANOSECONDS else "us"
    return own, raw.astype(f"{raw.dtype.kind}8[{own}]").astype(np.int64)


def spanning(column: Column, whole: np.ndarray) -> Column:
    """The ends of whole numbers, and what is taken off them where they are too large."""
    low, high = int(whole.min()), int(whole.max())
    base = low if max(-low, high) >= EXACT and high - low < EXACT else 0
    return replace(column, low=float(low - base), high=float(high - base), base=base)


def numeric(name: str, dtype: str, values: np.ndarray, missing: bool, cells: Any = None) -> Column:
    numbers = values.astype(np.float64)
    if np.isinf(numbers).any():
        refuse_infinite(name, numbers if cells is None else cells.astype(object).to_numpy())
    whole = bool((numbers == np.floor(numbers)).all())
    distinct = np.unique(values)
    if len(distinct) == 1 or (whole and len(distinct) <= FEW and len(distinct) * 20 <= len(values)):
        kind = "boolean" if len(distinct) == 2 and set(distinct.tolist()) == {0, 1} else "ordinal"
        return Column(name, kind, dtype, tuple(plain(v) for v in distinct), missing=missing)
    low, high = distinct[0], distinct[-1]
    if whole and (np.abs(numbers).max() < EXACT or (values.dtype.kind in "iu" and int(high) - int(low) < EXACT)):
        return spanning(Column(name, "integer", dtype, missing=missing, step=1.0), values)
    return Column(name, "number", dtype, low=float(low), high=float(high), missing=missing)


def refuse_infinite(name: str, cells: np.ndarray) -> None:
    wrong = np.array([v == v and v is not None and abs(float(v)) == np.inf for v in cells], dtype=bool)
    raise BadData(
        f"Column {name!r} holds {int(wrong.sum())} infinite values, the first in row {int(np.flatnonzero(wrong)[0])}. Remove or replace them."
    )


def labels(name: str, dtype: str, present: Any, missing: bool) -> Column:
    seen: dict[Any, Any] = {}
    count = len(unique := present.unique())
    if count <= MANY:
        for value in map(plain, unique):
            seen.setdefault(key(value), value)
        count = len(seen)
    if count > 100 and count > len(present) / 2:
        raise BadData(
            f"Column {name!r} has {count} distinct values in {len(present)} rows: it looks like an identifier or free text, "
            f"which has no distribution to learn. {foreign.hint(unique)}Leave it out (drop={name!r})."
        )
    refuse_many(name, count)
    # Words in their order, before them what a mixed column holds beside words, which stays what it was.
    return Column(
        name,
        "category",
        dtype,
        tuple(sorted(seen.values(), key=lambda v: (isinstance(v, str), str(v)))),
        missing=missing,
    )


def refuse_many(name: str, count: int) -> None:
    if count > MANY:
        raise BadData(
            f"Column {name!r} has {count:,} categories; up to {MANY:,} can be learned one by one. Call the rare ones by one name, "
            f"or leave the column out (drop={name!r})."
        )


def plain(value: Any) -> Any:
    """A number or string that JSON keeps as it is."""
    return (
        value.item()
        if isinstance(value, np.generic)
        else value
        if isinstance(value, str | int | float | bool)
        else str(value)
    )


def read(column: Column, cells: Any, outside: np.ndarray | None = None) -> np.ndarray:
    """Cells of one column -> float64 numbers or codes. A value that the column cannot hold is an error; with `outside`, it is marked there and
    read as one that the column can hold."""
    cells = foreign.known(column.name, cells)
    out, gone = np.full(len(cells), np.nan), cells.isna().to_numpy()
    present = cells[~gone]
    inner = "" if column.unit else inside(present.dtype, present)
    if inner.startswith(("int", "float", "Decimal")):
        present = typed(inner, present)
    if column.discrete:
        found = codes(column, present)
        if (found < 0).any():
            rows = np.flatnonzero(~gone)[found < 0]
            if outside is None:
                value = plain(cells.iloc[int(rows[0])])
                raise BadData(
                    f"Column {column.name!r}, row {int(rows[0])}: {value!r} was not among the {len(column.categories)} categories at fit "
                    f"({len(rows)} such cell{'s' * (len(rows) > 1)})."
                    + did_you_mean(str(value), map(str, column.categories[:1000]))
                )
            outside[rows] = True
        out[~gone] = np.maximum(found, 0)
        if column.missing:
            out[gone] = len(column.categories)
        return out
    numbers = dated(column, present) if column.unit else alike.numbers(present)
    if column.base and not column.unit:  # before a float64 rounds them
        numbers = np.array([number(v, column.base) for v in present], dtype=np.float64)
    wrong = np.isnan(numbers) | np.isinf(numbers)
    if wrong.any() and outside is None:
        rows = np.flatnonzero(~gone)
        if np.isinf(numbers).any():
            every = np.zeros(len(cells))
            every[~gone] = numbers
            refuse_infinite(column.name, every)
        what = "a date" if column.kind == "date" else "a duration" if column.unit else "a number"
        raise BadData(
            f"Column {column.name!r}, row {int(rows[wrong][0])}: {present[wrong].iloc[0]!r} is not {what}, as the column was at fit "
            f"({int(wrong.sum())} such cell{'s' * (int(wrong.sum()) > 1)})."
        )
    if wrong.any() and outside is not None:
        outside[np.flatnonzero(~gone)[wrong]] = True
        numbers = np.where(wrong, column.low if np.isfinite(column.low) else 0.0, numbers)
    out[~gone] = numbers
    return out


def number(value: Any, base: int) -> float:
    """The distance of a whole number from another, exact before it becomes a float64."""
    try:
        return float(int(value) - base)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def codes(column: Column, present: Any) -> np.ndarray:
    """The code of each cell; -1 where it is none of the categories."""
    import pandas as pd

    known = {key(c): i for i, c in enumerate(column.categories)}
    if present.dtype == object:
        foreign.check(column.name, present)
    which, distinct = pd.factorize(present)
    if all(isinstance(c, str) for c in column.categories) and not all(isinstance(v, str) for v in distinct):
        known = alike.retyped(column.categories) | known
    return (
        np.array([known.get(key(plain(v)), -1) for v in distinct], dtype=np.float64)[which]
        if len(distinct)
        else np.zeros(0)
    )


def dated(column: Column, present: Any) -> np.ndarray:
    """Dates or durations in the unit of the column; NaN where a cell is none."""
    import pandas as pd

    kind, to = ("M", alike.dates) if column.kind == "date" else ("m", partial(pd.to_timedelta, errors="coerce"))
    if len(present) == 0:
        return np.zeros(0)
    if getattr(present.dtype, "kind", "") != kind and not hasattr(present.dtype, "tz"):
        try:
            inner = inside(present.dtype, present)
            present = typed(inner, present) if inner in ("date", "datetime", "timedelta") else to(present)
        except (ValueError, OverflowError):
            present = to(present.astype(str))
    lost = present.isna().to_numpy()
    own, ticks = ticking(present)
    ratio = NANOSECONDS[column.unit] // NANOSECONDS[own]
    if ratio >= 1:
        whole, rest = np.divmod(ticks, ratio)
        numbers = (whole - column.base).astype(np.float64) + rest / ratio
    else:
        numbers = ((ticks * (NANOSECONDS[own] // NANOSECONDS[column.unit])) - column.base).astype(np.float64)
    return np.where(lost, np.nan, numbers)


def key(value: Any) -> Any:
    """Equal for values that a file may write in two ways: 1, 1.0 and True, or a label with its type lost."""
    if isinstance(value, bool | int | float):
        return float(value)
    low = str(value).strip()
    return {"true": 1.0, "false": 0.0}.get(low.lower(), low)


def restore(column: Column, values: np.ndarray) -> Any:
    """Numbers or codes -> a pandas Series of the type that came in."""
    import pandas as pd

    if column.discrete:
        codes = np.clip(
            np.nan_to_num(values, nan=len(column.categories)).round().astype(int), 0, max(column.size - 1, 0)
        )
        known = np.empty(len(column.categories) + 1, dtype=object)
        known[:-1], known[-1] = list(column.categories), None
        return cast(pd.Series(known[codes], dtype=object), column, (codes >= len(column.categories)).any())
    between = np.clip(np.round(values / column.step) * column.step if column.step else values, column.low, column.high)
    gone = np.isnan(between)
    if column.unit:
        ticks = np.nan_to_num(between).astype(np.int64) + column.base
        stamps = ticks.astype(f"{'M' if column.kind == 'date' else 'm'}8[{column.unit}]")
        stamps[gone] = np.array("NaT", dtype=stamps.dtype)
        return timed(column, stamps)
    if column.base:
        whole = [None if lost else int(v) + column.base for v, lost in zip(between, gone, strict=True)]
        return cast(pd.Series(whole, dtype=object), column, bool(gone.any()))
    return cast(pd.Series(between), column, bool(gone.any()))


def timed(column: Column, stamps: np.ndarray) -> Any:
    """Dates or durations of the type that came in."""
    import pandas as pd

    if column.dtype.startswith("object:"):
        return pd.Series(
            [
                None if v is pd.NaT else v
                for v in stamps.astype(
                    stamps.dtype.str[:3] + ("[D]" if column.dtype == "object:date" else "[us]")
                ).tolist()
            ],
            dtype=object,
        )
    cells = pd.Series(stamps if column.unit != "D" else stamps.astype(stamps.dtype.str[:3] + "[s]"))
    zone = column.dtype.partition(", ")[2].removesuffix("[pyarrow]").rstrip("]").removeprefix("tz=")
    return cells.dt.tz_localize("UTC").dt.tz_convert(zone).astype(column.dtype) if zone else cells.astype(column.dtype)


def cast(cells: Any, column: Column, gone: bool) -> Any:
    import pandas as pd

    name, _, inner = column.dtype.partition(":")
    name = alike.word_type() if name == "str" else name
    if name == "category":
        levels = of_type(column.categories, inner)
        made = pd.Categorical(cells, categories=list(column.categories), ordered=column.kind == "ordinal")
        return pd.Series(made.rename_categories(levels))
    if name.startswith("interval["):
        place = dict(zip(column.categories, of_type(column.categories, name), strict=True))
        return pd.Series([place.get(cell) for cell in cells], dtype=name)
    if gone and name in ("bool", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64"):
        return cells  # a type that has no missing value stays float or object
    if name == "object" and inner:
        return pd.Series([None if v != v or v is None else python(v, inner) for v in cells.tolist()], dtype=object)
    return cells.astype(name) if name != "object" else cells.astype(object).where(cells.notna(), None)


def of_type(categories: tuple[Any, ...], dtype: str) -> Any:
    """Labels as what they were before a card kept them as words."""
    import pandas as pd

    if dtype.startswith("interval["):
        return foreign.intervals(categories, dtype)
    return pd.Index(list(categories), dtype=dtype or None)


def python(value: Any, inner: str) -> Any:
    """A number as the Python object that the column held."""
    from decimal import Decimal

    if inner.startswith("Decimal"):
        return Decimal(f"{value:.{int(inner.partition(':')[2] or 0)}f}")
    return int(value) if inner == "int" else float(value)
