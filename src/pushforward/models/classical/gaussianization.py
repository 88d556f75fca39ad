"""Iterative Gaussianization: linear maps and maps of single variables in turns, until nothing but noise is left.

    z = T_K R_K … T_1 R_1 x,   log p(x) = log N(z; 0, I) + sum_k (log |det R_k| + sum_i log T_k,i')

R_k is a linear map to white variables (independent components, principal components or a random rotation), T_k makes each variable
standard normal by itself. Chen & Gopinath, "Gaussianization", NIPS 2000, section 3, begin with R; Laparra, Camps-Valls & Malo,
"Iterative Gaussianization: from ICA to random rotations", IEEE Trans. Neural Networks 2011, eqs. 2 and 6, begin with a T.
What a layer gains in likelihood is what it takes off the total correlation C of its input (Laparra et al., eq. 9), so the gains add up:
    C(x) = sum_i H(x_i) - H(x) = sum_k (gain of layer k),   each independent variable being modelled by a T of its own

N examples of D variables, K layers, B knots:   x, z (N, D)   linear R, back R^-1 (K, D, D)   shift (K, D)   knots, slopes (K, D, B)
"""

from __future__ import annotations

from math import log, pi
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import BadData, Usage, did_you_mean
from ...maths.components import independent, whitening
from ...maths.marginals import Marginals
from ...maths.moments import Moments
from ...noise import generator, normal
from .family import Classical

CHOICES = {"order": ("linear", "marginal"), "rotation": ("ica", "pca", "random")}
STEPS = 50  # of FastICA in a layer at most: a layer that is nearly Gaussian has no direction to find
TRIES = 10  # layers in a row that are not worth their numbers before the last one worth them ends the model


class Gaussianization(Classical):
    """Rotations and maps of single variables in turns: a flow without gradients, exact both ways.

    >>> from pushforward.data import toys
    >>> x = toys.moons(1000, seed=0)
    >>> model = Gaussianization().fit(x)
    >>> bool(abs(model.decode(model.encode(x)) - x).max() < 1e-6)
    True
    """

    layers: int = 50  # K at most; layers that gain less than they cost are left out
    order: str = "linear"  # what comes first: linear (Chen & Gopinath), marginal (Laparra et al.)
    rotation: str = "ica"  # R: ica, pca, random
    bins: int = 0  # parts of the map of each variable; 0: n^(1/3), at most 64
    worth: float = 1.0  # a layer must gain this many nats, over all examples, for each of its numbers

    coordinates: ClassVar[str] = "plain"
    plates: ClassVar[str] = "N{(z) <-> [x]}; theta -> x"
    small: ClassVar[dict] = {"layers": 8}
    why_not: ClassVar[dict[str, str]] = {
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
        "complete": "a chain of maps gives no conditional in closed form. GaussianMixture completes.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        for name, known in CHOICES.items():
            if (word := getattr(self, name)) not in known:
                raise Usage(f"{name}={word!r} is not one of {', '.join(known)}.{did_you_mean(word, known)}")
        if self.layers < 1 or self.bins < 0:
            raise Usage(
                f"Gaussianization(layers={self.layers}, bins={self.bins}): at least 1 and at least 0 are awaited."
            )
        for name in ("linear", "back", "shift", "knots", "slopes", "levels"):  # their number follows from the data
            self.register_buffer(name, torch.zeros(0))

    def solve(self, x, given=None):
        y = x.flatten(1)
        if len(y) < 3:
            raise BadData(
                f"x has {len(y)} examples (n_samples={len(y)}). Three at least are needed, for there to be quantiles."
            )
        alone = float(Marginals.of(y, self.bins).log_prob(y).sum(1).mean())
        found, nats = self.climb(y)
        self.reductions_ = [b - a for a, b in zip([alone, *nats], nats, strict=False)]
        self.total_correlation_ = nats[-1] - alone
        for name, values in zip(("linear", "shift", "knots", "slopes"), zip(*found, strict=True), strict=True):
            setattr(self, name, torch.stack(values))
        self.back = torch.linalg.inv(self.linear)

    def climb(self, y: Tensor) -> tuple[list[tuple[Tensor, ...]], list[float]]:
        """The layers worth their numbers, and the mean log-likelihood after each of them."""
        found: list[tuple[Tensor, ...]] = []
        nats: list[float] = []
        kept, ladj = 1, y.new_zeros(())
        for k in range(self.layers):
            first = k == 0 and self.order == "marginal"
            linear, shift = (torch.eye(y.shape[1]).to(y), y.mean(0)) if first else self.rotated(y)
            y = (y - shift) @ linear.T
            maps = Marginals.of(y, self.bins)
            y, rise = maps.forward(y)
            ladj = ladj + torch.linalg.slogdet(linear)[1] + rise.sum(1).mean()
            found.append((linear, shift, maps.knots, maps.slopes))
            nats.append(float(ladj - 0.5 * ((y * y).sum(1).mean() + y.shape[1] * log(2 * pi))))
            self.levels = maps.levels
            numbers = maps.knots.numel() + (linear.numel() if self.rotation != "random" else 0)
            if k == 0 or nats[-1] - nats[kept - 1] > self.worth * (k + 1 - kept) * numbers / len(y):
                kept = k + 1
            elif k + 1 - kept >= TRIES:
                break
        return found[:kept], nats[:kept]

    def rotated(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """R and the mean that is taken off first."""
        seen = Moments(y.shape[1])
        seen.add(y)
        white, span = whitening(seen)
        mean = seen.mean.to(y)
        if self.rotation == "random":
            turn = torch.linalg.qr(torch.randn(len(white), len(white), generator=generator(), dtype=white.dtype))[0]
            variance = seen.covariance().diagonal()
            return (turn / torch.where(variance > 0, variance, 1.0).sqrt()).to(y), mean
        if self.rotation == "ica":
            turn = independent(white[:span].to(y) @ (y - mean).T, 1e-4, STEPS)[0]
            white[:span] = turn.to(white) @ white[:span]
        return white.to(y), mean

    def layer(self, k: int) -> Marginals:
        return Marginals(self.knots[k], self.slopes[k], self.levels)

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        y, ladj = x.flatten(1), torch.linalg.slogdet(self.linear)[1].sum()
        for k, linear in enumerate(self.linear):
            y, rise = self.layer(k).forward((y - self.shift[k]) @ linear.T)
            ladj = ladj + rise.sum(1)
        return ladj - 0.5 * ((y * y).sum(1) + y.shape[1] * log(2 * pi))

    def _encode(self, x, given=None):
        y = x.flatten(1)
        for k, linear in enumerate(self.linear):
            y, _ = self.layer(k).forward((y - self.shift[k]) @ linear.T)
        return y

    def _decode(self, z, given=None):
        for k in range(len(self.linear) - 1, -1, -1):
            z = self.layer(k).inverse(z) @ self.back[k].T + self.shift[k]
        return z

    def _sample(self, n, given=None):
        return self._decode(normal(n, self.linear.shape[1]).to(self.linear))
