"""Mixtures on the line, all columns at once, beside scikit-learn's column by column."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from pushforward.maths.mixtures import Mixtures


def columns(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    far = rng.choice([-4.0, 0.0, 5.0], n) + rng.normal(size=n)
    return torch.from_numpy(np.stack([far, rng.exponential(2.0, n), rng.normal(size=n)], 1))


@pytest.mark.parametrize("steps", [1, 7, 60])
def test_each_column_is_what_sklearn_comes_to_from_the_same_start(steps):
    x, reg = columns(), 1e-6
    scale = x.var(0, correction=0)[:, None]
    start = Mixtures.start(x, 4, reg * scale)
    found = Mixtures.of(x, 4, steps=steps, tolerance=-torch.inf, reg=reg, start=start)
    for d in range(3):
        peer = GaussianMixture(
            4, tol=0.0, max_iter=steps, reg_covar=float(reg * scale[d]), means_init=start.means[d, :, None].numpy(),
            weights_init=np.full(4, 0.25), precisions_init=start.scales[d, :, None, None].numpy() ** -2.0, random_state=0,
        )  # fmt: skip
        with pytest.warns(match="did not converge"):
            peer.fit(x[:, d : d + 1].numpy())
        order, other = found.means[d].argsort(), peer.means_[:, 0].argsort()
        np.testing.assert_allclose(found.means[d][order], peer.means_[other, 0], atol=1e-7)
        mine = found.log_prob(x)[:, d].mean()
        assert float(mine) == pytest.approx(peer.score(x[:, d : d + 1].numpy()), abs=1e-8)


def test_missing_cells_are_left_out():
    x = columns(600)
    holes = x.clone()
    holes[::3, 0] = torch.nan
    found, kept = Mixtures.of(holes, 3), Mixtures.of(x[torch.arange(600) % 3 > 0][:, :1], 3)
    torch.testing.assert_close(found.means[:1], kept.means)
    torch.testing.assert_close(found.scales[:1], kept.scales)


def test_one_value_that_half_of_the_rows_have_does_not_take_every_component():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(np.where(rng.random(4000) < 0.9, 0.0, rng.normal(50, 10, 4000)))[:, None]
    found = Mixtures.of(x, 5)
    at_zero = (found.means.abs() < 1e-3) & (found.scales < 0.05)
    assert float(found.log_weights.exp()[at_zero].sum()) == pytest.approx(float((x == 0).double().mean()), abs=1e-3)
    tail = ~at_zero & (found.log_weights.exp() > 1e-3)
    assert 40 < float((found.means * found.log_weights.exp())[tail].sum() / found.log_weights.exp()[tail].sum()) < 60


def test_constant_and_empty_columns_and_one_component():
    x = torch.stack([torch.full((50,), 3.0), torch.full((50,), torch.nan), torch.arange(50.0)], 1).double()
    found = Mixtures.of(x, 3)
    assert all(bool(torch.isfinite(part).all()) for part in vars(found).values())
    torch.testing.assert_close(found.means[0], torch.full((3,), 3.0).double())
    one = Mixtures.of(x[:, 2:], 1)
    torch.testing.assert_close(one.means[0, 0], x[:, 2].mean())
    torch.testing.assert_close(one.scales[0, 0] ** 2, x[:, 2].var(correction=0), rtol=1e-5, atol=0)


def test_a_step_never_loses():
    x = columns(500)
    nats = [float(Mixtures.of(x, 5, steps=k, tolerance=-torch.inf, reg=0.0).log_prob(x).mean()) for k in range(1, 20)]
    assert (np.diff(nats) > -1e-12).all()
