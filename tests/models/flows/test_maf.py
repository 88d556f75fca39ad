"""MAF: triangular Jacobian, one layer of fixed numbers is a Gaussian, the fast inverse is the slow one."""

import math

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.errors import BadData, Usage

X = np.random.default_rng(0).normal(size=(400, 4)) @ np.array(
    [[1.0, 0.5, 0, 0], [0, 1, 0.3, 0], [0, 0, 1, -0.7], [0, 0, 0, 1]]
)


def quick(**fields):
    how = dict(steps=40, precision="float64", quiet=True, valid=0)
    return pf.MAF(transforms=3, hidden=(24, 24), **fields).fit(X, **how)


@pytest.mark.parametrize("scalar", ["affine", "spline"])
@pytest.mark.parametrize("order", ["reverse", "random", "same"])
def test_the_incremental_inverse_is_the_naive_one(scalar, order):
    model = quick(scalar=scalar, order=order)
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fast = model.flow.inverse(z)[0]
    slow = z
    for link in reversed(model.flow.links):
        if not hasattr(link, "net"):
            slow = link.inverse(slow)[0]
            continue
        x = torch.zeros_like(slow)
        for _ in range(4):  # each full pass settles one more variable
            p = link.net(x).unflatten(1, (4, -1))
            x = link.scalar.inverse(slow, p)[0]
        slow = x
    assert torch.allclose(fast, slow, atol=1e-10)
    assert torch.allclose(model.flow(fast)[0], z, atol=1e-8)


@pytest.mark.parametrize("scalar", ["affine", "spline"])
def test_one_layer_in_one_order_has_a_triangular_jacobian_whose_determinant_it_tells(scalar):
    model = quick(scalar=scalar, order="same", norm="none")
    x = torch.randn(4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], x)
    assert torch.equal(jacobian.triu(1), torch.zeros_like(jacobian))
    assert model.flow(x[None])[1].item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-10)


def test_a_gaussian_is_learned_to_its_entropy():
    """An affine MAF holds every Gaussian: on fresh examples it comes within 0.1 nats of the law's own log-likelihood."""
    mixing = np.array([[1.0, 0.5, 0, 0], [0, 1, 0.3, 0], [0, 0, 1, -0.7], [0, 0, 0, 1]])  # of determinant 1
    rng = np.random.default_rng(5)
    model = pf.MAF(transforms=2, hidden=(16,)).fit(rng.normal(size=(4000, 4)) @ mixing, steps=1500, quiet=True)
    fresh = rng.normal(size=(4000, 4))
    truth = (-0.5 * (fresh**2).sum(1) - 2 * math.log(2 * math.pi)).mean()
    assert truth - 0.1 < model.score(fresh @ mixing) < truth + 0.01


def test_whole_numbers_get_a_bound_below_the_truth():
    """Fair coins: log P = -3 log 2 exactly; the bound of the dequantised flow stays below it and comes near."""
    coins = np.random.default_rng(1).random((2000, 3)) > 0.5
    model = pf.MAF(transforms=2, hidden=(32,), scalar="spline").fit(coins, steps=600, quiet=True)
    assert "log_prob" not in model.abilities and model.abilities["bound"] == "lower bound"
    assert -3 * math.log(2) - 0.4 < model.bound(coins).mean() < -3 * math.log(2) + 0.02


def test_given_moves_the_distribution():
    side = np.random.default_rng(2).integers(0, 2, 500)
    x = np.random.default_rng(3).normal(size=(500, 1)) * 0.1 + side[:, None] * 4
    model = pf.MAF(transforms=2, hidden=(32,)).fit(x, given=side, steps=300, quiet=True)
    assert (
        abs(model.sample(200, given=0, seed=0).mean()) < 0.4
        and abs(model.sample(200, given=1, seed=0).mean() - 4) < 0.4
    )
    assert model.log_prob(x[:5], given=side[:5]).mean() > model.log_prob(x[:5], given=1 - side[:5]).mean() + 5
    with pytest.raises(Usage, match="p\\(x \\| given\\)"):
        model.sample(3)


def test_a_random_order_is_that_of_the_file(tmp_path):
    model = pf.MAF(transforms=3, hidden=(16,), order="random").fit(X, steps=20, seed=7, quiet=True)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert np.array_equal(model.log_prob(X), again.log_prob(X))
    assert np.array_equal(model.sample(20, seed=0), again.sample(20, seed=0))
    assert again.decode(again.encode(X[:20])) == pytest.approx(X[:20], abs=1e-4)


def test_missing_cells_are_refused_with_advice():
    import pandas as pd

    table = pd.DataFrame({"a": [1.0, np.nan, 2.5, 3.1] * 10, "b": np.arange(40.0) / 7})
    with pytest.raises(BadData, match="such as GaussianMixture, MADE or VAE"):
        pf.MAF().fit(table, steps=2, quiet=True)


def test_a_misspelt_choice_is_named():
    with pytest.raises(Usage, match="Did you mean 'spline'"):
        pf.MAF(scalar="splin").fit(X, steps=1, quiet=True)
