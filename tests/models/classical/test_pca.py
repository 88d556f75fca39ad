"""Probabilistic PCA against scikit-learn, against the Gaussian that it is, and at the edges."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.models.classical import PCA

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6)) @ RNG.normal(size=(6, 6)) + 5


def covariance(model: PCA) -> torch.Tensor:
    return model.weights @ model.weights.T + model.noise * torch.eye(len(model.mean), dtype=torch.float64)


@pytest.mark.parametrize("latent", [1, 2, 5, 6])
def test_it_scores_as_scikit_learn(latent):
    """Which divides by n - 1, not by n as the maximum of the likelihood does."""
    from sklearn.decomposition import PCA as Peer

    model, peer = PCA(latent=latent).fit(X, quiet=True), Peer(latent).fit(X)
    np.testing.assert_allclose(model.log_prob(X), peer.score_samples(X), atol=1e-9)
    np.testing.assert_allclose(covariance(model), peer.get_covariance(), atol=1e-9)


@pytest.mark.parametrize("latent", [2, 6])
def test_it_is_the_gaussian_with_covariance_ww_plus_noise(latent):
    model = PCA(latent=latent).fit(X, quiet=True)
    want = stats.multivariate_normal(model.mean.numpy(), covariance(model).numpy())
    np.testing.assert_allclose(model.log_prob(X), want.logpdf(X), atol=1e-9)


def test_dividing_by_n_is_the_maximum_of_the_likelihood():
    model = PCA(latent=2, correction=0).fit(X, quiet=True)
    w, s, m = (t.clone().requires_grad_() for t in (model.weights, model.noise, model.mean))
    gaussian = torch.distributions.MultivariateNormal(m, w @ w.T + s * torch.eye(6, dtype=torch.float64))
    nats = gaussian.log_prob(torch.tensor(X)).mean()
    assert nats.item() == pytest.approx(model.score(X), abs=1e-10)
    for slope in torch.autograd.grad(nats, (w, s, m)):
        assert slope.abs().max() < 1e-10
    assert model.score(X) > PCA(latent=2).fit(X, quiet=True).score(X)


def test_all_directions_kept_are_the_sample_covariance():
    model = PCA(latent=6, correction=0).fit(X, quiet=True)
    np.testing.assert_allclose(covariance(model), np.cov(X.T, bias=True), atol=1e-9)
    more = PCA(latent=50, correction=0).fit(X, quiet=True)  # six variables span six directions
    np.testing.assert_allclose(more.log_prob(X), model.log_prob(X), atol=1e-9)
    assert more.encode(X).shape == (200, 6)


def test_the_code_is_the_posterior_mean_and_decoding_it_shrinks():
    model = PCA(latent=2).fit(X, quiet=True)
    w, y = model.weights, torch.tensor(X) - model.mean
    a = w.T @ w + model.noise * torch.eye(2, dtype=torch.float64)
    np.testing.assert_allclose(model.encode(X), y @ w @ a.inverse(), atol=1e-9)
    before = y @ model.directions
    after = (torch.tensor(model.decode(model.encode(X))) - model.mean) @ model.directions
    np.testing.assert_allclose(after, before * (1 - model.noise / model.variances), atol=1e-9)


def test_known_times_unknown_given_known_is_the_joint():
    """Mean and covariance of what is completed are those of the conditional Gaussian."""
    model, n = PCA(latent=2).fit(X, quiet=True), 40000
    c, m = covariance(model).numpy(), model.mean.numpy()
    o = np.array([True, False, True, False, False, True])
    row = np.where(o, X[0], np.nan)
    drawn = model.complete(np.tile(row, (n, 1)), seed=1)
    gain = c[np.ix_(~o, o)] @ np.linalg.inv(c[np.ix_(o, o)])
    want = c[np.ix_(~o, ~o)] - gain @ c[np.ix_(o, ~o)]
    assert (drawn[:, o] == row[o]).all()
    np.testing.assert_allclose(drawn[:, ~o].mean(0), m[~o] + gain @ (row[o] - m[o]), atol=4 * np.sqrt(want.max() / n))
    np.testing.assert_allclose(np.cov(drawn[:, ~o].T), want, atol=0.03 * want.max())


def test_each_row_has_its_own_pattern():
    model = PCA(latent=3).fit(X, quiet=True)
    gaps = np.where(np.random.default_rng(1).random(X.shape) < 0.6, np.nan, X)
    whole = model.complete(gaps, seed=2)
    np.testing.assert_allclose(whole[:1], model.complete(gaps[:1], seed=2), atol=1e-12)
    assert (whole[~np.isnan(gaps)] == X[~np.isnan(gaps)]).all() and not np.isnan(whole).any()


def test_what_is_drawn_has_the_covariance_of_the_model():
    model = PCA(latent=2).fit(X, quiet=True)
    new = model.sample(40000, seed=0)
    c = covariance(model).numpy()
    np.testing.assert_allclose(np.cov(new.T), c, atol=0.03 * c.max())
    np.testing.assert_allclose(new.mean(0), X.mean(0), atol=4 * np.sqrt(c.max() / 40000))


def test_fewer_rows_than_variables():
    """Four rows span three directions; the mean of the discarded variances counts the zeros, so that it is the maximum of the likelihood."""
    x = RNG.normal(size=(4, 10))
    model = PCA(latent=2).fit(x, quiet=True)
    values = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    assert model.noise.item() == pytest.approx(values[2:].mean(), abs=1e-12)
    want = stats.multivariate_normal(model.mean.numpy(), covariance(model).numpy())
    np.testing.assert_allclose(model.log_prob(x), want.logpdf(x), atol=1e-8)
    for latent in (3, 8, 10):  # nothing is left for the noise: it is held at a billionth of the mean variance
        tight = PCA(latent=latent).fit(x, quiet=True)
        assert np.isfinite(tight.log_prob(x)).all() and np.isfinite(tight.sample(3, seed=0)).all()
        assert np.isfinite(tight.complete(np.where(np.arange(10) < 5, x, np.nan), seed=0)).all()
        assert tight.noise.item() == pytest.approx(1e-9 * values.mean(), rel=1e-6)


def test_constant_columns():
    x = np.column_stack([RNG.normal(size=50), np.full(50, 3.0)])
    model = PCA(latent=2).fit(x, quiet=True)
    assert np.isfinite(model.log_prob(x)).all()
    assert (model.sample(100, seed=0)[:, 1] == 3).all()


def test_what_it_cannot_learn_from_is_said():
    with pytest.raises(BadData, match=r"n_samples=1\)"):
        PCA().fit(np.zeros((1, 3)), quiet=True)
    with pytest.raises(Usage, match="latent of at least 1"):
        PCA(latent=0).fit(X, quiet=True)
    with pytest.raises(Unable, match="log_prob is exact"):
        PCA(latent=1).fit(X, quiet=True).evidence(X)


def gappy(share: float = 0.25) -> pd.DataFrame:
    x = pd.DataFrame(X, columns=list("abcdef"))
    return x.mask(np.random.default_rng(1).random(x.shape) < share)


def test_gaps_climb_to_where_the_likelihood_of_the_known_is_flat():
    x = gappy()
    model = PCA(latent=2, tolerance=1e-13).fit(x, quiet=True)
    assert np.diff(model.climb_).min() > -1e-11
    w, s, m = (t.clone().requires_grad_() for t in (model.weights, model.noise, model.mean))
    c, total = w @ w.T + s * torch.eye(6, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    cells = torch.tensor(x.to_numpy())
    for row in cells:
        o = ~torch.isnan(row)
        if o.any():
            total = total + torch.distributions.MultivariateNormal(m[o], c[o][:, o]).log_prob(row[o])
    lost = torch.isnan(cells).double().mean(0)
    missing = float((torch.isnan(cells) * lost.log() + ~torch.isnan(cells) * torch.log1p(-lost)).sum())
    assert model.log_prob(x).sum() == pytest.approx(total.item() + missing, abs=1e-7)
    assert model.climb_[-1] == pytest.approx(total.item() / len(x), abs=1e-7)
    for slope in torch.autograd.grad(total / len(x), (w, s, m)):
        assert slope.abs().max() < 1e-4


def test_few_gaps_change_little_and_are_drawn_again():
    x = gappy(0.01)
    model, whole = PCA(latent=2).fit(x, quiet=True), PCA(latent=2, correction=0).fit(X, quiet=True)
    np.testing.assert_allclose(covariance(model), covariance(whole), atol=0.05 * float(covariance(whole).max()))
    assert model.sample(4000, seed=0).isna().to_numpy().mean() == pytest.approx(x.isna().to_numpy().mean(), abs=0.005)
    assert not model.complete(x, seed=0).isna().any().any()
    assert model.encode(x).shape == (200, 2)


def test_a_gap_of_what_was_never_missing_is_summed_out():
    model = PCA(latent=2).fit(X, quiet=True)
    x = torch.tensor(X[:5])
    x[:, 3] = torch.nan
    o = torch.arange(6) != 3
    want = stats.multivariate_normal(model.mean[o].numpy(), covariance(model)[o][:, o].numpy())
    np.testing.assert_allclose(model._log_prob(x), want.logpdf(X[:5][:, o.numpy()]), atol=1e-9)


def test_examples_in_lots_are_as_good_as_in_one_piece(monkeypatch):
    from pushforward.engine import solving

    whole, few = PCA(latent=2).fit(X, quiet=True), PCA(latent=2).fit(X[:5], quiet=True)
    monkeypatch.setattr(solving, "LOT", 6 * 2)
    np.testing.assert_allclose(PCA(latent=2).fit(X, quiet=True).log_prob(X), whole.log_prob(X), atol=1e-9)
    np.testing.assert_allclose(PCA(latent=2).fit(X[:5], quiet=True).log_prob(X), few.log_prob(X), atol=1e-6)
    with pytest.raises(BadData, match="takes all rows in memory"):
        PCA(latent=2).fit(gappy(), quiet=True)


def test_single_precision_is_enough_for_single_precision():
    x = (X + 100).astype(np.float32)
    model, single = PCA(latent=2).fit(x, quiet=True), PCA(latent=2).fit(x, precision="float32", quiet=True)
    np.testing.assert_allclose(single.variances, model.variances, rtol=1e-5)
    np.testing.assert_allclose(single.directions, model.directions, atol=1e-5)


def test_it_comes_back_from_a_folder(tmp_path):
    model = PCA(latent=2).fit(X, quiet=True)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert (again.log_prob(X) == model.log_prob(X)).all()
    assert (again.encode(X) == model.encode(X)).all()
