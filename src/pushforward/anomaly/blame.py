"""Which columns make a row odd: what its score loses when a cell is drawn anew.

N rows of D columns, each TIMES times:   attribution (N, D)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import noise
from .rows import Rows
from .scores import Scorer

WIDE = 200  # columns up to which attribution asks each
TIMES = 32  # draws for each cell


def attributed(
    model: Any, scorer: Scorer, rows: Rows, scores: np.ndarray, held: Rows | None, most: int, seed: int
) -> tuple[np.ndarray | None, str]:
    """What each column adds to the score of the oddest rows, and how that was found."""
    if not most:
        return None, "no attribution was asked for"
    if rows.x.ndim != 2 or model.space.kind == "tokens" or rows.x.shape[1] > WIDE:
        return None, f"no attribution: it is for vectors and tables of up to {WIDE} columns"
    exact = model.abilities.get("complete") == "exact"
    if not exact and held is None:
        return None, "no attribution: it takes reference examples, or a model that completes exactly"
    out = np.full(tuple(rows.x.shape), np.nan)
    odd = np.argsort(-scores, kind="stable")[:most]
    strange, impossible = rows.impossible[odd], np.isinf(scores[odd])
    if rows.outside is not None:
        out[odd[strange]] = np.where(rows.outside[odd[strange]], np.inf, 0.0)
    odd, impossible = odd[~strange], impossible[~strange]
    for index, whole in ((odd[~impossible], exact), (odd[impossible], exact and held is None)):
        if len(index):
            drawn = conditionals(model, rows, index, seed) if whole else replaced(rows, index, held, seed)
            out[index] = np.stack([gain(scorer, x, g, scores[index]) for x, g in drawn], 1)
    how = "draws of the cell given the rest of its row" if exact else "values of the column in other examples"
    note = "; impossible rows by values of other examples" if exact and held is not None and impossible.any() else ""
    return out, f"a column adds: score - mean score with the cell replaced by {TIMES} {how}{note}, in {len(odd)} rows"


def gain(scorer: Scorer, x: Tensor, given: Tensor | None, scores: np.ndarray) -> np.ndarray:
    """score - mean of the scores after replacement. Of an impossible row: infinite where most replacements make it possible, else 0."""
    other = scorer(x, given).reshape(len(scores), TIMES)
    heals = np.isfinite(other).mean(1) >= 0.5
    with np.errstate(invalid="ignore"):  # inf - inf is asked and not taken
        return np.where(np.isinf(scores), np.where(heals, np.inf, 0.0), scores - other.mean(1))


def conditionals(model: Any, rows: Rows, index: np.ndarray, seed: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Column by column: each row TIMES times, with the cell drawn given the rest."""
    many = rows.part(torch.as_tensor(index).repeat_interleave(TIMES))
    for j in range(many.x.shape[1]):
        mask, x = np.arange(many.x.shape[1]) != j, many.x.clone()
        with torch.no_grad():
            filled = model.complete(many.x, known=mask, given=many.given, seed=noise.mix(seed, j))
        x[:, j] = filled[:, j].to(x)
        yield x, many.given


def replaced(rows: Rows, index: np.ndarray, held: Rows | None, seed: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The same with values that the column has in other examples."""
    assert held is not None
    many = rows.part(torch.as_tensor(index).repeat_interleave(TIMES))
    with noise.stream(seed):
        picks = (noise.uniform(TIMES, rows.x.shape[1]) * len(held)).long().clamp(max=len(held) - 1)
    for j in range(rows.x.shape[1]):
        x = many.x.clone()
        x[:, j] = held.x[picks[:, j], j].to(x).repeat(len(index))
        yield x, many.given
