"""Who lies near whom: the distance to the k-th neighbour, and how far the balls of one sample cover another.

    r_k(i)      the distance from x_i to its k-th neighbour within its own sample, itself left out
    precision   the share of y in some ball of x, |x_i - y_j| <= r_k(i)          recall: the same with the sides exchanged
    density     the mean over y of the number of balls of x that it lies in, over k
    coverage    the share of x whose ball holds some y

Of two samples of one law the density is 1 in expectation, and the coverage 1 - prod_{i=1..k} (n - i) / (n + m - i): of the n - 1 + m other points
the k nearest must all be real for a ball to stay empty. Such a y lies in a ball of x as often as an x is one of the k nearest of some other x.

Distances come from products of matrices in float32, as lower bounds: with u = 2^-24, S = |x|^2 + |y|^2 and e = (D + 16) u,
    c = (1 - e) S - 2 x'y <= |x - y|^2 <= c + 2 e S
holds whatever the order of summation (Higham, "Accuracy and stability of numerical algorithms", 2002, §3.1). Where the bounds do not decide a
comparison, differences in float64 do. So the answer is that of float64, ties included, at the price of float32.

Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models", NeurIPS 2019 (k = 3);
Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020 (k = 5).
x (n, D)   y (m, D)   squared radii (n,)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import frexp, isqrt, prod

import torch
from torch import Tensor

from ..errors import BadData

TILE = 1 << 20  # numbers of a block of distances
MORE = 3  # candidates beyond the k nearest


@dataclass(frozen=True)
class Layout:
    """Rows for differences, and for products: what the bounds of a distance need."""

    rows: Tensor  # (N, D) float64
    quick: Tensor  # (N, D), centred, of the dtype of the products
    low: Tensor  # (N,) (1 - e) |quick|^2
    slack: Tensor  # (N,) 2 e |quick|^2, float64

    def __len__(self) -> int:
        return len(self.rows)


def laid(x: Tensor, y: Tensor) -> tuple[Layout, Layout]:
    """Both samples, centred at the mean of x and scaled by a power of 2, which changes no comparison."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise BadData(f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}; rows of the same variables are awaited.")
    # In place where it can be: fresh memory of this size takes longer than the arithmetic.
    x, y = (part.to(torch.float64, copy=True) for part in (x, y))
    centre = x.mean(0)
    ends = [end - centre for part in (x, y) for end in (part.amin(0), part.amax(0))]
    scale = 2.0 ** -frexp(max(float(end.abs().max()) for end in ends) or 1.0)[1]
    # A caller who has allowed matrix products of fewer digits gets them in float64: the bound is one for float32.
    dtype = torch.float32 if torch.get_float32_matmul_precision() == "highest" else torch.float64
    e = (x.shape[1] + 16) * torch.finfo(dtype).eps / 2
    layouts = []
    for part in (x, y):
        part *= scale
        quick = torch.sub(part, centre * scale, out=torch.empty(part.shape, dtype=dtype))
        norm = torch.linalg.vector_norm(quick, dim=1, dtype=torch.float64).square()
        layouts.append(Layout(part, quick, ((1 - e) * norm).to(dtype), 2 * e * norm))
    return layouts[0], layouts[1]


def bounds(a: Layout, i: slice | Tensor, b: Layout, j: slice | Tensor) -> Tensor:
    """Lower bounds of the squared distances between rows i of a and rows j of b."""
    return torch.addmm(a.low[i][:, None] + b.low[j], a.quick[i], b.quick[j].T, alpha=-2.0)


