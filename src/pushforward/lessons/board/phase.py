"""Small games of two players with one number each: where a start leads, and the picture of all directions.

    losses = (lambda x, y: x * y, lambda x, y: -x * y)      of each player, as functions of both numbers

Their eigenvalues at a point of rest are `maths.games.spectrum` and `radius`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...maths.games import Losses, field, step
from .style import GREY


def path(losses: Losses, start: Sequence[float], steps: int, rate: float, alternating: bool = False) -> np.ndarray:
    """(steps + 1, players): gradient descent of all players from a start on.

    >>> circle = (lambda x, y: x * y, lambda x, y: -x * y)
    >>> np.hypot(*path(circle, (1.0, 0.0), 2, 0.1).T).round(4).tolist()         # both at once: outward
    [1.0, 1.005, 1.01]
    """
    found = [[torch.tensor(value, dtype=torch.float64) for value in start]]
    for _ in range(steps):
        at = [t.detach().requires_grad_() for t in found[-1]]
        found.append([t.detach() for t in step(losses, at, rate, alternating)])
    return np.array([[float(t) for t in place] for place in found])


def portrait(axis: Any, losses: Losses, reach: float, arrows: int = 15) -> None:
    """The directions in which two players move, all around the origin; an arrow's length is the root of the speed, up to 1."""
    side = np.linspace(-reach, reach, arrows)
    grid = np.stack(np.meshgrid(side, side), -1)
    flow = np.zeros_like(grid)
    for i, j in np.ndindex(*grid.shape[:2]):
        at = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in grid[i, j]]
        flow[i, j] = [float(v.detach()) for v in field(losses, at)]
    speed = np.hypot(*np.moveaxis(flow, -1, 0))[..., None]
    flow = flow / np.maximum(speed, 1e-9) * np.minimum(speed, 1.0) ** 0.5
    axis.quiver(*np.moveaxis(grid, -1, 0), *np.moveaxis(flow, -1, 0), color=GREY, alpha=0.7, width=0.006, scale=16)
