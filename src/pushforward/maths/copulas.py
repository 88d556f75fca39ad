"""Gaussian copulas: variables of any laws, tied together by the correlation of the normal variables behind them.

    z ~ N(0, R),  R_dd = 1,      x_d = F_d^-1(Phi(z_d))                                     Sklar's theorem with a normal copula
    of numbers        z = T(x) increasing:    log p(x) = log N(T(x); 0, R) + sum_d log T_d'(x_d)
    of whole numbers  k where T(k - 1/2) <= z < T(k + 1/2):    P(x) = P(z in a box), by z = L e, R = L L', one variable after the other:
                      p_q = Phi(b_q) - Phi(a_q), where e_q in (a_q, b_q) is what e_1 … e_q-1 leave of side q;    E prod_q p_q = P(box)
                      (Geweke 1991; Hajivassiliou & McFadden 1998; Keane 1994: exact where there is one side, without bias where there are more)
    R of scores       s(z) = E[z | cell of z] = sum_m a_m h_m(z), h_m Hermite polynomials of norm 1:    E[s_j s_k] = sum_m a_jm a_km rho^m
                      (Mehler 1866), so rho is found from the covariance of the scores, which alone would be too small

N rows of Z variables, of which M are numbers and Q whole numbers in P + 1 cells; K draws:
    z (N, Z)   R, L (Z, Z)   points, levels (Q, P)   low, high (N, Q)   e, u (N, K, Q)   log of prod_q p_q (N, K)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, log, pi, sqrt

import torch
from torch import Tensor

from ..noise import normal
from .gaussians import patterns, pick

END = 8.0  # levels of z beyond which there is nothing
TERMS = 64  # of Mehler's series
LIMIT = 1 - 1e-6  # the largest correlation
FLOOR, BLUNT = (
    1e-6,
    1e-2,
)  # the least eigenvalue of R, of numbers and with others: what is known by ranges alone is never known that sharply
STILL = 1e-9  # the variance of scores below which they are one value
SWEEPS = 30  # of reciprocal averaging

Law = tuple[Tensor, Tensor, float, float]  # points, levels, and the first and the last cell


@dataclass(frozen=True)
class Steps:
    """Q variables of whole numbers, by the level of z at points between them: straight between, and beyond.

    >>> die = Steps.of([counted(torch.tensor([1.0, 1.0, 2.0]), 0.0)])
    >>> [round(side.item(), 4) for side in die.box(torch.tensor([[1.0]], dtype=torch.float64))]
    [-0.6745, 0.0]
    >>> die.inverse(torch.tensor([[-1.0], [-0.1], [3.0]], dtype=torch.float64)).flatten().tolist()
    [0.0, 1.0, 2.0]
    """

    points: Tensor
    levels: Tensor
    first: Tensor  # (Q,) the first cell, which takes all below; -inf where there is none
    last: Tensor

    @classmethod
    def of(cls, laws: list[Law]) -> Steps:
        """Laws side by side, their straight ends filled up to the same number of points."""
        most = max((len(points) for points, *_ in laws), default=2)
        points, levels = (torch.zeros(len(laws), most, dtype=torch.float64) for _ in range(2))
        for q, (at, z, *_) in enumerate(laws):
            more = torch.arange(1, most - len(at) + 1, dtype=torch.float64)
            points[q] = torch.cat([at, at[-1] + more])
            levels[q] = torch.cat([z, z[-1] + more * (z[-1] - z[-2]).clamp(min=1e-6) / (at[-1] - at[-2])])
        ends = torch.tensor([law[2:] for law in laws], dtype=torch.float64).view(-1, 2)
        return cls(points, levels, ends[:, 0], ends[:, 1])

    def to(self, like: Tensor) -> Steps:
        """The same in the precision and on the device of another tensor."""
        return Steps(*(part.to(like) for part in (self.points, self.levels, self.first, self.last)))

    def level(self, x: Tensor) -> Tensor:
        """T(x): (N, Q) -> (N, Q)."""
        v = x.T.contiguous()
        place = torch.searchsorted(self.points, v, right=True).clamp(1, self.points.shape[1] - 1)
        left, low = self.points.gather(1, place - 1), self.levels.gather(1, place - 1)
        rise = (self.levels.gather(1, place) - low) / (self.points.gather(1, place) - left)
        return (low + (v - left) * rise).T

    def box(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """Both ends of z for whole numbers k (N, Q); all of the line where k is NaN."""
        low = torch.where((k <= self.first) | torch.isnan(k), -inf, self.level(k - 0.5))
        return low, torch.where((k >= self.last) | torch.isnan(k), inf, self.level(k + 0.5))

    def inverse(self, z: Tensor) -> Tensor:
        """The whole number of each z."""
        v = z.T.contiguous()
        place = torch.searchsorted(self.levels, v, right=True).clamp(1, self.points.shape[1] - 1)
        left, low = self.points.gather(1, place - 1), self.levels.gather(1, place - 1)
        run = (self.points.gather(1, place) - left) / (self.levels.gather(1, place) - low).clamp(min=1e-12)
        return (left + (v - low) * run).T.round().clamp(self.first, self.last)

    def scores(self, k: Tensor) -> Tensor:
        """E[z | cell] of each whole number, where a cell goes from one point to the next."""
        cell = torch.searchsorted(self.points, k.T.contiguous(), right=True)
        return self.middles[0].gather(1, cell).T.masked_fill(torch.isnan(k), torch.nan)

    @property
    def middles(self) -> tuple[Tensor, Tensor]:
        """E[z | cell] and P(cell): (Q, P + 1)."""
        low, high = self.sides
        mass = torch.special.ndtr(high) - torch.special.ndtr(low)
        return torch.where(mass > 1e-15, (bell(low) - bell(high)) / mass.clamp(min=1e-15), 0.0), mass

    @property
    def sides(self) -> tuple[Tensor, Tensor]:
        least = torch.full_like(self.levels[:, :1], -inf)
        return torch.cat([least, self.levels], 1), torch.cat([self.levels, -least], 1)

    def coefficients(self) -> Tensor:
        """a_m of the scores, m = 1 … : the integral of h_m over a cell is that of h_m-1 phi at its ends, over sqrt m. (Q, TERMS)"""
        (score, _), (low, high) = self.middles, self.sides
        before, now = [torch.zeros_like(low), torch.zeros_like(high)], [bell(low), bell(high)]
        ends, out = [side.nan_to_num(0.0, 0.0, 0.0) for side in (low, high)], []
        for m in range(1, TERMS + 1):
            out.append((score * (now[0] - now[1])).sum(1) / sqrt(m))
            after = [(x * a - sqrt(m - 1) * b) / sqrt(m) for x, a, b in zip(ends, now, before, strict=True)]
            before, now = now, after
        return torch.stack(out, 1)


def bell(z: Tensor) -> Tensor:
    """The density of a standard normal."""
    return (-0.5 * z * z).exp() / sqrt(2 * pi)


# ---- laws of one variable --------------------------------------------------------------------------------------------
def counted(counts: Tensor, smooth: float) -> Law:
    """Codes 0 … K-1 by how often each came, and `smooth` examples more of each."""
    last = len(counts) - 1.0
    return law(torch.arange(len(counts) - 1, dtype=torch.float64) + 0.5, counts.double(), smooth, 0.0, last)


def ranged(k: Tensor, smooth: float) -> Law:
    """Whole numbers by those that came: shares of their own for those that are often there, straight between quantiles for others."""
    n, pieces = len(k), max(8, min(256, round(2 * len(k) ** (1 / 3))))
    values, counts = torch.unique(k.double(), return_counts=True)
    rise = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    often = values[counts * pieces > n]
    even = torch.searchsorted(rise[1:], torch.arange(1, pieces, device=k.device) * n // pieces)
    edges = torch.unique(torch.cat([values[:1] - 0.5, values[even] + 0.5, often - 0.5, often + 0.5, values[-1:] + 0.5]))
    below = rise[torch.searchsorted(values, edges)]
    zero = below.new_zeros(1)
    return law(edges, torch.cat([zero, below, zero + n]).diff().double(), smooth, -inf, inf)


def law(edges: Tensor, parts: Tensor, smooth: float, first: float, last: float) -> Law:
    """The levels of z at the edges between parts of so many examples, and a point beyond each end."""
    if not len(edges):
        edges, levels = parts.new_tensor([-0.5]), parts.new_tensor([-END])
    else:
        mass = (parts + smooth).cumsum(0)
        levels = torch.special.ndtri(mass[:-1] / mass[-1]).clamp(-END, END)
    if last < inf:  # nothing is beyond the ends
        low, high = levels.new_tensor([-END - 1]), levels.new_tensor([END + 1])
    else:
        slope = (levels[-1:] - levels[:1]) / (edges[-1:] - edges[:1])
        low, high = levels[:1] - slope, levels[-1:] + slope
    points = torch.cat([edges[:1] - 1, edges, edges[-1:] + 1])
    return points.cpu(), torch.cat([low, levels, high]).cpu(), first, last


def arranged(codes: Tensor, sizes: list[int], beside: Tensor) -> list[Tensor]:
    """A number for each code of columns that have no order, so that the columns agree best: the first axis of homogeneity analysis,
    by reciprocal averaging (Gifi, "Nonlinear multivariate analysis", 1990). codes (N, C), numbers beside them (N, E)."""
    n = len(codes)
    counts = [torch.bincount(c, minlength=k).clamp(min=1) for c, k in zip(codes.T, sizes, strict=True)]
    t = beside.sum(1) + 0.1 * normal(n, 1)[:, 0].to(beside)
    found: list[Tensor] = []
    for _ in range(SWEEPS if sizes else 0):
        t = (t - t.mean()) / t.std(correction=0).clamp(min=1e-12)
        found = [torch.bincount(c, t, len(m)) / m for c, m in zip(codes.T, counts, strict=True)]
        t = torch.stack([q[c] for c, q in zip(codes.T, found, strict=True)]).sum(0) + beside @ (beside.T @ t / n)
    return found


# ---- correlation -----------------------------------------------------------------------------------------------------
def correlation(scores: Tensor, series: Tensor, power: Tensor) -> Tensor:
    """R from scores (N, Z), NaN where there is none, their coefficients (Z, TERMS) and their variances in theory (Z,)."""
    known = (~torch.isnan(scores)).to(scores)
    s = scores.nan_to_num(0.0)
    found = (s.T @ s) / (known.T @ known).clamp(min=1)
    scale = (power / found.diagonal().clamp(min=1e-12)).sqrt()
    found = torch.where(found.diagonal() > 1e-12, 1.0, 0.0) * found * scale * scale[:, None]
    low, high = torch.full_like(found, -LIMIT), torch.full_like(found, LIMIT)
    for _ in range(12):
        middle = (low + high) / 2
        more = mehler(series, middle)[0] > found
        low, high = torch.where(more, low, middle), torch.where(more, middle, high)
    rho = (low + high) / 2
    for _ in range(6):
        value, slope = mehler(series, rho)
        rho = (rho - (value - found) / slope.clamp(min=1e-9)).clamp(-LIMIT, LIMIT)
    floor = BLUNT if bool((series[:, 1:] != 0).any()) else FLOOR
    moves = (power > STILL) & (found.diagonal() > STILL)  # what has one value hangs together with nothing
    return proper(torch.where(moves & moves[:, None], rho, 0.0).fill_diagonal_(1.0), floor)


def mehler(series: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
    """sum_m a_jm a_km rho^m and its slope in rho, by Horner's rule: (Z, Z)."""
    value, slope = torch.zeros_like(rho), torch.zeros_like(rho)
    for a in series.T.flip(0):
        slope = slope * rho + value
        value = value * rho + a * a[:, None]
    return value * rho, slope * rho + value


