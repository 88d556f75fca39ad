"""The nearest of many records: rows of numbers and codes, of which some cells may be missing.

    d(a, b)^2 = sum over numbers (a_j - b_j)^2 + sum over codes 1{a_j != b_j}
    a missing cell is a value: 0 from another missing cell, 1 from one that is there

All of it is one product of matrices. A code of few levels is a block of (0 .. 0, 2^-1/2, 0 .. 0), so that two that differ are 1 apart. A number that may be
missing stands as 0 where it is, and with m = 1 there, what its square has too much or too little is m_a (1 - m_b - b^2) + (1 - m_a - a^2) m_b: two more
columns. So a . b - |b|^2 / 2 ranks the points; codes of many levels are compared and added. Products are made in float32, but in float64 for a row
so far out that float32 would lose digits; of each row's best candidates the distance is then computed from the cells themselves, in float64.

How numbers are brought to one scale (`Scaling`), by the rows that it is made of:
    standard    (x - mean) / standard deviation
    range       (x - least) / (greatest - least)        Gower 1971 divides so, and adds without squares
    common      (x - mean) / the root mean square of all standard deviations: for pixels, of which some hardly ever vary
    quantile    the share of the rows that lie below, ties in the middle

N records against n points, M numbers and C codes, k nearest:   numbers (N, M)   codes (N, C)   distances, places (N, k)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import BadData, Usage, did_you_mean

HOW = ("standard", "range", "common", "quantile")
POINTS, CELLS = 1 << 15, 1 << 21  # of a block of products: 8 MiB of float32 stay near the cores
GROUP = 32  # points of which only the best is looked at first
SPARE = 4  # candidates beside the k that are asked for, since float32 may confuse the last of them
NARROW = 64  # levels up to which a code is a block of columns: beyond, comparing costs less than multiplying
NEVER = -1e30
FAR = 1e12  # scales from the centre beyond which all is as far


@dataclass(frozen=True)
class Records:
    """Rows: numbers on one scale, NaN where missing, and codes 0, 1 … (one of which may stand for missing).

    >>> len(Records(torch.zeros(3, 2), torch.zeros(3, 0, dtype=torch.long))[torch.tensor([0, 2])])
    2
    """

    numbers: Tensor
    codes: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Any) -> Records:
        return Records(self.numbers[rows], self.codes[rows])


@dataclass(frozen=True)
class Scaling:
    """How rows become records.

    >>> x = torch.tensor([[0.0, 1.0], [2.0, 0.0], [4.0, torch.nan]])
    >>> made = Scaling.of(x, torch.tensor([False, True]), "range")(x)
    >>> made.numbers[:, 0].tolist(), made.codes[:, 0].tolist()
    ([0.0, 0.5, 1.0], [2, 1, 0])
    """

    discrete: Tensor  # (D,) which columns are codes
    how: str
    unit: Tensor  # the power of two at the largest magnitude; centre and scale are in it
    centre: Tensor
    scale: Tensor
    sorted: tuple[Tensor, ...] = ()  # of each number the values seen, where quantiles are asked for

    @classmethod
    def of(cls, x: Tensor, discrete: Tensor, how: str = "standard") -> Scaling:
        """The scale of the numbers among the columns of x (N, D). A number that never varies has scale 1."""
        if not len(x):
            raise BadData("There are no rows to take a scale from.")
        if how not in HOW:
            raise Usage(f"scale={how!r} is not one of {', '.join(HOW)}.{did_you_mean(how, HOW)}")
        v = x[:, ~discrete].double()
        known = ~torch.isnan(v)
        largest = v.abs().nan_to_num(0.0).amax(0)
        if how == "common" and largest.numel():
            largest = largest.amax().expand_as(largest)
        power = torch.exp2(torch.frexp(largest).exponent.double() - 1)
        unit = torch.where(largest > 0, power, torch.ones_like(power))  # so that no square is too large a number
        v = v / unit
        if how == "quantile":
            seen = tuple(column[there].sort().values for column, there in zip(v.T, known.T, strict=True))
            return cls(discrete, how, unit, v.new_zeros(v.shape[1]), v.new_ones(v.shape[1]), seen)
        if how == "range":
            low, high = v.nan_to_num(torch.inf).amin(0), v.nan_to_num(-torch.inf).amax(0)
            centre, scale = low.nan_to_num(0.0, 0.0, 0.0), high - low
        else:
            count = known.sum(0).clamp(min=1)
            centre = v.nan_to_num(0.0).sum(0) / count
            scale = (((v - centre) ** 2).nan_to_num(0.0).sum(0) / count).sqrt()
        if how == "common" and scale.numel():
            scale = scale.square().mean().sqrt().expand_as(scale)
        varies = torch.isfinite(scale) & (scale > 1e-12 * centre.abs())
        return cls(discrete, how, unit, centre, torch.where(varies, scale, (1 / unit).clamp(max=1e300)))

    def __call__(self, x: Tensor) -> Records:
        v, codes = x[:, ~self.discrete].double() / self.unit, x[:, self.discrete]
        if self.how == "quantile":
            parts = [share(column.contiguous(), seen) for column, seen in zip(v.T, self.sorted, strict=True)]
            numbers = torch.stack(parts, 1) if parts else v
        else:
            numbers = ((v - self.centre) / self.scale).clamp(-FAR, FAR)
        return Records(numbers, torch.where(torch.isnan(codes), 0.0, codes + 1).long())


def share(column: Tensor, seen: Tensor) -> Tensor:
    """The share of the values seen (sorted) below each value, and half of those equal to it."""
    low, high = torch.searchsorted(seen, column), torch.searchsorted(seen, column, right=True)
    return torch.where(torch.isnan(column), torch.nan, (low + high).double() / (2 * max(len(seen), 1)))


def nearest(x: Records, points: Records, k: int = 1, leave: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The distances (N, k) of each record to its k nearest points, the least first, and which points they are.

    `leave` (N,) names one point that each record is not compared to, such as the record itself.

    >>> rows = Records(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[0], [1], [1]]))
    >>> nearest(rows, rows, leave=torch.arange(3))[0][:, 0].round(decimals=4).tolist()
    [1.4142, 1.4142, 4.0]
    """
    there = len(points) - (leave is not None)
    if not 1 <= k <= there:
        raise BadData(
            f"{k} nearest of {there} records were asked for. At least as many records as neighbours are needed."
        )
    layout, spare = Layout(x, points), min(k + SPARE, there)
    values, places = torch.zeros(len(x), k, dtype=torch.float64), torch.zeros(len(x), k, dtype=torch.long)
    for rows, kind in layout.rows():
        found = candidates(layout, rows, kind, spare, None if leave is None else leave[rows])
        exact = between(x[rows], points, found)
        order = exact.argsort(dim=1, stable=True)[:, :k]
        values[rows], places[rows] = exact.gather(1, order), found.gather(1, order)
    return values, places


