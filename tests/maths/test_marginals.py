"""Maps of single variables to a normal: exact inverse, slopes, tails, and the laws they find."""

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.maths.marginals import Marginals, probabilities

RNG = np.random.default_rng(0)
LAWS = {
    "normal": stats.norm(1, 2),
    "uniform": stats.uniform(-1, 3),
    "exponential": stats.expon(),
    "laplace": stats.laplace(),
    "heavy": stats.t(2),
}
by_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)


def rows(law, n: int = 4000, d: int = 2) -> torch.Tensor:
    return torch.tensor(law.rvs(size=(n, d), random_state=1))


@by_law
def test_there_and_back(law):
    x = rows(law)
    maps = Marginals.of(x)
    z, _ = maps.forward(x)
    assert (maps.inverse(z) - x).abs().max() <= 1e-11 * x.abs().max()
    far = torch.tensor([[-9.0, 9.0], [-50.0, 50.0]], dtype=torch.float64)
    assert (maps.forward(maps.inverse(far))[0] - far).abs().max() < 1e-10


@by_law
def test_the_log_slope_is_that_of_autograd(law):
    maps = Marginals.of(rows(law))
    x = rows(law, 50).requires_grad_()
    z, ladj = maps.forward(x)
    (slope,) = torch.autograd.grad(z.sum(), x)
    assert torch.allclose(slope.log(), ladj, atol=1e-9)


@by_law
def test_it_makes_the_data_normal_and_finds_their_density(law):
    """Held out, the likelihood is within 0.03 nats of the law's own (a heavy tail: 0.1)."""
    maps, test = Marginals.of(rows(law)), torch.tensor(law.rvs(size=(20000, 2), random_state=2))
    z, _ = maps.forward(test)
    for column in z.T.numpy():
        assert stats.kstest(column, "norm").statistic < 0.03
    truth = law.logpdf(test.numpy()).mean()
    assert float(maps.log_prob(test).mean()) == pytest.approx(truth, abs=0.1 if law is LAWS["heavy"] else 0.03)


def test_it_is_increasing_smooth_and_its_density_integrates_to_one():
    maps = Marginals.of(rows(LAWS["exponential"], d=1))
    x = torch.linspace(-5, 20, 200001, dtype=torch.float64)[:, None]
    z, ladj = maps.forward(x)
    assert bool((z.diff(dim=0) > 0).all())
    assert float(maps.log_prob(x).exp().sum() * 25 / 200000) == pytest.approx(1, abs=1e-3)
    inner = maps.knots[0, 1:-1]
    left, right = (maps.forward((inner + e)[:, None])[1] for e in (-1e-9, 1e-9))
    assert (left - right).abs().max() < 1e-4  # the slope does not jump at a knot


def test_probabilities_are_even_and_halve_outwards():
    p = probabilities(1000, 10)
    assert bool((p.diff() > 0).all()) and torch.allclose(p + p.flip(0), torch.ones_like(p))
    assert p[0] == 0.0005 and 0.3 in p.round(decimals=9).tolist()
    for n in (2, 3, 5, 10, 50):
        assert bool((probabilities(n, 64).diff() > 0).all()) and float(probabilities(n, 64)[0]) == 0.5 / n


def test_ties_and_constants_have_a_steep_slope_and_no_endless_one():
    x = torch.tensor([[0.0, 7.0]] * 50 + [[1.0, 7.0]] * 50, dtype=torch.float64)
    maps = Marginals.of(x)
    nats = maps.log_prob(x)
    assert bool(torch.isfinite(nats).all()) and float(nats.max()) < np.log(1e4)
    assert bool((maps.knots.diff() > 0).all())
    assert (maps.inverse(maps.forward(x)[0]) - x).abs().max() < 1e-9
    two = Marginals.of(torch.tensor([[1.0], [2.0]], dtype=torch.float64))
    assert torch.allclose(
        two.inverse(two.forward(torch.tensor([[5.0]], dtype=torch.float64))[0]), torch.tensor(5.0, dtype=torch.float64)
    )
