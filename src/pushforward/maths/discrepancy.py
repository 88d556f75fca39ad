"""The maximum mean discrepancy: the distance of two laws in a space of features that a kernel stands for.

    MMD^2(P, Q) = E k(x, x') + E k(y, y') - 2 E k(x, y)
    unbiased:     sum_{i != j} k(x_i, x_j) / n(n-1) + sum_{i != j} k(y_i, y_j) / m(m-1) - 2 sum_ij k(x_i, y_j) / nm
    gaussian      k = exp(-|x - y|^2 / 2 s^2),   s the median distance between all examples unless given
    polynomial    k = (x'y / D + 1)^3

It may fall below 0, as its mean is 0 where P = Q. p-value: the share of shuffles of all examples between the sides that reach it; the matrix
of kernels is formed once. Gretton et al., "A kernel two-sample test", JMLR 2012, eq. 3, §5; the cubic kernel: Binkowski et al., ICLR 2018.

KID is the mean of the cubic one over subsets: their size changes the spread and not the expectation.

z all n + m examples (N, D)   gram (N, N)   sides (N, R), 1 for x and 0 for y
"""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor

from .. import noise
from ..errors import BadData, Usage, did_you_mean

KERNELS = ("gaussian", "polynomial")
SOME = 1000  # examples whose distances give the median
TILE = 1 << 20  # numbers of a block of kernels


def gram(z: Tensor, kernel: str = "gaussian", width: float = 0.0) -> tuple[Tensor, float]:
    """The kernel between all examples (N, N), and its width (0 where it has none)."""
    if kernel not in KERNELS:
        raise Usage(f"kernel={kernel!r} is not one of {', '.join(KERNELS)}.{did_you_mean(kernel, KERNELS)}")
    z = z.double()
    if kernel == "polynomial":
        return (z @ z.T / z.shape[1] + 1) ** 3, 0.0
    width = width or median(z)
    z = z - z.mean(0)  # a product of matrices gives the distances, and what is common to all would take its digits
    squares = (z**2).sum(1)
    distances = torch.addmm(squares[:, None] + squares, z, z.T, alpha=-2.0).clamp_(min=0.0)
    return distances.mul_(-0.5 / width**2).exp_(), width


def median(z: Tensor) -> float:
    """The median distance between different examples, of a thousand of them spread over both sides."""
    apart = torch.pdist(z[torch.linspace(0, len(z) - 1, min(len(z), SOME)).long()])
    found = float(apart.median()) or float(apart[apart > 0].median())
    if not found > 0:
        raise BadData("All examples are the same, so the median distance is 0. Give the kernel a width.")
    return found


def unbiased(k: Tensor, sides: Tensor) -> Tensor:
    """MMD^2 of each division of the examples into two sides: gram (N, N), sides (N, R) of 0 and 1 -> (R,)."""
    sides, own = sides.to(k), k.diagonal()
    n = sides.sum(0)
    m = len(k) - n
    xx = (sides * (k @ sides)).sum(0)
    x_all = k.sum(1) @ sides
    xy, yy = x_all - xx, k.sum() - 2 * x_all + xx
    return (xx - own @ sides) / (n * (n - 1)) + (yy - own @ (1 - sides)) / (m * (m - 1)) - 2 * xy / (n * m)


def squared(k: Tensor, n: int) -> tuple[float, float]:
    """MMD^2 where the first n examples are x, and its standard error where P is not Q: 4 var h / n, h(x) = E k(x, x') - E k(x, y)."""
    if n < 2 or len(k) - n < 2:
        raise BadData(f"{n} and {len(k) - n} examples: at least 2 of each are needed.")
    side = torch.zeros(len(k), 1, dtype=k.dtype)
    side[:n] = 1
    h_x = (k[:n, :n].sum(1) - k.diagonal()[:n]) / (n - 1) - k[:n, n:].mean(1)
    h_y = (k[n:, n:].sum(1) - k.diagonal()[n:]) / (len(k) - n - 1) - k[:n, n:].mean(0)
    variance = 4 * (float(h_x.var()) / len(h_x) + float(h_y.var()) / len(h_y))
    return float(unbiased(k, side)), variance**0.5


def shuffled(k: Tensor, n: int, times: int, seed: int = 0) -> Tensor:
    """MMD^2 of random divisions into n and the rest (times,)."""
    with noise.stream(seed, dtype=torch.float64):
        order = noise.uniform(times, len(k)).argsort(1).T  # (N, R)
    sides = torch.zeros(len(k), times, dtype=k.dtype).scatter_(0, order[:n], 1.0)
    return torch.cat([unbiased(k, block) for block in sides.split(256, dim=1)])


