"""NumPy's own files, never with pickled objects in them: to read those would run code that the file brings.

A header that promises more numbers than the file can hold, and an archive that unpacks to far more than it is, are refused unread.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadFile, Usage, did_you_mean
from .examples import LARGE
from .files import check_unpacked

# As NumPy's readers of headers and archives meet damage.
DAMAGE = (
    ValueError, EOFError, OSError, MemoryError, OverflowError, SyntaxError, tokenize.TokenError, TypeError, KeyError, RuntimeError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


def read_npy(path: Path, *, stream: bool | None = None) -> np.ndarray:
    """One array. `stream` leaves it on the disk and reads rows as they are needed; by default if it is above 1 GiB."""
    lazy = path.stat().st_size > LARGE if stream is None else stream
    found = opened(path, mmap_mode="r" if lazy else None)
    if not isinstance(found, np.ndarray):
        raise BadFile(f"{path} is an archive of arrays with the name of a single one. Rename it to .npz.")
    return checked(path, found)


class Archive:
    """The arrays of an .npz file, by name."""

    def __init__(self, path: Path):
        self.path, self.content = path, opened(path)
        if isinstance(self.content, np.ndarray):
            raise BadFile(f"{path} is a single array with the name of an archive. Rename it to .npy.")

    def read(self, key: str | None = None, beside: str | None = None) -> np.ndarray:
        """The array of this name. The only array (but for `beside`), or one called x, needs no name."""
        names = self.content.files
        if key is None:
            rest = [name for name in names if name != beside]
            key = rest[0] if len(rest) == 1 else "x" if "x" in rest else None
        if key is None:
            raise Usage(f"{self.path} holds {len(names)} arrays: {', '.join(names)}. Say which with key=.")
        if key not in names:
            raise Usage(f"{self.path} holds no array {key!r}.{did_you_mean(key, names)} It holds: {', '.join(names)}.")
        try:
            packed = self.content.zip
            names = packed.namelist()
            told = packed.getinfo(key if key in names else f"{key}.npy")
            check_unpacked(self.path, told.file_size, told.compress_size)
            with packed.open(told) as member:
                if member.read(6) != np.lib.format.MAGIC_PREFIX:
                    raise BadFile(f"{self.path}: its member {key!r} is no array. Write the archive with numpy.savez.")
            with packed.open(told) as member:
                check_promise(self.path, member, told.file_size)
            return checked(self.path, self.content[key])
        except DAMAGE as problem:
            raise refusal(self.path, problem) from problem


def opened(path: Path, mmap_mode: Any = None) -> Any:
    try:
        with open(path, "rb") as file:
            if file.read(6) == np.lib.format.MAGIC_PREFIX:
                file.seek(0)
                check_promise(path, file, path.stat().st_size)
        return np.load(path, allow_pickle=False, mmap_mode=mmap_mode)
    except DAMAGE as problem:
        raise refusal(path, problem) from problem


def check_promise(path: Path, file: Any, size: int) -> None:
    """What an array's header promises must fit into its bytes, before memory is taken for it."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if min(shape, default=0) < 0:
        raise BadFile(f"{path} promises an array of shape {shape}: no axis has fewer than 0 rows. It is damaged.")
    if not dtype.itemsize:  # as many of them as a header likes, in no bytes at all
        raise BadFile(
            f"{path} promises {prod(shape):,} values of type {dtype}, which hold nothing. Numbers are awaited."
        )
    if not dtype.hasobject and prod(shape) * dtype.itemsize > size:
        raise BadFile(
            f"{path} promises an array of shape {shape} and type {dtype}, more than its {size:,} bytes hold. It is cut short or damaged."
        )


def checked(path: Path, array: np.ndarray) -> np.ndarray:
    if array.ndim == 0 or array.dtype.names:
        what = "a single number" if array.ndim == 0 else "records with named fields"
        raise BadFile(f"{path} holds {what}; an array with one row for each example is awaited.")
    return array


def refusal(path: Path, problem: Exception) -> Exception:
    """The sentence for a file that NumPy would not read."""
    if isinstance(problem, BadFile):
        return problem
    if "pickle" in str(problem).lower() or "Python objects" in str(problem):
        return BadFile(
            f"{path} holds pickled Python objects (or is no NumPy file). These are never read, since reading them can run any code. "
            "Save plain numbers: numpy.save(path, array.astype(float))."
        )
    return BadFile(f"{path} is not a whole NumPy file ({problem}).")