def proper(r: Tensor, floor: float = FLOOR) -> Tensor:
    """A matrix of correlations that were found pair by pair, made positive definite."""
    values, vectors = torch.linalg.eigh(r)
    if float(values[0]) >= floor:
        return r
    r = (vectors * values.clamp(min=2 * floor)) @ vectors.T
    scale = r.diagonal().sqrt()
    return (r / scale / scale[:, None]).fill_diagonal_(1.0)


# ---- boxes -----------------------------------------------------------------------------------------------------------
def groups(known: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The rows that know the same variables, and which those are."""
    if not known.numel() or bool(known.all()):
        yield torch.arange(len(known), device=known.device), known.new_ones(known.shape[1])
    else:
        yield from patterns(known)


def settled(factor: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """e of the variables that are known, and log N(z; 0, L L')."""
    m = z.shape[1]
    inner = factor[:m, :m]
    e = torch.linalg.solve_triangular(inner, z.T, upper=False).T
    return e, -0.5 * (e * e).sum(1) - inner.diagonal().log().sum() - 0.5 * m * log(2 * pi)


def within(factor: Tensor, e: Tensor, low: Tensor, high: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """e of the next variables, each drawn inside what is left of its side of the box, and log prod_q p_q."""
    m, q = e.shape[1], low.shape[1]
    inner = factor[m : m + q, m : m + q]
    rest = (e @ factor[m : m + q, :m].T)[:, None].expand(-1, u.shape[1], -1)
    nats, drawn = u.new_zeros(u.shape[:2]), []
    for i in range(q):
        a, b = ((side[:, i, None] - rest[..., 0]) / inner[i, i] for side in (low, high))
        gained, found = slot(a, b, u[..., i])
        nats, rest = nats + gained, rest[..., 1:] + found[..., None] * inner[i + 1 :, i]
        drawn.append(found)
    return torch.stack(drawn, 2) if drawn else u.new_zeros(*u.shape[:2], 0), nats


def slot(a: Tensor, b: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """log(Phi(b) - Phi(a)), and a normal number between them for a uniform one; in the lower tail, where small numbers keep their digits.

    >>> nats, e = slot(*torch.tensor([[30.0], [31.0], [0.5]], dtype=torch.float64))
    >>> round(nats.item(), 2), 30 < e.item() < 30.1
    (-454.32, True)
    """
    turned = a > 0
    low, high = torch.where(turned, -b, a), torch.where(turned, -a, b)
    less, more = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
    chance = less.exp() + u * (more.exp() - less.exp())
    e = torch.special.ndtri(chance.clamp(min=1e-300)).maximum(low).minimum(high)
    return more + torch.log(-torch.expm1(less - more)), torch.where(turned, -e, e)


# ---- rows ------------------------------------------------------------------------------------------------------------
def weigh(r: Tensor, z: Tensor, low: Tensor, high: Tensor, u: Tensor) -> Tensor:
    """log N of the z that are known (NaN is not), and of each draw the log of its estimate of the box: (N, K)."""
    sides = torch.arange(low.shape[1], device=z.device) + z.shape[1]
    parts, places = [], []
    for rows, known in groups(~torch.isnan(z)):
        index = torch.cat([known.nonzero()[:, 0], sides])
        factor = torch.linalg.cholesky(r[index][:, index])
        e, nats = settled(factor, z[rows][:, known])
        parts.append(nats[:, None] + within(factor, e, low[rows], high[rows], u[rows])[1])
        places.append(rows)
    return torch.cat(parts)[torch.cat(places).argsort()]


def fill(r: Tensor, z: Tensor, low: Tensor, high: Tensor, u: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """All of z, given some of it (NaN is not known) and a box: of K draws inside the box one is chosen by its weight, the rest follows by
    the conditional normal. And the effective number of draws (N,). u (N, K, Q + 1), noise (N, Z)."""
    out, ess = torch.empty_like(noise), noise.new_full((len(z),), float(u.shape[1]))
    for rows, told in groups(torch.cat([~torch.isnan(z), torch.isfinite(low) | torch.isfinite(high)], 1)):
        index = torch.cat([told.nonzero()[:, 0], (~told).nonzero()[:, 0]])
        factor, sides = torch.linalg.cholesky(r[index][:, index]), told[z.shape[1] :]
        count = int(sides.sum())
        draws = u.shape[1] if count > 1 else 1  # of one side the draw is exact
        first, _ = settled(factor, z[rows][:, told[: z.shape[1]]])
        inner, nats = within(
            factor, first, low[rows][:, sides], high[rows][:, sides], u[rows, :draws, 1:][:, :, :count]
        )
        shares = nats.softmax(1)
        chosen = inner[torch.arange(len(rows), device=z.device), pick(shares, u[rows, 0, 0])]
        ess[rows] = u.shape[1] / draws / (shares**2).sum(1)
        out[rows[:, None], index] = torch.cat([first, chosen, noise[rows][:, int(told.sum()) :]], 1) @ factor.T
    return out, ess
