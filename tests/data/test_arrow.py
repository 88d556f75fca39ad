"""Parquet, whole and by row groups, and tables that come through the interchange protocols."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
import torch

from pushforward.data import load, people
from pushforward.data.arrow import Parquet, from_arrow
from pushforward.data.stores import Groups
from pushforward.errors import BadData, BadFile, Usage

pa = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def path(tmp_path):
    table = people(500)
    table.loc[:120, "city"] = "Aster"  # a first row group that has not seen every category
    table["rank"] = pd.array([None if i % 7 == 0 else i for i in range(500)], dtype="Int64")
    table.to_parquet(tmp_path / "p.parquet", row_group_size=120, index=False)
    return tmp_path / "p.parquet"


@pytest.mark.parametrize("given", [None, ["city", "works"]])
def test_row_groups_equal_memory(path, given):
    whole, groups = load(path, given=given), load(path, given=given, stream=True)
    assert isinstance(groups.store, Groups) and groups.store.source.sizes == [120, 120, 120, 120, 20]
    assert groups.space == whole.space and groups.given_space == whole.given_space and len(groups) == len(whole)
    rows = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    for a, b in zip(whole.take(rows), groups.take(rows), strict=True):
        assert (a is None and b is None) or (
            a.dtype == b.dtype and torch.equal(a.nan_to_num(-99.0), b.nan_to_num(-99.0))
        )


def test_what_was_written_is_read(path):
    table, examples = pd.read_parquet(path), load(path)
    pd.testing.assert_frame_equal(examples.space.restore(examples.x), table, check_dtype=False)
    assert str(Parquet(path).whole(("rank",))["rank"].dtype) == "Int64"


def test_floats_alone_are_a_vector(tmp_path):
    pd.DataFrame(np.random.default_rng(0).normal(size=(300, 3)), columns=list("abc")).to_parquet(
        tmp_path / "v.parquet", row_group_size=100
    )
    whole, groups = load(tmp_path / "v.parquet"), load(tmp_path / "v.parquet", stream=True)
    assert whole.space.kind == groups.space.kind == "real" and torch.equal(whole.x, groups.x)


def test_row_labels_are_no_column(tmp_path):
    pd.DataFrame({"a": [1.5, 2.0, 3.0]}, index=["x", "y", "z"]).to_parquet(tmp_path / "i.parquet")
    assert load(tmp_path / "i.parquet").space.names == ("a",)


def test_types(tmp_path):
    table = pa.table(
        {
            "decimal": pa.array([decimal.Decimal("1.50"), decimal.Decimal("2.25")]),
            "day": pa.array([datetime.date(1600, 1, 1), datetime.date(2020, 1, 1)]),
            "big": pa.array([2**53 + 1, None], pa.int64()),
            "label": pa.array(["a", None]).dictionary_encode(),
            "truth": pa.array([True, None]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    got = Parquet(tmp_path / "t.parquet").whole(tuple(table.column_names))
    assert got["decimal"].tolist() == [1.5, 2.25] and got["day"][0] == pd.Timestamp("1600-01-01")
    assert got["big"][0] == 2**53 + 1 and pd.isna(got["big"][1]) and got["label"].dtype == "category"
    assert str(got["truth"].dtype) == "boolean"
    # Not by way of a file: pyarrow writes it to one from 21 on alone.
    assert from_arrow(pa.table({"view": pa.array(["a", "b"], pa.string_view())}))["view"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1], [2]]),
        pa.array([b"x", b"y"]),
        pa.array([datetime.time(1), datetime.time(2)]),
        pa.array([{"a": 1}, {"a": 2}]),
    ],
)
def test_nested_and_raw_columns_are_refused(tmp_path, column):
    pq.write_table(pa.table({"good": [1.0, 2.0], "bad": column}), tmp_path / "t.parquet")
    with pytest.raises(BadData, match="'bad' holds values of type .*drop='bad'"):
        load(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet", drop="bad").space.names == ("good",)


def test_damaged_files(path, tmp_path):
    whole = path.read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "no": b"not parquet", "none": b""}.items():
        (tmp_path / f"{name}.parquet").write_bytes(content)
        with pytest.raises(BadFile, match=f"{name}.parquet is not a whole Parquet file"):
            load(tmp_path / f"{name}.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.float64())}), tmp_path / "empty.parquet")
    with pytest.raises(BadFile, match="1 columns and no rows"):
        load(tmp_path / "empty.parquet")


def test_conditions_of_a_stream_are_its_columns(path):
    with pytest.raises(Usage, match="conditioned on its own columns"):
        load(path, stream=True, given=np.zeros(500))
    with pytest.raises(Usage, match="Did you mean 'city'"):
        load(path, stream=True, given="citty")


class Stream:
    """A table of another library: all it has is the Arrow protocol, as in polars."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class Interchange:
    """A table of another library: all it has is the older interchange protocol."""

    def __init__(self, table):
        self.table = table

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self.table.__dataframe__(nan_as_null, allow_copy)


@pytest.mark.parametrize("wrap", [Stream, Interchange, lambda table: table])
def test_tables_of_other_libraries(wrap):
    table = pa.table({"a": [1.5, 2.5, None], "b": ["x", "y", "x"]})
    examples = load(wrap(table), given="b")
    assert (
        examples.space.names == ("a",)
        and examples.given[:, 0].tolist() == [0, 1, 0]
        and bool(torch.isnan(examples.x[2, 0]))
    )


def test_without_pyarrow_the_way_out_is_said(monkeypatch, path):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(Usage, match="need pyarrow. Install it"):
        load(path)