def candidates(layout: Layout, rows: Tensor, kind: torch.dtype, count: int, leave: Tensor | None) -> Tensor:
    """The points of the `count` largest scores of each row, in the order of their number."""
    best, place = [], []
    for start, scores in layout.scores(rows, kind, leave):
        size = scores.shape[1] // GROUP  # group g holds the points g, g + size, g + 2 size …
        groups = scores.view(-1, GROUP, size).amax(1).topk(min(count, size), 1, sorted=False).indices
        members = (groups[:, :, None] + size * torch.arange(GROUP)).flatten(1)
        value, at = scores.gather(1, members).topk(min(count, members.shape[1]), 1, sorted=False)
        best.append(value)
        place.append(members.gather(1, at) + start)
    at = torch.cat(best, 1).topk(count, 1, sorted=False).indices
    return torch.cat(place, 1).gather(1, at).sort(1).values


def between(x: Records, points: Records, places: Tensor) -> Tensor:
    """The distances of each record to the points named, cell by cell: places (N, k) -> (N, k)."""
    gap = (x.numbers[:, None] - points.numbers[places]).double()
    one = torch.isnan(x.numbers)[:, None] != torch.isnan(points.numbers)[places]
    squares = torch.where(one, 1.0, gap.nan_to_num(0.0) ** 2).sum(2)
    return (squares + (x.codes[:, None] != points.codes[places]).sum(2)).sqrt()


