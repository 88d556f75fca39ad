"""The generalised inverse, without tolerances: F(g(z)) >= z, g(F(x)) <= x, and the length of what leads to x is P(X = x)."""

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.errors import BadData, Usage
from pushforward.maths.quantiles import Table, inverse, least, ordered, unordered

RNG = np.random.default_rng(0)


def column(values) -> torch.Tensor:
    return torch.tensor(np.asarray(values, dtype=np.float64)).reshape(-1, 1)


TABLES = {
    "discrete": Table.steps([-2, 0, 0.5, 7], [0.25, 0.125, 0.5, 0.125]),
    "uneven": Table.steps(np.arange(6), RNG.dirichlet(np.ones(6))),
    "continuous": Table.of([0, 1, 3], [0, 0.7, 1]),
    "flat": Table.of([0, 1, 2, 3], [0, 0.5, 0.5, 1]),
    "steep": Table.of([1, 1 + 1e-12, 2], [0, 1 - 1e-9, 1]),
    "mixed": Table.of([0, 1, 4], [0.3, 0.5, 1], below=[0, 0.4, 1]),
    "empirical": Table.empirical(column(RNG.normal(size=200).round(1))),
    "smooth": Table.smooth(column(RNG.gamma(2.0, size=500))),
    "rain": Table.smooth(column(np.where(RNG.random(500) < 0.4, 0.0, RNG.exponential(size=500)))),
}
by_table = pytest.mark.parametrize("name", TABLES)


def levels(table: Table) -> torch.Tensor:
    """Many z, among them every value of F and its neighbours."""
    edges = torch.cat([table.at[0], table.below[0]])
    near = [edges, torch.nextafter(edges, torch.tensor(2.0)), torch.nextafter(edges, torch.tensor(-1.0))]
    z = torch.cat([*near, torch.from_numpy(RNG.random(2000)), torch.tensor([5e-324, 1e-300, 1.0])])
    return z[(z > 0) & (z <= 1)][:, None]


def places(table: Table) -> torch.Tensor:
    low, high = float(table.points[0, 0]), float(table.points[0, -1])
    inside = torch.from_numpy(RNG.uniform(low - 1, high + 1, 2000))
    p = table.points[0]
    return torch.cat([inside, p, torch.nextafter(p, p + 1), torch.nextafter(p, p - 1)])[:, None]


@by_table
def test_galois_inequalities_hold_without_a_tolerance(name):
    table = TABLES[name]
    z = levels(table)
    assert (table.cdf(table.inverse(z)) >= z).all()
    x = places(table)
    f = table.cdf(x)
    back = table.inverse(f.clamp(min=5e-324))
    assert (back[f > 0] <= x[f > 0]).all()


@by_table
def test_the_inverse_is_the_least_number_that_does(name):
    """With F(g) >= z and F of the number just below g less than z: nothing smaller would do."""
    table = TABLES[name]
    z = levels(table)
    g = table.inverse(z)
    assert (table.cdf(torch.nextafter(g, torch.tensor(-torch.inf, dtype=torch.float64))) < z).all()


@by_table
def test_a_distribution_function_never_falls(name):
    x = places(TABLES[name]).sort(0).values
    f, before = TABLES[name].cdf(x), TABLES[name].before(x)
    assert (f.diff(dim=0) >= 0).all() and (before <= f).all() and (f[:-1] <= before[1:])[x.diff(dim=0) > 0].all()


@by_table
def test_the_length_of_the_preimage_is_the_probability(name):
    """{z: g(z) = x} = (F(x-), F(x)]: its ends and their neighbours go where they should."""
    table = TABLES[name]
    x = table.points.T
    mass, low, high = table.mass(x), table.before(x), table.cdf(x)
    assert (mass == high - low).all()
    step = mass[:, 0] > 0
    up = torch.nextafter(low, torch.full_like(low, 2))
    assert (table.inverse(high)[step] == x[step]).all() and (table.inverse(up)[step] == x[step]).all()
    inner = step & (low[:, 0] > 0)
    assert (table.inverse(low.clamp(min=5e-324))[inner] < x[inner]).all()
    more = step & (high[:, 0] < 1)
    assert (table.inverse(torch.nextafter(high, torch.full_like(high, 2)).clamp(max=1))[more] > x[more]).all()


def test_masses_of_a_table_are_those_that_were_given():
    table = TABLES["discrete"]  # powers of two: sums and differences of them are exact
    assert table.mass(table.points.T)[:, 0].tolist() == [0.25, 0.125, 0.5, 0.125]
    assert TABLES["empirical"].at[0, -1] == 1 and TABLES["rain"].at[0, -1] == 1
    assert float(TABLES["rain"].mass(column([0.0]))) == pytest.approx(0.4, abs=0.07)


def test_the_empirical_inverse_is_the_order_statistic():
    x = RNG.normal(size=99)
    z = RNG.random(500)
    got = Table.empirical(column(x)).inverse(column(z))[:, 0].numpy()
    assert np.array_equal(got, np.quantile(x, z, method="inverted_cdf"))


