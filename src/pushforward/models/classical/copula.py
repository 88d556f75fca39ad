"""A Gaussian copula.   x_d = F_d^-1(Phi(z_d)),   z ~ N(0, R)

Sklar, "Fonctions de répartition à n dimensions et leurs marges", 1959; Nelsen, "An introduction to copulas", 2006.
Each column keeps its own law F_d (maths/margins.py), and one correlation for each pair ties them together (maths/copulas.py).
    log p(x) = log N(z; 0, R) + sum_d log dz_d/dx_d                   of numbers
    P(x)     = P(low < z < high), the probability of a box             of codes, whole numbers and missing cells
A box of more than one side has no closed form; drawing one side after the other inside it gives an estimate without bias.

B examples of D columns, with Z variables behind them, the numbers first, then Q others:
    x (B, D)   z (B, Z)   low, high (B, Q)   R, spread L (Z, Z)
"""

from __future__ import annotations

from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...errors import BadData, Usage, did_you_mean
from ...maths.copulas import correlation, fill, weigh
from ...maths.margins import Margins
from ...noise import normal, uniform
from .family import Classical

MARGINS = ("smooth", "gaussian")
DRAWS = 16  # of a bound
CHOICES = 64  # draws of which a completion chooses


class Copula(Classical):
    """A Gaussian copula: columns of any law, tied together by correlations. The baseline of tables.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"size": [1.0, 1.3, 2.9, 3.1] * 20, "kind": ["a", "a", "b", "b"] * 20})
    >>> model = Copula().fit(table)
    >>> round(float(model.correlation[0, 1].abs()), 1), sorted(set(model.sample(50, seed=0)["kind"]))
    (1.0, ['a', 'b'])
    """

    margin: str = "smooth"  # law of a number by itself: smooth (its quantiles), gaussian
    smooth: float = 0.5  # examples added to every code, and between two points of whole numbers
    tied: bool = True  # by correlations; False: every column by itself

    coordinates: ClassVar[str] = "codes"
    gaps: ClassVar[bool] = True
    footprint: ClassVar[Any] = 4 * CHOICES
    plates: ClassVar[str] = "N{(z) -> [x]}; R -> z; F -> x"
    kinds: ClassVar[dict[str, str]] = {"complete": "exact of numbers, importance-weighted of the rest"}
    why_not: ClassVar[dict[str, str]] = {"energy": "it has log_prob, or a bound of it in nats, which says more."}

    def build(self, space, given=None):
        self.unconditional(given)
        if self.margin not in MARGINS:
            raise Usage(
                f"margin={self.margin!r} is not one of {', '.join(MARGINS)}.{did_you_mean(self.margin, MARGINS)}"
            )
        if self.smooth < 0:
            raise Usage(f"smooth={self.smooth!r}: a number of at least 0 is awaited.")
        self.margins = Margins(space)
        self.register_buffer("spread", torch.zeros(0, 0))

    def unable(self, ability):
        sides = self.margins.sides
        if ability == "log_prob" and sides > 1 and self.tied:
            return (
                f"it is the probability of a box with {sides} sides (codes, whole numbers, missing cells), which has no closed form. "
                "bound is below it, evidence(x, samples=…) comes to it."
            )
        if ability in ("bound", "evidence") and (sides <= 1 or not self.tied):
            return "its log_prob is exact."
        if ability == "encode" and sides:
            return "what is no number stands for a whole range of z."
        return None

    def solve(self, x, given=None):
        x = x.flatten(1)
        if len(x) < 2:
            raise BadData(f"x has {len(x)} examples (n_samples={len(x)}). A correlation needs two at least.")
        r = correlation(*self.margins.lay(x.double(), self.margin, self.smooth))
        self.spread = torch.linalg.cholesky(r if self.tied else torch.eye(len(r)).to(r)).to(self.spread)

    @property
    def correlation(self) -> Tensor:
        """R (Z, Z): of the numbers, then of codes, whole numbers, and which cells are missing."""
        return self.spread @ self.spread.T

    # ---- abilities -----------------------------------------------------------------------------------------------
    def weigh(self, x: Tensor, draws: int) -> Tensor:
        """For each draw the log of its estimate of p(x), in which one side after the other is drawn: (B, K)."""
        x = x.flatten(1)
        (z, ladj), (low, high) = self.margins(x), self.margins.box(x)
        u = uniform(len(x), draws, self.margins.sides).to(z)
        return weigh(self.correlation, z, low, high, u) + ladj[:, None]

    def _log_prob(self, x, given=None):
        return self.weigh(x, 1)[:, 0]  # of one side, or none, the estimate is exact

    def _bound(self, x, given=None):
        return self.weigh(x, DRAWS).logsumexp(1) - log(DRAWS)

    def _evidence(self, x, given=None, samples: int = 64):
        weights, seen = self.weigh(x, samples), self.evidence_
        shares = weights.softmax(1)
        few = torch.full_like(weights[:, 0], torch.nan)
        error = (shares * samples).std(1) / samples**0.5 if samples > 1 else few
        for name, values in (("stderr", error), ("ess", 1 / (shares**2).sum(1))):
            seen[name] = torch.cat([seen[name], values.cpu()]) if name in seen else values.cpu()
        return weights.logsumexp(1) - log(samples)

    def _sample(self, n, given=None):
        return self._decode(normal(n, len(self.spread)).to(self.spread))

    def _encode(self, x, given=None):
        return torch.linalg.solve_triangular(self.spread, self.margins(x.flatten(1))[0].T, upper=False).T

    def _decode(self, z, given=None):
        return self.margins.before(z @ self.spread.T)

    def _complete(self, x, known, given=None):
        z, low, high = self.margins.asked(x.flatten(1), known.flatten(1))
        u, e = uniform(len(x), CHOICES, self.margins.sides + 1).to(z), normal(len(x), len(self.spread)).to(z)
        whole, ess = fill(self.correlation, z, low, high, u, e)
        seen = self.completion_
        seen["ess"] = torch.cat([seen["ess"], ess.cpu()]) if "ess" in seen else ess.cpu()
        return self.margins.before(whole)
