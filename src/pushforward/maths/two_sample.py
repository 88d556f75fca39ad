"""The classifier two-sample test: can anything be learned that tells the examples of two samples apart?

Out of fold: F classifiers, each learning from F - 1 parts and judging the one left. The accuracy over all examples and the mean area under the ROC
curve (AUC: the share of pairs (x, y) with the higher score at x, ties a half) are 1/2 in expectation where the laws are one.

The folds are not independent: what part f shows to the classifier that judges g, part g shows to the one that judges f. For a linear score the
variance of their mean is twice that of independent folds, so the usual z is no test, and the standard errors here count it twice: right where the
laws are one, too large by half at most where they are far apart. The p-values come from judging forward: part f by what
learned from the parts before it. Given those, and given the rows of part f without their labels, every arrangement of its labels is equally likely
where the laws are one. Then accuracy (hypergeometric) and AUC (ranks) have a known mean and variance, the deviations of the parts are a martingale,
and their variances add.

    var U = n m / N(N-1) sum (r - mean r)^2,  U = n m AUC, r the midranks of N = n + m scores
    var TP = K n m (N - K) / N^2 (N - 1),     K of N judged to be x, accuracy = (2 TP + m - K) / N

Lopez-Paz & Oquab, "Revisiting classifier two-sample tests", ICLR 2017; forward judging: Lheritier & Cazals, "A sequential non-parametric
multivariate two-sample test", IEEE Trans. Inf. Theory 2018; the error of an AUC: DeLong, DeLong & Clarke-Pearson, Biometrics 1988.
x (n, D)   y (m, D)   scores (n,), (m,)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erfc, sqrt
from typing import Any

import numpy as np

from .. import noise
from ..errors import BadData, Usage, did_you_mean

ALIKE = 2.0  # the variance of the mean over folds, over that of independent folds

Array = np.ndarray
Learner = Callable[[int], Any]  # seed -> a classifier of scikit-learn's kind


def logistic(seed: int) -> Any:
    """A plane between the samples, on variables standardised by what is learned from."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, random_state=seed))


def boosting(seed: int) -> Any:
    """Boosted trees: any shape, and pairs of variables."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=15, min_samples_leaf=5, early_stopping=False, random_state=seed
    )


CLASSIFIERS: dict[str, Learner] = {"logistic": logistic, "boosting": boosting}


def classifier(name: str) -> Learner:
    if name not in CLASSIFIERS:
        raise Usage(
            f"There is no classifier {name!r}.{did_you_mean(name, CLASSIFIERS)} There are: {', '.join(CLASSIFIERS)}."
        )
    return CLASSIFIERS[name]


@dataclass(frozen=True)
class Verdict:
    """What a classifier found: (value, standard error, p-value) of either measure."""

    accuracy: tuple[float, float, float]
    auc: tuple[float, float, float]


def told_apart(x: Array, y: Array, learner: Learner, folds: int = 5, seed: int = 0) -> Verdict:
    """Accuracy and AUC out of fold, and the p-values of judging forward.

    >>> x = np.arange(40.0)[:, None]
    >>> told_apart(x, x + 100, logistic).accuracy[0]
    1.0
    """
    if folds < 2 or min(len(x), len(y)) < 2 * folds:
        raise BadData(
            f"{len(x)} and {len(y)} examples in {folds} folds: at least 2 of each side are needed in each of 2 folds or more."
        )
    parts = [divided(side, folds, noise.mix(seed, i)) for i, side in enumerate((x, y))]
    last = folds - 1
    out = [judged(parts, [g for g in range(folds) if g != f], f, learner, seed) for f in range(folds)]
    forward = [judged(parts, list(range(f)), f, learner, seed) for f in range(1, last)] + [out[last]]
    right = np.concatenate([np.concatenate([a > 0.5, b <= 0.5]) for a, b in out])
    share = float(right.mean())
    areas = [area(a, b) for a, b in out]
    mean = sum(value for value, _ in areas) / folds
    errors = sqrt(ALIKE * share * (1 - share) / len(right)), sqrt(ALIKE * sum(v for _, v in areas)) / folds
    return Verdict(
        (share, errors[0], surprise([chance_of_accuracy(a, b) for a, b in forward])),
        (mean, errors[1], surprise([chance_of_area(a, b) for a, b in forward])),
    )


def divided(x: Array, folds: int, seed: int) -> list[Array]:
    """The rows in a random order, in parts of nearly one size."""
    with noise.stream(seed):
        order = noise.permutation(len(x)).numpy()
    return np.array_split(x[order], folds)


def judged(parts: list[list[Array]], learn: list[int], judge: int, learner: Learner, seed: int) -> tuple[Array, Array]:
    """The scores of both samples' part `judge` by a classifier of the parts `learn`: the higher, the more like x."""
    sides = [np.concatenate([side[f] for f in learn]) for side in parts]
    labels = np.repeat([1, 0], [len(side) for side in sides])
    found = learner(noise.mix(seed, judge, len(learn)) >> 32).fit(np.concatenate(sides), labels)
    scores = [found.predict_proba(side[judge])[:, 1] for side in parts]
    return scores[0], scores[1]


def area(a: Array, b: Array) -> tuple[float, float]:
    """AUC and DeLong's variance: that of each score's share of the other side below it."""
    from scipy.stats import rankdata

    n, m = len(a), len(b)
    ranks = rankdata(np.concatenate([a, b]))
    above = (ranks[:n] - rankdata(a)) / m
    below = 1 - (ranks[n:] - rankdata(b)) / n
    variance = above.var(ddof=1) / n + below.var(ddof=1) / m if min(n, m) > 1 else float("nan")
    return float(above.mean()), float(variance)


def chance_of_area(a: Array, b: Array) -> tuple[float, float]:
    """AUC - 1/2, and its variance over all arrangements of the labels."""
    from scipy.stats import rankdata

    n, m = len(a), len(b)
    ranks = rankdata(np.concatenate([a, b]))
    variance = ((ranks - ranks.mean()) ** 2).sum() / ((n + m) * (n + m - 1) * n * m)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m) - 0.5), float(variance)


def chance_of_accuracy(a: Array, b: Array) -> tuple[float, float]:
    """The accuracy less its mean over all arrangements of the labels, and its variance."""
    n, m, hits = len(a), len(b), int((a > 0.5).sum())
    total, said = n + m, hits + int((b > 0.5).sum())
    variance = said * n * m * (total - said) / (total**2 * (total - 1))
    return 2 * (hits - said * n / total) / total, 4 * variance / total**2


def surprise(parts: list[tuple[float, float]]) -> float:
    """The chance of so large a sum of deviations where the laws are one."""
    variance = sum(v for _, v in parts)
    return 0.5 * erfc(sum(gap for gap, _ in parts) / sqrt(2 * variance)) if variance > 0 else 1.0
