"""Texts against texts: what is new, what comes again, what was copied, and what a model would have paid for them."""

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.metrics.sequences import (
    copies,
    coverage,
    distinct,
    novelty,
    perplexity,
    repetition,
    sequences,
    shared,
    symbols,
)


def words(n, seed=0, letters="abcd", length=12):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(letters), length)) for _ in range(n)]


# ---- by hand -------------------------------------------------------------------------------------------------------------


def test_shares_by_hand():
    assert novelty(["abc", "bcx"], ["abcd"], n=2).value == 0.25  # ab bc bc | cx
    assert coverage(["abcd"], ["abce"], n=2).value == pytest.approx(2 / 3)  # ab bc | ce
    assert distinct(["abab", "ab"], n=2).value == 0.5  # ab ba ab ab
    assert repetition(["aaaa", "abc"], n=2).value == pytest.approx(2 / 5)
    assert novelty(["the cat sat"], ["the cat ran"], n=2, units="words").value == 0.5


def test_the_error_of_a_share_is_that_of_rows():
    """Rows of one length: the ratio is a mean over rows, and its error the standard error of that mean."""
    fake, real = words(60, 1), words(4, 2)
    found, seen = novelty(fake, real, n=3), {r[i : i + 3] for r in real for i in range(10)}
    each = np.array([np.mean([row[i : i + 3] not in seen for i in range(10)]) for row in fake])
    assert found.value == pytest.approx(each.mean()) and found.stderr == pytest.approx(each.std(ddof=1) / 60**0.5)


def test_the_longest_common_run_is_that_of_brute_force():
    rng = np.random.default_rng(0)
    fake = [tuple(rng.integers(0, 3, rng.integers(0, 30))) for _ in range(40)]
    real = [tuple(rng.integers(0, 3, rng.integers(1, 40))) for _ in range(15)]

    def longest(row):
        runs = {r[i:j] for r in real for i in range(len(r)) for j in range(i + 1, len(r) + 1)}
        return max((j - i for i in range(len(row)) for j in range(i + 1, len(row) + 1) if row[i:j] in runs), default=0)

    lengths, places = shared(fake, real)
    assert lengths.tolist() == [longest(row) for row in fake]
    for row, length, at in zip(fake, lengths, places, strict=True):
        run = row[at : at + length]
        assert not length or any(run == r[i : i + length] for r in real for i in range(len(r) - length + 1))


def test_runs_do_not_go_over_the_end_of_a_row():
    found = copies(["abcd"], ["ab", "cd"])
    assert found["longest"].value == 2.0 and found["copied"].value == 0.0


# ---- what they tell ------------------------------------------------------------------------------------------------------


def test_texts_of_one_law_stand_at_the_floor():
    """Three independent draws of one law: fakes, training text, held out. Fails under 1 seed of 1000 each (3.3 errors of a difference)."""
    fake, real, held = (words(n, seed, "abcdefgh") for n, seed in ((200, 1), (400, 2), (200, 3)))
    for way in (novelty, repetition):
        found = way(fake, real, held, n=4)
        assert abs(found.excess) < 3.3 * 2**0.5 * found.stderr
    longest = copies(fake, real, held)["longest"]
    assert abs(longest.excess) < 3.3 * 2**0.5 * longest.stderr
    found = coverage(fake, real, held, n=4)
    assert abs(found.excess) < 0.1 and abs(distinct(fake, real, held, n=4).excess) < 0.1


def test_a_copyist_and_a_stutterer_are_found():
    real, held = words(100, 1), words(100, 2)
    copied = sequences(real[:50], real, held)
    assert copied["copied"].value == 1.0 and copied["copied"].floor == 0.0 and copied["novelty"].value == 0.0
    assert copied["longest"].value == 12.0 and repr(real[0]) in str(copied["longest"])
    stutter = sequences(["abababababab"] * 50, real, held)
    assert stutter["repetition"].value > stutter["repetition"].floor + 0.5
    assert stutter["distinct"].value < 0.05 < stutter["distinct"].floor
    assert stutter["coverage"].value < stutter["coverage"].floor - 0.2
    assert set(copied) == {"novelty", "coverage", "distinct", "repetition", "longest", "copied"}


