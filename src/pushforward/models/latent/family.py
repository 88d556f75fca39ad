"""Latent variable models: z ~ p(z), x ~ p(x | z), and q(z | x) that guesses z.

    log p(x) >= E_q[log p(x | z)] - KL(q(z | x) || p(z))                          the evidence lower bound
    log p(x)  = lim_k log 1/k sum_i p(x | z_i) p(z_i) / q(z_i | x),  z_i ~ q       importance weighting (Burda et al. 2016, eq. 8)

B examples, L latents, K importance samples:   x (B, *X)   mu, log_var (B, L)   weights (B, K)
"""

from __future__ import annotations

from math import log, pi
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...maths.heads import Whole
from ...model import Model
from ...noise import normal, uniform


class Latent(Model):
    """A model with a Gaussian prior over z; a system gives `posterior(x) -> (mu, log_var)` and `likelihood(z) -> parameters`."""

    plates: ClassVar[Any] = "N{(z) -> [x]}; theta -> x; phi ..> z; x ..> z"
    kinds: ClassVar[dict[str, str]] = {
        "encode": "posterior mean",
        "decode": "mean or mode",
        "complete": "importance-weighted",
    }
    why_not: ClassVar[dict[str, str]] = {
        "log_prob": "the integral over z has no closed form. bound is below it, evidence(x, samples=…) climbs to it.",
        "energy": "it has a bound in nats, which says more.",
    }

    def posterior(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise TypeError(f"{type(self).__name__} has no posterior(x, given).")

    def likelihood(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no likelihood(z, given).")

    def log_likelihood(self, x: Tensor, z: Tensor, given: Tensor | None) -> Tensor:
        return self.head.log_prob(x.flatten(1), self.likelihood(z, given))

    def _sample(self, n, given=None):
        z = normal(n, self.width())
        return self.head.sample(self.likelihood(z.to(self.device), given), self.fresh(n))

    def fresh(self, n: int) -> Tensor:
        return uniform(n, len(self.head.heads)).to(self.device)

    def width(self) -> int:
        return int(self.latent)  # type: ignore[attr-defined]

    def _encode(self, x, given=None):
        return self.posterior(x, given)[0]

    def _decode(self, z, given=None):
        """The mean; of a discrete variable its likeliest value, so that what comes out is an example."""
        p = self.likelihood(z, given)
        return (
            self.head.mode(p)
            if hasattr(self.head, "mode")
            else self.head.sample(p, torch.full((len(p), len(self.head.heads)), 0.5))
        )

    def weigh(
        self, x: Tensor, given: Tensor | None, samples: int, known: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Importance samples z (K, B, L) ~ q(z | x) and log p(x, z) / q(z | x) (K, B).

        Told which variables are known, it is p(these, z), and that no other cell is missing: what fills a gap is a value.
        """
        mu, log_var = self.posterior(x, given)
        noise = normal(len(x), samples, mu.shape[1]).to(mu).movedim(1, 0)
        z = mu + (0.5 * log_var).exp() * noise
        log_q = -0.5 * (noise**2 + log_var + log(2 * pi)).sum(-1)
        log_p = -0.5 * (z**2 + log(2 * pi)).sum(-1)
        ps = (self.likelihood(one, given) for one in z)
        if known is None:
            log_x = torch.stack([self.head.log_prob(x.flatten(1), p) for p in ps])
        else:
            whole, known = self.whole(), known.flatten(1)
            log_x = torch.stack([whole.told(x.flatten(1), known, p).sum(1) for p in ps])
        return z, log_x + log_p - log_q

    def whole(self) -> Whole:
        return Whole(self.chart.space, self.head, self.device)

    def _evidence(self, x, given=None, samples: int = 64):
        _, weights = self.weigh(x, given, samples)
        shares = weights.softmax(0)
        seen: dict[str, Any] = self.evidence_
        # Delta method: the standard error of a log of a mean of K weights is that of the mean over the mean.
        spread = (
            (shares * samples).std(0, correction=1) / samples**0.5
            if samples > 1
            else torch.full_like(weights[0], torch.nan)
        )
        for name, values in (("stderr", spread), ("ess", 1 / (shares**2).sum(0))):
            seen[name] = torch.cat([seen[name], values.cpu()]) if name in seen else values.cpu()
        return weights.logsumexp(0) - log(samples)

    def _complete(self, x, known, given=None, samples: int = 256):
        """Sampling importance resampling: z ~ q(z | x with gaps), kept in proportion to p(known, z) / q, then the gaps from p(x | z)."""
        z, weights = self.weigh(x, given, samples, known)
        shares = weights.softmax(0)
        ess = (1 / (shares**2).sum(0)).cpu()
        seen = self.completion_
        seen["ess"] = torch.cat([seen["ess"], ess]) if "ess" in seen else ess
        u = uniform(len(x), 1).to(x.device)
        chosen = torch.searchsorted(shares.T.cumsum(1).contiguous(), u).clamp(max=samples - 1)[:, 0]
        z = z[chosen, torch.arange(len(x), device=x.device)]
        return self.head.sample(self.whole()(self.likelihood(z, given)), self.fresh(len(x)))
