"""`metrics.divergence` chooses by what the sides can, says what it did, and refuses what cannot be compared."""

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.maths.divergences import TABLE, gaussians
from pushforward.maths.laws import Normal
from pushforward.maths.pushforward import Pushforward
from pushforward.metrics import divergence

P, Q = {"a": 0.5, "b": 0.3, "c": 0.2}, {"c": 0.5, "b": 0.25, "a": 0.25}
by_name = pytest.mark.parametrize("name", list(TABLE))


def normal(n, mean=0.0, seed=0, d=1):
    return np.random.default_rng(seed).normal(mean, 1.0, size=(n, d))


class Plain:
    """A law of somebody else's: it has never heard of us."""

    def __init__(self, mean):
        self.law = Normal(mean)

    def sample(self, n, seed):
        return self.law.sample(n, seed).numpy()

    def log_prob(self, x):
        return self.law.log_prob(torch.as_tensor(x)).numpy()


class Deaf(Plain):
    log_prob = None


class Mute(Plain):
    sample = None


# ---- which estimator ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "p, q, words",
    [
        (P, Q, "the sum over 3 outcomes"),
        ([0.5, 0.5], np.array([0.9, 0.1]), "the sum over 2 outcomes"),
        (np.array([0] * 30 + [1]), np.array([0, 1] * 20), "shares of whole rows"),  # whole numbers are examples, whatever their sum
        (Counter("aabbbc"), Counter("abc"), "shares of 3 outcomes"),
        (Counter("aabbbc"), P, "shares of 3 outcomes"),
        (Normal(1.0), torch.distributions.Normal(0.0, 1.0), "the formula for two Gaussians"),
        (Plain(1.0), Normal(0.0), "both densities at draws of both"),
        (stats.norm(1.0), Plain(0.0), "both densities at draws of both"),
        (Mute(1.0), Plain(0.0), "draws of Q alone"),
        (Deaf(1.0), Normal(0.0), "5th nearest neighbour"),
        (normal(50), Normal(0.0), "5th nearest neighbour"),
        (normal(50)[:, 0], normal(60, seed=1), "5th nearest neighbour"),
        (normal(50).round(), normal(60, seed=1), "histograms with shared edges"),
        (torch.randint(0, 3, (90, 2)), torch.randint(0, 3, (80, 2)), "shares of whole rows"),
        (normal(60, d=9), normal(60, d=9, seed=1), "the lower bound of a critic"),
        (["ab", "ba"] * 20, ["ab", "aa"] * 30, "shares of whole rows"),
        (Pushforward("uniform", lambda z: z < 0.3, cuts=[0.3]), {True: 0.5, False: 0.5}, "the sum over 2 outcomes"),
    ],
)  # fmt: skip
def test_auto_suits_what_came_and_says_so(p, q, words):
    found = divergence(p, q, "js", n=500, floors=0)
    assert words in found.estimator and words in str(found) and 0 <= found.value + 0.2 < 1


@by_name
def test_estimators_agree_on_two_models(name):
    p, q = Normal(0.6, 0.9), Normal(0.0, 1.0)
    exact = gaussians(name, p, q)
    assert divergence(p, q, name).value == pytest.approx(exact) and divergence(p, q, name).stderr == 0.0
    sampled = divergence(p, q, name, "monte-carlo", n=20_000)
    assert abs(sampled.value - exact) < 4 * sampled.stderr and sampled.floor == TABLE[name].least
    one_sided = divergence(p, Mute(0.0), name, n=20_000)
    assert abs(one_sided.value - exact) < 4 * one_sided.stderr + 1e-6 and "draws of P alone" in one_sided.estimator
    for estimator, slack in (("histogram", 0.08), ("kde", 0.1), ("knn", 0.03)):
        found = divergence(p, q, name, estimator, n=4000, floors=1)
        assert abs(found.value - exact) < 4 * found.stderr + slack and found.n == (4000, 4000)


