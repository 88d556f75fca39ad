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
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import BadData, BadType, did_you_mean
from . import columns as col
from .columns import Column

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
        if kind == "levels" and not levels:
            levels = int(x.max()) + 1
        if kind == "real" and x.ndim == 2 and not isinstance(raw, np.memmap) and (gone := gaps(x)).any():
            return cls.of_gaps(gone, form, str(x.dtype))
        shape, layout = arrange(x.shape[1:])
        return cls(kind, shape, levels, form=form, dtype=str(x.dtype), layout=layout)

    @classmethod
    def of_gaps(cls, gone: np.ndarray, form: str, dtype: str) -> Space:
        """Of an array of numbers with missing cells in some columns: a table of numbers, given back as an array."""
        names = tuple(f"x{j}" for j in range(len(gone)))
        columns = tuple(Column(name, "number", missing=bool(some)) for name, some in zip(names, gone, strict=True))
        return cls("table", (len(names),), names=names, columns=columns, form=form, dtype=dtype)

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
        if all(
            c.kind in ("number", "integer", "ordinal", "boolean") and not c.missing and c.dtype == "float64"
            for c in columns
        ) and not any(len(c.categories) == 1 for c in columns):  # a constant is a category, and comes back as it was
            # A table of floats alone is a vector: whole or repeated values in it are measurements, not categories.
            return cls("real", (len(names),), names=tuple(names), form="frame", dtype="float64")
        return cls("table", (len(names),), names=tuple(names), columns=columns, form="frame", dtype="float64")

    @classmethod
    def of_text(cls, lines: Sequence[str]) -> Space:
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
        x = raw if isinstance(raw, Tensor) else torch.as_tensor(as_array(raw))
        x = self.settle(x)
        if self.kind == "real":
            check_finite(x, missing)
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
        if x.dtype in (torch.uint16, torch.uint32):  # torch has no arithmetic of them
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

    def read_frame(self, raw: Any, missing: bool = False) -> Tensor:
        import pandas as pd

        if not is_frame(raw):
            x = as_array(raw)
            if x.ndim != 2 or x.shape[1] != self.size:
                raise BadData(
                    f"x has shape {x.shape}; this model was built for a table of {self.size} columns: {', '.join(self.names)}."
                )
            raw = pd.DataFrame(x, columns=list(self.names))
        have = [str(c) for c in raw.columns]
        lost, new = [n for n in self.names if n not in have], [n for n in have if n not in self.names]
        if self.names and (lost or new):
            hint = did_you_mean(lost[0], new) if lost else did_you_mean(new[0], self.names)
            what = f"has no column {lost[0]!r}" if lost else f"has a column {new[0]!r} that was not there at fit"
            raise BadData(f"The table {what}. Awaited: {', '.join(self.names)}.{hint}")
        if self.kind != "table":
            return self.read(
                (raw[list(self.names)] if self.names else raw).to_numpy(dtype=np.float64, copy=True), missing
            )
        table = np.stack([col.read(c, raw.iloc[:, have.index(c.name)].reset_index(drop=True)) for c in self.columns], 1)
        for j, c in enumerate(self.columns):
            gone = np.isnan(table[:, j])
            if gone.any() and not c.missing and not missing:
                raise BadData(
                    f"Column {c.name!r} has {int(gone.sum())} missing cells (first in row {int(np.flatnonzero(gone)[0])}); it had none at fit. "
                    "Fill them with complete(), or fit on data that have missing cells there."
                )
        return torch.as_tensor(table)

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
            gone = torch.as_tensor(x[list(self.names)].isna().to_numpy(copy=True))
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

            if self.form != "frame":
                return x if self.form == "tensor" else x.numpy().astype(self.dtype)
            parts = {c.name: col.restore(c, x[:, j].double().numpy()) for j, c in enumerate(self.columns)}
            return pd.DataFrame(parts)
        if self.form == "text":
            return [self.text(row) for row in x.tolist()]
        if self.layout == "hw":
            x = x[:, 0]
        elif self.layout == "hwc":
            x = x.permute(0, 2, 3, 1)
        if self.form == "tensor":
            return x if self.kind == "real" else x.to(getattr(torch, self.dtype.removeprefix("torch.")))
        array = x.numpy().astype(self.dtype)
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
        if self.columns:
            card["columns"] = [c.to_json() for c in self.columns]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in card.items()}

    @classmethod
    def from_json(cls, card: dict) -> Space:
        tuples = {k: tuple(card[k]) for k in ("shape", "names", "alphabet") if k in card}
        return cls(**{**card, **tuples, "columns": tuple(Column.from_json(c) for c in card.get("columns", ()))})

    def moved(self, columns: tuple[Column, ...]) -> Space:
        return replace(self, columns=columns)


