"""The generative adversarial network.   min_G max_D  E log sigmoid D(x) + E log(1 - sigmoid D(G(z)))

Goodfellow et al., "Generative adversarial nets", NIPS 2014, eq. 1, https://arxiv.org/abs/1406.2661; lectures 002 and 004.
On logits, with softplus(t) = -log sigmoid(-t):
    critic                  softplus(-D(x)) + softplus(D(G(z)))      2 log 2 where it knows nothing, D = log p/q at its best
    generator, minimax      -softplus(D(G(z)))                       its gradient vanishes where the critic is sure
    generator, nonsaturating  softplus(-D(G(z)))                     §3 of the paper: the same point of rest, a gradient that stays
    R1                      gamma/2 E |dD/dx|^2 on the data          Mescheder et al., ICML 2018, eq. 9: without it the game need not rest
R1 is taken every `interval` steps with that much more weight (Karras et al., CVPR 2020, §3.1, "lazy").

B examples of F features:   x (B, *F)   D(x) (B,)
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from ...engine import Recipe
from ...errors import Usage, did_you_mean
from .family import Adversarial, slopes

OBJECTIVES = {
    "nonsaturating": lambda fake: softplus(-fake).mean(),
    "minimax": lambda fake: -softplus(fake).mean(),
}


class GAN(Adversarial):
    """The generative adversarial network with a gradient penalty on the data (R1).

    >>> from pushforward.data import toys
    >>> model = GAN().fit(toys.eight_gaussians(500), steps=20, quiet=True)
    >>> model.sample(3, seed=0).shape
    (3, 2)
    """

    objective: str = "nonsaturating"  # of the generator: nonsaturating, minimax
    penalty: float = 0.1  # gamma, weight of R1; 0: none
    interval: int = 4  # steps from one R1 to the next

    recipe: ClassVar[Recipe] = Recipe(steps=10000, batch=256, lr=1e-3, beta1=0.0, beta2=0.99, ema=0.999)

    def build(self, space, given=None):
        if self.objective not in OBJECTIVES:
            raise Usage(
                f"objective={self.objective!r} is not one of {', '.join(OBJECTIVES)}.{did_you_mean(self.objective, OBJECTIVES)}"
            )
        if self.penalty < 0 or self.interval < 1:
            raise Usage(
                f"penalty={self.penalty}, interval={self.interval}: a penalty of at least 0 and an interval of at least 1 are awaited."
            )
        super().build(space, given)

    def moves(self, x, given=None):
        for real, cond in self.lots(x, given):
            fake = self.generate(len(real), cond)
            yield "critic", self.critic_loss(real, fake.detach(), cond)
        # The fakes of the critic's last step serve the generator too: their graph is still there.
        yield "generator", self.generator_loss(fake, cond)

    def critic_loss(self, real: Tensor, fake: Tensor, given: Tensor | None = None) -> Tensor:
        told, fooled = self.opinions(real, fake, given)
        self.notes = {"gap": told.detach().mean() - fooled.detach().mean()}
        loss = softplus(-told).mean() + softplus(fooled).mean()
        if self.penalty and self.step % self.interval == 0:
            loss = loss + 0.5 * self.penalty * self.interval * slopes(self.critic, real, given).mean()
        return loss

    def generator_loss(self, fake: Tensor, given: Tensor | None = None) -> Tensor:
        return OBJECTIVES[self.objective](self.critic(fake, given)[:, 0])
