"""Whitening and independent components: linear maps after which variables are uncorrelated, or as independent as a linear map makes them.

    white    y = V (x - m),   V = diag(l)^-1/2 U',   l and U the eigenvalues and eigenvectors of the covariance
    FastICA  R <- E[g(R y) y'] - diag(E[g'(R y)]) R,   then R <- (R R')^-1/2 R,   g = tanh, until R stands still

Hyvärinen, "Fast and robust fixed-point algorithms for independent component analysis", IEEE Trans. Neural Networks 1999, the
symmetric form with the contrast log cosh; Hyvärinen & Oja 2000, section 6. The first steps see a part of the rows alone: they only have to come near.
N rows of D variables, S sources:   x (N, D)   y (S, N), variables first: rows of one variable lie together   V (D, D)   R (S, S)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..noise import generator
from .moments import Moments

FLOOR = 1e-9  # of the mean variance: what varies less than this is no direction of the data
BLOCK = 1 << 16  # numbers that go through tanh at a time, so that they stay in cache
SAMPLE = 128  # rows that the first steps see, for each source
NEAR = 1e-3  # the turn at which they have come near


def whitening(moments: Moments) -> tuple[Tensor, int]:
    """V (D, D), the strongest direction first, and how many directions the data span."""
    values, vectors = torch.linalg.eigh(moments.covariance())
    values, vectors = values.flip(0), vectors.flip(1)
    floor = FLOOR * (float(values.clamp(min=0).mean()) or 1.0)
    # An eigenvector has no sign of its own: its largest entry is made positive.
    vectors = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    return vectors.T / values.clamp(min=floor).sqrt()[:, None], int((values > floor).sum())


def independent(y: Tensor, tolerance: float, iterations: int) -> tuple[Tensor, int, float]:
    """R for white y (S, N), the number of steps over all rows, and how far the last one turned R (1 - the least cosine)."""
    s, n = y.shape
    r = even(torch.randn(s, s, generator=generator(), dtype=torch.float64).to(y))
    some = max(1024, SAMPLE * s)
    if n > 4 * some:
        part = y[:, :: n // some]
        part = part - part.mean(1, keepdim=True)
        root, wrong = torch.linalg.cholesky_ex(part @ part.T / part.shape[1])
        if not int(wrong):  # the part is not quite white, and without being so it would lead astray
            white = torch.linalg.solve_triangular(root, torch.eye(s).to(y), upper=False)
            r = even(settle(white @ part, r, max(tolerance, NEAR), iterations)[0] @ white)
    return settle(y, r, tolerance, iterations)


def settle(y: Tensor, r: Tensor, tolerance: float, iterations: int) -> tuple[Tensor, int, float]:
    """Steps of FastICA until R stands still."""
    turned, steps = 1.0, 0
    blocks = y.split(max(64, BLOCK // len(y)), 1)
    while steps < iterations and turned >= tolerance:
        steps += 1
        after = torch.zeros_like(r)
        slope = torch.zeros_like(r[:, 0])
        for block in blocks:
            g = tanh(r @ block)
            after.addmm_(g, block.T)
            slope += torch.linalg.vector_norm(g, dim=1).square_()
        after = even(after / y.shape[1] - (1 - slope / y.shape[1])[:, None] * r)
        turned = float((1 - (after * r).sum(1).abs()).max())
        r = after
    return r, steps, turned


def tanh(x: Tensor) -> Tensor:
    """In place. On a CPU by NumPy, which takes a tenth of the time of torch."""
    if x.device.type != "cpu":
        return x.tanh_()
    array = x.numpy()
    np.tanh(array, out=array)
    return x


def even(r: Tensor) -> Tensor:
    """(R R')^-1/2 R, the nearest orthogonal matrix."""
    u, _, v = torch.linalg.svd(r.double())
    return (u @ v).to(r)


def amari(found: Tensor, true: Tensor) -> float:
    """The distance between two unmixing matrices that forgets order, sign and size: 0 for the same sources, at most 1.

    Amari, Cichocki & Yang, "A new learning algorithm for blind signal separation", NIPS 1996.

    >>> amari(torch.tensor([[0.0, -2.0], [3.0, 0.0]]), torch.eye(2))
    0.0
    """
    p = (found.double() @ torch.linalg.inv(true.double())).abs()
    n = len(p)
    rows, columns = (p.sum(1) / p.amax(1) - 1).sum(), (p.sum(0) / p.amax(0) - 1).sum()
    return float((rows + columns) / (2 * n * (n - 1))) if n > 1 else 0.0
