"""Convolutional networks between images and vectors:   (B, C, H, W) -> (B, width)   and   (B, width) -> (B, C', H, W).

Every level halves each axis that is still at least 8 long (floor) and doubles the channels; the decoder goes the same
way back, and adds the row or column that an odd length lost. With 64 channels, 28x28 <-> 14x14x64 <-> 7x7x128 as in a
DCGAN (Radford et al., ICLR 2016). There is no batch norm: row i of the result must not depend on the other rows.
"""

from __future__ import annotations

from math import gcd, prod

import torch
from torch import Tensor, nn

from .mlp import activation_of

WIDEST = 512  # channels are doubled up to here


def sizes_of(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes of an image at every level, from the image itself down to less than 8 along each axis; at least two.

    >>> sizes_of(28, 65), sizes_of(3, 4)
    ([(28, 65), (14, 32), (7, 16), (7, 8), (7, 4)], [(3, 4), (3, 4)])
    """
    sizes = [(height, width)]
    while max(height, width) >= 8 or len(sizes) == 1:
        height, width = (n // 2 if n >= 8 else n for n in (height, width))
        sizes.append((height, width))
    return sizes


def widths_of(channels: int, levels: int) -> list[int]:
    """The channels of every level below the image."""
    return [min(channels * 2**i, max(channels, WIDEST)) for i in range(levels)]


def kernel_of(fine: int, coarse: int) -> tuple[int, int]:
    """Kernel and stride along one axis; a kernel of two strides covers every pixel equally often (no checkerboard)."""
    return (4, 2) if fine != coarse else (3, 1)


def norm_of(channels: int, norm: bool) -> list[nn.Module]:
    return [nn.GroupNorm(gcd(channels, 8), channels)] if norm else []


class Encoder(nn.Module):
    """(B, C, H, W) [, given (B, G)] -> (B, width).

    >>> Encoder((3, 17, 9), width=5, channels=4)(torch.zeros(2, 3, 17, 9)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int,
        given: int = 0,
        channels: int = 64,
        activation: str = "relu",
        norm: bool = False,
    ):
        super().__init__()
        sizes = sizes_of(*shape[1:])
        widths = [shape[0], *widths_of(channels, len(sizes) - 1)]
        layers: list[nn.Module] = []
        for i in range(len(sizes) - 1):
            kernels, strides = zip(*map(kernel_of, sizes[i], sizes[i + 1]), strict=True)
            layers += [nn.Conv2d(widths[i], widths[i + 1], kernels, strides, padding=1)]
            layers += [*norm_of(widths[i + 1], norm), activation_of(activation)]
        self.first = layers[0]
        # As good as `given` in constant planes beside the image, without their cost.
        self.condition = nn.Linear(given, widths[1], bias=False) if given else None
        self.rest = nn.Sequential(*layers[1:], nn.Flatten(), nn.Linear(widths[-1] * prod(sizes[-1]), width))

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.first(x)
        return self.rest(h if self.condition is None else h + self.condition(given)[:, :, None, None])


class Decoder(nn.Module):
    """(B, width) [, given (B, G)] -> (B, C', H, W), where shape is (C', H, W).

    >>> Decoder(5, (3, 17, 9), channels=4)(torch.zeros(2, 5)).shape
    torch.Size([2, 3, 17, 9])
    """

    def __init__(
        self,
        width: int,
        shape: tuple[int, int, int],
        given: int = 0,
        channels: int = 64,
        activation: str = "relu",
        norm: bool = False,
    ):
        super().__init__()
        sizes = sizes_of(*shape[1:])
        widths = [shape[0], *widths_of(channels, len(sizes) - 1)]
        self.coarse = (widths[-1], *sizes[-1])
        self.begin = nn.Linear(width + given, widths[-1] * prod(sizes[-1]))
        layers: list[nn.Module] = []
        for i in reversed(range(len(sizes) - 1)):
            kernels, strides = zip(*map(kernel_of, sizes[i], sizes[i + 1]), strict=True)
            odd = (sizes[i][0] - strides[0] * sizes[i + 1][0], sizes[i][1] - strides[1] * sizes[i + 1][1])
            layers += [
                *norm_of(widths[i + 1], norm),
                activation_of(activation),
                nn.ConvTranspose2d(widths[i + 1], widths[i], kernels, strides, padding=1, output_padding=odd),
            ]
        self.levels = nn.Sequential(*layers)

    def forward(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.begin(z if given is None else torch.cat((z, given), dim=1))
        return self.levels(h.unflatten(1, self.coarse))
