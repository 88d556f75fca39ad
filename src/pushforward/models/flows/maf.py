"""Masked autoregressive flows: each variable moves by a map that the variables before it decide.

    z_i = f(x_i; m_i(x_<i)),    affine: z_i = (x_i - m_i) exp(-s_i),    or a rational-quadratic spline

Papamakarios, Pavlakou, Murray, "Masked autoregressive flow for density estimation", NeurIPS 2017, eqs. 3-6 and §3.1,
https://arxiv.org/abs/1705.07057; with splines: Durkan et al., "Neural spline flows", NeurIPS 2019 (RQ-NSF (AR)); lecture 003
B examples of D variables:   x, z (B, D)
"""

from __future__ import annotations

from typing import ClassVar

from ... import noise
from ...engine import Recipe
from ...errors import Usage, did_you_mean
from ...maths import bijections as b
from ...nets.masked import MaskedNet
from .family import Flow, between, scalar_of


class MAF(Flow):
    """An autoregressive flow: one pass to score; sampling uses every weight once, so it costs about a pass too.

    >>> from pushforward.data import toys
    >>> model = MAF(transforms=2, hidden=(16,)).fit(toys.moons(300), steps=20, quiet=True)
    >>> x = toys.moons(5, seed=1)
    >>> abs(model.decode(model.encode(x)) - x).max() < 1e-4
    np.True_
    """

    transforms: int = 5  # autoregressive layers
    hidden: tuple = (128, 128)  # widths of each masked network
    scalar: str = "affine"  # what moves a variable: affine, spline
    bins: int = 8  # of a spline
    reach: float = 5.0  # a spline acts on [-reach, reach]
    order: str = "reverse"  # from layer to layer: reverse, random, same
    mix: str = "none"  # between layers: none, lu (a learned linear map)
    norm: str = "act"  # between layers: none, act (starts from the data), batch (the paper's)

    recipe: ClassVar[Recipe] = Recipe(steps=5000, batch=256, lr=1e-3, clip=5.0, schedule="cosine")
    small: ClassVar[dict] = {"transforms": 3, "hidden": (32, 32)}

    def build(self, space, given=None):
        self.dims_ = space.size
        links: list[b.Bijection] = []
        for turn in range(self.transforms):
            scalar = scalar_of(self.scalar, self.bins, self.reach)
            net = MaskedNet(self.dims_, self.hidden, (scalar.features,) * self.dims_, self.turn_order(turn), given or 0)
            links += [*between(self.norm, self.mix, self.dims_), b.Autoregressive(scalar, net)]
        self.flow = b.Chain([*links, *between(self.norm, "none", self.dims_)])

    def turn_order(self, turn: int) -> list[int]:
        """The order of one layer."""
        forwards = list(range(self.dims_))
        known = {
            "reverse": forwards[::-1] if turn % 2 else forwards,
            "random": noise.permutation(self.dims_).tolist() if turn else forwards,
            "same": forwards,
        }
        if self.order not in known:
            raise Usage(f"order={self.order!r} is not one of {', '.join(known)}.{did_you_mean(self.order, known)}")
        return known[self.order]
