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

import numpy as np
import torch
from torch import Tensor

from ... import noise
from ...errors import BadData

CHUNK = 1 << 20  # numbers of a block of projections: 8 MB in float64, which stay near the processor


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
    return between(ordered(x.T), ordered(y.T), order)


def between(xs: Tensor, ys: Tensor, order: float) -> Tensor:
    """W_p^p on each line; lines are rows here, and sorted: (K, n), (K, m) -> (K,)."""
    if xs.shape[1] == ys.shape[1]:
        return raised(xs - ys, order).mean(1)
    width, i, j = quantiles(xs.shape[1], ys.shape[1])
    return raised(xs[:, i] - ys[:, j], order) @ width.to(xs)


def raised(gap: Tensor, order: float) -> Tensor:
    """|gap|^p; the powers that are asked for most cost no logarithm."""
    return gap.square() if order == 2 else gap.abs() if order == 1 else gap.abs() ** order


def priced(x: Tensor, y: Tensor, order: float) -> tuple[Tensor, Tensor, Tensor]:
    """W_p^p of each line (K,), and the prices phi at each x and psi at each y, up to constants: what a unit of mass there adds to the cost.
    Lines are rows here: (K, n), (K, m)."""
    at_x, at_y = ranks(x), ranks(y)
    xs, ys = x.gather(1, at_x), y.gather(1, at_y)
    if x.shape[1] == y.shape[1]:
        to_y, to_x = ys, xs
    else:  # the mean of the other side over the piece of [0, 1] that belongs to a rank
        width, i, j = quantiles(x.shape[1], y.shape[1])
        width = width.to(xs)
        to_y = torch.zeros_like(xs).index_add_(1, i, width * ys[:, j]) * x.shape[1]
        to_x = torch.zeros_like(ys).index_add_(1, j, width * xs[:, i]) * y.shape[1]
    return between(xs, ys, order), prices(xs, to_y, at_x, order), prices(ys, to_x, at_y, order)


def prices(xs: Tensor, target: Tensor, at: Tensor, order: float) -> Tensor:
    """The price at each place, back in the order of the examples, from sorted places and where they are carried."""
    gap = xs - target
    slope = 2 * gap if order == 2 else gap.sign() if order == 1 else order * gap.sign() * gap.abs() ** (order - 1)
    steps = (slope[:, 1:] + slope[:, :-1]) / 2 * (xs[:, 1:] - xs[:, :-1])
    price = torch.cat([torch.zeros_like(xs[:, :1]), steps.cumsum(1)], 1)
    return torch.empty_like(price).scatter_(1, at, price)


def ranks(x: Tensor) -> Tensor:
    """argsort of each row; NumPy's is vectorised on a CPU."""
    return torch.from_numpy(np.argsort(x.numpy(), axis=1)) if plain(x) else x.argsort(1)


def ordered(x: Tensor) -> Tensor:
    """Each row sorted; NumPy's is vectorised on a CPU."""
    return torch.from_numpy(np.sort(x.numpy(), axis=1)) if plain(x) else x.sort(1).values


def plain(x: Tensor) -> bool:
    return x.device.type == "cpu" and not x.requires_grad


def error(phi: Tensor, psi: Tensor) -> float:
    """The first-order variance of E phi + E psi from n and m draws."""
    return sum(float(part.var()) / len(part) for part in (phi, psi) if len(part) > 1)


def root(value: float, variance: float, order: float) -> tuple[float, float]:
    """W and its standard error from W^p and its variance."""
    distance = max(value, 0.0) ** (1 / order)
    return distance, variance**0.5 / (order * distance ** (order - 1)) if distance > 0 else float("nan")


def line(x: Tensor, y: Tensor, order: float = 1.0) -> tuple[float, float]:
    """W_p of two samples on one line (n, 1), (m, 1), and its standard error."""
    cost, phi, psi = priced(x.T, y.T, order)
    return root(float(cost), error(phi[0], psi[0]), order)


def sliced(x: Tensor, y: Tensor, order: float = 1.0, projections: int = 128, seed: int = 0) -> tuple[float, float]:
    """The sliced W_p of two samples (n, D), (m, D), and its standard error: that of the samples and that of the directions.

    >>> x = torch.zeros(4, 3); round(sliced(x, x + 3**0.5, order=2.0, projections=4000)[0], 1)     # |shift| / D^1/2
    1.7
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise BadData(f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}; rows of the same variables are awaited.")
    with noise.stream(seed, dtype=torch.float64):
        a = torch.nn.functional.normalize(noise.normal(projections, x.shape[1]), dim=1).to(x)
    values, phi, psi = [], torch.zeros(len(x)).to(x), torch.zeros(len(y)).to(y)
    for block in a.split(max(1, CHUNK // (len(x) + len(y)))):
        cost, of_x, of_y = priced(block @ x.T, block @ y.T, order)
        values.append(cost)
        phi += of_x.sum(0) / projections
        psi += of_y.sum(0) / projections
    each = torch.cat(values)
    among = float(each.var()) / projections if projections > 1 else 0.0
    return root(float(each.mean()), error(phi, psi) + among, order)
