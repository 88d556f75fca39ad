"""Iterative Gaussianization: both orders, all rotations: invertible, the gains add up, the density is one."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.data import toys
from pushforward.errors import BadData, Unable, Usage
from pushforward.models.classical import Gaussianization, GaussianMixture

CASES = pytest.mark.parametrize(
    ("order", "rotation"),
    [(order, rotation) for order in ("linear", "marginal") for rotation in ("ica", "pca", "random")],
)
X = toys.moons(1500, seed=0).astype(float)


def correlated(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 4)) @ np.array(
        [[1.0, 0.8, 0.2, 0.0], [0.0, 0.6, 0.5, 0.3], [0.0, 0.0, 1.0, 0.4], [0.0, 0.0, 0.0, 2.0]]
    )


@CASES
def test_it_is_invertible(order, rotation):
    """1e-6 was asked for. Noise far outside what it has seen comes back too."""
    model = Gaussianization(order=order, rotation=rotation, layers=20).fit(X, quiet=True)
    np.testing.assert_allclose(model.decode(model.encode(X)), X, atol=1e-6)
    z = 3 * np.random.default_rng(0).normal(size=(500, 2))
    np.testing.assert_allclose(model.encode(model.decode(z)), z, atol=1e-6)


@CASES
def test_the_reductions_of_total_correlation_add_up(order, rotation):
    """The gains of the layers telescope to mean log p(x) less the mean of the independent model's, to rounding."""
    model = Gaussianization(order=order, rotation=rotation, layers=12).fit(X, quiet=True)
    assert sum(model.reductions_) == pytest.approx(model.total_correlation_, abs=1e-10)
    alone = Gaussianization(order="marginal", layers=1).fit(X, quiet=True)
    assert alone.total_correlation_ == pytest.approx(0, abs=1e-12)
    assert model.score(X) - alone.score(X) == pytest.approx(model.total_correlation_, abs=1e-9)
    if order == "marginal":
        assert model.reductions_[0] == pytest.approx(0, abs=1e-12)


@CASES
def test_on_a_gaussian_the_total_is_that_of_its_correlations(order, rotation):
    """C = -1/2 log det of the correlation matrix, exact; the maps are estimated from 20,000 rows, so 0.02 nats are allowed."""
    x = correlated(20000)
    model = Gaussianization(order=order, rotation=rotation, bins=4, layers=60).fit(x, quiet=True)
    want = -0.5 * np.linalg.slogdet(np.corrcoef(x.T))[1]
    assert want > 0.5
    assert model.total_correlation_ == pytest.approx(want, abs=0.02)


def test_the_log_jacobian_is_that_of_autograd():
    model = Gaussianization(layers=5).fit(X, quiet=True)
    for row in torch.tensor(X[:5]):
        z = model.encode(row[None])[0]
        jacobian = torch.autograd.functional.jacobian(lambda r: model.encode(r[None])[0], row)
        want = -0.5 * (z**2).sum() - np.log(2 * np.pi) + torch.linalg.slogdet(jacobian)[1]
        assert float(model.log_prob(row[None])[0]) == pytest.approx(float(want), abs=1e-8)


@pytest.mark.parametrize("order", ["linear", "marginal"])
def test_held_out_it_beats_a_gaussian_and_comes_near_the_truth(order):
    """Moons: the truth has -0.99 nats, one Gaussian -1.92. Layers that are not worth their numbers are left out."""
    x, test = (toys.moons(n, seed=n).astype(float) for n in (4000, 2000))
    truth = toys.density("moons").log_prob(test).mean()
    model = Gaussianization(order=order).fit(x, quiet=True)
    one = GaussianMixture(components=1).fit(x, quiet=True).score(test)
    assert model.score(test) > one + 0.6 * (truth - one)
    assert model.score(test) > model.score(x) - 0.15


def test_codes_of_the_data_are_noise_and_noise_becomes_data():
    model = Gaussianization().fit(X, quiet=True)
    z = model.encode(X)
    for column in z.T:
        assert stats.kstest(column, "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(z.T) - np.eye(2)).max() < 0.05
    new = model.sample(3000, seed=0)
    np.testing.assert_allclose(
        np.quantile(new, [0.1, 0.5, 0.9], axis=0), np.quantile(X, [0.1, 0.5, 0.9], axis=0), atol=0.15
    )


def test_the_density_integrates_to_one():
    model = Gaussianization(layers=10).fit(X, quiet=True)
    axis = np.linspace(-4, 5, 601)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    assert np.exp(model.log_prob(grid)).sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=5e-3)


def test_far_out_and_at_the_edges_it_stays_finite():
    model = Gaussianization(layers=8).fit(X, quiet=True)
    assert np.isfinite(model.log_prob(np.array([[1e3, -1e3], [0.0, 1e4]]))).all()
    few = np.random.default_rng(0).normal(size=(6, 10))
    assert np.isfinite(Gaussianization(layers=2).fit(few, quiet=True).log_prob(few)).all()
    for rotation in ("ica", "pca", "random"):
        flat = np.column_stack(
            [X[:200, 0], np.full(200, 3.0), X[:200, 0] * 2]
        )  # a constant, and a column that is another's double
        model = Gaussianization(layers=3, rotation=rotation).fit(flat, quiet=True)
        assert np.isfinite(model.log_prob(flat)).all() and np.isfinite(model.sample(20, seed=0)).all()
    ties = np.repeat([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0]], 30, 0)
    assert np.isfinite(Gaussianization(layers=3).fit(ties, quiet=True).log_prob(ties)).all()


def test_what_it_cannot_do_is_said():
    with pytest.raises(Usage, match="Did you mean 'random'"):
        Gaussianization(rotation="randon").fit(X, quiet=True)
    with pytest.raises(Usage, match="order='first'"):
        Gaussianization(order="first").fit(X, quiet=True)
    with pytest.raises(BadData, match="missing in 1 of 2 columns.*GaussianMixture"):
        Gaussianization().fit(pd.DataFrame({"a": [1.0, 2.5, np.nan], "b": [0.5, 1.5, 1.0]}), quiet=True)
    with pytest.raises(BadData, match=r"n_samples=1\)"):
        Gaussianization().fit(np.zeros((1, 3)), quiet=True)
    with pytest.raises(Unable, match="GaussianMixture completes"):
        Gaussianization(layers=1).fit(X, quiet=True).complete([[0.1, np.nan]])


def test_it_comes_back_from_a_folder(tmp_path):
    model = Gaussianization(layers=4).fit(X, quiet=True)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert (again.log_prob(X) == model.log_prob(X)).all() and (again.sample(3, seed=0) == model.sample(3, seed=0)).all()
