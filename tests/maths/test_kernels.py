"""Sums of kernels against the sum written out, near and far, and what they leave out."""

import pytest
import torch

from pushforward.maths.kernels import LARGE, Kernels


def direct(x, points, leave=None):
    e = -0.5 * ((x[:, None] - points) ** 2).sum(2)
    if leave is not None:
        e[torch.arange(len(x)), leave] = -torch.inf
    return e.logsumexp(1)


def some(n, d, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e5])
def test_it_is_the_sum(scale):
    """Scale 30 leaves rows whose terms are all too small for a number; 1e5 is beyond what a product of matrices bears."""
    x, points = scale * some(300, 3), scale * some(3000, 3, 1)
    got = Kernels(points).log_sum(x)
    assert float((got - direct(x, points)).abs().max()) < 1e-8 * max(1.0, scale**2 / LARGE * 1e3)
    assert torch.isfinite(got).all()


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_a_point_is_left_out(scale):
    points = scale * some(1500, 2)
    leave = torch.arange(200, 500)
    assert torch.allclose(
        Kernels(points).log_sum(points[leave], leave), direct(points[leave], points, leave), atol=1e-8
    )


def test_a_row_does_not_depend_on_those_beside_it():
    x, points = some(301, 4), some(700, 4, 1)
    alone = torch.cat([Kernels(points).log_sum(row[None]) for row in x[:5]])
    assert torch.allclose(Kernels(points).log_sum(x)[:5], alone, atol=1e-12)


def test_it_can_be_differentiated():
    points = some(40, 2)
    assert torch.autograd.gradcheck(lambda x: Kernels(points).log_sum(x), some(6, 2, 3).requires_grad_())
    far = (60 * some(4, 2, 3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: Kernels(points).log_sum(x), far, atol=1e-4)
