"""The GAN's losses, its penalty, its game, and what theory says of them."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

import pushforward as pf
from pushforward import noise
from pushforward.data import toys
from pushforward.errors import Unable, Usage
from pushforward.maths.games import radius, spectrum
from pushforward.models.adversarial import GAN, WGAN
from pushforward.models.adversarial.family import Blocks, slopes
from pushforward.space import Column, Space

DOUBLE = torch.float64


def built(model, shape: tuple[int, ...] = (2,), given: int = 0):
    with noise.initialisation(0):
        model.build(Space("real", shape), given)
    return model.double()


def linear(w: torch.Tensor):
    return lambda x, given=None: (x.flatten(1) @ w)[:, None]


# ---- the losses ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("objective", "want"), [("nonsaturating", math.log(2)), ("minimax", -math.log(2))])
def test_a_critic_that_knows_nothing(objective, want):
    model = GAN(objective=objective, penalty=0.0)
    model.critic = linear(torch.zeros(2, dtype=DOUBLE))
    real, fake = torch.randn(5, 2, dtype=DOUBLE), torch.randn(5, 2, dtype=DOUBLE)
    assert model.critic_loss(real, fake).item() == pytest.approx(2 * math.log(2), abs=1e-12)
    assert model.generator_loss(fake).item() == pytest.approx(want, abs=1e-12)


def test_gradients_are_those_of_the_cross_entropy_on_logits():
    model = built(GAN(penalty=0.0))
    real, fake = torch.randn(6, 2, dtype=DOUBLE), torch.randn(6, 2, dtype=DOUBLE, requires_grad=True)
    weights = list(model.critic.parameters())
    told, fooled = model.critic(real), model.critic(fake)
    ones = torch.ones_like(told)
    want = torch.autograd.grad(cross_entropy(told, ones) + cross_entropy(fooled, 1 - ones), weights, retain_graph=True)
    for a, b in zip(torch.autograd.grad(model.critic_loss(real, fake.detach()), weights), want, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    a, b = (
        torch.autograd.grad(loss, fake)[0]
        for loss in (model.generator_loss(fake), cross_entropy(model.critic(fake), ones))
    )
    torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_a_sure_critic_leaves_a_gradient_only_to_the_nonsaturating_generator():
    slope = {}
    for objective in ("nonsaturating", "minimax"):
        logit = torch.tensor([[-30.0]], dtype=DOUBLE, requires_grad=True)
        model = GAN(objective=objective)
        model.critic = lambda x, given=None: x
        slope[objective] = torch.autograd.grad(model.generator_loss(logit), logit)[0].item()
    assert slope["nonsaturating"] == pytest.approx(-1, abs=1e-12)
    assert slope["minimax"] == pytest.approx(0, abs=1e-12)


def test_the_best_critic_is_the_log_density_ratio_and_its_value_the_jensen_shannon_divergence():
    """p = N(0, 1), q = N(1, 1): log p/q = 1/2 - x, and 2 log 2 - loss = 2 JS(p, q)."""
    x = torch.linspace(-9, 10, 20001, dtype=DOUBLE)[:, None]
    p, q = (torch.exp(-0.5 * (x - m) ** 2) / math.sqrt(2 * math.pi) for m in (0.0, 1.0))
    middle, cell = (p + q) / 2, x[1] - x[0]
    divergence = 0.5 * ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) * cell
    model = GAN(penalty=0.0)
    g = torch.Generator().manual_seed(0)
    real, fake = (
        torch.randn(400000, 1, generator=g, dtype=DOUBLE),
        1 + torch.randn(400000, 1, generator=g, dtype=DOUBLE),
    )
    model.critic = lambda x, given=None: 0.5 - x
    best = model.critic_loss(real, fake)
    assert (2 * math.log(2) - best).item() == pytest.approx(2 * divergence.item(), abs=4e-3)
    for other in (lambda x, given=None: 0.5 - 1.1 * x, lambda x, given=None: 0.7 - x):
        model.critic = other
        assert model.critic_loss(real, fake) > best


# ---- the penalty -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_r1_of_a_linear_critic_is_its_weight_squared_for_every_batch_size(n):
    w = torch.tensor([0.6, -2.0], dtype=DOUBLE, requires_grad=True)
    found = slopes(linear(w), torch.randn(n, 2, dtype=DOUBLE))
    torch.testing.assert_close(found, (w @ w).expand(n).detach(), atol=1e-12, rtol=0)
    torch.testing.assert_close(torch.autograd.grad(found.mean(), w)[0], 2 * w.detach(), atol=1e-12, rtol=0)


def test_r1_is_lazy_and_weighs_the_same_in_the_mean():
    w = torch.tensor([1.0, 2.0], dtype=DOUBLE)
    real, fake = torch.randn(8, 2, dtype=DOUBLE), torch.randn(8, 2, dtype=DOUBLE)
    plain, model = GAN(penalty=0.0), GAN(penalty=0.3, interval=4)
    plain.critic = model.critic = linear(w)
    extra = []
    for step in range(8):
        model.step = step
        extra.append((model.critic_loss(real, fake) - plain.critic_loss(real, fake)).item())
    assert [e > 1e-9 for e in extra] == [True, False, False, False] * 2
    assert np.mean(extra) == pytest.approx(0.5 * 0.3 * 5.0, abs=1e-12)


# ---- the game --------------------------------------------------------------------------------------------------------
def test_who_moves_when_and_on_what():
    model = built(GAN(critic_steps=3, penalty=0.0))
    seen = []
    before = model.critic_loss
    model.critic_loss = lambda real, fake, given=None: seen.append((real, fake)) or before(real, fake, given)
    x = torch.randn(12, 2, dtype=DOUBLE)
    with noise.stream(0, dtype=DOUBLE):
        for player, loss in model.moves(x):
            model.zero_grad()
            loss.backward(inputs=list(getattr(model, player).parameters()))
            other = model.generator if player == "critic" else model.critic
            assert all(p.grad is None for p in other.parameters())
            assert any(p.grad.abs().sum() > 0 for p in getattr(model, player).parameters())
            seen.append(player)
    assert [s for s in seen if isinstance(s, str)] == ["critic"] * 3 + ["generator"]
    lots = [s for s in seen if not isinstance(s, str)]
    assert torch.equal(torch.cat([real for real, _ in lots]), x)  # each step of the critic sees examples of its own
    assert not any(fake.requires_grad for _, fake in lots)
    assert not torch.equal(lots[0][1], lots[1][1])  # and fresh fakes


def test_a_batch_that_does_not_divide_is_filled_up():
    model = built(GAN(critic_steps=5))
    x = torch.arange(7.0)[:, None]
    assert [part[:, 0].tolist() for part, _ in model.lots(x, x)] == [[0, 1], [2, 3], [4, 5], [6, 0], [1, 2]]
    assert all(torch.equal(part, given) for part, given in model.lots(x, x))


# ---- the Dirac-GAN ---------------------------------------------------------------------------------------------------
def dirac(model):
    """Data: all mass at 0. Generator: all mass at theta. Critic: D(x) = psi x (Mescheder et al. 2018, definition 2.1)."""

    def critic(psi, theta):
        model.critic = lambda x, given=None: x * psi
        return model.critic_loss(torch.zeros(1, 1, dtype=DOUBLE), theta.view(1, 1))

    def generator(psi, theta):
        return model.generator_loss(psi * 0 + theta.view(1, 1)) if isinstance(model, GAN) else -(psi * theta)

    def fooled(psi, theta):
        model.critic = lambda x, given=None: x * psi
        return generator(psi, theta)

    return (critic, fooled), (torch.zeros((), dtype=DOUBLE), torch.zeros((), dtype=DOUBLE))


def sort(values: torch.Tensor) -> list[complex]:
    return sorted(map(complex, values.tolist()), key=lambda v: (round(v.real, 9), v.imag))


@pytest.mark.parametrize("objective", ["nonsaturating", "minimax"])
def test_without_a_penalty_the_dirac_gan_circles_for_ever(objective):
    game, rest = dirac(GAN(objective=objective, penalty=0.0))
    assert np.allclose(sort(spectrum(game, rest)), [-0.5j, 0.5j], atol=1e-12)
    assert radius(game, rest, 0.1) == pytest.approx(math.sqrt(1 + 0.1**2 / 4), abs=1e-12)  # both at once: flies apart
    assert radius(game, rest, 0.1, alternating=True) == pytest.approx(1, abs=1e-12)  # in turn: circles


@pytest.mark.parametrize("gamma", [0.1, 0.5, 2.0, 5.0])
def test_with_r1_the_dirac_gan_comes_to_rest(gamma):
    game, rest = dirac(GAN(penalty=gamma, interval=1))
    root = np.sqrt(complex(gamma**2 / 4 - 1 / 4))
    found = spectrum(game, rest)
    assert np.allclose(sort(found), sort(torch.tensor([-gamma / 2 - root, -gamma / 2 + root])), atol=1e-12)
    assert found.real.max() < 0


def test_the_rates_of_the_dirac_gan_with_r1():
    game, rest = dirac(GAN(penalty=0.3, interval=1))
    assert radius(game, rest, 0.1) == pytest.approx(0.9862, abs=5e-5)
    assert radius(game, rest, 0.1, alternating=True) == pytest.approx(0.9849, abs=5e-5)


def test_an_unpenalised_wasserstein_game_circles_too():
    game, rest = dirac(WGAN(penalty="clip"))
    assert np.allclose(sort(spectrum(game, rest)), [-1j, 1j], atol=1e-12)


# ---- tables, conditions, doors ---------------------------------------------------------------------------------------
COLUMNS = (
    Column("x", "number"),
    Column("side", "category", categories=("a", "b", "c")),
    Column("y", "number"),
    Column("on", "boolean", categories=(False, True)),
)


def test_codes_are_drawn_from_the_softmax_of_their_logits():
    blocks, n = Blocks(COLUMNS), 40000
    y = torch.tensor([0.3, 1.0, 0.0, -1.0, -7.0, 0.5, 0.0], dtype=DOUBLE)
    with noise.stream(0, dtype=DOUBLE):
        out = blocks(y.repeat(n, 1), noise.uniform(n, blocks.width), 0.5)
    assert (out[:, 0] == 0.3).all() and (out[:, 4] == -7.0).all()
    for part in (slice(1, 4), slice(5, 7)):
        torch.testing.assert_close(out[:, part].sum(1), torch.ones(n, dtype=DOUBLE))
        torch.testing.assert_close(out[:, part].mean(0), y[part].softmax(0), atol=4 * 0.5 / math.sqrt(n), rtol=0)
    assert sorted(out[:, 1:4].round(decimals=9).unique().tolist()) == [0, 1]


def test_gradients_pass_through_codes_as_through_their_softmax():
    blocks = Blocks(COLUMNS)
    y = torch.randn(3, 7, dtype=DOUBLE, requires_grad=True)
    pull = torch.randn(3, 7, dtype=DOUBLE)
    found = torch.autograd.grad((blocks(y, None, 0.7) * pull).sum(), y)[0]
    soft = torch.cat([y[:, :1], (y[:, 1:4] / 0.7).softmax(1), y[:, 4:5], (y[:, 5:] / 0.7).softmax(1)], 1)
    torch.testing.assert_close(found, torch.autograd.grad((soft * pull).sum(), y)[0])


def test_a_missing_number_is_one_of_the_outcomes():
    """Features: x, x is there, x is missing, y."""
    blocks = Blocks((Column("x", "number", missing=True), Column("y", "number")))
    y = torch.tensor([[0.7, 9.0, -9.0, 5.0], [0.7, -9.0, 9.0, 5.0]], dtype=DOUBLE)
    torch.testing.assert_close(blocks(y), torch.tensor([[0.7, 1.0, 0.0, 5.0], [0.0, 0.0, 1.0, 5.0]], dtype=DOUBLE))
    frame = pd.DataFrame({"x": np.where(np.arange(300) % 2, np.nan, np.arange(300) / 7), "y": np.arange(300.0)})
    model = GAN(hidden=(16,), latent=3).fit(frame, steps=5, quiet=True)
    assert model.chart.space.shape == (4,)
    assert 0 < model.sample(300, seed=0)["x"].isna().mean() < 1


def test_a_table_is_given_back_as_a_table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=200),
            "side": rng.choice(["a", "b", "c"], 200),
            "age": rng.integers(18, 90, 200),
            "on": rng.random(200) < 0.2,
        }
    )
    model = GAN(hidden=(16,), latent=3).fit(frame, steps=5, quiet=True)
    new = model.sample(50, seed=0)
    assert (
        (new.dtypes == frame.dtypes).all() and set(new["side"]) <= {"a", "b", "c"} and new["age"].between(18, 89).all()
    )
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert again.sample(50, seed=0).equals(new)


def test_a_condition_reaches_both_players():
    model = built(GAN(latent=3), given=2)
    given = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=DOUBLE)
    with noise.stream(0, dtype=DOUBLE):
        a = model.generate(2, given)
    with noise.stream(0, dtype=DOUBLE):
        b = model.generate(2, given.flip(0))
    assert (a != b).all()
    assert (model.critic(a, given) != model.critic(a, given.flip(0))).all()


def test_a_code_means_the_same_alone_and_among_others():
    model = GAN(latent=4, hidden=(16,)).fit(toys.moons(100), steps=3, quiet=True)
    z = np.random.default_rng(0).normal(size=(10, 4))
    np.testing.assert_allclose(model.decode(z)[3:4], model.decode(z[3:4]), atol=1e-6)


def test_it_says_what_it_cannot():
    model = GAN(hidden=(8,)).fit(toys.moons(50), steps=1, quiet=True)
    assert model.abilities == {"sample": "exact", "decode": "exact"}
    with pytest.raises(Unable, match="cannot be inverted gives no density. Compare what it draws"):
        model.log_prob(toys.moons(5))
    with pytest.raises(Usage, match="Did you mean 'minimax'"):
        GAN(objective="minmax").fit(toys.moons(50), quiet=True)
    with pytest.raises(Usage, match="interval"):
        GAN(interval=0).fit(toys.moons(50), quiet=True)


def test_the_gap_is_told():
    model = GAN(hidden=(16,)).fit(toys.moons(200), steps=20, quiet=True)
    assert all(math.isfinite(entry["gap"]) for entry in model.history_ if "loss" in entry)


# ---- what takes a minute ---------------------------------------------------------------------------------------------
def ring(seed: int, **changes) -> tuple[int, float]:
    """How many of the eight modes of a ring get a fair share of 2500 draws, and what share lies within 3 sigma of a mode."""
    model = GAN().fit(toys.eight_gaussians(20000), seed=seed, quiet=True, **changes)
    angles = np.arange(8) * math.pi / 4
    centres = 2 * np.stack([np.cos(angles), np.sin(angles)], 1)
    gap = np.linalg.norm(model.sample(2500, seed=1)[:, None] - centres, axis=2)
    near = gap.min(1) < 3 * 0.1
    share = np.bincount(gap.argmin(1)[near], minlength=8) / 2500
    return int((share > 0.5 / 8).sum()), float(near.mean())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_all_modes_of_a_ring_are_found(seed):
    modes, near = ring(seed, steps=6000)
    assert modes == 8
    assert near >= 0.95
