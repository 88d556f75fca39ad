"""The nearest of many records beside scikit-learn: what every distance to the closest record rests on.

Numbers: all arms are given the same float32 rows on one scale and tell distances and places of the two nearest. Mixed rows: numbers and codes, where a
code that differs counts 1; scikit-learn is given rows of the same distances, each code as a block of (0 .. 0, 2^-1/2, 0 .. 0), already made.
Ours computes the distance of what it found anew in float64 from the cells; bare is the leanest torch code of the same products, in float32 alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from measure import BARE, OURS, Arm, Row, Setting, agree, faster, peer
from torch import Tensor

from pushforward.maths.records import Records, nearest

SKLEARN = "scikit-learn"
K = 2  # the nearest, and the second for the ratio
SIZES = (9, 16, 7, 15, 6, 5, 2, 42)  # levels of the codes, as those of Adult


def drawn(n: int, seed: int, numbers: int, sizes: tuple[int, ...]) -> Records:
    """Numbers that hang together, and codes of unequal shares."""
    rng, turn = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(numbers, numbers))
    v = rng.normal(size=(n, numbers)) @ turn / np.sqrt(numbers)
    codes = [(size * rng.random(n) ** 2).astype(np.int64) for size in sizes]
    return Records(
        torch.from_numpy(v).float(),
        torch.from_numpy(np.stack(codes, 1)) if codes else torch.zeros(n, 0, dtype=torch.long),
    )


def hot(r: Records, sizes: tuple[int, ...]) -> np.ndarray:
    """The same rows as numbers of the same distances."""
    blocks = [torch.nn.functional.one_hot(r.codes[:, c], size).float() * 0.5**0.5 for c, size in enumerate(sizes)]
    return torch.cat([r.numbers, *blocks], 1).numpy()


@torch.no_grad()
def bare(x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    half = 0.5 * (points * points).sum(1)
    found = [torch.addmm(half, block, points.T, alpha=-1.0).topk(K, 1, largest=False) for block in x.split(256)]
    squares = 2 * torch.cat([f.values for f in found]) + (x * x).sum(1, keepdim=True)
    return squares.clamp(min=0).sqrt(), torch.cat([f.indices for f in found])


def closest(setting: Setting, work: str, numbers: int, sizes: tuple[int, ...]) -> Row:
    n = 3_000 if setting.quick else 30_000
    x, points = (drawn(n, seed, numbers, sizes) for seed in (0, 1))
    plain = [hot(r, sizes) for r in (x, points)]
    tensors = [torch.from_numpy(p) for p in plain]

    def sklearn() -> Any:
        from sklearn.neighbors import NearestNeighbors

        return (
            NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=setting.threads)
            .fit(plain[1])
            .kneighbors(plain[0])
        )

    def check() -> str:
        ours = nearest(x, points, K)[0].numpy()
        found = {BARE: bare(*tensors)[0].numpy()} | ({SKLEARN: sklearn()[0]} if peer("sklearn") else {})
        gap = max(float(np.abs(d - ours).max()) for d in found.values())
        agree(f"distances differ by {gap:.1e}", gap < 5e-3)
        return f"distances agree to {gap:.1e}"

    ours = [Arm(OURS, lambda: nearest(x, points, K)), Arm(BARE, lambda: bare(*tensors))]
    arms = [*ours, *([Arm(SKLEARN, sklearn)] if peer("sklearn") else [])]
    return Row(
        "records",
        f"{K} nearest of {n:,} {work} for as many",
        arms,
        faster(1, SKLEARN),
        check,
        "ours tells float64 distances",
    )


def rows(setting: Setting) -> Iterator[Row]:
    yield closest(setting, "x 15 numbers", 15, ())
    yield closest(setting, "x 15 columns (7 numbers, 8 codes)", 7, SIZES)
