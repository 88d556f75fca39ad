"""Laws on the line by their distribution functions, and the generalised inverse that makes any of them of a uniform.

    F(x) = P(X <= x)        g(z) = inf{x: F(x) >= z},  0 < z <= 1        z ~ U(0, 1)  =>  g(z) ~ F

Lecture 000. F may jump (a value with a probability of its own), rise (a density) and stand still (no value there), as it likes. Then
    F(g(z)) >= z,      g(F(x)) <= x,      {z: g(z) = x} = (F(x-), F(x)], of length P(X = x).
These hold here without a tolerance: g is the least of all floating-point numbers x with F(x) >= z, found by halving what is between two of them.
Devroye, "Non-uniform random variate generation", 1986, chapter II.2.

A table has D laws, side by side, of P points at most, between which F is a straight line:
    points, below F(x-), at F(x) (D, P)        x, z (N, D)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import BadData, Usage

STEPS = 65  # halvings that lead from the line of all floating-point numbers to one of them


@dataclass(frozen=True)
class Table:
    """D laws by points, the values of F just before them, and at them. The last `at` is 1; rows are filled up with their last point.

    >>> die = Table.steps([1, 2, 3, 4, 5, 6], [1 / 6] * 6)
    >>> die.inverse(torch.tensor([[0.5], [0.75], [1.0]], dtype=torch.float64)).flatten().tolist()
    [3.0, 5.0, 6.0]
    """

    points: Tensor
    below: Tensor
    at: Tensor

    # ---- how tables are made -------------------------------------------------------------------------------------
    @classmethod
    def of(cls, points: Any, at: Any, below: Any = None) -> Table:
        """One law: F at its points, and just before them where it jumps there. Without `below` it does not jump, and the first `at` is 0."""
        x, f, b = (
            torch.tensor(np.asarray(part, dtype=np.float64))[None]
            for part in (points, at, at if below is None else below)
        )
        if x.shape != f.shape or b.shape != f.shape or x.ndim != 2 or not x.numel():
            raise Usage(
                f"{x.numel()} points, {f.numel()} values of F and {b.numel()} before jumps: as many of each are awaited, one at least."
            )
        course = torch.stack([b[0], f[0]], 1).flatten()
        if not bool(torch.isfinite(x).all()) or bool((x.diff() <= 0).any()):
            raise BadData("The points of a distribution function are numbers, each larger than the one before.")
        if not (float(course[0]) == 0 and abs(float(course[-1]) - 1) < 1e-9 and bool((course.diff() >= 0).all())):
            raise BadData(
                f"F goes from {float(course[0]):g} to {float(course[-1]):g}; a distribution function rises from 0 to 1 and never falls. "
                "Give below= where the first point has a probability of its own."
            )
        f, b = (torch.where(part >= f[:, -1:], 1.0, part) for part in (f, b))
        return cls(x, b, f)

    @classmethod
    def steps(cls, points: Any, masses: Any) -> Table:
        """A discrete law by the probability of each point."""
        mass = np.asarray(masses, dtype=np.float64)
        if mass.ndim != 1 or (mass < 0).any() or abs(mass.sum() - 1) > 1e-9:
            raise BadData(
                f"The probabilities sum to {mass.sum():g}; a row of numbers of at least 0 that sum to 1 is awaited."
            )
        at = mass.cumsum()
        return cls.of(points, at, np.concatenate([[0.0], at[:-1]]))

    @classmethod
    def empirical(cls, x: Tensor) -> Table:
        """A step of 1/n at each of n values (D columns)."""
        return stack([stairs(column) for column in x.double().T])

    @classmethod
    def smooth(cls, x: Tensor, pieces: int = 0) -> Table:
        """Straight between quantiles: pieces of equal mass, 2 n^(1/3) unless said. A value with more than a piece's share keeps its step."""
        return stack([ramps(column, pieces or max(1, round(2 * len(x) ** (1 / 3)))) for column in x.double().T])

    # ---- what is asked of them -----------------------------------------------------------------------------------
    def cdf(self, x: Tensor) -> Tensor:
        return self.level(x, torch.searchsorted(self.points, x.T.contiguous(), right=True).T)

    def before(self, x: Tensor) -> Tensor:
        """F(x-), the probability of what is less."""
        place = torch.searchsorted(self.points, x.T.contiguous()).T  # points less than x
        here = (place < self.points.shape[1]) & (take(self.points, place.clamp(max=self.points.shape[1] - 1)) == x)
        return torch.where(here, take(self.below, place.clamp(max=self.points.shape[1] - 1)), self.level(x, place))

    def level(self, x: Tensor, place: Tensor) -> Tensor:
        """F at x, where `place` points are at most x. Every operation keeps the order of its arguments, so that F never falls by rounding."""
        last = self.points.shape[1] - 1
        left, right = (place - 1).clamp(min=0), place.clamp(max=last)
        low, high = take(self.points, left), take(self.points, right)
        start, end = take(self.at, left), take(self.below, right)
        share = ((x - low) / torch.where(high > low, high - low, 1.0)).clamp(0, 1)
        inside = torch.minimum(start + share * (end - start), torch.maximum(start, end))
        return torch.where(place == 0, 0.0, torch.where(place > last, 1.0, inside))

    def mass(self, x: Tensor) -> Tensor:
        """P(X = x)."""
        return self.cdf(x) - self.before(x)

    def log_density(self, x: Tensor) -> Tensor:
        """log of the slope of F to the right of x; of the last point, to its left."""
        last, value = self.points.shape[1] - 1, x.T.contiguous()
        place = torch.searchsorted(self.points, value, right=True)
        end = value == self.points[:, -1:]  # there is nothing to the right of the last point
        place = torch.where(end, torch.searchsorted(self.points, value), place).T
        left, right = (place - 1).clamp(min=0), place.clamp(max=last)
        rise, run = take(self.below, right) - take(self.at, left), take(self.points, right) - take(self.points, left)
        return torch.where((place > 0) & (place <= last) & (run > 0), (rise / run).log(), -torch.inf)

    def inverse(self, z: Tensor) -> Tensor:
        """g(z), for 0 < z <= 1."""
        place = torch.searchsorted(self.at, z.T.contiguous()).T.clamp(max=self.at.shape[1] - 1)
        there, jump = take(self.points, place), z > take(self.below, place)
        if bool(jump.all()):
            return there
        before = take(self.points, (place - 1).clamp(min=0))
        found = least(lambda x: self.level(x, torch.where(x < there, place, place + 1)), z, before, there)
        return torch.where(jump, there, found)

    @property
    def jumps(self) -> Tensor:
        """(D,) whether a value has a probability of its own."""
        return (self.at > self.below).any(1)


