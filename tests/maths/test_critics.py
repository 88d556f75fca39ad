"""Losses of the two players on the critic's outputs, and penalties on its slope: known numbers, tables, closed forms."""

import math

import pytest
import torch

from pushforward import noise
from pushforward.maths.critics import OBJECTIVES, PENALTIES, SQUARED, look, penalise
from pushforward.maths.divergences import of

DOUBLE = torch.float64

# ---- losses ----------------------------------------------------------------------------------------------------------
LOG2 = math.log(2)
KNOWS_NOTHING = {  # of the critic, of the generator
    "minimax": (2 * LOG2, -LOG2),
    "non-saturating": (2 * LOG2, LOG2),
    "least-squares": (1 / 4, 1 / 8),
    "hinge": (2.0, 0.0),
    "wasserstein": (0.0, 0.0),
    "relativistic": (LOG2, LOG2),
    "kl": (0.0, -1.0),
    "reverse-kl": (0.0, 1.0),
    "pearson": (0.0, 0.0),
    "hellinger": (0.0, 0.0),
    "js": (0.0, 0.0),
    "gan": (2 * LOG2, -LOG2),
}
DIRECT = {  # f of the same divergences, written once more and directly
    "kl": lambda u: u * u.log(),
    "reverse-kl": lambda u: -u.log(),
    "pearson": lambda u: (u - 1) ** 2,
    "hellinger": lambda u: (u.sqrt() - 1) ** 2,
    "js": lambda u: (u * u.log() - (u + 1) * ((u + 1) / 2).log()) / 2,
    "gan": lambda u: u * u.log() - (u + 1) * (u + 1).log(),
}


