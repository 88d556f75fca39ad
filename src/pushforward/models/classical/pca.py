"""Probabilistic principal component analysis.   x = m + W z + noise,   z ~ N(0, I),   noise ~ N(0, s2 I)

Tipping & Bishop, "Probabilistic principal component analysis", J. R. Stat. Soc. B, 1999, eqs. 6-9; lecture 003.
With eigenvalues l_1 >= l_2 >= … of the covariance and eigenvectors u_i, the maximum of the likelihood is in closed form:
    s2 = mean of the discarded l_i,   W = U (diag(l) - s2)^1/2,   p(x) = N(m, W W' + s2 I)
    E[z | x] = (W'W + s2)^-1 W'(x - m);   decode(encode(x)) shrinks the i-th direction by 1 - s2 / l_i
    z | x_o  ~ N(A^-1 W_o'(x_o - m_o), s2 A^-1),   A = W_o'W_o + s2      of the known variables o alone
The likelihood is largest with a covariance divided by n (correction=0); scikit-learn's PCA divides by n - 1 (correction=1).

N examples of D variables, L directions:   x (N, D)   mean (D,)   directions U (D, L)   variances l (L,)   z (N, L)
"""

from __future__ import annotations

from math import log, pi
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import BadData, Usage
from ...noise import normal
from .family import Classical

FLOOR = 1e-9  # of the mean variance: less than this is no variance that a density can have


class PCA(Classical):
    """Probabilistic PCA, a linear-Gaussian model in closed form: exact density, codes and completion.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(500, 1)) * [[3.0, 4.0]]
    >>> model = PCA(latent=1).fit(x + [[7.0, 7.0]])
    >>> abs(model.directions[:, 0]).round(decimals=2).tolist()
    [0.6, 0.8]
    """

    latent: int = 2  # L, directions kept; no more than there are variables
    correction: int = 1  # the covariance is divided by n - correction

    coordinates: ClassVar[str] = "plain"
    kinds: ClassVar[dict[str, str]] = {"encode": "posterior mean", "decode": "mean"}
    small: ClassVar[dict] = {"latent": 1}
    why_not: ClassVar[dict[str, str]] = {
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
    }

    def build(self, space, given=None):
        if given:
            raise Usage(
                "PCA is not conditional. Fit it on all columns together: complete() then draws some given the others."
            )
        if self.latent < 1 or self.correction not in (0, 1):
            raise Usage(
                f"PCA(latent={self.latent}, correction={self.correction}): a latent of at least 1 and a correction of 0 or 1 are awaited."
            )
        d = space.size
        for name, shape in (
            ("mean", (d,)),
            ("directions", (d, self.width(d))),
            ("variances", (self.width(d),)),
            ("noise", ()),
        ):
            self.register_buffer(name, torch.zeros(shape))

    def width(self, d: int) -> int:
        return min(self.latent, d)  # D directions span everything

    def solve(self, x, given=None):
        x = x.flatten(1)
        if len(x) < 2:
            raise BadData(
                f"x has {len(x)} examples (n_samples={len(x)}). PCA needs two at least, for there to be a variance."
            )
        if bool((gone := torch.isnan(x).any(0)).any()):
            raise BadData(
                f"{int(gone.sum())} columns have missing cells, the first is number {int(gone.nonzero()[0])}; the closed form of PCA needs whole rows. "
                "Drop those rows or columns, or fit GaussianMixture(components=1), which takes missing cells."
            )
        self.mean.copy_(x.mean(0))
        values, vectors = spectrum(x - self.mean, len(x) - self.correction)
        d, kept = x.shape[1], len(self.variances)
        floor = FLOOR * (float(values.mean()) or float((self.mean**2).mean()) or 1.0)
        # Where nothing is discarded the smallest variance is the noise: the same Gaussian, written in the same form.
        self.noise.copy_(values[min(kept, d - 1) :].mean().clamp(min=floor))
        self.variances.copy_(values[:kept].clamp(min=float(self.noise)))
        self.directions.copy_(vectors[:, :kept])

    @property  # type: ignore[misc]
    def footprint(self) -> int:  # type: ignore[override]
        return 16 + 4 * self.latent

    @property
    def weights(self) -> Tensor:
        """W (D, L)."""
        return self.directions * (self.variances - self.noise).sqrt()

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        d = len(self.mean)
        y = x.flatten(1) - self.mean
        along = y @ self.directions
        across = y - along @ self.directions.T
        logdet = self.variances.log().sum() + (d - len(self.variances)) * self.noise.log()
        return -0.5 * ((along**2 / self.variances).sum(1) + (across**2).sum(1) / self.noise + logdet + d * log(2 * pi))

    def _encode(self, x, given=None):
        return (x.flatten(1) - self.mean) @ (self.weights / self.variances)

    def _decode(self, z, given=None):
        return self.mean + z @ self.weights.T

    def _sample(self, n, given=None):
        z, e = (normal(n, size).to(self.mean) for size in (len(self.variances), len(self.mean)))
        return self._decode(z) + self.noise.sqrt() * e

    def _complete(self, x, known, given=None):
        w, size = self.weights, len(self.variances)
        e, f = (normal(len(x), size).to(w) for size in (size, len(self.mean)))
        o = known.flatten(1).to(w.dtype)
        # A (N, L, L): the sum over each row's known variables of w_d w_d'.
        a = (o @ (w[:, :, None] * w[:, None]).flatten(1)).view(-1, size, size)
        factor = torch.linalg.cholesky(a + self.noise * torch.eye(size, dtype=w.dtype, device=w.device))
        mean = torch.cholesky_solve((((x.flatten(1) - self.mean) * o) @ w)[:, :, None], factor)
        z = mean + self.noise.sqrt() * torch.linalg.solve_triangular(factor.mT, e[:, :, None], upper=True)
        return self._decode(z[:, :, 0]) + self.noise.sqrt() * f


def spectrum(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """All D eigenvalues of x'x / count, largest first, and their eigenvectors (D, D); zeros stand for those that n < D rows leave open."""
    d = x.shape[1]
    if len(x) < d:
        _, scales, rows = torch.linalg.svd(x, full_matrices=False)
        values, vectors = scales**2 / count, rows.T
        vectors = vectors * (values > 1e-14 * values[0])
    else:
        values, vectors = torch.linalg.eigh(x.T @ x / count)
        values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    # An eigenvector has no sign of its own: its largest entry is made positive.
    vectors = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    gap = d - len(values)
    return torch.nn.functional.pad(values, (0, gap)), torch.nn.functional.pad(vectors, (0, gap))
