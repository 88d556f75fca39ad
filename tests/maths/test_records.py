"""The nearest records are those that comparing every cell of every row gives, whatever the columns, sizes and gaps."""

import numpy as np
import pytest
import torch

from pushforward.errors import BadData, Usage
from pushforward.maths import records
from pushforward.maths.records import Records, Scaling, between, log_kernels, nearest


def rows(n, seed=0, numbers=3, sizes=(2, 5), gaps=0.0):
    rng = np.random.default_rng(seed)
    v = rng.normal(size=(n, numbers))
    v[rng.random(v.shape) < gaps] = np.nan
    codes = np.stack([rng.integers(0, k, n) for k in sizes], 1) if sizes else np.zeros((n, 0), dtype=np.int64)
    return Records(torch.from_numpy(v), torch.from_numpy(codes))


def every(x, points):
    """All distances, from the definition: (N, n)."""
    a, b = x.numbers.numpy()[:, None], points.numbers.numpy()[None]
    lone, both = np.isnan(a) != np.isnan(b), np.isnan(a) & np.isnan(b)
    squares = np.where(lone, 1.0, np.where(both, 0.0, (a - b) ** 2)).sum(2)
    return torch.from_numpy(np.sqrt(squares + (x.codes.numpy()[:, None] != points.codes.numpy()[None]).sum(2)))


shapes = pytest.mark.parametrize(
    "n, m, numbers, sizes, gaps",
    [
        (300, 700, 5, (), 0.0),
        (300, 700, 3, (2, 5), 0.0),
        (260, 9000, 2, (3,), 0.0),
        (300, 500, 2, (2, 60, 70, 1000), 0.0),  # codes that are multiplied, and compared
        (300, 500, 3, (2, 40), 0.3),
        (50, 33, 0, (3, 4), 0.0),
        (7, 3, 2, (2,), 0.2),
    ],
)


@shapes
def test_the_nearest_are_those_of_the_definition(n, m, numbers, sizes, gaps):
    x, points = rows(n, 1, numbers, sizes, gaps), rows(m, 2, numbers, sizes, gaps)
    full = every(x, points)
    for k in {1, 2, min(m, 6)}:
        values, places = nearest(x, points, k)
        assert torch.allclose(values, full.sort(1).values[:, :k], rtol=0, atol=1e-6)
        assert torch.allclose(full.gather(1, places), values, rtol=0, atol=1e-12)
        assert all(len(set(row.tolist())) == k for row in places)


def test_a_row_may_be_left_out():
    x = rows(500, 3, gaps=0.1)
    full = every(x, x).fill_diagonal_(torch.inf)
    values, places = nearest(x, x, 2, leave=torch.arange(500))
    assert (
        torch.allclose(values, full.sort(1).values[:, :2], atol=1e-6) and (places != torch.arange(500)[:, None]).all()
    )


def test_a_copy_is_at_distance_zero_and_found_even_far_out():
    x = rows(400, 4)
    far = Records(x.numbers.clone(), x.codes)
    far.numbers[::7] += 1e5  # float32 would see nothing but noise there
    values, places = nearest(far, far)
    assert (values == 0).all() and (places[:, 0] == torch.arange(400)).all()
    shifted = Records(far.numbers + 1e-3, far.codes)
    assert torch.allclose(nearest(shifted, far)[0], torch.full((400, 1), 1e-3 * 3**0.5, dtype=torch.float64), atol=1e-9)


def test_missing_is_a_value():
    gone, there = torch.tensor([[torch.nan]]), torch.tensor([[100.0]])
    none = torch.zeros(1, 0, dtype=torch.long)
    for a, b, d in ((gone, gone, 0.0), (gone, there, 1.0), (there, gone, 1.0), (there, there, 0.0)):
        assert nearest(Records(a, none), Records(b, none))[0].item() == d
        assert between(Records(a, none), Records(b, none), torch.zeros(1, 1, dtype=torch.long)).item() == d


@shapes
def test_kernels_sum_over_all_points(n, m, numbers, sizes, gaps):
    x, points = rows(n, 5, numbers, sizes, gaps), rows(m, 6, numbers, sizes, gaps)
    wanted = (-(every(x, points) ** 2) / (2 * 0.7**2)).logsumexp(1)
    assert torch.allclose(log_kernels(x, points, 0.7), wanted, atol=2e-4)


def test_kernels_leave_out_a_point():
    x = rows(200, 7)
    wanted = (-(every(x, x).fill_diagonal_(torch.inf) ** 2) / 2).logsumexp(1)
    assert torch.allclose(log_kernels(x, x, 1.0, leave=torch.arange(200)), wanted, atol=2e-4)


