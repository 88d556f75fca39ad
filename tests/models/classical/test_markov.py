"""Markov: the counts of neighbours, 1567 parameters, and completion that agrees with summing over everything."""

import itertools

import numpy as np
import pandas as pd
import pytest

import pushforward as pf
from pushforward.errors import BadData
from pushforward.models.classical import Counts, Markov

RNG = np.random.default_rng(0)


def chain(n: int, m: int, k: int) -> np.ndarray:
    x = RNG.integers(0, k, (n, m))
    for j in range(1, m):
        x[:, j] = np.where(RNG.random(n) < 0.7, x[:, j - 1], x[:, j])
    return x.astype(np.uint8)


@pytest.mark.parametrize(("m", "k"), [(1, 3), (2, 3), (6, 2), (4, 3)])
@pytest.mark.parametrize("smooth", [0.0, 0.5])
def test_it_is_the_product_of_counts_by_enumeration(m, k, smooth):
    x = chain(30, m, k)
    x[0] = k - 1  # so that all levels came
    every = np.array(list(itertools.product(range(k), repeat=m)), np.uint8)
    model = Markov(smooth=smooth).fit(x)
    levels = model.space.levels or 2

    def probability(row):
        p = ((x[:, 0] == row[0]).sum() + smooth) / (len(x) + smooth * levels)
        for j in range(1, m):
            both = ((x[:, j - 1] == row[j - 1]) & (x[:, j] == row[j])).sum() + smooth
            before = (x[:, j - 1] == row[j - 1]).sum() + smooth * levels
            p *= both / before if before else 0.0
        return p

    p = np.exp(model.log_prob(every))
    np.testing.assert_allclose(p, [probability(row) for row in every], atol=1e-14)
    assert p.sum() == pytest.approx(1, abs=1e-12)


def test_28_by_28_bits_have_1567_parameters():
    pixels = (RNG.random((10, 28, 28)) > 0.5).astype(np.uint8)
    model = Markov().fit(pixels)
    assert model.parameters_ == 1567 == 1 + 2 * 783
    assert model.complete(pixels[:2], known=np.arange(784).reshape(28, 28) < 300, seed=0).shape == (2, 28, 28)
    assert Markov().fit(chain(50, 5, 4)).parameters_ == 3 + 4 * 4 * 3


def test_of_two_variables_it_is_the_table_of_both():
    x = chain(100, 2, 4)
    assert Markov().fit(x).score(x) == pytest.approx(Counts().fit(x).score(x), abs=1e-12)


@pytest.mark.parametrize("smooth", [0.0, 0.3])
@pytest.mark.parametrize("known", ["10010", "00000", "01010", "00001", "11110"])
def test_completion_is_the_conditional_by_enumeration(known, smooth):
    x, o, n = chain(80, 5, 3), np.array([c == "1" for c in known]), 6000
    model = Markov(smooth=smooth).fit(x)
    row = x[0]
    drawn = model.complete(np.tile(row, (n, 1)), known=o, seed=1)
    every = np.array(list(itertools.product(range(3), repeat=5)), np.uint8)
    fits = every[(every[:, o] == row[o]).all(1)]
    p = np.exp(model.log_prob(fits))
    p /= p.sum()
    share = np.array([(drawn == f).all(1).mean() for f in fits])
    assert share.sum() == pytest.approx(1) and (share[p == 0] == 0).all()
    assert np.abs(share - p).max() < 4.5 * np.sqrt((p * (1 - p)).max() / n)


def test_what_is_drawn_has_the_pairs_of_the_examples():
    x = chain(400, 4, 3)
    drawn = Markov().fit(x).sample(20000, seed=0)
    for j in range(3):
        want = np.histogram2d(x[:, j], x[:, j + 1], bins=3)[0] / 400
        np.testing.assert_allclose(np.histogram2d(drawn[:, j], drawn[:, j + 1], bins=3)[0] / 20000, want, atol=0.02)


def test_texts_are_continued_and_end():
    model = Markov().fit(["ab", "abab", "b", "aba"])
    assert all(t.startswith("ab") for t in model.complete(["ab"] * 50, seed=0))
    drawn = model.sample(300, seed=0)
    assert np.isfinite(model.log_prob(drawn)).all() and {len(t) for t in drawn} <= {1, 2, 3, 4}
    with pytest.raises(BadData, match="never came in this order.*smooth"):
        model.complete(["bb"], seed=0)


def test_numbers_in_a_table_are_linked_by_their_bins():
    z = RNG.normal(size=2000)
    table = pd.DataFrame(
        {
            "a": z,
            "b": z + 0.1 * RNG.normal(size=2000),
            "far": np.where(RNG.random(2000) < 0.3, None, np.where(z > 0, "r", "l")),
        }
    )
    model = Markov(bins=12).fit(table)
    assert model.score(table) > pf.Factorised(bins=12).fit(table).score(table) + 0.5
    drawn = model.sample(4000, seed=0)
    assert np.corrcoef(drawn.a, drawn.b)[0, 1] > 0.95 and drawn.far.isna().mean() == pytest.approx(0.3, abs=0.04)
    filled = model.complete(pd.DataFrame({"a": [1.5] * 500, "b": np.nan, "far": [None] * 500}), seed=0)
    assert (
        filled.b.mean() == pytest.approx(1.5, abs=0.3) and filled.far.notna().all() and (filled.far == "r").mean() > 0.9
    )


def test_too_large_tables_are_refused_before_they_are_made():
    with pytest.raises(BadData, match="2499 tables of 256 x 256.*fewer levels"):
        Markov().fit(RNG.integers(0, 256, (3, 50, 50)).astype(np.uint8))


def test_it_comes_back_from_a_folder(tmp_path):
    for x in (chain(30, 4, 3), chain(30, 1, 3), pd.DataFrame({"x": RNG.normal(size=30), "side": ["l", "r"] * 15})):
        model = Markov(smooth=0.1).fit(x)
        again = pf.load(model.save(tmp_path / f"{len(model.counts)}.pf", overwrite=True))
        assert (again.log_prob(x) == model.log_prob(x)).all()
