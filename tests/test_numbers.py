"""What every system owes where data are at the edge: a finite answer or a sentence, constants that no density counts, units of any size, rows far out,
batches in parts."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pushforward import catalogue
from pushforward.errors import BadData, Problem

sys.path.insert(0, str(Path(__file__).parent))
from troubles import REFUSED, TROUBLES, N, broke, learned, numbers, table

NAMES = catalogue.names()
REAL = [n for n in NAMES if "real" in catalogue.find(n).spaces]
TABLE = [n for n in NAMES if "table" in catalogue.find(n).spaces]
STEPPED = [n for n in NAMES if not hasattr(catalogue.find(n), "solve")]


def fits(kind, data) -> bool:
    """Whether the kind of these data is one for this system at all."""
    spaces = kind.spaces
    if isinstance(data, pd.DataFrame):
        return "table" in spaces or "real" in spaces
    return ("binary" if data.dtype.kind == "b" else "real") in spaces or (data.dtype.kind == "f" and "table" in spaces)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_it_learns_or_says_why_not(trouble):
    """One test a kind of trouble, over all systems: the answers are numbers, and what came in comes back."""
    found = {}
    for name in NAMES:
        kind, data = catalogue.find(name), TROUBLES[trouble](np.random.default_rng(1))
        if fits(kind, data) and (what := broke(kind, data, trouble in REFUSED)):
            found[name] = what
    assert not found


@pytest.mark.parametrize("name", REAL)
def test_a_constant_has_no_part_in_a_density(name):
    """With it and without it: the same model, the same numbers, and it stands in each sample as it was."""
    x = numbers(np.random.default_rng(0))
    more = np.column_stack([x[:, 0], np.full(N, 7.1), x[:, 1]])
    one, two = learned(catalogue.find(name), x), learned(catalogue.find(name), more)
    drawn = two.sample(30, seed=0)
    assert np.array_equal(drawn[:, [0, 2]], one.sample(30, seed=0)) and (drawn[:, 1] == 7.1).all()
    if one.judges():
        nats = two.score_samples(more)
        assert np.array_equal(one.score_samples(x), nats)
        more[3, 1] = 7.2
        assert np.argwhere(two.score_samples(more) == -np.inf).ravel().tolist() == [3]


@pytest.mark.parametrize("name", [n for n in REAL if "complete" in catalogue.find(n)().abilities and n != "Empirical"])
def test_completion_knows_what_never_varies(name):
    x = np.column_stack([numbers(np.random.default_rng(0)), np.full(N, 7.1)])
    model = learned(catalogue.find(name), x)
    part = x[:9].copy()
    part[:4, 2], part[2:6, 0] = np.nan, np.nan
    whole = model.complete(part, seed=0)
    assert (whole[:, 2] == 7.1).all() and np.array_equal(whole[~np.isnan(part)], part[~np.isnan(part)])


@pytest.mark.parametrize("scale", [1e200, 1e-250])
@pytest.mark.parametrize("name", REAL)
def test_units_of_any_size_move_log_prob_by_the_jacobian(name, scale):
    x = numbers(np.random.default_rng(0))
    one, two = learned(catalogue.find(name), x), learned(catalogue.find(name), x * scale)
    assert np.isfinite(two.sample(50, seed=0) / scale).all()
    if one.judges():
        gap = one.score_samples(x) - two.score_samples(x * scale)
        assert np.allclose(gap, 2 * np.log(scale), atol=5e-2)


@pytest.mark.parametrize("name", REAL)
def test_a_large_mean_costs_no_digits(name):
    """2^60 + 1000 u as int64: the differences are what is learned."""
    rng = np.random.default_rng(0)
    u = rng.integers(0, 1000, (N, 2)) * 2.0**20
    one, two = learned(catalogue.find(name), u), learned(catalogue.find(name), (u + 2**60).astype(np.int64))
    if one.judges():
        assert np.median(np.abs(one.score_samples(u) - two.score_samples((u + 2**60).astype(np.int64)))) < 0.1


@pytest.mark.parametrize("name", REAL)
def test_rows_far_out_are_unlikely_and_never_unknown(name):
    """Beside what was learned: 1e300 and the smallest numbers; finite or minus infinity, and NaN or infinity are refused by name."""
    x = numbers(np.random.default_rng(0))
    model = learned(catalogue.find(name), x)
    if not model.judges():
        return
    far = np.array([[1e300, 0.0], [-1e300, 1e300], [1e20, -1e20], [5e-324, 0.0], [np.float64(x[0, 0]), 1e-310]])
    nats = model.score_samples(far)
    assert not np.isnan(nats).any() and (nats < np.inf).all() and (nats[:3] < model.score_samples(x).min()).all()
    far[2, 1] = np.inf
    with pytest.raises(BadData, match="row 2"):
        model.score_samples(far)


@pytest.mark.parametrize("name", TABLE)
def test_a_category_that_was_not_there_is_refused_by_name_or_read_loosely(name):
    data = table(np.random.default_rng(0))
    model = learned(catalogue.find(name), data)
    assert not isinstance(model, Problem)
    odd = data.head(5).assign(c=["a", "q", "b", "c", "r"])
    if model.judges():
        with pytest.raises(BadData, match=r"'c', row 1: 'q' was not among the 3 categories at fit \(2 such cells\)"):
            model.score_samples(odd)
    tensor, outside = model.space.read_loosely(odd)
    assert np.argwhere(outside).tolist() == [[1, 1], [4, 1]]
    if "log_prob" in model.abilities or "bound" in model.abilities:
        ability = "log_prob" if "log_prob" in model.abilities else "bound"
        inside = ~outside.any(1)
        with torch.no_grad():
            loose, strict = (np.asarray(getattr(model, ability)(rows)) for rows in (tensor, odd[inside]))
        assert not np.isnan(loose).any()
        assert ability == "bound" or np.allclose(loose[inside], strict, atol=1e-4)


@pytest.mark.parametrize("name", REAL)
def test_columns_that_determine_one_another_are_said_or_refused(name):
    x = numbers(np.random.default_rng(0))
    kind = catalogue.find(name)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            model = kind(**kind.small).fit(np.column_stack([x, x[:, 0]]), steps=3, batch=32, quiet=True)
        except BadData as problem:
            assert "linear function" in str(problem)
            return
    said = any("'x0', 'x2' determine one another" in str(w.message) for w in told)
    assert said or not model.judges()


@pytest.mark.parametrize("name", STEPPED)
def test_a_batch_in_parts_is_the_batch(name):
    """What is done where memory runs out: tolerance 1e-9 in float64, the order of sums (and a divergence of games from there)."""
    kind = catalogue.find(name)
    rng = np.random.default_rng(7)
    data = rng.random((200, 4)) > 0.5 if "binary" in kind.spaces else rng.normal(size=(200, 4))
    how = dict(steps=3, batch=64, seed=1, quiet=True, precision="float64", valid=0.0)
    whole, cut = (kind(**kind.small).fit(data, accumulate=parts, **how) for parts in (1, 3))
    for (key, a), b in zip(whole.state_dict().items(), cut.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-9), key


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_fewer_rows_than_a_batch(rows):
    for name in STEPPED:
        kind = catalogue.find(name)
        data = (
            (np.random.default_rng(0).random((rows, 3)) > 0.5)
            if "binary" in kind.spaces
            else numbers(np.random.default_rng(0))[:rows]
        )
        model = learned(kind, data, batch=512, steps=2)
        assert isinstance(model, Problem) or len(model.sample(3, seed=0)) == 3
