"""What an estimator gives for two samples of one law: the examples, shuffled between the sides, are two samples of their even mixture.

x (n, D)   y (m, D)
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

import torch
from torch import Tensor

from .. import noise


def shuffled(x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """All examples, divided anew between the sides.

    >>> a, b = shuffled(torch.arange(3.0)[:, None], torch.arange(3.0, 5.0)[:, None], 0)
    >>> len(a), len(b), torch.cat([a, b]).sum().item()
    (3, 2, 10.0)
    """
    both = torch.cat([x, y])
    with noise.stream(seed):
        order = noise.permutation(len(both))
    return both[order[: len(x)]], both[order[len(x) :]]


def floor(by: Callable[..., tuple[float, float]], x: Tensor, y: Tensor, times: int, seed: int) -> float | None:
    """The mean of an estimator over shuffles; None where there is none, or none was finite."""
    values = [by(*shuffled(x, y, noise.mix(seed, t)))[0] for t in range(times)]
    known = [value for value in values if isfinite(value)]
    return sum(known) / len(known) if known else None
