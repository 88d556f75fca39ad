"""Steps of multi-scale flows over images: space to channels, and factoring half of them out.

A factored-out part is noise already: a bijection of the whole before the split (a `Coupling` that moves those channels) has given it
the density it has given the rest. Everything ends in one flat row of noise with as many numbers as the image, so a multi-scale
flow is a bijection like any other, and `inverse(forward(x)) = x`.
Dinh et al., "Density estimation using Real NVP", ICLR 2017, sections 3.6 and 3.7; Kingma & Dhariwal, "Glow", 2018, section 3.
B images of C channels, H by W:   x (B, C, H, W)   z (B, C, H, W) or (B, C H W)   log-Jacobian (B,)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Bijection, constant
from .coupling import Coupling
from .scalar import AffineScalar


class Squeeze(Bijection):
    """Every 2 x 2 square of pixels becomes one pixel of four times the channels.

    >>> Squeeze()(torch.zeros(1, 3, 8, 8))[0].shape
    torch.Size([1, 12, 4, 4])
    """

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return F.pixel_unshuffle(x, 2), constant(x)

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return F.pixel_shuffle(z, 2), constant(z)


class Flatten(Bijection):
    """(B, C, H, W) -> (B, C H W), and back: the end of a flow over images.

    >>> Flatten(3, 4, 4)(torch.zeros(2, 3, 4, 4))[0].shape
    torch.Size([2, 48])
    """

    def __init__(self, *shape: int):
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flatten(1), constant(x)

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z.unflatten(1, self.shape), constant(z)


class Split(Bijection):
    """Half of the channels are done, the rest go on through `inner`, which ends flat: (B, C, H, W) -> (B, C H W).

    With a `net`, (B, C - C // 2, H, W) -> (B, 2 (C // 2), H, W), the half that leaves is Gaussian given the half that stays:
    its mean and log deviation side by side, channel by channel.

    >>> split = Split((4, 2, 2), inner=Flatten(2, 2, 2), net=nn.Conv2d(2, 4, 1))
    >>> split(torch.randn(5, 4, 2, 2))[0].shape
    torch.Size([5, 16])
    """

    def __init__(self, shape: tuple[int, ...], inner: Bijection, net: nn.Module | None = None):
        super().__init__()
        self.done = (shape[0] // 2, *shape[1:])
        self.stay = shape[0] - self.done[0]
        self.inner = inner
        self.prior = None if net is None else Coupling(AffineScalar(), net, shape[0], range(self.stay))

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        ladj = constant(x)
        if self.prior is not None:
            x, ladj = self.prior(x, given)
        rest, more = self.inner(x[:, : self.stay], given)
        return torch.cat([rest, x[:, self.stay :].flatten(1)], 1), ladj + more

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        done = torch.Size(self.done).numel()
        rest, ladj = self.inner.inverse(z[:, :-done], given)
        x = torch.cat([rest, z[:, -done:].unflatten(1, self.done)], 1)
        if self.prior is None:
            return x, ladj
        x, more = self.prior.inverse(x, given)
        return x, ladj + more
