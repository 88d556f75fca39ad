"""CSV, TSV, JSON and JSON lines: what cells become, and what is refused with the line."""

import gzip

import numpy as np
import pandas as pd
import pytest

from pushforward.data import load, people
from pushforward.data.tables import read_csv, read_json, read_jsonl
from pushforward.errors import BadFile, Usage

WORDS = str(pd.Series(["a"]).dtype)  # `str` from pandas 3 on, `object` before
FULL = """name,age,born,member,score,zip
Ada,36,1815-12-10,True,1.5,007
Alan,41,1912-06-23,False,-2,123
"""
GAPS = """name,age,born,member,score,zip
Ada,36,1815-12-10,True,1.5,007
,,,,NA,
Alan,41,1912-06-23,False,-2e3,123
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_types(write):
    table = read_csv(write(FULL))
    assert [str(t) for t in table.dtypes] == [WORDS, "int64", "datetime64[us]", "bool", "float64", WORDS]
    assert table["zip"].tolist() == ["007", "123"] and table["born"][0] == pd.Timestamp("1815-12-10")


def test_types_beside_missing_cells(write):
    table = read_csv(write(GAPS))
    assert [str(t) for t in table.dtypes] == [WORDS, "Int64", "datetime64[us]", "boolean", "float64", WORDS]
    assert table.isna().sum().tolist() == [1, 1, 1, 1, 1, 1]
    assert table["score"].tolist()[::2] == [1.5, -2000.0]


def test_words_of_absence_are_words_in_a_column_of_text(write):
    table = read_csv(write("country,n\nNA,1\nFR,NA\nNone,3\n"))
    assert table["country"].tolist() == ["NA", "FR", "None"] and table["n"].isna().tolist() == [False, True, False]


def test_other_marks_of_absence_only_when_asked(write):
    path = write("a,b\n1,x\n?,?\n3,z\n")
    assert read_csv(path)["a"].tolist() == ["1", "?", "3"]
    for missing in ("?", ("?",)):
        table = read_csv(path, missing=missing)
        assert str(table["a"].dtype) == "Int64" and table.isna().sum().tolist() == [1, 1]


@pytest.mark.parametrize("cells", [["2023-02-30", "2023-02-01"], ["2023-01-01", "soon"], ["12/31/2023", "1/1/2024"]])
def test_only_iso_dates_are_dates(write, cells):
    assert read_csv(write("d\n" + "\n".join(cells)))["d"].tolist() == cells


def test_times_and_zones(write):
    table = read_csv(write("a,b\n2020-01-01T10:20:30,2020-01-01T10:00Z\n2020-01-02 00:00,2020-01-01T10:00+02:00\n"))
    assert str(table["a"].dtype).startswith("datetime64[") and str(table["b"].dt.tz) == "UTC"
    assert table["b"][1] == pd.Timestamp("2020-01-01T08:00Z")


@pytest.mark.parametrize(
    "cells, kind",
    [(["9223372036854775807", "1"], "int64"), (["99999999999999999999", "1"], "float64"), (["1e5", "+.5"], "float64")],
)
def test_numbers(write, cells, kind):
    table = read_csv(write("a\n" + "\n".join(cells)))
    assert table["a"].dtype == kind and table["a"].tolist() == [
        type(table["a"][0])(float(c)) if kind == "float64" else int(c) for c in cells
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_is_that_of_the_first_line(write, separator):
    table = read_csv(write(f"a{separator}b\n1{separator}2\n"))
    assert table.to_dict("list") == {"a": [1], "b": [2]}
    assert read_csv(write("a;b,c\n1;2,3\n"), separator=";", decimal="").columns.tolist() == ["a", "b,c"]


def test_quotes_newlines_byte_order_mark_and_packing(write):
    text = '\ufeffa,"b, b"\r\n1,"two\r\nlines ""quoted"""\r\n\r\n2,x\r\n'
    table = read_csv(write(text))
    assert (
        table.columns.tolist() == ["a", "b, b"]
        and table["b, b"].tolist() == ['two\r\nlines "quoted"', "x"]
        and table["a"].tolist() == [1, 2]
    )
    assert load(write(gzip.compress(FULL.encode()), "t.csv.gz")).space.names == (
        "name",
        "age",
        "born",
        "member",
        "score",
        "zip",
    )