def inverse(cdf: Callable[[np.ndarray], Any], z: Tensor) -> Tensor:
    """g(z) of a distribution function that is a callable of NumPy arrays, such as scipy's.

    >>> inverse(lambda x: np.clip(x / 2, 0, 1), torch.tensor([0.25, 1.0], dtype=torch.float64)).tolist()
    [0.5, 2.0]
    """
    most = torch.full_like(z, torch.finfo(torch.float64).max)
    return least(lambda x: asked(cdf, x), z, -most, most)


def asked(cdf: Callable[[np.ndarray], Any], x: Tensor) -> Tensor:
    """F(x) of a callable, checked."""
    out = np.asarray(cdf(x.cpu().numpy()), dtype=np.float64)
    if out.shape != tuple(x.shape) or not bool(((out >= 0) & (out <= 1)).all()):
        raise BadData(
            f"The distribution function gave {out.shape} values from {out.min():g} to {out.max():g} for {tuple(x.shape)} numbers; "
            "as many of 0 … 1 are awaited."
        )
    return torch.from_numpy(out).to(x.device)


def least(f: Callable[[Tensor], Tensor], z: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The least floating-point number x in (low, high] with f(x) >= z, where f(high) >= z: by halving the numbers between."""
    low, high = ordered(low), ordered(high)
    for _ in range(STEPS):
        middle = (low & high) + ((low ^ high) >> 1)  # the mean, without an overflow
        if bool((middle == low).all()) and bool((low + 1 >= high).all()):
            break
        enough = f(unordered(middle)) >= z
        high, low = torch.where(enough, middle, high), torch.where(enough, low, middle)
    return unordered(high)


def ordered(x: Tensor) -> Tensor:
    """Floating-point numbers as whole numbers in the same order, neighbours of neighbours."""
    whole = x.double().contiguous().view(torch.int64)
    return torch.where(whole < 0, -(whole & ((1 << 63) - 1)), whole)


def unordered(whole: Tensor) -> Tensor:
    return torch.where(whole < 0, -((-whole).view(torch.float64)), whole.view(torch.float64))


def take(x: Tensor, place: Tensor) -> Tensor:
    """(D, P) at (N, D) -> (N, D)."""
    return x.gather(1, place.T.contiguous()).T


def stairs(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A step at every value."""
    values, counts = torch.unique(x, return_counts=True)
    at = counts.cumsum(0).double() / len(x)
    return values, torch.nn.functional.pad(at[:-1], (1, 0)), at


def ramps(x: Tensor, pieces: int) -> tuple[Tensor, Tensor, Tensor]:
    """Straight lines between quantiles of the values that are not often the same, and steps at those that are."""
    values, counts = torch.unique(x, return_counts=True)
    often = (counts > 1) & (counts * pieces > len(x))
    rest = x[~torch.isin(x, values[often])].sort().values
    if len(rest) == 0 or rest[0] == rest[-1]:  # nothing to draw a line between
        return stairs(x)
    ends = torch.from_numpy(np.unique(np.quantile(rest.cpu().numpy(), np.linspace(0, 1, pieces + 1)))).to(x)
    rank = torch.searchsorted(rest, ends, right=True).double()
    rank[0] = 0.0  # the mass of the first piece is spread over it, its least value included
    points = torch.unique(torch.cat([ends, values[often]]))
    even = np.interp(points.cpu().numpy(), ends.cpu().numpy(), rank.cpu().numpy())
    even = torch.from_numpy(np.maximum.accumulate(even).clip(max=len(rest))).to(x)  # rounding must not make F fall
    place = torch.searchsorted(values, points).clamp(max=len(values) - 1)
    step = torch.where(torch.isin(points, values[often]), counts[place], 0)
    return points, (even + step.cumsum(0) - step) / len(x), (even + step.cumsum(0)) / len(x)


def stack(laws: list[tuple[Tensor, Tensor, Tensor]]) -> Table:
    """Laws side by side, filled up with points of no mass after the last."""
    most = max(len(points) for points, _, _ in laws)
    parts: list[list[Tensor]] = [[], [], []]
    for law in laws:
        for part, values in zip(parts, law, strict=True):
            part.append(torch.cat([values, values[-1:].expand(most - len(values))]))
    points, below, at = (torch.stack(part) for part in parts)
    return Table(points, below, at)
