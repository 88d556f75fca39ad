"""The f-divergences: one table, its identities, the slips of the lecture's table, and what every estimator must reach."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from pushforward.errors import BadData, Diverged, Unable, Usage
from pushforward.maths import divergences
from pushforward.maths.divergences import TABLE, fits, of
from pushforward.maths.divergences.exact import REACH
from pushforward.maths.laws import Normal

LOG = math.log
DIRECT = {  # f(u), as lecture 001 writes it, with its slips mended
    "kl": lambda u: u * np.log(u),
    "reverse_kl": lambda u: -np.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "js": lambda u: 0.5 * (u * np.log(u) - (u + 1) * np.log((u + 1) / 2)),
    "gan": lambda u: u * np.log(u) - (u + 1) * np.log(u + 1),
}
INTEGRALS = {  # of the densities themselves
    "kl": lambda p, q: p * np.log(p / q),
    "reverse_kl": lambda p, q: q * np.log(q / p),
    "pearson": lambda p, q: (p - q) ** 2 / q,
    "hellinger": lambda p, q: (np.sqrt(p) - np.sqrt(q)) ** 2,
    "js": lambda p, q: 0.5 * (p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))),
    "gan": lambda p, q: p * np.log(p / (p + q)) + q * np.log(q / (p + q)),
}
by_name = pytest.mark.parametrize("name", list(TABLE))


def pmfs(seed=0, size=7):
    rng = np.random.default_rng(seed)
    return tuple(torch.from_numpy(rng.dirichlet(np.ones(size))) for _ in range(2))


def normal(n, mean=0.0, seed=0, d=1):
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, 1.0, size=(n, d)))


# ---- the table ----------------------------------------------------------------------------------------------------------


@by_name
def test_functions_of_the_log_ratio_are_those_of_the_ratio(name):
    d, v = TABLE[name], torch.linspace(-9, 9, 400, dtype=torch.float64)
    u = v.exp().numpy()
    direct = DIRECT[name](u)
    assert np.allclose(d.f(v), direct, rtol=1e-12, atol=1e-13)
    assert np.allclose(d.tail(v), direct / u, rtol=1e-12, atol=1e-13)
    t = v.clone().requires_grad_()
    (slope,) = torch.autograd.grad(d.f(t).sum(), t)  # d f(e^v) / dv = u f'(u)
    assert torch.allclose(d.slope(v), slope / v.exp(), rtol=1e-9, atol=1e-10)
    assert torch.allclose(d.conjugate(v), v.exp() * d.slope(v) - d.f(v), rtol=1e-9, atol=1e-9)


@by_name
def test_the_conjugate_is_the_largest_gap(name):
    """f*(t) = sup_u  u t - f(u), on a grid of u."""
    d = TABLE[name]
    u = np.exp(np.linspace(-12, 8, 400_001))
    for v in (-2.0, -0.3, 0.0, 0.7, 1.5):
        at = torch.tensor(v, dtype=torch.float64)
        assert np.max(u * float(d.slope(at)) - DIRECT[name](u)) == pytest.approx(float(d.conjugate(at)), abs=1e-7)


@by_name
def test_far_ratios_stay_finite_and_right(name):
    """log q = 0 and log p = -800, and the other way round: e^800 is no number, the integrand is."""
    d = TABLE[name]
    far = torch.tensor([-800.0, 0.0], dtype=torch.float64)
    out = divergences.integrand(d, far, far.flip(0))
    want = {
        "kl": (0, 800),
        "reverse_kl": (800, 0),
        "pearson": (1, math.inf),
        "hellinger": (1, 1),
        "js": (LOG(2) / 2, LOG(2) / 2),
        "gan": (0, 0),
    }
    assert out.tolist() == pytest.approx(list(want[name]), abs=1e-12)
    assert torch.isfinite(d.conjugate(-far.abs())).all() and torch.isfinite(d.slope(far.abs() / 2)).all()


def test_close_ratios_keep_their_digits():
    """Near p = q all are f''(1)/2 v^2, without cancellation to noise."""
    v = torch.tensor([1e-6], dtype=torch.float64)
    for name, half in (("pearson", 1.0), ("hellinger", 0.25), ("js", 0.125)):
        assert float(TABLE[name].f(v)) / 1e-12 == pytest.approx(half, rel=1e-3)
    assert float(divergences.balanced(of("kl"), v)) / 1e-12 == pytest.approx(0.5, rel=1e-3)


@by_name
def test_tables_are_the_sums(name):
    p, q = pmfs()
    want = INTEGRALS[name](p.numpy(), q.numpy()).sum()
    assert divergences.tables(name, p, q) == pytest.approx(want, rel=1e-13, abs=1e-14)
    assert float((q * torch.from_numpy(DIRECT[name]((p / q).numpy()))).sum()) == pytest.approx(
        want, rel=1e-12, abs=1e-13
    )
    assert divergences.tables(name, p, p) == pytest.approx(TABLE[name].least, abs=1e-14)


@by_name
def test_the_bound_is_reached_at_the_log_ratio_and_nowhere_exceeded(name):
    p, q = pmfs(1)
    d, v, exact = TABLE[name], (p / q).log(), divergences.tables(name, p, q)
    bound = lambda w: float((p * d.slope(w)).sum() - (q * d.conjugate(w)).sum())  # noqa: E731
    assert bound(v) == pytest.approx(exact, abs=1e-14)
    for seed in range(20):
        step = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.5, len(v)))
        assert bound(v + step) < exact


@by_name
def test_the_balanced_terms_average_to_the_divergence(name):
    p, q = pmfs(2)
    terms = divergences.balanced(TABLE[name], (p / q).log())
    assert float(((p + q) / 2 * terms).sum()) == pytest.approx(divergences.tables(name, p, q), abs=1e-13)
    assert (terms >= TABLE[name].least).all()  # so an estimate of their mean is never negative


# ---- the slips of the lecture's table --------------------------------------------------------------------------------------


def test_slip_one_the_integral_printed_for_pearson_is_the_other_direction():
    p, q = pmfs(3)
    from_its_f = float((q * (p / q - 1) ** 2).sum())
    printed = float(((q - p) ** 2 / p).sum())
    assert divergences.tables("pearson", p, q) == pytest.approx(from_its_f, abs=1e-14)
    assert divergences.tables("pearson", q, p) == pytest.approx(printed, abs=1e-14)
    assert abs(printed - from_its_f) > 0.1


def test_slip_two_the_f_printed_for_js_gives_twice_js():
    p, q = pmfs(3)
    u = p / q
    printed_f = float((q * (-(u + 1) * ((1 + u) / 2).log() + u * u.log())).sum())
    printed_integral = INTEGRALS["js"](p.numpy(), q.numpy()).sum()
    assert printed_f == pytest.approx(2 * printed_integral, abs=1e-14)
    assert divergences.tables("js", p, q) == pytest.approx(printed_integral, abs=1e-14)


def test_slip_three_the_gan_value_of_a_law_and_itself_is_minus_log_4():
    p, q = pmfs(3)
    assert of("gan").least == pytest.approx(-LOG(4), abs=1e-15)
    assert divergences.tables("gan", p, p) == pytest.approx(-LOG(4), abs=1e-14)
    assert divergences.tables("gan", p, q) == pytest.approx(2 * divergences.tables("js", p, q) - LOG(4), abs=1e-14)
    assert divergences.tables("gan", p, q) < 0


# ---- exact --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mu", [0.1, 1.0, 2.5])
def test_shifted_unit_gaussians_have_the_known_values(mu):
    p, q = Normal(mu), Normal(0.0)
    assert divergences.gaussians("kl", p, q) == pytest.approx(mu**2 / 2, rel=1e-13)
    assert divergences.gaussians("reverse_kl", p, q) == pytest.approx(mu**2 / 2, rel=1e-13)
    assert divergences.gaussians("pearson", p, q) == pytest.approx(math.expm1(mu**2), rel=1e-12)
    assert divergences.gaussians("hellinger", p, q) == pytest.approx(-2 * math.expm1(-(mu**2) / 8), rel=1e-12)
    js = integrate.quad(
        lambda x: INTEGRALS["js"](stats.norm.pdf(x, mu), stats.norm.pdf(x)), -10, 12, epsabs=1e-13, limit=200
    )[0]
    assert divergences.gaussians("js", p, q) == pytest.approx(js, abs=1e-11)
    assert divergences.gaussians("gan", p, q) == pytest.approx(2 * js - LOG(4), abs=1e-11)


@by_name
def test_gaussians_of_other_widths_are_the_quadrature(name):
    p, q = Normal(0.7, 0.6), Normal(-0.4, 1.5)
    knots = [float(s.mean + r * s.triangle[0, 0]) for s in (p, q) for r in REACH]
    assert divergences.gaussians(name, p, q) == pytest.approx(
        divergences.on_line(name, p.log_prob, q.log_prob, knots), abs=1e-11
    )


@by_name
def test_gaussians_of_three_variables_do_not_see_a_linear_map(name):
    a = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 3))) + 2 * torch.eye(3)
    mean, s, t = (
        torch.tensor([0.5, -1.0, 0.2]).double(),
        torch.tensor([1.0, 0.5, 0.8]).double(),
        torch.tensor([0.7, 0.9, 1.1]).double(),
    )
    t = s if name in ("js", "gan") else t
    before = divergences.gaussians(name, Normal(mean, s), Normal(0 * mean, t))
    after = divergences.gaussians(name, Normal(a @ mean, a @ s.diag() @ a.T), Normal(0 * mean, a @ t.diag() @ a.T))
    assert before == pytest.approx(after, rel=1e-9)


def test_pearson_is_infinite_where_q_is_too_narrow_and_js_says_it_has_no_formula():
    assert divergences.gaussians("pearson", Normal(0.0, 2.0), Normal(0.0, 1.0)) == math.inf
    assert math.isfinite(divergences.gaussians("pearson", Normal(0.0, 1.9), Normal(0.0, 1.0)))
    with pytest.raises(Unable, match="Monte Carlo"):
        divergences.gaussians("js", Normal([0, 0], [1.0, 2.0]), Normal([0, 0], [1.0, 1.0]))
    with pytest.raises(BadData, match="3 variables and q has 2"):
        divergences.gaussians("kl", Normal([0.0] * 3, [1.0] * 3), Normal([0.0] * 2, [1.0] * 2))


@by_name
def test_zero_masses_cost_what_f_says(name):
    p, q = torch.tensor([0.5, 0.5, 0.0]).double(), torch.tensor([0.25, 0.0, 0.75]).double()
    want = {
        "kl": math.inf,
        "reverse_kl": math.inf,
        "pearson": math.inf,
        "hellinger": 0.5 + 0.75 + (0.5**0.5 - 0.5) ** 2,
        "js": 0.5 * (0.5 * LOG(4 / 3) + 0.5 * LOG(2) + 0.25 * LOG(2 / 3) + 0.75 * LOG(2)),
        "gan": 0.5 * LOG(2 / 3) + 0.25 * LOG(1 / 3),
    }
    assert divergences.tables(name, p, q) == pytest.approx(want[name], abs=1e-14)
    apart = divergences.tables(name, torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    assert apart == pytest.approx({"hellinger": 2.0, "js": LOG(2), "gan": 0.0}.get(name, math.inf), abs=1e-14)


def test_empty_and_unequal_tables_and_wrong_names_are_refused():
    for p, q in ((torch.zeros(0), torch.zeros(0)), (torch.ones(1), torch.ones(2) / 2)):
        with pytest.raises(BadData, match="outcomes"):
            divergences.tables("kl", p, q)
    with pytest.raises(Usage, match="Did you mean 'hellinger'"):
        of("helinger")


# ---- plug-in estimators ----------------------------------------------------------------------------------------------------


@by_name
@pytest.mark.parametrize("way", [divergences.histogram, divergences.kde, divergences.knn])
def test_estimators_approach_the_truth_within_their_errors(name, way):
    """N(0.7, 1) and N(0, 1), n = 4000: within 4 standard errors and the bias that n leaves."""
    exact = divergences.gaussians(name, Normal(0.7), Normal(0.0))
    value, error = way(name, normal(4000, 0.7, 1), normal(4000, 0.0, 2))
    bias = {"histogram": 0.05, "kde": 0.12, "knn": 0.02}[way.__name__] * {
        "pearson": 1.5,
        "hellinger": 0.3,
        "js": 0.15,
        "gan": 0.3,
    }.get(name, 0.6)
    assert abs(value - exact) < 4 * error + bias


@by_name
def test_neighbours_reach_the_truth_in_three_variables(name):
    p, q = Normal([0.5, 0.0, 0.0], [1.0] * 3), Normal([0.0] * 3, [1.0] * 3)
    value, error = divergences.knn(name, p.sample(4000, 1), q.sample(4000, 2))
    assert abs(value - divergences.gaussians(name, p, q)) < 4 * error


@pytest.mark.parametrize("way", [divergences.histogram, divergences.kde, divergences.knn])
@pytest.mark.parametrize("name", ["kl", "js"])
def test_standard_errors_are_the_spread_of_repetitions(way, name):
    runs = [way(name, normal(600, 0.8, 2 * i), normal(600, 0.0, 2 * i + 1)) for i in range(60)]
    values, errors = np.array(runs).T
    assert (
        0.6 < errors.mean() / values.std(ddof=1) < 2.0
    )  # the spread of 60 is itself known to 9 %; neighbours' are cautious


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_error_of_js_by_neighbours_counts_the_draws_of_the_middle(shift):
    """To first order the middle law's draws add nothing; the noise of their neighbours does, half as much again."""
    runs = [divergences.knn("js", normal(150, shift, 2 * i), normal(150, 0.0, 2 * i + 1)) for i in range(80)]
    values, errors = np.array(runs).T
    assert 0.83 < errors.mean() / values.std(ddof=1) < 1.3