def test_header(write):
    path = write("1,2\n3,4\n")
    assert (
        read_csv(path, header=False).columns.tolist() == ["column_1", "column_2"]
        and len(read_csv(path, header=False)) == 2
    )
    assert read_csv(path, header=False, names=["a", "b"]).to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    assert read_csv(write("# made by hand\na,b\n1,2\n"), skip=1).columns.tolist() == ["a", "b"]
    assert read_csv(write(",b\nx,2\n")).columns.tolist() == ["column_1", "b"]


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "empty"),
        ("\n \n", "only blanks"),
        ("a,b\n", "header .* no rows"),
        ("a,b\n1,2\n3\n", "line 3: 1 cells where 2"),
        ("a,b\n1,2\n\n3,4,5\n", "line 4: 3 cells where 2"),
        ('a,b\n1,"2\n3,4\n', "line 3: .*not closed"),
        ("a,a\n1,2\n", "'a' for 2 columns"),
        ("a,b\n1,\x002\n", "NUL byte in line 2"),
        (b"a,b\n1,\xe9t\xe9\n", r'not utf-8 text: byte 0xe9 at offset 6 \(line 2\).*encoding="latin-1"'),
        (b"a,b\n1,\x93quoted\x94\n", 'encoding="cp1252"'),
        (b"\xef\xbb\xbfa\n\xff", r"byte 0xff at offset 5 \(line 2\)"),
        ("a,b\n1,2\n".encode("utf-16"), 'encoding="utf-16"'),
    ],
)
def test_bad_files(write, text, says):
    with pytest.raises(BadFile, match=says) as caught:
        load(write(text))
    assert caught.value.exit_code == 3 and "t.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_encoding_as_said(write):
    path = write("a,b\n1,été\n".encode("latin-1"))
    assert read_csv(path, encoding="latin-1")["b"].tolist() == ["été"]
    assert read_csv(write("a,b\n1,2\n".encode("utf-16")), encoding="utf-16").columns.tolist() == ["a", "b"]
    with pytest.raises(Usage, match="latin-1"):
        read_csv(path, encoding="latin1x")


def test_cut_short_gzip(write):
    with pytest.raises(BadFile, match="not a whole gzip file"):
        load(write(gzip.compress(FULL.encode() * 50)[:-20], "t.csv.gz"))
    with pytest.raises(BadFile, match="not a whole gzip file"):
        load(write(FULL, "t.csv.gz"))


def test_people_through_csv_and_back(tmp_path):
    table = people(300)
    table.to_csv(tmp_path / "p.csv", index=False)
    again = read_csv(tmp_path / "p.csv")
    for name in table:
        a, b = table[name], again[name]
        assert (a.isna() == b.isna()).all()
        assert (
            (a.dropna().astype(str) == b.dropna().astype(str)).all()
            if a.dtype == "category"
            else (a.dropna().to_numpy() == b.dropna().to_numpy()).all()
        )
    examples = load(tmp_path / "p.csv")
    back = examples.space.restore(examples.x)
    pd.testing.assert_frame_equal(back, again, check_dtype=False)
    back.to_csv(tmp_path / "q.csv", index=False)
    assert (tmp_path / "q.csv").read_text() == (tmp_path / "p.csv").read_text()


def test_json_lines(write):
    text = '{"a": 1, "b": "x", "c": true, "d": "2020-01-01"}\n\n{"a": 2.5, "b": null, "d": null, "e": 7}\n'
    table = read_jsonl(write(text, "t.jsonl"))
    assert [str(t) for t in table.dtypes] == ["float64", WORDS, "boolean", "datetime64[us]", "Int64"]
    assert table.isna().sum().tolist() == [0, 1, 1, 1, 1]
    assert read_json(write('[{"a": "12"}, {"a": "x"}]', "t.json"))["a"].tolist() == ["12", "x"]


@pytest.mark.parametrize(
    "name, text, says",
    [
        ("t.jsonl", '{"a": 1}\n{"a": 1\n', "line 2, column"),
        ("t.jsonl", '{"a": 1}\n[1]\n', "line 2: list where an object"),
        ("t.jsonl", '{"a": {"b": 1}}\n', "line 1: 'a' holds a dict"),
        ("t.jsonl", '{"a": 1}\n{"a": "x"}\n', "several kinds .int, str"),
        ("t.jsonl", "{}\n{}\n", "no rows"),
        ("t.jsonl", "[" * 100_000, "line 1"),
        ("t.json", '{"a": 1}', "a JSON dict; a list"),
        ("t.json", "[]", "no rows"),
    ],
)
def test_bad_json(write, name, text, says):
    with pytest.raises(BadFile, match=says):
        load(write(text, name))


def test_adult_as_published(real_data):
    examples = load(real_data / "adult" / "adult.data.gz", format="csv", header=False, missing="?")
    assert len(examples) == 32_561 and examples.space.shape == (15,)
    codes = np.array([c.size - 1 if c.discrete and c.missing else -1 for c in examples.space.columns])
    assert int((examples.x.numpy() == codes).sum()) == 4262  # the missing cells counted by those who published it


def test_a_file_with_a_header_as_published(real_data):
    examples = load(real_data / "diamonds" / "diamonds.csv.gz", given=["cut", "color"])
    assert len(examples) == 53_940 and [c.size for c in examples.given_space.columns] == [5, 7]


