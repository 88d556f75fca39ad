"""Transport: on the line it is scipy's, small plans are optimal by their prices, sliced and dual keep their bounds; MMD and its test."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.errors import BadData, Usage
from pushforward.maths import discrepancy, transport
from pushforward.maths.laws import Normal
from pushforward.maths.transport import line
from pushforward.maths.transport.plans import costs, matched, transported


def normal(n, d=1, seed=0, mean=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, 1.0, size=(n, d)))


# ---- the line -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, m", [(50, 50), (50, 73), (1, 9), (200, 100), (64, 1)])
def test_w1_on_the_line_is_that_of_scipy(n, m):
    x, y = normal(n, seed=1), normal(m, seed=2, mean=0.5)
    want = stats.wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert float(transport.on_line(x, y)) == pytest.approx(want, abs=1e-13)


def test_masses_on_the_line_are_those_of_scipy():
    rng = np.random.default_rng(0)
    x, y, a, b = rng.normal(size=9), rng.normal(size=5), rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(5))
    ours = transport.on_line(
        *(torch.from_numpy(v)[:, None] for v in (x, y)), 1.0, torch.from_numpy(a), torch.from_numpy(b)
    )
    assert float(ours) == pytest.approx(stats.wasserstein_distance(x, y, a, b), abs=1e-13)


def test_w2_on_the_line_is_the_best_plan_and_repeated_examples_change_nothing():
    x, y = normal(30, seed=1), normal(20, seed=2, mean=1.0)
    assert float(transport.on_line(x, y, 2.0)) ** 0.5 == pytest.approx(transport.planned(x, y, 2.0)[0], abs=1e-9)
    assert float(transport.on_line(x.repeat(2, 1), y.repeat(3, 1), 2.0)) == pytest.approx(
        float(transport.on_line(x, y, 2.0)), abs=1e-13
    )


def test_normals_on_the_line_have_the_known_distance():
    """Between N(0, 1) and N(mu, s^2): W1 = |mu| where s = 1, W2^2 = mu^2 + (s - 1)^2."""
    grid = torch.special.ndtri((torch.arange(20_000) + 0.5).double() / 20_000)[:, None]
    assert float(transport.on_line(grid, grid + 1.5)) == pytest.approx(1.5, abs=1e-12)
    assert float(transport.on_line(grid, 2 * grid + 1.0, 2.0)) ** 0.5 == pytest.approx(2**0.5, abs=2e-3)
    assert transport.bures(Normal(0.0), Normal(1.0, 4.0)) == pytest.approx(2**0.5, abs=1e-12)


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_the_standard_error_on_the_line_is_the_spread_of_repetitions(order):
    runs = [line.line(normal(300, seed=2 * i), 0.7 * normal(200, seed=2 * i + 1) + 1, order) for i in range(80)]
    values, errors = np.array(runs).T
    assert 0.75 < errors.mean() / values.std(ddof=1) < 1.35


# ---- random lines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, m", [(100, 100), (100, 70)])
def test_sliced_is_the_mean_over_its_lines(n, m):
    from pushforward import noise

    x, y = normal(n, 3), normal(m, 3, seed=1, mean=0.3)
    with noise.stream(5, dtype=torch.float64):
        a = torch.nn.functional.normalize(noise.normal(20, 3), dim=1)
    want = np.mean([stats.wasserstein_distance(*((part @ v).numpy() for part in (x, y))) for v in a])
    assert transport.sliced(x, y, projections=20, seed=5)[0] == pytest.approx(want, abs=1e-12)


def test_sliced_w2_of_a_shift_is_the_shift_over_the_root_of_the_dimension():
    x = normal(200, 4)
    value, error = transport.sliced(x, x + torch.tensor([2.0, 0, 0, 0]), 2.0, projections=4000)
    assert abs(value - 1.0) < 4 * error and error < 0.05


def test_the_standard_error_of_sliced_is_the_spread_of_repetitions():
    runs = [transport.sliced(normal(200, 2, 2 * i), normal(300, 2, 2 * i + 1, 0.8), 1.0, 64, i) for i in range(60)]
    values, errors = np.array(runs).T
    assert 0.7 < errors.mean() / values.std(ddof=1) < 1.4


# ---- small sets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_prices_prove_that_a_matching_is_the_best(order):
    """phi + psi is nowhere above the cost and sums to the value: no plan can be cheaper."""
    cost = costs(normal(40, 3), normal(40, 3, 1, 1.0), order)
    value, phi, psi = matched(cost)
    assert (phi[:, None] + psi <= cost + 1e-9).all() and phi.mean() + psi.mean() == pytest.approx(value, abs=1e-9)
    assert transported(cost)[0] == pytest.approx(value, abs=1e-9)


def test_a_plan_between_sets_of_two_sizes_has_prices_too():
    cost = costs(normal(30, 2), normal(17, 2, 1, 1.0), 1.0)
    value, phi, psi = transported(cost)
    assert (phi[:, None] + psi <= cost + 1e-9).all() and phi.mean() + psi.mean() == pytest.approx(value, abs=1e-9)


def test_a_shuffled_shift_is_undone():
    x = normal(60, 5)
    order = torch.from_numpy(np.random.default_rng(0).permutation(60))
    shift = torch.tensor([1.0, 2.0, 2.0, 0.0, 0.0])
    assert transport.planned(x, (x + shift)[order], 2.0)[0] == pytest.approx(3.0, abs=1e-12)
    assert torch.equal(order[transport.assigned(x, x[order])], torch.arange(60))


def test_bures_does_not_see_a_rotation_and_commutes_to_the_line():
    a, b = Normal([0.0, 0.0], [1.0, 4.0]), Normal([3.0, 4.0], [9.0, 1.0])
    turn = torch.linalg.qr(normal(2, 2)).Q
    turned = [Normal(turn @ law.mean, turn @ law.covariance @ turn.T) for law in (a, b)]
    assert transport.bures(a, b) == pytest.approx(math.sqrt(25 + (1 - 3) ** 2 + (2 - 1) ** 2), abs=1e-12)
    assert transport.bures(*turned) == pytest.approx(transport.bures(a, b), abs=1e-12)


def test_too_many_points_and_other_shapes_are_refused():
    with pytest.raises(Usage, match="sliced"):
        transport.planned(torch.zeros(3000, 1), torch.zeros(3000, 1))
    with pytest.raises(Usage, match="n m up to"):
        transport.planned(torch.zeros(400, 1), torch.zeros(401, 1))
    for call in (transport.planned, transport.sliced, transport.on_line):
        with pytest.raises(BadData, match="shape"):
            call(torch.zeros(4, 2), torch.zeros(4, 3))


# ---- from below by a critic -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "critic, steepness, reached",
    [(lambda t: t[:, 0], 1.0, 1.0), (lambda t: -3 * t[:, 0], 3.0, -1.0), (lambda t: (2 * t[:, 0]).tanh(), 2.0, 0.3195)],
)
def test_a_given_critic_is_divided_by_its_slope_and_stays_below(critic, steepness, reached):
    """A straight line reaches W1 = 1, one with the wrong sign its opposite; what bends falls short: E tanh(2x) / 2 under N(1, 1) is 0.3195."""
    value, error, slope = transport.judged(critic, normal(4000, mean=1.0), normal(4000, seed=1))
    assert slope == pytest.approx(steepness, abs=0.01)
    assert abs(value - reached) < 4 * error and value < 1 + 4 * error


def test_a_trained_critic_reaches_w1_from_below():
    x, y = normal(3000, mean=1.0), normal(3000, seed=1)
    critic, value, error = transport.trained(x, y, hidden=(32, 32), steps=120)
    assert 0.9 < value < 1 + 4 * error
    assert transport.dual.steepest(critic, x, y) <= 1 + 1e-9  # by construction, not by a penalty
    assert transport.judged(critic, normal(500, mean=1.0, seed=5), normal(500, seed=6))[0] > 0.8


def test_a_trained_critic_finds_the_sum_of_parts_that_part():
    """|x| against -|x| mixed signs: mass moves both ways, W1 = E |shift| and no straight critic sees it."""
    x = torch.cat([normal(1500) * 0.1 - 1, normal(1500, seed=1) * 0.1 + 1])[
        torch.randperm(3000, generator=torch.Generator().manual_seed(0))
    ]
    y = normal(3000, seed=2) * 0.1
    _, value, error = transport.trained(x, y, hidden=(32, 32), steps=150)
    exact = float(transport.on_line(x, y))
    assert 0.8 * exact < value < exact + 4 * error


def test_a_critic_that_gives_nan_is_refused():
    with pytest.raises(BadData, match="NaN or infinity"):
        transport.judged(lambda t: t[:, 0].log(), normal(50), normal(50, seed=1))
    assert transport.judged(lambda t: torch.ones(len(t)), normal(50), normal(50, seed=1))[0] == 0.0
    with pytest.raises(BadData, match="even widths"):
        transport.trained(normal(50), normal(50), hidden=(7,))


# ---- MMD ----------------------------------------------------------------------------------------------------------------


def loops(x, y, k):
    n, m = len(x), len(y)

    def inside(z):
        return sum(k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j) / len(z) / (len(z) - 1)

    return float(inside(x) + inside(y) - 2 * sum(k(a, b) for a in x for b in y) / n / m)


@pytest.mark.parametrize("kernel", discrepancy.KERNELS)
def test_mmd_is_the_double_sum(kernel):
    x, y = normal(9, 2), normal(7, 2, 1, 0.5)
    k, width = discrepancy.gram(torch.cat([x, y]), kernel, 1.3 if kernel == "gaussian" else 0.0)
    direct = {
        "gaussian": lambda a, b: (-((a - b) ** 2).sum() / (2 * 1.3**2)).exp(),
        "polynomial": lambda a, b: (a @ b / 2 + 1) ** 3,
    }[kernel]
    assert discrepancy.squared(k, 9)[0] == pytest.approx(loops(x, y, direct), abs=1e-12)


def test_mmd_is_unbiased():
    """Its mean over many pairs of small samples is the truth: of N(mu, 1), N(0, 1) and width s, 2 s/(s^2 + 2)^1/2 (1 - exp(-mu^2 / 2(s^2 + 2)))."""
    s, mu = 0.8, 1.0
    exact = 2 * s / math.sqrt(s**2 + 2) * (1 - math.exp(-(mu**2) / 2 / (s**2 + 2)))
    for mean, truth in ((mu, exact), (0.0, 0.0)):
        values = [
            discrepancy.squared(
                discrepancy.gram(
                    torch.cat([normal(8, seed=2 * i, mean=mean), normal(6, seed=2 * i + 1)]), "gaussian", s
                )[0],
                8,
            )[0]
            for i in range(1500)
        ]
        assert abs(np.mean(values) - truth) < 4 * np.std(values) / math.sqrt(len(values))
        assert min(values) < 0


def test_p_values_are_uniform_where_the_laws_are_one():
    values = []
    for i in range(200):
        k, _ = discrepancy.gram(normal(40, 2, i))
        value, null = discrepancy.squared(k, 20)[0], discrepancy.shuffled(k, 20, 99, i)
        values.append(discrepancy.p_value(value, null) - 0.005)  # one of 1/100 … 100/100: the middle of its step
    assert stats.kstest(values, "uniform").pvalue > 0.01
    assert abs(np.mean(values) - 0.5) < 4 / math.sqrt(12 * 200)


def test_p_values_are_small_where_the_laws_differ_and_errors_are_the_spread():
    runs, last = [], 1.0
    for i in range(50):
        k, _ = discrepancy.gram(
            torch.cat([normal(100, seed=2 * i, mean=1.0), normal(80, seed=2 * i + 1)]), "gaussian", 1.0
        )
        runs.append(discrepancy.squared(k, 100))
        last = discrepancy.p_value(runs[-1][0], discrepancy.shuffled(k, 100, 199, i)) if i < 5 else last
        assert last <= 0.01
    values, errors = np.array(runs).T
    assert 0.7 < errors.mean() / values.std(ddof=1) < 1.4


def test_kernels_refuse_what_they_cannot_do():
    with pytest.raises(Usage, match="Did you mean 'gaussian'"):
        discrepancy.gram(normal(5), "gausian")
    with pytest.raises(BadData, match="median distance is 0"):
        discrepancy.gram(torch.zeros(5, 1))
    with pytest.raises(BadData, match="at least 2"):
        discrepancy.squared(torch.eye(3), 1)
    assert (
        discrepancy.gram(torch.tensor([[0.0], [0.0], [0.0], [0.0], [3.0]]))[1] == 3.0
    )  # most are copies: the median of what is apart
