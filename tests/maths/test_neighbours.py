"""Neighbours by fast products are those of a plain loop, ties and all; equal laws give what the formulas say."""

import numpy as np
import pytest
import torch

from pushforward.errors import BadData
from pushforward.maths import neighbours
from pushforward.maths.neighbours import candidates, coverage, covered_by_chance, laid, radii


def normal(n, d, seed=0, mean=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, 1.0, size=(n, d)))


def by_loops(x, y, k, k_dense):
    """Kynkaanniemi's and Naeem's definitions, example by example, in squared distances."""
    x, y = x.double().numpy(), y.double().numpy()

    def squared(a, b):
        return float(((a - b) ** 2).sum())

    def ball(side, k):
        return [sorted(squared(a, b) for j, b in enumerate(side) if j != i)[k - 1] for i, a in enumerate(side)]

    small, large, other = ball(x, k), ball(x, k_dense), ball(y, k)
    precise = [any(squared(a, b) <= r for a, r in zip(x, small, strict=True)) for b in y]
    recalled = [any(squared(a, b) <= r for b, r in zip(y, other, strict=True)) for a in x]
    dense = [sum(squared(a, b) <= r for a, r in zip(x, large, strict=True)) / k_dense for b in y]
    covered = [any(squared(a, b) <= r for b in y) for a, r in zip(x, large, strict=True)]
    own = [
        any(squared(a, b) <= r for i, (b, r) in enumerate(zip(x, small, strict=True)) if i != j)
        for j, a in enumerate(x)
    ]
    return precise, recalled, dense, covered, own


def outlier(n, d):
    x = normal(n, d, 5)
    x[3] = 1e6
    return x


CASES = {
    "plane": (normal(70, 2), normal(50, 2, 1, 0.5)),
    "many variables": (normal(60, 300), normal(60, 300, 1)),
    "float32": (normal(60, 40).float(), normal(45, 40, 1).float()),
    "far from 0": (normal(50, 20) + 1e5, normal(50, 20, 1) + 1e5),
    "collapsed": (normal(50, 20), 0.01 * normal(40, 20, 1)),
    "an exploded fake": (normal(40, 10), outlier(40, 10)),
    "ties": (
        torch.randint(0, 3, (60, 4), generator=torch.Generator().manual_seed(0)),
        torch.randint(0, 3, (60, 4), generator=torch.Generator().manual_seed(1)),
    ),
    "binary": ((normal(50, 100) > 0).float(), (normal(50, 100, 1) > 0).float()),
    "one-hot": (torch.eye(40), torch.eye(40)[torch.arange(20)]),
    "duplicates": (torch.zeros(20, 3), torch.zeros(15, 3)),
    "tiny numbers": (1e-30 * normal(40, 5), 1e-30 * normal(40, 5, 1)),
    "one variable": (normal(40, 1), normal(30, 1, 1)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k, k_dense", [(3, 5), (5, 5), (4, 1)])
def test_it_is_the_loop_over_all_pairs(case, k, k_dense):
    x, y = CASES[case]
    found, want = coverage(x, y, k, k_dense), by_loops(x, y, k, k_dense)
    ours = (found.precise, found.recalled, found.dense, found.covered, found.chosen)
    for part, theirs in zip(ours, want, strict=True):
        assert part.tolist() == theirs


@pytest.mark.parametrize("case", CASES)
def test_a_budget_bounds_every_block_and_changes_nothing(case, monkeypatch):
    x, y = CASES[case]
    whole, sizes, bounds = coverage(x, y), [], neighbours.bounds
    monkeypatch.setattr(neighbours, "TILE", 150)
    monkeypatch.setattr(neighbours, "bounds", lambda *told: (sizes.append(bounds(*told).numel()), bounds(*told))[1])
    parts = coverage(x, y)
    assert max(sizes) <= 150 and len(sizes) >= 10
    for name in ("precise", "recalled", "dense", "covered", "chosen"):
        assert torch.equal(getattr(whole, name), getattr(parts, name))


def test_bounds_hold_and_radii_are_those_of_scipy():
    from scipy.spatial.distance import cdist

    for x in (normal(80, 200), 100 + normal(80, 30), (normal(80, 50) > 0).double()):
        a, b = laid(x, x.flip(0))
        truth = torch.from_numpy(cdist(a.rows, b.rows, "sqeuclidean"))
        low = neighbours.bounds(a, slice(None), b, slice(None)).double()
        assert bool((low <= truth + 1e-15).all())
        assert bool((truth <= low + a.slack[:, None] + b.slack + 1e-15).all())
        want = np.sort(cdist(x, x), 1)
        for k in (1, 4, 79):
            scale = a.rows.max() / x.max()
            found = radii(a, candidates(a, k), k)[0].sqrt() / scale
            assert found.numpy() == pytest.approx(want[:, k], rel=1e-12)


def test_a_caller_who_allows_shorter_products_gets_the_same_numbers():
    x, y = CASES["many variables"]
    want = coverage(x, y)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert laid(x, y)[0].quick.dtype == torch.float64
        found = coverage(x, y)
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found.dense, want.dense)


def test_equal_laws_give_density_1_and_the_coverage_of_the_formula():
    """Means over 150 repetitions, each within 4 standard errors: a chance of 1e-4 to fail under other seeds."""
    n, m, k = 60, 40, 5
    runs = [coverage(normal(n, 3, 2 * s), normal(m, 3, 2 * s + 1), 3, k) for s in range(150)]
    density = np.array([float(r.dense.mean()) for r in runs])
    covered = np.array([float(r.covered.double().mean()) for r in runs])
    precise = np.array([float(r.precise.double().mean() - r.chosen.double().mean()) for r in runs])
    for values, truth in ((density, 1.0), (covered, covered_by_chance(n, m, k)), (precise, 0.0)):
        error = values.std(ddof=1) / len(values) ** 0.5
        assert abs(values.mean() - truth) < 4 * error and error < 0.01
    assert covered_by_chance(1000, 1000, 5) == pytest.approx(0.96898, abs=1e-5)
    assert covered_by_chance(10, 1, 9) == pytest.approx(0.9) and covered_by_chance(3, 5, 3) == 1.0


@pytest.mark.parametrize("k", [0, 10])
def test_more_neighbours_than_there_are_is_refused(k):
    with pytest.raises(BadData, match="below the number of examples"):
        candidates(laid(normal(10, 2), normal(10, 2))[0], k)


def test_rows_of_other_variables_are_refused():
    with pytest.raises(BadData, match="same variables"):
        coverage(normal(9, 2), normal(9, 3))
