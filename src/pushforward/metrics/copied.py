"""How far samples are copies, from all training rows there are, however few are held out.

    s = share of the m fakes whose nearest record of all is a train row, one of those as near by chance,     p = n / (n + h)
    copied = (s - p) / (1 - p):   0 in the mean where train rows and holdout rows are alike to the model, 1 where every sample is a train row

Were the n + h records dealt anew to the sides, s would have mean p and variance n h / (N (N - 1)) sum_j (c_j - mean c)^2 / m^2, with N = n + h and
c_j the fakes that are nearest to record j: that is its error. Codes and texts tie often, so who of equals is the nearest must not depend on the side:
were a tie between the sides worth p, and one within train 1, s would be too large wherever p > 1/2. `closest` asks the same of as many rows of either
side, and sees a copier the less the fewer are held out.

Rows n of train, h of holdout, m of fake:   places (m,)   c (N,)
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
    real, order = three.dealt()
    n_train, n_held = len(three["train"]), len(three["holdout"])
    value, error = leaning(order[nearest(three["fake"], real)[1][:, 0]], n_train, n_held)
    words = (
        "the nearest record of each fake among all train and holdout rows; ± by dealing the records anew to the sides"
    )
    p = ranks.two_sided(value / error) if error else 1.0
    facts = three.facts | {"train rows": n_train, "holdout rows": n_held}
    return Estimate("copied", value, error, 0.0, (len(three["fake"]),), words, p, three.notes, parameters=facts)


def leaning(places: Tensor, n: int, h: int) -> tuple[float, float]:
    """The share nearest to train over chance, and its standard deviation were the records dealt anew: whose record is nearest, train's n first."""
    p, counts = n / (n + h), torch.bincount(places, minlength=n + h).double()
    squares = float(((counts - counts.mean()) ** 2).sum())
    spread = sqrt(n * h / ((n + h) * (n + h - 1)) * squares) / len(places)
    return (float(counts[:n].sum()) / len(places) - p) / (1 - p), spread / (1 - p)