# ---- what people have --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "decimal, cells, values",
    [
        (",", ["3,14", "-2", "1.234,5", ""], [3.14, -2.0, 1234.5, None]),
        (".", ['"1,234"', "56", '"7,654,321.5"', "NA"], [1234.0, 56.0, 7654321.5, None]),
        ("", ["3,14", "2", "1,5", ""], ["3,14", "2", "1,5", None]),
    ],
)
def test_commas_in_numbers_are_asked_about(write, decimal, cells, values):
    path = write("a;b\n" + "".join(f"{cell};{i}\n" for i, cell in enumerate(cells)))
    with pytest.raises(BadFile, match=r"column 'a' holds numbers with commas, such as .*decimal=\",\".*decimal=\"\.\""):
        read_csv(path)
    found = read_csv(path, decimal=decimal)["a"]
    assert [None if pd.isna(v) else v for v in found] == values
    with pytest.raises(Usage, match="decimal='x'"):
        read_csv(path, decimal="x")


def test_numbers_without_commas_are_left_alone_where_commas_are_said(write):
    """As a sample of a model that was fitted on a file with commas is written."""
    assert read_csv(write("a;b\n1.234;1\n1.2345;2\n"), decimal=",")["a"].tolist() == [1.234, 1.2345]
    assert read_csv(write("a;b\n1.234;1\n1.234,5;2\n-2e3;3\n"), decimal=",")["a"].tolist() == [1234.0, 1234.5, -2000.0]


@pytest.mark.parametrize(
    "first, asked",
    [
        ("39,x,77516", True),
        ("5.1,y,3.5", True),
        ("0,1,2", False),
        ("1990,2000,2010", False),
        ("name,x,400000", False),
        ("a,b,c", False),
    ],
)
def test_a_first_line_that_looks_like_data_is_asked_about(write, first, asked):
    rows = "".join(f"{i % 60},{'xyz'[i % 3]},{i * 577}\n" for i in range(300))
    path = write(f"{first}\n{rows}")
    if asked:
        with pytest.raises(BadFile, match="looks like a row of data.*header=False"):
            read_csv(path)
    assert read_csv(path, header=True).columns.tolist() == first.split(",") and len(read_csv(path, header=False)) == 301
    assert asked or read_csv(path).columns.tolist() == first.split(",")


def test_blanks_between_numbers_and_quoted_separators(write):
    assert read_csv(write("  0.5   1.5 \n 2.5  -1e3\n"), header=False).to_numpy().tolist() == [
        [0.5, 1.5],
        [2.5, -1000.0],
    ]
    assert read_csv(write("a b\n1 2\n")).to_dict("list") == {"a": [1], "b": [2]}
    assert read_csv(write("free words\nanother line\n")).columns.tolist() == ["free words"]
    assert read_csv(write('"x, y, z";"v"\n1;2\n')).columns.tolist() == ["x, y, z", "v"]


def test_the_number_of_a_telephone_is_no_number(write):
    assert read_csv(write("a\n+4915112345678\n+4915112345679\n"))["a"].tolist() == ["+4915112345678", "+4915112345679"]
    assert read_csv(write("a\n+5\n-3\n"))["a"].tolist() == [5, -3]


def test_what_stands_above_a_header_and_very_long_cells(write):
    with pytest.raises(BadFile, match="line 3: 2 cells where 1 were awaited .*Say skip="):
        read_csv(write("# made by hand\na,b\n1,2\n".replace("a,b", "\na,b")))
    with pytest.raises(BadFile, match="a cell has more than 131,072 characters"):
        read_csv(write("a,b\n1," + "x" * 200_000 + "\n"))
    with pytest.raises(BadFile, match="no line after the 9999999999 left out"):
        read_csv(write("a\n1\n"), skip=9_999_999_999)
    for encoding in ("undefined", "punycode"):
        with pytest.raises(Usage, match=f"no encoding '{encoding}'"):
            read_csv(write("a.,b\n1,2\n"), encoding=encoding)


def test_numbers_of_rows_that_pandas_and_r_write_are_no_data(write, tmp_path):
    table = people(30).sample(frac=0.5, random_state=0)
    table.to_csv(tmp_path / "p.csv")
    assert load(tmp_path / "p.csv").space.names == tuple(table.columns)
    assert read_csv(write('"","a","b"\n"1",5,x\n"2",5,y\n')).columns.tolist() == ["a", "b"]
    for text in (",a\n1,5\n1,6\n", ",a\nx,5\ny,6\n", "n,a\n1,5\n2,6\n", ",\n1,5\n2,6\n", "\n1\n2\n"):
        assert len(read_csv(write(text), header=True).columns) == text.split("\n")[-2].count(",") + 1
    assert read_csv(write(",a\n1,5\n2,6\n"), names=["id", "a"]).columns.tolist() == ["id", "a"]
