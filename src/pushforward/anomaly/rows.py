"""The rows that are asked about, those that they are held against, and what of them a model has no place for.

N rows of space X, D cells a row:   x (N, *X)   outside (N, D)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import noise
from ..errors import BadData, Usage

DRAWN = 1000  # examples of the model itself, at least, where there are no reference examples
NUMBERS = 1 << 20  # that more of them may hold


@dataclass(frozen=True)
class Rows:
    """Examples in the units of the data, what is given with them, and what they are in words."""

    x: Tensor
    given: Tensor | None
    words: str = ""
    outside: np.ndarray | None = None  # (N, D): cells that the model has no place for

    def __len__(self) -> int:
        return len(self.x)

    def part(self, index: Tensor) -> Rows:
        given = None if self.given is None else self.given[index]
        return Rows(self.x[index], given, self.words, None if self.outside is None else self.outside[index.numpy()])

    @property
    def impossible(self) -> np.ndarray:
        """Which rows hold such a cell."""
        if self.outside is None:
            return np.zeros(len(self), dtype=bool)
        return np.asarray(self.outside.reshape(len(self), -1).any(axis=1))


def read(model: Any, x: Any, given: Any, name: str) -> Rows:
    """x, and what is given with it, as tensors."""
    if x is None:
        raise Usage(f"{name} is None. Examples like those that the model was fitted on are awaited.")
    if hasattr(x, "given_space"):
        given = x.given if given is None and x.given_space is not None and model._given is not None else given
        return Rows(x.x, model.read_given(given, len(x)))
    tensor, outside = model.space.read_loosely(x.detach() if isinstance(x, Tensor) else x)
    return Rows(tensor, model.read_given(given, len(tensor)), "", outside if outside.any() else None)


def unheard(rows: Rows) -> list[str]:
    """A word on cells that the model has no place for."""
    n = int(rows.impossible.sum())
    who = "1 row holds" if n == 1 else f"{n:,} rows hold"
    return [f"{who} what was not there at fit (a new category, no number): nothing is odder"] if n else []


def reference_of(model: Any, reference: Any, given: Any, rows: Rows, rate: float, seed: int) -> Rows | None:
    """The examples that scores are held against: those that came, else draws of the model under the same conditions."""
    if reference is not None:
        found = read(model, reference, given, "reference")
        if len(found) < 10:
            raise BadData(f"reference has {len(found)} rows; at least 10 are needed: p is never below 1/(n + 1).")
        return replace(found, words="reference examples")
    if "sample" not in model.abilities:
        return None
    # So many that one odd row among all can be flagged, where that is not too long a work.
    count = max(DRAWN, min(ceil(len(rows) / rate), NUMBERS // model.space.size))
    told = None if rows.given is None else rows.given[torch.arange(count) % len(rows)]
    drawn = model.sample(count, given=told, seed=noise.mix(seed, 3))
    words = "draws of the model itself, for want of reference=: they are right as far as the model is"
    return Rows(model.space.read(drawn), told, words)


def halves(held: Rows, seed: int) -> tuple[Rows, Rows]:
    """Two halves by chance: one to fit a score with, one to hold it against."""
    with noise.stream(seed):
        order = noise.permutation(len(held))
    return held.part(order[: len(held) // 2]), held.part(order[len(held) // 2 :])
