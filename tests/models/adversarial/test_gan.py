"""The GAN: its losses and penalties in play, its game, what theory says of it, and what it says of itself."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from pushforward import noise
from pushforward.data import toys
from pushforward.errors import Diverged, Usage
from pushforward.maths.critics import OBJECTIVES, PENALTIES
from pushforward.maths.games import radius, spectrum
from pushforward.models.adversarial import GAN, PRESETS
from pushforward.space import Space

DOUBLE = torch.float64


def built(model, shape: tuple[int, ...] = (2,), given: int = 0):
    with noise.initialisation(0):
        model.build(Space("real", shape), given)
    return model.double()


def linear(w: torch.Tensor):
    return lambda x, given=None: (x.flatten(1) @ w)[:, None]


# ---- the losses in play ----------------------------------------------------------------------------------------------
def test_gradients_are_those_of_the_cross_entropy_on_logits():
    model = built(GAN(objective="non-saturating", penalty="none"))
    real, fake = torch.randn(6, 2, dtype=DOUBLE), torch.randn(6, 2, dtype=DOUBLE, requires_grad=True)
    weights = list(model.critic.parameters())
    told, fooled = model.critic(real), model.critic(fake)
    ones = torch.ones_like(told)
    want = torch.autograd.grad(cross_entropy(told, ones) + cross_entropy(fooled, 1 - ones), weights, retain_graph=True)
    for a, b in zip(torch.autograd.grad(model.critic_loss(real, fake.detach()), weights), want, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    a, b = (
        torch.autograd.grad(loss, fake)[0]
        for loss in (model.generator_loss(fake, real), cross_entropy(model.critic(fake), ones))
    )
    torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_loss_is_the_mean_of_its_table(objective):
    model = built(GAN(objective=objective, penalty="none"))
    real, fake = torch.randn(2, 6, 2, dtype=DOUBLE)
    told, fooled = model.opinion(real), model.opinion(fake)
    assert model.critic_loss(real, fake).item() == pytest.approx(
        OBJECTIVES[objective].critic(told, fooled).mean().item(), abs=1e-12
    )
    assert model.generator_loss(fake, real).item() == pytest.approx(
        OBJECTIVES[objective].generator(fooled, told).mean().item(), abs=1e-12
    )


def test_the_best_critic_is_the_log_density_ratio_and_its_value_the_jensen_shannon_divergence():
    """p = N(0, 1), q = N(1, 1): log p/q = 1/2 - x, and 2 log 2 - loss = 2 JS(p, q)."""
    x = torch.linspace(-9, 10, 20001, dtype=DOUBLE)[:, None]
    p, q = (torch.exp(-0.5 * (x - m) ** 2) / math.sqrt(2 * math.pi) for m in (0.0, 1.0))
    middle, cell = (p + q) / 2, x[1] - x[0]
    divergence = 0.5 * ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) * cell
    model = GAN(objective="minimax", penalty="none")
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


def climbed(model: GAN, real: torch.Tensor, fake: torch.Tensor, steps: int, lr: float) -> None:
    """Train the critic against a generator that stands still."""
    opt = torch.optim.Adam(model.critic.parameters(), lr=lr, betas=(0.5, 0.9))
    for step in range(steps):
        with noise.stream(0, step, dtype=DOUBLE):
            loss = model.critic_loss(real, fake)
        opt.zero_grad()
        loss.backward()
        opt.step()


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_gap_of_the_best_critic_is_the_wasserstein_distance(shift):
    """N(0, 1) and N(shift, 1): W1 = shift. A penalty of weight w lets a linear critic be steeper by shift / 2w: 0.5 % and 1.5 % here."""
    g = torch.Generator().manual_seed(0)
    real = torch.randn(500, 1, generator=g, dtype=DOUBLE)
    fake = torch.randn(500, 1, generator=g, dtype=DOUBLE) + shift
    model = built(GAN(objective="wasserstein", penalty="one-sided", weight=100.0, lazy=1, hidden=(32,)), (1,))
    distance = wasserstein_distance(real[:, 0], fake[:, 0])
    assert distance == pytest.approx(shift, abs=0.1)
    climbed(model, real, fake, 300, 1e-2)
    gap = (model.opinion(real).mean() - model.opinion(fake).mean()).item()
    assert gap == pytest.approx(distance, rel=0.05)


# ---- the penalty in play ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_lazy_penalty_weighs_the_same_in_the_mean(penalty):
    w = torch.tensor([1.0, 2.0], dtype=DOUBLE)
    real, fake = torch.randn(2, 8, 2, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)

    def extra(model: GAN) -> list[float]:
        plain = GAN(penalty="none")
        plain.critic = model.critic = linear(w)
        found = []
        for model.step in range(8):
            with noise.stream(0, dtype=DOUBLE):
                found.append((model.critic_loss(real, fake) - plain.critic_loss(real, fake)).item())
        return found

    full, lazy = (extra(GAN(penalty=penalty, weight=0.3, lazy=k)) for k in (1, 4))
    assert [e > 1e-9 for e in lazy] == [True, False, False, False] * 2
    assert np.mean(lazy) == pytest.approx(np.mean(full), abs=1e-12)
    assert np.ptp(full) < 1e-12


def test_the_weight_of_a_penalty_is_annealed():
    """Roth et al. 2017: gamma falls from gamma_0 to anneal gamma_0, by the same factor in equal times."""
    w = torch.tensor([1.0, 2.0], dtype=DOUBLE)
    real, fake = torch.randn(2, 8, 2, dtype=DOUBLE)
    model = GAN(objective="non-saturating", penalty="r1", weight=2.0, anneal=0.01, lazy=1)
    model.critic = linear(w)
    base = OBJECTIVES["non-saturating"].critic(real @ w, fake @ w).mean()
    for progress, weight in ((0.0, 2.0), (0.5, 0.2), (1.0, 0.02)):
        model.progress = progress
        assert (model.critic_loss(real, fake) - base).item() == pytest.approx(weight * 5 / 2, abs=1e-12)


def test_clipping_holds_every_weight_after_every_step():
    model = GAN(objective="wasserstein", penalty="clip", weight=0.02, critic_steps=5, hidden=(16,), latent=2)
    model.fit(toys.moons(200), steps=3, batch=40, optimizer="rmsprop", lr=0.1, ema=0.0, quiet=True)
    assert max(float(p.detach().abs().max()) for p in model.critic.parameters()) <= 0.02 + 1e-9
    assert max(float(p.detach().abs().max()) for p in model.generator.parameters()) > 0.05


# ---- the game --------------------------------------------------------------------------------------------------------
def test_who_moves_when_and_on_what():
    model = built(GAN(critic_steps=3, penalty="none"))
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
    model = built(GAN(critic_steps=2, pac=3))
    assert [len(part) for part, _ in model.lots(x, None)] == [6, 6]


def test_the_critic_is_shown_packs():
    """PacGAN: vectors end to end, images as channels; all of a pack are real or all are fakes."""
    model = built(GAN(pac=2, penalty="r1", lazy=1), given=1)
    assert model.critic(torch.zeros(3, 4, dtype=DOUBLE), torch.zeros(3, 2, dtype=DOUBLE)).shape == (3, 1)
    x = torch.arange(10.0).view(5, 2)
    assert model.pack(x).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    images = torch.arange(32.0).view(4, 1, 2, 4)
    assert model.pack(images).shape == (2, 2, 2, 4) and torch.equal(model.pack(images)[1, 0], images[2, 0])
    seen = []
    before = model.critic.forward
    model.critic.forward = lambda x, given=None: seen.append((x, given)) or before(x, given)
    real, given = torch.ones(6, 2, dtype=DOUBLE), torch.arange(6, dtype=DOUBLE)[:, None]
    model.critic_loss(real, torch.zeros(6, 2, dtype=DOUBLE), given)
    (both, cond), (alone, cond_alone) = seen  # for the loss, for the penalty
    assert both.mean(1).tolist() == [1, 1, 1, 0, 0, 0] and cond.tolist() == [[0, 1], [2, 3], [4, 5]] * 2
    assert alone.mean(1).tolist() == [1, 1, 1] and cond_alone.tolist() == [[0, 1], [2, 3], [4, 5]]


# ---- the Dirac-GAN ---------------------------------------------------------------------------------------------------
def dirac(model):
    """Data: all mass at 0. Generator: all mass at theta. Critic: D(x) = psi x (Mescheder et al. 2018, definition 2.1), from its middle."""
    middle = OBJECTIVES[model.objective].middle
    nought = torch.zeros(1, 1, dtype=DOUBLE)

    def critic(psi, theta):
        model.critic = lambda x, given=None: middle + x * psi
        return model.critic_loss(nought, theta.view(1, 1))

    def generator(psi, theta):
        model.critic = lambda x, given=None: middle + x * psi
        return model.generator_loss(theta.view(1, 1), nought)

    return (critic, generator), (torch.zeros((), dtype=DOUBLE), torch.zeros((), dtype=DOUBLE))


def sort(values) -> list[complex]:
    return sorted(map(complex, values), key=lambda v: (round(v.real, 9), v.imag))


# How fast each player moves with the other at the point of rest: |c'| and |g'| in f there. For an f-divergence it is f''(1).
PULL = {"minimax": 0.5, "non-saturating": 0.5, "least-squares": 0.5, "hinge": 1.0, "wasserstein": 1.0, "relativistic": 0.5,
        "kl": 1.0, "reverse-kl": 1.0, "pearson": 2.0, "hellinger": 0.5, "js": 0.25, "gan": 0.5}  # fmt: skip


def friction(objective: str, penalty: str, gamma: float) -> float:
    """The second derivative of the weighed penalty in psi."""
    p = 1 / (1 + math.exp(-OBJECTIVES[objective].middle))
    return (
        gamma
        * {"none": 0.0, "r1": 1.0, "r2": 1.0, "r1r2": 2.0, "dp": (p * (1 - p)) ** 2, "roth": (1 - p) ** 2 + p**2}[
            penalty
        ]
    )


@pytest.mark.parametrize("gamma", [0.3, 5.0])
@pytest.mark.parametrize("penalty", ["none", "r1", "r2", "r1r2", "dp", "roth"])
@pytest.mark.parametrize("objective", PULL)
def test_the_eigenvalues_of_the_dirac_gan(objective, penalty, gamma):
    """-r/2 +- sqrt(r^2/4 - c^2) with the penalty's friction r: without one the game circles for ever, with one it comes to rest."""
    game, rest = dirac(GAN(objective=objective, penalty=penalty, weight=gamma, lazy=1))
    found = spectrum(game, rest).tolist()
    r, c = friction(objective, penalty, gamma), PULL[objective]
    root = np.sqrt(complex(r**2 / 4 - c**2))
    assert np.allclose(sort(found), sort([-r / 2 - root, -r / 2 + root]), atol=1e-12)
    h = 0.1
    assert radius(game, rest, h) == pytest.approx(max(abs(1 + h * (-r / 2 + s * root)) for s in (-1, 1)), abs=1e-12)
    if penalty == "none":
        assert radius(game, rest, h) == pytest.approx(
            math.sqrt(1 + h**2 * c**2), abs=1e-12
        )  # both at once: flies apart
        assert radius(game, rest, h, alternating=True) == pytest.approx(1, abs=1e-12)  # in turn: circles
    else:
        assert max(v.real for v in found) < 0 and radius(game, rest, h, alternating=True) < 1


