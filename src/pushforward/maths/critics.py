"""What a critic and a generator are asked for: losses on the critic's outputs, and penalties on its slope, example by example.

    critic  min E c(r, f)      generator  min E g(f, r)      r = D(x) on the data,  f = D(G(z)) on the fakes

    objective         c(r, f)                        g(f, r)           what D comes to
    minimax           softplus(-r) + softplus(f)     -softplus(f)      log p/q          Goodfellow et al. 2014, eq. 1
    non-saturating    the same                       softplus(-f)      log p/q          Goodfellow et al. 2014, section 3
    least-squares     (r - 1)^2 / 2 + f^2 / 2        (f - 1)^2 / 2     p / (p + q)      Mao et al. 2017, labels 0 and 1
    hinge             (1 - r)+ + (1 + f)+            -f                sign(p - q)      Lim & Ye 2017
    wasserstein       f - r                          -f                a height         Arjovsky et al. 2017, eq. 2
    relativistic      softplus(f - r)                softplus(r - f)   a height         Jolicoeur-Martineau 2019; Huang et al. 2024
    kl, reverse-kl, pearson, hellinger, js, gan:
                      f*(T(f)) - T(r)                -f*(T(f))         log p/q          Nowozin et al. 2016, eq. 6

For an f-divergence E_q f(p/q) the output is the log-ratio v = log p/q itself: T = f'(e^v), f*(T) = e^v f'(e^v) - f(e^v). Then
E_p T - E_q f*(T) is at most the divergence and equal to it at v = log p/q, whichever f, and critics of different f can be compared.

    penalty      on each example, to be weighed and added to the critic's loss
    r1, r2       |dD/dx|^2 / 2 on the data, on the fakes (r1r2: both)                      Mescheder et al. 2018, eq. 9
    dp           |dP/dx|^2 / 2 on the data, P = sigmoid D                                  lecture 002
    roth         ((1 - P)^2 |dD/dx|^2 on the data + P^2 |dD/dx|^2 on the fakes) / 2        Roth et al. 2017, section 3
    gradient     (|dD/dx| - 1)^2 at a point between a fake and an example                  Gulrajani et al. 2017, eq. 3
    one-sided    max(0, |dD/dx| - 1)^2 there                                               Petzka et al. 2018, eq. 8

B examples:   x (B, *X)   D(x), r, f, v (B,)   every loss, penalty and |dD/dx|^2 (B,)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ..noise import normal, uniform
from .divergences.generators import TABLE, Divergence

Critic = Callable[[Tensor], Tensor]  # x (B, *X) -> D(x) (B,)
Look = Callable[[Tensor], tuple[Tensor, Tensor]]  # x -> D(x), |dD/dx|^2


# ---- losses ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Objective:
    """The losses of the two players on the critic's outputs."""

    critic: Callable[[Tensor, Tensor], Tensor]  # (r, f)
    generator: Callable[[Tensor, Tensor], Tensor]  # (f, r)
    middle: float = 0.0  # the output of a critic that knows nothing
    paired: bool = False  # whether the generator's loss looks at r


def logistic(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real) + softplus(fake)


def variational(f: Divergence) -> Objective:
    """The two sides of the variational bound of an f-divergence."""
    return Objective(lambda real, fake: f.conjugate(fake) - f.slope(real), lambda fake, real: -f.conjugate(fake))


OBJECTIVES: dict[str, Objective] = {
    "minimax": Objective(logistic, lambda fake, real: -softplus(fake)),
    "non-saturating": Objective(logistic, lambda fake, real: softplus(-fake)),
    "least-squares": Objective(
        lambda real, fake: ((real - 1).square() + fake.square()) / 2, lambda fake, real: (fake - 1).square() / 2, 0.5
    ),
    "hinge": Objective(lambda real, fake: relu(1 - real) + relu(1 + fake), lambda fake, real: -fake),
    "wasserstein": Objective(lambda real, fake: fake - real, lambda fake, real: -fake),
    "relativistic": Objective(
        lambda real, fake: softplus(fake - real), lambda fake, real: softplus(real - fake), paired=True
    ),
    **{name.replace("_", "-"): variational(f) for name, f in TABLE.items()},
}


