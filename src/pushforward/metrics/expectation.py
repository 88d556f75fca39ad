"""The mean of a function under a law, with its standard error.   E f(x) ≈ 1/n sum_i f(x_i),   stderr = std / n^1/2

The law of the unconscious statistician: E f(g(z)) under the base is E f(x) under the pushforward x = g(z). So nothing needs to be known of a law
but how to draw from it; a table is summed instead. Lecture 001.

n draws:   x (n, …)   f(x) (n,)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import fsum, sqrt
from typing import Any

import torch
from torch import Tensor

from .. import noise
from ..errors import BadData, Unable, Usage
from ..maths.laws import NAMED, Finite, numbers
from .estimate import Estimate
from .sides import side

LOT = 8192  # draws at once; the numbers of a lot are a function of (seed, lot)


def expect(f: Callable[[Any], Any], model: Any, n: int = 10_000, seed: int = 0) -> Estimate:
    """E f(x) for x from a model, a law or a table. `f` takes draws as `model.sample` gives them, one number a row; of a table, one outcome.

    >>> expect(lambda eyes: eyes**2, {k: 1 / 6 for k in range(1, 7)}).value
    15.166666666666666
    >>> expect(lambda x: x[:, 0] ** 2, "normal", n=100_000).interval(4)[1] > 1
    True
    """
    law = side(NAMED[model]() if isinstance(model, str) and model in NAMED else model, "model")
    if law.table is not None:
        return summed(f, law.table)
    if law.raw is not None:
        return over([law.raw], f, "the mean over the examples that were given")
    if not isinstance(n, int) or n < 2:
        raise Usage(f"n={n!r}: a whole number of at least 2 draws is awaited.")
    if law.sample is None:
        raise Unable(f"{law.what} cannot sample, so a mean under it cannot be estimated by draws.")
    draw = law.sample
    lots = (draw(min(LOT, n - i * LOT), seed=noise.mix(seed, i)) for i in range(-(-n // LOT)))
    return over(lots, f, f"Monte Carlo, draws of {law.what}")


def over(lots: Iterable[Any], f: Callable[[Any], Any], words: str) -> Estimate:
    """Mean and variance of f, lot by lot (Chan, Golub & LeVeque 1983)."""
    count, mean, squares = 0, 0.0, 0.0
    for x in lots:
        values = answers(f, x)
        size, own = len(values), float(values.mean())
        gap, count = own - mean, count + size
        mean += gap * size / count
        squares += float(((values - own) ** 2).sum()) + gap**2 * size * (count - size) / count
    stderr = sqrt(squares / (count - 1) / count) if count > 1 else float("nan")
    return Estimate("E f(x)", mean, stderr, None, (count,), words)


def answers(f: Callable[[Any], Any], x: Any) -> Tensor:
    """f at every draw, checked."""
    with torch.no_grad():
        values = numbers(f(x))
    if values.numel() != len(x):
        raise BadData(
            f"f gave {tuple(values.shape)} for {len(x)} draws; one number each is awaited, as of lambda x: x[:, 0]. Take the mean of one thing at a time."
        )
    values = values.reshape(len(x))
    wrong = ~torch.isfinite(values)
    if bool(wrong.any()):
        raise BadData(
            f"f is NaN or infinite at {int(wrong.sum())} of {len(x)} draws, the first in row {int(wrong.nonzero()[0])}: there is no mean."
        )
    return values


def summed(f: Callable[[Any], Any], table: Finite) -> Estimate:
    """The mean under a table, exactly."""
    value = fsum(p * float(f(outcome)) for outcome, p in table.table.items() if p > 0)
    return Estimate("E f(x)", value, 0.0, None, (), f"the sum over {len(table.table)} outcomes")
