"""The maximum mean discrepancy: the distance of two laws in a space of features that a kernel stands for.

    MMD^2(P, Q) = E k(x, x') + E k(y, y') - 2 E k(x, y)
    unbiased:     sum_{i != j} k(x_i, x_j) / n(n-1) + sum_{i != j} k(y_i, y_j) / m(m-1) - 2 sum_ij k(x_i, y_j) / nm
    gaussian      k = exp(-|x - y|^2 / 2 s^2),   s the median distance between all examples unless given
    polynomial    k = (x'y / D + 1)^3

It may fall below 0, as its mean is 0 where P = Q. p-value: the share of shuffles of all examples between the sides that reach it; the matrix
of kernels is formed once. Gretton et al., "A kernel two-sample test", JMLR 2012, eq. 3, §5; the cubic kernel: Binkowski et al., ICLR 2018.

z all n + m examples (N, D)   gram (N, N)   sides (N, R), 1 for x and 0 for y
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import noise
from ..errors import BadData, Usage, did_you_mean

KERNELS = ("gaussian", "polynomial")
SOME = 1000  # examples whose distances give the median


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