def test_the_density_is_the_slope_and_integrates_to_one():
    table = TABLES["smooth"]
    edges = table.points[0].numpy()
    grid = np.concatenate([np.linspace(a, b, 50, endpoint=False) for a, b in zip(edges[:-1], edges[1:], strict=True)])
    density = table.log_density(column(grid)).exp()[:, 0].numpy()
    widths = np.repeat(np.diff(edges) / 50, 50)
    assert (density * widths).sum() == pytest.approx(1, abs=1e-9)
    assert table.log_density(column([edges[-1] + 1, edges[0] - 1])).isneginf().all()
    assert torch.isfinite(table.log_density(table.points.T)).all()


def test_several_laws_side_by_side_are_each_alone():
    x = torch.tensor(RNG.normal(size=(50, 3))).round(decimals=1)
    table, z = Table.smooth(x), torch.from_numpy(RNG.random((200, 3)))
    alone = [Table.smooth(x[:, j : j + 1]) for j in range(3)]
    assert torch.equal(table.inverse(z), torch.cat([t.inverse(z[:, j : j + 1]) for j, t in enumerate(alone)], 1))
    assert torch.equal(table.cdf(x), torch.cat([t.cdf(x[:, j : j + 1]) for j, t in enumerate(alone)], 1))
    assert torch.equal(
        table.log_density(x), torch.cat([t.log_density(x[:, j : j + 1]) for j, t in enumerate(alone)], 1)
    )


# ---- callables -------------------------------------------------------------------------------------------------------
def pareto(x):
    """Rounding keeps the order of every step, so this never falls."""
    return np.where(x > 0, 1 - 1 / (1 + np.maximum(x, 0)), 0.0)


def dimes(x):
    """A half at -1, a half spread over (0, 2)."""
    return np.where(x < -1, 0.0, 0.5 + 0.25 * np.clip(x, 0, 2))


@pytest.mark.parametrize("cdf", [pareto, dimes, lambda x: np.clip(x, 0, 1), lambda x: (x >= 3) * 1.0])
def test_galois_inequalities_of_a_callable(cdf):
    z = torch.from_numpy(np.concatenate([1 - RNG.random(1000), [1.0, 0.5, 5e-324]]))
    g = inverse(cdf, z).numpy()
    assert (cdf(g) >= z.numpy()).all() and (cdf(np.nextafter(g, -np.inf)) < z.numpy()).all()
    x = np.concatenate([RNG.uniform(-5, 5, 1000), [0.0, 2.0, -1.0, 3.0]])
    f = cdf(x)
    assert (inverse(cdf, torch.from_numpy(f[f > 0])).numpy() <= x[f > 0]).all()


def test_the_inverse_of_a_normal_is_its_quantile():
    z = torch.linspace(0.001, 0.999, 500, dtype=torch.float64)
    assert np.allclose(inverse(stats.norm.cdf, z), stats.norm.ppf(z), atol=1e-12)
    assert np.array_equal(inverse(stats.poisson(3.5).cdf, z).numpy(), stats.poisson(3.5).ppf(z))


def test_floating_point_numbers_in_order():
    x = torch.tensor([-np.inf, -1.7e308, -1.0, -5e-324, 0.0, 5e-324, 1e-300, 1.0, np.inf], dtype=torch.float64)
    assert (ordered(x).diff() > 0).all() and torch.equal(unordered(ordered(x)), x)
    assert int(ordered(torch.tensor(5e-324, dtype=torch.float64))) == 1
    found = least(
        lambda y: (y >= 0.1).double(), torch.ones(3, dtype=torch.float64), -x[-1:].expand(3), x[-1:].expand(3)
    )
    assert found.tolist() == [0.1] * 3


# ---- what is no law --------------------------------------------------------------------------------------------------
def test_what_is_no_distribution_function_is_said():
    for points, at, below in (
        ([0, 1], [0, 0.9], None),
        ([0, 1], [0.1, 1], None),
        ([0, 1, 2], [0, 0.8, 0.7], None),
        ([1, 0], [0, 1], None),
        ([0, np.inf], [0, 1], None),
        ([0, 1], [0.5, 1], [0, 0.4]),
    ):
        with pytest.raises(BadData):
            Table.of(points, at, below)
    with pytest.raises(Usage, match="2 points"):
        Table.of([0, 1], [1.0])
    for masses in ([0.5, 0.4], [1.5, -0.5], []):
        with pytest.raises((BadData, Usage)):
            Table.steps(list(range(len(masses))), masses)
    with pytest.raises(BadData, match="0 … 1 are awaited"):
        inverse(lambda x: x * 0 + 2, torch.tensor([0.5], dtype=torch.float64))


def test_a_point_of_no_probability_is_never_drawn():
    table = Table.steps([0, 1, 2, 3], [0.0, 0.5, 0.0, 0.5])
    z = levels(table)
    assert set(table.inverse(z).flatten().tolist()) == {1.0, 3.0}
    last = Table.steps([0, 1, 2], [0.3, 0.7, 0.0])
    assert float(last.inverse(torch.ones(1, 1, dtype=torch.float64))) == 1.0
