"""`metrics.wasserstein` and `metrics.mmd` take what comes, say how, and refuse what has no distance."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Usage
from pushforward.maths.laws import Normal
from pushforward.metrics import mmd, wasserstein


def normal(n, mean=0.0, seed=0, d=1):
    return np.random.default_rng(seed).normal(mean, 1.0, size=(n, d))


def test_one_variable_is_scipys_number_in_the_units_of_the_data():
    x, y = 1000 * normal(80), 1000 * normal(50, 1.0, 1)
    found = wasserstein(x, y)
    assert found.value == pytest.approx(stats.wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-12)
    assert "quantile" in found.estimator and found.n == (80, 50) and 0 < found.floor < found.value and found.stderr > 0


@pytest.mark.parametrize(
    "p, q, options, words",
    [
        (normal(40, d=2), normal(40, 1.0, 1, 2), {}, "the best plan"),
        (normal(40, d=2), normal(30, 1.0, 1, 2), {}, "128 random lines"),
        (normal(40, d=2), normal(40, 1.0, 1, 2), {"estimator": "sliced", "projections": 16}, "16 random lines"),
        (
            normal(400, d=2),
            normal(400, 1.0, 1, 2),
            {"estimator": "dual", "steps": 60, "hidden": (16, 16)},
            "1-Lipschitz critic",
        ),
        (normal(400), normal(400, 1.0, 1), {"estimator": "dual", "critic": lambda x: -x[:, 0]}, "critic given"),
        (Normal([0.0] * 2, [1.0] * 2), Normal([3.0, 4.0], [1.0] * 2), {"order": 2}, "two Gaussians"),
        ({0: 0.5, 2: 0.5}, {1: 1.0}, {}, "two tables"),
    ],
)
def test_the_estimator_suits_what_came_and_says_so(p, q, options, words):
    found = wasserstein(p, q, floors=1, **options)
    assert words in found.estimator and (
        0.3 < found.value < 3 or found.value == pytest.approx(5.0, abs=1e-12) or found.value < 0
    )


def test_tables_on_a_line_are_exact():
    assert wasserstein({0: 0.5, 2: 0.5}, {1: 1.0}).value == 1.0 and wasserstein({0: 1.0}, {3.0: 1.0}, 2).value == 3.0
    assert wasserstein([0.2, 0.8], [0.8, 0.2]).value == pytest.approx(0.6, abs=1e-15)


def test_models_are_drawn_from():
    x = pf.data.toys.moons(400)
    model = pf.GaussianMixture(components=8).fit(x)
    near, far = wasserstein(model, x, n=400, seed=1), wasserstein(Normal([5.0, 5.0], [1.0, 1.0]), x, n=400)
    assert "best plan" in near.estimator and near.value < 2 * near.floor and far.value > 6
    assert wasserstein(model, x, n=400, seed=1) == near
    assert mmd(model, x, n=300).p_value > 0.001 and mmd(Normal([5.0, 5.0], [1.0, 1.0]), x).p_value < 0.01


def test_mmd_tells_laws_apart_and_is_unbiased_below_its_floor():
    same, other = mmd(normal(300, d=3), normal(200, seed=1, d=3)), mmd(normal(300, d=3), normal(200, 0.5, 1, 3))
    assert same.p_value > 0.01 and other.p_value <= 1 / 501 + 1e-12 and abs(same.floor) < 0.01 < other.value
    assert abs(same.value) < 5 * same.stderr + 0.01
    assert mmd(normal(100), normal(100, 1.0, 1), "polynomial").p_value < 0.05


def test_mixed_tables_have_distances_through_their_features():
    rng = np.random.default_rng(0)

    def frame(n, share):
        return pd.DataFrame({"x": rng.normal(size=n), "kind": rng.choice(["u", "v"], n, p=[share, 1 - share])})

    assert mmd(frame(200, 0.2), frame(200, 0.8)).p_value < 0.01
    assert wasserstein(frame(200, 0.2), frame(200, 0.8), floors=1).excess > 0.2
    assert mmd(["abc", "abd"] * 20, ["xyz", "xyw"] * 20).p_value < 0.01


def test_many_examples_are_thinned_and_said():
    found = mmd(normal(7000), normal(7000, seed=1), shuffles=20)
    assert found.n == (3000, 3000) and "7,000" in str(found)


@pytest.mark.parametrize(
    "call, problem, words",
    [
        (lambda: wasserstein(normal(9, d=2), normal(9, d=3)), BadData, "shape"),
        (lambda: wasserstein(normal(9, d=2), normal(9, d=2), estimator="line"), BadData, "'line' is for one"),
        (lambda: wasserstein(normal(9), normal(9), estimator="slicd"), Usage, "Did you mean 'sliced'"),
        (lambda: wasserstein(normal(9), normal(9), order=0.5), Usage, "at least 1"),
        (lambda: wasserstein(normal(9), normal(9), order=2, estimator="dual"), Usage, "order 1"),
        (lambda: wasserstein(normal(9), normal(9), estimator="sliced", lines=3), Usage, "no 'lines'"),
        (lambda: wasserstein({"a": 1.0}, {"b": 1.0}), BadData, "not a number"),
        (lambda: wasserstein(normal(99), normal(99), estimator="dual", critic=lambda x: x[:, 0] * math.nan), BadData, "NaN or infinity"),
        (lambda: mmd(normal(9), normal(9), "gausian"), Usage, "Did you mean 'gaussian'"),
        (lambda: mmd(normal(9), normal(9), "polynomial", width=2.0), Usage, "width"),
        (lambda: mmd(normal(1), normal(9)), BadData, "at least 2"),
        (lambda: mmd(torch.tensor([[math.inf], [1.0]]), normal(9)), BadData, "infinity"),
    ],
)  # fmt: skip
def test_what_has_no_distance_is_refused(call, problem, words):
    with pytest.raises(problem, match=words):
        call()
