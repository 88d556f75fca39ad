"""The toys' densities are densities, and their samples come from them."""

import numpy as np
import pytest
import torch

from pushforward.data import toys
from pushforward.errors import Usage

NAMES = list(toys.DENSITIES)


def square(extent, count):
    """Midpoints of count x count cells over [-extent, extent]^2, and the area of a cell."""
    axis = (np.arange(count) + 0.5) / count * 2 * extent - extent
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2), (2 * extent / count) ** 2


@pytest.mark.parametrize("name", NAMES)
def test_integrates_to_one(name):
    truth = toys.density(name)
    points, area = square(truth.extent, 160)
    assert np.exp(truth.log_prob(points)).sum() * area == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_samples_come_from_the_density(name):
    truth, n, cells, fine = toys.density(name), 20_000, 24, 8
    points, area = square(truth.extent, cells * fine)
    mass = (np.exp(truth.log_prob(points)) * area).reshape(cells, fine, cells, fine).sum((1, 3))
    edges = np.linspace(-truth.extent, truth.extent, cells + 1)
    seen = np.histogram2d(*truth.sample(n, seed=3).T, bins=[edges, edges])[0]
    often = mass * n > 5
    freedom, rest = often.sum(), mass[~often].sum() * n
    chi2 = ((seen[often] - mass[often] * n) ** 2 / (mass[often] * n)).sum() + (seen[~often].sum() - rest) ** 2 / max(
        1, rest
    )
    assert abs(chi2 - freedom) < 5 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("name", NAMES)
def test_entropy_is_the_mean_of_minus_log_prob(name):
    truth = toys.density(name)
    logs = truth.log_prob(truth.sample(20_000, seed=1))
    assert np.isfinite(logs).all()
    assert -logs.mean() == pytest.approx(truth.entropy, abs=4 * logs.std() / np.sqrt(len(logs)) + 1e-9)


def test_entropies_in_closed_form():
    # Modes 7 and more standard deviations from their neighbours' borders: the entropy of one Gaussian and of the choice.
    one = 1 + np.log(2 * np.pi * 0.1**2)
    assert toys.density("eight_gaussians").entropy == pytest.approx(one + np.log(8), abs=1e-9)
    assert toys.density("twentyfive_gaussians").entropy == pytest.approx(one + np.log(25), abs=1e-9)
    assert toys.density("checkerboard").entropy == pytest.approx(np.log(32), abs=1e-12)


def test_quadrature_has_converged():
    points = np.random.default_rng(0).uniform(-6, 6, (400, 2))
    near = np.concatenate([points, toys.moons(300), toys.spirals(300)])
    for name, finer in {
        "moons": toys.along(toys.moon, 2, 320, 0.1),
        "spirals": toys.along(toys.spiral, 2, 1280, 0.1, 2),
    }.items():
        assert np.abs(toys.density(name).log_prob(near) - finer.log_prob(near)).max() < 1e-9


def test_rings_are_the_mean_over_the_circle():
    points = np.random.default_rng(0).uniform(-4, 4, (200, 2))
    angle = 2 * np.pi * (np.arange(2000) + 0.5) / 2000
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    centres = np.concatenate([r * circle for r in (1.0, 2.0, 3.0)])
    sums = toys.Cloud(centres, np.full(6000, 1 / 6000), 0.1, lambda u, v: circle)
    assert np.abs(toys.density("rings").log_prob(points) - sums.log_prob(points)).max() < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_depend_on_how_many_are_drawn(name):
    draw = getattr(toys, name)
    few, many = draw(70, seed=5), draw(333, seed=5)
    assert few.dtype == np.float32 and few.shape == (70, 2)
    assert np.array_equal(few, many[:70])
    assert not np.array_equal(few, draw(70, seed=6))


def test_leaves_the_global_generators_alone():
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()
    toys.moons(100)
    assert torch.equal(before, torch.get_rng_state()) and np.array_equal(legacy, np.random.get_state()[1])


def test_tensors_in_tensors_out():
    x = torch.tensor([[0.5, 0.5], [100.0, 0.0]])
    out = toys.density("checkerboard").log_prob(x)
    assert out.dtype == torch.float64 and out[1] == -torch.inf
    assert torch.isfinite(toys.density("spirals").log_prob(x)).all()  # far away, and yet no underflow


def test_misspelt():
    with pytest.raises(Usage, match="Did you mean 'moons'"):
        toys.density("moon")
    with pytest.raises(Usage, match="points in the plane"):
        toys.density("moons").log_prob(np.zeros((3, 3)))
