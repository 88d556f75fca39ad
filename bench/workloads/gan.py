"""One step of a Wasserstein GAN with a gradient penalty of weight 10: one step of the critic and one of the generator.

Networks 2-128-128-128-2 on 256 points of the plane, and of DCGAN's size, 64 -> 7x7x128 -> 14x14x64 -> 28x28, on 64 images. The bare
arm has ours' weights; one pass for examples and fakes, the fakes of the critic's step serve the generator, nothing is differentiated
that no one needs. The tutorial arm is the loop of the widely copied scripts: a pass for each, fresh fakes for each player, gradients of
the critic in the generator's step, plain Adam, losses read every step. And what the penalty on the data (R1) costs: in every step, in one
of sixteen, and by two passes in place of the second derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import cycle
from typing import Any

import numpy as np
import torch
from clock import fit_step, fitted
from facts import bits
from measure import BARE, OURS, Arm, Row, Setting, Target, agree
from torch import Tensor, nn

import pushforward as pf

WEIGHT, RATE, BETAS = 10.0, 1e-4, (0.0, 0.9)
TUTORIAL = "tutorial"
RECIPE = {"lr": RATE, "beta1": BETAS[0], "beta2": BETAS[1]}


def model(hidden: tuple[int, ...], latent: int, **fields: Any) -> Any:
    game = {"objective": "wasserstein", "penalty": "gradient", "weight": WEIGHT, "lazy": 1, "anneal": 1.0}
    return pf.GAN(hidden=hidden, latent=latent, **(game | fields))


class Players:
    """Copies of ours' two networks."""

    def __init__(self, of: Any, batches: list[Tensor], fused: bool):
        self.generator, self.critic = deepcopy(of.generator).train(), deepcopy(of.critic).train()
        how: dict[str, Any] = {"fused": True} if fused else {"foreach": False}
        self.adams = [torch.optim.Adam(net.parameters(), RATE, BETAS, **how) for net in (self.generator, self.critic)]
        self.latent, self.shape, self.turns = of.latent, batches[0].shape[1:], cycle(batches)

    def noise(self, n: int) -> tuple[Tensor, Tensor]:
        return torch.randn(n, self.latent), torch.rand(n, *[1] * len(self.shape))

    def push(self, z: Tensor) -> Tensor:
        return self.generator(z).view(len(z), *self.shape)