# ---- penalties -------------------------------------------------------------------------------------------------------
def look(critic: Critic, x: Tensor, spacing: float = 0.0) -> tuple[Tensor, Tensor]:
    """D(x) (B,) and |dD/dx|^2 of each example (B,), with a graph to the critic's weights.

    With a `spacing` s, ((D(x + s e) - D(x - s e)) / 2s)^2, e ~ N(0, I), stands in for the second: its mean is |dD/dx|^2 + O(s^2),
    and it takes two passes and no second derivative.

    >>> height, slope = look(lambda x: 3 * x[:, 0] - 4 * x[:, 1], torch.ones(2, 2))
    >>> height.tolist(), slope.tolist()
    ([-1.0, -1.0], [25.0, 25.0])
    """
    if spacing:
        step = spacing * normal(len(x), *x.shape[1:]).to(x)
        above, below = critic(torch.cat([x + step, x - step])).chunk(2)
        return (above + below) / 2, ((above - below) / (2 * spacing)).square()
    x = x.detach().requires_grad_()
    # A compiled graph cannot be differentiated twice, and squares of slopes need more than eight bits.
    with torch.compiler.set_stance("force_eager"), torch.autocast(x.device.type, enabled=False):
        height = critic(x)
        (slope,) = torch.autograd.grad(height.sum(), x, create_graph=True)
    return height, slope.flatten(1).square().sum(1)


def on_data(see: Look, real: Tensor, fake: Tensor) -> Tensor:
    return see(real)[1] / 2


def on_fakes(see: Look, real: Tensor, fake: Tensor) -> Tensor:
    return see(fake)[1] / 2


def on_both(see: Look, real: Tensor, fake: Tensor) -> Tensor:
    first, second = see(torch.cat([real, fake]))[1].chunk(2)
    return (first + second) / 2


def on_probability(see: Look, real: Tensor, fake: Tensor) -> Tensor:
    height, slope = see(real)
    chance = height.sigmoid()
    return (chance * (1 - chance)).square() * slope / 2


def on_errors(see: Look, real: Tensor, fake: Tensor) -> Tensor:
    height, slope = see(torch.cat([real, fake]))
    missed, fooled = height.chunk(2)
    first, second = (torch.cat([torch.sigmoid(-missed), torch.sigmoid(fooled)]).square() * slope).chunk(2)
    return (first + second) / 2


def between(see: Look, real: Tensor, fake: Tensor) -> Tensor:
    """|dD/dx| - 1 at x = e real + (1 - e) fake, e ~ U[0, 1] anew for each example."""
    e = uniform(len(real), *[1] * (real.ndim - 1)).to(real)
    return see(torch.lerp(fake, real, e))[1].clamp(min=1e-12).sqrt() - 1  # the square root has no slope at 0


PENALTIES: dict[str, Callable[[Look, Tensor, Tensor], Tensor]] = {
    "r1": on_data,
    "r2": on_fakes,
    "r1r2": on_both,
    "dp": on_probability,
    "roth": on_errors,
    "gradient": lambda see, real, fake: between(see, real, fake).square(),
    "one-sided": lambda see, real, fake: between(see, real, fake).relu().square(),
}
SQUARED = ("r1", "r2", "r1r2", "dp", "roth")  # linear in |dD/dx|^2, so that an estimate of it without bias serves


def penalise(name: str, critic: Critic, real: Tensor, fake: Tensor, spacing: float = 0.0) -> Tensor:
    """The penalty of each example (or of each pair of an example and a fake) (B,).

    >>> penalise("r1", lambda x: 3 * x[:, 0], torch.ones(2, 2), torch.zeros(2, 2)).tolist()
    [4.5, 4.5]
    """
    return PENALTIES[name](lambda x: look(critic, x, spacing), real, fake)
