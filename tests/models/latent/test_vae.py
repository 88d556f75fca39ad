"""VAE: the linear one is probabilistic PCA, the KL is that of the definition, importance weighting climbs to the truth."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Normal, kl_divergence

import pushforward as pf
from pushforward import noise

X = np.random.default_rng(0).normal(size=(300, 2)) @ np.random.default_rng(1).normal(
    size=(2, 5)
) + 0.3 * np.random.default_rng(2).normal(size=(300, 5))


def linear(rotate: bool = False):
    """A VAE whose decoder is Wz + mu with one noise, and whose encoder is the exact posterior's mean and variances."""
    model = pf.VAE(latent=2, hidden=()).fit(X, steps=1, precision="float64", quiet=True)
    w = torch.linalg.qr(torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[
        0
    ] * torch.tensor([2.0, 0.7])
    if rotate:
        w = w @ torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    sigma2 = 0.3
    m = w.T @ w + sigma2 * torch.eye(2, dtype=torch.float64)
    raw = torch.tensor(
        math.log(math.sqrt(sigma2) - math.exp(-8)), dtype=torch.float64
    )  # the head's scale is exp(raw) + e^-8
    gauge = model.head.kinds[0]
    probe = gauge.log_prob(torch.zeros(1, dtype=torch.float64), torch.stack([torch.zeros(1), raw[None]], -1).double())
    sigma2 = math.exp(-2 * (probe.item() + 0.5 * math.log(2 * math.pi)))
    m = w.T @ w + sigma2 * torch.eye(2, dtype=torch.float64)

    def posterior(x, given=None):
        mu = torch.linalg.solve(m, w.T @ x.T).T
        return mu, (sigma2 / m.diagonal()).log().expand(
            len(x), 2
        )  # the best diagonal one has the precisions of the exact

    def likelihood(z, given=None):
        return torch.stack([z @ w.T, raw.expand(len(z), 5)], -1).flatten(1)

    model.posterior, model.likelihood = posterior, likelihood
    exact = torch.distributions.MultivariateNormal(
        torch.zeros(5, dtype=torch.float64), w @ w.T + sigma2 * torch.eye(5, dtype=torch.float64)
    )
    return model, exact, m, sigma2


def mean_bound(model, x):
    """The bound with its expectation over z in closed form: E log p(x|z) for a linear decoder is log p at the mean minus a trace."""
    mu, log_var = model.posterior(x)
    p = model.likelihood(mu)
    w = torch.stack([model.likelihood(e[None])[0, ::2] for e in torch.eye(2, dtype=torch.float64)], 1)
    sigma2 = linear_sigma2(model, p[0, 1])
    trace = ((w**2).sum(0) * log_var.exp()).sum(1) / (2 * sigma2)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1)
    return model.head.log_prob(x, p) - trace - kl


def linear_sigma2(model, raw):
    probe = model.head.kinds[0].log_prob(
        torch.zeros(1, dtype=torch.float64), torch.stack([torch.zeros(1).double(), raw[None]], -1)
    )
    return math.exp(-2 * (probe.item() + 0.5 * math.log(2 * math.pi)))


def test_the_linear_vae_at_its_optimum_is_probabilistic_pca():
    model, exact, _, _ = linear()
    x = torch.as_tensor(X[:50])
    assert torch.allclose(mean_bound(model, x), exact.log_prob(x), atol=1e-10)


def test_a_rotated_decoder_loses_exactly_the_kl_to_the_true_posterior():
    model, exact, m, sigma2 = linear(rotate=True)
    x = torch.as_tensor(X[:50])
    gap = exact.log_prob(x) - mean_bound(model, x)
    true_precision = m / sigma2
    lost = 0.5 * (true_precision.diagonal().log().sum() - torch.linalg.slogdet(true_precision)[1])
    assert torch.allclose(gap, lost.expand(50), atol=1e-10)


