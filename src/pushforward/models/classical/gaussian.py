"""One Gaussian by maximum likelihood.   x = g(z) = m + L z,   z ~ N(0, I)

Lecture 000. The maximum is the mean and the covariance of the examples, divided by n:   m = mean x_i,   S = L L' = 1/n sum_i (x_i - m)(x_i - m)'
    there the likelihood of the examples is   sum_i log p(x_i) = -n/2 (D log 2 pi + log det S + D)
    x_u | x_o ~ N(m_u + S_uo S_oo^-1 (x_o - m_o), S_uu - S_uo S_oo^-1 S_ou)
    fewer examples than variables leave S singular; shrunk towards a round one it is not:   (1 - b) S + b tr(S)/D I,
        b = min(1, 1/n^2 sum_i |x_i x_i' - S|^2 / |S - tr(S)/D I|^2)        Ledoit & Wolf, J. Multivariate Analysis 2004

N examples of D variables:   x, z (N, D)   mean (D,)   spread L (D, D) lower triangular
"""

from __future__ import annotations

from math import log, pi
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import BadData, Usage, did_you_mean
from ...maths.gaussians import Mixture
from ...maths.moments import Moments
from ...noise import normal, uniform
from .family import Classical

SHRINKS = ("none", "ledoit-wolf")
FLAT = 1e-12  # a variable of which those before it explain all but this share makes the covariance singular


class Gaussian(Classical):
    """One bell: mean and covariance of the examples, exact in all it can be asked.

    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0]])
    >>> model = Gaussian().fit(x)
    >>> model.mean.tolist(), model.covariance.tolist(), round(model.score(x), 4)
    ([2.0], [[1.0]], -1.4189)
    """

    shrink: str = "none"  # towards a round covariance: none, or ledoit-wolf, for few examples of many variables

    coordinates: ClassVar[str] = "plain"
    plates: ClassVar[str] = "N{(z) <-> [x]}; m -> x; L -> x"
    why_not: ClassVar[dict[str, str]] = {
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        if self.shrink not in SHRINKS:
            raise Usage(
                f"shrink={self.shrink!r} is not one of {', '.join(SHRINKS)}.{did_you_mean(self.shrink, SHRINKS)}"
            )
        d = space.size
        for name, shape in (("mean", (d,)), ("spread", (d, d)), ("shrunk", ())):
            self.register_buffer(name, torch.zeros(shape))

    def solve(self, x, given=None):
        self.absorb([(x, given)])

    def absorb(self, lots):
        seen = Moments(len(self.mean))
        seen.gather(lots)
        if seen.count < 2:
            raise BadData(f"x has {seen.count} examples (n_samples={seen.count}). A variance needs two at least.")
        covariance, share = seen.covariance(), 0.0
        if self.shrink == "ledoit-wolf":
            share = intensity(covariance, seen, lots)
            round_ = covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
            covariance = torch.lerp(covariance, round_, share)
        self.mean.copy_(seen.mean)
        self.spread.copy_(self.factor(covariance, seen.count))
        self.shrunk.fill_(share)

    def factor(self, covariance: Tensor, count: int) -> Tensor:
        """L, of which the diagonal says whether the variables go their own ways."""
        scale = covariance.diagonal().sqrt()
        flat = (scale <= FLAT**0.5 * self.mean.cpu().abs()).nonzero()
        if len(flat):
            raise BadData(
                f"Variable {int(flat[0])} never varies: its variance is 0 and its density has no limit. "
                "Leave it out, or say shrink='ledoit-wolf'."
            )
        factor, wrong = torch.linalg.cholesky_ex(covariance / scale / scale[:, None])
        if int(wrong) or float(factor.diagonal().min()) ** 2 < FLAT:
            raise BadData(
                f"The covariance of {len(scale)} variables from {count} examples is singular: some variable is a linear function "
                "of others, or there are too few examples. Say shrink='ledoit-wolf', leave variables out, or fit PCA."
            )
        return scale[:, None] * factor

    # ---- facts ---------------------------------------------------------------------------------------------------
    @property
    def covariance(self) -> Tensor:
        """S (D, D)."""
        return self.spread @ self.spread.T

    @property
    def parameters_(self) -> int:
        """D of the mean and D (D + 1) / 2 of the covariance."""
        d = len(self.mean)
        return d + d * (d + 1) // 2

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        z = self._encode(x)
        return -0.5 * ((z * z).sum(1) + len(self.mean) * log(2 * pi)) - self.spread.diagonal().log().sum()

    def _encode(self, x, given=None):
        return torch.linalg.solve_triangular(self.spread, (x.flatten(1) - self.mean).T, upper=False).T

    def _decode(self, z, given=None):
        return self.mean + z @ self.spread.T

    def _sample(self, n, given=None):
        return self._decode(normal(n, len(self.mean)).to(self.mean))

    def _complete(self, x, known, given=None):
        u, e = uniform(len(x), 1)[:, 0].to(self.mean), normal(len(x), len(self.mean)).to(self.mean)
        one = Mixture(self.mean.new_zeros(1), self.mean[None], self.spread[None], torch.zeros_like(self.mean[None]))
        return one.fill(x.flatten(1), known.flatten(1), u, e)


def intensity(covariance: Tensor, seen: Moments, lots) -> float:
    """b, from one more pass: sum_i |x_i x_i' - S|^2 = sum_i |x_i|^4 - n |S|^2."""
    n, d = seen.count, len(covariance)
    fourth = sum(float(((x.flatten(1).double() - seen.mean.to(x.device)) ** 2).sum(1).pow(2).sum()) for x, _ in lots)
    round_ = covariance.diagonal().mean() * torch.eye(d, dtype=torch.float64)
    apart = float(((covariance - round_) ** 2).sum())
    noise = (fourth - n * float((covariance**2).sum())) / n**2
    return min(1.0, noise / apart) if apart > 0 else 0.0