def p_value(value: float, null: Tensor) -> float:
    """The share of shuffles that reach the value, itself among them: never 0, and uniform where P = Q."""
    reached = null >= value - 1e-12 * abs(value)
    return (1 + int(reached.sum())) / (1 + len(null))


# ---- the cubic kernel without its matrix --------------------------------------------------------------------------------


def cubed(x: Tensor, y: Tensor | None = None, off: float = 0.0) -> Tensor:
    """(x'y / D + 1)^3 - 1 - off, (n, m); of x with itself where there is no y.

    What is common to all entries leaves MMD^2 as it is, and would only take its digits.
    """
    t = (x @ (x if y is None else y).T).div_(x.shape[1])
    return (t + 3).mul_(t).add_(3).mul_(t).sub_(off)


def parts(n: int) -> list[slice]:
    """Rows in parts whose squares have at most TILE numbers."""
    size = max(1, isqrt(TILE))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def level(x: Tensor, y: Tensor) -> float:
    """About the mean of the kernel, from a few rows."""
    return float(cubed(x[:: max(1, len(x) // 32)], y[:: max(1, len(y) // 32)]).mean())


def within(x: Tensor, off: float) -> Tensor:
    """sum_{j != i} of `cubed` for each row, in float64 (n,). Each square is made once and read both ways."""
    total, cut = torch.zeros(len(x), dtype=torch.float64), parts(len(x))
    for number, i in enumerate(cut):
        block = cubed(x[i], off=off)
        total[i] += block.sum(1, dtype=torch.float64) - block.diagonal()
        for j in cut[number + 1 :]:
            block = cubed(x[i], x[j], off)
            total[i] += block.sum(1, dtype=torch.float64)
            total[j] += block.sum(0, dtype=torch.float64)
    return total


def across(x: Tensor, y: Tensor, off: float) -> tuple[Tensor, Tensor]:
    """Sums of `cubed` over the other side, in float64: (n,), (m,)."""
    left, right = torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(y), dtype=torch.float64)
    for i in parts(len(x)):
        for j in parts(len(y)):
            block = cubed(x[i], y[j], off)
            left[i] += block.sum(1, dtype=torch.float64)
            right[j] += block.sum(0, dtype=torch.float64)
    return left, right


def quick(x: Tensor) -> Tensor:
    """float32 for the products, unless the caller has allowed them to have fewer digits than that."""
    return x.float() if torch.get_float32_matmul_precision() == "highest" else x.double()


def cubic(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The unbiased MMD^2 with the cubic kernel, and its standard error, of samples of any size: no matrix of all is formed.

    >>> x = torch.tensor([[0.0], [1.0], [2.0]]); y = x + 1
    >>> k, _ = gram(torch.cat([x, y]), "polynomial")
    >>> abs(cubic(x, y)[0] / squared(k, 3)[0] - 1) < 1e-6
    True
    """
    n, m = len(x), len(y)
    if n < 2 or m < 2:
        raise BadData(f"{n} and {m} examples: at least 2 of each are needed.")
    x, y = quick(x), quick(y)
    off = level(x, y)
    xx, yy, (xy, yx) = within(x, off) / (n - 1), within(y, off) / (m - 1), across(x, y, off)
    value = xx.mean() + yy.mean() - 2 * xy.mean() / m
    variance = 4 * (float((xx - xy / m).var()) / n + float((yy - yx / n).var()) / m)
    return float(value), variance**0.5


def kernel_distances(x: Tensor, y: Tensor, subsets: int = 100, size: int = 1000, seed: int = 0) -> Tensor:
    """The unbiased MMD^2 with the cubic kernel of random subsets of either side (subsets,): their mean is KID."""
    if not 2 <= size <= min(len(x), len(y)):
        raise BadData(f"Subsets of {size} of {len(x)} and {len(y)} examples: 2 to {min(len(x), len(y))} can be drawn.")
    x, y = quick(x), quick(y)
    off, values = level(x, y), torch.zeros(subsets, dtype=torch.float64)
    with noise.stream(seed):
        for s in range(subsets):
            a, b = (part[noise.permutation(len(part))[:size]] for part in (x, y))
            own = (within(a, off).sum() + within(b, off).sum()) / (size * (size - 1))
            values[s] = own - 2 * across(a, b, off)[0].sum() / size**2
    return values