def laws(seed: int = 0, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Two random tables."""
    logits = torch.randn(2, n, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
    return tuple(logits.softmax(1))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_critic_that_knows_nothing(name):
    objective = OBJECTIVES[name]
    flat = torch.full((3,), objective.middle, dtype=DOUBLE)
    critic, generator = objective.critic(flat, flat), objective.generator(flat, flat)
    assert critic.shape == generator.shape == (3,)
    assert critic.tolist() == pytest.approx([KNOWS_NOTHING[name][0]] * 3, abs=1e-12)
    assert generator.tolist() == pytest.approx([KNOWS_NOTHING[name][1]] * 3, abs=1e-12)


def test_the_numbers_of_a_worked_example():
    """Those that torchgan's own tests hold its losses to."""
    real, fake = (torch.tensor(t, dtype=DOUBLE) for t in ([1.3, 2.9, 8.4, 6.3], [4.8, 1.2, -3.5, 5.9]))
    for name, critic, generator in (
        ("wasserstein", -2.625, -2.1),
        ("least-squares", 19.76125, 7.3425),
        ("minimax", 3.1251488, None),
    ):
        objective = OBJECTIVES[name]
        assert objective.critic(real, fake).mean().item() == pytest.approx(critic, abs=1e-6)
        if generator is not None:
            assert objective.generator(fake, real).mean().item() == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("name", DIRECT)
def test_the_bound_of_an_f_divergence_is_tight_at_the_log_ratio_and_nowhere_else(name):
    p, q = laws()
    ratio = (p / q).log().requires_grad_()
    objective = OBJECTIVES[name]

    def bound(v):
        f = of(name)
        return (p * f.slope(v)).sum() - (q * f.conjugate(v)).sum()

    exact = (q * DIRECT[name](p / q)).sum()
    assert bound(ratio).item() == pytest.approx(exact.item(), abs=1e-12)
    assert torch.autograd.grad(bound(ratio), ratio)[0].abs().max() < 1e-12
    for seed in range(20):
        other = ratio + 0.5 * torch.randn(6, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
        assert bound(other) < exact
    # The critic's loss is minus the bound: on all pairs, each weighed by p q.
    pairs = p[:, None] * q[None]
    assert (pairs * objective.critic(ratio[:, None], ratio[None])).sum().item() == pytest.approx(
        -exact.item(), abs=1e-12
    )


def test_the_best_critic_of_the_first_game_and_what_the_generator_then_faces():
    """D* = p / (p + q), V = 2 JS - log 4; the `gan` of the six is the same game."""
    p, q = laws(1)
    best = p / (p + q)
    value = (p * best.log() + q * (1 - best).log()).sum()
    middle = (p + q) / 2
    js = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
    assert value.item() == pytest.approx(2 * js.item() - math.log(4), abs=1e-12)
    logit = torch.logit(best).requires_grad_()
    for name in ("minimax", "gan"):
        loss = (p[:, None] * q[None] * OBJECTIVES[name].critic(logit[:, None], logit[None])).sum()
        assert loss.item() == pytest.approx(-value.item(), abs=1e-12)
        assert torch.autograd.grad(loss, logit)[0].abs().max() < 1e-12
    a, b = torch.randn(2, 50, dtype=DOUBLE)
    torch.testing.assert_close(OBJECTIVES["gan"].critic(a, b), OBJECTIVES["minimax"].critic(a, b), atol=1e-12, rtol=0)
    torch.testing.assert_close(
        OBJECTIVES["gan"].generator(b, a), OBJECTIVES["minimax"].generator(b, a), atol=1e-12, rtol=0
    )


def test_the_best_critics_of_least_squares_and_hinge():
    p, q = laws(2)
    best = (p / (p + q)).requires_grad_()
    loss = (p * (best - 1) ** 2 / 2 + q * best**2 / 2).sum()
    assert torch.autograd.grad(loss, best)[0].abs().max() < 1e-12
    objective = OBJECTIVES["least-squares"]
    assert (p[:, None] * q[None] * objective.critic(best[:, None], best[None])).sum().item() == pytest.approx(
        loss.item(), abs=1e-12
    )
    side, far = torch.sign(p - q), (p - q).abs().sum() / 2  # total variation
    hinge = OBJECTIVES["hinge"].critic
    assert (p[:, None] * q[None] * hinge(side[:, None], side[None])).sum().item() == pytest.approx(
        2 - 2 * far.item(), abs=1e-12
    )


@pytest.mark.parametrize("name", DIRECT)
def test_the_generator_that_faces_the_best_critic_goes_down_the_divergence(name):
    """The slope of D_f(p, q(theta)) in theta is that of E_q g with the critic held at log p/q."""
    p, _ = laws()
    theta = torch.randn(6, generator=torch.Generator().manual_seed(3), dtype=DOUBLE, requires_grad=True)
    q = theta.softmax(0)
    ratio = (p / q).log().detach()
    found = torch.autograd.grad((q * OBJECTIVES[name].generator(ratio, ratio)).sum(), theta, retain_graph=True)[0]
    want = torch.autograd.grad((q * DIRECT[name](p / q)).sum(), theta)[0]
    torch.testing.assert_close(found, want, atol=1e-12, rtol=0)


def test_a_sure_critic_leaves_a_gradient_only_to_some_generators():
    logit = torch.tensor(-30.0, dtype=DOUBLE, requires_grad=True)
    slopes = {
        name: torch.autograd.grad(OBJECTIVES[name].generator(logit, -logit.detach()), logit)[0].item()
        for name in OBJECTIVES
    }
    for name in ("non-saturating", "hinge", "wasserstein", "relativistic", "reverse-kl"):
        assert slopes[name] == pytest.approx(-1, abs=1e-6)
    for name in ("minimax", "kl", "pearson", "hellinger", "js", "gan"):
        assert slopes[name] == pytest.approx(0, abs=1e-6)


# ---- penalties -------------------------------------------------------------------------------------------------------
def linear(w: torch.Tensor):
    return lambda x: x.flatten(1) @ w


def closed(name: str, w: torch.Tensor, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The penalty of D(x) = w'x, each example."""
    square = (w @ w).expand(len(real))
    sure, fooled = (real @ w).sigmoid(), (fake @ w).sigmoid()
    return {
        "r1": square / 2,
        "r2": square / 2,
        "r1r2": square,
        "dp": (sure * (1 - sure)) ** 2 * square / 2,
        "roth": ((1 - sure) ** 2 + fooled**2) * square / 2,
        "gradient": (square.sqrt() - 1) ** 2,
        "one-sided": (square.sqrt() - 1).relu() ** 2,
    }[name]


@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize("length", [0.5, 2.0])
@pytest.mark.parametrize("name", PENALTIES)
def test_a_linear_critic_has_a_closed_form_for_every_batch_size(name, length, n):
    w = torch.tensor([0.6, -0.8], dtype=DOUBLE).mul(length).requires_grad_()
    real, fake = torch.randn(2, n, 2, generator=torch.Generator().manual_seed(n), dtype=DOUBLE)
    with noise.stream(0, dtype=DOUBLE):
        found = penalise(name, linear(w), real, fake)
    want = closed(name, w, real, fake)
    assert found.shape == (n,)
    torch.testing.assert_close(found, want, atol=1e-12, rtol=0)
    slope, known = (torch.autograd.grad(t.mean(), w)[0] for t in (found, want))
    torch.testing.assert_close(slope, known, atol=1e-12, rtol=0)


def test_at_one_half_the_penalty_of_roth_is_a_quarter_of_both_and_that_of_the_notes_a_sixteenth_of_one():
    w = torch.tensor([1.5, -2.0], dtype=DOUBLE)
    nowhere = torch.zeros(3, 2, dtype=DOUBLE)  # D = 0 there
    both, roth, dp, r1 = (penalise(name, linear(w), nowhere, nowhere) for name in ("r1r2", "roth", "dp", "r1"))
    torch.testing.assert_close(roth, both / 4)
    torch.testing.assert_close(dp, r1 / 16)


def test_norms_are_taken_example_by_example():
    """|D'| is 2 at one example and 0 at the other: a norm over the batch would find 2 once, not (2 - 1)^2 and (0 - 1)^2."""
    x = torch.tensor([[3.0], [-3.0]], dtype=DOUBLE)
    with noise.stream(0, dtype=DOUBLE):
        found = penalise("gradient", lambda t: torch.where(t > 0, 2 * t, 0 * t)[:, 0], x, x)
    assert found.tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_each_example_is_mixed_by_an_amount_of_its_own():
    seen = []
    with noise.stream(0, dtype=DOUBLE):
        ones, zeros = torch.ones(500, 3, 2, dtype=DOUBLE), torch.zeros(500, 3, 2, dtype=DOUBLE)
        penalise("gradient", lambda x: (seen.append(x.detach()), x.flatten(1).sum(1))[1], ones, zeros)
    mixed = seen[-1].flatten(1)
    assert (mixed == mixed[:, :1]).all()  # one amount for all of an example
    assert len(mixed[:, 0].unique()) == 500
    assert 0 <= mixed.min() and mixed.max() < 1 and abs(mixed.mean() - 0.5) < 4 / math.sqrt(12 * 500)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_flat_critic_has_a_finite_gradient(name):
    w = torch.zeros(2, dtype=DOUBLE, requires_grad=True)
    with noise.stream(0, dtype=DOUBLE):
        found = penalise(name, linear(w), torch.zeros(4, 2, dtype=DOUBLE), torch.ones(4, 2, dtype=DOUBLE))
    assert torch.isfinite(torch.autograd.grad(found.mean(), w)[0]).all()


def test_only_the_one_sided_penalty_frees_a_critic_of_the_wrong_sign():
    """Slope s, gap s: the two-sided loss -s + 10 (|s| - 1)^2 also has a valley at s = -0.95, where the fakes are driven away."""
    ends = {}
    for name in ("gradient", "one-sided"):
        w = torch.tensor([-0.5], dtype=DOUBLE, requires_grad=True)
        real, fake = torch.ones(1, 1, dtype=DOUBLE), torch.zeros(1, 1, dtype=DOUBLE)
        for _ in range(200):
            critic = linear(w)
            with noise.stream(0, dtype=DOUBLE):
                loss = OBJECTIVES["wasserstein"].critic(critic(real), critic(fake)) + 10 * penalise(
                    name, critic, real, fake
                )
            w = (w - 0.04 * torch.autograd.grad(loss.mean(), w)[0]).detach().requires_grad_()
        ends[name] = w.item()
    assert ends["gradient"] == pytest.approx(-0.95, abs=1e-6)
    assert ends["one-sided"] == pytest.approx(1 + 1 / 20, abs=1e-6)


# ---- the slope without a second derivative ---------------------------------------------------------------------------
def test_two_passes_are_exact_in_the_mean_for_a_parabola():
    """D = x'Ax / 2 + b'x: the difference is e'(Ax + b) whatever the spacing, and its mean square |Ax + b|^2."""
    a, b = torch.tensor([[2.0, 1.0], [1.0, -1.0]], dtype=DOUBLE), torch.tensor([0.5, -1.0], dtype=DOUBLE)
    x = torch.tensor([[1.0, 2.0]], dtype=DOUBLE).expand(100_000, 2)
    with noise.stream(0, dtype=DOUBLE):
        found = look(lambda t: ((t @ a) * t).sum(1) / 2 + t @ b, x, spacing=0.7)[1]
    want = (a @ x[0] + b).square().sum()
    assert abs(found.mean() - want) < 4 * found.std() / math.sqrt(len(x))


@pytest.mark.parametrize("spacing", [0.1, 0.5])
def test_the_bias_of_two_passes_is_that_of_theory(spacing):
    """D = x^3: the mean of (3 x^2 e + s^2 e^3)^2 is 9 x^4 + 18 x^2 s^2 + 15 s^4, where the slope's square is 9 x^4."""
    x = torch.full((400_000, 1), 0.8, dtype=DOUBLE)
    with noise.stream(1, dtype=DOUBLE):
        found = look(lambda t: t[:, 0] ** 3, x, spacing)[1]
    exact = 9 * 0.8**4
    bias = 18 * 0.8**2 * spacing**2 + 15 * spacing**4
    error = found.std().item() / math.sqrt(len(x))
    assert abs(found.mean().item() - exact - bias) < 4 * error
    assert bias / exact == pytest.approx({0.1: 0.0316, 0.5: 1.0354}[spacing], abs=2e-3)


@pytest.mark.parametrize("name", SQUARED)
def test_two_passes_and_a_network(name):
    """A critic as it is used: with a spacing of 0.01 the bias is below the error of a million draws' mean, about half a per cent."""
    with noise.initialisation(0):
        net = torch.nn.Sequential(
            torch.nn.Linear(2, 16),
            torch.nn.LeakyReLU(0.2),
            torch.nn.Linear(16, 16),
            torch.nn.LeakyReLU(0.2),
            torch.nn.Linear(16, 1),
        ).double()

    def critic(x):
        return 5 * net(x)[:, 0]

    real, fake = torch.randn(2, 1, 2, generator=torch.Generator().manual_seed(0), dtype=DOUBLE).repeat(1, 50_000, 1)
    exact = penalise(name, critic, real[:1], fake[:1])
    with noise.stream(0, dtype=DOUBLE):
        found = penalise(name, critic, real, fake, spacing=0.01)
    error = found.std().item() / math.sqrt(len(found))
    assert abs(found.mean().item() - exact.item()) < 4 * error < 0.1 * exact.item()
    grads = torch.autograd.grad(found.mean(), list(net.parameters()), allow_unused=True)
    wanted = torch.autograd.grad(exact.mean(), list(net.parameters()), allow_unused=True)
    for a, b in zip(grads[::2], wanted[::2], strict=True):  # the weights; a bias has next to no part in a slope
        torch.testing.assert_close(a, b, atol=0.05 * float(b.abs().max()), rtol=0)
