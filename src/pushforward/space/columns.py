"""The columns of a table: what each may hold, how it becomes a number and back.

Numbers, integers and dates are read as numbers (NaN = missing); categories, ordinals and booleans as codes 0 … K-1, where a
missing cell is one more code. Everything needed to write the same table back (types, categories, bounds) is kept.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..errors import BadData, did_you_mean

DISCRETE = ("category", "ordinal", "boolean")
UNITS = {"D": 86_400_000_000, "s": 1_000_000, "us": 1}  # a date's unit in microseconds
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
    unit: str = ""  # of a date

    @property
    def discrete(self) -> bool:
        return self.kind in DISCRETE

    @property
    def size(self) -> int:
        """The number of codes of a discrete column; 1 for a number."""
        return len(self.categories) + self.missing if self.discrete else 1

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

    missing, present = bool(cells.isna().any()), cells.dropna()
    dtype = str(cells.dtype)
    if len(present) == 0:
        return Column(name, "category", dtype, missing=True)
    if isinstance(cells.dtype, pd.CategoricalDtype):
        seen = tuple(plain(v) for v in cells.cat.categories)
        return Column(
            name,
            "ordinal" if cells.cat.ordered else "category",
            f"category:{cells.cat.categories.dtype}",
            seen,
            missing=missing,
        )
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        micro = microseconds(present)
        unit = next(u for u, size in UNITS.items() if (micro % size == 0).all())
        value = micro // UNITS[unit]
        return Column(
            name, "date", dtype, low=float(value.min()), high=float(value.max()), missing=missing, step=1.0, unit=unit
        )
    if pd.api.types.is_bool_dtype(cells.dtype) or set(map(type, present.unique())) <= {bool, np.bool_}:
        return Column(name, "boolean", dtype, (False, True), missing=missing)
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return numeric(name, dtype, present.to_numpy(), missing)
    return labels(name, dtype, present, missing)


def numeric(name: str, dtype: str, values: np.ndarray, missing: bool) -> Column:
    numbers = values.astype(np.float64)
    if np.isinf(numbers).any():
        raise BadData(f"Column {name!r} holds {int(np.isinf(numbers).sum())} infinite values. Remove or replace them.")
    whole = bool((numbers == np.floor(numbers)).all())
    distinct = np.unique(values)
    if len(distinct) == 1 or (whole and len(distinct) <= FEW and len(distinct) * 20 <= len(values)):
        kind = "boolean" if len(distinct) == 2 and set(distinct.tolist()) == {0, 1} else "ordinal"
        return Column(name, kind, dtype, tuple(plain(v) for v in distinct), missing=missing)
    if whole and np.abs(numbers).max() < 2.0**53:
        return Column(
            name, "integer", dtype, low=float(numbers.min()), high=float(numbers.max()), missing=missing, step=1.0
        )
    return Column(name, "number", dtype, low=float(numbers.min()), high=float(numbers.max()), missing=missing)


def labels(name: str, dtype: str, present: Any, missing: bool) -> Column:
    seen = sorted({str(v) for v in present})
    if len(seen) > 100 and len(seen) > len(present) / 2:
        raise BadData(
            f"Column {name!r} has {len(seen)} distinct values in {len(present)} rows: it looks like an identifier or free text, "
            f"which has no distribution to learn. Leave it out (drop={name!r})."
        )
    return Column(name, "category", dtype, tuple(seen), missing=missing)


def plain(value: Any) -> Any:
    """A number or string that JSON keeps as it is."""
    return (
        value.item()
        if isinstance(value, np.generic)
        else value
        if isinstance(value, str | int | float | bool)
        else str(value)
    )


def microseconds(cells: Any) -> np.ndarray:
    naive = cells.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(cells.dt, "tz", None) is not None else cells
    return naive.to_numpy().astype("datetime64[us]").astype(np.int64)


def read(column: Column, cells: Any) -> np.ndarray:
    """Cells of one column -> float64 numbers or codes; a value that the column cannot hold is an error."""
    import pandas as pd

    out, gone = np.full(len(cells), np.nan), cells.isna().to_numpy()
    present = cells[~gone]
    if column.discrete:
        code = {key(c): i for i, c in enumerate(column.categories)}
        which, distinct = pd.factorize(present)
        found = np.array([code.get(key(plain(v)), -1) for v in distinct], dtype=np.float64)[which]
        if (found < 0).any():
            row = int(np.flatnonzero(~gone)[np.flatnonzero(found < 0)[0]])
            value = plain(cells.iloc[row])
            raise BadData(
                f"Column {column.name!r}, row {row}: {value!r} was not among the {len(column.categories)} categories at fit."
                + did_you_mean(str(value), map(str, column.categories))
            )
        out[~gone] = found
        if column.missing:
            out[gone] = len(column.categories)
        return out
    if column.kind == "date":
        stamps = (
            present if pd.api.types.is_datetime64_any_dtype(present.dtype) else pd.to_datetime(present, errors="coerce")
        )
        if len(stamps) and stamps.isna().any():
            raise BadData(
                f"Column {column.name!r}: {present[stamps.isna()].iloc[0]!r} is not a date, as the column was at fit."
            )
        out[~gone] = microseconds(stamps) / UNITS[column.unit] if len(stamps) else []
        return out
    numbers = pd.to_numeric(present, errors="coerce").to_numpy(dtype=np.float64)
    if np.isnan(numbers).any():
        raise BadData(
            f"Column {column.name!r}: {present[np.isnan(numbers)].iloc[0]!r} is not a number, as the column was at fit."
        )
    if np.isinf(numbers).any():
        raise BadData(
            f"Column {column.name!r} holds {int(np.isinf(numbers).sum())} infinite values. Remove or replace them."
        )
    out[~gone] = numbers
    return out


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
    inside = np.clip(np.round(values / column.step) * column.step if column.step else values, column.low, column.high)
    if column.kind == "date":
        gone = np.isnan(inside)
        stamps = (np.nan_to_num(inside) * UNITS[column.unit]).astype(np.int64).astype("datetime64[us]")
        stamps[gone] = np.datetime64("NaT")
        cells = pd.Series(stamps)
        zone = column.dtype.partition(", ")[2].rstrip("]")
        return cells.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else cells.astype(column.dtype)
    return cast(pd.Series(inside), column, bool(np.isnan(inside).any()))


def cast(cells: Any, column: Column, gone: bool) -> Any:
    import pandas as pd

    name, _, inner = column.dtype.partition(":")
    if name == "category":
        levels = pd.Index(list(column.categories), dtype=inner or None)
        return pd.Series(pd.Categorical(cells, categories=levels, ordered=column.kind == "ordinal"))
    if gone and name in ("bool", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64"):
        return cells  # a type that has no missing value stays float or object
    return cells.astype(name) if name != "object" else cells.astype(object).where(cells.notna(), None)
