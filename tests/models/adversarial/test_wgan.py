"""The Wasserstein GAN: its penalty example by example, and a gap that is a distance."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from pushforward import noise
from pushforward.data import toys
from pushforward.errors import Unable, Usage
from pushforward.models.adversarial import WGAN
from pushforward.space import Space

DOUBLE = torch.float64


def linear(w: torch.Tensor):
    return lambda x, given=None: (x.flatten(1) @ w)[:, None]


@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize("penalty", ["gradient", "lipschitz"])
def test_the_penalty_of_a_linear_critic_has_a_closed_form_for_every_batch_size(n, penalty):
    w = torch.tensor([1.2, -1.6], dtype=DOUBLE, requires_grad=True)  # of length 2
    real, fake = torch.randn(n, 2, dtype=DOUBLE), torch.randn(n, 2, dtype=DOUBLE)
    model = WGAN(weight=10.0, penalty=penalty)
    model.critic = linear(w)
    with noise.stream(0, dtype=DOUBLE):
        loss = model.critic_loss(real, fake)
    gap = (real - fake).mean(0) @ w
    assert (loss + gap).item() == pytest.approx(10 * (2 - 1) ** 2, abs=1e-10)
    slope = torch.autograd.grad(loss + gap, w)[0]
    torch.testing.assert_close(slope, 10 * 2 * (2 - 1) * w.detach() / 2, atol=1e-10, rtol=0)


def test_norms_are_taken_example_by_example():
    """|D'| is 2 at one example and 0 at the other: a norm over the batch would find 2 once, not (2 - 1)^2 and (0 - 1)^2."""
    model = WGAN(weight=1.0, penalty="gradient")
    model.critic = lambda x, given=None: torch.where(x > 0, 2 * x, 0 * x)
    x = torch.tensor([[3.0], [-3.0]], dtype=DOUBLE)
    with noise.stream(0, dtype=DOUBLE):
        assert model.critic_loss(x, x).item() == pytest.approx(1.0, abs=1e-5)


def test_each_example_is_mixed_by_an_amount_of_its_own():
    seen = []
    model = WGAN()
    model.critic = lambda x, given=None: (seen.append(x.detach()), x.flatten(1).sum(1, keepdim=True))[1]
    with noise.stream(0, dtype=DOUBLE):
        model.critic_loss(torch.ones(500, 3, 2, dtype=DOUBLE), torch.zeros(500, 3, 2, dtype=DOUBLE))
    mixed = seen[-1].flatten(1)
    assert (mixed == mixed[:, :1]).all()  # one amount for all of an example
    assert len(mixed[:, 0].unique()) == 500
    assert 0 <= mixed.min() and mixed.max() < 1 and abs(mixed.mean() - 0.5) < 4 / math.sqrt(12 * 500)


def test_only_the_one_sided_penalty_frees_a_critic_of_the_wrong_sign():
    """Slope s, gap s: the two-sided loss -s + 10 (|s| - 1)^2 also has a valley at s = -0.95, where the fakes are driven away."""
    sums = {}
    for penalty in ("gradient", "lipschitz"):
        w = torch.tensor([-0.5], dtype=DOUBLE, requires_grad=True)
        model = WGAN(weight=10.0, penalty=penalty)
        model.critic = linear(w)
        for _ in range(200):
            with noise.stream(0, dtype=DOUBLE):
                loss = model.critic_loss(torch.ones(1, 1, dtype=DOUBLE), torch.zeros(1, 1, dtype=DOUBLE))
            w = (w - 0.04 * torch.autograd.grad(loss, w)[0]).detach().requires_grad_()
            model.critic = linear(w)
        sums[penalty] = w.item()
    assert sums["gradient"] == pytest.approx(-0.95, abs=1e-6)
    assert sums["lipschitz"] == pytest.approx(1 + 1 / 20, abs=1e-6)


def test_a_flat_critic_has_a_finite_gradient():
    w = torch.zeros(2, dtype=DOUBLE, requires_grad=True)
    model = WGAN()
    model.critic = linear(w)
    with noise.stream(0, dtype=DOUBLE):
        loss = model.critic_loss(torch.zeros(4, 2, dtype=DOUBLE), torch.ones(4, 2, dtype=DOUBLE))
    assert torch.isfinite(torch.autograd.grad(loss, w)[0]).all()


def climbed(model: WGAN, real: torch.Tensor, fake: torch.Tensor, steps: int, lr: float) -> float:
    """The critic's gap after `steps` steps against a generator that stands still."""
    opt = torch.optim.Adam(model.critic.parameters(), lr=lr, betas=(0.5, 0.9))
    for step in range(steps):
        with noise.stream(0, step, dtype=DOUBLE):
            loss = model.critic_loss(real, fake)
        opt.zero_grad()
        loss.backward()
        opt.step()
    return float(model.notes["gap"])


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_gap_of_the_best_critic_is_the_wasserstein_distance(shift):
    """N(0, 1) and N(shift, 1): W1 = shift. A penalty of weight w lets a linear critic be steeper by shift / 2w: 0.5 % and 1.5 % here."""
    g = torch.Generator().manual_seed(0)
    real = torch.randn(500, 1, generator=g, dtype=DOUBLE)
    fake = torch.randn(500, 1, generator=g, dtype=DOUBLE) + shift
    model = WGAN(hidden=(32,), weight=100.0)
    with noise.initialisation(0):
        model.build(Space("real", (1,)))
    model.double()
    distance = wasserstein_distance(real[:, 0], fake[:, 0])
    assert distance == pytest.approx(shift, abs=0.1)
    assert climbed(model, real, fake, 150, 1e-2) == pytest.approx(distance, rel=0.05)


def test_clipping_holds_every_weight_after_every_step():
    model = WGAN(penalty="clip", clip=0.02, hidden=(16,), latent=2)
    model.fit(toys.moons(200), steps=3, batch=40, optimizer="rmsprop", lr=0.1, ema=0.0, quiet=True)
    largest = max(float(p.detach().abs().max()) for p in model.critic.parameters())
    assert largest <= 0.02 + 1e-9
    assert max(float(p.detach().abs().max()) for p in model.generator.parameters()) > 0.05


def test_the_generator_moves_after_as_many_steps_of_the_critic_as_were_asked_for():
    model = WGAN(hidden=(8,), critic_steps=4)
    with noise.initialisation(0):
        model.build(Space("real", (2,)))
    players = []
    with noise.stream(0):
        for player, loss in model.moves(torch.randn(8, 2)):
            assert loss.requires_grad
            players.append(player)
    assert players == ["critic"] * 4 + ["generator"]


def test_it_learns_where_the_data_are():
    x = np.random.default_rng(0).normal(3, 0.5, size=(2000, 1))
    model = WGAN(hidden=(32,), latent=2, critic_steps=3).fit(x, steps=60, batch=192, lr=1e-2, ema=0.9, quiet=True)
    new = model.sample(2000, seed=0)
    assert wasserstein_distance(new[:, 0], x[:, 0]) < 0.15
    first, last = (np.mean([e["gap"] for e in part]) for part in (model.history_[:2], model.history_[-2:]))
    assert abs(last) < abs(first)


def test_it_says_what_it_cannot():
    model = WGAN(hidden=(8,)).fit(toys.moons(50), steps=1, quiet=True)
    with pytest.raises(Unable, match="no density"):
        model.log_prob(toys.moons(5))
    with pytest.raises(Usage, match="Did you mean 'gradient'"):
        WGAN(penalty="gradent").fit(toys.moons(50), quiet=True)
