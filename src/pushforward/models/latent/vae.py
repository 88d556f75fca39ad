"""The variational autoencoder.   maximise  E_q(z|x)[log p(x|z)] - beta KL(q(z|x) || p(z))

Kingma & Welling, "Auto-Encoding Variational Bayes", ICLR 2014, eq. 10, https://arxiv.org/abs/1312.6114; lectures 000-003
    q(z|x) = N(mu(x), diag exp log_var(x)),  p(z) = N(0, I),  KL = 1/2 sum (mu^2 + exp log_var - 1 - log_var)
B examples of space X, L latents:   x (B, *X)   mu, log_var, z (B, L)   bound (B,)
"""

from __future__ import annotations

from typing import ClassVar

import torch

from ...engine import Recipe
from ...maths import heads
from ...nets import default
from ...noise import normal
from .family import Latent


class VAE(Latent):
    """A variational autoencoder: an encoder and a decoder that meet in a Gaussian latent.

    >>> from pushforward.data import toys
    >>> model = VAE(latent=2).fit(toys.moons(500), steps=20, quiet=True)
    >>> model.sample(3, seed=0).shape
    (3, 2)
    """

    latent: int = 16  # L, width of z
    hidden: tuple = (256, 256)  # widths of the encoder; the decoder mirrors them
    net: str = "auto"  # auto (by the kind of example), mlp, conv, transformer
    beta: float = 1.0  # weight of the KL while training; 1 is the evidence lower bound
    warmup: float = 0.0  # share of training over which beta rises from 0
    number: str = "auto"  # p(x|z) of a number: auto (mixture in a table, else gaussian), gaussian, mixture, logistic
    level: str = "auto"  # p(x|z) of a level: categorical, logistic (discretised mixtures), auto: those beyond 64 levels

    recipe: ClassVar[Recipe] = Recipe(steps=5000, lr=1e-3)
    spaces: ClassVar[tuple[str, ...]] = ("real", "binary", "levels", "table")
    gaps: ClassVar[bool] = True

    def build(self, space, given=None):
        # A column of a table has modes that one bell would blur: 1 nat a column and more, and nothing lost where it has one.
        number = self.number if self.number != "auto" else "mixture" if space.kind == "table" else "gaussian"
        self.head = heads.of(space, continuous=number, levels=self.level)
        self.encoder = default.into(space, 2 * self.latent, given or 0, hidden=self.hidden, net=self.net)
        self.decoder = default.out_of(
            self.latent, space, self.head.total, given or 0, hidden=self.hidden[::-1], net=self.net
        )

    def posterior(self, x, given=None):
        mu, log_var = self.encoder(x, given).chunk(2, 1)
        return mu, log_var.clamp(-14, 14)

    def likelihood(self, z, given=None):
        return self.decoder(z, given)

    def terms(self, x, given=None):
        """The bound's two terms: log p(x|z) at one z, and the KL in closed form."""
        mu, log_var = self.posterior(x, given)
        z = torch.addcmul(mu, (0.5 * log_var).exp(), normal(*mu.shape).to(mu))
        kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1)
        return self.log_likelihood(x, z, given), kl

    def loss(self, x, given=None):
        fit, kl = self.terms(x, given)
        weight = self.beta * (min(1.0, self.progress / self.warmup) if self.warmup else 1.0)
        self.notes = {"kl": kl.detach().mean()}
        return (kl - fit if weight == 1 else weight * kl - fit).mean()

    def _bound(self, x, given=None):
        fit, kl = self.terms(x, given)
        return fit - kl
