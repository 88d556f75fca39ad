"""A mixture of independent bits, fitted by expectation–maximisation.   maximise  sum_n log sum_k w_k prod_d t_kd^x (1 - t_kd)^(1-x)

    r_nk = p(k | x_n),   w_k = mean_n r_nk,   t_kd = (sum_n r_nk x_nd + a) / (sum_n r_nk o_nd + 2 a),   o_nd = [x_nd is known]

Lazarsfeld & Henry, "Latent structure analysis", 1968; Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM
algorithm", 1977. A gap (NaN in a tensor) is summed out, when learning too. The pseudo-count a is a Beta(1 + a, 1 + a) prior of every
t_kd: EM climbs likelihood plus prior. The order of the components is never identified; the components are, for nearly all mixtures, from
D >= 2 ceil(log2 K) + 1 bits on (Allman, Matias & Rhodes, Ann. Statist. 2009), but for none of them without exception (Gyllenberg et al. 1994).

N rows of D bits, K components:   x (N, D)   log_weights (K,)   logits log t / (1 - t) (K, D)   r (N, K)
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ...errors import BadData, Usage
from ...maths.clusters import clustered
from ...maths.gaussians import pick
from ...noise import uniform
from .family import Classical

LEAST = 1e-12  # a probability stays this far from 0 and 1, so that no log is infinite
ROWS = 1 << 13  # of which the posterior is held at once


class BernoulliMixture(Classical):
    """Classes of yes-or-no answers (latent classes): exact probability, exact completion, gaps allowed.

    >>> import numpy as np
    >>> x = np.repeat([[0, 0, 0, 1], [1, 1, 1, 0]], 50, axis=0)
    >>> model = BernoulliMixture(components=2).fit(x)
    >>> model.encode(x[[0, 99]]).round(3).max(1), model.complete(x[:1], known=[True, True, False, False], seed=0)
    (array([1., 1.]), array([[0, 0, 0, 1]]))
    """

    components: int = 10  # K
    smooth: float = 0.1  # a, examples of each value added to each bit of each component
    restarts: int = 1  # starts of which the likeliest end is kept
    tolerance: float = 1e-5  # nats an example that a step must gain to be followed by another
    iterations: int = 500  # steps of EM at most

    coordinates: ClassVar[str] = "codes"
    spaces: ClassVar[tuple[str, ...]] = ("binary",)
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
        if self.components < 1 or self.restarts < 1 or self.iterations < 1 or self.smooth < 0:
            raise Usage("components, restarts and iterations are whole numbers of at least 1, smooth is at least 0.")
        self.register_buffer("log_weights", torch.zeros(self.components))
        self.register_buffer("logits", torch.zeros(self.components, space.size))

    @property  # type: ignore[misc]
    def footprint(self) -> int:  # type: ignore[override]
        return 4 + self.components

    # ---- learning ------------------------------------------------------------------------------------------------
    def solve(self, x, given=None):
        x = x.flatten(1)
        if len(x) < max(2, self.components):
            raise BadData(
                f"x has {len(x)} examples (n_samples={len(x)}) for {self.components} components. At least one example a component, and two in all, "
                f"are needed: pass more, or say components={max(1, len(x) // 2)}."
            )
        lots = [
            (torch.nan_to_num(part), None if bool((known := ~torch.isnan(part)).all()) else known.to(x))
            for part in x.split(ROWS)
        ]
        ends = (self.climb(lots, *self.start(x)) for _ in range(self.restarts))
        log_weights, logits, self.climb_ = max(ends, key=lambda end: end[2][-1])
        self.log_weights.copy_(log_weights)
        self.logits.copy_(logits)

    def climb(self, lots: list, log_weights: Tensor, logits: Tensor) -> tuple[Tensor, Tensor, list[float]]:
        """EM until a step gains less than the tolerance; log-likelihood plus log prior, a row, before each step."""
        nats: list[float] = []
        for _ in range(self.iterations):
            total, count = logits.new_zeros(()), torch.zeros_like(log_weights)
            ones, seen = torch.zeros_like(logits), torch.zeros_like(logits)
            for x, known in lots:
                joint = log_weights + likelihoods(logits, x, known)
                top = joint.logsumexp(1, keepdim=True)
                r = (joint - top).exp_()
                total, count = total + top.sum(), count + r.sum(0)
                ones.addmm_(r.T, x)
                seen += r.sum(0)[:, None] if known is None else r.T @ known
            prior = self.smooth * (logsigmoid(logits) + logsigmoid(-logits)).sum()
            rows = float(count.sum())
            nats.append(float(total + prior) / rows)
            chance = ((ones + self.smooth) / (seen + 2 * self.smooth)).nan_to_num(0.5)  # 0 / 0: nobody has seen it
            log_weights, logits = (count / rows).log(), chance.clamp(LEAST, 1 - LEAST).logit()
            if len(nats) > 1 and abs(nats[-1] - nats[-2]) < self.tolerance:
                break
        return log_weights, logits, nats

    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Half-way between the centres of k-means and the mean. A gap stands at its column's mean."""
        mean = x.nanmean(0).nan_to_num(0.5)
        centres, shares, _ = clustered(torch.where(torch.isnan(x), mean, x), self.components)
        return shares.log(), (0.5 * centres + 0.45 * mean + 0.025).logit()

    # ---- abilities -----------------------------------------------------------------------------------------------
    def joint(self, x: Tensor) -> Tensor:
        """log p(k, x), gaps summed out: (N, D) -> (N, K)."""
        known = ~torch.isnan(x)
        whole = bool(known.all())
        return self.log_weights + likelihoods(self.logits, torch.nan_to_num(x), None if whole else known.to(x))

    def _log_prob(self, x, given=None):
        return self.joint(x.flatten(1)).logsumexp(1)

    def _encode(self, x, given=None):
        return self.joint(x.flatten(1)).softmax(1)

    def _sample(self, n, given=None):
        return self.bits(self.log_weights.exp().expand(n, -1))

    def _complete(self, x, known, given=None):
        x, known = x.flatten(1), known.flatten(1)
        joint = self.log_weights + likelihoods(self.logits, x * known, known.to(x))
        return torch.where(known, x, self.bits(joint.softmax(1)))

    def bits(self, shares: Tensor) -> Tensor:
        """Rows of components drawn from their shares (N, K)."""
        n, d = len(shares), self.logits.shape[1]
        k = pick(shares, uniform(n, 1)[:, 0].to(shares))
        return (uniform(n, d).to(shares) < self.logits.sigmoid()[k]).to(shares)


def likelihoods(logits: Tensor, x: Tensor, known: Tensor | None) -> Tensor:
    """log p(x_o | k) as one or two products of matrices; x is 0 where it is not known."""
    zeros = logsigmoid(-logits)
    return x @ logits.T + (zeros.sum(1) if known is None else known @ zeros.T)