def test_the_floor_of_a_histogram_is_as_many_cells_over_n():
    """Two samples of one law, B cells hit: KL is about (B - 1)/n."""
    x = torch.from_numpy(np.random.default_rng(0).uniform(size=(2, 20_000, 1)))
    for bins in (20, 100):
        values = [
            divergences.histogram("kl", x[0][i : i + 5000], x[1][i : i + 5000], bins, 0.0)[0]
            for i in range(0, 20_000, 5000)
        ]
        assert np.mean(values) == pytest.approx((bins - 1) / 5000, rel=0.35)


def test_edges_are_shared_and_a_constant_column_is_one_cell():
    x, y = torch.zeros(50, 2).double(), torch.zeros(50, 2).double()
    x[:, 1], y[:, 1] = torch.linspace(0, 1, 50), torch.linspace(0, 1, 50)
    assert divergences.histogram("kl", x, y)[0] == 0.0
    assert divergences.histogram("js", x[:, :1], y[:, :1] + 1, smooth=0.0)[0] == pytest.approx(
        LOG(2)
    )  # constants apart
    counts = np.histogram2d(*normal(300, d=2).T.numpy(), bins=5)[0].ravel()
    cells, _ = divergences.plugin.binned(normal(300, d=2), normal(300, d=2), torch.tensor([False, False]), 5)
    assert sorted(np.unique(divergences.plugin.flat(cells).numpy(), return_counts=True)[1]) == sorted(
        counts[counts > 0]
    )


