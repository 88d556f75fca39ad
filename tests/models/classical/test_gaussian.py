"""One Gaussian: the closed form of its likelihood, its conditionals, and what it says where there is no maximum."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Usage
from pushforward.models.classical import PCA, Gaussian

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)) @ RNG.normal(size=(4, 4)) + [5.0, -3.0, 1e4, 0.0]


def test_the_likelihood_at_the_maximum_is_the_closed_form():
    model = Gaussian().fit(X)
    n, d = X.shape
    want = -n / 2 * (d * np.log(2 * np.pi) + np.linalg.slogdet(np.cov(X.T, bias=True))[1] + d)
    assert model.log_prob(X).sum() == pytest.approx(want, abs=1e-7)
    one = X[:, :1]
    assert Gaussian().fit(one).log_prob(one).sum() == pytest.approx(
        -n / 2 * (np.log(2 * np.pi * one.var()) + 1), abs=1e-9
    )


def test_mean_and_variance_are_divided_by_n():
    model = Gaussian().fit(X)
    np.testing.assert_allclose(model.mean, X.mean(0), rtol=1e-13)
    np.testing.assert_allclose(model.covariance, np.cov(X.T, bias=True), atol=1e-10)
    assert model.parameters_ == 4 + 10


def test_nothing_near_is_likelier():
    model = Gaussian().fit(X)
    m, s = model.mean.clone().requires_grad_(), model.covariance.clone().requires_grad_()
    nats = torch.distributions.MultivariateNormal(m, s).log_prob(torch.tensor(X)).mean()
    assert nats.item() == pytest.approx(model.score(X), abs=1e-9)
    slope = torch.autograd.grad(nats, (m, s))
    assert max(float(g.abs().max()) for g in slope) < 1e-8


def test_its_density_is_that_of_scipy():
    model = Gaussian().fit(X)
    want = stats.multivariate_normal(model.mean.numpy(), model.covariance.numpy()).logpdf(X)
    np.testing.assert_allclose(model.log_prob(X), want, atol=1e-8)


def test_it_is_the_pushforward_of_a_round_one():
    model = Gaussian().fit(X)
    z = model.encode(X)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(4), atol=1e-10)
    np.testing.assert_allclose(model.decode(z), X, atol=1e-9)
    base = stats.norm.logpdf(z).sum(1) - np.linalg.slogdet(model.spread.numpy())[1]
    np.testing.assert_allclose(model.log_prob(X), base, atol=1e-10)
    drawn = model.sample(40000, seed=0)
    c = np.cov(X.T, bias=True)
    np.testing.assert_allclose(np.cov(drawn.T), c, atol=0.03 * c.max())


def test_completion_is_the_conditional_gaussian():
    model, n = Gaussian().fit(X), 40000
    o = np.array([True, False, True, False])
    row, c, m = X[0], model.covariance.numpy(), model.mean.numpy()
    drawn = model.complete(np.tile(np.where(o, row, np.nan), (n, 1)), seed=1)
    gain = c[np.ix_(~o, o)] @ np.linalg.inv(c[np.ix_(o, o)])
    want = c[np.ix_(~o, ~o)] - gain @ c[np.ix_(o, ~o)]
    assert (drawn[:, o] == row[o]).all()
    np.testing.assert_allclose(drawn[:, ~o].mean(0), m[~o] + gain @ (row[o] - m[o]), atol=4 * np.sqrt(want.max() / n))
    np.testing.assert_allclose(np.cov(drawn[:, ~o].T), want, atol=0.03 * want.max())


def test_it_is_pca_with_all_directions():
    np.testing.assert_allclose(Gaussian().fit(X).log_prob(X), PCA(latent=4, correction=0).fit(X).log_prob(X), atol=1e-6)


@pytest.mark.parametrize("shape", [(200, 4), (10, 30), (3, 8)])
def test_shrinking_is_that_of_scikit_learn(shape):
    from sklearn.covariance import ledoit_wolf

    x = RNG.normal(size=shape) @ np.diag(RNG.uniform(0.5, 3, shape[1])) + 7
    model = Gaussian(shrink="ledoit-wolf").fit(x)
    want, share = ledoit_wolf(x)
    np.testing.assert_allclose(model.covariance, want, atol=1e-10)
    assert float(model.shrunk) == pytest.approx(share, abs=1e-12)
    assert np.isfinite(model.log_prob(x)).all()


def test_where_there_is_no_maximum_it_says_so():
    with pytest.raises(BadData, match="10 variables from 6 examples is singular.*ledoit-wolf"):
        Gaussian().fit(RNG.normal(size=(6, 10)))
    with pytest.raises(BadData, match="None of the 2 variables varies in 9 rows"):
        Gaussian().fit(np.full((9, 2), 2.5))
    with pytest.raises(BadData, match="singular"):
        Gaussian().fit(X[:, [0, 1, 0]])
    with pytest.raises(BadData, match=r"n_samples=1\)"):
        Gaussian().fit(X[:1])
    with pytest.raises(BadData, match="missing in 1 of 2 columns.*GaussianMixture"):
        Gaussian().fit(pd.DataFrame({"a": [1.0, 2.5, np.nan], "b": [0.5, 1.5, 1.0]}))
    with pytest.raises(Usage, match="Did you mean 'ledoit-wolf'"):
        Gaussian(shrink="ledoit").fit(X)
    flat = Gaussian(shrink="ledoit-wolf").fit(np.column_stack([RNG.normal(size=9), np.full(9, 2.5)]))
    assert np.isfinite(flat.sample(3, seed=0)).all()


def test_units_far_apart_do_not_matter():
    factor = np.array([1e-6, 1.0, 1e5, 1e8])
    near, far = Gaussian().fit(X), Gaussian().fit(X * factor)
    np.testing.assert_allclose(far.log_prob(X * factor), near.log_prob(X) - np.log(factor).sum(), atol=1e-6)


def test_it_comes_back_from_a_folder(tmp_path):
    model = Gaussian().fit(X)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert (again.log_prob(X) == model.log_prob(X)).all()
