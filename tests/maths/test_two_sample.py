"""The classifier test is calibrated where the laws are one, sees where they are not, and its measures are scikit-learn's."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from pushforward.errors import BadData, Usage
from pushforward.maths import two_sample
from pushforward.maths.two_sample import (
    area,
    boosting,
    chance_of_accuracy,
    chance_of_area,
    classifier,
    logistic,
    surprise,
    told_apart,
)


def normal(n, d, seed, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1.0, size=(n, d))


def test_p_values_of_a_plane_are_uniform_and_the_usual_z_is_not():
    """120 seeds. Kolmogorov and Smirnov at 0.002: so rarely do other seeds fail. Accuracies come in steps, hence 0.0005 for them."""
    runs = [told_apart(normal(50, 3, 2 * s), normal(50, 3, 2 * s + 1), logistic, 5, s) for s in range(120)]
    assert stats.kstest([r.auc[2] for r in runs], "uniform").pvalue > 0.002
    assert stats.kstest([r.accuracy[2] for r in runs], "uniform").pvalue > 0.0005
    spread = np.std([r.auc[0] for r in runs]) / np.sqrt(101 / (12 * 50 * 50))  # of one AUC of 50 and 50 examples
    assert 1.15 < spread < 1.9, "the folds share what they show: about the root of 2"
    for measure in ("accuracy", "auc"):
        value, said, _ = np.array([getattr(r, measure) for r in runs]).T
        assert 0.8 < value.std(ddof=1) / said.mean() < 1.25, (
            f"{measure}: the error that is told is that of drawing again"
        )


def test_p_values_of_trees_are_uniform():
    from functools import partial

    from sklearn.ensemble import HistGradientBoostingClassifier

    few = partial(
        HistGradientBoostingClassifier, max_iter=5, max_leaf_nodes=4, min_samples_leaf=3, early_stopping=False
    )
    runs = [
        told_apart(normal(30, 2, 2 * s), normal(30, 2, 2 * s + 1), lambda seed: few(random_state=seed), 4, s)
        for s in range(60)
    ]
    assert stats.kstest([r.auc[2] for r in runs], "uniform").pvalue > 0.002


def test_what_differs_is_seen_each_by_its_kind():
    x, y = normal(200, 2, 0), normal(200, 2, 1, 1.0)
    found = told_apart(x, y, logistic)
    truth = stats.norm.cdf(1.0)  # of the shift sqrt 2 along the best line: AUC = Phi(sqrt 2 / sqrt 2)
    assert abs(found.auc[0] - truth) < 4 * found.auc[1] and found.auc[2] < 1e-4 > found.accuracy[2]
    assert abs(found.accuracy[0] - stats.norm.cdf(2**0.5 / 2)) < 4 * found.accuracy[1]
    ring = normal(200, 2, 2) * 3
    assert told_apart(x, ring, logistic).auc[0] < 0.6 and told_apart(x, ring, boosting).auc[2] < 1e-4
    assert told_apart(x, ring, boosting, seed=3) == told_apart(x, ring, boosting, seed=3)


def test_auc_is_scikit_learns_ties_included():
    rng = np.random.default_rng(0)
    for a, b in ((rng.normal(size=40), rng.normal(0.5, size=30)), (rng.integers(0, 4, 40), rng.integers(0, 3, 30))):
        want = roc_auc_score(np.repeat([1, 0], [40, 30]), np.concatenate([a, b]))
        assert area(a, b)[0] == pytest.approx(want, abs=1e-12)
        assert chance_of_area(a, b)[0] == pytest.approx(want - 0.5, abs=1e-12)


def test_delongs_error_is_the_spread_of_repetitions():
    runs = [area(normal(60, 1, 2 * s)[:, 0], normal(40, 1, 2 * s + 1, 0.8)[:, 0]) for s in range(200)]
    values, variances = np.array(runs).T
    assert 0.85 < np.sqrt(variances.mean()) / values.std(ddof=1) < 1.15


def test_chances_are_those_of_all_arrangements():
    from itertools import combinations

    scores = np.array([0.1, 0.2, 0.2, 0.7, 0.7, 0.9, 0.3])
    areas, rights = [], []
    for pick in combinations(range(7), 3):
        a, b = scores[list(pick)], np.delete(scores, pick)
        areas.append(area(a, b)[0])
        rights.append(((a > 0.5).sum() + (b <= 0.5).sum()) / 7)
        gap, variance = chance_of_area(a, b)
        right, spread = chance_of_accuracy(a, b)
        assert gap == pytest.approx(areas[-1] - 0.5, abs=1e-12)
    assert np.mean(areas) == pytest.approx(0.5, abs=1e-12) and np.var(areas) == pytest.approx(variance, rel=1e-10)
    assert np.var(rights) == pytest.approx(spread, rel=1e-10) and rights[-1] - np.mean(rights) == pytest.approx(right)
    assert surprise([(0.0, 0.0)]) == 1.0 and surprise([(1.0, 1.0), (0.96, 0.0)]) == pytest.approx(0.025, abs=1e-4)


def test_parts_are_disjoint_and_no_part_judges_itself(monkeypatch):
    seen = []
    monkeypatch.setattr(
        two_sample,
        "judged",
        lambda parts, learn, judge, *rest: (seen.append((tuple(learn), judge)), (np.arange(5.0), np.arange(5.0)))[1],
    )
    told_apart(normal(20, 1, 0), normal(20, 1, 1), logistic, 4)
    assert len(seen) == 6 and all(judge not in learn for learn, judge in seen)
    assert [s for s in seen if len(s[0]) == s[1]] == [((0, 1, 2), 3), ((0,), 1), ((0, 1), 2)]


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(BadData, match="folds"):
        told_apart(normal(9, 1, 0), normal(9, 1, 1), logistic, 5)
    with pytest.raises(Usage, match="Did you mean 'boosting'"):
        classifier("bosting")
