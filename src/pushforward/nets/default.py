"""The network that a space asks for, when the user asks for none: into a vector, and out of one.

    into(space, width)              (B, *space) [, given (B, G)] -> (B, width)
    out_of(width, space, features)  (B, width)  [, given (B, G)] -> (B, features)      variable-major

A perceptron for vectors, tables and small images, convolutions for images of at least 16x16, a transformer that sees
both ways for tokens. `hidden` sizes all three: it is the widths of the perceptron; a quarter of the first (into) or of
the last (out of) is the channels of a convolution's finest level; a transformer has that width, and a layer for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import Usage, did_you_mean
from .attention import Trunk
from .convolution import Decoder, Encoder
from .mlp import mlp

NETS = ("auto", "mlp", "conv", "transformer")


class Features(nn.Module):
    """An example of a space as numbers of a size that a network takes well.

    real and binary stay, 0 … K-1 go to [-1, 1], tokens become one-hot (B, T, V). Columns of a table: the numbers that
    are always there, those that may be missing (0 where they are), which of these are missing, and the codes one-hot.

    >>> from pushforward.space import Space
    >>> Features(Space("levels", (3,), 5))(torch.tensor([[0, 2, 4]]))
    tensor([[-1.,  0.,  1.]])
    """

    unit: Tensor
    always: Tensor
    sometimes: Tensor
    source: Tensor
    code: Tensor

    def __init__(self, space: Any):
        super().__init__()
        self.kind, self.levels = space.kind, space.levels
        self.width = space.size * (space.levels if space.kind == "tokens" else 1)
        self.keep(unit=torch.tensor(2 / (space.levels - 1) if space.kind == "levels" and space.levels > 1 else 1.0))
        if space.kind == "table":
            columns = list(enumerate(space.columns))
            codes = [(j, k) for j, c in columns if c.discrete for k in range(c.size)]
            self.keep(
                always=torch.tensor([j for j, c in columns if not c.discrete and not c.missing], dtype=torch.long),
                sometimes=torch.tensor([j for j, c in columns if not c.discrete and c.missing], dtype=torch.long),
                source=torch.tensor([j for j, _ in codes], dtype=torch.long),
                code=torch.tensor([k for _, k in codes], dtype=torch.long),
            )
            self.width = len(self.always) + 2 * len(self.sometimes) + len(self.code)

    def keep(self, **constants: Tensor) -> None:
        # They follow the network to its device and dtype; the space says them, so the saved weights need not.
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "table":
            return self.table(x)
        if self.kind == "tokens":
            return F.one_hot(x, self.levels).to(self.unit.dtype)
        x = x.to(self.unit.dtype)
        return x * self.unit - 1 if self.kind == "levels" else x

    def table(self, x: Tensor) -> Tensor:
        numbers = x.index_select(1, self.always)
        maybe = x.index_select(1, self.sometimes)
        gone = torch.isnan(maybe)
        codes = x.index_select(1, self.source).eq(self.code)
        parts = (numbers, maybe.masked_fill(gone, 0.0), gone, codes)
        return torch.cat([part.to(self.unit.dtype) for part in parts], dim=1)


class Perceptron(nn.Module):
    """(B, *shape) [, given (B, G)] -> (B, outputs): flattened, the two side by side."""

    def __init__(self, inputs: int, outputs: int, given: int, *shape_of_mlp: Any):
        super().__init__()
        self.layers = mlp(inputs + given, outputs, *shape_of_mlp)

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        h = x.flatten(1)
        return self.layers(h if given is None else torch.cat((h, given), dim=1))


class Into(nn.Module):
    """Features of an example, and a network (features, given) -> (B, width)."""

    def __init__(self, features: Features, net: nn.Module):
        super().__init__()
        self.features, self.net = features, net

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        return self.net(self.features(x), given)


class Reader(nn.Module):
    """Tokens (B, T) [, given] -> (B, width): every position sees all others, and those up to the end are averaged."""

    def __init__(self, space: Any, width: int, given: int, hidden: Sequence[int], dropout: float):
        super().__init__()
        inner = hidden[0]
        self.end = space.end
        self.embedding = nn.Embedding(space.levels, inner)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.condition = nn.Linear(given, inner, bias=False) if given else None
        self.trunk = Trunk(space.size, len(hidden), heads_of(inner), inner, dropout, causal=False)
        self.out = nn.Linear(inner, width)

    def forward(self, tokens: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.embedding(tokens)
        if self.condition is not None:
            h = h + self.condition(given)[:, None]
        h = self.trunk(h)
        if self.end < 0:
            return self.out(h.mean(1))
        ended = tokens == self.end
        counts = (ended.cumsum(1) - ended.long() == 0).to(h.dtype)  # up to and with the first end
        return self.out((h * counts[:, :, None]).sum(1) / counts.sum(1, keepdim=True))


class Writer(nn.Module):
    """(B, width) [, given] -> (B, T F): every position starts from the vector and its place, then sees the others."""

    def __init__(self, width: int, space: Any, features: int, given: int, hidden: Sequence[int], dropout: float):
        super().__init__()
        inner = hidden[-1]
        self.length = space.size
        self.begin = nn.Linear(width + given, inner)
        self.trunk = Trunk(space.size, len(hidden), heads_of(inner), inner, dropout, causal=False)
        self.out = nn.Linear(inner, features)

    def forward(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.begin(z if given is None else torch.cat((z, given), dim=1))
        return self.out(self.trunk(h[:, None].expand(-1, self.length, -1))).flatten(1)


class Picture(nn.Module):
    """(B, width) [, given] -> (B, C H W F): the decoder's channels (C F) brought to variable-major order."""

    def __init__(self, width: int, shape: tuple[int, int, int], features: int, *shape_of_decoder: Any):
        super().__init__()
        self.features = features
        self.decoder = Decoder(width, (shape[0] * features, *shape[1:]), *shape_of_decoder)

    def forward(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        image = self.decoder(z, given)
        return image.unflatten(1, (-1, self.features)).movedim(2, -1).flatten(1)  # (B, C F, H, W) -> (B, C H W F)


def heads_of(width: int) -> int:
    """Heads of 64 where the width allows it."""
    return gcd(width, max(1, width // 64))


def choose(space: Any, net: str, hidden: Sequence[int]) -> str:
    """Which kind of network, or an error where the space cannot feed the one that was asked for."""
    image = len(space.shape) == 3
    if net not in NETS:
        raise Usage(f"There is no net {net!r}; there are {', '.join(NETS)}.{did_you_mean(net, NETS)}")
    if net == "auto":
        large = image and min(space.shape[1:]) >= 16
        net = "transformer" if space.kind == "tokens" else "conv" if large else "mlp"
    if net == "conv" and not image:
        raise Usage(f"net='conv' needs images (C, H, W); examples here have shape {space.shape}. Take net='mlp'.")
    if net == "transformer" and space.kind != "tokens":
        raise Usage(f"net='transformer' needs tokens; this space is {space.kind}. Take net='auto'.")
    if net != "mlp" and not hidden:
        raise Usage(f"hidden=() leaves no size for net={net!r}. Give one, as hidden=(256,), or take net='mlp'.")
    return net


def into(
    space: Any,
    width: int,
    given: int | None = 0,
    hidden: Sequence[int] = (256, 256),
    activation: str = "relu",
    net: str = "auto",
    dropout: float = 0.0,
    norm: bool = False,
) -> nn.Module:
    """A network (B, *space) [, given (B, G)] -> (B, width), in the coordinates of `space`.

    >>> from pushforward.space import Space
    >>> into(Space("levels", (1, 28, 28), 256), 8)(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape
    torch.Size([2, 8])
    """
    given = given or 0
    kind = choose(space, net, hidden)
    if kind == "transformer":
        return Reader(space, width, given, hidden, dropout)
    features = Features(space)
    if kind == "conv":
        return Into(features, Encoder(space.shape, width, given, channels_of(hidden[0]), activation, norm))
    return Into(features, Perceptron(features.width, width, given, hidden, activation, dropout, norm))


def out_of(
    width: int,
    space: Any,
    features: int,
    given: int | None = 0,
    hidden: Sequence[int] = (256, 256),
    activation: str = "relu",
    net: str = "auto",
    dropout: float = 0.0,
    norm: bool = False,
) -> nn.Module:
    """A network (B, width) [, given (B, G)] -> (B, features): all numbers together, those of variable 0 first.

    >>> from pushforward.space import Space
    >>> out_of(8, Space("levels", (3, 16, 16), 4), 4 * 3 * 16 * 16)(torch.zeros(2, 8)).shape
    torch.Size([2, 3072])
    """
    given = given or 0
    kind = choose(space, net, hidden)
    if kind == "mlp":
        return Perceptron(width, features, given, hidden, activation, dropout, norm)
    each, rest = divmod(features, space.size)
    if rest:
        raise Usage(f"{features} features cannot be shared by {space.size} variables alike. Take net='mlp'.")
    if kind == "transformer":
        return Writer(width, space, each, given, hidden, dropout)
    return Picture(width, space.shape, each, given, channels_of(hidden[-1]), activation, norm)


def channels_of(hidden: int) -> int:
    return max(hidden // 4, 1)
