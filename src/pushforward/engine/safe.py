"""Reading files that somebody else may have written: bounded in memory and time, inside one folder, nothing run.

    regular file    opened without following a link and without waiting for the other end of a pipe; anything else is refused
    JSON            strict UTF-8, no key twice, no more brackets and commas than fit into ROOM bytes of Python objects
    safetensors     the header is read and checked here, before any number is: offsets that follow one another from 0 to the end of
                    the file, as many bytes as shape and type say. The numbers are then read as they stand
    manifest        one line a file, `sha256  name`: plain names of this folder, each once

A dict costs Python about 230 bytes, a list 100, a value 48, so a few bytes of hostile JSON could become fifty times as many.
safetensors: 8 bytes with the header's length, JSON of at most 100 MB, then the tensors' bytes, with neither gaps nor overlaps
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from math import isfinite, prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import BadFile

CARD = 64 << 20  # bytes of JSON at most
HEADER = 32 << 20  # bytes of a safetensors header at most: some 400,000 tensors
LIST = 1 << 20  # bytes of a manifest at most
ROOM = 56 << 20  # bytes that the objects of a JSON text may take, or five times its size where that is more
LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_][A-Za-z0-9._-]{0,254})")
KINDS = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "U16": torch.uint16,
    "I16": torch.int16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


@contextmanager
def regular(path: Path) -> Iterator[BufferedReader]:
    """A file opened for reading: a regular one that lies where it says, not a link, pipe, socket or device."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise BadFile(f"{path} is {what(found.st_mode)}; a regular file is awaited. Put the file itself there.")
        # Between the look and the opening it may have been changed: neither is a link followed nor a pipe waited for.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadFile(f"{path} is no longer a regular file.")
            yield file
    except OSError as problem:
        if isinstance(problem, FileNotFoundError):
            raise BadFile(f"{path} is missing. Restore the folder from a copy.") from problem
        raise BadFile(f"{path} cannot be read: {problem.strerror or problem}.") from problem


