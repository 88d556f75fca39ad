"""How much memory tensors may take while something builds them, and how many operations: more is refused before it is taken.

A card says hidden=[1000000000] in twenty bytes. Inside `with Budget(most)` every operation of torch is looked at before it runs: what it
will give is known from its arguments, or from running it on shapes alone (torch's "meta" device) where it could be large. Storages count
as long as they live.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

SMALL = 1 << 20  # numbers that nobody counts beforehand
OBJECT = 3 << 10  # bytes of Python around a tensor of a network, about


class TooMuch(MemoryError):
    """More memory was about to be taken than is allowed."""


class Budget(TorchDispatchMode):
    """Refuse what would make the tensors made inside take more than `most` bytes at once, or take more than `turns` operations.

    >>> with Budget(1 << 20):
    ...     torch.zeros(1 << 40)
    Traceback (most recent call last):
    ...
    pushforward.engine.budget.TooMuch: 4,398,046,511,104 bytes more than the 0 in use; 1,048,576 are allowed
    """

    def __init__(self, most: int, turns: int = 1 << 62):
        super().__init__()
        self.most, self.turns, self.used, self.peak = most, turns, 0, 0
        self.held: dict[int, int] = {}
        self.watched: dict[int, Any] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to be skipped, torch would import its compiler first, and that takes longer than all the rest of loading a model."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.turns -= 1
        if self.turns < 0:
            raise TooMuch("more operations than it takes to build any model with so few weights")
        kwargs = kwargs or {}
        told = [*flat(args), *flat(kwargs.values())]
        if crude(told) > SMALL:
            self.ask(needed(func, args, kwargs, told))
        out = func(*args, **kwargs)
        for one in flat((out,)):
            if isinstance(one, Tensor):
                self.count(one)
        return out

    def ask(self, size: int) -> None:
        if self.used + size > self.most:
            raise TooMuch(f"{size:,} bytes more than the {self.used:,} in use; {self.most:,} are allowed")

    def count(self, tensor: Tensor) -> None:
        if tensor.device.type == "meta":
            return
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes() + OBJECT
        if key not in self.held and size > OBJECT:
            self.ask(size)
            self.held[key] = size
            self.used += size
            self.peak = max(self.peak, self.used)
            self.watched[key] = weakref.ref(storage, lambda _: self.free(key))

    def free(self, key: int) -> None:
        self.used -= self.held.pop(key, 0)
        self.watched.pop(key, None)


def flat(things: Any) -> list[Any]:
    """Arguments without their lists and tuples."""
    out: list[Any] = []
    for thing in things:
        if isinstance(thing, list | tuple):
            out += flat(thing)
        else:
            out.append(thing)
    return out


def crude(told: list[Any]) -> float:
    """No less than the numbers that any operation could make of these arguments."""
    total, alone = 1.0, not any(isinstance(one, Tensor) for one in told)
    for one in told:
        if isinstance(one, Tensor):
            total *= max(one.numel(), 1)
        elif isinstance(one, int | float if alone else int) and abs(one) > 1:  # beside a tensor a fraction is no size
            total *= abs(one)
    return total


def needed(func: Any, args: Any, kwargs: dict[str, Any], told: list[Any]) -> int:
    """Bytes of new memory that an operation will take, found by running it on shapes; views and what works in place take none."""
    if func._schema.is_mutable:
        return 0
    given = {name: value for name, value in kwargs.items() if name != "generator"}
    makes = any(one.name == "device" for one in func._schema.arguments)
    if makes and (given.get("device") is not None or not any(isinstance(one, Tensor) for one in told)):
        given["device"] = torch.device("meta")
    shapes: dict[int, Tensor] = {}
    try:
        found = func(*shaped(args, shapes), **{name: shaped((value,), shapes)[0] for name, value in given.items()})
    except (
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ):  # it depends on the numbers, or is an error of its own
        return 0
    old = {one.untyped_storage()._cdata for one in shapes.values()}
    new = [one.untyped_storage() for one in flat((found,)) if isinstance(one, Tensor)]
    return sum(storage.nbytes() for storage in new if storage._cdata not in old)


def shaped(things: Any, shapes: dict[int, Tensor]) -> list[Any]:
    """Arguments with the shapes of tensors in place of tensors."""
    out: list[Any] = []
    for thing in things:
        if isinstance(thing, Tensor):
            if id(thing) not in shapes:
                blank = torch.empty_strided(thing.size(), thing.stride(), dtype=thing.dtype, device="meta")
                shapes[id(thing)] = blank
            out.append(shapes[id(thing)])
        else:
            out.append(shaped(thing, shapes) if isinstance(thing, list | tuple) else thing)
    return out