def test_r1_is_strongest_at_its_critical_weight():
    """gamma = 2 c = 1 for the first GAN: below it the game spirals in, above it creeps (Mescheder et al. 2018, lemma 4.1 and below)."""
    slowest = {}
    for gamma in (0.5, 1.0, 2.0):
        game, rest = dirac(GAN(penalty="r1", weight=gamma, lazy=1))
        slowest[gamma] = max(v.real for v in spectrum(game, rest).tolist())
    assert slowest[1.0] == pytest.approx(-0.5, abs=1e-6) and slowest[1.0] < min(slowest[0.5], slowest[2.0])


def test_the_rates_of_the_dirac_gan_with_r1():
    game, rest = dirac(GAN(penalty="r1", weight=0.3, lazy=1))
    assert radius(game, rest, 0.1) == pytest.approx(0.9862, abs=5e-5)
    assert radius(game, rest, 0.1, alternating=True) == pytest.approx(0.9849, abs=5e-5)


def test_the_two_sided_penalty_pushes_the_game_from_its_rest_and_the_others_do_not_hold_it():
    """WGAN-GP does not converge there: next to (0, 0) the critic is driven to slope 1. One-sided and clipped it circles."""
    for psi in (1e-3, -1e-3):
        game, _ = dirac(GAN(objective="wasserstein", penalty="gradient", weight=10.0, lazy=1))
        at = torch.tensor(psi, dtype=DOUBLE, requires_grad=True)
        with noise.stream(0, dtype=DOUBLE):
            away = -torch.autograd.grad(game[0](at, torch.zeros((), dtype=DOUBLE)), at)[0].item()
        assert away == pytest.approx(math.copysign(2 * 10 * (1 - 1e-3), psi), abs=1e-6)
    for penalty in ("one-sided", "clip"):
        game, rest = dirac(GAN(objective="wasserstein", penalty=penalty, weight=10.0, lazy=1))
        assert np.allclose(sort(spectrum(game, rest).tolist()), [-1j, 1j], atol=1e-12)


