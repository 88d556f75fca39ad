"""Mixtures of Gaussians on the line, of all columns at once.

    p_d(x) = sum_k w_dk N(x; m_dk, s_dk^2)          log w + log N is linear in 1, x, x^2: both steps of EM are one batched product of matrices

Columns share nothing but the number of components; a missing cell (NaN) is left out. EM starts at even quantiles of the different values,
so that one value that half of all rows have does not take all components.

N rows of M columns, K components:   x (N, M)   w, m, s (M, K)   features 1, x, x^2 (M, 3, N)   r (M, K, N)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor

LEAST = -80.0  # of an exponent: below it a share is nothing, and no processor likes the number


@dataclass(frozen=True)
class Mixtures:
    """One mixture a column.

    >>> x = torch.cat([torch.zeros(50, 1), torch.ones(150, 1)]).double()
    >>> found = Mixtures.of(x, 2)
    >>> found.means.round(decimals=3).tolist(), found.log_weights.exp().round(decimals=3).tolist()
    ([[0.0, 1.0]], [[0.25, 0.75]])
    """

    log_weights: Tensor
    means: Tensor
    scales: Tensor

    @classmethod
    def of(
        cls,
        x: Tensor,
        components: int,
        steps: int = 100,
        tolerance: float = 1e-4,
        reg: float = 1e-6,
        start: Mixtures | None = None,
    ) -> Mixtures:
        """By EM, until no column gains `tolerance` nats a row. `reg` is added to every variance, as a share of the column's."""
        if not x.shape[1]:
            return cls(*(x.new_zeros(0, components) for _ in range(3)))
        known = ~torch.isnan(x.T)
        count = known.sum(1).clamp(min=1)
        y, known = x.double().T.nan_to_num(0.0), known.double()
        scale = ((y - (y.sum(1) / count)[:, None]) ** 2 * known).sum(1) / count
        floor = reg * torch.where(scale > 0, scale, 1.0)[:, None]
        found, before = start or cls.start(x.double(), components, floor), torch.full_like(scale, -torch.inf)
        features = torch.stack([torch.ones_like(y), y, y * y], 1)
        for _ in range(steps):
            found, nats = found.step(features, known, floor)
            nats = nats / count
            if bool((nats - before < tolerance).all()):
                break
            before = nats
        return found

    @classmethod
    def start(cls, x: Tensor, components: int, reg: Tensor) -> Mixtures:
        """Means at even quantiles of the different values, as wide as they are apart."""
        even = (torch.arange(components, dtype=x.dtype, device=x.device) + 0.5) / components
        columns = [torch.unique(column[~torch.isnan(column)]) for column in x.T]
        means = torch.stack([column.quantile(even) if len(column) else torch.zeros_like(even) for column in columns])
        width = torch.stack([column[-1] - column[0] if len(column) else even[0] * 0 for column in columns])[:, None]
        gaps = (
            torch.nn.functional.pad(means.diff(), (1, 1), mode="replicate") if components > 1 else width.expand(-1, 2)
        )
        scales = ((gaps[:, 1:] + gaps[:, :-1]) / 2).clamp(min=width / (4 * components)).maximum(reg.sqrt())
        return cls(torch.full_like(means, -log(components)), means, scales)

    def coefficients(self) -> Tensor:
        """log w N(x) = c · (1, x, x^2) - log(2 pi) / 2: (M, K, 3)."""
        precision = self.scales**-2
        constant = self.log_weights - self.scales.log() - 0.5 * self.means**2 * precision
        return torch.stack([constant, self.means * precision, -0.5 * precision], 2)

    def step(self, features: Tensor, known: Tensor, reg: Tensor) -> tuple[Mixtures, Tensor]:
        """One step of EM, and the log-likelihood of each column before it."""
        r = torch.bmm(self.coefficients(), features)
        top = r.amax(1, keepdim=True)
        r.sub_(top).clamp_(min=LEAST).exp_()
        total = r.sum(1, keepdim=True)
        nats = ((top + total.log())[:, 0] * known).sum(1) - 0.5 * log(2 * pi) * known.sum(1)
        r.mul_(known[:, None] / total)
        count, first, second = torch.bmm(r, features.mT).unbind(2)
        n = count.clamp(min=1e-10)
        means = torch.where(count > 1e-10, first / n, self.means)
        variance = torch.where(count > 1e-10, second / n - means**2, self.scales**2)
        weights = (n / n.sum(1, keepdim=True)).log()
        return Mixtures(weights, means, (variance.clamp(min=0) + reg).sqrt()), nats

    def joint(self, x: Tensor) -> Tensor:
        """log w_dk N(x; m_dk, s_dk^2): (N, M) -> (N, M, K)."""
        z = (x[:, :, None] - self.means) / self.scales
        return self.log_weights - self.scales.log() - 0.5 * z * z - 0.5 * log(2 * pi)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p_d(x): (N, M)."""
        return self.joint(x).logsumexp(2)
