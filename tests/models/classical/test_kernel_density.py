"""Kernels on every example: against scipy and scikit-learn, the likelihood that has no maximum, and exact conditionals."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Usage
from pushforward.models.classical import KernelDensity

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3)) @ RNG.normal(size=(3, 3)) + 5
Q = RNG.normal(size=(100, 3)) @ RNG.normal(size=(3, 3)) + 5


@pytest.mark.parametrize("rule", ["scott", "silverman", 0.3])
@pytest.mark.parametrize("d", [1, 3])
def test_it_is_scipys_gaussian_kde(rule, d):
    model = KernelDensity(**({"rule": rule} if isinstance(rule, str) else {"bandwidth": rule})).fit(X[:, :d])
    peer = stats.gaussian_kde(X[:, :d].T, bw_method=rule)
    np.testing.assert_allclose(model.log_prob(Q[:, :d]), peer.logpdf(Q[:, :d].T), atol=1e-9)
    np.testing.assert_allclose(model.spread @ model.spread.T, np.atleast_2d(peer.covariance), atol=1e-12)


@pytest.mark.parametrize("h", [0.1, 1.0])
def test_round_kernels_are_those_of_scikit_learn(h):
    from sklearn.neighbors import KernelDensity as Peer

    model = KernelDensity(bandwidth=h, covariance="spherical").fit(X)
    near = X + 0.1 * RNG.normal(size=X.shape)  # far away the tree of scikit-learn loses digits
    np.testing.assert_allclose(model.log_prob(near), Peer(bandwidth=h).fit(X).score_samples(near), atol=1e-9)


def test_diagonal_kernels_are_a_product():
    model = KernelDensity(bandwidth=0.5, covariance="diagonal").fit(X)
    e = stats.norm.logpdf(Q[:, None], X, 0.5 * X.std(0, ddof=1)).sum(2)
    np.testing.assert_allclose(model.log_prob(Q), np.log(np.exp(e).mean(1)), atol=1e-9)


def test_the_likelihood_of_the_examples_has_no_maximum_but_leaving_one_out_has():
    x = np.random.default_rng(1).normal(size=(150, 1))
    widths = np.array([2.0, 1.0, 0.5, 0.25, 0.1, 0.03, 1e-2, 1e-4, 1e-6, 1e-8])
    models = [KernelDensity(bandwidth=h).fit(x) for h in widths]
    train, out = np.array([m.score(x) for m in models]), np.array([m.leave_one_out() for m in models])
    assert (np.diff(train) > 0).all()
    slope = (train[-1] - train[-2]) / np.log(widths[-2] / widths[-1])
    assert slope == pytest.approx(1, abs=1e-6)  # log p grows as -D log h, without end
    best = out.argmax()
    assert 0 < best < len(widths) - 1 and out[-1] < out[best] - 100


def test_leaving_one_out_is_fitting_to_the_others():
    model = KernelDensity(bandwidth=0.4, covariance="spherical").fit(X)
    others = [
        KernelDensity(bandwidth=0.4, covariance="spherical").fit(np.delete(X, i, 0)).log_prob(X[i : i + 1])[0]
        for i in range(20)
    ]
    whole = model.leave_one_out()
    assert whole == pytest.approx(np.mean(others), abs=0.8)  # the mean of 20 of 300
    few = KernelDensity(bandwidth=0.4, covariance="spherical").fit(X[:20])
    alone = [
        KernelDensity(bandwidth=0.4, covariance="spherical").fit(np.delete(X[:20], i, 0)).log_prob(X[i : i + 1])[0]
        for i in range(20)
    ]
    assert few.leave_one_out() == pytest.approx(np.mean(alone), abs=1e-9)


@pytest.mark.parametrize("covariance", ["full", "diagonal", "spherical"])
def test_cv_finds_the_best_width_for_what_is_left_out(covariance):
    x = np.concatenate([RNG.normal(size=(150, 2)), 0.3 * RNG.normal(size=(150, 2)) + 6])
    model = KernelDensity(rule="cv", covariance=covariance).fit(x)
    best = model.leave_one_out()
    for times in (0.8, 0.95, 1.05, 1.25):
        assert (
            KernelDensity(bandwidth=float(model.width) * times, covariance=covariance).fit(x).leave_one_out()
            < best + 1e-5
        )
    assert best > KernelDensity(covariance=covariance).fit(x).leave_one_out()
    with pytest.raises(BadData, match="rows are repeated"):
        KernelDensity(rule="cv").fit(np.repeat(x[:40], 3, 0))


def test_far_away_the_density_keeps_its_digits():
    far = X + 1e3
    model = KernelDensity().fit(X)
    y = torch.linalg.solve_triangular(model.spread, torch.tensor(far[:, None] - X).flatten(0, 1).T, upper=False).T.view(
        300, 300, 3
    )
    want = (
        (-0.5 * (y**2).sum(2)).logsumexp(1)
        - np.log(300)
        - 1.5 * np.log(2 * np.pi)
        - model.spread.diagonal().log().sum()
    )
    np.testing.assert_allclose(model.log_prob(far), want, rtol=1e-9)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_known_times_unknown_given_known_is_the_joint(covariance):
    """The mean and covariance of what is completed are those of the mixture that the conditional is."""
    model, n = KernelDensity(bandwidth=0.6, covariance=covariance).fit(X), 30000
    o, row = np.array([True, False, True]), X[0]
    s = (model.spread @ model.spread.T).numpy()
    gain = s[np.ix_(~o, o)] @ np.linalg.inv(s[np.ix_(o, o)])
    inner = s[np.ix_(~o, ~o)] - gain @ s[np.ix_(o, ~o)]
    logs = stats.multivariate_normal(row[o], s[np.ix_(o, o)]).logpdf(X[:, o])
    w = np.exp(logs - logs.max())
    w /= w.sum()
    means = X[:, ~o] + (row[o] - X[:, o]) @ gain.T
    first = w @ means
    second = inner + (w[:, None] * (means - first)).T @ (means - first)
    drawn = model.complete(np.tile(np.where(o, row, np.nan), (n, 1)), seed=2)
    assert (drawn[:, o] == row[o]).all()
    np.testing.assert_allclose(drawn[:, ~o].mean(0), first, atol=4 * np.sqrt(second.max() / n))
    np.testing.assert_allclose(np.cov(drawn[:, ~o].T), second, atol=0.05 * second.max())


def test_each_row_has_its_own_pattern():
    model = KernelDensity().fit(X)
    gaps = np.where(np.random.default_rng(1).random(X.shape) < 0.6, np.nan, X)
    whole = model.complete(gaps, seed=2)
    np.testing.assert_allclose(whole[:1], model.complete(gaps[:1], seed=2), atol=1e-9)
    assert (whole[~np.isnan(gaps)] == X[~np.isnan(gaps)]).all() and not np.isnan(whole).any()


def test_what_is_drawn_has_the_covariance_of_the_kernels_and_the_examples():
    model = KernelDensity(bandwidth=0.5).fit(X)
    want = np.cov(X.T, bias=True) + 0.25 * np.cov(X.T)
    np.testing.assert_allclose(np.cov(model.sample(40000, seed=0).T), want, atol=0.03 * want.max())


def test_the_density_can_be_differentiated():
    model = KernelDensity().fit(X)
    assert torch.autograd.gradcheck(lambda t: model.log_prob(t), torch.tensor(Q[:4], requires_grad=True))


def test_what_it_cannot_take_is_said():
    with pytest.raises(BadData, match=r"n_samples=1\)"):
        KernelDensity().fit(X[:1])
    with pytest.raises(BadData, match="covariance='diagonal'"):
        KernelDensity().fit(RNG.normal(size=(5, 10)))
    with pytest.raises(BadData, match="Variable 2 is a linear function"):
        KernelDensity().fit(X[:, [0, 1, 0]])
    with pytest.raises(BadData, match="missing in 1 of 2 columns.*GaussianMixture"):
        KernelDensity().fit(pd.DataFrame({"a": [1.0, 2.5, np.nan], "b": [0.5, 1.5, 1.0]}))
    with pytest.raises(Usage, match="Did you mean 'scott'"):
        KernelDensity(rule="scot").fit(X)
    with pytest.raises(Usage, match="above 0"):
        KernelDensity(bandwidth=-1.0).fit(X)
    assert np.isfinite(KernelDensity(covariance="diagonal").fit(RNG.normal(size=(5, 10))).sample(3, seed=0)).all()
    constant = KernelDensity().fit(np.column_stack([X, np.full(300, 2.0)]))
    assert np.isfinite(constant.log_prob(np.column_stack([X, np.full(300, 2.0)]))).all()


def test_it_comes_back_from_a_folder(tmp_path):
    model = KernelDensity().fit(X)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert (again.log_prob(Q) == model.log_prob(Q)).all() and (again.sample(9, seed=0) == model.sample(9, seed=0)).all()


@pytest.mark.parametrize("rule", ["scott", "silverman", "cv"])
@pytest.mark.parametrize("covariance", ["full", "diagonal", "spherical"])
def test_the_unit_moves_the_density_by_the_jacobian_and_by_nothing_else(covariance, rule):
    """Of the rules a round kernel has its width in the unit of the data: without it, one of metres was another model in millimetres."""
    one, two = (KernelDensity(covariance=covariance, rule=rule).fit(unit * X).log_prob(unit * X) for unit in (1, 1000))
    assert np.allclose(one - two, X.shape[1] * np.log(1000), atol=1e-5)
