"""RealNVP on vectors: couplings, in which one half of the variables moves by a map that the other half decides.

    z_a = x_a,    z_b = (x_b - m(x_a)) exp(-s(x_a)),    log |det| = -sum s(x_a)

Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP", ICLR 2017, eqs. 4-8, https://arxiv.org/abs/1605.08803;
with splines: Durkan et al., "Neural spline flows", NeurIPS 2019 (RQ-NSF (C), with linear maps between); lecture 003
B examples of D variables:   x, z (B, D)
"""

from __future__ import annotations

from typing import ClassVar

from ...engine import Recipe
from ...maths import bijections as b
from .family import Conditioner, Flow, between, scalar_of


class RealNVP(Flow):
    """A coupling flow: one pass to score, one pass to sample.

    >>> from pushforward.data import toys
    >>> model = RealNVP(transforms=2, hidden=(16,)).fit(toys.moons(300), steps=20, quiet=True)
    >>> x = toys.moons(5, seed=1)
    >>> abs(model.decode(model.encode(x)) - x).max() < 1e-4
    np.True_
    """

    transforms: int = 6  # couplings
    hidden: tuple = (128, 128)  # widths of each conditioner
    scalar: str = "affine"  # what moves a variable: affine, spline
    bins: int = 8  # of a spline
    reach: float = 5.0  # a spline acts on [-reach, reach]
    mix: str = "none"  # between couplings, beside taking turns: none, lu (a learned linear map)
    norm: str = "act"  # between couplings: none, act (starts from the data), batch
    dropout: float = 0.0  # in the conditioners

    recipe: ClassVar[Recipe] = Recipe(steps=5000, batch=256, lr=1e-3, clip=5.0, schedule="cosine")
    small: ClassVar[dict] = {"transforms": 4, "hidden": (32, 32)}

    def build(self, space, given=None):
        self.dims_ = space.size
        links: list[b.Bijection] = []
        for turn in range(self.transforms):
            scalar = scalar_of(self.scalar, self.bins, self.reach)
            stay = b.halves(self.dims_, turn)
            net = Conditioner(
                len(stay), (self.dims_ - len(stay)) * scalar.features, given or 0, self.hidden, "relu", self.dropout
            )
            own = (
                b.Elementwise(b.Spline(self.bins, self.reach), len(stay)) if self.scalar == "spline" and stay else None
            )
            links += [*between(self.norm, self.mix, self.dims_), b.Coupling(scalar, net, self.dims_, stay, own)]
        self.flow = b.Chain([*links, *between(self.norm, "none", self.dims_)])