def test_the_floor_is_what_two_samples_of_one_law_give():
    same = divergence(normal(2000), normal(2000, seed=1), "kl", "histogram", bins=50)
    other = divergence(normal(2000, 1.0), normal(2000, seed=1), "kl", "histogram", bins=50)
    assert 0 < same.floor < 0.04 and abs(same.excess) < 0.02 and other.excess > 0.3
    assert divergence(normal(500), normal(500, seed=1), "gan", "knn").floor == pytest.approx(-math.log(4), abs=0.1)


def test_the_same_seed_gives_the_same_estimate_and_no_global_generator_moves():
    state = torch.get_rng_state()
    one, two = (divergence(Deaf(1.0), Deaf(0.0), "js", "variational", n=200, steps=40, seed=7) for _ in range(2))
    assert one == two and one != divergence(Deaf(1.0), Deaf(0.0), "js", "variational", n=200, steps=40, seed=8)
    assert torch.equal(state, torch.get_rng_state())


def test_models_are_asked_for_their_abilities():
    x = pf.data.toys.moons(500)
    exact, rough = pf.GaussianMixture(components=6).fit(x), pf.Histogram(bins=8, smooth=0.1).fit(x)
    both = divergence(exact, rough, "js", n=2000)
    assert "both densities" in both.estimator and 0 < both.value < math.log(2)
    drawn = divergence(x, exact, "kl", n=500)
    assert "neighbour" in drawn.estimator and abs(drawn.excess) < 0.5
    gan = pf.GAN(**pf.GAN.small).fit(x, steps=5, quiet=True)
    assert "neighbour" in divergence(gan, x, n=200, floors=0).estimator
    assert divergence(exact, exact, "kl").value == pytest.approx(0.0, abs=1e-12)


def test_discrete_models_are_compared_by_probabilities():
    bits = np.random.default_rng(0).integers(0, 2, size=(400, 3)).astype(np.uint8)
    one, two = pf.Histogram(smooth=1.0).fit(bits), pf.Histogram(smooth=1.0).fit(bits[:100])
    grid = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=np.uint8)
    p, q = np.exp(one.log_prob(grid)), np.exp(two.log_prob(grid))
    found = divergence(one, two, "kl", n=5000)
    assert abs(found.value - float((p * np.log(p / q)).sum())) < 4 * found.stderr


def test_tables_of_mixed_columns_are_binned_with_shared_cells():
    rng = np.random.default_rng(0)

    def frame(n, share):
        return pd.DataFrame({"x": rng.normal(size=n), "kind": rng.choice(["u", "v"], n, p=[share, 1 - share])})

    far, near = divergence(frame(900, 0.1), frame(800, 0.9), "js"), divergence(frame(900, 0.5), frame(800, 0.5), "js")
    assert "histogram" in far.estimator and far.excess > 0.2 > 0.02 > abs(near.excess)
    gaps = frame(300, 0.5)
    gaps.loc[:99, "x"] = np.nan
    assert divergence(gaps, frame(300, 0.5), "js").excess > 0.05  # a third is missing on one side


# ---- infinite, said -----------------------------------------------------------------------------------------------------


def test_disjoint_supports_are_infinite_and_said():
    found = divergence({"a": 1.0}, {"b": 1.0}, "kl")
    assert found.value == math.inf and "no outcome in common, so it is infinite" in str(found)
    assert "0.2 where Q has none" in str(divergence({"a": 0.8, "b": 0.2}, {"a": 1.0}, "kl"))
    assert "Q has mass 0.2 where P has none" in str(divergence({"a": 1.0}, {"a": 0.8, "b": 0.2}, "reverse_kl"))
    js = divergence({"a": 1.0}, {"b": 1.0}, "js")
    assert js.value == pytest.approx(math.log(2)) and "at its largest" in str(js)
    uniform = stats.uniform(0, 1), stats.uniform(0, 2)
    assert divergence(*uniform[::-1], "kl").value == math.inf and "impossible" in str(divergence(*uniform[::-1], "kl"))
    assert divergence(*uniform, "kl", n=4000).value == pytest.approx(math.log(2), abs=0.05)