def log_kernels(x: Records, points: Records, width: float, leave: Tensor | None = None) -> Tensor:
    """log sum_i exp(-d(x, x_i)^2 / 2 width^2) of each record (N,).

    >>> rows = Records(torch.tensor([[0.0], [2.0]]), torch.zeros(2, 0, dtype=torch.long))
    >>> log_kernels(rows, rows, 1.0).round(decimals=4).tolist()
    [0.1269, 0.1269]
    """
    layout, out = Layout(x, points), torch.zeros(len(x), dtype=torch.float64)
    for rows, kind in layout.rows():
        total = torch.full((len(rows),), -torch.inf, dtype=torch.float64)
        own = layout.squares[rows].to(kind)[:, None]
        for start, scores in layout.scores(rows, kind, None if leave is None else leave[rows]):
            e = scores[:, : len(points) - start].mul_(2).sub_(own).clamp_(max=0.0)
            total = torch.logaddexp(total, e.div_(2 * width**2).logsumexp(1).double())
        out[rows] = total
    return out


class Layout:
    """Both sides laid out for products: scores (d(a, b)^2 is |a|^2 - 2 score) in blocks."""

    def __init__(self, x: Records, points: Records):
        both = torch.cat([x.codes, points.codes])
        self.levels = (both.amax(0) + 1).tolist() if len(both) else []
        gaps = torch.isnan(torch.cat([x.numbers, points.numbers])).any(0)
        self.narrow = [c for c, size in enumerate(self.levels) if size <= NARROW]
        wide = [c for c, size in enumerate(self.levels) if size > NARROW]
        self.left, self.squares = self.side(x, gaps, left=True)
        right, _ = self.side(points, gaps, left=False)
        short = -len(points) % GROUP
        self.right = torch.nn.functional.pad(right, (0, 0, 0, short)).T.contiguous()
        self.right[0, len(points) :] = NEVER
        self.right32 = self.right.float()
        codes = torch.nn.functional.pad(points.codes, (0, 0, 0, short), value=-1)
        self.compared = [(x.codes[:, c].int(), codes[:, c].int()) for c in wide]
        self.squares += len(wide)

    def side(self, r: Records, gaps: Tensor, left: bool) -> tuple[Tensor, Tensor]:
        """(what is multiplied, |r|^2)."""
        gone, v = torch.isnan(r.numbers), r.numbers.double().nan_to_num(0.0)
        squares = (v**2).sum(1) + 0.5 * len(self.narrow)
        hot = [torch.nn.functional.one_hot(r.codes[:, c], self.levels[c]).double() * 0.5**0.5 for c in self.narrow]
        m = gone[:, gaps].double()
        rest = 1 - m - v[:, gaps] ** 2
        first = torch.ones_like(squares) if left else -0.5 * squares
        ends = [m, rest] if left else [-0.5 * rest, -0.5 * m]
        return torch.cat([first[:, None], v, *hot, *ends], 1), squares

    def rows(self) -> Iterator[tuple[Tensor, torch.dtype]]:
        """Blocks of rows, and the precision that each needs: float32 where |a|^2 is not large."""
        out = self.squares > 64 + 4 * self.left.shape[1]
        for which, kind in ((~out, torch.float32), (out, torch.float64)):
            for part in which.nonzero()[:, 0].split(max(1, CELLS // min(self.right.shape[1], POINTS))):
                if len(part):
                    yield part, kind

    def scores(self, rows: Tensor, kind: torch.dtype, leave: Tensor | None) -> Iterator[tuple[int, Tensor]]:
        """(number of the first point, scores of some points) for these rows, until all points have come."""
        left, right = self.left[rows].to(kind), self.right32 if kind == torch.float32 else self.right
        for start in range(0, right.shape[1], POINTS):
            scores = left @ right[:, start : start + POINTS]
            for mine, theirs in self.compared:
                scores.add_(mine[rows, None] == theirs[start : start + POINTS], alpha=0.5)
            if leave is not None:
                here = ((leave >= start) & (leave < start + scores.shape[1])).nonzero()[:, 0]
                scores[here, leave[here] - start] = -torch.inf
            yield start, scores
