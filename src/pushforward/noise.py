"""The one source of randomness: the noise that a model pushes forward.

Row i of a draw is a function of (seed, step, number of the call, i) alone. So a sample does not depend on how many are
drawn beside it, nor on the batch size, a resumed run repeats an uninterrupted one without any stored state, and rank r of
W processes draws exactly the rows that it owns of the global batch.

Rows are drawn in blocks that each have a generator state of their own; the global generator is never touched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property

import torch
from torch import Tensor

MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """One well-spread 63-bit seed from several integers (the finaliser of splitmix64, Steele et al. 2014)."""
    z = 0x9E3779B97F4A7C15
    for number in numbers:
        z = (z ^ (number & MASK)) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ (z >> 30)) * 0x94D049BB133111EB & MASK
        z = (z ^ (z >> 27)) + 0x9E3779B97F4A7C15 & MASK
        z ^= z >> 31
    return z >> 1


class Stream:
    """Where we are in the sequence of draws, and where the numbers are to live. Inside `with` it is the open one."""

    def __init__(
        self,
        seed: int,
        step: int = 0,
        start: int = 0,  # the global number of row 0
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        self.seed, self.step, self.start, self.device, self.dtype, self.call = seed, step, start, device, dtype, 0
        self.cpu = torch.device(device).type == "cpu"
        # Seeding costs microseconds on a CPU and a kernel launch on a GPU.
        self.block = 64 if self.cpu else 4096

    @cached_property
    def generator(self) -> torch.Generator:
        return torch.Generator(device=self.device)

    def draw(self, fill: str, n: int, shape: tuple[int, ...]) -> Tensor:
        call, size = self.call, self.block
        self.call = call + 1
        first, skipped = divmod(self.start, size)
        used = skipped + n if n else 0
        # On a CPU the numbers of a block come in sequence (normals in groups of 16), so the tail that nobody asked for is left out.
        group = size if not self.cpu else 16 // math.gcd(16, math.prod(shape)) if fill == "normal_" else 1
        rows = -(-used // group) * group
        out = torch.empty(rows, *shape, device=self.device, dtype=self.dtype)
        for row in range(0, rows, size):
            self.generator.manual_seed(mix(self.seed, self.step, call, first + row // size))
            getattr(out[row : row + size], fill)(generator=self.generator)
        return out if used == n == rows else out[used - n : used]

    def __enter__(self) -> Stream:
        self.token = _stream.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        _stream.reset(self.token)


_stream: ContextVar[Stream | None] = ContextVar("stream", default=None)


def current() -> Stream:
    """The open stream. Without one, a fresh one from torch's global generator, so that a system can be tried by hand."""
    found = _stream.get()
    return found if found is not None else Stream(int(torch.randint(1 << 62, ())))


stream = Stream  # `with noise.stream(seed=0): …` opens a private one


def normal(n: int, *shape: int) -> Tensor:
    """(n, *shape) standard normal numbers; row i does not depend on n.

    >>> with stream(seed=0): a = normal(2, 3)
    >>> with stream(seed=0): b = normal(100, 3)
    >>> bool((a == b[:2]).all())
    True
    """
    return current().draw("normal_", n, shape)


def uniform(n: int, *shape: int) -> Tensor:
    """(n, *shape) uniform numbers in [0, 1); row i does not depend on n."""
    return current().draw("uniform_", n, shape)


def generator() -> torch.Generator:
    """A generator of its own for draws that have no rows (a permutation, a choice of order)."""
    s = current()
    s.call += 1
    return torch.Generator().manual_seed(mix(s.seed, s.step, s.call - 1, -1))


def permutation(n: int) -> Tensor:
    """The numbers below n in an order by chance.

    >>> with stream(seed=0): sorted(permutation(4).tolist())
    [0, 1, 2, 3]
    """
    return torch.randperm(n, generator=generator())


@contextmanager
def initialisation(seed: int) -> Iterator[None]:
    """Seed torch's own initialisers and dropout inside, and put the global generator back after."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        seed_dropout(mix(seed))
        yield


def seed_dropout(seed: int) -> None:
    """Seed the generators that dropout draws from. `torch.manual_seed` would do, but takes most of a millisecond where CUDA is asleep."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)
