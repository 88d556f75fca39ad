"""The generative adversarial network.   critic min E c(D(x), D(G(z))) + weight E penalty,   generator min E g(D(G(z)), D(x))

Goodfellow et al., "Generative adversarial nets", NIPS 2014, eq. 1, https://arxiv.org/abs/1406.2661; lectures 001, 002 and 004.
`objective` names the pair of losses (c, g), `penalty` what holds the critic's slope: both tables stand in maths/critics.py.
    minimax: its best critic is log p/q, and the generator then faces 2 JS(p, q) - log 4
    wasserstein: with the critic's slope at most 1 the gap is the distance W1(p, q); held by clip, gradient or one-sided
Without a penalty the game need not come to rest (Mescheder, Geiger & Nowozin, ICML 2018, §2); with r1 it does, nearby (theorem 4.1).
A penalty taken every `lazy` steps with that much more weight is the same in the mean (Karras et al., CVPR 2020, §3.1); `anneal` lets its
weight fall as anneal^progress (Roth et al., NIPS 2017); `spacing` > 0 takes its slope by two passes in place of a second derivative.

The two-sided `gradient` is smallest at slope 1 of either sign: where the gap is less than twice its weight, a critic that starts with
the wrong sign stays there and the fakes are driven away. Its paper takes weight 0.1 in the plane. `one-sided` has no such trap.

B examples of F features in packs of k:   x (B, *F)   D(x) (B / k,)   penalty (B / k,)
"""

from __future__ import annotations

from typing import ClassVar

import torch

from ...engine import Recipe
from ...errors import Usage, did_you_mean
from ...maths.critics import OBJECTIVES, PENALTIES, SQUARED
from .family import Adversarial


class GAN(Adversarial):
    """The generative adversarial network: any of twelve losses, any of nine ways to hold the critic.

    >>> from pushforward.data import toys
    >>> model = GAN(objective="hinge").fit(toys.eight_gaussians(500), steps=20, quiet=True)
    >>> model.sample(3, seed=0).shape
    (3, 2)
    """

    objective: str = "relativistic"  # or minimax, non-saturating, least-squares, hinge, wasserstein, kl, reverse-kl, pearson, hellinger, js, gan
    penalty: str = "r1r2"  # on the critic's slope: none, gradient, one-sided, r1, r2, r1r2, dp, roth; clip: on weights
    weight: float = 0.3  # of the penalty; for clip the largest weight of the critic
    lazy: int = 4  # steps from one penalty to the next, which weighs as much more
    anneal: float = 0.01  # what is left of the penalty's weight at the end
    spacing: float = 0.0  # of the two passes that stand in for the second derivative; 0: the second derivative

    # Ten seeds of ten on a ring of 8 and on a grid of 25 Gaussians hold with these (docs/results.md).
    recipe: ClassVar[Recipe] = Recipe(
        steps=12000, batch=256, lr=2e-3, beta1=0.0, beta2=0.99, schedule="cosine", ema=0.999
    )

    def build(self, space, given=None):
        for name, known in (("objective", OBJECTIVES), ("penalty", ("none", *PENALTIES, "clip"))):
            value = getattr(self, name)
            if value not in known:
                raise Usage(f"{name}={value!r} is not one of {', '.join(known)}.{did_you_mean(value, known)}")
        if self.weight < 0 or self.lazy < 1 or not 0 < self.anneal <= 1 or self.spacing < 0:
            raise Usage(
                f"weight={self.weight}, lazy={self.lazy}, anneal={self.anneal}, spacing={self.spacing}: awaited are a weight and a spacing "
                "of at least 0, lazy of at least 1, and an anneal above 0 and up to 1."
            )
        if self.penalty == "clip" and self.weight == 0:
            raise Usage(
                "penalty='clip' with weight=0 leaves the critic no weights. Set weight to the largest one, as 0.01."
            )
        if self.spacing and self.penalty not in SQUARED:
            raise Usage(
                f"spacing={self.spacing} estimates squares of slopes: penalty={self.penalty!r} needs 0. With it go {', '.join(SQUARED)}."
            )
        super().build(space, given)

    def critic_loss(self, real, fake, given=None, spacing=None):
        return super().critic_loss(real, fake, given, self.spacing if spacing is None else spacing)

    @torch.no_grad()
    def stepped(self) -> None:
        """Clipping: every weight of the critic back into [-weight, weight]."""
        if self.penalty == "clip":
            weights = list(self.critic.parameters())
            torch._foreach_clamp_min_(weights, -self.weight)
            torch._foreach_clamp_max_(weights, self.weight)
