"""Cells of text -> a column with a type.

Rules, in this order, for the cells that are not missing (empty, or one of the words given as `missing`):
    number     all are numbers; whole numbers stay whole. A number with a leading zero (007) is a code, so the column stays text
    date       all are ISO dates, with or without a time and a zone (1912-06-23, 1912-06-23T10:20:30Z)
    boolean    all are True/False, true/false or TRUE/FALSE
    text       otherwise
NA, N/A, NaN, null and None are missing in a column that is otherwise numbers, dates or booleans, and words in a column of text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..space import alike

NOT_AVAILABLE = frozenset(("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "None"))
ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?(Z|[+-]\d{2}:?\d{2})?")
TRUTH = {"True": True, "False": False, "true": True, "false": False, "TRUE": True, "FALSE": False}


def column(cells: Sequence[str], missing: frozenset[str]) -> Any:
    """A pandas Series of the type that the cells have."""
    import pandas as pd

    raw = np.array(cells, dtype=object)
    present = np.array([c != "" and c not in missing for c in cells], dtype=bool)
    if not present.any():
        return pd.Series(np.full(len(cells), np.nan))
    typed_present = present & np.array([c not in NOT_AVAILABLE for c in cells], dtype=bool)
    for reader in (numbers, dates, truths):
        found = reader(raw[typed_present]) if typed_present.any() else None
        if found is not None:
            return spread(found, typed_present)
    raw[~present] = None
    return alike.words(raw)


def numbers(cells: np.ndarray) -> Any:
    import pandas as pd

    if any(len(c) > 1 and c[0] == "0" and c[1].isdigit() for c in cells):
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