def test_without_held_rows_the_floor_is_two_halves():
    found = novelty(words(50, 1), words(100, 2), n=4)
    assert 0 < found.floor < 1 and "two real halves" in str(found)
    held = novelty(words(50, 1), words(100, 2), words(50, 3), n=4)
    assert held.floor < found.floor and "50 real rows held out" in str(held)  # half the text has fewer n-grams


def test_one_long_training_text_is_searched():
    text = "".join(words(200, 4))
    found = copies([text[500:530], "x" * 30], [text])
    assert found["copied"].value == 0.5 and found["longest"].value == 15.0 and found["longest"].floor is None


# ---- what comes ----------------------------------------------------------------------------------------------------------


def test_whatever_holds_sequences_is_read():
    codes = np.array([[0, 1, 2], [2, 1, 0]])
    for thing in (codes, torch.as_tensor(codes), codes.tolist(), [np.array([0, 1, 2]), np.array([2, 1, 0])]):
        assert symbols(thing, "x") == [(0, 1, 2), (2, 1, 0)]
    texts = ["ab", "ba", "ab"]
    assert symbols(pf.data.load(texts), "x") == texts
    model = pf.Factorised().fit(texts)
    drawn = novelty(model, texts, n=1, rows=50)
    assert drawn.value == 0.0 and drawn.n == (50, 3)


def test_bad_input_is_said():
    with pytest.raises(BadData, match="fake is empty"):
        novelty([], ["ab"])
    with pytest.raises(BadData, match="real came as ndarray of shape"):
        novelty(["ab"], np.zeros((3, 2)))
    with pytest.raises(BadData, match="fake holds examples of real"):
        novelty(pf.data.load(np.zeros((5, 2))), ["ab"])
    with pytest.raises(Usage, match="units='letters'"):
        novelty(["ab"], ["ab"], units="letters")
    short = novelty(["ab"], ["ab", "ba"], n=9)
    assert np.isnan(short.value)  # no text has so long a run


# ---- perplexity ----------------------------------------------------------------------------------------------------------


def test_perplexity_of_fair_symbols_is_their_number():
    texts = ["abcd", "bcda", "cdab", "dabc"]
    found = perplexity(pf.Factorised().fit(texts), texts)
    assert found["perplexity"].value == pytest.approx(4.0) and found["bits per character"].value == pytest.approx(2.0)
    assert found["nats per symbol"].value == pytest.approx(np.log(4)) and found["nats per symbol"].stderr < 1e-9


def test_the_end_of_a_text_is_a_symbol_of_its_own():
    texts = ["ab", "b", "aab", "b"]
    model = pf.Factorised(smooth=1.0).fit(texts)
    found, nats = perplexity(model, texts), -model.log_prob(texts).sum()
    assert found["nats per symbol"].value == pytest.approx(nats / (7 + 4))
    assert found["bits per character"].value == pytest.approx(nats / 7 / np.log(2))
    assert found["perplexity"].stderr == pytest.approx(found["perplexity"].value * found["nats per symbol"].stderr)


def test_perplexity_counts_what_is_impossible_and_refuses_what_has_none():
    model = pf.Factorised().fit(["ab", "ba"])
    found = perplexity(pf.Factorised().fit(["ab", "ab", "bb"]), ["ba", "ab"])
    assert found["perplexity"].value == np.inf or np.isfinite(found["perplexity"].value)
    sure = perplexity(pf.Factorised().fit(["ab", "ab", "ba"]), ["aa"])
    assert np.isfinite(sure["perplexity"].value) and model is not None
    with pytest.raises(BadData, match="sequences of symbols"):
        perplexity(pf.Gaussian().fit(np.random.default_rng(0).normal(size=(9, 2))), np.zeros((2, 2)))
    with pytest.raises(Unable, match="no energy|no bound"):
        perplexity(model, ["ab"], by="energy")
