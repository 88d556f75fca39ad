"""The same cells under pandas 2 and pandas 3: words, numbers and dates that the two read differently, and folders that one wrote and the other reads."""

import random
from datetime import date

import numpy as np
import pandas as pd
import pytest

from pushforward.data.tables import read_csv, read_jsonl
from pushforward.metrics.frames import numbers as judged
from pushforward.space import Column, Space, alike
from pushforward.space.columns import read, restore

WORDS = pd.Series(["a"]).dtype  # `str` from pandas 3 on, `object` before


def digits(n, seed=0):
    """Numbers as they may be written: shortest, with a power of ten, with more digits than a float64 has."""
    rng = random.Random(seed)
    out = [repr(rng.uniform(-1e6, 1e6)) for _ in range(n)]
    out += [repr(rng.random() * 10 ** rng.randint(-300, 300)) for _ in range(n)]
    return out + [
        f"{rng.randint(1, 10 ** rng.randint(1, 25))}.{rng.randint(0, 10 ** rng.randint(1, 25))}" for _ in range(n)
    ]


def test_every_number_is_rounded_as_python_rounds_it(tmp_path):
    cells = [word for word in digits(3000) if not word.startswith("00")]
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{word},w\n" for word in cells))
    want = [float(word) for word in cells]
    assert read_csv(tmp_path / "t.csv")["a"].tolist() == want
    words = pd.Series(cells)
    column = Column("a", "number", low=-1e308, high=1e308)
    assert (
        alike.numbers(words).tolist() == read(column, words).tolist() == judged(column, words, "real").tolist() == want
    )


@pytest.mark.parametrize(
    "big", ["99999999999999999999", "-9223372036854775809", "18446744073709551616", "1e400", "1" * 400]
)
@pytest.mark.parametrize("beside", ["1", "2.5"])
def test_a_number_beyond_64_bits_is_a_number(tmp_path, big, beside):
    (tmp_path / "t.csv").write_text(f"a\n{big}\n{beside}\n")
    assert read_csv(tmp_path / "t.csv")["a"].tolist() == [float(big), float(beside)]
    (tmp_path / "t.csv").write_text(f"a\n{big}\n{beside}\nword\n")
    assert read_csv(tmp_path / "t.csv")["a"].tolist() == [big, beside, "word"]


def test_what_is_no_number_stays_none():
    cells = pd.Series(["1_0", "0x10", "nan", " 7 ", "１", None, 3, 2.5, "1e5", "1 000"], dtype=object)
    np.testing.assert_array_equal(alike.numbers(cells), [np.nan] * 3 + [7.0] + [np.nan] * 2 + [3.0, 2.5, 1e5, np.nan])


@pytest.mark.parametrize(
    "cells, kind",
    [
        (["1500-01-01", "9999-12-31"], "datetime64[us]"),
        (["2020-01-01", "2021-01-01T10:20:30.123456"], "datetime64[us]"),
        (["2020-01-01T10:20:30.123456789"], "datetime64[ns]"),
        (["1500-01-01T10:00+02:00", "2020-01-01T10:00:00Z"], "datetime64[us, UTC]"),
        (["2020-01-01T10:00+02:00", "2020-01-01T10:00:00Z"], "datetime64[us, UTC]"),
    ],
)
def test_dates_of_every_century_and_their_unit(tmp_path, cells, kind):
    (tmp_path / "t.jsonl").write_text("".join(f'{{"d": "{cell}"}}\n' for cell in cells))
    (tmp_path / "t.csv").write_text("d\n" + "\n".join(cells))
    for got in (read_csv(tmp_path / "t.csv")["d"], read_jsonl(tmp_path / "t.jsonl")["d"]):
        assert str(got.dtype) == kind and [pd.Timestamp(cell) for cell in cells] == [
            one if one.tzinfo is None else one.tz_convert("UTC") for one in got
        ]


@pytest.mark.parametrize(
    "cells", [["1500-02-29"], ["1500-01-01T24:00"], ["1500-01-01T10:00:00.123456789"], ["1500-01-01Z"]]
)
def test_what_no_calendar_has_is_a_word(tmp_path, cells):
    (tmp_path / "t.csv").write_text("d\n" + "\n".join(cells))
    assert read_csv(tmp_path / "t.csv")["d"].tolist() == cells


def test_old_dates_written_as_words_are_read_by_a_column_of_dates():
    column = Column("d", "date", unit="D", low=-200000, high=20000, step=1.0)
    cells = pd.Series(["1500-01-01", "2020-01-01", "soon"], dtype=object)
    outside = np.zeros(3, dtype=bool)
    got = read(column, cells, outside)
    epoch = date(1970, 1, 1)
    assert got[:2].tolist() == [(date(1500, 1, 1) - epoch).days, (date(2020, 1, 1) - epoch).days]
    assert outside.tolist() == [False, False, True]


@pytest.mark.parametrize("wrote", ["str", "object"])
def test_words_that_the_other_pandas_wrote(wrote):
    """`str` in a card is the type of words of the pandas that is there; `object` is what it says."""
    card = {"kind": "table", "shape": [2], "names": ["w", "c"], "form": "frame"}
    words = {"kind": "category", "categories": ["a", "b"], "missing": True}
    card["columns"] = [{"name": "w", "dtype": wrote} | words, {"name": "c", "dtype": f"category:{wrote}"} | words]
    space = Space.from_json(card)
    given = pd.DataFrame({"w": ["a", None, "b"], "c": pd.Categorical(["b", "a", None], categories=["a", "b"])})
    x = space.read(given)
    assert x.tolist() == [[0.0, 1.0], [2.0, 0.0], [1.0, 2.0]]
    back = space.restore(x)
    assert back["w"].dtype == (WORDS if wrote == "str" else object) and back["w"].isna().tolist() == [
        False,
        True,
        False,
    ]
    assert back["w"].dropna().tolist() == ["a", "b"] and back["c"].cat.categories.tolist() == ["a", "b"]
    assert back["c"].isna().tolist() == [False, False, True]
    assert (space.read(back) == x).all()


def test_what_is_inferred_of_words_comes_back_as_it_was():
    for cells in (
        pd.Series(["a", None, "b"] * 9),
        pd.Series(["a", None, "b"] * 9, dtype=object),
        alike.words(["a", None, "b"] * 9),
    ):
        column = Space.of(pd.DataFrame({"w": cells})).columns[0]
        back = restore(column, read(column, cells))
        assert (
            back.dtype == cells.dtype
            and (back.isna() == cells.isna()).all()
            and (back.dropna() == cells.dropna()).all()
        )
