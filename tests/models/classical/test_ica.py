"""Independent components: known sources, the density, and what is not identified."""

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward.errors import BadData, Unable
from pushforward.maths.components import amari
from pushforward.models.classical import ICA, GaussianMixture

RNG = np.random.default_rng(0)
MIX = np.array([[1.0, 1.0, 1.0], [0.5, 2.0, 1.0], [1.5, 1.0, 2.0]])


def waves(n: int = 4000) -> np.ndarray:
    """A sine, a square and a saw, which scikit-learn's documentation mixes too."""
    t = np.linspace(0, 8, n)
    return np.column_stack([np.sin(2 * t), np.sign(np.sin(3 * t)), 2 * (t * 1.7 % 1) - 1]) + 0.05 * RNG.normal(
        size=(n, 3)
    )


def distance(model: ICA, mixing: np.ndarray) -> float:
    return amari(model.unmix, torch.tensor(np.linalg.inv(mixing)))


def test_known_sources_are_found():
    """Amari's distance: 0.05 was asked for; sources of other shapes too."""
    x = waves() @ MIX.T
    assert distance(ICA().fit(x, quiet=True), MIX) < 0.05
    rng = np.random.default_rng(1)
    for name, sources in {
        "uniform": rng.uniform(size=(4000, 3)),
        "heavy": rng.laplace(size=(4000, 3)),
        "mixed": np.column_stack([rng.uniform(size=4000), rng.laplace(size=4000), rng.normal(size=4000)]),
    }.items():
        assert distance(ICA().fit(sources @ MIX.T, quiet=True), MIX) < 0.05, name


def test_as_good_as_scikit_learn_on_many_sources():
    from sklearn.decomposition import FastICA

    rng = np.random.default_rng(2)
    mixing = rng.normal(size=(10, 10))
    x = rng.uniform(size=(5000, 10)) @ mixing.T
    model = ICA().fit(x, quiet=True)
    peer = FastICA(10, whiten="unit-variance", random_state=0, tol=1e-4).fit(x)
    assert (
        distance(model, mixing)
        < 1.05 * amari(torch.tensor(peer.components_), torch.tensor(np.linalg.inv(mixing))) + 1e-3
    )
    assert model.turn_ < 1e-4


def test_sources_are_white_ordered_and_come_back():
    x = waves() @ MIX.T
    model = ICA().fit(x, quiet=True)
    s = model.encode(x)
    np.testing.assert_allclose(np.cov(s.T, bias=True), np.eye(3), atol=1e-9)
    np.testing.assert_allclose(model.decode(s), x, atol=1e-10)
    assert np.diff((model.mixing.numpy() ** 2).sum(0)).max() < 0
    assert (model.mixing.numpy()[np.abs(model.mixing.numpy()).argmax(0), range(3)] > 0).all()


def test_the_determinant_is_that_of_slogdet_and_of_autograd():
    x = torch.tensor(waves()[:3] @ MIX.T)
    model = ICA().fit(waves() @ MIX.T, quiet=True)
    want = model.maps.log_prob(model._encode(x)).sum(1) + np.linalg.slogdet(model.unmix.numpy())[1]
    np.testing.assert_allclose(model.log_prob(x), want, atol=1e-12)

    def normal(row):  # data -> standard normal numbers
        return model.maps.forward(model._encode(row[None]))[0][0]

    for row, nats in zip(x, model.log_prob(x), strict=True):
        jacobian = torch.autograd.functional.jacobian(normal, row)
        z = normal(row)
        by_hand = -0.5 * (z**2).sum() - 1.5 * np.log(2 * np.pi) + torch.linalg.slogdet(jacobian)[1]
        assert by_hand.item() == pytest.approx(nats.item(), abs=1e-9)


def test_order_sign_and_size_do_not_matter():
    s = np.random.default_rng(3).uniform(-1, 1, size=(3000, 2))
    mixing = np.array([[2.0, 1.0], [1.0, 1.0]])
    x, y = s @ mixing.T, (s[:, ::-1] * [-3.0, 0.1]) @ (mixing[:, ::-1] / [-3.0, 0.1]).T
    np.testing.assert_allclose(x, y, atol=1e-12)
    np.testing.assert_allclose(ICA().fit(x, quiet=True).log_prob(x), ICA().fit(y, quiet=True).log_prob(x), atol=1e-6)


def test_on_independent_uniform_sources_it_beats_a_gaussian():
    """log p of the true law is -log |det A| everywhere inside; a Gaussian is log sqrt(2 pi e / 12) = 0.176 nats a source behind."""
    rng = np.random.default_rng(4)
    x, test = (rng.uniform(size=(n, 3)) @ MIX.T for n in (4000, 4000))
    truth = -np.linalg.slogdet(MIX)[1]
    assert ICA().fit(x, quiet=True).score(test) == pytest.approx(truth, abs=0.1)
    assert GaussianMixture(components=1).fit(x, quiet=True).score(test) < truth - 0.45


def test_gaussian_sources_are_not_identified_but_the_density_is():
    x = np.random.default_rng(5).normal(size=(5000, 2)) @ np.array([[2.0, 0.0], [1.0, 0.5]]).T
    model = ICA().fit(x, quiet=True)
    assert model.score(x) == pytest.approx(GaussianMixture(components=1).fit(x, quiet=True).score(x), abs=0.02)


def test_what_is_drawn_has_the_sources_of_the_data():
    x = waves() @ MIX.T
    model = ICA().fit(x, quiet=True)
    new = model.sample(20000, seed=0)
    np.testing.assert_allclose(np.cov(new.T), np.cov(x.T), atol=0.1)
    old, drawn = (np.quantile(model.encode(y), [0.1, 0.3, 0.7, 0.9], axis=0) for y in (x, new))
    np.testing.assert_allclose(drawn, old, atol=0.05)


def test_fewer_rows_than_variables_and_a_constant():
    few = np.random.default_rng(0).normal(size=(6, 10))
    model = ICA().fit(few, quiet=True)
    assert np.isfinite(model.log_prob(few)).all() and np.isfinite(model.sample(3, seed=0)).all()
    flat = np.column_stack([RNG.uniform(size=100), np.full(100, 3.0)])
    model = ICA().fit(flat, quiet=True)
    assert np.isfinite(model.log_prob(flat)).all() and np.abs(model.sample(50, seed=0)[:, 1] - 3).max() < 0.1


def test_what_it_cannot_do_is_said():
    with pytest.raises(BadData, match="missing in 1 of 2 columns.*GaussianMixture"):
        ICA().fit(pd.DataFrame({"a": [1.0, 2.5, np.nan], "b": [0.5, 1.5, 1.0]}), quiet=True)
    with pytest.raises(BadData, match=r"n_samples=1\)"):
        ICA().fit(np.zeros((1, 3)), quiet=True)
    with pytest.raises(Unable, match="no closed form"):
        ICA().fit(RNG.uniform(size=(50, 2)), quiet=True).complete([[0.1, np.nan]])


def test_it_comes_back_from_a_folder(tmp_path):
    x = waves(500) @ MIX.T
    model = ICA().fit(x, quiet=True)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert (again.log_prob(x) == model.log_prob(x)).all() and (again.sample(3, seed=0) == model.sample(3, seed=0)).all()
