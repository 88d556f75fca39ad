"""Measures of sample quality beside prdc, torchmetrics and POT: two samples of 5,000 x 512 float32 features in memory.

The check holds every value against the peer's, or against float64 arithmetic where the peer works in float32: relative differences below
1e-6 (shares of neighbours: equal). Neighbours and lines go through the public doors, standard errors included; of the Frechet and the kernel
distance only the value is taken, as the peers give no more. The bare arms are the leanest code for the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from measure import BARE, OURS, Arm, Row, Setting, agree, faster, peer
from torch import Tensor

from pushforward import metrics, noise
from pushforward.maths import discrepancy
from pushforward.maths.frechet import frechet
from pushforward.metrics.quality import prdc

K, LINES, SUBSETS, SIZE = 5, 500, 50, 1000
SAME = 1e-6


def features(setting: Setting) -> tuple[Tensor, Tensor]:
    """Related, not centred, and two laws that are near: as features of real and of good fake pictures are."""
    n, d = (1_200, 128) if setting.quick else (5_000, 512)
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(d, d)) / np.sqrt(d) / np.sqrt(1 + np.arange(d) / 32)
    x, y = (rng.normal(size=(n, d)) @ turn + 0.3 for _ in range(2))
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy((1.03 * y + 0.01).astype(np.float32))


def near(ours: float, theirs: float) -> float:
    return abs(ours - theirs) / max(abs(theirs), 1e-300)


class Given(torch.nn.Module):
    """Features that are there already, in the place of torchmetrics' network."""

    def __init__(self, width: int):
        super().__init__()
        self.num_features = width

    def forward(self, x: Tensor) -> Tensor:
        return x if x.ndim == 2 else torch.zeros(len(x), self.num_features)  # it tries the network on a picture first


# --- neighbours -----------------------------------------------------------------------------------------------------


@torch.no_grad()
def bare_prdc(x: Tensor, y: Tensor) -> dict[str, float]:
    """All distances as one matrix each."""
    centre = x.mean(0)
    x, y = x - centre, y - centre

    def squares(a: Tensor, b: Tensor) -> Tensor:
        return torch.addmm(a.square().sum(1)[:, None] + b.square().sum(1), a, b.T, alpha=-2.0)

    ball_x, ball_y = (squares(a, a).topk(K + 1, largest=False).values[:, -1] for a in (x, y))
    between = squares(x, y)
    inside = between <= ball_x[:, None]
    return {
        "precision": float(inside.any(0).float().mean()),
        "recall": float((between <= ball_y).any(1).float().mean()),
        "density": float(inside.sum() / (K * len(y))),
        "coverage": float(inside.any(1).float().mean()),
    }


def neighbours(setting: Setting) -> Iterator[Row]:
    x, y = features(setting)
    arrays = x.numpy(), y.numpy()

    def theirs() -> Any:
        from prdc import compute_prdc

        return compute_prdc(*arrays, nearest_k=K)

    def ours() -> Any:
        return prdc(x, y, k=K, k_dense=K)

    def check() -> str:
        found = {name: one.value for name, one in ours().items()}
        want = theirs() if peer("prdc") else bare_prdc(x.double(), y.double())
        gap = max(abs(found[name] - float(want[name])) for name in found)
        told = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        agree(f"{told}: {gap:.1e} from {'prdc' if peer('prdc') else 'float64'}", gap < SAME)
        return f"{told}: equal to {gap:.0e}"

    arms = [Arm(OURS, ours), Arm(BARE, lambda: bare_prdc(x, y)), *([Arm("prdc", theirs)] if peer("prdc") else [])]
    work = f"precision, recall, density, coverage of {len(x):,} x {x.shape[1]}, k = {K}"
    yield Row(
        "metrics",
        work,
        arms,
        faster(3.5, "prdc"),
        check,
        "ours decides in float64 what float32 leaves open; bare does not",
    )


# --- moments --------------------------------------------------------------------------------------------------------


def bare_frechet(x: Tensor, y: Tensor) -> float:
    means, covariances = [], []
    for part in (x, y):
        part = part.double()
        means.append(part.mean(0))
        array = (part - means[-1]).numpy()
        covariances.append(torch.from_numpy(array.T @ array) / (len(part) - 1))
    s, t = covariances
    triangle = torch.linalg.cholesky(s)
    inner = torch.linalg.eigvalsh(triangle.T @ t @ triangle).clamp(min=0).sqrt().sum()
    return float((means[0] - means[1]).square().sum() + s.trace() + t.trace() - 2 * inner)


