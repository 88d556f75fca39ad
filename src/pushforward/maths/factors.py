"""A Gaussian of few directions and a noise of its own for each variable:   x = m + W z + e,   z ~ N(0, I),   e ~ N(0, diag p)

Of the known variables o of a row alone, with y = x - m:
    z | x_o ~ N(A^-1 W_o' P_o^-1 y_o, A^-1),   A = I + W_o' P_o^-1 W_o
    log N(x_o) = -1/2 (sum_o (y - W z)^2 / p + |z|^2 + log |A| + sum_o log p + O log 2 pi),   z the posterior mean
The square is written as two sums of squares, so that nothing cancels where the noise is small.

EM with gaps (Rubin & Thayer, "EM algorithms for ML factor analysis", 1982, and for gaps each variable's regression over the rows
that know it); after each step the posterior moments of z are made those of the prior (parameter expansion: Liu, Rubin & Wu,
"Parameter expansion to accelerate EM", 1998), which is far quicker where the noise is small and never goes down either.

N rows of D variables, L directions, O known:   x, known (N, D)   m, p (D,)   W (D, L)   z (N, L)   A (L, L), or (N, L, L) with gaps
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor

from .gaussians import cells

HELD = 1 << 22  # numbers of posterior moments that a step of EM holds at once


@dataclass
class Factors:
    """Mean, weights and noise.

    >>> one = Factors(torch.zeros(2), torch.tensor([[1.0], [1.0]]), torch.ones(2))
    >>> x, known = torch.tensor([[3.0, 0.0]]), torch.tensor([[True, False]])
    >>> round(one.infer(x)[1].item(), 3), round(one.infer(x, known)[1].item(), 3)
    (1.0, 1.5)
    """

    mean: Tensor
    weights: Tensor
    noise: Tensor

    def infer(self, x: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """log N(x_o), the posterior mean of z and the Cholesky factor of its precision A."""
        w, p = self.weights, self.noise
        slope, one = w / p[:, None], torch.eye(w.shape[1], dtype=w.dtype, device=w.device)
        if known is None:
            y, o = x - self.mean, torch.ones_like(p)
            factor = torch.linalg.cholesky(one + w.T @ slope)
            z = torch.cholesky_solve((y @ slope).T, factor).T
        else:
            y, o = torch.where(known, x - self.mean, 0.0), known.to(w.dtype)
            pairs = (slope[:, :, None] * w[:, None]).flatten(1)  # of each variable, what it adds to A
            factor = torch.linalg.cholesky(one + (o @ pairs).unflatten(1, one.shape))
            z = torch.cholesky_solve((y @ slope)[:, :, None], factor)[:, :, 0]
        square = ((y - o * (z @ w.T)) ** 2 / p).sum(1) + (z**2).sum(1)
        logdet = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + o @ p.log()
        return -0.5 * (square + logdet + o.sum(-1) * log(2 * pi)), z, factor

    def log_prob(self, x: Tensor, gone: Tensor) -> Tensor:
        """log p(x) of rows whose missing cells are NaN; variable d is lost with probability gone_d."""
        known = ~torch.isnan(x)
        whole = bool(known.all())
        return self.infer(x, None if whole else known)[0] + cells(known, gone)

    def fill(self, x: Tensor, known: Tensor, e: Tensor, f: Tensor) -> Tensor:
        """x with what is not known drawn from p(unknown | known): normals e (N, L) and f (N, D) are pushed forward."""
        _, z, factor = self.infer(x, known)
        z = z + torch.linalg.solve_triangular(factor.mT, e[:, :, None], upper=True)[:, :, 0]
        return torch.where(known, x, self.mean + z @ self.weights.T + self.noise.sqrt() * f)


class Climb:
    """EM over rows with gaps; with `alike` all variables have the same noise."""

    def __init__(self, x: Tensor, alike: bool, floor: Tensor):
        whole = ~torch.isnan(x).any(1)
        self.parts: list[tuple[Tensor, Tensor | None]] = [(x[whole], None)] if whole.any() else []
        self.parts += [(x[~whole].nan_to_num(), ~torch.isnan(x[~whole]))] if not whole.all() else []
        self.alike, self.floor, self.count = alike, floor, len(x)

    def step(self, now: Factors) -> tuple[Factors, float]:
        """One step: the next parameters, and the log-likelihood a row of the present ones."""
        (d, l), new = now.weights.shape, now.weights.new_zeros
        second, first, square, rows = new(d, l + 1, l + 1), new(d, l + 1), new(d), new(d)
        prior, nats = new(l + 1, l + 1), 0.0
        for x, known in self.blocks(l):
            found, z, factor = now.infer(x, known)
            z = torch.cat([z, torch.ones_like(z[:, :1])], 1)  # the mean is the weight of a 1
            spread = torch.nn.functional.pad(torch.cholesky_inverse(factor), (0, 1, 0, 1))
            nats += float(found.sum())
            if known is None:
                part, o = z.T @ z + len(x) * spread, torch.ones_like(x)
                second, prior = second + part, prior + part
            else:
                moments, o = spread + z[:, :, None] * z[:, None], known.to(z.dtype)
                second += (o.T @ moments.flatten(1)).view_as(second)
                prior = prior + moments.sum(0)
            y = x * o
            first, square, rows = first + y.T @ z, square + (y * y).sum(0), rows + o.sum(0)
        slopes = torch.linalg.solve(second, first[:, :, None])[:, :, 0]
        rest = (square - (slopes * first).sum(1)).clamp(min=0)
        noise = (rest.sum() / rows.sum()).expand(d) if self.alike else rest / rows
        return self.expanded(slopes, torch.maximum(noise, self.floor), prior / self.count), nats / self.count

    def blocks(self, l: int):
        for x, known in self.parts:
            size = len(x) if known is None else max(64, HELD // (l + 1) ** 2)
            yield from zip(x.split(size), [None] if known is None else known.split(size), strict=True)

    def expanded(self, slopes: Tensor, noise: Tensor, prior: Tensor) -> Factors:
        """The same law with z standard normal again: z had mean v and covariance K, so m + W v and W K^1/2 take over."""
        weights, mean, centre = slopes[:, :-1], slopes[:, -1], prior[-1, :-1]
        root = torch.linalg.cholesky(prior[:-1, :-1] - centre[:, None] * centre)
        return Factors(mean + weights @ centre, weights @ root, noise)


def climb(
    x: Tensor, start: Factors, alike: bool, floor: Tensor, tolerance: float, iterations: int
) -> tuple[Factors, list[float]]:
    """EM until a step gains less than `tolerance` nats a row: the last parameters, and the log-likelihood a row before each step."""
    em, nats, now = Climb(x, alike, floor), [], start
    for _ in range(iterations):
        now, before = em.step(now)
        nats.append(before)
        if len(nats) > 1 and abs(nats[-1] - nats[-2]) < tolerance:
            break
    return now, nats
