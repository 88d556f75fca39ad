"""What comes in comes back in kind, or is refused by name: arrays and tensors as they lie, and columns of every type that pandas has."""

import datetime
import enum
import json
import uuid
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward.data import load
from pushforward.errors import BadData, Usage
from pushforward.space import Space
from pushforward.space.alike import before_3

rng = np.random.default_rng(0)
N = 60
X = rng.normal(size=(N, 3))
DAYS = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 400, N), "D")


# ---- arrays and tensors --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "x",
    [
        X.astype(">f8"),
        rng.integers(0, 9999, (N, 4, 4)).astype(">u2"),
        X[::-1],
        X[:, ::-1],
        X.astype(np.longdouble),
        rng.integers(0, 100, (N, 3)).astype(np.uint64),
        np.ma.masked_array(X),
    ],
    ids=lambda x: f"{type(x).__name__}-{x.dtype}-{x.strides[0]}",
)
def test_an_array_is_read_as_it_lies(x):
    space = Space.of(x)
    back = space.restore(space.read(x))
    assert np.array_equal(back, np.asarray(x, dtype=back.dtype)) and back.dtype.kind == x.dtype.kind


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int64", "uint64", "uint8", "bool"])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_a_tensor_comes_back_as_a_tensor_of_its_type(kind, scale):
    x = torch.as_tensor(scale * X.clip(0)).to(getattr(torch, kind))
    drawn = pf.Empirical().fit(x, quiet=True).sample(5, seed=0)
    assert drawn.dtype == x.dtype and torch.equal(load(x).space.restore(load(x).x), x)


def test_what_may_not_be_written_to_is_read_without_a_warning():
    x = X.copy()
    x.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(load(x).x, torch.as_tensor(X)) and torch.equal(
            load(np.where(x > 1, np.nan, x)).x[:, 0] > 1, torch.zeros(N) > 1
        )


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn"])
def test_a_tensor_of_a_type_that_numpy_has_not_is_read(kind):
    x = torch.as_tensor(X).to(getattr(torch, kind))
    assert torch.equal(load(x).x.float(), x.float())


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: np.ma.masked_array(X, mask=X > 1), "masked array, of which .* values are masked"),
        (lambda: np.array([["2020-01-01"], ["2020-02-01"]], dtype="M8[D]"), "datetime64.*DataFrame"),
        (lambda: np.array([["1", "2"], ["3", "4"]]), "of type <U1.*DataFrame"),
        (lambda: np.array([(1, 2.0)] * 3, dtype=[("a", "i4"), ("b", "f8")]), "an array of numbers is awaited"),
        (lambda: [[1.0, 2.0], [3.0]], "all of one length"),
        (lambda: {"a": [1, 2], "b": [1]}, "dict cannot be read as a table"),
        (lambda: torch.eye(3).to_sparse(), "to_dense"),
        (lambda: torch.zeros(3, 2, device="meta"), "sparse, nested, quantised or empty"),
    ],
)
def test_what_would_come_back_as_something_else_is_refused(make, says):
    with pytest.raises(BadData, match=says):
        load(make())


def test_parts_of_torch_and_tables_of_others():
    rows = torch.utils.data.TensorDataset(torch.zeros(3, 2))
    for thing in (rows, torch.utils.data.DataLoader(rows)):
        with pytest.raises(Usage, match=r"does not say what its parts are.*given="):
            load(thing)

    class Rows:
        """A table of another library: all it has is its way to pandas."""

        def to_pandas(self):
            return pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})

    assert load(Rows()).space.names == ("a", "b")


def test_columns_are_found_whatever_type_their_names_are_of():
    frame = pd.DataFrame(X[:, :2]).assign(**{"word": rng.choice(["p", "q"], N)})
    for part in (frame, frame[[0, 1]]):
        model = pf.Histogram().fit(part, quiet=True)
        assert len(model.log_prob(part.iloc[:, ::-1])) == N
    with pytest.raises(BadData, match="'0' stands twice"):
        pf.Histogram().fit(frame[[0, 1]], quiet=True).log_prob(frame[[0, 1, 1, 0]])


