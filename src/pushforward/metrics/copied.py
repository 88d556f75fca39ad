"""How far samples are copies, from all training rows there are, however few are held out.

    s = share of the m fakes whose nearest record of all is a train row, ties counting p,     p = n / (n + h)
    copied = (s - p) / (1 - p):   0 in the mean where train rows and holdout rows are alike to the model, 1 where every sample is a train row

Were the n + h records dealt anew to the sides, s would have mean p and variance n h / (N (N - 1)) sum_j (c_j - mean c)^2 / m^2, with N = n + h and
c_j the fakes that are nearest to record j: that is its error. `closest` asks the same of as many rows of either side, and sees a copier the less
the fewer are held out.

Rows n of train, h of holdout, m of fake:   d (m,)   c (N,)
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor

from ..maths import ranks
from ..maths.records import nearest
from .estimate import Estimate
from .privacy import MOST, Three


def copied(
    train: Any, holdout: Any, fake: Any, scale: str = "standard", rows: int = MOST, n: int | None = None, seed: int = 0
) -> Estimate:
    """How far fakes are copies of train rows: 0 is clean, 1 is a copier; rows= of train at most.

    >>> x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    >>> found = copied(x[:800], x[800:900], x[:100] + 1e-6), copied(x[:800], x[800:900], x[900:])
    >>> round(float(found[0]), 6), abs(found[1].value) < 4 * found[1].stderr
    (1.0, True)
    """
    three = Three(train, holdout, fake, scale, rows, n, seed)
    value, error = leaning(three.fake_to_train, nearest(three["fake"], three["holdout"]), *map(len, sides(three)))
    words = (
        "the nearest record of each fake among all train and holdout rows; ± by dealing the records anew to the sides"
    )
    p = ranks.two_sided(value / error) if error else 1.0
    facts = three.facts | {"train rows": len(three["train"]), "holdout rows": len(three["holdout"])}
    return Estimate("copied", value, error, 0.0, (len(three["fake"]),), words, p, three.notes, parameters=facts)


def sides(three: Three) -> tuple[Any, Any]:
    return three["train"], three["holdout"]


def leaning(train: tuple[Tensor, Tensor], holdout: tuple[Tensor, Tensor], n: int, h: int) -> tuple[float, float]:
    """The share nearest to train over chance, and its standard deviation were the records dealt anew: distances and places (m, …)."""
    one, two, p = train[0][:, 0], holdout[0][:, 0], n / (n + h)
    tied = (one - two).abs() <= 1e-9 * (1 + one)
    won = torch.where(tied, p, (one < two).double())
    counts = torch.zeros(n + h, dtype=torch.float64)
    counts.index_add_(0, train[1][:, 0], won).index_add_(0, n + holdout[1][:, 0], 1 - won)
    squares = float(((counts - counts.mean()) ** 2).sum())
    spread = sqrt(n * h / ((n + h) * (n + h - 1)) * squares) / len(won)
    return (float(won.mean()) - p) / (1 - p), spread / (1 - p)
