"""The idx format of MNIST: 0 0 <type> <axes>, the length of each axis as a big-endian 32-bit number, then the values."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np

from ..errors import BadFile
from .files import read_bytes

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
AXES = 16  # at most


def read_idx(path: Path) -> np.ndarray:
    """The array of an idx file, in the byte order of this machine."""
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES or not 0 < data[3] <= AXES:
        raise BadFile(
            f"{path} is not an idx file: it begins with {data[:4].hex(' ')}, where 00 00 <type 08 .. 0e> <1 .. {AXES} axes> is awaited."
        )
    axes, start = data[3], 4 + 4 * data[3]
    shape = tuple(int(n) for n in np.frombuffer(data[4:start], ">u4")) if len(data) >= start else ()
    dtype = np.dtype(TYPES[data[2]])
    want = start + prod(shape) * dtype.itemsize
    if len(shape) == axes and 0 in shape:
        raise BadFile(f"{path} holds no numbers: its shape is {shape}.")
    if len(shape) != axes or len(data) != want:
        raise BadFile(
            f"{path} has {len(data):,} bytes and its header {shape} promises {want:,}: it is cut short or damaged. Fetch it again."
        )
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