# ---- columns -------------------------------------------------------------------------------------------------------
COLUMNS = {
    "pandas.cut": pd.cut(X[:, 0], 4),
    "pandas.qcut": pd.qcut(X[:, 0], 3),
    "whole numbers cut": pd.cut(rng.integers(0, 100, N), [0, 18, 65, 100], right=False),
    "dates cut": pd.cut(DAYS, 3),
    "intervals": pd.arrays.IntervalArray.from_breaks(range(N + 1)),
    "periods": DAYS.to_period("M"),
    "sparse": pd.arrays.SparseArray(np.where(X[:, 0] > 1, X[:, 0], 0)),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_a_type_of_pandas_comes_back_as_it_was(name):
    same(pd.DataFrame({name: COLUMNS[name], "beside": X[:, 1]}))


@pytest.mark.parametrize("kind", ["int64", "double", "string", "bool", "timestamp[us]", "date32[day]", "duration[us]"])
def test_a_column_that_arrow_holds_comes_back_as_it_was(kind):
    pytest.importorskip("pyarrow")
    if kind == "string" and before_3():
        pytest.skip("pandas 2 writes no name of a type that says where its words lie")
    cells = {"t": DAYS, "d": DAYS.date if kind.startswith("date") else DAYS - DAYS[0], "s": list("ab") * 30}
    plain = pd.Series(cells.get(kind[0], X[:, 0] > 0 if kind == "bool" else (100 * X[:, 0]).round()))
    column = (plain if kind != "double" else pd.Series(X[:, 0])).astype(f"{kind}[pyarrow]")
    same(pd.DataFrame({"whole": column, "gaps": column.where(X[:, 2] > -1), "beside": X[:, 1]}))


def test_a_date_of_a_zone_that_arrow_holds():
    pa = pytest.importorskip("pyarrow")
    column = pd.Series(DAYS).dt.tz_localize("UTC").astype(pd.ArrowDtype(pa.timestamp("us", "Europe/Berlin")))
    same(pd.DataFrame({"when": column, "beside": X[:, 1]}))


def same(frame):
    """Through the space and its card; each value and its type."""
    space = Space.of(frame)
    space = Space.from_json(json.loads(json.dumps(space.to_json())))
    back = space.restore(space.read(frame))
    pd.testing.assert_frame_equal(back, frame)


Colour = enum.Enum("Colour", "red green")


@pytest.mark.parametrize(
    "cells, kind",
    [
        ([[1, 2]] * N, "list"),
        ([{"a": 1}] * N, "dict"),
        ([(1, 2)] * N, "tuple"),
        ([b"x", b"y"] * 30, "bytes"),
        ([uuid.UUID(int=i % 3) for i in range(N)], "UUID"),
        ([list(Colour)[i % 2] for i in range(N)], "Colour"),
        ([datetime.time(i % 24) for i in range(N)], "time"),
        (pd.Series([datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)] * N, dtype=object), "datetime"),
        (pd.Categorical([(1, 2), (3, 4)] * 30), "tuple"),
        (X[:, 0] + 1j, "complex number"),
        (DAYS.tz_localize(datetime.timezone(datetime.timedelta(hours=2), "ship's time")), "datetime64.*no name"),
    ],
)
def test_values_that_would_come_back_as_words_are_refused_by_name(cells, kind):
    frame = pd.DataFrame({"odd": cells, "beside": X[:, 0]})
    with pytest.raises(BadData, match=rf"'odd' holds values of type {kind}.*drop='odd'"):
        load(frame)
    assert load(frame, drop="odd").space.names == ("beside",)
    if kind in ("list", "tuple"):
        space = Space.of(pd.DataFrame({"odd": ["a", "b"] * 30, "beside": X[:, 0]}))
        with pytest.raises(BadData, match=f"'odd' holds values of type {kind}"):
            space.read(frame)


@pytest.mark.parametrize(
    "cells, says",
    [
        (["-" if i % 7 == 0 else f"{i / 8}" for i in range(300)], r"if '-' stands for a missing cell.*missing='-'"),
        ([f"{i % 12 + 1}/{i % 28 + 1}/{1900 + i % 120}" for i in range(300)], "If these are dates.*2023-12-31"),
        ([f"${i}.50" for i in range(300)], "If these are numbers.*without other signs"),
        ([f"user-{i}" for i in range(300)], r"to learn\. Leave it out"),
        ([f"{i:05d}" for i in range(300)], r"to learn\. Leave it out"),
    ],
)
def test_what_was_probably_meant_is_said(cells, says):
    with pytest.raises(BadData, match=f"identifier or free text.*{says}"):
        load(pd.DataFrame({"a": cells, "b": np.arange(300.0)}))


def test_what_fit_takes_the_doors_take():
    """A table of Arrow, a dict of columns, one column by itself."""
    pa = pytest.importorskip("pyarrow")
    table = pd.DataFrame({"a": [0.5, 1.0, 2.5, 4.0, 5.5] * 4, "b": list("xyxyx") * 4})
    model = pf.Factorised().fit(table[["b"]])
    want = model.log_prob(table[["b"]])
    for same in (pa.table({"b": table.b}), {"b": table.b.tolist()}, table.b):
        assert np.array_equal(model.log_prob(same), want)
    both = pf.MADE(hidden=(8,)).fit(pa.Table.from_pandas(table), steps=2, quiet=True)
    full = both.complete(pa.table({"a": [0.5, None], "b": ["x", "y"]}), seed=0)
    assert full.a[0] == 0.5 and not full.a.isna().any()


def test_what_is_no_row_of_this_model_is_said():
    points = pf.Gaussian().fit(np.random.default_rng(0).normal(size=(20, 2)))
    with pytest.raises(BadData, match="holds more than numbers .*'x'.*built for real of shape"):
        points.log_prob(pd.DataFrame({"a": [1.0], "b": ["x"]}))
    table = pf.Factorised().fit(pd.DataFrame({"b": list("xyxyx")}))
    with pytest.raises(BadData, match="Texts were passed; .* table of 1 columns: b"):
        table.log_prob(["x", "y"])