def test_scales():
    x = torch.tensor([[1.0, 0.0], [3.0, 1.0], [torch.nan, torch.nan], [5.0, 0.0]])
    codes = torch.tensor([False, True])
    standard, within, common, ranked = (Scaling.of(x, codes, how)(x) for how in records.HOW)
    assert torch.allclose(
        standard.numbers[[0, 1, 3], 0], torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64) * 1.5**0.5
    )
    assert within.numbers[[0, 1, 3], 0].tolist() == [0.0, 0.5, 1.0]
    assert torch.allclose(common.numbers.nan_to_num(), standard.numbers.nan_to_num())  # of one column it is its own
    wide = torch.tensor([[0.0, 0.0], [8.0, 6.0]])  # standard deviations 4 and 3
    pixels = Scaling.of(wide, torch.tensor([False, False]), "common")(wide).numbers
    assert torch.allclose(pixels[1] - pixels[0], torch.tensor([8.0, 6.0], dtype=torch.float64) / 12.5**0.5)
    assert torch.allclose(ranked.numbers[[0, 1, 3], 0], torch.tensor([1, 3, 5], dtype=torch.float64) / 6)
    assert standard.codes[:, 0].tolist() == [1, 2, 0, 1] and torch.isnan(ranked.numbers[2, 0])


@pytest.mark.parametrize("how", records.HOW)
def test_columns_that_never_vary_or_are_all_missing_have_a_scale(how):
    x = torch.tensor([[2.0, torch.nan]] * 3)
    made = Scaling.of(x, torch.tensor([False, False]), how)(x)
    assert torch.isfinite(made.numbers[:, 0]).all() and nearest(made, made)[0].abs().max() == 0
    moved = Scaling.of(x, torch.tensor([False, False]), how)(x + 1)
    assert torch.isfinite(moved.numbers[:, 0]).all()


def test_quantiles_do_not_see_a_monotone_map():
    x = rows(200, 8, sizes=()).numbers
    codes = torch.zeros(3, dtype=torch.bool)
    one = nearest(Scaling.of(x, codes, "quantile")(x[:50]), Scaling.of(x, codes, "quantile")(x[50:]))
    two = nearest(
        Scaling.of(x.exp(), codes, "quantile")(x[:50].exp()), Scaling.of(x.exp(), codes, "quantile")(x[50:].exp())
    )
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])


def test_what_cannot_be_asked_is_refused():
    x = rows(3)
    with pytest.raises(BadData, match="4 nearest of 3"):
        nearest(x, x, 4)
    with pytest.raises(BadData, match="3 nearest of 2"):
        nearest(x, x, 3, leave=torch.arange(3))
    with pytest.raises(Usage, match="Did you mean 'quantile'"):
        Scaling.of(x.numbers, torch.zeros(3, dtype=torch.bool), "quantil")


@pytest.mark.parametrize("points, cells", [(64, 1 << 12), (1 << 15, 1 << 9)])
def test_blocks_do_not_matter(points, cells, monkeypatch):
    x, y = rows(150, 9, 2, (3, 90), 0.1), rows(333, 10, 2, (3, 90), 0.1)
    whole, kernels = nearest(x, y, 3), log_kernels(x, y, 0.5)
    monkeypatch.setattr(records, "POINTS", points)
    monkeypatch.setattr(records, "CELLS", cells)
    cut = nearest(x, y, 3)
    assert torch.allclose(whole[0], cut[0], atol=1e-9) and torch.allclose(kernels, log_kernels(x, y, 0.5), atol=1e-5)


@pytest.mark.parametrize("how", records.HOW)
@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_numbers_of_any_size_have_a_scale(how, size):
    x = rows(80, 11, sizes=()).numbers
    none = torch.zeros(3, dtype=torch.bool)
    plain, huge = (
        nearest(made(z[:30]), made(z[30:]), 2) for z in (x, x * size) for made in [Scaling.of(z[30:], none, how)]
    )
    assert torch.equal(plain[1], huge[1]) and torch.allclose(plain[0], huge[0], rtol=1e-9, atol=0)


def test_broken_rows_are_far_from_all_and_spoil_nothing():
    x = rows(50, 12, sizes=()).numbers
    made = Scaling.of(x, torch.zeros(3, dtype=torch.bool))
    broken = x.clone()
    broken[:10] = 1e300 * torch.tensor([[1.0], [-1.0]]).double().repeat(5, 1)
    values, places = nearest(made(broken), made(x))
    assert (values[:10] > 1e11).all() and (values[10:] == 0).all() and (places[10:, 0] == torch.arange(10, 50)).all()
    assert (
        nearest(made(x), made(broken))[0].max() < 10 and torch.isfinite(log_kernels(made(x), made(broken), 1.0)).all()
    )