def test_cells_in_common_are_looked_for():
    apart = divergence(normal(100), normal(100) + 100, "kl", "histogram")
    assert math.isfinite(apart.value) and "no cell in common" in str(apart)
    open_ = divergence(normal(100), normal(100) + 100, "kl", "histogram", smooth=0.0)
    assert open_.value == math.inf and "smooth=0.5 makes it finite" in str(open_)
    zero = divergence(Counter(a=5), Counter(b=5), "kl")
    assert math.isfinite(zero.value) and "without what was added: P and Q have no outcome in common" in str(zero)
    assert divergence(Counter(a=5), Counter(b=5), "kl", smooth=0.0).value == math.inf


def test_counts_are_estimates_and_zero_counts_are_outcomes():
    rng = np.random.default_rng(0)
    p, q = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.4, 0.3, 0.2, 0.1])
    tables = [dict(enumerate(rng.multinomial(5000, share).tolist())) for share in (p, q)]
    found, exact = divergence(*tables, "js"), divergence(p, q, "js").value
    assert abs(found.value - exact) < 4 * found.stderr and found.n == (5000, 5000)
    assert found.floor == pytest.approx(3 * (1 / 5000 + 1 / 5000) / 8, rel=1e-6)


# ---- refused ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "p, q, options, problem, words",
    [
        (normal(30, d=2), normal(30, d=3), {}, BadData, r"shape \(2,\) and q of shape \(3,\)"),
        (Normal([0.0] * 2, [1.0] * 2), Normal([0.0] * 3, [1.0] * 3), {}, BadData, "2 variables and q has 3|2 variables"),
        (pd.DataFrame({"x": [1.0, 2.0]}), pd.DataFrame({"y": [1.0, 2.0]}), {}, BadData, "different columns: x, y"),
        ({}, P, {}, BadData, "empty"),
        ({"a": 0, "b": 0}, P, {}, BadData, "no count"),
        ({"a": 0.3, "b": 0.3}, P, {}, BadData, "sum to 0.6"),
        (np.zeros((0, 2)), normal(9), {}, BadData, "p is empty"),
        (None, P, {}, Usage, "p is None"),
        (P, object(), {}, Usage, "q: A object can neither sample"),
        (normal(30), normal(30), {"which": "jss"}, Usage, "Did you mean 'js'"),
        (normal(30), normal(30), {"estimator": "histogramm"}, Usage, "Did you mean 'histogram'"),
        (normal(30), normal(30), {"estimator": "histogram", "bin": 5}, Usage, "Did you mean 'bins'"),
        (P, Q, {"estimator": "knn"}, Usage, "'exact'"),
        (P, ["a", "b"], {"estimator": "knn"}, Usage, "'counts'"),
        (Deaf(0.0), Normal(), {"estimator": "monte-carlo"}, Unable, "asks both sides for log_prob"),
        (normal(30), Normal(), {"estimator": "exact"}, Unable, "two tables or two Gaussians"),
        (normal(30), Mute(0.0), {}, Usage, "cannot sample"),
        (pf.Histogram(), normal(30), {}, Exception, "not fitted"),
        (normal(30), normal(30), {"estimator": "variational", "critic": lambda x: x[:, 0] * torch.nan}, BadData, "NaN or infinity"),
        (np.array([[1.0], [np.inf]] * 9), normal(30), {"estimator": "knn"}, BadData, "infinity"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_with_a_reason(p, q, options, problem, words):
    with pytest.raises(problem, match=words):
        divergence(p, q, **options)


def test_measures_that_differ_are_not_compared():
    counts = pf.Histogram(smooth=1.0).fit(np.array([[0], [1], [2], [5]] * 5))
    density = pf.Histogram(smooth=1.0).fit(normal(20))
    with pytest.raises(BadData, match="measure"):
        divergence(counts, density, estimator="monte-carlo")


@pytest.mark.parametrize("estimator, options", [("knn", {}), ("histogram", {}), ("variational", {"steps": 60})])
def test_one_wild_number_does_not_hide_a_difference(estimator, options):
    """Scaled or cut by both sides together, one number of 1e6 among a thousand made all others of its column one."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 2)) * [3, 1] + [1, 0]
    wild = y.copy()
    wild[0, 0] = 1e6
    one, two = (divergence(x, side, "js", estimator, floors=0, **options) for side in (y, wild))
    assert one.value > 0.1 and abs(one.value - two.value) < 0.01