# ---- fields and presets ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"objective": "minmax"}, "Did you mean 'minimax'"),
        ({"penalty": "gradent"}, "Did you mean 'gradient'"),
        ({"lazy": 0}, "lazy of at least 1"),
        ({"weight": -1.0}, "weight"),
        ({"anneal": 0.0}, "anneal above 0"),
        ({"penalty": "clip", "weight": 0.0}, "largest one"),
        ({"penalty": "gradient", "spacing": 0.1}, "With it go r1, r2"),
        ({"pac": 0}, "pac=0"),
    ],
)
def test_fields_that_make_no_game_are_refused(fields, match):
    with pytest.raises(Usage, match=match):
        GAN(**fields).fit(toys.moons(50), quiet=True)


def test_a_critic_that_is_not_a_number_ends_the_run(monkeypatch):
    monkeypatch.setattr(GAN, "opinion", lambda self, x, given=None: self.critic(x, given)[:, 0] * math.nan)
    model = GAN(hidden=(8,))
    with pytest.raises(Diverged, match="diverged at step"):
        model.fit(toys.moons(100), steps=100, quiet=True)
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("name", [name for name, told in PRESETS.items() if told["system"] == "GAN"])
def test_a_preset_is_a_game_that_plays(name):
    told = PRESETS[name]
    model = GAN(**{**told["fields"], "hidden": (8,)}).fit(toys.moons(64), steps=2, quiet=True, **told["recipe"])
    assert told["about"] and np.isfinite(model.sample(5, seed=0)).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_loss_learns_two_heaps(objective):
    """W1 begins at 0.97. The slope of Pearson's generator grows as the square of the ratio: it needs the critic held most and runs away else."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(m, 0.2, size=(1000, 1)) for m in (-1, 1)])
    model = GAN(hidden=(32, 32), latent=1, objective=objective, weight=10.0 if objective == "pearson" else 3.0)
    model.fit(x, steps=300, batch=128, lr=5e-3, quiet=True)
    assert wasserstein_distance(model.sample(2000, seed=0)[:, 0], x[:, 0]) < 0.25


# ---- what it says of itself ------------------------------------------------------------------------------------------
