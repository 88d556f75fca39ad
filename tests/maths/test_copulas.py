"""Gaussian copulas: levels of whole numbers, correlation behind cut variables, probabilities of boxes."""

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward import noise
from pushforward.maths import copulas
from pushforward.maths.copulas import Steps

DOUBLE = torch.float64


def latent(rho, n, seed=0):
    with noise.stream(seed, dtype=DOUBLE):
        e = noise.normal(n, 2)
    return torch.stack([e[:, 0], rho * e[:, 0] + (1 - rho**2) ** 0.5 * e[:, 1]], 1)


def test_codes_have_the_share_they_came_with():
    counts = torch.tensor([5, 0, 3, 92])
    steps = Steps.of([copulas.counted(counts, 0.5)])
    low, high = steps.box(torch.arange(4, dtype=DOUBLE)[:, None])
    share = torch.special.ndtr(high) - torch.special.ndtr(low)
    torch.testing.assert_close(share[:, 0], (counts.double() + 0.5) / 102, atol=1e-12, rtol=0)


def test_whole_numbers_often_seen_have_their_share_and_all_others_some():
    rng = np.random.default_rng(0)
    k = torch.from_numpy(np.where(rng.random(5000) < 0.6, 0, rng.integers(1, 3000, 5000))).double()
    steps = Steps.of([copulas.ranged(k, 0.5)])
    every = torch.arange(-50, 3050, dtype=DOUBLE)[:, None]
    low, high = steps.box(every)
    share = (torch.special.ndtr(high) - torch.special.ndtr(low))[:, 0]
    assert share.min() > 0 and share.sum() == pytest.approx(1, abs=1e-3)
    assert share[50] == pytest.approx(float((k == 0).double().mean()), abs=5e-3)
    assert share[:50].sum() < 2e-3 and share[3050:].sum() < 2e-3
    with noise.stream(0, dtype=DOUBLE):
        z = noise.normal(4000, 1)
    found = steps.inverse(z)
    low, high = steps.box(found)
    assert bool(((low <= z + 1e-9) & (z - 1e-9 <= high)).all())


@pytest.mark.parametrize("rho", [-0.8, 0.0, 0.3, 0.95])
@pytest.mark.parametrize("cuts", [((0.5,), (-0.3,)), ((-1.0, 0.2), (0.0, 0.5, 1.0)), ((), (0.7,))])
def test_the_correlation_behind_cut_variables_is_found(rho, cuts):
    """20,000 rows: the standard error is below 0.02, and 0.06 is more than three of it."""
    z = latent(rho, 20_000)
    scores, series, power = [], [], []
    for column, edges in zip(z.T, cuts, strict=True):
        if not edges:
            scores.append(column[:, None])
            series.append(torch.eye(copulas.TERMS, dtype=DOUBLE)[:1])
            power.append(torch.ones(1, dtype=DOUBLE))
            continue
        k = torch.searchsorted(torch.tensor(edges, dtype=DOUBLE), column.contiguous())
        steps = Steps.of([copulas.counted(torch.bincount(k), 0.0)])
        middle, mass = steps.middles
        scores.append(steps.scores(k.double()[:, None]))
        series.append(steps.coefficients())
        power.append((middle**2 * mass).sum(1))
    r = copulas.correlation(torch.cat(scores, 1), torch.cat(series), torch.cat(power))
    assert float(r[0, 1]) == pytest.approx(rho, abs=0.06)


def test_numbers_have_the_correlation_of_their_scores():
    z = latent(0.6, 500)
    one = torch.eye(copulas.TERMS, dtype=DOUBLE)[:1].expand(2, -1)
    r = copulas.correlation(z, one, torch.ones(2, dtype=DOUBLE))
    want = (z.T @ z)[0, 1] / ((z**2).sum(0).prod()) ** 0.5
    torch.testing.assert_close(r[0, 1], want, atol=1e-10, rtol=0)


def test_correlations_found_pair_by_pair_become_one_matrix():
    r = torch.tensor([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]], dtype=DOUBLE)
    fixed = copulas.proper(r)
    assert float(torch.linalg.eigvalsh(fixed)[0]) > 0
    torch.testing.assert_close(fixed.diagonal(), torch.ones(3, dtype=DOUBLE))
    assert copulas.proper(torch.eye(2, dtype=DOUBLE)) is not None


