"""Where a mixture begins: k-means++ and a few steps of k-means.

Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007, section 2.2, with several candidates for each
centre; Lloyd, "Least squares quantization in PCM", 1982.
N rows of D variables, K centres:   x (N, D)   centres (K, D)
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from ..noise import permutation, uniform

SOME = 1 << 14  # rows that k-means looks at


def seeds(x: Tensor, k: int) -> Tensor:
    """k-means++: each next centre is drawn in proportion to the squared distance from those so far; of a few draws the best is kept."""
    tries = 2 + int(log(k))
    u = uniform(k, tries).to(x)
    centres = [x[int(float(u[0, 0]) * len(x))]]
    near = ((x - centres[0]) ** 2).sum(1)
    for i in range(1, k):
        steps = near.cumsum(0)
        drawn = torch.searchsorted(steps, u[i] * steps[-1], right=True).clamp(max=len(x) - 1)
        after = torch.minimum(near, torch.cdist(x[drawn], x) ** 2)  # (tries, N)
        best = int(after.sum(1).argmin())
        centres.append(x[drawn[best]])
        near = after[best]
    return torch.stack(centres)


def lloyd(x: Tensor, centres: Tensor, steps: int = 10) -> tuple[Tensor, Tensor, Tensor]:
    """A few steps of k-means: centres (K, D), the share of the rows of each (K,), the mean squared distance to the nearest."""
    for _ in range(steps):
        distance, owner = torch.cdist(x, centres).min(1)
        count = torch.bincount(owner, minlength=len(centres)).to(x)
        sums = torch.zeros_like(centres).index_add_(0, owner, x)
        centres = torch.where(count[:, None] > 0, sums / count.clamp(min=1)[:, None], centres)
    return centres, count.clamp(min=1) / count.clamp(min=1).sum(), (distance**2).mean()


def clustered(x: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Centres, shares and the mean squared distance of some of the rows of x, which has no gaps."""
    some = x[permutation(len(x))[:SOME].to(x.device)] if len(x) > SOME else x
    return lloyd(some, seeds(some, k))
