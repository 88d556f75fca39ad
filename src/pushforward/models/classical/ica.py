"""Independent component analysis as a density.   p(x) = |det W| prod_i p_i(s_i),   s = W (x - m)

The sources s are found by FastICA (Hyvärinen & Oja, "Independent component analysis: algorithms and applications", Neural Networks
2000, section 6; maths/components.py), each source's density p_i is that of an increasing map to a normal (maths/marginals.py).
At most one source may be Gaussian: rotations of two such have the same law. Order, sign and size of sources are not identified
either; here their variance is 1, the one that explains most variance comes first, its largest weight is positive.

N examples of D variables:   x, s (N, D)   mean (D,)   unmix W, mixing W^-1 (D, D)   knots, slopes (D, B)   levels (B,)
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ...errors import BadData, Usage
from ...maths.components import independent, whitening
from ...maths.marginals import Marginals
from ...maths.moments import Moments
from ...noise import normal
from .family import Classical


class ICA(Classical):
    """Independent sources, linearly mixed: the axes along which data are least like a Gaussian.

    >>> import numpy as np
    >>> s = np.random.default_rng(0).uniform(-1, 1, size=(2000, 2))
    >>> model = ICA().fit(s @ [[2.0, 1.0], [1.0, 1.0]])
    >>> found = model.encode(s @ [[2.0, 1.0], [1.0, 1.0]])
    >>> np.abs(np.corrcoef(found.T, s.T)[:2, 2:]).max(0).round(2)      # each source is one of those found
    array([1., 1.])
    """

    bins: int = 0  # parts of each source's density; 0: n^(1/3), at most 64
    tolerance: float = 1e-4  # turn of the sources (1 - cosine) below which they stand still
    iterations: int = 200  # steps of FastICA at most

    coordinates: ClassVar[str] = "plain"
    plates: ClassVar[str] = "N{(s) <-> [x]}; theta -> x"
    why_not: ClassVar[dict[str, str]] = {
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
        "complete": "given some variables, its sources depend on each other in a way that has no closed form. GaussianMixture completes.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        if self.iterations < 1 or self.bins < 0:
            raise Usage(f"ICA(iterations={self.iterations}, bins={self.bins}): at least 1 and at least 0 are awaited.")
        d = space.size
        for name, shape in (("mean", (d,)), ("unmix", (d, d)), ("mixing", (d, d))):
            self.register_buffer(name, torch.zeros(shape))
        for name in ("knots", "slopes", "levels"):  # their number follows from the data
            self.register_buffer(name, torch.zeros(0))

    def solve(self, x, given=None):
        x = x.flatten(1)
        if len(x) < 2:
            raise BadData(
                f"x has {len(x)} examples (n_samples={len(x)}). ICA needs two at least, for there to be a variance."
            )
        seen = Moments(x.shape[1])
        seen.add(x)
        centred = (x - seen.mean.to(x)).T  # (D, N)
        unmix = self.turned(centred, seen)
        self.mean.copy_(seen.mean)
        self.unmix.copy_(unmix)
        self.mixing.copy_(torch.linalg.inv(unmix))
        maps = Marginals.of((self.unmix @ centred).T, self.bins)
        self.knots, self.slopes, self.levels = maps.knots, maps.slopes, maps.levels

    def turned(self, centred: Tensor, seen: Moments) -> Tensor:
        """W: the sources of unit variance, the strongest first. What does not vary is left as it is."""
        white, span = whitening(seen)
        rotation, self.steps_, self.turn_ = independent(
            white[:span].to(centred) @ centred, self.tolerance, self.iterations
        )
        white[:span] = rotation.to(white) @ white[:span]
        mixing = torch.linalg.inv(white)
        signs = mixing.gather(0, mixing.abs().argmax(0, keepdim=True)).sign()[0]
        order = mixing.square().sum(0).argsort(descending=True)
        return (white * signs[:, None])[order]

    @property
    def maps(self) -> Marginals:
        return Marginals(self.knots, self.slopes, self.levels)

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        return self.maps.log_prob(self._encode(x)).sum(1) + torch.linalg.slogdet(self.unmix)[1]

    def _encode(self, x, given=None):
        return (x.flatten(1) - self.mean) @ self.unmix.T

    def _decode(self, z, given=None):
        return self.mean + z @ self.mixing.T

    def _sample(self, n, given=None):
        return self._decode(self.maps.inverse(normal(n, len(self.mean)).to(self.mean)))
