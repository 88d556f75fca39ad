"""What the study runs: two targets, three games, a grid of learning rates, several seeds.

The games are those of the presets; what they share here (networks, batch, optimiser, no averaged weights) is what is not compared.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from ...catalogue import presets


@dataclass(frozen=True)
class Target:
    """A law on the line that the generator is to learn."""

    name: str
    title: str
    law: Any
    frame: tuple[float, float]  # what a figure shows

    def sample(self, n: int, seed: int) -> np.ndarray:
        return self.law.rvs(size=(n, 1), random_state=np.random.default_rng(seed))


TARGETS = {
    "gaussian": Target("gaussian", "Gaussian N(3, 1.5²)", stats.norm(3, 1.5), (-3.5, 9.5)),
    "beta": Target("beta", "Beta(2, 5)", stats.beta(2, 5), (-0.3, 1.2)),
}
ARMS: dict[str, dict[str, Any]] = {
    "GAN": {"objective": "minimax", "penalty": "none", "weight": 0.0, "lazy": 1},
    # The weight of the paper's own toys: with 10, fakes that begin in the middle of the data are driven away (models/adversarial/gan.py).
    "WGAN-GP": {**presets()["WGAN-GP"].fields_, "weight": 0.1},
    # The slope of a probability is at most a quarter of its logit's, so this is about R1 with weight 12. Of 2, 10, 50 and 200, on other seeds.
    "GAN-DP": {**presets()["GAN-DP"].fields_, "weight": 200.0},
}
SLOW = "WGAN-GP"  # the arm that also runs long, at the least rate


@dataclass(frozen=True)
class Plan:
    """Sizes. A result belongs to its plan: with another it is run again."""

    seeds: int
    steps: int  # of the generator
    long: int  # of the generator, at `slow`
    rates: tuple[float, ...]
    slow: float
    draws: int  # samples over which a divergence is averaged
    values: int = 10_000  # in each of them
    bins: int = 100
    examples: int = 10_000  # to learn from, for each seed
    batch: int = 64  # of one step of a critic
    epoch: int = 100  # steps of the generator from one look at it to the next
    hidden: tuple[int, ...] = (64, 64)
    latent: int = 4
    beta1: float = 0.0
    beta2: float = 0.9
    first: int = 100  # the first seed

    @property
    def numbers(self) -> list[int]:
        """The seeds."""
        return list(range(self.first, self.first + self.seeds))

    def facts(self) -> dict[str, Any]:
        """All that a result depends on, as JSON gives it back."""
        own = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return own | {"games": ARMS, "targets": {name: target.title for name, target in TARGETS.items()}}


FULL = Plan(seeds=5, steps=8_000, long=40_000, rates=(1e-2, 1e-3, 1e-4), slow=1e-5, draws=100)
QUICK = Plan(seeds=2, steps=600, long=2_000, rates=(1e-2, 1e-3, 1e-4), slow=1e-5, draws=5, epoch=20)


@dataclass(frozen=True)
class Job:
    """One cell: all seeds of one target, arm and rate."""

    target: str
    arm: str
    rate: float
    steps: int

    @property
    def name(self) -> str:
        return f"{self.target}_{self.arm.lower()}_{self.rate:.0e}"


def jobs(plan: Plan) -> list[Job]:
    """Every cell, the long ones first, so that no worker is left with one at the end."""
    long = [Job(target, SLOW, plan.slow, plan.long) for target in TARGETS]
    grid = [Job(target, arm, rate, plan.steps) for arm in ARMS for target in TARGETS for rate in plan.rates]
    return [*long, *sorted(grid, key=lambda job: job.arm != SLOW)]
