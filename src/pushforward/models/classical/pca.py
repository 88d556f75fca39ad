"""Probabilistic principal component analysis.   x = m + W z + noise,   z ~ N(0, I),   noise ~ N(0, s2 I)

Tipping & Bishop, "Probabilistic principal component analysis", J. R. Stat. Soc. B, 1999, eqs. 6-9; lecture 003.
With eigenvalues l_1 >= l_2 >= … of the covariance and eigenvectors u_i, the maximum of the likelihood is in closed form:
    s2 = mean of the discarded l_i,   W = U (diag(l) - s2)^1/2,   p(x) = N(m, W W' + s2 I)
    E[z | x] = (W'W + s2)^-1 W'(x - m);   decode(encode(x)) shrinks the i-th direction by 1 - s2 / l_i
The likelihood is largest with a covariance divided by n (correction=0); scikit-learn's PCA divides by n - 1 (correction=1).
With missing cells EM climbs the likelihood of those that are known (their appendix; maths/factors.py), to correction=0.

N examples of D variables, L directions:   x (N, D)   mean, gone (D,)   directions U (D, L)   variances l (L,)   z (N, L)
"""

from __future__ import annotations

from math import log, pi
from typing import ClassVar

import torch
from torch import Tensor

from ...engine import Lots
from ...errors import BadData, Usage
from ...maths.factors import Factors, climb
from ...maths.moments import Moments
from ...noise import normal, uniform
from .family import Classical

FLOOR = 1e-9  # of the mean variance: less than this is no variance that a density can have


