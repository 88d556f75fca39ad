"""Factor analysis.   x = m + W z + e,   z ~ N(0, I),   e ~ N(0, diag p): PCA whose noise differs from variable to variable

maximise  -1/2 (log |C| + tr S C^-1) over W and p,   C = W W' + diag(p),   S the covariance of the data over n

Given p, the best W is in closed form (Lawley & Maxwell; Barber, "Bayesian Reasoning and Machine Learning", 2012, eqs. 21.2.11-14):
    W = P^1/2 U (L - I)^1/2,   U and L the first eigenvectors and eigenvalues (those above 1) of P^-1/2 S P^-1/2
What is left is a smooth function of log p alone, whose slope is also known (Jöreskog, "Some contributions to maximum likelihood factor
analysis", Psychometrika 1967): a quasi-Newton method climbs it. With missing cells EM does (maths/factors.py).

N examples of D variables, L factors:   x (N, D)   mean, noise p (D,)   weights W (D, L)   z (N, L)
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from ...errors import BadData, Usage
from ...maths.factors import Factors, climb
from ...maths.moments import Moments
from ...noise import normal, uniform
from .family import Classical


class FactorAnalysis(Classical):
    """Few common factors and a noise of its own for each variable; units of the variables do not matter.

    >>> import numpy as np
    >>> z, e = np.random.default_rng(0).normal(size=(2, 5000, 3))
    >>> x = z[:, :1] * [1.0, 2.0, 3.0] + e * [0.1, 1.0, 2.0]
    >>> FactorAnalysis(latent=1).fit(x).noise.sqrt().round(decimals=1).tolist()
    [0.1, 1.0, 2.0]
    """

    latent: int = 2  # L, factors; no more than there are variables
    floor: float = 1e-6  # least share of a variable's variance that is noise
    tolerance: float = 1e-8  # nats an example that a step of EM must gain, where cells are missing
    iterations: int = 2000  # steps at most

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
        if self.latent < 1 or self.iterations < 1 or not 0 < self.floor < 1:
            raise Usage(
                f"FactorAnalysis(latent={self.latent}, iterations={self.iterations}, floor={self.floor}): a latent and iterations of at "
                "least 1 and a floor between 0 and 1 are awaited."
            )
        d = space.size
        for name, shape in (("mean", (d,)), ("weights", (d, min(self.latent, d))), ("noise", (d,)), ("gone", (d,))):
            self.register_buffer(name, torch.zeros(shape))

    @property  # type: ignore[misc]
    def footprint(self) -> int:  # type: ignore[override]
        return 16 + 4 * self.latent + self.latent**2

    # ---- learning ------------------------------------------------------------------------------------------------
    def solve(self, x, given=None):
        x = x.flatten(1)
        if not bool(torch.isnan(x).any()):
            return self.absorb([(x, given)])
        gone = torch.isnan(x).to(x.dtype).mean(0)
        if len(x) < 2 or bool((gone == 1).any()):
            raise BadData(
                f"x has {len(x)} examples (n_samples={len(x)}). Two at least, and one known cell of each column, are needed."
            )
        centre = x.nanmean(0)
        seen = Moments(x.shape[1])
        seen.add(torch.where(torch.isnan(x), centre, x))
        start, scale = self.fitted(seen)
        y = (x - centre) / scale
        start = Factors(torch.zeros_like(centre), start.weights / scale[:, None], start.noise / scale**2)
        found, self.climb_ = climb(
            y, start, False, torch.full_like(centre, self.floor), self.tolerance, self.iterations
        )
        unit = float((1 - gone) @ scale.log())  # in the units of the data
        self.climb_ = [nats - unit for nats in self.climb_]
        self.put(Factors(centre + scale * found.mean, scale[:, None] * found.weights, scale**2 * found.noise))
        self.gone.copy_(gone)

    def absorb(self, lots):
        seen = Moments(len(self.mean))
        seen.gather(lots)
        if bool(torch.isnan(seen.mean).any()):
            raise BadData(
                "There are missing cells, which takes all rows in memory, and these are too many. Drop rows or columns."
            )
        if seen.count < 2:
            raise BadData(
                f"x has {seen.count} examples (n_samples={seen.count}). FactorAnalysis needs two at least, for there to be a variance."
            )
        self.put(self.fitted(seen)[0])

    def put(self, found: Factors) -> None:
        """Take over parameters: the factors of most weight first, the largest weight of each positive."""
        u, size, _ = torch.linalg.svd(found.weights / found.noise.sqrt()[:, None], full_matrices=False)
        u = u * u.gather(0, u.abs().argmax(0, keepdim=True)).sign()
        self.mean.copy_(found.mean)
        self.weights.copy_(found.noise.sqrt()[:, None] * u * size)
        self.noise.copy_(found.noise)

    def fitted(self, seen: Moments) -> tuple[Factors, torch.Tensor]:
        """The maximum of the likelihood of whole rows, and the scale of each variable."""
        covariance = seen.covariance()
        variance = covariance.diagonal()
        typical = float(variance.mean()) or float((seen.mean**2).mean()) or 1.0
        flat = variance.sqrt() <= 1e-12 * seen.mean.abs().clamp(min=1e-12)  # a column that never varies
        scale = torch.where(flat, self.floor * typical, variance).sqrt()
        correlation = covariance / scale / scale[:, None]
        correlation.fill_diagonal_(1.0)
        weights, noise, self.steps_ = profile(correlation.numpy(), self.weights.shape[1], self.floor, self.iterations)
        to = self.mean
        found = Factors(
            seen.mean.to(to),
            (scale[:, None] * torch.from_numpy(weights)).to(to),
            (scale**2 * torch.from_numpy(noise)).to(to),
        )
        return found, scale.to(to)

    # ---- abilities -----------------------------------------------------------------------------------------------
    @property
    def factors(self) -> Factors:
        return Factors(self.mean, self.weights, self.noise)

    def _log_prob(self, x, given=None):
        return self.factors.log_prob(x.flatten(1), self.gone)

    def _encode(self, x, given=None):
        x = x.flatten(1)
        known = ~torch.isnan(x)
        return self.factors.infer(x, None if bool(known.all()) else known)[1]

    def _decode(self, z, given=None):
        return self.mean + z @ self.weights.T

    def _sample(self, n, given=None):
        z, e = (normal(n, size).to(self.mean) for size in (self.weights.shape[1], len(self.mean)))
        x = self._decode(z) + self.noise.sqrt() * e
        if not bool(self.gone.any()):
            return x
        return torch.where(uniform(n, len(self.mean)).to(self.mean) < self.gone, torch.nan, x)

    def _complete(self, x, known, given=None):
        x, known, factors = x.flatten(1), known.flatten(1), self.factors

        def draw():
            e, f = (normal(len(x), size).to(self.mean) for size in (self.weights.shape[1], len(self.mean)))
            return factors.fill(x, known, e, f)

        return self.filled(draw, known)


def profile(r: np.ndarray, latent: int, floor: float, iterations: int) -> tuple[Any, Any, int]:
    """W and p for a correlation matrix, and the number of steps: the likelihood as a function of log p alone is climbed."""
    from scipy.linalg import eigh
    from scipy.optimize import minimize

    d = len(r)

    def best(log_noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        root = np.exp(-0.5 * log_noise)
        values, vectors = eigh(root[:, None] * r * root, subset_by_index=[d - latent, d - 1])
        return values, vectors, root**2

    def minus(log_noise: np.ndarray) -> tuple[float, np.ndarray]:
        """log |C| + tr S C^-1 at the best W, and its slope."""
        values, vectors, precision = best(log_noise)
        kept = np.maximum(values, 1)
        loss = log_noise.sum() + precision.sum() - values.sum() + (np.log(kept) + values / kept).sum()
        return float(loss), 1 - precision - vectors**2 @ (1 - kept)

    start = np.log(np.clip((1 - latent / (2 * d)) / np.linalg.inv(r + 1e-3 * np.eye(d)).diagonal(), 2 * floor, 0.9))
    options = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-14, "gtol": 1e-9}
    end = minimize(minus, start, jac=True, method="L-BFGS-B", bounds=[(np.log(floor), 0.0)] * d, options=options)
    values, vectors, precision = best(end.x)
    weights = vectors * np.sqrt(np.maximum(values - 1, 0)) / np.sqrt(precision)[:, None]
    return weights[:, ::-1].copy(), np.exp(end.x), int(end.nit)
