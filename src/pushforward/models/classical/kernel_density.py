"""A kernel on every example.   p(x) = 1/n sum_i N(x; x_i, h^2 S)

Rosenblatt 1956; Parzen, "On estimation of a probability density function and mode", 1962; Scott, "Multivariate density estimation", 1992,
section 6.3; Silverman, "Density estimation", 1986, eq. 4.14; lecture 002.
    S: the covariance of the data (full), its diagonal, or the identity (spherical)
    h: n^(-1/(D+4)) (scott), (n (D+2)/4)^(-1/(D+4)) (silverman), or where the examples are likeliest each by all the others (cv),
           1/n sum_i log 1/(n-1) sum_j!=i N(x_i; x_j, h^2 S);     of spherical kernels the rules give h over the root of the mean variance
The likelihood of the examples themselves has no maximum: as h -> 0 each sits on a peak of its own. Left out, each needs neighbours.
    p(x_u | x_o):  example i in proportion to N(x_o; x_io, h^2 S_oo), then the conditional of its kernel

N queries, n examples of D variables:   x (N, D)   points (n, D)   centre (D,)   spread L (D, D) lower triangular, L L' = h^2 S
"""

from __future__ import annotations

from math import exp, log, pi
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import BadData, Usage, did_you_mean
from ...maths.gaussians import patterns, pick
from ...maths.kernels import Kernels
from ...noise import normal, permutation, uniform
from ...space.charts import moments
from .family import Classical

SOME = 2048  # examples that are left out in turn when h is sought
SHAPES, RULES = ("full", "diagonal", "spherical"), ("scott", "silverman", "cv")
SEARCH = (1 / 50, 5.0)  # times Scott's h
FLAT = 1e-10  # a variable of which the others explain all but this share has no kernel of its own


