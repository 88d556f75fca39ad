"""Factor analysis against scikit-learn, against the Gaussian that it is, with gaps and at the edges."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Usage
from pushforward.models.classical import PCA, FactorAnalysis


def rows(n: int = 400, d: int = 6, latent: int = 2, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, latent)) @ rng.normal(size=(latent, d))
        + rng.normal(size=(n, d)) * rng.uniform(0.2, 1.5, d)
        + 5
    )


X = rows()


def covariance(model: FactorAnalysis) -> np.ndarray:
    return (model.weights @ model.weights.T + torch.diag(model.noise)).numpy()


@pytest.mark.filterwarnings("ignore:FactorAnalysis did not converge")
@pytest.mark.parametrize(("d", "latent", "same"), [(6, 2, True), (12, 3, True), (6, 1, False), (12, 5, False)])
def test_it_reaches_the_likelihood_of_scikit_learn(d, latent, same):
    """To 1e-4 where the data have as many factors; of too few or too many there are several ends, and it is at no worse one."""
    from sklearn.decomposition import FactorAnalysis as Peer

    x = rows(600, d, latent if same else 3, seed=d)
    model = FactorAnalysis(latent=latent).fit(x, quiet=True)
    peer = Peer(latent, svd_method="lapack", tol=1e-12, max_iter=5000).fit(x)
    assert model.score(x) > peer.score(x) - 1e-7
    if same:
        assert model.score(x) == pytest.approx(peer.score(x), abs=1e-4)


def test_where_it_ends_the_likelihood_is_flat():
    model = FactorAnalysis(latent=2).fit(X, quiet=True)
    w, p, m = (t.clone().requires_grad_() for t in (model.weights, model.noise, model.mean))
    nats = torch.distributions.MultivariateNormal(m, w @ w.T + torch.diag(p)).log_prob(torch.tensor(X)).mean()
    assert nats.item() == pytest.approx(model.score(X), abs=1e-10)
    for slope in torch.autograd.grad(nats, (w, p, m)):
        assert slope.abs().max() < 1e-5


def test_it_is_the_gaussian_with_covariance_ww_plus_noise():
    model = FactorAnalysis(latent=3).fit(X, quiet=True)
    want = stats.multivariate_normal(model.mean.numpy(), covariance(model))
    np.testing.assert_allclose(model.log_prob(X), want.logpdf(X), atol=1e-9)


def test_with_equal_noise_it_is_pca():
    """The population's covariance W W' + s I, in as many rows as reproduce it exactly."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(5, 2))
    root = np.linalg.cholesky(w @ w.T + 0.5 * np.eye(5))
    x = np.concatenate([root.T, -root.T]) * np.sqrt(5)
    factors, pca = FactorAnalysis(latent=2).fit(x, quiet=True), PCA(latent=2, correction=0).fit(x, quiet=True)
    np.testing.assert_allclose(factors.noise, 0.5, atol=1e-5)
    np.testing.assert_allclose(factors.log_prob(x), pca.log_prob(x), atol=1e-6)


def test_units_do_not_matter():
    factor = np.array([1e-4, 1.0, 1e5, 1.0, 3.0, 1e2])
    near, far = (FactorAnalysis(latent=2).fit(y, quiet=True) for y in (X, X * factor))
    np.testing.assert_allclose(far.log_prob(X * factor), near.log_prob(X) - np.log(factor).sum(), atol=1e-5)
    np.testing.assert_allclose(far.encode(X * factor), near.encode(X), atol=1e-4)


def test_the_code_is_the_posterior_mean():
    model = FactorAnalysis(latent=2).fit(X, quiet=True)
    w, c = model.weights.numpy(), covariance(model)
    np.testing.assert_allclose(model.encode(X), (X - X.mean(0)) @ np.linalg.solve(c, w), atol=1e-9)
    np.testing.assert_allclose(model.decode(model.encode(X[:3])), X.mean(0) + model.encode(X[:3]) @ w.T, atol=1e-12)


