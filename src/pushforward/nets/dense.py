"""A perceptron whose layers see all that came before them:   (B, I) [, given (B, G)] -> (B, O).

    h <- [relu(norm(W h)), h]      for every hidden width, then one linear layer

The generator of Xu et al., "Modeling tabular data using conditional GAN", NeurIPS 2019, section 4.4. The norm is over the batch while it
learns, and over what was seen afterwards: then a row does not depend on those beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Dense(nn.Module):
    """Layers that are widened by their own output.

    >>> Dense(3, 2, hidden=(8, 4))(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(self, inputs: int, outputs: int, given: int = 0, hidden: Sequence[int] = (256, 256)):
        super().__init__()
        width, layers = inputs + given, []
        for more in hidden:
            layers.append(nn.Sequential(nn.Linear(width, more), nn.BatchNorm1d(more), nn.ReLU(inplace=True)))
            width += more
        self.layers, self.out = nn.ModuleList(layers), nn.Linear(width, outputs)

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        h = x if given is None else torch.cat([x, given], 1)
        if not torch.is_grad_enabled():
            return self.written(h)
        for layer in self.layers:
            h = torch.cat([layer(h), h], 1)
        return self.out(h)

    def written(self, h: Tensor) -> Tensor:
        """The same in one place, which each layer writes its own part of."""
        place, at = h.new_empty(len(h), self.out.in_features), self.out.in_features - h.shape[1]
        place[:, at:] = h
        for layer in self.layers:
            new = layer(place[:, at:])
            place[:, at - new.shape[1] : at] = new
            at -= new.shape[1]
        return self.out(place)
