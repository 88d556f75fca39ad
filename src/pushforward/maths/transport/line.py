"""The Wasserstein distance on the line, where it is known in closed form, and along random lines.

    W_p^p(P, Q) = integral over t in (0, 1) of |F^-1(t) - G^-1(t)|^p dt
    SW_p^p(P, Q) = mean over directions a of W_p^p(a'x, a'y),   a uniform on the sphere

Between two cuts of [0, 1] at i/n and j/m both quantile functions are constant: at most n + m - 1 pieces, an exact sum for any n and m.
Standard error: W_p^p = max E phi(x) + E psi(y), and to first order the error of the left is that of the right with phi, psi held;
phi'(x) = p sign(x - T x) |x - T x|^(p-1), T = G^-1 F.   del Barrio & Loubes, Ann. Probab. 2019; Villani, "Topics in optimal transportation", 2003, th. 2.18.
Sliced: Bonneel, Rabin, Peyre & Pfister, J. Math. Imaging Vis. 2015.

K lines at once:   x (n, K)   y (m, K)   masses wx (n,), wy (m,)   W^p (K,)   phi (n, K)   psi (m, K)
"""

from __future__ import annotations

from math import lcm

import torch
from torch import Tensor

from ... import noise
from ...errors import BadData

CHUNK = 1 << 22  # numbers of a block of projections


def quantiles(n: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pieces of [0, 1] on which both quantile functions are constant: their widths, and the rank of each side there.

    >>> [part.tolist() for part in quantiles(2, 4)]
    [[0.25, 0.25, 0.25, 0.25], [0, 0, 1, 1], [0, 1, 2, 3]]
    """
    whole = lcm(n, m)  # whole numbers, so that equal cuts are equal
    ends = torch.cat([torch.arange(1, n + 1) * (whole // n), torch.arange(1, m + 1) * (whole // m)]).unique()
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    return (ends - starts).double() / whole, starts // (whole // n), starts // (whole // m)


def weighted(wx: Tensor, wy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same for masses in the order of their places."""
    cuts_x, cuts_y = (w.double().cumsum(0) / w.double().sum() for w in (wx, wy))
    ends = torch.cat([cuts_x, cuts_y]).sort().values
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    middle = (starts + ends) / 2
    ranks = [torch.searchsorted(cuts, middle).clamp(max=len(cuts) - 1) for cuts in (cuts_x, cuts_y)]
    return ends - starts, ranks[0], ranks[1]


def on_line(x: Tensor, y: Tensor, order: float = 1.0, wx: Tensor | None = None, wy: Tensor | None = None) -> Tensor:
    """W_p^p between two samples, or two sets of masses, on each of K lines: (n, K), (m, K) -> (K,).

    >>> on_line(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[5.0], [6.0], [8.0]])).item()
    5.0
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not len(x) or not len(y):
        raise BadData(
            f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}; (n, K) and (m, K) with the same K are awaited."
        )
    if wx is not None and wy is not None:
        at_x, at_y = x[:, 0].argsort(), y[:, 0].argsort()
        width, i, j = weighted(wx[at_x], wy[at_y])
        return (width[:, None] * (x[at_x][i] - y[at_y][j]).abs() ** order).sum(0)
    x, y = x.sort(0).values, y.sort(0).values
    if len(x) == len(y):
        return ((x - y).abs() ** order).mean(0)
    width, i, j = quantiles(len(x), len(y))
    return (width.to(x)[:, None] * (x[i] - y[j]).abs() ** order).sum(0)


def potentials(x: Tensor, y: Tensor, order: float) -> Tensor:
    """phi at each row of x (n, K), up to a constant: the price of a unit of mass there in the transport from x to y."""
    at = x.argsort(0)
    xs, ys = x.gather(0, at), y.sort(0).values
    # T x: the mean of y over the piece of [0, 1] that belongs to x's rank.
    width, i, j = quantiles(len(x), len(y))
    target = torch.zeros_like(xs).index_add_(0, i, width.to(xs)[:, None] * ys[j]) * len(x)
    gap = xs - target
    slope = order * gap.sign() * gap.abs() ** (order - 1)
    steps = (slope[1:] + slope[:-1]) / 2 * (xs[1:] - xs[:-1])
    price = torch.cat([torch.zeros_like(xs[:1]), steps.cumsum(0)])
    return torch.empty_like(price).scatter_(0, at, price)


def error(phi: Tensor, psi: Tensor) -> float:
    """The first-order variance of E phi + E psi from n and m draws."""
    return sum(float(part.var()) / len(part) for part in (phi, psi) if len(part) > 1)


def root(value: float, variance: float, order: float) -> tuple[float, float]:
    """W and its standard error from W^p and its variance."""
    distance = max(value, 0.0) ** (1 / order)
    return distance, variance**0.5 / (order * distance ** (order - 1)) if distance > 0 else float("nan")


def line(x: Tensor, y: Tensor, order: float = 1.0) -> tuple[float, float]:
    """W_p of two samples on one line (n, 1), (m, 1), and its standard error."""
    variance = error(potentials(x, y, order), potentials(y, x, order))
    return root(float(on_line(x, y, order)), variance, order)


def sliced(x: Tensor, y: Tensor, order: float = 1.0, projections: int = 128, seed: int = 0) -> tuple[float, float]:
    """The sliced W_p of two samples (n, D), (m, D), and its standard error: that of the samples and that of the directions.

    >>> x = torch.zeros(4, 3); round(sliced(x, x + 3**0.5, order=2.0, projections=4000)[0], 1)     # |shift| / D^1/2
    1.7
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise BadData(f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}; rows of the same variables are awaited.")
    with noise.stream(seed, dtype=torch.float64):
        a = torch.nn.functional.normalize(noise.normal(projections, x.shape[1]), dim=1).T.to(x)
    values, phi, psi = [], torch.zeros(len(x)).to(x), torch.zeros(len(y)).to(y)
    for block in a.split(max(1, CHUNK // (len(x) + len(y))), dim=1):
        u, w = x @ block, y @ block
        values.append(on_line(u, w, order))
        phi += potentials(u, w, order).sum(1) / projections
        psi += potentials(w, u, order).sum(1) / projections
    each = torch.cat(values)
    among = float(each.var()) / projections if projections > 1 else 0.0
    return root(float(each.mean()), error(phi, psi) + among, order)
