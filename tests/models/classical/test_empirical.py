"""Empirical: the examples, as often as they came, and no density on a continuum."""

import numpy as np
import pandas as pd
import pytest

import pushforward as pf
from pushforward.errors import BadData, Unable
from pushforward.models.classical import Counts, Empirical

RNG = np.random.default_rng(0)


def test_it_draws_the_examples_with_replacement():
    x = RNG.normal(size=(7, 2))
    drawn = Empirical().fit(np.concatenate([x, x[:1]])).sample(16000, seed=0)
    shares = [(drawn == row).all(1).mean() for row in x]
    np.testing.assert_allclose(shares, [2 / 8, *[1 / 8] * 6], atol=4 * 0.5 / np.sqrt(16000))


def test_numbers_have_no_density_and_it_says_so():
    model = Empirical().fit(RNG.normal(size=(20, 2)))
    assert model.abilities == {"sample": "exact"} and not model.judges()
    for ability in ("log_prob", "score", "complete"):
        with pytest.raises(Unable, match="KernelDensity"):
            getattr(model, ability)


def test_on_codes_it_is_the_counts():
    x = RNG.integers(0, 3, (50, 2)).astype(np.uint8)
    every = np.array([(a, b) for a in range(3) for b in range(3)], np.uint8)
    p = np.exp(Empirical().fit(x).log_prob(every))
    counts = (x[:, None] == every).all(2).sum(0)
    np.testing.assert_allclose(p, counts / 50, rtol=1e-14)
    assert Empirical().fit(x).score(x) == pytest.approx(Counts().fit(x).score(x), abs=1e-14)


def test_completion_draws_among_the_examples_that_agree():
    words = ["abba", "abab", "baba", "abab"]
    drawn = Empirical().fit(words).complete(["ab"] * 3000, seed=0)
    assert set(drawn) == {"abba", "abab"} and drawn.count("abab") / 3000 == pytest.approx(2 / 3, abs=0.04)
    with pytest.raises(BadData, match="No example agrees with what is known of row 1"):
        Empirical().fit(words).complete(["ab", "bb"], seed=0)


def test_a_mixed_table_comes_back_row_by_row():
    table = pd.DataFrame({"x": [0.5, np.nan, 2.5], "side": ["l", "r", None]})
    drawn = Empirical().fit(table).sample(60, seed=0)
    rows = {tuple(map(str, row)) for row in drawn.itertuples(index=False)}
    assert rows == {tuple(map(str, row)) for row in table.itertuples(index=False)}


def test_it_comes_back_from_a_folder(tmp_path):
    for x in (RNG.normal(size=(20, 2)), RNG.integers(0, 9, (20, 2)).astype(np.uint8)):
        model = Empirical().fit(x)
        again = pf.load(model.save(tmp_path / f"{x.dtype}.pf"))
        assert (again.sample(30, seed=0) == model.sample(30, seed=0)).all()