def is_frame(raw: Any) -> bool:
    return hasattr(raw, "columns") and hasattr(raw, "iloc")


def is_text(raw: Any) -> bool:
    return isinstance(raw, list | tuple) and len(raw) > 0 and all(isinstance(line, str) for line in raw)


def as_array(raw: Any) -> np.ndarray:
    """Anything array-like -> a numeric array of at least two axes, or an error that says what is wrong with it."""
    if hasattr(raw, "toarray") and hasattr(raw, "nnz"):
        raise BadData("x is a sparse matrix; dense arrays are awaited. Call x.toarray().")
    x = raw.detach().cpu().numpy() if isinstance(raw, Tensor) else np.asarray(raw)
    if x.dtype.kind == "c":
        raise BadData(
            "Complex data not supported: x holds complex numbers. Pass the real and imaginary parts as columns."
        )
    if x.dtype.kind not in "fiub":
        try:
            x = x.astype(np.float64)
        except (TypeError, ValueError) as problem:
            kind = BadType if isinstance(problem, TypeError) else BadData
            raise kind(
                f"x holds values that are not numbers ({problem}). For mixed columns pass a DataFrame."
            ) from problem
    if x.ndim < 2:
        raise BadData(
            f"Expected 2D array, got {x.ndim}D array of shape {x.shape} instead. Reshape your data: x.reshape(-1, 1) for one variable."
        )
    if 0 in x.shape:
        raise BadData(
            f"x has shape {x.shape}: 0 sample(s) or 0 feature(s) (shape={x.shape}) while a minimum of 1 is required."
        )
    return x


def gaps(x: np.ndarray) -> np.ndarray:
    """Which columns of numbers have missing cells."""
    if x.dtype.kind != "f" or not np.isnan(
        torch.as_tensor(x).sum()
    ):  # one NaN and the sum is NaN; so it may be with infinities
        return np.zeros(x.shape[1], dtype=bool)
    return np.isnan(x).any(0)


def guess(x: np.ndarray) -> tuple[str, int]:
    """The kind of an array from its type: floats are real, bits binary, small whole numbers levels."""
    if x.dtype.kind == "f":
        return "real", 0
    if x.dtype.kind == "b" or (x.min() >= 0 and x.max() <= 1):
        return "binary", 2
    if x.dtype == np.uint8 and x.ndim > 2:
        return "levels", 256
    if x.dtype == np.uint16 and x.ndim > 2:
        return "levels", 65536
    return ("levels", int(x.max()) + 1) if x.min() >= 0 and x.max() < 256 else ("real", 0)


def arrange(shape: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
    """The shape in our order, channels first, and the layout that came in."""
    if len(shape) == 2:
        return (1, *shape), "hw"
    if len(shape) == 3:
        if shape[-1] in (1, 3, 4) and shape[0] not in (1, 3, 4):
            return (shape[2], shape[0], shape[1]), "hwc"
        return tuple(shape), "chw"
    return tuple(shape), "flat"


def check_finite(x: Tensor, missing: bool) -> None:
    if not x.is_floating_point() or (not missing and bool(torch.isfinite(x.sum()))):
        return  # one NaN or infinity and the sum is not finite: no array of booleans is needed to see that
    wrong = torch.isinf(x) if missing else ~torch.isfinite(x)
    if bool(wrong.any()):
        first = tuple(int(i) for i in wrong.nonzero()[0])
        raise BadData(
            f"x contains NaN or infinity: {int(wrong.sum())} of {x.numel()} values, the first in row {first[0]}, position {first[1:]}. "
            "Remove those rows, or fill them (complete() of a fitted model fills NaN)."
        )