def apart(a: Layout, i: Tensor, b: Layout, j: Tensor) -> Tensor:
    """The squared distances of pairs (P,), (P,) -> (P,), by differences."""
    most = max(1, TILE // a.rows.shape[1])
    pairs = zip(i.split(most), j.split(most), strict=True)
    return torch.cat([(a.rows[p] - b.rows[q]).square_().sum(1) for p, q in pairs])


def cuts(n: int) -> list[slice]:
    """The rows in parts of one size, so that a square of two parts has at most TILE numbers."""
    side = max(1, isqrt(TILE))
    parts = -(-n // side)
    size = -(-n // parts)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


# ---- neighbours within a sample -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Near:
    """The nearest rows of each row by their lower bounds, and who they are: (N, C)."""

    low: Tensor
    who: Tensor


def candidates(a: Layout, k: int) -> Near:
    """The k and a few more nearest of each row. Each square of distances is made once and read both ways."""
    n = len(a)
    if not 1 <= k < n:
        raise BadData(f"k={k} neighbours of {n} examples: k is to be at least 1 and below the number of examples.")
    wide = min(k + MORE, n - 1)
    near = Near(torch.full((n, wide), torch.inf, dtype=a.low.dtype), torch.zeros(n, wide, dtype=torch.long))
    parts = cuts(n)
    for i in parts:  # first each part within itself, so that later most can be passed over unsorted
        merge(near, i, bounds(a, i, a, i).fill_diagonal_(torch.inf), i)
    for number, i in enumerate(parts):
        for j in parts[number + 1 :]:
            block = bounds(a, i, a, j)
            merge(near, i, block, j)
            merge(near, j, block.T, i)
    return near


def merge(near: Near, i: slice, block: Tensor, j: slice) -> None:
    """The nearest of rows i so far and of those in a block against rows j."""
    wide = near.low.shape[1]
    nearer = block < near.low[i].amax(1)[:, None]
    most = int(nearer.sum(1).max())
    if most > 4 * wide:
        found, at = block.topk(min(wide, block.shape[1]), dim=1, largest=False, sorted=False)
    else:
        found, at = few(block, nearer, most)
    low, who = torch.cat([near.low[i], found], 1), torch.cat([near.who[i], at + j.start], 1)
    near.low[i], best = low.topk(wide, dim=1, largest=False)
    near.who[i] = who.gather(1, best)


def few(block: Tensor, chosen: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The chosen numbers of each row, at most `most`, and where they stand; infinity fills up."""
    rows, columns = chosen.nonzero(as_tuple=True)
    count = torch.bincount(rows, minlength=len(block))
    place = torch.arange(len(rows)) - (count.cumsum(0) - count)[rows]
    found = torch.full((len(block), most), torch.inf, dtype=block.dtype)
    at = torch.zeros(len(block), most, dtype=torch.long)
    found[rows, place], at[rows, place] = block[rows, columns], columns
    return found, at


def radii(a: Layout, near: Near, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The squared distance of each row to its k-th neighbour (N,), exact in float64; who the k nearest are (N, k); whether more are as near (N,)."""
    low, who = near.low.double(), near.who
    high = low + a.slack[:, None] + a.slack[who]
    least, most = low.kthvalue(k, dim=1).values, high.kthvalue(k, dim=1).values
    # Who is surely nearer than the k-th, or surely farther, needs no distance.
    open_ = (low <= most[:, None]) & (high >= least[:, None])
    squared = torch.where(low > most[:, None], torch.inf, -torch.inf).double()
    rows, places = open_.nonzero(as_tuple=True)
    squared[rows, places] = apart(a, rows, a, who[rows, places])
    found, order = squared.sort(dim=1)
    radius, nearest = found[:, k - 1].clone(), who.gather(1, order[:, :k])
    tied = (found[:, k:] <= radius[:, None]).any(1)
    # Whoever is no candidate is at least as far as the farthest bound among them.
    doubt = radius > low.amax(1).clamp(min=0.0)
    if low.shape[1] < len(a) - 1 and bool(doubt.any()):
        for part in doubt.nonzero()[:, 0].split(max(1, TILE // len(a))):
            radius[part], nearest[part] = again(a, part, radius[part], k)
        tied |= doubt
    return radius, nearest, tied


def again(a: Layout, rows: Tensor, reach: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of some rows out of everybody within `reach`, which the k-th is: for data with many ties."""
    i, j, squared = around(a, rows, reach)
    order = squared.argsort(stable=True)
    order = order[i[order].argsort(stable=True)]
    first = torch.searchsorted(i.contiguous(), torch.arange(len(rows)))  # where each row begins
    take = order[first[:, None] + torch.arange(k)]
    return squared[take[:, -1]], j[take]


def around(a: Layout, rows: Tensor, reach: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which of these rows (by its place among them), who else is within its squared reach, and their squared distance."""
    block = bounds(a, rows, a, slice(None)).double()
    block[torch.arange(len(rows)), rows] = torch.inf
    i, j = (block <= reach[:, None]).nonzero(as_tuple=True)
    squared = apart(a, rows[i], a, j)
    inside = squared <= reach[i]
    return i[inside], j[inside], squared[inside]


def chosen(a: Layout, found: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Whether each row lies in the ball of another of its own sample (N,), from what `radii` gave."""
    radius, nearest, tied = found
    out = torch.zeros(len(a), dtype=torch.bool)
    out[nearest.flatten()] = True
    for part in tied.nonzero()[:, 0].split(max(1, TILE // len(a))):
        out[around(a, part, radius[part])[1]] = True
    return out


# ---- one sample in the balls of another ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coverage:
    """What of each sample lies where, row by row; x the real, y the fake."""

    precise: Tensor  # (m,) whether y lies in a ball of x
    recalled: Tensor  # (n,) whether x lies in a ball of y
    dense: Tensor  # (m,) in how many balls of x, over k
    covered: Tensor  # (n,) whether the ball of x holds a y
    chosen: Tensor  # (n,) whether x lies in the ball of another x: what `precise` is for two samples of one law


def coverage(x: Tensor, y: Tensor, k: int = 3, k_dense: int = 5) -> Coverage:
    """Precision and recall with k neighbours, density and coverage with k_dense, in one pass over the distances.

    >>> x = torch.tensor([[0.0], [1.0], [2.0], [9.0]])
    >>> coverage(x, x + 0.5, k=1, k_dense=1).covered.tolist()
    [True, True, True, True]
    """
    a, b = laid(x, y)
    near_a, near_b = candidates(a, max(k, k_dense)), candidates(b, k)
    small = radii(a, near_a, k)
    ball, ball_dense, ball_b = small[0], radii(a, near_a, k_dense)[0], radii(b, near_b, k)[0]
    precise, recalled = torch.zeros(len(b), dtype=torch.bool), torch.zeros(len(a), dtype=torch.bool)
    covered, counts = torch.zeros(len(a), dtype=torch.bool), torch.zeros(len(b), dtype=torch.long)
    for i, j, squared in close(a, torch.maximum(ball, ball_dense), [ball, ball_dense], b, ball_b):
        precise[j[squared <= ball[i]]] = True
        recalled[i[squared <= ball_b[j]]] = True
        inside = squared <= ball_dense[i]
        covered[i[inside]] = True
        counts += torch.bincount(j[inside], minlength=len(b))
    return Coverage(precise, recalled, counts.double() / k_dense, covered, chosen(a, small))


def close(
    a: Layout, reach_a: Tensor, balls: list[Tensor], b: Layout, reach_b: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The pairs that may lie within reach of either side, tile by tile, with a number that compares with every radius as the squared distance."""
    far_a, far_b = upward(reach_a, a.low.dtype), upward(reach_b, b.low.dtype)
    for rows in cuts(len(a)):
        for columns in cuts(len(b)):
            block = bounds(a, rows, b, columns)
            hit = (block <= far_a[rows][:, None]).logical_or_(block <= far_b[columns])
            i, j = hit.nonzero(as_tuple=True)
            low = block[i, j].double()
            i, j = i + rows.start, j + columns.start
            squared = low + a.slack[i] + b.slack[j]
            limits = [ball[i] for ball in balls] + [reach_b[j]]
            unsure = torch.zeros(len(i), dtype=torch.bool)
            for limit in limits:
                unsure |= (low <= limit) & (squared > limit)
            if bool(unsure.any()):
                squared[unsure] = apart(a, i[unsure], b, j[unsure])
            yield i, j, squared


def upward(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x in another dtype, and not below what it was."""
    return torch.nextafter(x.to(dtype), torch.tensor(torch.inf, dtype=dtype))


def covered_by_chance(n: int, m: int, k: int) -> float:
    """The coverage of n examples by m of the same law, in expectation.

    >>> round(covered_by_chance(1000, 1000, 5), 5)
    0.96898
    """
    return 1 - prod(max(n - i, 0) / (n + m - i) for i in range(1, k + 1))


# ---- pairs that are nearly the same -------------------------------------------------------------------------------------


def pairs_within(a: Layout, reach: float) -> int:
    """How many pairs of a sample lie within a squared distance, in the units of the layout."""
    found, limit = 0, torch.tensor([reach], dtype=torch.float64)
    most, parts = upward(limit, a.low.dtype), cuts(len(a))
    for number, rows in enumerate(parts):
        for columns in parts[number:]:
            i, j = (bounds(a, rows, a, columns) <= most).nonzero(as_tuple=True)
            i, j = i + rows.start, j + columns.start
            once = i < j
            if bool(once.any()):
                found += int((apart(a, i[once], a, j[once]) <= limit).sum())
    return found


def twins(x: Tensor, y: Tensor) -> tuple[float, int, int]:
    """The smallest distance between two examples of x, and how many pairs of x and of y are as near as that."""
    a, b = laid(x, y)
    reach = float(radii(a, candidates(a, 1), 1)[0].min())
    scale = float(a.rows.abs().max() / x.double().abs().max().clamp(min=1e-300))
    return reach**0.5 / scale if scale else 0.0, pairs_within(a, reach), pairs_within(b, reach)