class KernelDensity(Classical):
    """A Gaussian bump on every example: a density that needs no training and forgets nothing.

    >>> from pushforward.data import toys
    >>> model = KernelDensity(rule="cv").fit(toys.moons(500))
    >>> bool(model.leave_one_out() > KernelDensity().fit(toys.moons(500)).leave_one_out())
    True
    """

    bandwidth: float = 0.0  # h, in standard deviations of the data (spherical: in their unit); 0 by the rule
    rule: str = "scott"  # where bandwidth is 0: scott, silverman, cv (leaving one out)
    covariance: str = "full"  # of the kernel: full, diagonal, spherical

    coordinates: ClassVar[str] = "plain"
    why_not: ClassVar[dict[str, str]] = {
        "encode": "which example it is near is not a code of it.",
        "decode": "which example it is near is not a code of it.",
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        for name, said, known in (("rule", self.rule, RULES), ("covariance", self.covariance, SHAPES)):
            if said not in known:
                raise Usage(f"{name}={said!r} is not one of {', '.join(known)}.{did_you_mean(said, known)}")
        if self.bandwidth < 0:
            raise Usage(f"bandwidth={self.bandwidth}: a number above 0 is awaited, or 0 for the rule.")
        d = space.size
        for name, shape in (("points", (0, d)), ("centre", (d,)), ("spread", (d, d)), ("width", ())):
            self.register_buffer(name, torch.zeros(shape))

    def solve(self, x, given=None):
        x = x.flatten(1)
        if len(x) < 2:
            raise BadData(f"x has {len(x)} examples (n_samples={len(x)}). A kernel's width needs two at least.")
        self.points, unit = x.clone(), self.unit(x)
        self.centre.copy_(x.mean(0))
        self.spread.copy_(unit)
        self.width.copy_(torch.as_tensor(self.bandwidth or self.chosen(x)))
        self.spread.mul_(self.width)

    def unit(self, x: Tensor) -> Tensor:
        """L of S: the kernel of h = 1. A column that never varies has scale 1."""
        scale = moments(x)[1] * (len(x) / (len(x) - 1)) ** 0.5
        if self.covariance != "full":
            return torch.diag(scale if self.covariance == "diagonal" else torch.ones_like(scale))
        y = (x - x.mean(0)) / scale
        correlation = y.T @ y / (len(x) - 1)
        correlation.diagonal().clamp_(min=1.0)
        factor, wrong = torch.linalg.cholesky_ex(correlation)
        if int(wrong) or float(factor.diagonal().min()) ** 2 < FLAT:
            at = int(factor.diagonal().argmin()) if not int(wrong) else int(wrong) - 1
            raise BadData(
                f"Variable {at} is a linear function of those before it, or {len(x)} examples are too few for {x.shape[1]} "
                "variables: a kernel of this covariance is flat. Say covariance='diagonal', or leave columns out."
            )
        return scale[:, None] * factor

    def chosen(self, x: Tensor) -> float:
        n, d = x.shape
        unit = 1.0 if self.covariance != "spherical" else float(moments(x)[1].square().mean().sqrt())
        scott = unit * n ** (-1 / (d + 4))
        if self.rule != "cv":
            return scott if self.rule == "scott" else unit * (n * (d + 2) / 4) ** (-1 / (d + 4))
        from scipy.optimize import minimize_scalar

        ends = [log(scott * times) for times in SEARCH]
        some = permutation(n)[:SOME].to(x.device)
        y = self.whitened(x)
        found = minimize_scalar(lambda h: -left_out(y, some, h), bounds=ends, method="bounded", options={"xatol": 1e-3})
        if found.x < ends[0] + 0.01 * (ends[1] - ends[0]):
            raise BadData(
                "Each example is likeliest by the others with a width of next to nothing, as where rows are repeated: there "
                "is no best one. Give bandwidth=, or leave out repeated rows."
            )
        return exp(found.x)

    @property  # type: ignore[misc]
    def footprint(self) -> int:  # type: ignore[override]
        return 64 + 4 * len(self.points) // max(1, len(self.centre))

    def whitened(self, x: Tensor) -> Tensor:
        """L^-1 (x - centre)"""
        return torch.linalg.solve_triangular(self.spread, (x - self.centre).T, upper=False).T.contiguous()

    def leave_one_out(self) -> float:
        """The mean of log p(x_i) by all the other examples: what the likelihood of the examples would like to be."""
        y = self.whitened(self.points)
        return left_out(y, torch.arange(len(y), device=y.device), 0.0) - float(self.spread.diagonal().log().sum())

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        (n, d), kernels = self.points.shape, Kernels(self.whitened(self.points))
        nats = kernels.log_sum(self.whitened(x.flatten(1))) - log(n) - 0.5 * d * log(2 * pi)
        return nats - self.spread.diagonal().log().sum()

    def _sample(self, n, given=None):
        u, e = uniform(n, 1)[:, 0].to(self.points), normal(n, len(self.centre)).to(self.points)
        return self.points[(u * len(self.points)).long()] + e @ self.spread.T

    def _complete(self, x, known, given=None):
        x, known = x.flatten(1), known.flatten(1)
        u, e = uniform(len(x), 1)[:, 0].to(x), normal(len(x), len(self.centre)).to(x)
        out = x.clone()
        for rows, o in patterns(known):
            order, count = torch.cat([o.nonzero()[:, 0], (~o).nonzero()[:, 0]]), int(o.sum())
            factor = torch.linalg.cholesky(self.spread[order] @ self.spread[order].T)
            inner, cross, outer = factor[:count, :count], factor[count:, :count], factor[count:, count:]
            asked, there = (
                torch.linalg.solve_triangular(inner, (y - self.centre)[:, o].T, upper=False).T
                for y in (x[rows], self.points)
            )
            k = pick(torch.cat([*Kernels(there).exponents(asked)], 1).softmax(1), u[rows])
            new = self.points[k][:, ~o] + (asked - there[k]) @ cross.T + e[rows][:, ~o] @ outer.T
            out[rows] = out[rows].masked_scatter(~o.expand(len(rows), -1), new)
        return out


def left_out(y: Tensor, some: Tensor, log_h: float) -> float:
    """Mean of log 1/(n-1) sum_j!=i N(y_i; y_j, h^2) over some i, in coordinates in which the kernel is round."""
    n, d = y.shape
    z = y * exp(-log_h)
    nats = Kernels(z).log_sum(z[some], some) - log(n - 1) - d * (log_h + 0.5 * log(2 * pi))
    return float(nats.mean())
