"""The Frechet distance is that of Gaussians in closed form, and says its error, its bias and its limit."""

import math

import numpy as np
import pytest
import torch

from pushforward.errors import BadData
from pushforward.maths import frechet as fd
from pushforward.maths.laws import Normal
from pushforward.maths.transport import bures


def normal(n, d, seed=0, mean=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, 1.0, size=(n, d)))


def bent(n, d, seed, mean=0.0):
    turn = np.random.default_rng(99 + d).normal(size=(d, d)) / math.sqrt(d)
    return normal(n, d, seed, mean) @ torch.from_numpy(turn)


def by_scipy(x, y):
    """The textbook formula, with the root of a matrix that need not be symmetric."""
    from scipy.linalg import sqrtm

    (m, s), (w, t) = ((part.mean(0), np.cov(part, rowvar=False)) for part in (x.numpy(), y.numpy()))
    return float(((m - w) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * np.trace(sqrtm(s @ t)).real)


@pytest.mark.parametrize("d", [1, 3, 40])
def test_of_known_moments_it_is_the_closed_form(d):
    x, y = bent(3 * d + 9, d, 0), 2 * bent(3 * d + 9, d, 1, 0.3) + 1
    p, q = fd.fitted(x), fd.fitted(y)
    want = bures(Normal(p.mean, p.covariance), Normal(q.mean, q.covariance)) ** 2
    assert fd.between(p, q) == pytest.approx(want, rel=1e-10)
    one, other = torch.full((d,), 4.0).double(), torch.full((d,), 9.0).double()
    p, q = fd.Fitted(9, torch.zeros(d).double(), one.diag()), fd.Fitted(9, torch.ones(d).double(), other.diag())
    assert fd.between(p, q) == pytest.approx(d * (1 + (3 - 2) ** 2), rel=1e-12)


def test_it_is_scipys_to_1e_6():
    x, y = bent(300, 60, 0), 1.1 * bent(200, 60, 1, 0.1)
    assert fd.frechet(x, y) == pytest.approx(by_scipy(x, y), rel=1e-6)
    assert fd.frechet(x.float(), y.float()) == pytest.approx(by_scipy(x.float().double(), y.float().double()), rel=1e-6)


@pytest.mark.parametrize("n, d", [(200, 20), (15, 40)])
def test_of_a_sample_and_itself_it_is_0_and_turns_change_nothing(n, d):
    x, y = bent(n, d, 0), bent(n, d, 1, 0.2)
    size = float(fd.fitted(x).covariance.trace())
    assert fd.frechet(x, x) <= 1e-12 * size and fd.frechet(x, y) == pytest.approx(fd.frechet(y, x), rel=1e-8)
    turn = torch.linalg.qr(normal(d, d, 5))[0]
    assert fd.frechet(x @ turn + 3, y @ turn + 3) == pytest.approx(fd.frechet(x, y), rel=1e-8)


def test_singular_covariances_have_their_distance_too():
    """With n <= D examples tr (S^1/2 T S^1/2)^1/2 is the sum of the singular values of XY' / ((n-1)(m-1))^1/2."""
    x, y = normal(12, 30), normal(9, 30, 1, 0.5)
    a, b = x - x.mean(0), y - y.mean(0)
    inner = torch.linalg.svdvals(a @ b.T).sum() / math.sqrt(11 * 8)
    want = (x.mean(0) - y.mean(0)).square().sum() + a.square().sum() / 11 + b.square().sum() / 8 - 2 * inner
    assert fd.frechet(x, y) == pytest.approx(float(want), rel=1e-9)
    hard = normal(600, 300)  # eigenvalues of ST over 12 orders of magnitude
    hard = hard @ torch.diag(torch.logspace(0, -6, 300).double())
    assert fd.frechet(hard, hard) <= 1e-8 * float(fd.fitted(hard).covariance.trace())
    flat = torch.cat([normal(50, 2), torch.zeros(50, 1).double()], 1)
    assert fd.frechet(flat, flat + torch.tensor([0.0, 0.0, 2.0])) == pytest.approx(4.0, rel=1e-9)
    p, q = fd.fitted(x), fd.fitted(y)
    assert math.isnan(fd.stderr(x, y, p, q))


@pytest.mark.parametrize("n, d", [(10, 30), (200, 5)])
def test_shrinkage_is_that_of_ledoit_and_wolf(n, d):
    from sklearn.covariance import ledoit_wolf

    x = bent(n, d, 0)
    want, share = ledoit_wolf(x.numpy())
    found = fd.fitted(x, shrink=True)
    assert found.shrinkage == pytest.approx(share, rel=1e-10)
    assert found.covariance.numpy() == pytest.approx(want, rel=1e-10)
    assert fd.frechet(torch.ones(5, 3), torch.ones(4, 3), shrink=True) == 0.0


def test_its_standard_error_is_the_spread_of_repetitions():
    runs = []
    for s in range(80):
        x, y = bent(300, 4, 2 * s), 1.5 * bent(200, 4, 2 * s + 1) + 0.5
        p, q = fd.fitted(x), fd.fitted(y)
        runs.append((fd.between(p, q), fd.stderr(x, y, p, q)))
    values, errors = np.array(runs).T
    assert 0.75 < errors.mean() / values.std(ddof=1) < 1.35


def test_its_bias_is_that_of_the_formula_and_falls_like_1_over_n():
    """For Gaussians of one law; means over 60 repetitions, the formula being first order in 1/n."""
    law = torch.tensor([3.0, 1.0, 0.2]).double()

    def mean(n, m):
        return np.mean(
            [fd.frechet(normal(n, 3, 2 * s) * law.sqrt(), normal(m, 3, 2 * s + 1) * law.sqrt()) for s in range(60)]
        )

    assert mean(400, 200) == pytest.approx(fd.bias(law.diag(), 400, 200), rel=0.2)
    assert mean(200, 200) / mean(800, 800) == pytest.approx(4.0, rel=0.35)
    assert fd.bias(torch.eye(1).double(), 10, 10) == pytest.approx(1.5 * 0.2)


def test_the_limit_loses_the_bias():
    near, far = [], []
    for s in range(12):
        x, y = normal(300, 10, 2 * s), normal(300, 10, 2 * s + 1)
        near.append(fd.extrapolated(x, y, s)[0])
        far.append(fd.frechet(x, y))
    assert min(far) > 0.1 and abs(np.mean(near)) < 0.25 * np.mean(far)
    x = normal(2000, 3)
    value, error = fd.extrapolated(x, normal(2000, 3, 1) + 1)
    assert abs(value - 3.0) < 0.3 and 0 < error < 0.2


def test_too_few_examples_are_refused():
    with pytest.raises(BadData, match="at least 2"):
        fd.fitted(normal(1, 3))
    with pytest.raises(BadData, match="fewer features"):
        fd.extrapolated(normal(50, 30), normal(50, 30, 1))
    with pytest.raises(BadData, match="same variables"):
        fd.between(fd.fitted(normal(9, 2)), fd.fitted(normal(9, 3)))
