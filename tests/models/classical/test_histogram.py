"""Histogram: it is numpy's, whole numbers and codes are masses, and the unseen has none unless told."""

import numpy as np
import pandas as pd
import pytest

import pushforward as pf

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