def moments(setting: Setting) -> Iterator[Row]:
    x, y = features(setting)

    def theirs() -> float:
        from torchmetrics.image.fid import FrechetInceptionDistance

        measure = FrechetInceptionDistance(feature=Given(x.shape[1]))
        measure.update(x, real=True)
        measure.update(y, real=False)
        return float(measure.compute())

    def textbook() -> float:
        from scipy.linalg import sqrtm

        (m, s), (w, t) = ((p.mean(0), np.cov(p, rowvar=False)) for p in (x.double().numpy(), y.double().numpy()))
        return float(((m - w) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * np.trace(sqrtm(s @ t)).real)

    def check() -> str:
        found = {"scipy's root of a matrix": textbook(), BARE: bare_frechet(x, y)}
        found |= {"torchmetrics": theirs()} if peer("torchmetrics") else {}
        value = frechet(x, y)
        gaps = {name: near(value, other) for name, other in found.items()}
        told = ", ".join(f"{gap:.0e} from {name}" for name, gap in gaps.items())
        agree(f"FD {value:.6f}: {told}", max(gaps.values()) < SAME)
        return f"FD {value:.6f}: {told}"

    arms = [Arm(OURS, lambda: frechet(x, y)), Arm(BARE, lambda: bare_frechet(x, y))]
    arms += [Arm("torchmetrics", theirs)] if peer("torchmetrics") else []
    work = f"Frechet distance of {len(x):,} x {x.shape[1]}"
    yield Row("metrics", work, arms, faster(1.2, "torchmetrics"), check, "float64, covariances included")


# --- kernels --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def bare_kernel(x: Tensor, y: Tensor) -> float:
    """One subset: three products, the two of a matrix with itself at half the price."""
    own = [torch.from_numpy(a @ a.T) for a in (x.numpy(), y.numpy())]
    n, d = x.shape
    sums = [(k.div_(d).add_(1).pow_(3).sum(dtype=torch.float64) - k.diagonal().sum()) for k in own]
    cross = (x @ y.T).div_(d).add_(1).pow_(3).sum(dtype=torch.float64)
    return float((sums[0] + sums[1]) / (n * (n - 1)) - 2 * cross / n**2)


def kernels(setting: Setting) -> Iterator[Row]:
    x, y = features(setting)
    size, subsets = (300, 5) if setting.quick else (SIZE, SUBSETS)

    def ours() -> Tensor:
        return discrepancy.kernel_distances(x, y, subsets, size, 0)

    def bare() -> float:
        rng = torch.Generator().manual_seed(0)
        return float(
            np.mean(
                [
                    bare_kernel(*(p[torch.randperm(len(p), generator=rng)[:size]] for p in (x, y)))
                    for _ in range(subsets)
                ]
            )
        )

    def theirs() -> float:
        from torchmetrics.image.kid import KernelInceptionDistance

        measure = KernelInceptionDistance(feature=Given(x.shape[1]), subsets=subsets, subset_size=size)
        measure.update(x, real=True)
        measure.update(y, real=False)
        return float(measure.compute()[0])

    def check() -> str:
        some = x[:size], y[:size]
        want = discrepancy.squared(discrepancy.gram(torch.cat(some), "polynomial")[0], size)[0]
        if peer("torchmetrics"):
            from torchmetrics.image.kid import poly_mmd

            want = float(poly_mmd(*(part.double() for part in some)))
        value, spread = discrepancy.cubic(*some)
        gap = abs(value - want) / max(abs(want), spread)  # of two laws this near the value may be next to 0
        agree(f"MMD2 of one subset: {value:.4g}, {gap:.0e} from float64", gap < SAME)
        values = ours()
        means, error = [float(values.mean()), bare()], float(values.std()) / subsets**0.5
        means += [theirs()] if peer("torchmetrics") else []
        agree(f"means over subsets: {means}, error {error:.1e}", max(means) - min(means) < 6 * error)
        return f"one subset in float64 to {gap:.0e}; means over {subsets} subsets within their error of {error:.0e}"

    arms = [Arm(OURS, ours), Arm(BARE, bare), *([Arm("torchmetrics", theirs)] if peer("torchmetrics") else [])]
    work = f"kernel distance, {subsets} subsets of {size:,} x {x.shape[1]}"
    yield Row("metrics", work, arms, faster(1, "torchmetrics"), check)


# --- lines ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def bare_lines(x: Tensor, y: Tensor, a: Tensor) -> float:
    u, w = ((a @ part.T).sort(1).values for part in (x, y))
    return float((u - w).square().mean().sqrt())


def lines(setting: Setting) -> Iterator[Row]:
    x, y = features(setting)
    with noise.stream(0, dtype=torch.float64):
        a = torch.nn.functional.normalize(noise.normal(LINES, x.shape[1]), dim=1)
    short = a.float()

    def ours() -> Any:
        return metrics.wasserstein(x, y, 2, "sliced", projections=LINES, seed=0, floors=0)

    def theirs(x: Tensor = x, y: Tensor = y, a: Tensor = short) -> float:
        import ot

        return float(ot.sliced_wasserstein_distance(x, y, p=2, projections=a.T, n_projections=LINES))

    def check() -> str:
        want = theirs(x.double(), y.double(), a) if peer("ot") else bare_lines(x.double(), y.double(), a)
        value = ours().value
        agree(f"sliced W2 {value:.8f}, and {want:.8f} in float64", near(value, want) < SAME)
        agree("bare is off", near(bare_lines(x, y, short), want) < 1e-4)
        return f"sliced W2 {value:.6f}: {near(value, want):.0e} from {'POT' if peer('ot') else 'bare'} in float64 along the same lines"

    arms = [Arm(OURS, ours), Arm(BARE, lambda: bare_lines(x, y, short)), *([Arm("POT", theirs)] if peer("ot") else [])]
    work = f"sliced Wasserstein, {LINES} lines, {len(x):,} x {x.shape[1]}"
    yield Row(
        "metrics",
        work,
        arms,
        faster(4, "POT"),
        check,
        "ours in float64, with a standard error; the others in float32 without",
    )


def rows(setting: Setting) -> Iterator[Row]:
    for part in (neighbours, moments, kernels, lines):
        yield from part(setting)
