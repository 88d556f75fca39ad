"""Every variable by itself, through a scalar map with learned parameters.     z_i = f(x_i; p_i)

Kandasamy's lecture on flows: an elementwise flow, its Jacobian diagonal. With `AffineScalar` it is a diagonal affine map.
B rows of shape S:   x, z (B, *S)   p (*S, F)   log-Jacobian (B,)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import Bijection, total
from .scalar import Scalar


class Elementwise(Bijection):
    """The scalar map on each variable of rows of shape `shape`; it starts as the identity.

    >>> from .scalar import Spline
    >>> x = torch.tensor([[0.5, 9.0]])
    >>> torch.allclose(Elementwise(Spline(), 2)(x)[0], x)
    True
    """

    def __init__(self, scalar: Scalar, *shape: int):
        super().__init__()
        self.scalar = scalar
        self.parameter = nn.Parameter(torch.zeros(*shape, scalar.features))

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, ladj = self.scalar(x, self.parameter[None])
        return z, total(ladj)

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, ladj = self.scalar.inverse(z, self.parameter[None])
        return x, total(ladj)
