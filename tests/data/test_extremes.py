"""Values at the edges: what they are read as, that they come back as they were, and what is said of those that have no place."""

import datetime
import json
import resource
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward.data import singular
from pushforward.errors import BadData
from pushforward.space import Chart, Space
from pushforward.space.columns import EXACT, MANY
from pushforward.space.raw import fitting

rng = np.random.default_rng(0)
N = 60
GAP = rng.random(N) > 0.8
seconds = rng.integers(0, 10**9, N).astype("timedelta64[s]")
COLUMNS = {
    "int64 beyond 2^53": rng.integers(2**60, 2**60 + 10**6, N),
    "int64 below -2^53": -rng.integers(2**61, 2**61 + 10**6, N),
    "uint64 at its end": np.uint64(2**64 - 1) - rng.integers(0, 10**6, N).astype(np.uint64),
    "Int64 beyond 2^53 with gaps": pd.array(
        [None if gap else 2**61 + 3 * i for i, gap in enumerate(GAP)], dtype="Int64"
    ),
    "int8": rng.integers(-128, 128, N).astype(np.int8),
    "uint16": rng.integers(0, 65536, N).astype(np.uint16),
    "Int16 with gaps": pd.array([None if gap else 3 * i for i, gap in enumerate(GAP)], dtype="Int16"),
    "bool": rng.random(N) > 0.5,
    "boolean with gaps": pd.array([None if gap else bool(i % 2) for i, gap in enumerate(GAP)], dtype="boolean"),
    "float16": rng.normal(size=N).astype(np.float16),
    "float32": rng.normal(size=N).astype(np.float32),
    "denormal": rng.normal(size=N) * 5e-320,
    "huge": rng.normal(size=N) * 1e300,
    "Decimal": [Decimal(f"{v:.2f}") for v in 100 * rng.normal(size=N)],
    "Decimal with gaps": [None if gap else Decimal(f"{v:.3f}") for v, gap in zip(rng.normal(size=N), GAP, strict=True)],
    "Decimal that never varies": [Decimal("7.50")] * N,
    "date before 1677": np.datetime64("1500-01-01", "s") + seconds,
    "date before 1677 in microseconds": (np.datetime64("1400-01-01", "us") + seconds) + np.timedelta64(7, "us"),
    "date in nanoseconds": pd.to_datetime(rng.integers(10**18, 10**18 + 10**6, N)),
    "date of a zone": pd.date_range("2020-03-28", periods=N, freq="h", tz="Europe/Berlin"),
    "date of a zone in nanoseconds": pd.date_range("2020-01-01", periods=N, freq="h", tz="UTC").astype(
        "datetime64[ns, UTC]"
    ),
    "datetime.date": [datetime.date(1600 + i, 1, 1 + i % 28) for i in range(N)],
    "datetime.date with gaps": [None if gap else datetime.date(1600 + i, 2, 3) for i, gap in enumerate(GAP)],
    "duration": pd.to_timedelta(rng.integers(-(10**6), 10**6, N), unit="s"),
    "duration in nanoseconds": pd.to_timedelta(rng.integers(0, 10**6, N), unit="ns"),
    "duration with gaps": pd.Series(pd.to_timedelta(rng.integers(0, 10**6, N), unit="min")).where(~GAP),
    "mixed": [1, "a", 2.5, None] * (N // 4),
    "whole numbers as objects": pd.Series([5, None, 7, 9] * (N // 4), dtype=object),
    "numbers as objects": pd.Series([5.5, None, 7.25, 9.0] * (N // 4), dtype=object),
    "constant": [5] * N,
    "constant word": ["a"] * N,
    "all missing": [np.nan] * N,
    "all missing objects": pd.Series([None] * N, dtype=object),
    "all missing dates": pd.Series([pd.NaT] * N),
    "category that never comes": pd.Categorical(rng.choice(list("ab"), N), categories=list("abz")),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_as_it_was(name):
    """Through the space, and through its card; the type of each value too."""
    frame = pd.DataFrame({name: COLUMNS[name], "beside": rng.normal(size=N)})
    space = Space.of(frame)
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    tensor = space.read(frame)
    back = space.restore(tensor)
    assert back[name].dtype == frame[name].dtype and back[name].equals(frame[name])
    assert [type(v) for v in back[name]] == [type(v) for v in frame[name]]
    number = space.columns[0].kind in ("number", "integer", "date") if space.columns else True
    assert not number or len(torch.unique(tensor[:, 0])) >= len(frame[name].dropna().unique())


def test_whole_numbers_that_span_more_than_a_float64_holds_are_rounded_to_it():
    wide = rng.integers(-(2**62), 2**62, N)
    frame = pd.DataFrame({"hash": wide, "beside": rng.normal(size=N)})
    back = Space.of(frame).restore(Space.of(frame).read(frame))["hash"]
    assert back.dtype == np.int64 and 0 < np.abs(back - wide).max() <= 2**62 / EXACT


@pytest.mark.parametrize(
    "x",
    [
        rng.integers(-128, 128, (50, 3)).astype(np.int8),
        rng.integers(0, 65536, (50, 3)).astype(np.uint16),
        rng.integers(2**60, 2**60 + 1000, (50, 3)),
        rng.random((50, 3)) > 0.5,
        rng.normal(size=(50, 3)).astype(np.float16),
        np.column_stack([rng.normal(size=50), np.full(50, 0.1)]),
        np.column_stack([rng.integers(-50, 50, 50), np.full(50, 2**62 + 1)]),
    ],
    ids=lambda x: f"{x.dtype}-{x.shape[1]}",
)
def test_an_array_comes_back_as_it_was(x):
    space = Space.of(x)
    back = space.restore(space.read(x))
    assert back.dtype == x.dtype and np.array_equal(back, x)


def test_what_is_drawn_never_leaves_a_type():
    """A sample beyond the ends of a type would wrap round: 130 as an int8 is -126."""
    x = torch.tensor([[-1e9, 1e300], [129.6, 126.5]], dtype=torch.float64)
    assert fitting(x.numpy(), np.dtype("int8")).tolist() == [[-128, 127], [127, 126]]
    assert fitting(x.numpy(), np.dtype("uint16")).tolist() == [[0, 65535], [130, 126]]
    assert fitting(x.numpy(), np.dtype("int64"))[0, 1] >= 2**63 - 2048
    assert np.isfinite(fitting(x.numpy(), np.dtype("float16"))).all()


def test_constants_are_left_out_of_what_a_model_sees():
    x = np.column_stack([np.full(50, 7.25), rng.normal(size=50), np.full(50, -1.0)])
    space = Space.of(x)
    assert space.fixed == ((0, 7.25), (2, -1.0)) and Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    for coordinates in ("natural", "continuous", "plain", "codes", "features"):
        chart = Chart.of(space, coordinates, space.read(x))
        assert chart.space.shape == (1,)
        y, ladj = chart(space.read(x))
        assert np.allclose(chart.inverse(y).numpy(), x) and torch.isfinite(ladj).all()
        assert np.array_equal(
            space.restore(chart.inverse(torch.randn(9, 1, dtype=torch.float64)))[:, [0, 2]],
            np.full((9, 2), [7.25, -1.0]),
        )
        other = space.read(x[:3]).clone()
        other[1, 2] = 4.0
        assert chart(other)[1].isinf().tolist() == [False, True, False]
        mask = torch.tensor([[True, False, True]])
        assert chart.seen(mask).tolist() == [[False]]


def test_one_row_and_no_row():
    assert Space.of(np.ones((1, 3))).fixed == ()  # of one row all would be constant
    with pytest.raises(BadData, match=r"0 sample"):
        Space.of(np.zeros((0, 3)))
    with pytest.raises(BadData, match="0 rows"):
        Space.of(pd.DataFrame({"a": []}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_named(value):
    x = rng.normal(size=(20, 2))
    x[7, 1] = value
    frame = pd.DataFrame(x, columns=["a", "b"])
    if np.isinf(value):
        with pytest.raises(BadData, match=r"1 of 40 values, the first in row 7"):
            pf.Examples(x)
        with pytest.raises(BadData, match=r"'b' holds 1 infinite values, the first in row 7"):
            pf.Examples(frame)
    fitted = Space.of(frame.drop(7))
    with pytest.raises(BadData, match=r"1 of 40 values, the first in row 7, column 'b'"):
        fitted.read(frame)


# ---- categories ----------------------------------------------------------------------------------------------------
def test_an_identifier_and_free_text_are_named():
    for cells in ([f"user-{i}" for i in range(500)], [f"Note {i}: all well, {i * i} seen." for i in range(500)]):
        with pytest.raises(
            BadData, match=r"Column 'who' has 500 distinct values in 500 rows: .*identifier or free text.*drop='who'"
        ):
            pf.Examples(pd.DataFrame({"who": cells, "x": np.arange(500.0)}))


@pytest.mark.parametrize("how", ["words", "categories", "each twice"])
def test_a_million_categories_are_refused_and_not_spread_out(how):
    """Within 600 MiB beside the data: one code of each in one-hot form would take a million numbers a row."""
    words = np.array([f"w{i}" for i in range(10**6 if how != "each twice" else 10**5 // 2)], dtype=object)
    cells = pd.Categorical.from_codes(np.arange(1000), categories=words) if how == "categories" else words
    frame = pd.DataFrame({"id": np.repeat(cells, 3) if how == "each twice" else cells})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadData, match=r"Column 'id' has [\d,]+ (distinct values|categories).*drop='id'"):
        pf.MADE().fit(frame, steps=1, quiet=True)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 * 1024


def test_as_many_categories_as_can_be_learned():
    cells = np.repeat([f"w{i}" for i in range(MANY)], 3)
    assert Space.of(pd.DataFrame({"a": cells})).columns[0].size == MANY


def test_an_unseen_category_is_named_with_how_many_there_are():
    space = Space.of(pd.DataFrame({"a": list("xyz") * 5, "b": np.arange(15.0)}))
    with pytest.raises(BadData, match=r"Column 'a', row 1: 'q' was not among the 3 categories at fit \(2 such cells\)"):
        space.read(pd.DataFrame({"a": ["x", "q", "r"], "b": [0.0, 1.0, 2.0]}))


def test_rows_are_read_loosely():
    frame = pd.DataFrame(
        {
            "word": list("xyz") * 8,
            "flag": [True, False] * 12,
            "n": np.arange(24) * 7,
            "v": rng.normal(size=24),
            "day": pd.date_range("2020-01-01", periods=24),
        }
    )
    space = Space.of(frame)
    tensor, outside = space.read_loosely(frame)
    assert not outside.any() and torch.equal(tensor, space.read(frame))
    strange = frame.astype(object)
    strange.loc[1, "word"], strange.loc[2, "v"], strange.loc[3, "n"] = "q", np.inf, "many"
    strange.loc[4, "day"], strange.loc[5, "v"], strange.loc[6, "flag"] = "no day", None, 7
    tensor, outside = space.read_loosely(strange)
    assert {(int(i), space.names[int(j)]) for i, j in zip(*np.nonzero(outside), strict=True)} == {
        (1, "word"), (2, "v"), (3, "n"), (4, "day"), (5, "v"), (6, "flag")
    }  # fmt: skip
    whole = ~outside.any(1)
    assert torch.equal(tensor[whole], space.read(frame)[whole]) and bool(torch.isfinite(tensor).all())
    space.read(tensor)  # what stands in the place of a strange cell is a value of the space


def test_rows_of_numbers_are_read_loosely():
    x = np.column_stack([rng.normal(size=20), np.full(20, 3.0), rng.normal(size=20)])
    space, other = Space.of(x), x.copy()
    other[2, 0], other[4, 1], other[5, 2] = np.nan, 4.0, -np.inf
    for raw in (other, torch.from_numpy(other.copy())):
        tensor, outside = space.read_loosely(raw)
        assert np.argwhere(outside).tolist() == [[2, 0], [4, 1], [5, 2]]
        assert bool(torch.isfinite(space.read(tensor)).all()) and bool((tensor[:, 1] == 3.0).all())
    bits = rng.random((9, 3)) > 0.5
    assert not Space.of(bits).read_loosely(bits)[1].any()


# ---- columns that determine one another ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("x", "groups"),
    [
        (lambda a, b, c: [a, b, c], []),
        (lambda a, b, c: [a, b, a], [("x0", "x2")]),
        (lambda a, b, c: [a, -3 * a + 1, b], [("x0", "x1")]),
        (lambda a, b, c: [a, b, c, a + 2 * b], [("x0", "x1", "x3")]),
        (lambda a, b, c: [a, b, a + 1e-3 * c], []),
        (lambda a, b, c: [a, b, a + 1e-9 * c], [("x0", "x2")]),
        (lambda a, b, c: [1e200 * a, 1e-200 * a, b], [("x0", "x1")]),
        (lambda a, b, c: [a, a**2, b], []),  # not a linear function
        (lambda a, b, c: [a, np.full(200, 3.0), np.full(200, 4.0)], []),  # constants are left out anyway
    ],
)
def test_columns_that_determine_one_another_are_found(x, groups):
    a, b, c = np.random.default_rng(3).normal(size=(3, 200))
    data = np.stack(x(a, b, c), 1)
    assert singular(data) == groups == singular(pf.Examples(data))
    frame = pd.DataFrame(data, columns=[f"x{j}" for j in range(data.shape[1])])
    assert singular(frame.assign(word=list("ab") * 100)) == groups


def test_rows_in_single_precision_are_alike_up_to_their_rounding():
    a = rng.normal(size=(300, 2)).astype(np.float32)
    assert singular(np.column_stack([a, a[:, :1] * np.float32(1.7)])) == [("x0", "x2")]


def test_of_very_many_columns_the_copies_are_found():
    """Rare columns that are 0 almost everywhere, and as often 1 as one another, are none."""
    x = rng.normal(size=(900, 600))
    x[:, 1:40], x[np.arange(100, 139), np.arange(1, 40)] = 0.0, 1.0
    assert singular(x) == []
    x[:, [7, 55, 590]] = np.column_stack([5 - 2 * x[:, 300], x[:, 100], 1e-9 * x[:, 100]])
    found = singular(x)
    assert len(found) == 3 and ("x7", "x300") in found and set().union(*found) == {"x7", "x300", "x55", "x100", "x590"}


def test_what_holds_in_some_rows_only_is_no_rule():
    """Every 20th row is looked at; the 21st says otherwise. Gaps leave their rows out, and no more."""
    x = rng.normal(size=(40_000, 3))
    x[:, 2] = x[:, 0] + x[:, 1]
    assert singular(x) == [("x0", "x1", "x2")]
    gaps = x.copy()
    gaps[::2, 1] = np.nan
    assert singular(gaps) == [("x0", "x1", "x2")]
    x[21::40, 2] += 1.0
    assert singular(x) == []


def test_probabilities_have_no_such_trouble():
    word = rng.choice(list("abc"), 100)
    n = rng.integers(0, 1000, 100)
    assert singular(pd.DataFrame({"a": word, "b": word, "n": n, "m": 2 * n})) == []
    assert singular((rng.random((50, 2)) > 0.5)[:, [0, 1, 0]]) == []


def test_a_fit_says_so_by_name():
    x = rng.normal(size=(50, 2))
    with pytest.warns(UserWarning, match="'x0', 'x2' determine one another: a density has no limit there") as told:
        pf.GaussianMixture().fit(np.column_stack([x, x[:, 0]]), quiet=True)
    assert told[-1].filename == __file__  # the line of the user's that led to it
    with pytest.warns(UserWarning, match="5 rows of 9 columns"):
        pf.PCA(latent=2).fit(rng.normal(size=(5, 9)), quiet=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        pf.GaussianMixture().fit(x, quiet=True)
        pf.GAN().fit(np.column_stack([x, x[:, 0]]), steps=1, quiet=True)  # no density, nothing to say
    with pytest.warns(UserWarning, match="So do 6 other groups of columns; pushforward.data.singular"):
        pf.GaussianMixture().fit(np.column_stack([x] + [x[:, :1] * k for k in range(2, 12)]), quiet=True)
