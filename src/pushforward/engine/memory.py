"""Memory that runs out, and how the work goes on in smaller parts.

    gradient of the mean over a batch = sum over its parts of (rows of the part / rows of the batch) x gradient of the mean over the part,

so a batch that does not fit is taken in parts whose gradients are added before the step. Row i of a step meets the same noise in whatever part it
comes (noise.py), so the step is that of the whole batch, up to the rounding of sums. Not so where an objective looks at its batch as a whole
(statistics of a batch, sums over pairs of its rows) or drops units at random: there each part is looked at for itself.

The doors (`sample`, `log_prob` …) take fewer rows at a time; what they return is the same.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from ..errors import Problem

# A GPU says so by a class of its own; the CPU and MPS by words.
WORDS = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/proc/driver/nvidia/version")

Part = TypeVar("Part")


class OutOfMemory(Problem, MemoryError):
    """Not even one example at a time fits into memory, or processes that work together cannot take smaller parts."""

    exit_code = 1


def ran_out(problem: BaseException) -> bool:
    """Whether this error says that memory ran out.

    >>> ran_out(torch.OutOfMemoryError("CUDA out of memory.")), ran_out(RuntimeError("shapes do not agree"))
    (True, False)
    """
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(problem, RuntimeError) and any(word in str(problem).lower() for word in WORDS)


def release() -> None:
    """Give back what nobody holds any more."""
    if torch.cuda.is_initialized():
        gc.collect()  # of tensors in circles
        torch.cuda.empty_cache()


def parts(rows: int, count: int) -> list[slice]:
    """So many stretches of rows, of sizes as equal as can be; none is empty.

    >>> [(part.start, part.stop) for part in parts(7, 3)]
    [(0, 3), (3, 5), (5, 7)]
    """
    count = max(1, min(count, rows))
    size, more = divmod(rows, count)
    ends = [0]
    for part in range(count):
        ends.append(ends[-1] + size + (part < more))
    return [slice(start, stop) for start, stop in zip(ends[:-1], ends[1:], strict=True)]


def lots(one: Callable[[int, int], Part], n: int, rows: int) -> list[Part]:
    """one(start, stop) over n rows, so many at a time; half as many from where memory runs out.

    >>> lots(lambda start, stop: stop - start, 10, 4)
    [4, 4, 2]
    """
    found: list[Part] = []
    start, least = 0, rows
    while start < n:
        try:
            found.append(one(start, min(start + rows, n)))
        except (RuntimeError, MemoryError) as problem:
            if not ran_out(problem):
                raise
            if rows == 1:
                raise OutOfMemory(
                    f"Out of memory with one example at a time ({str(problem).splitlines()[0]}). "
                    "Move the model to the CPU (model.to('cpu')), free memory, or take a smaller model."
                ) from problem
            rows = -(-min(rows, n - start) // 2)
        else:
            start += min(rows, n - start)
            continue
        release()  # out of the except clause, where the error no longer holds what was in memory
    if rows < least:
        warnings.warn(
            f"Out of memory with {min(least, n)} examples at a time: {rows} at a time were taken.", stacklevel=3
        )
    return found


def why_not_gpu() -> str:
    """Why torch sees no GPU although this machine seems to have one; nothing where there is no sign of one."""
    if torch.cuda.is_available() or not any(os.path.exists(place) for place in DRIVERS):
        return ""
    if torch.version.cuda is None and torch.version.hip is None:
        return "this torch was built without support for GPUs"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            torch.cuda.init()
        except (RuntimeError, AssertionError) as problem:
            return str(problem).strip().splitlines()[0]
    return str(told[0].message).strip().splitlines()[0] if told else "the driver shows torch no device"
