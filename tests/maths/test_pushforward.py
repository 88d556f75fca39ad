"""The law of g(z): the statements of lecture 000, and changes of variables whose density is known."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.maths.laws import Finite, Normal, Uniform
from pushforward.maths.pushforward import Pushforward

# ---- lecture 000 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.3, 0.5, 1 / 3, 1e-9])
def test_a_threshold_of_a_uniform_is_bernoulli_exactly(p):
    coin = Pushforward("uniform", lambda z: z < p, cuts=[p])
    assert coin.table == {True: p, False: 1 - p}
    assert coin.log_prob([1, 0, 7]).tolist() == [math.log(p), math.log(1 - p), -math.inf]
    drawn = coin.sample(4000, seed=0).double().mean()
    assert abs(float(drawn) - p) < 4 * math.sqrt(p * (1 - p) / 4000) + 1e-12


@pytest.mark.parametrize("theta", [0.5, 3.0])
def test_theta_z_has_density_one_over_theta(theta):
    law = Pushforward("uniform", lambda z: theta * z, inverse=lambda x: x / theta)
    x = torch.tensor([0.01, 0.5, 0.99]).double() * theta
    assert torch.allclose(law.log_prob(x), torch.full((3,), -math.log(theta)).double(), atol=1e-15)
    assert law.log_prob([-0.1, 1.1 * theta]).tolist() == [-math.inf, -math.inf]
    assert law.abilities == {"sample": "exact", "log_prob": "exact"}


def test_two_z_plus_one_has_density_a_half_on_one_to_three():
    law = Pushforward("uniform", lambda z: 2 * z + 1, inverse=lambda x: (x - 1) / 2)
    assert law.log_prob([1.0, 2.0, 3.0]).exp().tolist() == [0.5, 0.5, 0.5]
    assert law.log_prob([0.999, 3.001]).exp().tolist() == [0.0, 0.0]
    x = law.sample(1000, seed=0)
    assert float(x.min()) >= 1 and float(x.max()) < 3


# ---- finite bases -------------------------------------------------------------------------------------------------------


def test_a_finite_base_sums_over_preimages():
    dice = Finite({(i, j): 1 / 36 for i in range(1, 7) for j in range(1, 7)})
    total = Pushforward(dice, sum)
    assert total.table.keys() == set(range(2, 13))
    assert all(math.isclose(total.table[s], (6 - abs(s - 7)) / 36, rel_tol=1e-14) for s in range(2, 13))
    even = Pushforward(total, lambda s: s % 2 == 0)  # a pushforward of a pushforward
    assert math.isclose(even.table[True], 0.5, rel_tol=1e-14)
    assert set(total.sample(500, seed=0)) <= set(range(2, 13))


def test_a_quantile_function_in_pieces_gives_the_probabilities_back():
    """Inverse transform, g(z) = inf{x: F(x) >= z}, of a table: the preimage of x is as long as its probability."""
    p = [0.1, 0.25, 0.25, 0.4]
    steps = np.cumsum(p)
    g = lambda z: torch.searchsorted(torch.from_numpy(steps), z)  # noqa: E731
    law = Pushforward("uniform", g, cuts=steps[:-1])
    assert [law.table[k] for k in range(4)] == pytest.approx(p, abs=1e-15)


def test_pieces_of_a_normal_have_the_normals_mass():
    sign = Pushforward("normal", lambda z: z.sign(), cuts=[0.0])
    assert sign.table == {-1.0: 0.5, 1.0: 0.5}


# ---- changes of variables -----------------------------------------------------------------------------------------------


def test_the_exponential_of_a_normal_is_lognormal():
    law = Pushforward("normal", torch.exp, inverse=torch.log)
    x = torch.linspace(0.1, 5, 20).double()
    assert np.allclose(law.log_prob(x), stats.lognorm(1.0).logpdf(x), atol=1e-12)


def test_two_branches_make_the_square_of_a_normal_a_chi_squared():
    law = Pushforward("normal", torch.square, inverse=[torch.sqrt, lambda x: -torch.sqrt(x)])
    x = torch.tensor([0.2, 1.0, 4.0]).double()
    assert np.allclose(law.log_prob(x), stats.chi2(1).logpdf(x), atol=1e-12)
    assert law.log_prob([-1.0]).tolist() == [-math.inf]  # the root is NaN: no z leads there


def test_a_linear_map_in_five_variables_moves_a_gaussian():
    a = torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).double() + 3 * torch.eye(5).double()
    law = Pushforward(
        Normal(torch.zeros(5), torch.ones(5)), lambda z: z @ a.T + 1, inverse=lambda x: (x - 1) @ torch.inverse(a).T
    )
    x = law.sample(20, seed=1)
    assert torch.allclose(law.log_prob(x), Normal(torch.ones(5), a @ a.T).log_prob(x), atol=1e-9)
    given = Pushforward(law.base, law.map, law.branches, log_det=lambda z: torch.linalg.slogdet(a)[1].expand(len(z)))
    assert torch.allclose(given.log_prob(x), law.log_prob(x), atol=1e-12)


def test_a_nonlinear_map_in_the_plane_integrates_to_one():
    def bend(z):
        return torch.stack([z[:, 0], z[:, 1] + z[:, 0] ** 2], 1) * torch.tensor([1.0, 2.0])

    def straighten(x):
        x = x / torch.tensor([1.0, 2.0])
        return torch.stack([x[:, 0], x[:, 1] - x[:, 0] ** 2], 1)

    law = Pushforward(Normal([0.0, 0.0], [1.0, 1.0]), bend, inverse=straighten)
    axes = torch.linspace(-5, 5, 201).double(), torch.linspace(-12, 60, 721).double()
    total = law.log_prob(torch.cartesian_prod(*axes)).exp().sum() * 0.05 * 0.1
    assert abs(float(total) - 1) < 1e-5  # 6e-7 of the normal lies beyond 5


def test_the_density_can_be_differentiated():
    law = Pushforward("normal", torch.sinh, inverse=torch.asinh)
    x = torch.tensor([[0.3], [2.0]]).double().requires_grad_()
    (slope,) = torch.autograd.grad(law.log_prob(x).sum(), x)
    up, down = (law.log_prob((x + step).detach()) for step in (1e-5, -1e-5))
    assert torch.allclose(slope[:, 0], (up - down) / 2e-5, atol=1e-8)


def test_a_fitted_model_is_a_base():
    model = pf.GaussianMixture(components=2).fit(pf.data.toys.moons(300))
    law = Pushforward(model, lambda z: 2 * z, inverse=lambda x: x / 2)
    x = law.sample(5, seed=0)
    assert torch.allclose(law.log_prob(x), torch.as_tensor(model.log_prob(x.numpy() / 2)) - math.log(4), atol=1e-6)


# ---- what cannot be -----------------------------------------------------------------------------------------------------


def test_a_map_without_inverse_can_sample_and_says_why_no_more():
    law = Pushforward(Uniform([0.0, 0.0], 1.0), lambda z: z.sum(1, keepdim=True))
    assert law.sample(3, seed=0).shape == (3, 1) and list(law.abilities) == ["sample"]
    assert not hasattr(law, "log_prob")
    with pytest.raises(Unable, match="no inverse was given.*It can: sample"):
        law.log_prob  # noqa: B018


@pytest.mark.parametrize(
    "law, problem, words",
    [
        (Pushforward("normal", torch.square, inverse=torch.sqrt), BadData, "no inverse given leads back"),
        (Pushforward("normal", lambda z: 2 * z, inverse=lambda x: x / 3), BadData, "no inverse given leads back"),
        (Pushforward(Uniform([0.0, 0.0], 1.0), lambda z: z.sum(1), inverse=lambda x: x), Unable, "2 numbers to 1"),
        (Pushforward("normal", lambda z: z.numpy() * 2, inverse=lambda x: x / 2), Usage, "log_det="),
    ],
)
def test_a_wrong_inverse_is_found_out(law, problem, words):
    with pytest.raises(problem, match=words):
        law.log_prob([[0.5]])


def test_an_inverse_that_is_wrong_in_places_is_found_out_there():
    law = Pushforward("normal", lambda z: z, inverse=lambda x: torch.where(x > 6, x - 1, x))
    assert law.log_prob([0.0]).isfinite().all()
    with pytest.raises(BadData, match="does not undo the map"):
        law.log_prob([7.0])


def test_a_forgotten_jump_and_a_base_without_cdf_are_refused():
    with pytest.raises(BadData, match="not constant between the cuts"):
        _ = Pushforward("uniform", lambda z: (z > 0.4).long() + (z > 0.6).long(), cuts=[0.4]).table
    with pytest.raises(Usage, match="distribution function"):
        Pushforward(Uniform([0.0, 0.0], 1.0), lambda z: z > 0.5, cuts=[0.5])
