"""A mixture of Gaussians, fitted by expectation–maximisation.   maximise  sum_n log sum_k w_k N(x_n; m_k, S_k)

Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977; lecture 003.
Start: k-means++ and a few steps of k-means (maths/clusters.py).

EM works on centred columns of variance 1 (spherical: one scale for all), so units of the data do not matter; the mathematics stands
in maths/gaussians.py. A missing cell is one of the outcomes of the model: each component loses each cell with a probability of its own.
A gap (NaN in a tensor) of a variable that had none when it was fitted is summed out.

`reg` is added to every variance in these units, as a share of the variance of the data: a component with fewer examples than variables,
or on a single point, keeps a covariance of full rank, with a standard deviation of sqrt(reg) where its examples do not vary.

N rows of D variables, K components:   x (N, D)   log_weights (K,)   means, gone (K, D)   spread, whiten (K, D, D) or (K, D)
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ...errors import BadData, Usage, did_you_mean
from ...maths.clusters import clustered
from ...maths.gaussians import Mixture, Rows, improved
from ...noise import normal, uniform
from ...space.charts import moments
from .family import Classical

SHAPES = ("full", "diagonal", "spherical")


class GaussianMixture(Classical):
    """A mixture of Gaussians by EM: exact density, exact completion, missing cells allowed.

    >>> from pushforward.data import toys
    >>> model = GaussianMixture(components=8).fit(toys.eight_gaussians(2000))
    >>> model.encode([[2.0, 0.0]]).round(3).max()            # one component owns each mode
    np.float64(1.0)
    """

    components: int = 8  # K
    covariance: str = "full"  # of each component: full, diagonal, spherical
    reg: float = 1e-6  # added to the variances, as a share of the variance of the data
    restarts: int = 1  # starts of which the likeliest end is kept
    tolerance: float = 1e-4  # nats an example that a step must gain to be followed by another
    iterations: int = 200  # steps of EM at most

    coordinates: ClassVar[str] = "plain"
    gaps: ClassVar[bool] = True
    plates: ClassVar[str] = "N{(z) -> [x]}; theta -> x"
    kinds: ClassVar[dict[str, str]] = {"encode": "posterior of the component"}
    small: ClassVar[dict] = {"components": 3}
    why_not: ClassVar[dict[str, str]] = {
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
        "decode": "the probabilities of the components do not say which example it was. sample draws one.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        if self.covariance not in SHAPES:
            raise Usage(
                f"covariance={self.covariance!r} is not one of {', '.join(SHAPES)}.{did_you_mean(self.covariance, SHAPES)}"
            )
        if self.components < 1 or self.restarts < 1 or self.iterations < 1 or self.reg < 0:
            raise Usage("components, restarts and iterations are whole numbers of at least 1, reg is at least 0.")
        k, d = self.components, space.size
        self.register_buffer("log_weights", torch.zeros(k))
        for name, shape in (("means", (k, d)), ("gone", (k, d)), ("spread", self.shape(d)), ("whiten", self.shape(d))):
            self.register_buffer(name, torch.zeros(shape))

    def shape(self, d: int) -> tuple[int, ...]:
        return (self.components, d, d) if self.covariance == "full" else (self.components, d)

    @property  # type: ignore[misc]
    def footprint(self) -> int:  # type: ignore[override]
        return 4 * self.components

    @property
    def mixture(self) -> Mixture:
        return Mixture(self.log_weights, self.means, self.spread, self.gone, self.whiten)

    # ---- learning ------------------------------------------------------------------------------------------------
    def solve(self, x, given=None):
        x = x.flatten(1)
        if len(x) < max(2, self.components):
            raise BadData(
                f"x has {len(x)} examples (n_samples={len(x)}) for {self.components} components. At least one example a component, and two in all, "
                f"are needed: pass more, or say components={max(1, len(x) // 2)}."
            )
        centre, scale = moments(x)
        if self.covariance == "spherical":
            scale = torch.full_like(scale, float((scale**2).mean().sqrt()))
        y = (x - centre) / scale
        rows = Rows(y, self.covariance == "full")
        best, self.climb_ = max(
            (self.climb(rows, self.start(y)) for _ in range(self.restarts)), key=lambda end: end[1][-1]
        )
        # The log-likelihood a row of each step, in the units of the data.
        unit = float((~torch.isnan(y)).to(scale).mean(0) @ scale.log())
        self.climb_ = [nats - unit for nats in self.climb_]
        stretch = scale[:, None] if best.spread.ndim == 3 else scale
        self.put(Mixture(best.log_weights, centre + scale * best.means, stretch * best.spread, best.gone))

    def put(self, found: Mixture) -> None:
        """Take over the parameters of a mixture in the units of the data."""
        for name, value in vars(found).items():
            getattr(self, name).copy_(value)

    def climb(self, rows: Rows, mixture: Mixture) -> tuple[Mixture, list[float]]:
        """EM until a step gains less than the tolerance; the log-likelihood a row before each step."""
        nats: list[float] = []
        for _ in range(self.iterations):
            sums = rows.expect(mixture)
            nats.append(float(sums.nats) / float(sums.count.sum()))
            mixture = improved(sums, mixture, self.reg, self.covariance == "spherical")
            if bool(torch.isnan(mixture.spread).any()):
                raise BadData(
                    f"A component's covariance became singular at step {len(nats)} of EM: its examples lie in a plane, or are too few. "
                    f"Say reg={max(1e-6, 10 * self.reg):g}, fewer components, or covariance='diagonal'."
                )
            if len(nats) > 1 and abs(nats[-1] - nats[-2]) < self.tolerance:
                break
        return mixture, nats

    def start(self, x: Tensor) -> Mixture:
        """Round components at the centres of k-means. A gap stands at its column's mean."""
        known, y = ~torch.isnan(x), torch.nan_to_num(x)
        centres, shares, variance = clustered(y, self.components)
        width = torch.full_like(centres, float((variance / x.shape[1]).clamp(min=max(self.reg, 1e-6)).sqrt()))
        lost = (~known).to(y.dtype).mean(0).expand_as(centres)
        return Mixture(shares.log(), centres, torch.diag_embed(width) if self.covariance == "full" else width, lost)

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        return self.mixture.log_prob(x.flatten(1))

    def _encode(self, x, given=None):
        return self.mixture.posterior(x.flatten(1))

    def _sample(self, n, given=None):
        d = self.means.shape[1]
        u, e = uniform(n, 1)[:, 0].to(self.means), normal(n, d).to(self.means)
        return self.mixture.draw(u, e, uniform(n, d).to(self.means) if bool(self.gone.any()) else None)

    def _complete(self, x, known, given=None):
        x, known = x.flatten(1), known.flatten(1)

        def draw():
            u, e = uniform(len(x), 1)[:, 0].to(self.means), normal(len(x), self.means.shape[1]).to(self.means)
            return self.mixture.fill(x, known, u, e)

        return self.filled(draw, known)
