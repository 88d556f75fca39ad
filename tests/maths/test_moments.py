"""Moments in parts, low-rank Gaussians, and the start of mixtures."""

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward import noise
from pushforward.maths.clusters import clustered, lloyd, seeds
from pushforward.maths.factors import Factors, climb
from pushforward.maths.gaussians import cells
from pushforward.maths.moments import Moments

G = torch.Generator().manual_seed(0)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=G, dtype=torch.float64)


def test_parts_of_any_size_give_the_moments_of_the_whole():
    x = draw(1000, 5) @ draw(5, 5) + 1e6  # far from 0: nothing may cancel
    for sizes in ([1000], [1, 2, 997], [10] * 100):
        seen = Moments(5)
        for part in x.split(sizes):
            seen.add(part)
        assert seen.count == 1000
        np.testing.assert_allclose(seen.mean, x.mean(0), rtol=1e-14)
        np.testing.assert_allclose(seen.covariance(1), np.cov((x - 1e6).numpy().T), rtol=1e-8, atol=1e-8)


def test_single_precision_is_summed_in_double():
    x = draw(20000, 4) + 100
    seen = Moments(4)
    for part in x.float().split(500):
        seen.add(part)
    assert seen.scatter.dtype == torch.float64
    np.testing.assert_allclose(seen.covariance(), np.cov(x.numpy().T, bias=True), atol=2e-4)


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0, 30.0, 3000.0])
def test_near_zero_and_far_from_it_the_same_digits_are_right(shift):
    """Below and above the distance from which rows are centred first."""
    x = draw(6000, 4) + shift
    want = np.cov(x.numpy().T, bias=True)
    for dtype, off in ((torch.float64, 1e-11), (torch.float32, 5e-5 * max(1.0, shift / 30))):
        seen = Moments(4)
        seen.add(x.to(dtype))
        np.testing.assert_allclose(seen.covariance(), want, atol=off)
        np.testing.assert_allclose(seen.mean, x.mean(0), rtol=1e-6)


FACTORS = Factors(draw(5), draw(5, 2), draw(5).exp())
COVARIANCE = FACTORS.weights @ FACTORS.weights.T + torch.diag(FACTORS.noise)


@pytest.mark.parametrize("o", [[1, 1, 1, 1, 1], [1, 0, 0, 1, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]])
def test_what_is_known_alone_has_the_marginal_gaussian(o):
    known = torch.tensor(o, dtype=torch.bool)
    x = draw(7, 5)
    nats, z, factor = FACTORS.infer(x, known.expand(7, -1))
    want = np.zeros(7)
    if known.any():
        mean, c = FACTORS.mean[known].numpy(), COVARIANCE[known][:, known].numpy()
        want = stats.multivariate_normal(mean, c).logpdf(x[:, known].numpy())
    np.testing.assert_allclose(nats, want, atol=1e-10)
    gain = FACTORS.weights[known].T @ torch.linalg.inv(COVARIANCE[known][:, known])
    np.testing.assert_allclose(z, (x - FACTORS.mean)[:, known] @ gain.T, atol=1e-10)
    spread = torch.cholesky_inverse(factor)[0]
    np.testing.assert_allclose(spread, torch.eye(2) - gain @ FACTORS.weights[known], atol=1e-10)
    if all(o):
        np.testing.assert_allclose(FACTORS.infer(x)[0], nats, atol=1e-11)


def test_nothing_cancels_where_the_noise_is_small():
    small = Factors(FACTORS.mean, 1e3 * FACTORS.weights, torch.full((5,), 1e-6, dtype=torch.float64))
    x = FACTORS.mean + draw(20, 2) @ small.weights.T + 1e-3 * draw(20, 5)
    u, s, _ = torch.linalg.svd(small.weights)
    along = ((x - FACTORS.mean) @ u) ** 2 / torch.cat([s**2 + 1e-6, torch.full((3,), 1e-6)])
    logdet = (s**2 + 1e-6).log().sum() + 3 * np.log(1e-6)
    want = -0.5 * (along.sum(1) + logdet + 5 * np.log(2 * np.pi))
    np.testing.assert_allclose(small.infer(x)[0], want, atol=1e-3)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("gaps", [True, False])
def test_em_never_goes_down(alike, gaps):
    x = draw(300, 2) @ draw(2, 6) + draw(300, 6) * torch.linspace(0.1, 1, 6)
    if gaps:
        x[torch.rand(x.shape, generator=G) < 0.3] = torch.nan
        x[0] = torch.nan  # a row of which nothing is known
    start = Factors(torch.zeros(6, dtype=torch.float64), draw(6, 2), torch.ones(6, dtype=torch.float64))
    found, nats = climb(x, start, alike, torch.full((6,), 1e-9, dtype=torch.float64), 0.0, 80)
    assert len(nats) == 80 and np.diff(nats).min() > -1e-11 and nats[-1] > nats[0] + 0.5
    assert bool((found.noise == found.noise[0]).all()) == alike
    after = found.infer(x.nan_to_num(), ~torch.isnan(x))[0].mean()
    assert nats[-1] - 1e-9 <= after.item() < nats[-1] + 1e-2


def test_gaps_of_what_was_never_missing_are_summed_out():
    known = torch.tensor([[True, False, False], [True, True, True]])
    assert cells(known, torch.tensor([0.0, 0.0, 0.25])).tolist() == pytest.approx([np.log(0.25), np.log(0.75)])
    assert (
        cells(known[0], torch.tensor([[0.0, 0.0, 0.25], [0.0, 0.5, 0.0]]))[0] == -torch.inf
    )  # the second loses it, the first never


def test_means_begin_where_the_rows_are():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], dtype=torch.float64)
    x = (centres[:, None] + 0.1 * draw(3, 100, 2)).flatten(0, 1)
    with noise.stream(0):
        found, shares, spread = clustered(x, 3)
    order = torch.cdist(centres, found).argmin(1)
    assert sorted(order.tolist()) == [0, 1, 2]
    np.testing.assert_allclose(found[order], centres, atol=0.05)
    np.testing.assert_allclose(shares, 1 / 3, atol=1e-9)
    assert spread == pytest.approx(0.02, rel=0.2)
    with noise.stream(0):
        assert seeds(torch.ones(5, 2), 3).shape == (3, 2)  # one place for three centres
    assert torch.isfinite(lloyd(torch.ones(5, 2), torch.ones(3, 2))[0]).all()