def test_missing_cells_and_codes_are_cells_of_their_own():
    x = torch.tensor([[0.0, 1.0], [torch.nan, 1.0], [0.5, 2.0]]).double()
    cells, _ = divergences.plugin.binned(x, x, torch.tensor([False, True]), 2)
    assert cells.tolist() == [[0, 1], [-1, 1], [1, 2]]


def test_cells_without_smoothing_make_kl_infinite():
    x, y = torch.zeros(10, 1).double(), torch.ones(10, 1).double()
    value, error = divergences.histogram("kl", x, y, smooth=0.0)
    assert value == math.inf and math.isnan(error)
    assert math.isfinite(divergences.histogram("kl", x, y)[0])


@pytest.mark.parametrize("d, n", [(1, 300), (2, 200), (1, 6000)])
def test_kernel_densities_are_those_of_scipy(d, n):
    x = normal(n, d=d) @ (torch.eye(d).double() + 0.5)
    points = normal(40, d=d, seed=1)
    want = stats.gaussian_kde(x.T.numpy()).logpdf(points.T.numpy())
    assert np.allclose(
        divergences.Kde(x).log_prob(points), want, atol=1e-10 if n < 2048 else 1e-3
    )  # gathered to 2048 places
    with pytest.raises(BadData, match="spread"):
        divergences.Kde(torch.zeros(10, d))


