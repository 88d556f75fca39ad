"""Cells of text -> a column with a type.

Rules, in this order, for the cells that are not missing (empty, or one of the words given as `missing`):
    number     all are numbers; whole numbers stay whole. A number with a leading zero (007) is a code, and one of a telephone
               (+4915112345678) too, so the column stays text. Commas in numbers mean what `decimal` says
    date       all are ISO dates, with or without a time and a zone (1912-06-23, 1912-06-23T10:20:30Z)
    boolean    all are True/False, true/false or TRUE/FALSE
    text       otherwise
NA, N/A, NaN, null and None are missing in a column that is otherwise numbers, dates or booleans, and words in a column of text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from ..space import alike

NOT_AVAILABLE = frozenset(("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "None"))
ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?(Z|[+-]\d{2}:?\d{2})?")
TRUTH = {"True": True, "False": False, "true": True, "false": False, "TRUE": True, "FALSE": False}
CODE = re.compile(r"0\d|\+\d{8,}$")
LOT = 1 << 18  # cells that are words at a time
# Numbers with a comma before the fraction, or between thousands.
COMMAS = {
    ",": re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?([eE][+-]?\d+)?"),
    ".": re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?([eE][+-]?\d+)?"),
}


def packed(rows: Iterator[list[str]], width: int) -> list[list[Any]]:
    """The cells of each column, some rows at a time: as bytes, where they are plain and of much the same length. A word of Python takes sixty."""
    out: list[list[Any]] = [[] for _ in range(width)]
    while some := list(islice(rows, max(1, LOT // width))):
        for parts, part in zip(out, zip(*some, strict=True), strict=True):
            longest = max(map(len, part))
            plain = longest * len(part) <= 4 * sum(map(len, part)) and all(map(str.isascii, part))
            parts.append(np.array(part, dtype=f"S{longest}") if plain and longest else part)
    return out


def spelt(parts: list[Any]) -> list[str]:
    """The cells of a column as words."""
    return [cell for part in parts for cell in (part.astype(str).tolist() if isinstance(part, np.ndarray) else part)]


def column(cells: Sequence[str], missing: frozenset[str], decimal: str = "") -> Any:
    """A pandas Series of the type that the cells have. `decimal` is what stands before the fraction of a number, if it was said."""
    import pandas as pd

    raw = np.array(cells, dtype=object)
    present = np.array([c != "" and c not in missing for c in cells], dtype=bool)
    if not present.any():
        return pd.Series(np.full(len(cells), np.nan))
    typed_present = present & np.array([c not in NOT_AVAILABLE for c in cells], dtype=bool)
    for reader in (partial(numbers, decimal=decimal), dates, truths):
        found = reader(raw[typed_present]) if typed_present.any() else None
        if found is not None:
            return spread(found, typed_present)
    raw[~present] = None
    return alike.words(raw)


def commas(cells: Sequence[str], missing: frozenset[str]) -> str:
    """A number with a comma in it, of a column that has nothing but numbers with and without; else nothing."""
    known = [c for c in cells if c != "" and c not in missing and c not in NOT_AVAILABLE]
    example = next((c for c in known if "," in c), "")
    return example if example and all(any(way.fullmatch(c) for way in COMMAS.values()) for c in known) else ""


def numbers(cells: np.ndarray, decimal: str = "") -> Any:
    import pandas as pd

    # All or none: what this library wrote itself, 1.234 beside 1.2345, has no thousands.
    if decimal and all(COMMAS[decimal].fullmatch(c) for c in cells):
        other = "," if decimal == "." else "."
        cells = np.array([c.replace(other, "").replace(decimal, ".") for c in cells], dtype=object)
    if any(CODE.match(c) for c in cells):
        return None
    try:
        found = pd.Series(pd.to_numeric(cells))
    except (ValueError, TypeError, OverflowError) as problem:
        beyond = alike.before_3() or isinstance(problem, OverflowError)  # what an older pandas has no room for
        if not beyond or not all(map(alike.is_number, cells)):
            return None
        found = pd.Series(cells, dtype=object)
    # Integers beyond 64 bits come back as Python objects; floats are read by Python, which rounds correctly.
    return pd.Series(cells.astype(np.float64)) if found.dtype.kind not in "iu" else found


def dates(cells: np.ndarray) -> Any:
    if not all(ISO.fullmatch(c) for c in cells):
        return None
    zoned = any(len(c) > 10 and (c[-1] == "Z" or "+" in c or "-" in c[10:]) for c in cells)
    try:
        return alike.iso_dates(cells, zoned)
    except (ValueError, OverflowError):  # 2023-02-30: written like a date, but a word
        return None


def truths(cells: np.ndarray) -> Any:
    import pandas as pd

    return pd.Series([TRUTH[c] for c in cells], dtype=bool) if all(c in TRUTH for c in cells) else None


def spread(found: Any, present: np.ndarray) -> Any:
    """The values found, in the rows where they are present; whole numbers and booleans keep their type beside missing cells."""
    if present.all():
        return found
    wider = {"i": "Int64", "u": "UInt64", "b": "boolean"}.get(getattr(found.dtype, "kind", ""))
    found = found.astype(wider) if wider else found
    return found.set_axis(np.flatnonzero(present)).reindex(range(len(present)))


def values(cells: Sequence[Any]) -> Any:
    """Cells that have types already (of JSON): None is missing, text in the form of ISO dates is dates. None if kinds are mixed."""
    import pandas as pd

    present = np.array([c is not None and c == c for c in cells], dtype=bool)
    known = [c for c, here in zip(cells, present, strict=True) if here]
    kinds = {"number" if isinstance(c, int | float) and not isinstance(c, bool) else type(c).__name__ for c in known}
    if not known:
        return pd.Series(np.full(len(cells), np.nan))
    if kinds == {"str"}:
        found = dates(np.array(known, dtype=object))
        return alike.words(list(cells)) if found is None else spread(found, present)
    if kinds == {"bool"}:
        return spread(pd.Series(known, dtype=bool), present)
    if kinds != {"number"}:
        return None
    found = pd.Series(known)
    return spread(found.astype("float64") if found.dtype == object else found, present)