class PCA(Classical):
    """Probabilistic PCA, a linear-Gaussian model in closed form: exact density, codes and completion, missing cells allowed.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(500, 1)) * [[3.0, 4.0]]
    >>> model = PCA(latent=1).fit(x + [[7.0, 7.0]])
    >>> abs(model.directions[:, 0]).round(decimals=2).tolist()
    [0.6, 0.8]
    """

    latent: int = 2  # L, directions kept; no more than there are variables
    correction: int = 1  # the covariance is divided by n - correction
    tolerance: float = 1e-8  # nats an example that a step of EM must gain, where cells are missing
    iterations: int = 2000  # steps of EM at most

    coordinates: ClassVar[str] = "plain"
    gaps: ClassVar[bool] = True
    plates: ClassVar[str] = "N{(z) -> [x]}; theta -> x"
    kinds: ClassVar[dict[str, str]] = {"encode": "posterior mean", "decode": "mean"}
    small: ClassVar[dict] = {"latent": 1}
    why_not: ClassVar[dict[str, str]] = {
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        if self.latent < 1 or self.correction not in (0, 1) or self.iterations < 1:
            raise Usage(
                f"PCA(latent={self.latent}, correction={self.correction}, iterations={self.iterations}): a latent of at least 1, "
                "iterations of at least 1 and a correction of 0 or 1 are awaited."
            )
        d, kept = space.size, min(self.latent, space.size)  # D directions span everything
        for name, shape in (("mean", (d,)), ("gone", (d,)), ("directions", (d, kept)), ("variances", (kept,))):
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("noise", torch.zeros(()))

    @property  # type: ignore[misc]
    def footprint(self) -> int:  # type: ignore[override]
        return 16 + 4 * self.latent

    # ---- learning ------------------------------------------------------------------------------------------------
    def solve(self, x, given=None):
        x = x.flatten(1)
        if bool(torch.isnan(x).any()):
            return self.climbed(x)
        if len(x) > x.shape[1] or len(x) < 2:
            return self.absorb([(x, given)])
        mean = x.mean(0)
        _, scales, rows = torch.linalg.svd(x - mean, full_matrices=False)
        values = torch.zeros_like(mean)
        values[: len(x)] = scales**2 / (len(x) - self.correction)
        gap = (0, 0, 0, max(0, len(self.variances) - len(rows)))  # zeros stand for directions that few rows leave open
        self.put(mean, values, torch.nn.functional.pad(rows * (values[: len(x), None] > 1e-14 * values[0]), gap).T)

    def absorb(self, lots):
        if isinstance(lots, Lots) and len(lots.examples) <= len(self.mean):
            return self.solve(*lots.whole())  # fewer numbers than a covariance has
        seen = Moments(len(self.mean))
        seen.gather(lots)
        if seen.count < 2:
            raise BadData(
                f"x has {seen.count} examples (n_samples={seen.count}). PCA needs two at least, for there to be a variance."
            )
        if bool(torch.isnan(seen.mean).any()):
            raise BadData(
                "There are missing cells, which takes all rows in memory, and these are too many. Drop rows or columns."
            )
        covariance = seen.covariance(self.correction)
        values, vectors = leading(covariance, len(self.variances))
        self.put(seen.mean, values, vectors, float(covariance.trace()))

    def put(self, mean: Tensor, values: Tensor, vectors: Tensor, whole: float | None = None) -> None:
        """Take over the mean, the largest eigenvalues (all of them, or their sum is told) and eigenvectors of the covariance."""
        d, kept = len(mean), len(self.variances)
        some = min(
            kept, d - 1
        )  # where nothing is discarded the smallest is the noise: the same Gaussian, in the same form
        whole = float(values.sum()) if whole is None else whole
        floor = FLOOR * (whole / d or float((mean**2).mean()) or 1.0)
        self.mean.copy_(mean)
        self.noise.fill_(max((whole - float(values[:some].sum())) / (d - some), floor))
        self.variances.copy_(values[:kept].clamp(min=float(self.noise)))
        vectors = vectors[:, :kept]
        # An eigenvector has no sign of its own: its largest entry is made positive.
        self.directions.copy_(vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign())

    def climbed(self, x: Tensor) -> None:
        """EM over rows with gaps, from the closed form of the rows with means in their gaps."""
        gone = torch.isnan(x)
        if len(x) < 2 or bool(gone.all(0).any()):
            raise BadData(
                f"x has {len(x)} examples (n_samples={len(x)}). Two at least, and one known cell of each column, are needed."
            )
        centre = x.nanmean(0)
        self.absorb([(torch.where(gone, centre, x), None)])
        floor = torch.full_like(centre, FLOOR * float(self.variances.mean() + self.noise))
        start = Factors(torch.zeros_like(centre), self.weights, self.factors.noise)
        found, self.climb_ = climb(x - centre, start, True, floor, self.tolerance, self.iterations)
        vectors, scales, _ = torch.linalg.svd(found.weights, full_matrices=False)
        noise = float(found.noise[0])
        self.put(centre + found.mean, scales**2 + noise, vectors, float((scales**2).sum()) + noise * len(centre))
        self.gone.copy_(gone.to(x.dtype).mean(0))

    # ---- abilities -----------------------------------------------------------------------------------------------
    @property
    def weights(self) -> Tensor:
        """W (D, L)."""
        return self.directions * (self.variances - self.noise).sqrt()

    @property
    def factors(self) -> Factors:
        return Factors(self.mean, self.weights, self.noise.expand(len(self.mean)))

    def _log_prob(self, x, given=None):
        d, x = len(self.mean), x.flatten(1)
        if bool(torch.isnan(x).any()):
            return self.factors.log_prob(x, self.gone)
        y = x - self.mean
        along = y @ self.directions
        across = y - along @ self.directions.T
        logdet = self.variances.log().sum() + (d - len(self.variances)) * self.noise.log()
        square = (along**2 / self.variances).sum(1) + (across**2).sum(1) / self.noise
        return torch.log1p(-self.gone).sum() - 0.5 * (square + logdet + d * log(2 * pi))

    def _encode(self, x, given=None):
        x = x.flatten(1)
        if bool((gone := torch.isnan(x)).any()):
            return self.factors.infer(x, ~gone)[1]
        return (x - self.mean) @ (self.weights / self.variances)

    def _decode(self, z, given=None):
        return self.mean + z @ self.weights.T

    def _sample(self, n, given=None):
        z, e = (normal(n, size).to(self.mean) for size in (len(self.variances), len(self.mean)))
        x = self._decode(z) + self.noise.sqrt() * e
        if not bool(self.gone.any()):
            return x
        return torch.where(uniform(n, len(self.mean)).to(self.mean) < self.gone, torch.nan, x)

    def _complete(self, x, known, given=None):
        x, known, factors = x.flatten(1), known.flatten(1), self.factors

        def draw():
            e, f = (normal(len(x), size).to(self.mean) for size in (len(self.variances), len(self.mean)))
            return factors.fill(x, known, e, f)

        return self.filled(draw, known)


def leading(covariance: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest eigenvalues, largest first, and their eigenvectors (D, count)."""
    from scipy.linalg import eigh

    d = len(covariance)
    values, vectors = eigh(covariance.numpy(), subset_by_index=[d - count, d - 1])
    return torch.from_numpy(values[::-1].copy()).clamp(min=0), torch.from_numpy(vectors[:, ::-1].copy())
