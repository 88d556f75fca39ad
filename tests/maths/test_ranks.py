"""Rank statistics are scipy's and scikit-learn's, and their errors cover."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, r2_score, roc_auc_score, roc_curve

from pushforward.maths import predictions, ranks


@pytest.mark.parametrize("digits", [12, 0])
def test_auc_and_z_are_those_of_scikit_learn_and_scipy(digits):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 1, 70).round(digits), rng.normal(size=50).round(digits)
    truth, score = np.repeat([1, 0], [70, 50]), np.concatenate([a, b])
    assert ranks.auc(a, b)[0] == pytest.approx(roc_auc_score(truth, score), abs=1e-14)
    p = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=False).pvalue
    assert ranks.two_sided(ranks.z_score(a, b)) == pytest.approx(p, rel=1e-10)
    false, true, _ = roc_curve(truth, score, drop_intermediate=False)
    assert ranks.true_positives(a, b, 0.1)[0] == true[false <= 0.1].max()


def test_equal_scores_say_nothing():
    same = np.ones(5)
    assert (
        ranks.z_score(same, same) == 0 and ranks.auc(same, same)[0] == 0.5 and ranks.true_positives(same, same)[0] == 0
    )
    assert np.isnan(ranks.auc(np.ones(1), same)[1]) and ranks.below(0.0) == 0.5


def test_the_error_of_the_area_covers():
    """95 % intervals of 400 draws around the true Phi(1/sqrt 2): between 92 % and 98 % cover, with a chance of failing below 1 in 100 of another seed."""
    truth, hits = stats.norm.cdf(0.5**0.5), 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        value, error = ranks.auc(rng.normal(1, 1, 60), rng.normal(size=80))
        hits += abs(value - truth) < 1.96 * error
    assert 0.92 < hits / 400 < 0.98


def test_weighted_scores_are_scikit_learns():
    rng = np.random.default_rng(1)
    truth, weights = rng.integers(0, 3, 90), rng.integers(0, 4, (3, 90)).astype(float)
    chances = rng.dirichlet([1, 1, 1], 90).round(1)
    found = chances.argmax(1)
    for i, w in enumerate(weights):
        at = np.repeat(np.arange(90), w.astype(int))
        assert predictions.accuracy(truth, found, weights)[i] == pytest.approx((truth == found)[at].mean())
        assert predictions.f1(truth, found, weights, [0, 1, 2])[i] == pytest.approx(
            f1_score(truth[at], found[at], average="macro")
        )
        area = np.mean([roc_auc_score(truth[at] == k, chances[at, k]) for k in range(3)])
        assert predictions.auc(truth, chances, weights, [0, 1, 2])[i] == pytest.approx(area)
        y, p = chances[:, 0], chances[:, 1]
        assert predictions.r2(y, p, weights)[i] == pytest.approx(r2_score(y[at], p[at]))


def test_a_class_that_is_not_there_has_no_area():
    truth, chances, one = np.array([0, 0, 1]), np.eye(3)[[0, 1, 1]], np.ones((1, 3))
    assert np.isnan(predictions.auc(truth, chances[:, 2:], one, [2])[0])
    assert predictions.auc(truth, chances, one, [0, 1, 2])[0] == predictions.auc(truth, chances[:, :2], one, [0, 1])[0]
    assert predictions.f1(truth, truth, one, [2])[0] == 0
