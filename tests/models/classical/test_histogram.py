"""Histogram: it is numpy's, whole numbers and codes are masses, and the unseen has none unless told."""

import numpy as np
import pandas as pd
import pytest

import pushforward as pf
from pushforward.errors import BadData

X = np.random.default_rng(0).normal(size=(500, 2))


def test_it_is_the_density_of_numpy_histogramdd():
    density, edges = np.histogramdd(X, bins=7, density=True)
    cells = [np.clip(np.searchsorted(edges[d], X[:, d], side="right") - 1, 0, 6) for d in range(2)]
    model = pf.Histogram(bins=7).fit(X)
    assert np.allclose(np.exp(model.log_prob(X)), density[cells[0], cells[1]], rtol=1e-12)


def test_outside_there_is_nothing():
    assert pf.Histogram().fit(X).log_prob(np.array([[99.0, 0.0]]))[0] == -np.inf


def test_smoothing_gives_the_unseen_its_share_and_still_sums_to_one():
    x = np.array([[0, 1], [0, 1], [2, 2]], dtype=np.uint8)
    model = pf.Histogram(smooth=0.5).fit(x)
    every = np.array([(a, b) for a in range(3) for b in range(3)], dtype=np.uint8)
    p = np.exp(model.log_prob(every))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p[1] == pytest.approx(2.5 / (3 + 0.5 * 9)) and p[0] == pytest.approx(0.5 / (3 + 0.5 * 9))


def test_samples_fall_as_often_as_the_cells_say():
    model = pf.Histogram(bins=4).fit(X)
    counts, edges = np.histogram(X[:, 0], bins=4)
    drawn, _ = np.histogram(model.sample(20000, seed=0)[:, 0], bins=edges)
    assert np.allclose(drawn / 20000, counts / 500, atol=0.02)


def test_whole_numbers_have_masses_that_sum_to_one():
    table = pd.DataFrame({"n": np.random.default_rng(1).poisson(30, 400)})
    model = pf.Histogram(bins=6).fit(table)
    p = np.exp(model.log_prob(pd.DataFrame({"n": np.arange(0, 100)})))
    assert p.sum() == pytest.approx(1, abs=1e-9) and model.space.measure == "counting"
    assert set(model.sample(500, seed=0)["n"]) <= set(range(int(table.n.min()), int(table.n.max()) + 1))


def test_missing_cells_are_a_bin_of_their_own():
    gaps = np.where(np.random.default_rng(2).random(1000) < 0.25, np.nan, np.random.default_rng(3).random(1000))
    table = pd.DataFrame({"a": gaps})
    model = pf.Histogram(bins=5).fit(table)
    assert np.exp(model.log_prob(pd.DataFrame({"a": [np.nan]})))[0] == pytest.approx(np.isnan(gaps).mean())
    assert model.sample(4000, seed=0)["a"].isna().mean() == pytest.approx(np.isnan(gaps).mean(), abs=0.03)


def test_a_constant_column_comes_back_constant():
    table = pd.DataFrame({"a": np.random.default_rng(4).random(50), "always": 3.5})
    model = pf.Histogram().fit(table)
    assert (model.sample(20, seed=0)["always"] == 3.5).all() and np.isfinite(model.score(table))


@pytest.mark.parametrize("d", [1, 3, 4])
def test_in_any_dimension_it_is_numpys_and_integrates_to_one(d):
    x = np.random.default_rng(d).gamma(2.0, size=(400, d))
    density, edges = np.histogramdd(x, bins=5, density=True)
    model = pf.Histogram(bins=5).fit(x)
    middles = np.stack(np.meshgrid(*[(e[1:] + e[:-1]) / 2 for e in edges], indexing="ij"), -1).reshape(-1, d)
    p = np.exp(model.log_prob(middles))
    assert np.allclose(p, density.flatten(), rtol=1e-12)
    assert p.sum() * np.prod([e[1] - e[0] for e in edges]) == pytest.approx(1, abs=1e-12)
    corners = np.stack([e[[0, 2, -1]] for e in edges], 1)  # on edges too
    cells = [np.clip(np.searchsorted(edges[j], corners[:, j], side="right") - 1, 0, 4) for j in range(d)]
    assert np.allclose(np.exp(model.log_prob(corners)), density[tuple(cells)], rtol=1e-12)