def test_importance_weighting_climbs_to_the_exact_likelihood():
    model, exact, _, _ = linear(rotate=True)
    x = torch.as_tensor(X[:200])
    model.evidence_ = {}
    with noise.stream(0, dtype=torch.float64):
        climb = [float(model._evidence(x, samples=k).mean()) for k in (1, 8, 64, 512)]
    truth = float(exact.log_prob(x).mean())
    assert climb == sorted(climb) and climb[-1] < truth + 0.02
    assert truth - climb[-1] < 0.02 < truth - climb[0]


def test_the_kl_in_closed_form_is_the_definition():
    model = pf.VAE(latent=3, hidden=(8,)).fit(X, steps=5, precision="float64", quiet=True)
    x = torch.as_tensor(X[:20])
    mu, log_var = model.posterior(x)
    with noise.stream(0, dtype=torch.float64):
        _, kl = model.terms(x)
    assert torch.allclose(kl, kl_divergence(Normal(mu, (0.5 * log_var).exp()), Normal(0.0, 1.0)).sum(1), atol=1e-12)


def test_completion_of_a_gaussian_is_the_conditional_gaussian():
    """Against the conditional mean of the same linear model, and with the effective sample size told."""
    model, exact, _, _ = linear()
    cov, x = exact.covariance_matrix, torch.as_tensor(X[:1]).repeat(3000, 1)
    known = torch.tensor([True, True, True, False, False]).expand_as(x)
    model.completion_ = {}
    with noise.stream(0, dtype=torch.float64):
        drawn = model._complete(torch.where(known, x, torch.zeros_like(x)), known, samples=200)[:, 3:]
    weight = cov[3:, :3] @ torch.linalg.inv(cov[:3, :3])
    spread = cov[3:, 3:] - weight @ cov[:3, 3:]
    assert torch.allclose(
        drawn.mean(0), weight @ x[0, :3], atol=4 * float(spread.diagonal().max().sqrt()) / 3000**0.5 + 0.05
    )
    assert torch.allclose(drawn.T.cov(), spread, atol=0.12 * float(spread.diagonal().max()))
    assert (model.completion_["ess"] > 1).all()


def test_a_gap_is_filled_with_a_value():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"number": rng.normal(size=400), "code": rng.choice(list("abc"), 400)})
    frame.loc[::2, "number"], frame.loc[::3, "code"] = np.nan, None
    model = pf.VAE(latent=2, hidden=(16,)).fit(frame, steps=200, quiet=True)
    assert model.sample(300, seed=0).isna().any().all()
    filled = model.complete(frame, seed=0)
    assert not filled.isna().any().any()
    assert filled["code"][frame["code"].notna()].equals(frame["code"].dropna())


def test_it_learns_the_digits():
    """Held-out nats below those of independent pixels, which know no shape."""
    digits = pf.data.load("digits")
    train, test = digits.split(0.2, 0)
    model = pf.VAE(latent=8, hidden=(128,)).fit(train, steps=600, quiet=True)
    counts = torch.stack([(train.x.flatten(1) == k).double().sum(0) + 0.5 for k in range(17)])
    alone = (counts / counts.sum(0)).log().gather(0, test.x.flatten(1).long()).sum(1).mean()
    assert model.bound(test).mean() > float(alone) + 10


@pytest.mark.parametrize("fields", [{"number": "mixture"}, {"number": "logistic"}, {"warmup": 0.5, "beta": 2.0}])
def test_choices_of_the_likelihood_train(fields):
    assert np.isfinite(pf.VAE(latent=2, hidden=(16,), **fields).fit(X, steps=30, quiet=True).score(X))


def test_a_number_of_a_table_may_have_modes():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.choice([-2.0, 2.0], 600) + 0.1 * rng.normal(size=600), "k": rng.choice(["a", "b"], 600)}
    )
    one, bell = (
        pf.VAE(latent=1, hidden=(16,), **how).fit(frame, steps=300, seed=0, quiet=True)
        for how in ({}, {"number": "gaussian"})
    )
    assert type(one.head.heads[0]).__name__ == "GaussianMixture" and one.score(frame) > bell.score(frame)
    assert type(pf.VAE(latent=1).fit(frame[["x"]], steps=1, quiet=True).head.heads[0]).__name__ == "Gaussian"
