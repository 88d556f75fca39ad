"""Autoregressive maps: each variable moves by a map whose parameters a masked network reads off the variables before it.

    z_i = f(x_i; net_i(x_<i, given)),   log|det| = sum_i log|f'(x_i)|,   the Jacobian is triangular in the order of the net

Papamakarios et al., "Masked autoregressive flow", NeurIPS 2017, eqs. 3-6; `Inverse` of it is Kingma et al., "Improved variational
inference with inverse autoregressive flow", NeurIPS 2016. With splines: Durkan et al., "Neural spline flows", NeurIPS 2019.
One pass goes from data to noise. The way back goes variable by variable through `MaskedNet.step`, which uses every weight once,
so that it too costs about one pass. Its gradient is that of the implicit function: dx = J^-1 (dz - df), J the Jacobian of f.
B rows of D variables, F features a scalar:   x, z (B, D)   net: (B, D) -> (B, D F)   log-Jacobian (B,)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...nets.masked import MaskedNet
from .base import Bijection, total
from .scalar import Scalar


class Autoregressive(Bijection):
    """The scalar map, conditioned by a masked network with `widths = (scalar.features,) * D`. It starts as the identity.

    >>> from .scalar import AffineScalar
    >>> map = Autoregressive(AffineScalar(), MaskedNet(3, (16,), (2, 2, 2)))
    >>> x = torch.randn(5, 3)
    >>> torch.allclose(map.inverse(map(x)[0])[0], x)
    True
    """

    def __init__(self, scalar: Scalar, net: MaskedNet):
        super().__init__()
        self.scalar, self.net = scalar, net
        torch.nn.init.zeros_(net.output.weight)
        torch.nn.init.zeros_(net.output.bias)

    def moved(self, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """z, and the logarithms of the diagonal of the Jacobian, both (B, D)."""
        p = self.net(x, given).to(x.dtype).unflatten(1, (x.shape[1], self.scalar.features))
        return self.scalar(x, p)

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, ladj = self.moved(x, given)
        return z, total(ladj)

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, ladj = self.solve(z, given)
        sources = [w for w in (z, given, *self.parameters()) if w is not None]
        if not torch.is_grad_enabled() or not any(w.requires_grad for w in sources):
            return x, ladj
        x = Implicit.apply(x, z - self.moved(x, given)[0], self.pull(x, given))
        return x, -self(x, given)[1]

    @torch.no_grad()
    def solve(self, z: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """The inverse without a graph, one step a variable."""
        partial = self.net.start(len(z), given)
        columns = z.T.contiguous().unbind()
        found, ladjs = list(columns), list(columns)
        x = None
        for i, d in enumerate(self.net.sequence):
            found[d], ladjs[d] = self.scalar.inverse(columns[d], partial.step(i, x))
            x = found[d]
        return torch.stack(found, 1), torch.stack(ladjs).sum(0)

    @torch.enable_grad()
    def pull(self, x: Tensor, given: Tensor | None) -> Callable[[Tensor], Tensor]:
        """v (B, D) -> J^-T v at x. J is triangular, so each round of v <- v + (g - J^T v) / diag J settles one more variable."""
        x = x.detach().requires_grad_()
        z, ladj = self.moved(x, None if given is None else given.detach())
        diagonal, least = ladj.detach().exp(), torch.finfo(x.dtype).eps

        def solve(g: Tensor) -> Tensor:
            v = g / diagonal
            for _ in range(x.shape[1] - 1):
                change = (g - torch.autograd.grad(z, x, v, retain_graph=True)[0]) / diagonal
                v = v + change
                if change.abs().max() <= least * v.abs().max():
                    break
            return v

        return solve


class Implicit(torch.autograd.Function):
    """x + residual, where x was found without a graph, residual = z - f(x) is zero, and `pull` brings its gradient back.

    It has no second derivatives, and says so when they are asked for.
    """

    @staticmethod
    def forward(ctx, x: Tensor, residual: Tensor, pull: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.pull = pull
        return x + residual

    @staticmethod
    @once_differentiable
    def backward(ctx, g: Tensor) -> tuple[None, Tensor, None]:
        return None, ctx.pull(g), None