def what(mode: int) -> str:
    kinds = (
        (stat.S_ISLNK, "a link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((name for test, name in kinds if test(mode)), "a device")


def size_of(file: BufferedReader) -> int:
    return os.fstat(file.fileno()).st_size


def content(path: Path, most: int) -> bytes:
    """The bytes of a small file; one above `most` is refused unread."""
    with regular(path) as file:
        size = size_of(file)
        if size > most:
            raise BadFile(f"{path} has {size:,} bytes; at most {most:,} are awaited. It is not one of ours.")
        found = file.read(most + 1)
    if not found:
        raise BadFile(f"{path} is empty (0 bytes). Restore the folder from a copy.")
    return found


# ---- the manifest ------------------------------------------------------------------------------------------------
def listed(manifest: Path) -> dict[str, str]:
    """The names and sums that a manifest lists."""
    try:
        text = content(manifest, LIST).decode("ascii")
    except UnicodeDecodeError as problem:
        raise BadFile(
            f"{manifest} holds byte 0x{problem.object[problem.start]:02x}; names and sums in ASCII are awaited."
        ) from problem
    out: dict[str, str] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        found = LINE.fullmatch(line)
        if found is None:
            raise BadFile(
                f"{manifest}, line {number}: {line[:100]!r} is not a sha256, two blanks and the name of a file of this folder."
            )
        if found[2] in out:
            raise BadFile(f"{manifest}, line {number}: {found[2]!r} is listed twice.")
        out[found[2]] = found[1]
    return out


def verified(folder: Path, manifest: str, needed: tuple[str, ...]) -> dict[str, str]:
    """Check every file that a folder's manifest lists; an error names the one that differs. What is not listed is not read."""
    sums = listed(folder / manifest)
    for name in needed:
        if name not in sums:
            raise BadFile(f"{folder / manifest} does not list {name}, without which this is not a saved model.")
    for name, wanted in sums.items():
        with regular(folder / name) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != wanted:
            raise BadFile(
                f"{folder / name} has changed since it was written (sha256 {found[:12]}…, manifest {wanted[:12]}…). Restore it from a copy."
            )
    return sums


# ---- JSON --------------------------------------------------------------------------------------------------------
def json_of(path: Path, data: bytes) -> Any:
    """A JSON text as Python objects. Numbers too large for a float are refused; NaN and Infinity are left to who reads the field."""
    objects = 230 * data.count(b"{") + 100 * data.count(b"[") + 48 * data.count(b",")
    if objects > max(ROOM, 5 * len(data)):
        raise BadFile(
            f"{path} holds {data.count(b'{') + data.count(b'['):,} brackets and {data.count(b','):,} commas in {len(data):,} bytes, "
            "more than any card has. It is not one of ours."
        )
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_float=number)
    except (ValueError, RecursionError, MemoryError) as problem:
        said = (
            "brackets are nested too deep"
            if isinstance(problem, RecursionError)
            else str(problem) or type(problem).__name__
        )
        raise BadFile(f"{path} is not the JSON that is awaited: {said[:300]}.") from problem


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that stands twice in it would mean one thing to one reader and another to the next."""
    out = dict(pairs)
    if len(out) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return out


def number(text: str) -> float:
    found = float(text)
    if not isfinite(found):
        raise ValueError(f"the number {text[:40]} is too large")
    return found


# ---- safetensors -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Entry:
    """One tensor of a file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int  # in the file
    bytes: int


def header(path: Path) -> dict[str, Entry]:
    """What a safetensors file says that it holds, checked against its size; none of the numbers is read."""
    with regular(path) as file:
        size = size_of(file)
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or not 2 <= length <= min(size - 8, HEADER):
            raise BadFile(
                f"{path} is not a safetensors file: its first 8 bytes say that {length:,} bytes of header follow; the file has {size:,}."
            )
        told = json_of(path, file.read(length))
    if not isinstance(told, dict):
        raise BadFile(f"{path}: its header is a JSON {type(told).__name__}; an object of tensors by name is awaited.")
    told.pop("__metadata__", None)
    found = {name: entry(path, name, one, 8 + length) for name, one in told.items()}
    end = 8 + length
    for name, one in sorted(found.items(), key=lambda pair: (pair[1].start, pair[1].bytes)):
        if one.start != end:
            raise BadFile(
                f"{path}: {name[:80]!r} begins at byte {one.start:,}, where {end:,} is awaited: a gap or an overlap. It is damaged, or made so."
            )
        end += one.bytes
    if end != size:
        raise BadFile(
            f"{path} has {size:,} bytes; its header promises {end:,}. It is cut short, or something was added."
        )
    return found


def entry(path: Path, name: str, told: Any, base: int) -> Entry:
    """One line of a header."""
    if not isinstance(told, dict) or set(told) != {"dtype", "shape", "data_offsets"}:
        raise BadFile(f"{path}: {name[:80]!r} has no dtype, shape and data_offsets, or more than these.")
    kind, shape, ends = told["dtype"], told["shape"], told["data_offsets"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadFile(f"{path}: {name[:80]!r} is of type {str(kind)[:40]!r}; one of {', '.join(KINDS)} is awaited.")
    if not (whole(shape) and len(shape) <= 64 and whole(ends) and len(ends) == 2 and ends[0] <= ends[1]):
        raise BadFile(
            f"{path}: {name[:80]!r} has shape {str(shape)[:80]} and offsets {str(ends)[:80]}; whole numbers of at least 0 and two offsets in order are awaited."
        )
    dtype = KINDS[kind]
    size = prod(shape) * dtype.itemsize
    if size != ends[1] - ends[0]:
        raise BadFile(
            f"{path}: {name[:80]!r} of shape {str(tuple(shape))[:80]} and type {kind} needs {size:,} bytes; it has {ends[1] - ends[0]:,}."
        )
    return Entry(dtype, tuple(shape), base + ends[0], ends[1] - ends[0])


def whole(numbers: Any) -> bool:
    """A list of whole numbers from 0 to 2^63 - 1."""
    return isinstance(numbers, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in numbers)


def tensors(path: Path, entries: Mapping[str, Entry]) -> dict[str, Tensor]:
    """The numbers of a file whose header is known, each tensor with memory of its own."""
    out: dict[str, Tensor] = {}
    with regular(path) as file:
        for name, one in entries.items():
            out[name] = torch.empty(one.shape, dtype=one.dtype)
            if one.bytes:
                file.seek(one.start)
                # A truth is a byte that is 0 or 1; any other would be neither for some of torch's functions.
                view = out[name].reshape(-1).view(torch.uint8).numpy()
                if file.readinto(view.data) != one.bytes:
                    raise BadFile(f"{path} became shorter while it was read.")
                if one.dtype == torch.bool and view.max() > 1:
                    raise BadFile(f"{path}: {name!r} holds a truth that is neither 0 nor 1.")
    return out


def load(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name."""
    return tensors(path, header(path))


def typed(path: Path, told: Any, kinds: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """An object whose known parts are of the types that they are written with; a part that is not there is not asked for."""
    if not isinstance(told, dict):
        raise BadFile(f"{path} holds a JSON {type(told).__name__}; an object is awaited.")
    for name, allowed in kinds.items():
        if name in told and type(told[name]) not in allowed:
            awaited = " or ".join(kind.__name__ for kind in allowed)
            raise BadFile(f"{path}: {name!r} is {repr(told[name])[:80]}; a value of type {awaited} is awaited.")
    return told
