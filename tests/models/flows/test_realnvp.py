"""RealNVP: the determinant it tells is the Jacobian's, both directions agree, splines and affine maps alike."""

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.data import toys

X = np.random.default_rng(0).normal(size=(300, 5)) * [1, 2, 3, 4, 5] + 1


@pytest.mark.parametrize(
    "fields",
    [{}, {"scalar": "spline"}, {"mix": "lu"}, {"norm": "batch"}, {"norm": "none", "scalar": "spline", "mix": "lu"}],
)
def test_log_det_is_that_of_the_jacobian_and_codes_come_back(fields):
    model = pf.RealNVP(transforms=3, hidden=(16,), **fields).fit(X, steps=30, precision="float64", quiet=True)
    x = torch.randn(5, dtype=torch.float64)
    z, ladj = model.flow(x[None])
    jacobian = torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], x)
    assert ladj.item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-9)
    assert torch.allclose(model.flow.inverse(z)[0][0], x, atol=1e-9)
    assert np.allclose(model.decode(model.encode(X[:50])), X[:50], atol=1e-8)


def test_it_learns_the_moons_to_near_their_entropy():
    model = pf.RealNVP(transforms=6, hidden=(64, 64), scalar="spline").fit(
        toys.moons(4000, seed=0), steps=800, quiet=True
    )
    gap = toys.density("moons").log_prob(toys.moons(2000, seed=1)).mean() - model.score(toys.moons(2000, seed=1))
    assert -0.02 < gap < 0.35


def test_one_variable_works():
    x = np.random.default_rng(0).gamma(2.0, size=(500, 1))
    model = pf.RealNVP(transforms=2, hidden=(8,), scalar="spline").fit(x, steps=100, quiet=True)
    assert np.isfinite(model.score(x)) and model.sample(4, seed=0).shape == (4, 1)


def test_batch_mates_do_not_change_a_row():
    model = pf.RealNVP(transforms=3, hidden=(16,)).fit(X, steps=20, precision="float64", quiet=True)
    assert np.allclose(model.log_prob(X)[:3], model.log_prob(X[:3]), atol=1e-10)