def test_the_number_of_parameters_is_exact_and_only_hit_cells_are_stored():
    assert pf.Histogram(bins=7).fit(X).parameters_ == 7**2 - 1
    pixels = (np.random.default_rng(0).random((30, 28, 28)) > 0.5).astype(np.uint8)
    model = pf.Histogram().fit(pixels)
    assert model.parameters_ == 2**784 - 1 and len(model.seen.rows) <= 30
    table = pd.DataFrame({"x": np.random.default_rng(1).random(50), "side": ["l", "r"] * 25})
    assert pf.Histogram(bins=4).fit(table).parameters_ == 4 * 2 - 1


@pytest.mark.parametrize("smooth", [0.0, 0.4])
def test_completion_draws_from_the_cells_that_agree(smooth):
    model, row, n = pf.Histogram(bins=5, smooth=smooth).fit(X), X[0], 20000
    drawn = model.complete(np.tile([row[0], np.nan], (n, 1)), seed=0)
    assert (drawn[:, 0] == row[0]).all()
    edges = np.linspace(X[:, 1].min(), X[:, 1].max(), 6)
    middles = (edges[1:] + edges[:-1]) / 2
    p = np.exp(model.log_prob(np.column_stack([np.full(5, row[0]), middles])))
    share = np.histogram(drawn[:, 1], bins=edges)[0] / n
    assert np.allclose(share, p / p.sum(), atol=4 * 0.5 / np.sqrt(n))
    inside = drawn[(drawn[:, 1] > edges[2]) & (drawn[:, 1] < edges[3]), 1]
    assert abs(inside.mean() - middles[2]) < 5 * (edges[1] - edges[0]) / np.sqrt(12 * len(inside))


def test_a_gap_is_filled_with_a_value_and_nowhere_is_said():
    table = pd.DataFrame({"a": ["x", "x", "y"] * 20, "b": [0.5, np.nan, 2.5] * 20})
    model = pf.Histogram(bins=4).fit(table)
    filled = model.complete(pd.DataFrame({"a": ["x"] * 50, "b": np.nan}), seed=0)
    assert (filled.b < 1.1).all() and filled.b.notna().all()
    with pytest.raises(BadData, match="row 1 lies in cells where no example was.*smooth"):
        pf.Histogram(bins=4).fit(X).complete(np.array([[X[0, 0], np.nan], [1e3, np.nan]]), seed=0)


def test_whole_numbers_beyond_two_to_the_24th_keep_their_cells():
    stamps = pd.DataFrame({"at": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-02", "2030-06-30"])})
    model = pf.Histogram(bins=3).fit(stamps)
    assert np.isfinite(model.log_prob(stamps)).all() and set(model.sample(50, seed=0)["at"].dt.year) <= set(
        range(2024, 2031)
    )


def test_it_comes_back_from_a_folder(tmp_path):
    table = pd.DataFrame({"a": ["x", "y"] * 20, "b": np.random.default_rng(0).normal(size=40)})
    model = pf.Histogram(smooth=0.1).fit(table)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert (again.log_prob(table) == model.log_prob(table)).all() and again.sample(9, seed=0).equals(
        model.sample(9, seed=0)
    )


def test_a_constant_number_has_no_part_in_the_density():
    x = np.column_stack([X[:, 0], np.full(500, 7.0)])
    density, edges = np.histogram(x[:, 0], bins=4, density=True)
    cell = np.clip(np.searchsorted(edges, x[:, 0], side="right") - 1, 0, 3)
    model = pf.Histogram(bins=4).fit(x)
    assert np.allclose(np.exp(model.log_prob(x)), density[cell], rtol=1e-12)
    assert (model.sample(50, seed=0)[:, 1] == 7).all()