def steepness(critic: nn.Module, real: Tensor, fake: Tensor, e: Tensor) -> Tensor:
    mixed = torch.lerp(fake, real, e).requires_grad_()
    (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


class Bare(Players):
    def losses(self, real: Tensor, z: Tensor, e: Tensor) -> Iterator[Tensor]:
        fake = self.push(z)
        held = fake.detach()
        told, fooled = self.critic(torch.cat([real, held])).chunk(2)
        yield fooled.mean() - told.mean() + WEIGHT * steepness(self.critic, real, held, e)
        yield -self.critic(fake).mean()

    def step(self) -> None:
        real = next(self.turns)
        players = ((self.critic, self.adams[1]), (self.generator, self.adams[0]))
        for (net, adam), loss in zip(players, self.losses(real, *self.noise(len(real))), strict=True):
            loss.backward(inputs=list(net.parameters()))
            adam.step()
            adam.zero_grad(set_to_none=True)


class Tutorial(Players):
    def losses(self, real: Tensor, z: Tensor, e: Tensor, again: Tensor | None = None) -> Iterator[Tensor]:
        fake = self.push(z)
        told, fooled = self.critic(real), self.critic(fake)
        yield -told.mean() + fooled.mean() + WEIGHT * steepness(self.critic, real.data, fake.data, e)
        yield -self.critic(self.push(z if again is None else again)).mean()

    def step(self) -> None:
        real = next(self.turns)
        z, e = self.noise(len(real))
        losses = self.losses(real, z, e, torch.randn_like(z))
        for adam in reversed(self.adams):
            loss = next(losses)
            adam.zero_grad()
            loss.backward()
            adam.step()
            loss.item()


def slopes(losses: Iterator[Tensor], nets: tuple[nn.Module, nn.Module]) -> list[Tensor]:
    """The two losses and their gradients, each in its own player."""
    found = []
    for net, loss in zip(nets, losses, strict=True):
        found += [loss.detach(), *torch.autograd.grad(loss, list(net.parameters()))]
    return found


def equal(of: Any, arms: dict[str, Players], x: Any) -> str:
    """The losses of all arms and their gradients, with the same weights and noise."""
    with torch.no_grad():
        real = of.enter(of.space.read(x), None)[0]

    def ours() -> Iterator[Tensor]:
        yield from (loss for _, loss in of.moves(real))

    with pf.noise.stream(1):
        z, e = pf.noise.normal(len(real), of.latent), pf.noise.uniform(len(real), *[1] * (real.ndim - 1))
    of.step = 1  # a step without a look at how the game goes
    with pf.noise.stream(1):
        want = slopes(ours(), (of.critic, of.generator))
    worst = 0.0
    for name, players in arms.items():
        found = slopes(players.losses(real, z, e), (players.critic, players.generator))
        off = max(float((a - b).abs().max() / (b.abs().max() + 1e-6)) for a, b in zip(found, want, strict=True))
        agree(f"{name}: losses or gradients are off by {off:.1e}", off < 1e-3)
        worst = max(worst, off)
    return f"losses and gradients of all arms agree to {worst:.0e}"


def against(work: str, x: np.ndarray, batch: int, make: Callable[[], Any], note: str) -> Row:
    ours = fitted(make(), x[: 4 * batch], steps=1, batch=batch, **RECIPE)
    with torch.no_grad():
        ready = ours.enter(ours.space.read(x[: 16 * batch]), None)[0]
    batches = [part.clone() for part in ready.split(batch) if len(part) == batch]
    arms = {BARE: Bare(ours, batches, True), TUTORIAL: Tutorial(ours, batches, False)}

    def check() -> str:
        fresh = {name: type(arm)(ours, batches, name == BARE) for name, arm in arms.items()}
        return equal(ours, fresh, x[:batch])

    def met(m: dict[str, float]) -> bool | None:
        return m[OURS] <= 1.05 * m[BARE] and m[TUTORIAL] >= 1.15 * m[OURS]

    timed = [
        Arm(OURS, fit_step(make, x, batch=batch, **RECIPE), tells=True),
        *(Arm(name, arm.step) for name, arm in arms.items()),
    ]
    return Row("gan", work, timed, Target("≤ 1.05 × bare, ≥ 1.15 × as fast as the tutorial's loop", met), check, note)


def penalised(x: np.ndarray) -> Row:
    """A step without a penalty, and with R1 in every step, in one of sixteen, and by two passes."""

    def arm(**fields: Any) -> Callable[[], float]:
        return fit_step(
            lambda: model((128, 128, 128), 2, objective="non-saturating", **fields),
            x,
            skip=16,
            steps=48,
            batch=256,
            **RECIPE,
        )

    fields: dict[str, dict[str, Any]] = {
        OURS: {"penalty": "r1", "lazy": 16},
        "no penalty": {"penalty": "none"},
        "every step": {"penalty": "r1", "lazy": 1},
        "two passes": {"penalty": "r1", "lazy": 1, "spacing": 0.01},
    }

    def check() -> str:
        return "the mean of the lazy penalty over sixteen steps is that of the full one (tests/models/adversarial)"

    def met(m: dict[str, float]) -> bool | None:
        return m["every step"] - m["no penalty"] >= 5 * (m[OURS] - m["no penalty"])

    arms = [Arm(name, arm(**how), tells=True, rival=False) for name, how in fields.items()]
    text = "what R1 costs beside a step without it is ≥ 5 × less in one step of sixteen"
    return Row("gan", "MLP step with R1 in one step of 16, batch 256", arms, Target(text, met), check)


def rows(setting: Setting) -> Iterator[Row]:
    x = pf.data.toys.eight_gaussians(20_000)
    yield against(
        "WGAN-GP, MLP 2-128-128-128, step, batch 256", x, 256, lambda: model((128, 128, 128), 2), "eight Gaussians"
    )
    found, source = bits(4_000)
    images = np.ascontiguousarray(found.reshape(-1, 28, 28)).astype(np.float32)
    yield against(
        "WGAN-GP, DCGAN 28x28, step, batch 64", images, 64, lambda: model((256,), 64), f"{source}, as numbers"
    )
    yield penalised(x)
