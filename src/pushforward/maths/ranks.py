"""Two samples of scores by their ranks: the Mann-Whitney statistic, the area under the ROC curve and its error.

    U = #{(i, j): a_i > b_j} + 1/2 #{a_i = b_j},     AUC = U / n m
    z = (U - n m / 2) / s,     s^2 = n m / 12 (N + 1 - sum_t (t^3 - t) / N (N - 1)),     N = n + m, ties of t equal scores
    var AUC = var(V_i) / n + var(W_j) / m,     V_i the share of b below a_i, W_j that of a above b_j          (DeLong et al. 1988)
    TPR at FPR f: the share of a above the score that f of b exceed

Mann & Whitney, "On a test of whether one of two random variables is stochastically larger than the other", 1947; DeLong, DeLong & Clarke-Pearson, 1988.
a (n,)   b (m,)
"""

from __future__ import annotations

from math import erfc, nan, sqrt

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def placements(a: Numbers, b: Numbers) -> Numbers:
    """Of each a, the share of b below it, ties counted half."""
    order = np.sort(b)
    return (order.searchsorted(a, "left") + order.searchsorted(a, "right")) / (2 * len(b))


def auc(a: Numbers, b: Numbers) -> tuple[float, float]:
    """The area under the curve that tells a (high) from b (low), and its standard error: at least half a row's worth, nan for one row.

    >>> auc(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    (1.0, 0.25)
    """
    v, w = placements(a, b), placements(b, a)
    if min(len(a), len(b)) < 2:
        return float(v.mean()), nan
    variance = float(v.var(ddof=1)) / len(a) + float(w.var(ddof=1)) / len(b)
    return float(v.mean()), max(sqrt(variance), 0.5 / min(len(a), len(b)))


def z_score(a: Numbers, b: Numbers) -> float:
    """Mann-Whitney's U, standardised: above 0 where a is larger; 0 where all are equal.

    >>> round(z_score(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])), 4)
    -1.964
    """
    n, m = len(a), len(b)
    total = n + m
    _, ties = np.unique(np.concatenate([a, b]), return_counts=True)
    lost = float((ties.astype(np.float64) ** 3 - ties).sum()) / (total * (total - 1)) if total > 1 else 0.0
    variance = n * m / 12 * (total + 1 - lost)
    return float(placements(a, b).mean() - 0.5) * n * m / sqrt(variance) if variance > 1e-9 else 0.0


def true_positives(a: Numbers, b: Numbers, rate: float = 0.01) -> tuple[float, float]:
    """The share of a above all but `rate` of b, and its standard error: of a, and of where the threshold came to lie.

    >>> true_positives(np.array([5.0, 6.0, 0.0, 1.0]), np.array([2.0, 3.0]))[0]
    0.5
    """
    falling = np.sort(b)[::-1]

    def above(share: float) -> float:
        return float((a > falling[min(int(share * len(b)), len(b) - 1)]).mean())

    found = above(rate)
    slope = (above(2 * rate) - above(0.0)) / (2 * rate)
    variance = max(found * (1 - found), 0.25 / len(a)) / len(a) + slope**2 * rate * (1 - rate) / len(b)
    return found, sqrt(variance)


def two_sided(z: float) -> float:
    """P(|Z| > |z|) of a standard normal Z."""
    return erfc(abs(z) / sqrt(2))


def below(z: float) -> float:
    """P(Z < z) of a standard normal Z."""
    return 0.5 * erfc(-z / sqrt(2))
