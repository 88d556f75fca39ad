"""Cells that pandas 2 and pandas 3 read differently, read alike: words, numbers written as words, dates written as words.

words     pandas 3 has a type for them, `str`, in which a missing cell is NaN. Before, they are of type `object`, and `str` would write a missing
          cell out as the word None
numbers   before 3.1 the last digit of a number written with 17 of them could be off, and one above 2^64 or 1e308 was none. Python's float
          rounds correctly, as 3.1 does, and reads those
dates     before 3.0 they are read as nanoseconds, of which 64 bits reach from 1677 to 2262 alone
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
ALONE = re.compile(
    r"[+-]?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?"
)  # a word that is read as a number where a column holds nothing else
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
FINER = re.compile(r"\.\d{7}")  # than a microsecond


def before_3() -> bool:
    import pandas as pd

    return int(pd.__version__.partition(".")[0]) < 3


def is_number(word: Any) -> bool:
    """Whether this is a number written out.

    >>> [is_number(word) for word in ("1e400", " -.5 ", "1_0", "nan", 3)]
    [True, True, False, False, False]
    """
    return isinstance(word, str) and NUMBER.fullmatch(word.strip(" \t\n\r\v\f")) is not None


def word_type() -> str:
    """The type of a column of words: `str` where that is a type of pandas and not NumPy's, which knows no missing cell."""
    import pandas as pd

    return "object" if pd.api.types.pandas_dtype("str").kind == "U" else "str"


def words(cells: Any) -> Any:
    """A column of words; None and NaN stay missing."""
    import pandas as pd

    return pd.Series(cells, dtype=word_type())


def numbers(cells: Any) -> np.ndarray:
    """Cells (a pandas Series) of any type as numbers; NaN where one is missing or none."""
    import pandas as pd

    found = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if not (cells.dtype == object or isinstance(cells.dtype, pd.StringDtype)):
        return found
    return np.array([float(c) if is_number(c) else v for c, v in zip(cells, found, strict=True)], dtype=np.float64)


def iso_dates(cells: np.ndarray, zoned: bool) -> Any:
    """Words that are all ISO dates -> a pandas Series in microseconds, finer only where they are written so. ValueError where one is no date."""
    import pandas as pd

    fine = any(FINER.search(c) for c in cells)
    try:
        found = pd.Series(pd.to_datetime(pd.Series(cells, dtype=object), format="ISO8601", utc=zoned))
    except pd.errors.OutOfBoundsDatetime:
        if fine or not before_3():
            raise
        return microseconds([datetime.fromisoformat(c) for c in cells], zoned)
    return found if fine or not before_3() else found.dt.as_unit("us")


def microseconds(dates: list[datetime], zoned: bool) -> Any:
    """Dates, those with a zone brought to UTC, as pandas keeps them outside the reach of nanoseconds."""
    import pandas as pd

    plain = [date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo is not None else date for date in dates]
    found = pd.Series(np.array(plain, dtype="datetime64[us]"))
    return found.dt.tz_localize("UTC") if zoned else found


def dates(cells: Any) -> Any:
    """Cells (a pandas Series) that may be dates as dates; NaT where one is none."""
    import pandas as pd

    found = pd.to_datetime(cells, errors="coerce")
    if not before_3() or not getattr(found.dtype, "kind", "") == "M":
        return found
    zoned = getattr(found.dtype, "tz", None) is not None
    again = {}
    for row in np.flatnonzero(found.isna().to_numpy()).tolist():
        try:
            date = datetime.fromisoformat(str(cells.iloc[row]).strip())
            if (date.tzinfo is not None) == zoned:
                again[row] = microseconds([date], zoned).iloc[0]
        except (ValueError, OverflowError):  # no date, or one before the year 1 in UTC
            continue
    if not again:
        return found
    found = found.dt.tz_convert("UTC").dt.as_unit("us") if zoned else found.dt.as_unit("us")
    for row, date in again.items():
        found.iloc[row] = date
    return found


def retyped(words: Sequence[str]) -> dict[Any, int]:
    """Words that are numbers or dates where a file holds no others: "1" and "2" beside "A" at fit come as 1 and 2 from a file without "A".
    Two words of one number name neither."""
    import pandas as pd

    found: dict[Any, list[int]] = {}
    for i, word in enumerate(words):
        if ALONE.fullmatch(word):
            found.setdefault(float(word), []).append(i)
        elif DATE.match(word) and not pd.isna(stamp := pd.to_datetime(word, errors="coerce")):
            found.setdefault(str(stamp), []).append(i)
    return {value: codes[0] for value, codes in found.items() if len(codes) == 1}


def indexed(found: Any, came: Any) -> Any:
    """A frame with the labels of the rows that came in: columns that are put beside others by label stand in their rows."""
    return found.set_axis(came.index) if hasattr(found, "iloc") and hasattr(came, "iloc") else found