def test_neighbours_refuse_copies_and_too_few():
    with pytest.raises(BadData, match="copies"):
        divergences.knn("kl", torch.zeros(50, 1), torch.zeros(50, 1))
    with pytest.raises(BadData, match="neighbours"):
        divergences.knn("kl", normal(5), normal(50))


# ---- the bound by a critic --------------------------------------------------------------------------------------------------


@by_name
def test_the_bound_of_the_true_ratio_is_the_divergence(name):
    p, q = Normal(0.5), Normal(0.0)
    value, error = divergences.judged(
        name, lambda x: p.log_prob(x) - q.log_prob(x), p.sample(50_000, 0), q.sample(50_000, 1)
    )
    assert abs(value - divergences.gaussians(name, p, q)) < 4 * error


@pytest.mark.parametrize("name", ["kl", "pearson", "js"])
def test_a_trained_critic_comes_close_from_below(name):
    p, q = Normal([0.6, 0.0], [1.0, 1.0]), Normal([0.0, 0.0], [1.0, 1.0])
    exact = divergences.gaussians(name, p, q)
    critic, value, error = divergences.trained(name, p.sample(4000, 0), q.sample(4000, 1), steps=300)
    assert value < exact + 4 * error and value > 0.5 * exact - 4 * error
    again, error = divergences.judged(name, critic, p.sample(20_000, 2), q.sample(20_000, 3))
    assert 0.5 * exact - 4 * error < again < exact + 4 * error  # on examples that it has never met


