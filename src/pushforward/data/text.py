"""Text as symbols: characters by default, or bytes.

A file is ONE stream, cut into windows of one length; with lines=True each line that is not blank is an example, and so is each
string of a list. Examples of different lengths are ended by one more symbol.

T symbols in the stream, V of them distinct:   stream (T,) of codes 0 .. V-1
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import BadData, Usage, did_you_mean
from ..space import Space
from ..space.raw import check_widths
from .examples import Examples
from .files import read_bytes, read_text
from .stores import Windows

UNITS = ("characters", "bytes")
PIECE = 1 << 22  # characters that are looked at at a time


def read_file(
    path: Path, *, length: int = 256, units: str = "characters", lines: bool = False, encoding: str = "utf-8"
) -> Examples:
    """A text file as examples."""
    known(units)
    if lines:
        rows = [line.removesuffix("\r") for line in read_text(path, encoding).split("\n")]
        return strings([line for line in rows if line.strip()], units=units)
    if units == "bytes":
        data = np.frombuffer(read_bytes(path), np.uint8)
        return windows(torch.from_numpy(data.copy()), byte_space(length), length)
    return stream(read_text(path, encoding), length=length)


def stream(text: str, *, length: int = 256) -> Examples:
    """One long text as windows of characters.

    >>> examples = stream("to be or not to be", length=6)
    >>> len(examples), examples.space.restore(examples.x)
    (3, ['to be ', 'or not', ' to be'])
    """
    codes, alphabet = encode(text)
    space = Space("tokens", (length,), len(alphabet), form="text", dtype="int64", alphabet=alphabet)
    return windows(codes, space, length)


def windows(codes: Tensor, space: Space, length: int) -> Examples:
    if not isinstance(length, int) or length < 1:
        raise Usage(f"length={length!r}: the symbols of one example are a whole number, 1 or more.")
    return Examples(Windows(codes, length), space=space)


def strings(lines: Sequence[str], *, units: str = "characters") -> Examples:
    """Each string is an example.

    >>> strings(["ada", "bo"]).x
    tensor([[0, 2, 0, 4],
            [1, 3, 4, 4]])
    """
    known(units)
    if not lines:
        raise BadData("There is no line of text. At least one is needed.")
    if units == "characters":
        return Examples(list(lines))
    data = [np.frombuffer(line.encode("utf-8"), np.uint8) for line in lines]
    check_widths([len(row) for row in data])
    longest = max(map(len, data))
    equal = all(len(row) == longest for row in data)
    codes = torch.full((len(data), longest + (not equal)), 256, dtype=torch.long)
    for i, row in enumerate(data):
        codes[i, : len(row)] = torch.from_numpy(row.astype(np.int64))
    return Examples(codes, space=byte_space(codes.shape[1], ended=not equal))


def byte_space(length: int, ended: bool = False) -> Space:
    """Bytes have no alphabet; 256 ends an example where lengths differ."""
    return Space(
        "tokens", (length,), 256 + ended, form="bytes", dtype="int64" if ended else "uint8", end=256 if ended else -1
    )


def encode(text: str) -> tuple[Tensor, tuple[str, ...]]:
    """(codes, alphabet), the alphabet in the order of code points. In pieces, since a code point takes four bytes and a count of them eight."""
    seen = np.zeros(0x110000, bool)
    for points in pieces(text):
        seen[points] = True
    used = np.flatnonzero(seen)
    code = np.zeros(len(seen), np.uint8 if len(used) <= 256 else np.int32)
    code[used] = np.arange(len(used))
    out = np.empty(len(text), code.dtype)
    for i, points in enumerate(pieces(text)):
        out[i * PIECE : i * PIECE + len(points)] = code[points]
    return torch.from_numpy(out), tuple(map(chr, used))


def pieces(text: str) -> Iterator[np.ndarray]:
    """The code points of a text, some at a time."""
    for start in range(0, len(text), PIECE):
        yield np.frombuffer(text[start : start + PIECE].encode("utf-32-le", "surrogatepass"), np.uint32)


def known(units: str) -> None:
    if units not in UNITS:
        raise Usage(f"units={units!r}: {' or '.join(UNITS)} are awaited.{did_you_mean(units, UNITS)}")
