"""Arrays as they come: which numbers they hold, of what kind they look, how their axes lie, and numbers back in a type that came in."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import BadData, BadType

NUMPY = (torch.float16, torch.float32, torch.float64)
ROWS, WIDE = 1 << 28, 500  # bytes that texts may always take as rows, and how many for each of their characters


def as_array(raw: Any) -> np.ndarray:
    """Anything array-like -> a numeric array of at least two axes, or an error that says what is wrong with it."""
    if hasattr(raw, "toarray") and hasattr(raw, "nnz"):
        raise BadData("x is a sparse matrix; dense arrays are awaited. Call x.toarray().")
    try:
        x = of_tensor(raw) if isinstance(raw, Tensor) else np.asarray(raw)
    except (TypeError, ValueError) as problem:
        raise BadData(f"x cannot be read as rows of numbers, all of one length ({problem}).") from problem
    check_kind(raw, x.dtype)
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


def check_kind(raw: Any, dtype: np.dtype) -> None:
    """Refuse what as numbers would lose something without a word: masks, imaginary parts, dates, words, fields."""
    if isinstance(raw, np.ma.MaskedArray) and np.ma.getmaskarray(raw).any():
        raise BadData(
            f"x is a masked array, of which {int(np.ma.getmaskarray(raw).sum()):,} values are masked. A missing value is NaN: pass "
            "x.astype(float).filled(numpy.nan)."
        )
    if dtype.kind == "c":
        raise BadData(
            "Complex data not supported: x holds complex numbers. Pass the real and imaginary parts as columns."
        )
    if dtype.kind in "MmUSV":
        raise BadData(
            f"x holds values of type {dtype}; an array of numbers is awaited. Pass x.astype(float) if that is what they mean. Columns of dates "
            "or words are for a DataFrame, and come back as they were."
        )


def of_tensor(raw: Tensor) -> np.ndarray:
    """A tensor as an array; one of a type that NumPy has not, such as bfloat16, in single precision."""
    if raw.layout != torch.strided or raw.is_nested or raw.is_quantized or raw.device.type == "meta":
        raise TypeError("it is a sparse, nested, quantised or empty tensor: pass x.to_dense() or x.dequantize()")
    x = raw.detach().cpu().resolve_conj().resolve_neg()
    return (x.float() if x.is_floating_point() and x.dtype not in NUMPY else x).numpy()


def as_tensor(x: np.ndarray) -> Tensor:
    """An array as a tensor, copied only where torch cannot take it as it lies: in another order of bytes, backwards, of more than 64 bits."""
    fits = x.dtype == native(x.dtype) and all(step >= 0 for step in x.strides)
    x = x if fits else x.astype(native(x.dtype), order="C")
    if x.flags.writeable:
        return torch.as_tensor(x)
    with warnings.catch_warnings():
        # What pandas hands out may not be written to, of which torch warns; nothing is written to what was read.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.as_tensor(x)


def native(dtype: np.dtype) -> np.dtype:
    """The type in which torch has such numbers."""
    return np.dtype(np.float64) if dtype.kind == "f" and dtype.itemsize > 8 else dtype.newbyteorder("=")


def check_widths(lengths: Sequence[int]) -> None:
    """Texts become rows as wide as the longest: one that is very much longer than the others would fill the memory with ends of lines."""
    longest, size = max(lengths, default=0), 8 * len(lengths) * max(lengths, default=0)
    if size > ROWS and size > WIDE * sum(lengths):
        raise BadData(
            f"Text {lengths.index(longest)} has {longest:,} characters, and the mean of {len(lengths):,} is {sum(lengths) / len(lengths):.0f}: as rows "
            f"of one length they take {size:,} bytes. Leave out or cut what is so long, or learn from one running text."
        )


def shown(names: Sequence[str]) -> str:
    """Names for a sentence.

    >>> shown([f"x{i}" for i in range(1000)])[-28:]
    ', x28, x29, … (1,000 in all)'
    """
    return ", ".join(names[:30]) + (f", … ({len(names):,} in all)" if len(names) > 30 else "")


def gaps(x: np.ndarray) -> np.ndarray:
    """Which columns of numbers have missing cells."""
    # One NaN and the sum is NaN; so it may be with infinities.
    if x.dtype.kind != "f" or not bool(torch.isnan(as_tensor(x).sum())):
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


def fitting(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers as another type: whole where it is one of whole numbers, and never beyond its ends."""
    if dtype.kind in "iu" and x.dtype.kind == "f":
        ends = np.iinfo(dtype)
        # The largest float64 below 2^63 is 2^63 - 1024; the end itself would round up and wrap.
        top = float(ends.max) if float(ends.max) <= ends.max else np.nextafter(float(ends.max), 0.0)
        return np.rint(x.astype(np.float64)).clip(float(ends.min), top).astype(dtype)
    if dtype == np.float16:
        return x.clip(-65504.0, 65504.0).astype(dtype)
    return x.astype(dtype)


def check_finite(x: Tensor, missing: bool, names: tuple[str, ...] = ()) -> None:
    if not x.is_floating_point() or (not missing and bool(torch.isfinite(x.sum()))):
        return  # one NaN or infinity and the sum is not finite: no array of booleans is needed to see that
    wrong = torch.isinf(x) if missing else ~torch.isfinite(x)
    if bool(wrong.any()):
        first = tuple(int(i) for i in wrong.nonzero()[0])
        where = f"column {names[first[1]]!r}" if names and len(first) == 2 else f"position {first[1:]}"
        raise BadData(
            f"x contains NaN or infinity: {int(wrong.sum())} of {x.numel()} values, the first in row {first[0]}, {where}. "
            "Remove those rows, or fill them (complete() of a fitted model fills NaN)."
        )