def test_boxes_have_the_probability_that_scipy_integrates():
    r = torch.tensor([[1.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 1.0]], dtype=DOUBLE)
    low = torch.tensor([[-0.5, -torch.inf, 0.1], [1.0, 0.0, -2.0]], dtype=DOUBLE)
    high = torch.tensor([[1.0, 0.3, torch.inf], [torch.inf, 2.0, 0.0]], dtype=DOUBLE)
    with noise.stream(0, dtype=DOUBLE):
        u = noise.uniform(2, 20_000, 3)
    weights = copulas.weigh(r, low[:, :0], low, high, u)
    found, error = weights.exp().mean(1), weights.exp().std(1) / 20_000**0.5
    for row in range(2):
        sides = {"lower_limit": low[row].numpy(), "abseps": 1e-8, "releps": 1e-8}
        want = stats.multivariate_normal.cdf(high[row].numpy(), np.zeros(3), r.numpy(), **sides)
        assert abs(float(found[row]) - want) < 4 * float(error[row]) + 1e-6


def test_one_side_is_exact_whatever_is_drawn():
    r = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=DOUBLE)
    z, low, high = torch.tensor([[0.4]]).double(), torch.tensor([[-0.2]]).double(), torch.tensor([[0.9]]).double()
    weights = copulas.weigh(r, z, low, high, torch.rand(1, 5, 1, dtype=DOUBLE))
    rest = stats.norm(0.32, 0.6)
    want = stats.norm.logpdf(0.4) + np.log(rest.cdf(0.9) - rest.cdf(-0.2))
    np.testing.assert_allclose(weights.numpy(), want, atol=1e-12)


@pytest.mark.parametrize(("a", "b"), [(-40.0, -39.0), (-1.0, 2.0), (5.0, 6.0), (20.0, torch.inf), (-torch.inf, -30.0)])
def test_a_slot_is_drawn_from_without_leaving_it(a, b):
    ends = torch.tensor([a, b], dtype=DOUBLE)
    u = torch.linspace(0.001, 0.999, 99, dtype=DOUBLE)
    nats, e = copulas.slot(ends[:1].expand(99), ends[1:].expand(99), u)
    want = np.log1p(
        -np.exp(stats.norm.logcdf(-max(abs(b), abs(a))) - stats.norm.logcdf(-min(abs(b), abs(a))))
    ) + stats.norm.logcdf(-min(abs(a), abs(b)))
    if a * b > 0:
        np.testing.assert_allclose(nats.numpy(), want, atol=1e-9)
    assert bool(((e >= a) & (e <= b)).all()) and bool(torch.isfinite(nats).all())


def test_filling_keeps_to_the_conditional_normal():
    """z_0 given, z_1 in a half-line, z_2 free: moments of 40,000 draws against those of 2 million drawn by rejection."""
    r = torch.tensor([[1.0, 0.6, 0.5], [0.6, 1.0, -0.2], [0.5, -0.2, 1.0]], dtype=DOUBLE)
    n = 40_000
    z = torch.tensor([[0.5]], dtype=DOUBLE).expand(n, 1).clone()
    low = torch.tensor([[0.3, -torch.inf]], dtype=DOUBLE).expand(n, 2)
    high = torch.full((n, 2), torch.inf, dtype=DOUBLE)
    with noise.stream(0, dtype=DOUBLE):
        whole, ess = copulas.fill(r, z, low, high, noise.uniform(n, 8, 3), noise.normal(n, 3))
    assert bool((whole[:, 0] == 0.5).all()) and bool((whole[:, 1] >= 0.3).all()) and bool((ess == 8).all())
    rest = r[1:, 1:] - torch.outer(r[1:, 0], r[1:, 0])
    draws = np.random.default_rng(0).multivariate_normal(0.5 * r[1:, 0].numpy(), rest.numpy(), 2_000_000)
    draws = draws[draws[:, 0] > 0.3]
    assert float(whole[:, 1].mean()) == pytest.approx(draws[:, 0].mean(), abs=0.015)
    assert float(whole[:, 2].mean()) == pytest.approx(draws[:, 1].mean(), abs=0.02)
    assert float(whole[:, 2].std()) == pytest.approx(draws[:, 1].std(), abs=0.015)
