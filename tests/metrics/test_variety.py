"""Bins, modes and the Vendi score of samples, models and tables."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pushforward.data import toys
from pushforward.errors import BadData, Usage
from pushforward.metrics.variety import birthday, modes, ndb, vendi

RING = toys.density("eight_gaussians")


def normal(n, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_bins_keep_their_level_where_laws_are_one_even_of_few_examples():
    """40 seeds x 20 bins: the share of bins within 4 sigmas of alpha = 0.05, and p-values uniform (Kolmogorov and Smirnov at 0.002)."""
    runs = [ndb(normal(500, 2, 2 * s), normal(300, 2, 2 * s + 1), bins=20, seed=s) for s in range(40)]
    assert abs(np.mean([r["ndb"].value for r in runs]) - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 800)
    assert stats.kstest([r["ndb"].p_value for r in runs], "uniform").pvalue > 0.002
    js = np.mean([r["js"].value for r in runs])
    assert js == pytest.approx(runs[0]["js"].floor, rel=0.15)


def test_a_lost_mode_shows_in_the_bins():
    real, fake = RING.sample(2000), RING.sample(2000, seed=1)
    lost = fake[~(np.hypot(*(fake - RING.centres[0]).T) < 1)]
    found = ndb(real, lost, bins=16)
    assert found["ndb"].p_value < 1e-10 and found["ndb"].value > 0.1 and found["js"].value > 5 * found["js"].floor
    assert found["ndb"].parameters == {"bins": 16, "alpha": 0.05} and found["ndb"].n == (1000, len(lost))
    assert "so that each has 10" in str(ndb(real[:100], fake[:100]))
    frame = pd.DataFrame({"a": real[:200, 0], "b": np.where(real[:200, 1] > 0, "u", "v")})
    assert 0 <= ndb(frame, frame, bins=4)["ndb"].value <= 1


def test_the_truth_finds_and_holds_all_modes():
    found = modes(RING.sample(2500), RING.centres, RING.std)
    assert found["found"].value == found["held"].value == 8 and found["held"].floor == pytest.approx(8.0)
    good = found["good"]
    assert good.floor == pytest.approx(1 - math.exp(-4.5)) and abs(good.excess) < 4 * good.stderr
    assert found["forward"].value < 5 * found["forward"].floor and found["reverse"].value < 5 * found["reverse"].floor
    assert found == modes(RING, RING.centres, RING.std)


def test_a_collapse_is_counted():
    """Two of eight modes, one of them hardly hit: KL from the true shares is infinite, the other way log 4 and a little."""
    fake = np.concatenate([RING.centres[[0]].repeat(990, 0), RING.centres[[1]].repeat(9, 0), [[0.0, 0.0]]])
    found = modes(fake, RING.centres, RING.std)
    assert (found["found"].value, found["held"].value, found["good"].value) == (2, 1, 0.999)
    assert found["forward"].value == math.inf and json.loads(json.dumps(found.to_json()))["forward"]["value"] is None
    assert math.log(4) < found["reverse"].value < math.log(8)


def test_what_is_not_finite_is_not_good():
    fake = RING.sample(100)
    fake[:10] = np.nan
    found = modes(fake, RING.centres, RING.std)
    assert found["good"].value <= 0.9 and found["good"].n == (100,) and "10 of 100" in str(found["good"])


def test_classes_stand_for_modes():
    fake = np.arange(1000) % 10
    found = modes(fake[:, None], classify=lambda x: x[:, 0], shares=20)
    assert found["found"].value == 10 and "good" not in found and found["reverse"].value == pytest.approx(math.log(2))
    assert found["found"].floor == pytest.approx(20.0)
    uneven = modes(fake[:, None], classify=lambda x: x[:, 0] // 5, shares=[0.5, 0.5])
    assert uneven["forward"].value == pytest.approx(0.0, abs=1e-12)


def test_vendi_falls_where_examples_repeat():
    x = normal(400, 30)
    assert vendi(x, x[:200]).value == pytest.approx(vendi(x, x[:200]).floor, rel=0.1)
    repeated = vendi(x, x[:5].repeat(80, 0))
    assert repeated.value < 5.001 and repeated.floor > 20
    assert vendi(x, x[:5].repeat(80, 0), kernel="gaussian").value < 5.001
    assert "drawn from" in str(vendi(x, x[:50])) and math.isnan(repeated.stderr)


@pytest.mark.parametrize(
    "call, problem, words",
    [
        (lambda: ndb(normal(9), normal(9)), BadData, "at least 40"),
        (lambda: ndb(normal(90), normal(90), bins=1), Usage, "bins=1"),
        (lambda: modes(normal(9)), Usage, "centres="),
        (lambda: modes(normal(9), RING.centres, 0.0), Usage, "positive"),
        (lambda: modes(normal(9, 3), RING.centres), BadData, "variables"),
        (lambda: modes(normal(9), RING.centres, shares=[0.5, 0.5]), Usage, "shares"),
        (lambda: modes(normal(9), classify=lambda x: x[:, 0]), Usage, "shares="),
        (lambda: modes(normal(9), classify=lambda x: x[:, 0], shares=3), BadData, "whole number"),
        (lambda: vendi(normal(9), normal(9), kernel="linear"), Usage, "kernel='linear'"),
        (lambda: vendi(normal(9), np.zeros((9, 2))), BadData, "direction"),
    ],
)
def test_bad_input_is_a_sentence(call, problem, words):
    with pytest.raises(problem, match=words):
        call()


def test_near_twins_of_equal_laws_are_as_rare_as_said():
    """P(c or more pairs) = 2^-c: over 120 seeds the mean of c is 1, whose standard error is 2^1/2 / 120^1/2."""
    found = [birthday(normal(60, 2, 2 * s), normal(60, 2, 2 * s + 1)) for s in range(120)]
    assert abs(np.mean([f.value for f in found]) - 1) < 4 * math.sqrt(2 / 120)
    assert all(f.p_value == 2.0**-f.value and f.floor == 1 for f in found)
    assert 0.15 < np.mean([f.p_value <= 0.25 for f in found]) < 0.36


def test_few_different_examples_show_as_twins():
    x = normal(300, 5)
    found = birthday(x, x[:100][np.random.default_rng(0).integers(0, 100, 300)])
    assert found.p_value < 1e-6 and "as of draws from about" in str(found)
    assert 60 < 300 * 299 / (2 * found.value) < 160, "there are 100"
    whole = birthday(np.arange(40) // 2, np.arange(40) // 4)
    assert whole.p_value is None and whole.floor == 20 and whole.value == 60 and "so there is no p-value" in str(whole)