def test_what_is_completed_is_the_conditional_gaussian():
    model, n = FactorAnalysis(latent=2).fit(X, quiet=True), 40000
    c, m = covariance(model), model.mean.numpy()
    o = np.array([True, False, True, False, False, True])
    row = np.where(o, X[0], np.nan)
    drawn = model.complete(np.tile(row, (n, 1)), seed=1)
    gain = c[np.ix_(~o, o)] @ np.linalg.inv(c[np.ix_(o, o)])
    want = c[np.ix_(~o, ~o)] - gain @ c[np.ix_(o, ~o)]
    assert (drawn[:, o] == row[o]).all()
    np.testing.assert_allclose(drawn[:, ~o].mean(0), m[~o] + gain @ (row[o] - m[o]), atol=4 * np.sqrt(want.max() / n))
    np.testing.assert_allclose(np.cov(drawn[:, ~o].T), want, atol=0.03 * want.max())


def gappy(share: float = 0.25) -> pd.DataFrame:
    x = pd.DataFrame(X, columns=list("abcdef"))
    return x.mask(np.random.default_rng(1).random(x.shape) < share)


def test_gaps_climb_to_where_the_likelihood_of_the_known_is_flat():
    x = gappy()
    model = FactorAnalysis(latent=2, tolerance=1e-13).fit(x, quiet=True)
    assert np.diff(model.climb_).min() > -1e-11
    w, p, m = (t.clone().requires_grad_() for t in (model.weights, model.noise, model.mean))
    c, total = w @ w.T + torch.diag(p), torch.zeros((), dtype=torch.float64)
    cells = torch.tensor(x.to_numpy())
    for row in cells:
        o = ~torch.isnan(row)
        if o.any():
            total = total + torch.distributions.MultivariateNormal(m[o], c[o][:, o]).log_prob(row[o])
    lost = torch.isnan(cells).double().mean(0)
    missing = float((torch.isnan(cells) * lost.log() + ~torch.isnan(cells) * torch.log1p(-lost)).sum())
    assert model.log_prob(x).sum() == pytest.approx(total.item() + missing, abs=1e-7)
    assert model.climb_[-1] == pytest.approx(total.item() / len(x), abs=1e-7)
    for slope in torch.autograd.grad(total / len(x), (w, p, m)):
        assert slope.abs().max() < 1e-4


def test_few_gaps_change_little_and_are_drawn_again():
    x = gappy(0.01)
    model, whole = FactorAnalysis(latent=2).fit(x, quiet=True), FactorAnalysis(latent=2).fit(X, quiet=True)
    np.testing.assert_allclose(covariance(model), covariance(whole), atol=0.05 * covariance(whole).max())
    assert model.sample(4000, seed=0).isna().to_numpy().mean() == pytest.approx(x.isna().to_numpy().mean(), abs=0.005)
    assert not model.complete(x, seed=0).isna().any().any()


def test_examples_in_lots_are_as_good_as_in_one_piece(monkeypatch):
    from pushforward.engine import solving

    whole = FactorAnalysis(latent=2).fit(X, quiet=True)
    monkeypatch.setattr(solving, "LOT", 6 * 100)
    np.testing.assert_allclose(FactorAnalysis(latent=2).fit(X, quiet=True).log_prob(X), whole.log_prob(X), atol=1e-6)


def test_edges():
    few = np.random.default_rng(0).normal(size=(5, 20))
    model = FactorAnalysis(latent=2).fit(few, quiet=True)  # fewer rows than variables: the floor holds
    assert np.isfinite(model.log_prob(few)).all() and bool((model.noise > 0).all())
    flat = np.column_stack([np.random.default_rng(0).normal(size=50), np.full(50, 3.0)])
    model = FactorAnalysis(latent=1).fit(flat, quiet=True)
    assert np.isfinite(model.log_prob(flat)).all() and np.abs(model.sample(100, seed=0)[:, 1] - 3).max() < 0.1
    assert FactorAnalysis(latent=9).fit(X, quiet=True).encode(X).shape == (400, 6)
    assert np.isfinite(FactorAnalysis(latent=1).fit(X[:, :1], quiet=True).score(X[:, :1]))
    with pytest.raises(BadData, match=r"n_samples=1\)"):
        FactorAnalysis().fit(np.zeros((1, 3)), quiet=True)
    with pytest.raises(Usage, match="latent"):
        FactorAnalysis(latent=0).fit(X, quiet=True)


def test_it_comes_back_from_a_folder(tmp_path):
    model = FactorAnalysis(latent=2).fit(X, quiet=True)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert (again.log_prob(X) == model.log_prob(X)).all()
