"""The columns of a space by themselves: for each the increasing map between it and a standard normal variable.

    numbers         z = T(x): quantiles joined by a smooth curve with Gaussian tails (marginals.py), or (x - mean) / sd
    whole numbers   the side of k goes from T(k - 1/2) to T(k + 1/2), with T straight between quantiles (copulas.py)
    codes           the sides share the line by how often each came; codes without an order are first put into the one in which they agree
                    best with the other columns; that of missing cells comes last
    missing cells   of a number or a whole number: a variable of its own, with two sides, says whether it is there

N rows of D columns, with Z variables behind them: M numbers, then Q = C codes + W whole numbers + G that may be missing:
    x (N, D)   z (N, M)   low, high (N, Q)
"""

from __future__ import annotations

from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from .bins import codes_of
from .copulas import TERMS, Law, Steps, arranged, counted, ranged
from .marginals import Marginals


class Margins(nn.Module):
    """The laws of the columns of a space, to be found by `lay`.

    >>> from pushforward.space import Space
    >>> margins = Margins(Space("binary", (1,))).double()
    >>> _ = margins.lay(torch.tensor([[0.0], [1.0], [1.0], [1.0]], dtype=torch.float64), "smooth", 0.0)
    >>> margins.before(torch.tensor([[-1.0], [-0.6]], dtype=torch.float64)).tolist()
    [[0.0], [1.0]]
    """

    rank: Tensor  # (C, K) where each code stands
    code: Tensor  # (C, K) which code stands there
    origin: Tensor  # (W,) the least of each whole number
    knots: Tensor  # of the curves of numbers
    slopes: Tensor
    tops: Tensor
    points: Tensor  # of the steps of the rest
    levels: Tensor
    first: Tensor
    last: Tensor

    def __init__(self, space: Any):
        super().__init__()
        self.sizes = codes_of(space)
        gaps = tuple(c.missing for c in space.columns) or (False,) * space.size
        self.numbers = [j for j, size in enumerate(self.sizes) if size == 0]
        self.codes = [j for j, size in enumerate(self.sizes) if size > 0]
        self.whole = [j for j, size in enumerate(self.sizes) if size < 0]
        self.maybe = [j for j, size in enumerate(self.sizes) if size <= 0 and gaps[j]]
        self.lost = [gaps[j] for j in self.codes]  # whether the last code stands for missing
        self.free = [space.kind == "table" and space.columns[j].kind == "category" for j in self.codes]
        self.split = (len(self.codes), len(self.whole), len(self.maybe))
        most = max((self.sizes[j] for j in self.codes), default=0)
        for name in ("rank", "code"):
            self.register_buffer(name, torch.zeros(len(self.codes), most))
        for name in ("knots", "slopes", "tops", "points", "levels", "first", "last", "origin"):
            self.register_buffer(name, torch.zeros(0))

    @property
    def sides(self) -> int:
        """Q, how many variables are known by a range of z alone."""
        return sum(self.split)

    def put(self, **found: Tensor) -> None:
        for name, value in found.items():
            if value.numel():
                setattr(self, name, value.to(self.rank))

    # ---- learning ------------------------------------------------------------------------------------------------
    def lay(self, x: Tensor, shape: str, smooth: float) -> tuple[Tensor, Tensor, Tensor]:
        """Find the laws; scores of the rows (N, Z), their Hermite coefficients (Z, TERMS), and their variances by those laws (Z,)."""
        numbers, m = x[:, self.numbers], len(self.numbers)
        if m:
            curves = Marginals.of(filled(numbers)) if shape == "smooth" else straight(filled(numbers))
            self.put(knots=curves.knots, slopes=curves.slopes, tops=curves.levels)
        self.put(origin=x[:, self.whole].nan_to_num(inf).amin(0).nan_to_num(0.0, 0.0))
        z, whole = self.forward(x)[0], x[:, self.whole] - self.origin
        ranges = [ranged(k[~torch.isnan(k)], smooth) for k in whole.T]
        self.order(x, torch.cat([z, Steps.of(ranges).to(x).scores(whole)], 1).nan_to_num(0.0))
        k = self.cells(x)
        codes, _, gone = k.split(self.split, 1)
        laws: list[Law] = [counts_of(c, self.sizes[j], smooth) for c, j in zip(codes.T, self.codes, strict=True)]
        steps = Steps.of([*laws, *ranges, *(counts_of(c, 2, smooth) for c in gone.T)]).to(x)
        self.put(points=steps.points, levels=steps.levels, first=steps.first, last=steps.last)
        score, mass = steps.middles
        line = torch.eye(TERMS, dtype=x.dtype, device=x.device)[:1].expand(m, -1)  # z itself is the first polynomial
        power = torch.cat([torch.ones_like(line[:, 0]), (score**2 * mass).sum(1)])
        return torch.cat([z, steps.scores(k)], 1), torch.cat([line, steps.coefficients()]), power

    def order(self, x: Tensor, beside: Tensor) -> None:
        """Where each code stands."""
        sizes = [self.sizes[j] for j in self.codes]
        found = arranged(x[:, self.codes].long(), sizes, beside) if any(self.free) else [torch.zeros(0)] * len(sizes)
        for i, (size, free, lost) in enumerate(zip(sizes, self.free, self.lost, strict=True)):
            here = torch.arange(size, device=x.device)
            if free:
                here[: size - lost] = found[i][: size - lost].argsort(stable=True)
            self.code[i, :size], self.rank[i, :size] = here.to(self.code), here.argsort().to(self.rank)

    # ---- the way to z and back -----------------------------------------------------------------------------------
    @property
    def curves(self) -> Marginals:
        return Marginals(self.knots, self.slopes, self.tops)

    @property
    def steps(self) -> Steps:
        return Steps(self.points, self.levels, self.first, self.last) if self.sides else Steps.of([]).to(self.rank)

    def cells(self, x: Tensor) -> Tensor:
        """Whole numbers (N, Q): the rank of each code, whole numbers from the least on, whether a cell is missing."""
        rank = self.rank.gather(1, x[:, self.codes].long().T).T
        return torch.cat([rank, x[:, self.whole] - self.origin, torch.isnan(x[:, self.maybe]).to(rank)], 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z of the numbers, NaN where they are missing, and sum log dz/dx."""
        if not self.numbers:
            return x[:, :0], x.new_zeros(len(x))
        z, ladj = self.curves.forward(x[:, self.numbers])
        return z, ladj.masked_fill(torch.isnan(z), 0.0).sum(1)

    def box(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both ends of z of all that is no number."""
        return self.steps.box(self.cells(x))

    def asked(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z and both ends of the rest, told what is known (N, D). What fills a gap is a value, so the sides say that no cell is missing."""
        x = torch.where(known, x, 0.0)
        z, (low, high) = self.forward(x)[0], self.box(x)
        hidden = torch.nn.functional.pad(~known[:, [*self.codes, *self.whole]], (0, len(self.maybe)))
        lost = torch.tensor([*self.lost, *[False] * sum(self.split[1:])], dtype=torch.bool, device=x.device)
        end = self.steps.box(self.steps.last[None])[0]  # where the last code begins
        top = torch.where(lost & torch.isfinite(end), end, inf)
        low, high = torch.where(hidden, -inf, low), torch.where(hidden, top, high)
        return z.masked_fill(~known[:, self.numbers], torch.nan), low, high

    def before(self, z: Tensor) -> Tensor:
        """Rows x of z (N, Z)."""
        m = len(self.numbers)
        out = z.new_empty(len(z), len(self.sizes))
        rank, whole, gone = self.steps.inverse(z[:, m:]).split(self.split, 1)
        if m:
            out[:, self.numbers] = self.curves.inverse(z[:, :m])
        out[:, self.codes], out[:, self.whole] = self.code.gather(1, rank.long().T).T, whole + self.origin
        out[:, self.maybe] = out[:, self.maybe].masked_fill(gone > 0, torch.nan)
        return out


def counts_of(codes: Tensor, size: int, smooth: float) -> Law:
    return counted(torch.bincount(codes.long(), minlength=size), smooth)


def straight(x: Tensor) -> Marginals:
    """(x - mean) / sd."""
    mean, scale = x.mean(0), x.std(0, correction=0)
    scale = torch.where(scale > 0, scale, 1.0)
    levels = torch.tensor([-1.0, 0.0, 1.0]).to(x)
    slopes = (1 / scale)[:, None].expand(-1, 3).contiguous()
    return Marginals(mean[:, None] + scale[:, None] * levels, slopes, levels)


def filled(x: Tensor) -> Tensor:
    """Columns without gaps: where some are missing, as many quantiles of what is there."""
    gone = torch.isnan(x)
    x = x.clone()
    for j in gone.any(0).nonzero()[:, 0].tolist():
        have = x[~gone[:, j], j].sort().values
        even = (torch.arange(len(x), dtype=x.dtype, device=x.device) + 0.5) / len(x) * (len(have) - 1)
        low = even.long().clamp(0, max(len(have) - 2, 0))
        x[:, j] = torch.lerp(have[low], have[(low + 1).clamp(max=len(have) - 1)], even - low) if len(have) else 0.0
    return x
