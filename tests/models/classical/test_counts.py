"""Counts: the maximum of the likelihood, what smoothing gives the unseen, and what is missing on a source that is known."""

import itertools

import numpy as np
import pandas as pd
import pytest

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.models.classical import Counts

RNG = np.random.default_rng(0)
BITS = RNG.random((60, 5)) < [0.9, 0.5, 0.2, 0.6, 0.7]
EVERY = np.array(list(itertools.product([False, True], repeat=5)))
SMOOTH = pytest.mark.parametrize("fields", [{"smooth": 0.5}, {"smooth": 3.0}, {"unseen": "good-turing"}])


def test_it_is_the_share_of_equal_rows_and_sums_to_one():
    model = Counts().fit(BITS)
    rows, counts = np.unique(BITS, axis=0, return_counts=True)
    np.testing.assert_allclose(np.exp(model.log_prob(rows)), counts / 60, rtol=1e-14)
    with pytest.warns(UserWarning, match="-inf.*Good and Turing put"):
        p = np.exp(model.log_prob(EVERY))
    assert p.sum() == pytest.approx(1, abs=1e-12) and (p == 0).sum() == 32 - len(rows)


def test_no_other_probabilities_make_the_examples_likelier():
    model = Counts().fit(BITS)
    seen, counts = np.unique(BITS, axis=0, return_counts=True)
    best = model.score(BITS)
    for _ in range(50):
        other = counts / 60 * np.exp(0.1 * RNG.normal(size=len(counts)))
        assert (counts * np.log(other / other.sum())).sum() / 60 < best
    p = np.exp(model.log_prob(seen))
    assert best == pytest.approx((p * np.log(p)).sum(), abs=1e-12)  # minus the entropy: the forward KL is 0


def test_laplace_and_dirichlet():
    counts = {tuple(r): c for r, c in zip(*np.unique(BITS, axis=0, return_counts=True), strict=True)}
    p = np.exp(Counts(smooth=0.5).fit(BITS).log_prob(EVERY))
    np.testing.assert_allclose(p, [(counts.get(tuple(r), 0) + 0.5) / (60 + 0.5 * 32) for r in EVERY], rtol=1e-12)


@SMOOTH
@pytest.mark.parametrize("kind", ["binary", "levels", "texts", "table"])
def test_with_a_share_for_the_unseen_all_rows_sum_to_one(fields, kind):
    data, every = {
        "binary": (BITS, EVERY),
        "levels": (
            np.array([[0, 2], [1, 1], [0, 2]], np.uint8),
            np.array([(a, b) for a in range(3) for b in range(3)], np.uint8),
        ),
        "texts": (["a", "ab", "b", "a"], ["", "a", "b", "aa", "ab", "ba", "bb"]),
        "table": (
            pd.DataFrame({"n": [2, 30, 4] * 7 + [5], "side": ["l", None, "r"] * 7 + ["l"]}),
            pd.DataFrame([(n, s) for n in range(2, 31) for s in ("l", "r", None)], columns=["n", "side"]),
        ),
    }[kind]
    model = Counts(**fields).fit(data)
    nats = model.log_prob(every)
    assert np.isfinite(nats).all() and np.exp(nats).sum() == pytest.approx(1, abs=1e-12)
    assert model.parameters_ == len(every) - 1
    drawn = model.sample(3000, seed=0)
    assert np.isfinite(model.log_prob(drawn)).all()
    assert -model.log_prob(drawn).mean() == pytest.approx(-(np.exp(nats) * nats).sum(), abs=0.1)  # its entropy


def test_good_turing_on_a_zipf_source():
    """The mass of what did not come is known here; the estimate is within its error, about sqrt(N_1 + 2 N_2) / n."""
    truth = 1 / np.arange(1, 4001)
    truth /= truth.sum()
    gaps, spans = [], []
    for seed in range(20):
        drawn = np.random.default_rng(seed).choice(4000, 3000, p=truth)
        model = Counts().fit(pd.DataFrame({"word": pd.Categorical(drawn, categories=range(4000))}))
        _, counts = np.unique(drawn, return_counts=True)
        assert model.missing_mass_ == (counts == 1).sum() / 3000
        gaps.append(model.missing_mass_ - truth[np.setdiff1d(np.arange(4000), drawn)].sum())
        spans.append(np.sqrt((counts == 1).sum() + 2 * (counts == 2).sum()) / 3000)
    assert np.abs(gaps).max() < 3.5 * np.mean(spans) and abs(np.mean(gaps)) < 3 * np.mean(spans) / np.sqrt(20)


