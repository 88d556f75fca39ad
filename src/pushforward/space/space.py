"""What one example is: kind, shape and names, and the way between raw data and tensors.

kinds
    real    numbers                              (B, *shape) float
    binary  0 or 1                               (B, *shape) uint8
    levels  0 … K-1, ordered (grey levels)       (B, *shape) uint8 or int32; images are (C, H, W)
    tokens  symbols 0 … V-1, ended by `end`      (B, T) int64
    table   columns of mixed kinds               (B, D) float64, see columns.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import BadData, did_you_mean
from . import columns as col
from .columns import Column
from .degenerate import constants, far, far_out
from .described import check_space, restored
from .raw import arrange, as_array, as_tensor, check_finite, check_widths, fitting, gaps, guess, native, shown

KINDS = ("real", "binary", "levels", "tokens", "table")


@dataclass(frozen=True)
class Space:
    """What one example is.

    >>> space = Space.of(np.zeros((5, 3)))
    >>> space.kind, space.shape
    ('real', (3,))
    """

    kind: str
    shape: tuple[int, ...]
    levels: int = 0  # K of levels, V of tokens
    names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    form: str = "array"  # what came in: array, tensor, frame, text
    dtype: str = "float32"  # of the array that came in
    layout: str = "flat"  # of an image that came in: flat, hw, hwc, chw
    alphabet: tuple[str, ...] = ()  # the symbol of each token; empty for bytes
    end: int = -1  # the token that ends an example of variable length; -1: all have length T
    fixed: tuple[
        tuple[int, Any], ...
    ] = ()  # (variable, value) of those of a vector of numbers that never vary: no density counts them
    far: bool = (
        False  # some numbers are too large, too small or too close for their size to be computed with as they are
    )

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def discrete(self) -> bool:
        """Counting measure everywhere, so that probabilities sum to 1."""
        if self.kind == "table":
            return all(c.discrete or c.step for c in self.columns)
        return self.kind != "real"

    @property
    def measure(self) -> str:
        """What a density of this space is taken against."""
        if self.kind == "table" and not self.discrete:
            return "mixed" if any(c.discrete or c.step or c.missing for c in self.columns) else "Lebesgue"
        return "counting" if self.discrete else "Lebesgue"

    def __str__(self) -> str:
        what = f"{self.kind}({self.levels})" if self.kind in ("levels", "tokens") else self.kind
        return f"{what} of shape {self.shape}"

    # ---- from raw data -------------------------------------------------------------------------------------------
    @classmethod
    def of(cls, raw: Any, kind: str = "", levels: int = 0) -> Space:
        """The space of raw data: an array, tensor, DataFrame or list of strings."""
        if isinstance(raw, Space):
            return raw
        if is_frame(raw):
            return cls.of_frame(raw)
        if is_text(raw):
            return cls.of_text(raw)
        x = as_array(raw)
        form = "tensor" if isinstance(raw, Tensor) else "array"
        kind, levels = (kind, levels) if kind else guess(x)
        if kind in ("levels", "tokens") and not levels:
            levels = int(x.max()) + 1
        fixed: tuple[tuple[int, Any], ...] = ()
        out = False
        if kind == "real" and x.ndim == 2:
            if not isinstance(raw, np.memmap) and (gone := gaps(x)).any():
                return cls.of_gaps(gone, form, x)
            fixed = () if isinstance(raw, np.memmap) else constants(x)
            out = far_out(x)
        shape, layout = arrange(x.shape[1:])
        return cls(kind, shape, levels, form=form, dtype=str(native(x.dtype)), layout=layout, fixed=fixed, far=out)

    @classmethod
    def of_gaps(cls, gone: np.ndarray, form: str, x: np.ndarray) -> Space:
        """Of an array of numbers with missing cells in some columns: a table of numbers, given back as an array."""
        names = tuple(f"x{j}" for j in range(len(gone)))
        columns = []
        for j, (name, some) in enumerate(zip(names, gone, strict=True)):
            known = x[~np.isnan(x[:, j]), j] if some else x[:, j]
            # None or one value: no density to learn.
            same = form == "array" and len(x) > 1 and bool((known[1:] == known[:1]).all())
            kind = "number" if not same else "ordinal" if len(known) else "category"
            columns.append(Column(name, kind, categories=tuple(float(v) for v in known[:same]), missing=bool(some)))
        return cls("table", (len(names),), names=names, columns=tuple(columns), form=form, dtype=str(native(x.dtype)))

    @classmethod
    def of_frame(cls, frame: Any) -> Space:
        if len(frame) == 0 or len(frame.columns) == 0:
            raise BadData(
                f"The table has {len(frame)} rows and {len(frame.columns)} columns. At least one of each is needed."
            )
        names = [str(name) for name in frame.columns]
        if len(set(names)) < len(names):
            raise BadData(
                f"Column {next(n for n in names if names.count(n) > 1)!r} stands twice in the table. Rename one."
            )
        columns = tuple(col.infer(name, frame.iloc[:, i]) for i, name in enumerate(names))
        ends = np.array([(c.low, c.high) for c in columns if not c.discrete and np.isfinite(c.low)]).reshape(-1, 2)
        out = bool(far(ends[:, 0], ends[:, 1]).any())
        if all(
            c.kind in ("number", "integer", "ordinal", "boolean") and not c.missing and c.dtype == "float64"
            for c in columns
        ) and not any(len(c.categories) == 1 for c in columns):  # a constant is a category, and comes back as it was
            # A table of floats alone is a vector: whole or repeated values in it are measurements, not categories.
            return cls("real", (len(names),), names=tuple(names), form="frame", dtype="float64", far=out)
        return cls("table", (len(names),), names=tuple(names), columns=columns, form="frame", dtype="float64", far=out)

    @classmethod
    def of_text(cls, lines: Sequence[str]) -> Space:
        check_widths([len(line) for line in lines])
        lengths = {len(line) for line in lines}
        alphabet = tuple(sorted(set().union(*map(set, lines))))
        if not alphabet:
            raise BadData("The text is empty. At least one character is needed.")
        longest, end = max(lengths), -1
        if len(lengths) > 1:
            longest, end = longest + 1, len(alphabet)
        return cls("tokens", (longest,), len(alphabet) + (end >= 0), form="text", alphabet=alphabet, end=end)

    # ---- raw -> tensor -------------------------------------------------------------------------------------------
    def read(self, raw: Any, missing: bool = False) -> Tensor:
        """Raw data -> a tensor in the units of the data. `missing` allows NaN (cells to be completed)."""
        if self.kind == "table" and isinstance(raw, Tensor):
            return self.check_table(self.settle(raw))
        if self.kind == "table" or is_frame(raw):
            return self.read_frame(raw, missing)
        if self.kind == "tokens" and is_text(raw):
            return self.read_text(raw)
        x = raw if isinstance(raw, Tensor) else as_tensor(as_array(raw))
        x = self.settle(x.float() if x.is_floating_point() and x.element_size() < 2 else x)
        if self.kind == "real":
            check_finite(x, missing, names=self.names)
            return x
        return self.check_codes(x, missing)

    def settle(self, x: Tensor) -> Tensor:
        """Bring (B, *as it came) to (B, *shape)."""
        if x.ndim == len(self.shape) + 1 and tuple(x.shape[1:]) == self.shape:
            return x
        found, layout = arrange(tuple(x.shape[1:]))
        if found == self.shape and layout in ("hw", "hwc"):
            return x[:, None] if layout == "hw" else x.permute(0, 3, 1, 2)
        if self.kind == "tokens" and x.ndim == 2 and x.shape[1] <= self.shape[0]:
            return x
        names = f" ({', '.join(self.names[:6])}{', …' if len(self.names) > 6 else ''})" if self.names else ""
        raise BadData(
            f"x has shape {tuple(x.shape)}; this model was built for examples of shape {self.shape}{names}, that is (n, "
            f"{', '.join(map(str, self.shape))}). X has {x.shape[1] if x.ndim > 1 else 1} features, but it is expecting {self.shape[0]} features as input."
        )

    def check_codes(self, x: Tensor, missing: bool) -> Tensor:
        if x.dtype == torch.bool and self.kind != "tokens":
            return x.view(torch.uint8)
        if x.dtype in (torch.uint16, torch.uint32, torch.uint64):  # torch has no arithmetic of them
            x = x.to(torch.int64)
        top = {"binary": 2}.get(self.kind, self.levels)
        known = x[~torch.isnan(x)] if x.is_floating_point() else x
        if not missing and len(known.flatten()) < x.numel():
            check_finite(x, False)
        if len(known.flatten()) and (
            float(known.min()) < 0
            or float(known.max()) >= top
            or (x.is_floating_point() and bool((known != known.round()).any()))
        ):
            raise BadData(
                f"x holds values from {float(known.min()):g} to {float(known.max()):g}; this model was built for whole numbers 0 … {top - 1} "
                f"({self.kind}). Bring the data to those values, or fit a model on these."
            )
        if self.kind == "tokens":
            return x.long()
        return x if x.is_floating_point() else x.to(torch.uint8 if top <= 256 else torch.int32)

    def check_table(self, x: Tensor) -> Tensor:
        """A tensor is a table already read: numbers and codes."""
        for j, c in enumerate(self.columns):
            if c.discrete and not bool(((x[:, j] >= 0) & (x[:, j] < c.size)).all()):
                raise BadData(
                    f"Column {c.name!r} of the tensor holds values that are not codes 0 … {c.size - 1}. Pass the DataFrame, or what space.read gives."
                )
        return x.double()

    def check_whole(self, who: str, gaps: bool) -> None:
        """What a model that has no place for missing numbers says where there are some."""
        lost = [c.name for c in self.columns if c.missing and not c.discrete]
        if lost and not gaps:
            raise BadData(
                f"x contains NaN: numbers are missing in {len(lost)} of {self.size} columns, the first is {lost[0]!r}, and {who} needs whole rows. "
                "Drop those rows or columns, or fit a model that takes gaps, such as GaussianMixture, MADE or VAE."
            )

    def read_loosely(self, raw: Any) -> tuple[Tensor, np.ndarray]:
        """Rows that need not lie in this space -> (tensor, outside), where `outside` (n, D) marks the cells that it has no place for: a category
        that was not seen at fit, what is no number, a missing or infinite one. The tensor has a value of the space in their place, so a row with a
        mark has probability 0 whatever a model says of that value."""
        if self.kind == "table" and not isinstance(raw, Tensor):
            outside = np.zeros((len(raw), self.size), dtype=bool)
            return self.read_frame(raw, outside=outside), outside
        if self.kind == "real":
            x = self.ordered(raw).to_numpy(dtype=np.float64) if is_frame(raw) else raw
            x = self.settle(x.clone() if isinstance(x, Tensor) else as_tensor(as_array(x)).clone())
            wrong = ~torch.isfinite(x) if x.is_floating_point() else torch.zeros_like(x, dtype=torch.bool)
            for j, value in self.fixed:
                wrong[:, j] |= x[:, j] != value
                x[:, j] = value
            return x.masked_fill(wrong & ~torch.isfinite(x), 0) if x.is_floating_point() else x, wrong.numpy()
        x = self.read(raw)
        return x, np.zeros(tuple(x.shape), dtype=bool)

    def read_frame(self, raw: Any, missing: bool = False, outside: np.ndarray | None = None) -> Tensor:
        import pandas as pd

        if is_text(raw):
            raise BadData(
                f"Texts were passed; this model was built for a table of {self.size} columns: {shown(self.names)}."
            )
        if not is_frame(raw):
            x = as_array(raw)
            if x.ndim != 2 or x.shape[1] != self.size:
                raise BadData(
                    f"x has shape {x.shape}; this model was built for a table of {self.size} columns: {shown(self.names)}."
                )
            raw = pd.DataFrame(x, columns=list(self.names))
        have, known = {str(c) for c in raw.columns}, set(self.names)
        lost = [n for n in self.names if n not in have]
        new = [n for n in map(str, raw.columns) if n not in known]
        if self.names and (lost or new):
            hint = did_you_mean(lost[0], new) if lost else did_you_mean(new[0], self.names)
            what = f"has no column {lost[0]!r}" if lost else f"has a column {new[0]!r} that was not there at fit"
            raise BadData(f"The table {what}. Awaited: {shown(self.names)}.{hint}")
        raw = self.ordered(raw).reset_index(drop=True)
        if self.kind != "table":
            try:
                return self.read(raw.to_numpy(dtype=np.float64, copy=True), missing)
            except (TypeError, ValueError) as problem:
                if isinstance(problem, BadData):
                    raise
                raise BadData(
                    f"The table holds more than numbers ({problem}); this model was built for {self}. Leave the other columns out."
                ) from problem
        marks: list[Any] = [None] * self.size if outside is None else list(outside.T)
        cells = (raw.iloc[:, j] for j in range(self.size))
        table = np.stack([col.read(c, part, mark) for c, part, mark in zip(self.columns, cells, marks, strict=True)], 1)
        for j, c in enumerate(self.columns):
            gone = np.isnan(table[:, j])
            if gone.any() and not c.missing and outside is not None:
                outside[gone, j], table[gone, j] = True, 0.0 if c.discrete or not np.isfinite(c.low) else c.low
            elif gone.any() and not c.missing and not missing:
                raise BadData(
                    f"Column {c.name!r} has {int(gone.sum())} missing cells (first in row {int(np.flatnonzero(gone)[0])}); it had none at fit. "
                    "Fill them with complete(), or fit on data that have missing cells there."
                )
        return torch.as_tensor(table)

    def ordered(self, frame: Any) -> Any:
        """The columns of a table in the order of this space, whatever type their names are of."""
        if not self.names:
            return frame
        places = {str(name): i for i, name in enumerate(frame.columns)}
        if len(places) < len(frame.columns):
            names = [str(name) for name in frame.columns]
            raise BadData(
                f"Column {next(n for n in names if names.count(n) > 1)!r} stands twice in the table. Rename one."
            )
        return frame.iloc[:, [places[name] for name in self.names]]

    def read_text(self, lines: Sequence[str]) -> Tensor:
        code, width = {c: i for i, c in enumerate(self.alphabet)}, self.shape[0]
        out = torch.full((len(lines), width), max(self.end, 0), dtype=torch.long)
        for i, line in enumerate(lines):
            strange = next((c for c in line if c not in code), None)
            if strange is not None:
                raise BadData(
                    f"Text {i} holds the character {strange!r}, which was not in the text at fit ({len(code)} characters)."
                )
            if len(line) > width - (self.end >= 0) or (self.end < 0 and len(line) != width):
                limit = f"at most {width - 1}" if self.end >= 0 else f"exactly {width}"
                raise BadData(f"Text {i} has {len(line)} characters; this model takes {limit}.")
            out[i, : len(line)] = torch.tensor([code[c] for c in line], dtype=torch.long)
        return out

    def read_prompts(self, lines: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The beginnings of texts -> tokens (B, T) and which of them are known."""
        room = self.shape[0] - (self.end >= 0)
        for i, line in enumerate(lines):
            if len(line) > room:
                raise BadData(f"Prompt {i} has {len(line)} characters; this model writes texts of at most {room}.")
        filled = self.read_text(
            [line if self.end >= 0 else line.ljust(self.shape[0], self.alphabet[0]) for line in lines]
        )
        known = torch.arange(self.shape[0]) < torch.tensor([len(line) for line in lines])[:, None]
        return filled, known

    def read_partly(self, x: Any, known: Any = None) -> tuple[Tensor, Tensor]:
        """Examples with gaps -> a tensor, and the mask of what is known. A gap is NaN, a missing cell, the rest of a text, or where
        `known` is False."""
        if self.kind == "tokens" and is_text(x):
            return self.read_prompts(x)
        tensor = self.read(x, missing=True)
        if is_frame(x):
            gone = torch.as_tensor(self.ordered(x).isna().to_numpy(copy=True))
        else:
            gone = torch.isnan(tensor) if tensor.is_floating_point() else torch.zeros_like(tensor, dtype=torch.bool)
        if known is not None:
            mask = torch.as_tensor(np.array(known, dtype=bool))
            if mask.shape in (self.shape, tuple(np.shape(x)[1:])):  # one mask for all
                mask = mask.expand(len(tensor), *mask.shape)
            gone = gone | ~self.settle(mask)
        return torch.nan_to_num(tensor), ~gone

    def blank(self) -> Tensor:
        """Two rows of zeros: enough to lay out a chart whose constants are loaded after."""
        return torch.zeros(2, *self.shape, dtype=torch.float64)

    # ---- tensor -> raw -------------------------------------------------------------------------------------------
    def restore(self, x: Tensor) -> Any:
        """A tensor in the units of the data -> the kind of thing that came in."""
        x = x.detach().cpu()
        if self.kind == "table":
            import pandas as pd

            if self.form == "tensor":
                return x.to(getattr(torch, self.dtype.removeprefix("torch.")))
            parts = {c.name: restored(c, x[:, j].double().numpy()) for j, c in enumerate(self.columns)}
            frame = pd.DataFrame(parts)
            return frame if self.form == "frame" else frame.to_numpy(dtype=self.dtype, na_value=np.nan)
        if self.form == "text":
            return [self.text(row) for row in x.tolist()]
        if self.layout == "hw":
            x = x[:, 0]
        elif self.layout == "hwc":
            x = x.permute(0, 2, 3, 1)
        array = fitting(x.numpy(), np.dtype(self.dtype.removeprefix("torch.")))
        for j, value in self.fixed:
            array[:, j] = value
        if self.form == "tensor":
            return torch.from_numpy(array)
        if self.form == "frame":
            import pandas as pd

            return pd.DataFrame(array, columns=list(self.names))
        return array

    def text(self, tokens: Sequence[int]) -> str:
        if self.end in tokens:
            tokens = tokens[: tokens.index(self.end)]
        return "".join(self.alphabet[t] for t in tokens)

    # ---- JSON ----------------------------------------------------------------------------------------------------
    def to_json(self) -> dict:
        card = {k: v for k, v in asdict(self).items() if k not in ("columns", "shape") and v != getattr(Space, k, None)}
        card |= {"shape": list(self.shape)}
        if self.fixed:
            card["fixed"] = [list(pair) for pair in self.fixed]
        if self.columns:
            card["columns"] = [c.to_json() for c in self.columns]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in card.items()}

    @classmethod
    def from_json(cls, card: dict) -> Space:
        """The space of a card, which may have been made by anybody: a wrong description is a BadFile."""
        check_space(card, tuple(field.name for field in fields(cls)))
        tuples: dict[str, Any] = {k: tuple(card[k]) for k in ("shape", "names", "alphabet") if k in card}
        tuples |= {"fixed": tuple(tuple(pair) for pair in card["fixed"])} if "fixed" in card else {}
        return cls(**{**card, **tuples, "columns": tuple(Column.from_json(c) for c in card.get("columns", ()))})

    def moved(self, columns: tuple[Column, ...]) -> Space:
        return replace(self, columns=columns)


def is_frame(raw: Any) -> bool:
    return hasattr(raw, "columns") and hasattr(raw, "iloc")


def is_text(raw: Any) -> bool:
    return isinstance(raw, list | tuple) and len(raw) > 0 and all(isinstance(line, str) for line in raw)
