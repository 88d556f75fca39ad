"""Factorised: the counts of every column, the fewest parameters, and no column that hears another."""

import itertools

import numpy as np
import pandas as pd
import pytest

import pushforward as pf
from pushforward.errors import BadData, Usage
from pushforward.models.classical import Counts, Factorised, Histogram, Markov

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("smooth", [0.0, 0.5])
@pytest.mark.parametrize("m", [1, 3, 6])
def test_it_is_the_product_of_counts_by_enumeration(m, smooth):
    x = (RNG.random((40, m)) < RNG.random(m)).astype(np.uint8)
    every = np.array(list(itertools.product([0, 1], repeat=m)), np.uint8)
    model = Factorised(smooth=smooth).fit(x)
    one = (x.sum(0) + smooth) / (40 + 2 * smooth)
    p = np.exp(model.log_prob(every))
    np.testing.assert_allclose(p, np.where(every == 1, one, 1 - one).prod(1), atol=1e-14)
    assert p.sum() == pytest.approx(1, abs=1e-12) and model.parameters_ == m


def test_28_by_28_bits_have_784_parameters():
    pixels = (RNG.random((10, 28, 28)) > 0.5).astype(np.uint8)
    assert Factorised().fit(pixels).parameters_ == 784
    assert Factorised().fit((RNG.random((10, 28, 28)) * 256).astype(np.uint8)).parameters_ == 784 * 255


def test_more_links_are_never_less_likely_on_the_examples_that_they_come_from():
    """Factorised is a Markov chain without links, and that a table of all rows with few."""
    x = (RNG.random((200, 5)) < 0.5).astype(np.uint8)
    x[:, 1] ^= x[:, 0]
    x[:, 4] = x[:, 0] & x[:, 2]
    for smooth in (0.0,):
        scores = [kind(smooth=smooth).fit(x).score(x) for kind in (Factorised, Markov, Counts)]
        assert scores[0] < scores[1] < scores[2]
    lone = (RNG.random((200, 1)) < 0.3).astype(np.uint8)
    assert np.ptp([kind().fit(lone).score(lone) for kind in (Factorised, Markov, Counts)]) < 1e-12


def test_of_one_column_it_is_the_histogram():
    table = pd.DataFrame({"x": np.where(RNG.random(300) < 0.2, np.nan, RNG.normal(size=300))})
    one, two = Factorised(bins=7).fit(table), Histogram(bins=7).fit(table)
    np.testing.assert_allclose(one.log_prob(table), two.log_prob(table), atol=1e-12)
    assert one.parameters_ == two.parameters_ == 7


def test_columns_of_a_table_are_drawn_and_filled_by_themselves():
    table = pd.DataFrame({"side": ["l", "l", "r", None] * 50, "n": RNG.poisson(40, 200), "x": RNG.normal(size=200)})
    model = Factorised(bins=5).fit(table)
    drawn = model.sample(8000, seed=0)
    assert (drawn.side == "l").mean() == pytest.approx(0.5, abs=0.03) and drawn.side.isna().mean() == pytest.approx(
        0.25, abs=0.03
    )
    assert abs(np.corrcoef(drawn.n, drawn.x)[0, 1]) < 0.05
    asked = pd.DataFrame({"side": [None] * 4000, "n": 40, "x": np.nan})
    filled = model.complete(asked, seed=0)
    assert (filled.n == 40).all() and filled.x.notna().all()
    assert (filled.side == "l").mean() == pytest.approx(2 / 3, abs=0.03) and filled.side.notna().all()


def test_what_never_came_has_no_mass_unless_smoothed():
    x = np.array([[0, 2], [0, 1]], np.uint8)
    assert Factorised().fit(x).log_prob(np.array([[1, 1]], np.uint8))[0] == -np.inf
    p = np.exp(Factorised(smooth=1.0).fit(x).log_prob(np.array([[1, 1]], np.uint8)))
    assert p[0] == pytest.approx(1 / 5 * 2 / 5)


def test_at_the_edges():
    with pytest.raises(BadData, match="missing in every example"):
        table = pd.DataFrame({"a": ["x", "y"], "b": [None, None]})
        Factorised().fit(table).complete(table, seed=0)
    with pytest.raises(Usage, match="at least 1 bin"):
        Factorised(bins=0).fit(np.zeros((3, 2), dtype=bool))
    constant = Factorised().fit(pd.DataFrame({"a": [0.25, 0.5, 0.75], "b": [3.5] * 3}))
    assert (constant.sample(9, seed=0)["b"] == 3.5).all() and np.isfinite(
        constant.log_prob(constant.sample(9, seed=0))
    ).all()


def test_it_comes_back_from_a_folder(tmp_path):
    table = pd.DataFrame({"side": ["l", "r"] * 20, "x": RNG.normal(size=40)})
    model = Factorised(smooth=0.1).fit(table)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert (again.log_prob(table) == model.log_prob(table)).all() and again.sample(9, seed=0).equals(
        model.sample(9, seed=0)
    )