def test_a_critic_that_gives_nan_is_refused():
    x = normal(10)
    with pytest.raises(BadData, match="NaN or infinity for 10 of 10 examples, the first in row 0"):
        divergences.judged("js", lambda t: t[:, 0] * torch.nan, x, x)
    with pytest.raises(BadData, match="one number each"):
        divergences.judged("js", lambda t: torch.zeros(3), x, x)
    with pytest.raises(BadData, match="at least 8"):
        divergences.trained("js", x[:4], x)


def test_a_bound_that_runs_away_says_so():
    net = torch.nn.Linear(1, 1).double()
    net.weight.data.fill_(1e4)
    with pytest.raises(Diverged, match="ran away"):
        divergences.variational.climb(
            of("kl"), lambda t: net(t)[:, 0], net, torch.optim.SGD(net.parameters(), 0.1), normal(20), normal(20)
        )


# ---- one Gaussian for a mixture ----------------------------------------------------------------------------------------------

APART = fits.bells([0.3, 0.7], [-3.0, 2.0], [0.6, 1.0])


def quadrature(fit, forward):
    knots = [float(m + r * s) for m, s in zip(APART.means, APART.spread, strict=True) for r in REACH]
    knots += [float(fit.mean + r * fit.triangle[0, 0]) for r in REACH]
    return divergences.on_line(
        "kl" if forward else "reverse_kl", lambda x: APART.joint(x[:, None]).logsumexp(1), fit.log_prob, knots
    )


def near(fit):
    return [
        Normal(fit.mean + a, fit.covariance * math.exp(b)) for a, b in ((0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02))
    ]


def test_the_forward_fit_is_the_optimum_by_quadrature():
    from scipy.optimize import minimize

    fit = fits.forward_fit(APART)
    best = minimize(
        lambda t: quadrature(Normal(t[0], math.exp(t[1])), True),
        [0.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-14},
    )
    assert float(fit.mean) == pytest.approx(best.x[0], abs=1e-5) and float(fit.covariance) == pytest.approx(
        math.exp(best.x[1]), rel=1e-5
    )
    assert all(quadrature(fit, True) < quadrature(other, True) for other in near(fit))


def test_the_reverse_fits_are_optima_by_quadrature_and_seek_a_mode_each():
    found = fits.reverse_fits(APART)
    assert len(found) == 2 and found[0][0] < found[1][0]
    for (value, fit), mode, width, weight in zip(found, (2.0, -3.0), (1.0, 0.6), (0.7, 0.3), strict=True):
        assert value == pytest.approx(quadrature(fit, False), abs=1e-9)
        assert all(value < quadrature(other, False) for other in near(fit))
        assert abs(float(fit.mean) - mode) < 0.1 and abs(float(fit.covariance) - width**2) < 0.15
        assert value == pytest.approx(-LOG(weight), abs=0.02)  # modes far apart: KL(N || p) is log 1/weight
    wide = fits.forward_fit(APART)
    assert (
        float(wide.covariance) > 4
        and quadrature(wide, False) > found[0][0]
        and quadrature(found[0][1], True) > quadrature(wide, True)
    )


def test_the_reverse_fit_in_the_plane_takes_the_shape_of_its_mode():
    turn = torch.tensor([[1.0, 0.0], [0.8, 0.6]]).double()
    mixture = fits.bells([0.5, 0.5], [[-4.0, 0.0], [4.0, 0.0]], torch.stack([turn, turn]))
    (value, fit), *_ = fits.reverse_fits(mixture)
    assert value == pytest.approx(LOG(2), abs=2e-3) and torch.allclose(fit.covariance, turn @ turn.T, atol=2e-2)
    assert torch.allclose(
        fits.forward_fit(mixture).covariance, turn @ turn.T + torch.tensor([[16.0, 0], [0, 0]]).double()
    )
    with pytest.raises(Usage, match="has 3"):
        fits.reverse_fits(fits.bells([1.0], [[0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0]]))
