"""The Wasserstein GAN.   min_G max_D  E D(x) - E D(G(z)),   D 1-Lipschitz, whose maximum is the Wasserstein distance W1(data, G)

Arjovsky, Chintala & Bottou, "Wasserstein GAN", ICML 2017, eq. 2, https://arxiv.org/abs/1701.07875 (clip: every weight in [-c, c]);
Gulrajani et al., "Improved training of Wasserstein GANs", NIPS 2017, eq. 3, https://arxiv.org/abs/1704.00028 (gradient); lecture 002:
    weight · E (|dD/dx^| - 1)^2,   x^ = e x + (1 - e) G(z),   e ~ U[0, 1]
with an e and a norm of its own for each example, and squared (lecture 002 prints it without the square);
Petzka, Fischer & Lukovnikov, "On the regularization of Wasserstein GANs", ICLR 2018, eq. 8 (lipschitz: max(0, |dD/dx^| - 1)^2).

The two-sided penalty is smallest at slope 1 of either sign: where the gap is less than twice its weight, a critic that starts with the
wrong sign stays there and the fakes are driven away. Its paper takes weight 0.1 for data in the plane. The one-sided one has no such trap.

B examples of F features:   x (B, *F)   D(x) (B,)   e (B,)
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ...engine import Recipe
from ...errors import Usage, did_you_mean
from ...noise import uniform
from .family import Adversarial, slopes

PENALTIES = ("gradient", "lipschitz", "clip")


class WGAN(Adversarial):
    """The Wasserstein GAN: the critic's gap is a distance, and falls as the fakes get better.

    >>> from pushforward.data import toys
    >>> model = WGAN().fit(toys.moons(500), steps=20, quiet=True)
    >>> model.sample(3, seed=0).shape
    (3, 2)
    """

    critic_steps: int = 5  # steps of the critic for one of the generator, each on its own part of the batch
    penalty: str = "lipschitz"  # what holds the critic's slope: lipschitz (at most 1), gradient (at 1: WGAN-GP), clip (its weights)
    weight: float = 10.0  # of the penalty on the slope
    clip: float = 0.01  # c, the largest weight of a clipped critic

    recipe: ClassVar[Recipe] = Recipe(steps=5000, batch=640, lr=1e-3, beta1=0.0, beta2=0.9, ema=0.999)

    def build(self, space, given=None):
        if self.penalty not in PENALTIES:
            raise Usage(
                f"penalty={self.penalty!r} is not one of {', '.join(PENALTIES)}.{did_you_mean(self.penalty, PENALTIES)}"
            )
        if self.weight < 0 or self.clip <= 0:
            raise Usage(
                f"weight={self.weight}, clip={self.clip}: a weight of at least 0 and a clip above 0 are awaited."
            )
        super().build(space, given)

    def moves(self, x, given=None):
        for real, cond in self.lots(x, given):
            fake = self.generate(len(real), cond)
            yield "critic", self.critic_loss(real, fake.detach(), cond)
            if self.penalty == "clip":
                self.clamp()
        yield "generator", -self.critic(fake, cond).mean()

    def critic_loss(self, real: Tensor, fake: Tensor, given: Tensor | None = None) -> Tensor:
        told, fooled = self.opinions(real, fake, given)
        gap = told.mean() - fooled.mean()
        self.notes = {"gap": gap.detach()}
        if self.penalty == "clip":
            return -gap
        e = uniform(len(real), *[1] * (real.ndim - 1)).to(real)
        steepness = slopes(self.critic, torch.lerp(fake, real, e), given)
        excess = steepness.clamp(min=1e-12).sqrt() - 1  # the square root has no slope at 0
        return self.weight * (excess if self.penalty == "gradient" else excess.relu()).square().mean() - gap

    @torch.no_grad()
    def clamp(self) -> None:
        """Every weight of the critic back into [-c, c]."""
        for weight in self.critic.parameters():
            weight.clamp_(-self.clip, self.clip)