def test_good_turing_gives_the_unseen_what_it_estimates():
    x = RNG.choice(500, 800, p=np.r_[np.full(50, 0.018), np.full(450, 0.1 / 450)])
    column = pd.DataFrame({"x": pd.Categorical(x, categories=range(500))})
    model = Counts(unseen="good-turing").fit(column)
    p = np.exp(model.log_prob(pd.DataFrame({"x": pd.Categorical(range(500), categories=range(500))})))
    fresh = ~np.isin(np.arange(500), x)
    assert p.sum() == pytest.approx(1, abs=1e-12) and p[fresh].sum() == pytest.approx(model.missing_mass_, abs=1e-12)
    values, counts = np.unique(x, return_counts=True)
    np.testing.assert_allclose(p[values], (1 - model.missing_mass_) * counts / 800, rtol=1e-12)


def test_where_every_row_came_once_none_is_likelier_than_another():
    model = Counts(unseen="good-turing").fit(EVERY[::2])
    p = np.exp(model.log_prob(EVERY))
    np.testing.assert_allclose(p, 1 / 32, rtol=1e-12)
    np.testing.assert_allclose(np.exp(Counts(unseen="good-turing").fit(EVERY).log_prob(EVERY)), 1 / 32, rtol=1e-12)


@pytest.mark.parametrize("fields", [{}, {"smooth": 0.7}, {"unseen": "good-turing"}])
def test_completion_is_the_conditional_by_enumeration(fields):
    model = Counts(**fields).fit(BITS)
    row, known = BITS[0], np.array([True, False, True, True, False])
    drawn = model.complete(np.tile(row, (8000, 1)), known=known, seed=1)
    assert (drawn[:, known] == row[known]).all()
    fits = EVERY[(EVERY[:, known] == row[known]).all(1)]
    p = np.exp(model.log_prob(fits))
    share = [(drawn == f).all(1).mean() for f in fits]
    np.testing.assert_allclose(share, p / p.sum(), atol=4 * 0.5 / np.sqrt(8000))


def test_texts_are_continued():
    model = Counts(smooth=0.2).fit(["ab", "abba", "b", "ab"])
    assert set(Counts().fit(["ab", "abba", "b"]).complete(["a"] * 200, seed=0)) == {"ab", "abba"}
    drawn = model.complete(["ab"] * 4000, seed=0)
    every = ["ab" + "".join(t) for k in range(3) for t in itertools.product("ab", repeat=k)]
    p = np.exp(model.log_prob(every))
    np.testing.assert_allclose([drawn.count(t) / 4000 for t in every], p / p.sum(), atol=4 * 0.5 / np.sqrt(4000))


def test_nothing_agrees_is_an_error_that_says_what_to_do():
    model = Counts().fit(np.array([[0, 0], [1, 1], [0, 0]], dtype=bool))
    with pytest.raises(BadData, match=r"row 1.*0 / 0.*smooth"):
        Counts().fit(["ab", "ba"]).complete(["a", "bb"], seed=0)
    assert model.complete(np.array([[1, 0]], dtype=bool), known=[True, False], seed=0).tolist() == [[True, True]]


def test_a_missing_cell_is_filled_with_a_value():
    table = pd.DataFrame({"a": ["x", "x", "y", "x"] * 5, "b": ["u", None, "v", None] * 5})
    model = Counts().fit(table)
    assert set(model.complete(pd.DataFrame({"a": ["x"] * 50, "b": [None] * 50}), seed=0)["b"]) == {"u"}
    assert np.exp(model.log_prob(pd.DataFrame({"a": ["x"], "b": [None]})))[0] == pytest.approx(0.5)


def test_the_number_of_parameters_is_a_whole_number_however_large():
    pixels = (RNG.random((20, 28, 28)) > 0.5).astype(np.uint8)
    assert Counts().fit(pixels).parameters_ == 2**784 - 1
    model = Counts(smooth=1.0).fit(pixels)
    np.testing.assert_allclose(
        model.log_prob(pixels), np.log(2) - 784 * np.log(2), rtol=1e-12
    )  # all but all mass is the prior's
    assert model.sample(2, seed=0).shape == (2, 28, 28)


def test_a_continuum_has_no_counts():
    table = pd.DataFrame({"x": RNG.normal(size=30), "side": ["l", "r"] * 15})
    model = Counts().fit(table)
    assert model.abilities == {"sample": "exact"}
    with pytest.raises(Unable, match="no probability of its own.*Histogram"):
        model.log_prob(table)
    with pytest.raises(Usage, match="endlessly many"):
        Counts(smooth=1.0).fit(table)
    with pytest.raises(Usage, match="exclude each other"):
        Counts(smooth=1.0, unseen="good-turing").fit(BITS)
    with pytest.raises(Usage, match="Did you mean 'good-turing'"):
        Counts(unseen="goodturing").fit(BITS)
    with pytest.raises(Usage, match="not conditional"):
        Counts().fit(BITS, given=np.zeros(60))


def test_it_comes_back_from_a_folder(tmp_path):
    model = Counts(unseen="good-turing").fit(BITS)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert (again.log_prob(EVERY) == model.log_prob(EVERY)).all() and again.missing_mass_ == model.missing_mass_
