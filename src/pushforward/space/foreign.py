"""Columns of types that a table has no place for, refused by name; and types that take a longer way in and out.

Arrow's own columns (dtype_backend="pyarrow")   numbers, truths and words as they are; dates and durations by way of NumPy's
Python objects                                  numbers, truths and words; those of one kind that have a type (dates, decimals) are read as it
intervals, as `pandas.cut` makes them           labels, which are written as words and made intervals again
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import BadData

WORDS = (str, bool, int, float, np.bool_, np.number)  # what may stand beside words in a column of Python objects
DAY = re.compile(r"\d{1,4}([./-])\d{1,2}(\1\d{1,4})?([ T].*)?|\d{1,2}:\d{2}(:\d{2})?")
SIGNED = re.compile(r"[-+(\u2212]?\s*[$€£¥]?\s*[\d.,' \u00a0]*\d\s*[%$€£¥)]?")
FEW = 3  # words beside numbers that may be marks of missing cells
LOOK = 1000  # values that a hint looks at


def known(name: str, cells: Any) -> Any:
    """Cells (a pandas Series) of a type that a table has a place for."""
    import pandas as pd

    if isinstance(cells.dtype, pd.ArrowDtype):
        return of_arrow(name, cells)
    if isinstance(cells.dtype, pd.CategoricalDtype):
        if cells.cat.categories.dtype == object:
            check(name, cells.cat.categories)
    elif isinstance(cells.dtype, pd.DatetimeTZDtype) and not named(cells.dtype):
        refuse(name, str(cells.dtype), "Its zone has no name: bring it to one that has (dt.tz_convert('UTC'))")
    elif cells.dtype.kind == "c":
        refuse(name, "complex number", "Pass the real and imaginary parts as columns")
    return cells


def named(dtype: Any) -> bool:
    """Whether a type is found again by what is written for it in a card."""
    import pandas as pd

    try:
        return pd.api.types.pandas_dtype(str(dtype)) == dtype
    except (TypeError, ValueError, LookupError):
        return False


def of_arrow(name: str, cells: Any) -> Any:
    """A column that Arrow holds."""
    import pandas as pd
    import pyarrow as pa

    kind, types = cells.dtype.pyarrow_dtype, pa.types
    if types.is_timestamp(kind) or types.is_date(kind) or types.is_duration(kind):
        return pd.Series(cells.array.__arrow_array__().to_pandas(date_as_object=False).array, index=cells.index)
    if not (
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
    ):
        refuse(name, str(kind), "Bring it to such a type (astype)")
    return cells


def check(name: str, values: Iterable[Any]) -> None:
    """Whether Python objects are numbers, truths and words."""
    strange = next((kind for kind in dict.fromkeys(map(type, values)) if not issubclass(kind, WORDS)), None)
    if strange is not None:
        refuse(name, strange.__name__, "Write them as words (astype(str)), dates by pandas.to_datetime")


def refuse(name: str, kind: str, way: str) -> None:
    raise BadData(
        f"Column {name!r} holds values of type {kind}; a cell is a number, a label, a truth, a date or a duration. {way}, or leave the column out "
        f"(drop={name!r})."
    )


def intervals(words: Iterable[str], dtype: str) -> Any:
    """Intervals from how pandas writes them.

    >>> list(intervals(["(0, 18]", "(18, 65]"], "interval[int64, right]"))
    [Interval(0, 18, closed='right'), Interval(18, 65, closed='right')]
    """
    import pandas as pd

    kind, _, closed = dtype.removeprefix("interval[").removesuffix("]").rpartition(", ")
    left, right = (
        pd.Index([word[1:-1].split(", ")[side] for word in words], dtype=object).astype(kind) for side in (0, 1)
    )
    return pd.IntervalIndex.from_arrays(left, right, closed=closed)  # type: ignore[arg-type]


def hint(values: Iterable[Any]) -> str:
    """What words that are nearly all different may have been meant as; nothing if that cannot be told."""
    from .alike import is_number

    some = [value for value, _ in zip(values, range(LOOK), strict=False) if isinstance(value, str) and value.strip()]
    odd = [value for value in some if not is_number(value)]
    if 0 < len(odd) <= FEW < len(some) / 2:
        marks = ", ".join(map(repr, odd))
        return f"All others are numbers: if {marks} stands for a missing cell, say so (missing={odd[0]!r}), or make it NaN. "
    if some and all(DAY.fullmatch(value) for value in some):
        return "If these are dates, write them as 2023-12-31, or pass a DataFrame that has them as dates. "
    if some and all(SIGNED.fullmatch(value) and not value.strip(" +").isdigit() for value in some):
        return "If these are numbers, write them as 1234.5, without other signs. "
    return ""
