"""Rows of any kind as tensors of a model's space, and what of them the model has no place for.

A real row that the model cannot hold (a label it never saw, a text that is too long) is counted and left out, with a word on the first; where
half of the rows are such, or the columns differ, they are rows of another space and refused. Of drawn rows the same is asked.

N rows of space X:   x (N, *X)   whole (N,) truths
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.examples import Examples
from ..errors import BadData
from ..metrics.frames import repeated
from ..space import Space, alike
from ..space import columns as col
from ..space.space import is_frame, is_text


@dataclass(frozen=True)
class Rows:
    """Rows that were read, and what is given with each."""

    x: Tensor
    given: Tensor | None = None
    outside: str = ""  # a sentence on rows that were left out

    def __len__(self) -> int:
        return len(self.x)

    def take(self, which: Tensor) -> Rows:
        return Rows(self.x[which], None if self.given is None else self.given[which], self.outside)


def rows_of(model: Any, x: Any, given: Any, name: str) -> Rows:
    """Rows as a tensor of the model's space, and what is given with them; others are refused with the reason."""
    model.check_fitted()
    space: Space = model.space
    if isinstance(x, Rows):
        return x
    if isinstance(x, Examples):
        if given is None and x.given is not None and x.given_space is not None and model._given is not None:
            given = x.given_space.restore(x.given)
        x = x.space.restore(x.x)
    if is_text(x) and space.kind != "tokens":
        raise BadData(f"{name} holds texts; this {type(model).__name__} is a model of {space}. Pass such rows.")
    told = None if model._given is None else model.read_given(given, len(x))
    try:
        found, fit, outside = space.read(x), None, ""
    except ValueError as problem:  # BadData, or what NumPy says of words in a place of numbers
        fit = held(space, x)
        if fit is None or int(fit.sum()) * 2 <= len(fit):
            what = f"These data are not of the space of this {type(model).__name__} ({space})"
            raise BadData(f"{what}: {problem}") from problem
        found = space.read(x[fit.numpy()] if is_frame(x) else [line for line, ok in zip(x, fit, strict=True) if ok])
        lost = int((~fit).sum())
        holds, are = ("holds", "is") if lost == 1 else ("hold", "are")
        words = f"{lost:,} of {len(fit):,} rows {holds} what the model has no place for, and {are} left out"
        outside = f"{words}. The first: {problem}"
    if len(found) < 2:
        raise BadData(
            f"{name} has {len(found)} row. At least 2 are needed, and some hundred for numbers that say much."
        )
    return Rows(found, told if told is None or fit is None else told[fit], outside)


def held(space: Space, x: Any) -> Tensor | None:
    """Which rows the space has a place for; None where that is not a question of single rows."""
    if is_text(x):
        return written(space, x)
    if not is_frame(x) or space.kind != "table" or {str(name) for name in x.columns} != set(space.names):
        return None
    names = [str(name) for name in x.columns]
    return torch.stack([fits(c, x.iloc[:, names.index(c.name)]) for c in space.columns]).all(0)


def fits(column: col.Column, cells: Any) -> Tensor:
    """Which cells a column can hold."""
    gone = cells.isna().to_numpy()
    if column.discrete:
        ok = np.zeros(len(cells), dtype=bool)
        ok[~gone] = col.codes(column, cells[~gone]) >= 0
    elif column.kind == "date":
        ok = alike.dates(cells).notna().to_numpy()
    else:
        ok = np.isfinite(alike.numbers(cells))
    return torch.from_numpy(np.where(gone, column.missing, ok))


def written(space: Space, lines: Any) -> Tensor:
    """Which texts fit in a space of texts."""
    room, known, ended = space.shape[0] - (space.end >= 0), set(space.alphabet), space.end >= 0
    return torch.tensor([(len(line) <= room if ended else len(line) == room) and set(line) <= known for line in lines])


def readable(space: Space, raw: Any) -> tuple[Tensor, Tensor]:
    """Drawn rows as a tensor, and which of them hold nothing but values of the space."""
    if space.kind == "table":
        x = space.read(raw, missing=True)
        must = torch.tensor([not c.missing and not c.discrete for c in space.columns])
        return x, ~(torch.isnan(x) & must).any(1)
    if is_text(raw):
        whole = written(space, raw)
        blank = "" if space.end >= 0 else space.alphabet[0] * space.shape[0]
        return space.read([line if ok else blank for line, ok in zip(raw, whole, strict=True)]), whole
    x = (
        raw
        if isinstance(raw, Tensor)
        else torch.as_tensor(raw.to_numpy(copy=True) if is_frame(raw) else np.asarray(raw))
    )
    x = space.settle(x.detach().cpu())
    flat = x.flatten(1).double()
    whole = torch.isfinite(flat).all(1)
    if space.kind == "real":
        return x, whole
    top = 2 if space.kind == "binary" else space.levels
    whole &= ((flat >= 0) & (flat < top)).all(1)
    kind = torch.long if space.kind == "tokens" else torch.uint8 if top <= 256 else torch.int32
    return torch.where(whole.view(-1, *[1] * (x.ndim - 1)), x.double().nan_to_num(), 0.0).to(kind), whole


def copies(x: Tensor, of: Tensor) -> int:
    """How many rows of x stand in another set of rows, to the last bit.

    >>> copies(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]]))
    1
    """
    mine, others = (part.detach().cpu().flatten(1).double().numpy() for part in (x, of))
    return int((repeated(mine, others) >= 0).sum())
