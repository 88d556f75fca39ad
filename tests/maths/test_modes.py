"""Bins, modes and variety: scipy's chi-square, the level of the test, known shares and limits."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.errors import BadData
from pushforward.maths import modes
from pushforward.maths.modes import caught, caught_by_chance, compared, js_by_chance, kl, nearest, vendi


def counts(p, n, seed):
    return torch.from_numpy(np.random.default_rng(seed).multinomial(n, p))


def test_the_test_over_bins_is_scipys():
    a, b = torch.tensor([30, 50, 20, 0]), torch.tensor([45, 80, 15, 0])
    found = compared(a, b)
    want = stats.chi2_contingency([[30, 50, 20], [45, 80, 15]], correction=False)
    assert found.chi2 == pytest.approx(want.statistic, rel=1e-12) and found.p_value == pytest.approx(
        want.pvalue, rel=1e-10
    )
    p, q = np.array([0.3, 0.5, 0.2]), np.array([45, 80, 15]) / 140
    js = (stats.entropy(p, (p + q) / 2) + stats.entropy(q, (p + q) / 2)) / 2
    assert found.js == pytest.approx(js, rel=1e-9)
    z = (0.2 - 15 / 140) / (35 / 240 * 205 / 240 * (1 / 100 + 1 / 140)) ** 0.5
    assert z > 1.96 and found.different == 1 and compared(a, b, alpha=0.04).different == 0
    assert compared(torch.tensor([90, 10]), torch.tensor([10, 90])).share == 1.0


def test_equal_laws_differ_in_alpha_of_the_bins():
    """300 pairs of counts in 40 bins: 12,000 tests, of which a share of alpha within 0.01 (4 sigmas, were they independent)."""
    p = np.full(40, 1 / 40)
    runs = [compared(counts(p, 2000, 2 * s), counts(p, 1000, 2 * s + 1)) for s in range(300)]
    assert abs(np.mean([r.share for r in runs]) - 0.05) < 0.01
    assert stats.kstest([r.p_value for r in runs], "uniform").pvalue > 0.002
    js = np.array([r.js for r in runs])
    assert js.mean() == pytest.approx(js_by_chance(40, 2000, 1000), rel=0.1)


def test_the_error_of_js_is_the_spread_of_repetitions():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    runs = [compared(counts(p, 500, 2 * s), counts(q, 300, 2 * s + 1)) for s in range(200)]
    assert 0.85 < np.mean([r.js_error for r in runs]) / np.std([r.js for r in runs], ddof=1) < 1.15


def test_modes_are_counted():
    shares = torch.full((4,), 0.25).double()
    owner = torch.tensor([0] * 60 + [1] * 38 + [2] * 2)
    good = torch.ones(100, dtype=torch.bool)
    good[0] = False
    found = caught(owner, good, shares)
    assert (found.found, found.held, found.good) == (3, 2, 0.99) and found.forward == math.inf
    own = np.array([0.6, 0.38, 0.02, 0.0])
    assert found.reverse == pytest.approx(float((own[:3] * np.log(own[:3] / 0.25)).sum()))
    assert kl(shares, shares) == 0.0


def test_what_chance_finds_is_what_draws_find():
    p = torch.tensor([0.9, 0.09, 0.01]).double()
    runs = [counts(p.numpy(), 60, s) for s in range(2000)]
    found, held = caught_by_chance(p, 60)
    assert found == pytest.approx(np.mean([float((c > 0).sum()) for c in runs]), abs=0.04)
    assert held == pytest.approx(np.mean([float((c >= (6 * p).clamp(min=1)).sum()) for c in runs]), abs=0.04)


def test_the_nearest_centre_is_found_within_a_budget(monkeypatch):
    x, centres = torch.randn(50, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    whole = nearest(x, centres)
    monkeypatch.setattr(modes, "TILE", 20)
    assert torch.equal(nearest(x, centres)[1], whole[1]) and torch.allclose(nearest(x, centres)[0], whole[0])
    want = ((x[:, None] - centres) ** 2).sum(2).min(1)
    assert torch.equal(want.indices, whole[1])
    with pytest.raises(BadData, match="variables"):
        nearest(x, centres[:, :2])


def test_vendi_counts_what_is_different():
    """m groups of equal examples in directions at right angles: m, whichever way the matrix is made; a scale changes nothing."""
    groups = torch.eye(5).double().repeat(4, 1)
    assert vendi(groups) == pytest.approx(5.0) and vendi(3 * groups) == pytest.approx(5.0)
    assert vendi(torch.cat([groups, torch.zeros(20, 30).double()], 1)) == pytest.approx(5.0)
    far = 100 * torch.arange(6.0).double()[:, None].repeat(3, 1)
    assert vendi(far, width=1.0) == pytest.approx(6.0) and vendi(far, width=1e6) == pytest.approx(1.0, abs=1e-3)
    k = torch.tensor([[1.0, 0.6], [0.6, 1.0]]).double()  # two examples at a cosine of 0.6: eigenvalues 0.8 and 0.2
    assert vendi(torch.linalg.cholesky(k)) == pytest.approx(math.exp(-0.8 * math.log(0.8) - 0.2 * math.log(0.2)))
    with pytest.raises(BadData, match="direction"):
        vendi(torch.zeros(3, 2))
