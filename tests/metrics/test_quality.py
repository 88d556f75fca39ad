"""The faces of sample quality: what they say of equal laws and of known faults, and how they say it."""

import json
import math

import numpy as np
import pytest

import pushforward as pf
from pushforward.errors import BadData, Usage
from pushforward.maths.laws import Normal
from pushforward.maths.neighbours import covered_by_chance
from pushforward.metrics.quality import Estimates, c2st, frechet, kid, prdc


def normal(n, d=4, seed=0, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1.0, size=(n, d))


EQUAL = (normal(300), normal(260, seed=1))
SHIFTED = (normal(300), normal(260, seed=1, mean=1.0))


def test_equal_laws_lie_at_their_floors():
    found = prdc(*EQUAL)
    for one in found.values():
        assert abs(one.excess) < 5 * one.stderr + 0.02 and one.n == (300, 260) and "balls" in str(one)
    assert found["coverage"].floor == covered_by_chance(300, 260, 5) and found["density"].floor == 1.0
    assert found["precision"].parameters == {"k": 3} and found["density"].parameters == {"k": 5}
    both = kid(*EQUAL, subsets=20, size=100)
    assert both["mmd2"].p_value == both["kid"].p_value > 0.01 and abs(both["kid"].value) < 4 * both["kid"].stderr
    one = frechet(*EQUAL, floors=4)
    assert 0.4 * one.floor < one.value < 2.5 * one.floor
    assert all(e.p_value > 0.005 and e.floor == 0.5 for e in c2st(*EQUAL, classifiers="logistic").values())


def test_a_shift_is_seen_by_all():
    assert kid(*SHIFTED, subsets=20, size=100)["kid"].p_value <= 1 / 201 + 1e-12
    one = frechet(*SHIFTED)
    assert abs(one.value - 4.0) < 4 * one.stderr + one.floor and one.value > 10 * one.floor
    assert prdc(*SHIFTED)["coverage"].excess < -0.1
    found = c2st(*SHIFTED, most=150)
    assert list(found) == ["logistic accuracy", "logistic auc", "boosting accuracy", "boosting auc"]
    assert all(e.p_value < 1e-6 and e.value > 0.75 and e.n == (150, 150) and "drawn" in str(e) for e in found.values())


def test_a_collapse_and_a_blur_are_told_apart():
    """Too little spread: precise, not recalled. Too much: recalled, not precise."""
    x = normal(400, 2)
    collapsed, blurred = prdc(x, 0.05 * normal(400, 2, 1)), prdc(x, 4 * normal(400, 2, 1))
    assert collapsed["precision"].value > 0.95 and collapsed["recall"].value < 0.1 and collapsed["coverage"].value < 0.2
    assert blurred["precision"].value < 0.5 and blurred["recall"].value > 0.8 and blurred["density"].value < 0.35


def test_models_are_drawn_from_and_seeds_hold():
    x = pf.data.toys.moons(300)
    model = pf.GaussianMixture(components=8).fit(x)
    found = prdc(x, model, n=250, seed=1)
    assert found["precision"].n == (300, 250) and found == prdc(x, model, n=250, seed=1) != prdc(
        x, model, n=250, seed=2
    )
    assert frechet(x, Normal([0.5, 0.25], [0.75, 0.25]), n=400).n == (300, 400)


def test_all_is_printed_and_goes_to_json():
    real, fake = normal(80), normal(60, seed=1)
    fake[0, 0] = math.nan
    for found in (
        kid(real, fake, "pca:2", subsets=5, size=20),
        prdc(real, fake, "pca:2"),
        c2st(real, fake, "pca:2", "logistic"),
    ):
        assert isinstance(found, Estimates)
        facts = json.loads(json.dumps(found.to_json(), allow_nan=False))
        for key, one in found.items():
            said = str(one)
            assert (
                "1 of 60 fake examples is not finite" in said
                and "2 first principal components" in said
                and said in str(found)
            )
            assert facts[key]["value"] == one.value and f"n = {one.n[0]} and {one.n[1]}" in said
    assert (
        "FD = " in str(frechet(real, fake))
        and "FID" not in str(frechet(real, fake))
        and "above the floor" in str(frechet(real, fake))
    )


def test_few_examples_for_many_features_are_said_and_shrunk():
    real, fake = normal(30, 40), normal(25, 40, 1)
    shrunk, bare = frechet(real, fake), frechet(real, fake, shrink=False)
    assert "singular, and shrunk" in str(shrunk) and 0 < shrunk.parameters["shrinkage"] <= 1
    assert "mostly bias" in str(bare) and math.isnan(bare.stderr) and shrunk.value < 0.5 * bare.value
    assert "singular" not in str(frechet(normal(90, 40), normal(90, 40, 1)))


def test_the_limit_and_the_formula_of_the_floor():
    real, fake = normal(400, 8), normal(400, 8, 1)
    at_n, limit = frechet(real, fake, floors=0), frechet(real, fake, extrapolate=True)
    assert at_n.floor == pytest.approx(frechet(real, fake, floors=3).floor, rel=0.3)
    assert limit.name == "FD-infinity" and abs(limit.value) < 0.5 * at_n.value and limit.stderr > 0


def test_kid_says_how_many_it_rests_on():
    found = kid(normal(90), normal(70, seed=1), subsets=3)
    assert found["kid"].parameters == {"subset size": 70, "subsets": 3}
    big = kid(normal(3200, 2), normal(100, 2, 1), subsets=2, size=50, shuffles=20)
    assert "3,000 and 100" in str(big["mmd2"]) and big["mmd2"].n == (3200, 100)


@pytest.mark.parametrize(
    "call, problem, words",
    [
        (lambda: prdc(normal(9), normal(9), k=9), Usage, "from 1 to 8"),
        (lambda: prdc(normal(9), normal(4), k_dense=4), Usage, "from 1 to 3"),
        (lambda: prdc(normal(9), normal(9, 5)), BadData, "same variables"),
        (lambda: prdc(normal(9), np.full((9, 4), np.inf)), BadData, "none of 9"),
        (lambda: kid(normal(9), normal(9), subsets=0), Usage, "subsets=0"),
        (lambda: frechet(normal(8), normal(8), extrapolate=True), BadData, "FD-infinity"),
        (lambda: c2st(normal(9), normal(9), classifiers="tree"), Usage, "no classifier 'tree'"),
        (lambda: c2st(normal(9), normal(9)), BadData, "5 folds"),
        (lambda: c2st(normal(90), normal(90), folds=1), Usage, "folds=1"),
        (lambda: kid([], normal(9)), BadData, "empty"),
    ],
)
def test_bad_input_is_a_sentence(call, problem, words):
    with pytest.raises(problem, match=words):
        call()
