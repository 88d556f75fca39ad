"""Closed forms and expectation–maximisation beside scikit-learn: mixtures, PCA, kernels, independent components.

All arms are given the same float32 arrays and work in float32; ours is asked for it (precision="float32"), as its closed forms are
solved in float64 by default, which takes up to twice as long. Ours goes through the public doors, checks and copies included. The
bare arms are the leanest code for the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log, pi
from typing import Any

import numpy as np
import torch
from measure import BARE, OURS, Arm, Row, Setting, agree, faster, peer
from torch import Tensor

import pushforward as pf
from pushforward import noise
from pushforward.maths.components import amari
from pushforward.model import SOLVING

SKLEARN = "scikit-learn"
COMPONENTS, STEPS = 10, 20
LATENT = 50
HOW: dict[str, Any] = {"precision": "float32", "quiet": True, "device": "cpu"}
WIDTH = 0.5  # of the kernel
SOURCES, TOLERANCE = 20, 1e-4


def arms(ours: Any, bare: Any, sklearn: Any) -> list[Arm]:
    return [Arm(OURS, ours), Arm(BARE, bare), *([Arm(SKLEARN, sklearn)] if peer("sklearn") else [])]


def told(found: dict[str, float], form: str = ".4f") -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in found.items())


# --- mixtures -------------------------------------------------------------------------------------------------------


def blobs(n: int, d: int = 16) -> np.ndarray:
    """Ten Gaussians of full covariance, all columns of variance 1."""
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(COMPONENTS, d, d)) / np.sqrt(d)
    x = 2 * rng.normal(size=(COMPONENTS, d))[owner := rng.integers(COMPONENTS, size=n)]
    x += np.einsum("nde,ne->nd", turn[owner], rng.normal(size=(n, d)))
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


def mixture(**fields: Any) -> Any:
    return pf.GaussianMixture(components=COMPONENTS, iterations=STEPS, tolerance=0.0, **fields)


def begin(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and precisions with which `fit` of ours begins."""
    model, y = mixture(), torch.from_numpy(x)
    model.make(pf.Space.of(x), None, None, 0, torch.float32)
    with noise.stream(0, SOLVING, 0, "cpu", torch.float32):
        start = model.start((y - y.mean(0)) / y.std(0, correction=0))
    precision = torch.linalg.inv(start.spread @ start.spread.mT)
    return start.log_weights.exp().numpy(), start.means.numpy(), precision.numpy()


def logits(x: Tensor, weights: Tensor, means: Tensor, turn: Tensor) -> Tensor:
    """log p(k, x) by one product of matrices: turn (D, K D) whitens for all components at once."""
    k, d = means.shape
    whiten = turn.view(d, k, d).movedim(1, 0)
    offset = (means[:, None] @ whiten).flatten()
    z = torch.addmm(-offset, x, turn).view(-1, k, d)
    logdet = whiten.diagonal(dim1=1, dim2=2).log().sum(1)
    return torch.linalg.vector_norm(z, dim=2).square_().mul_(-0.5).add_(weights.log() + logdet - 0.5 * d * log(2 * pi))


def turned(covariance: Tensor) -> Tensor:
    """L^-T of each covariance, side by side: (D, K D)."""
    k, d = covariance.shape[:2]
    eye = torch.eye(d).expand(k, d, d)
    inverse = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), eye, upper=False)
    return inverse.mT.movedim(0, 1).reshape(d, k * d)


@torch.no_grad()
def bare_em(x: Tensor, start: tuple[np.ndarray, ...]) -> tuple[Tensor, Tensor, Tensor]:
    weights, means, precision = (torch.from_numpy(t).float() for t in start)
    turn, (n, d), k = turned(torch.linalg.inv(precision)), x.shape, COMPONENTS
    for _ in range(STEPS):
        count, first, second = torch.zeros(k), torch.zeros(k, d), torch.zeros(k, d, d)
        for block in x.split(2048):
            r = logits(block, weights, means, turn).softmax(1)
            count += r.sum(0)
            first += r.T @ block
            second += torch.bmm((r.T[:, :, None] * block).mT, block.expand(k, -1, -1))
        weights, means = count / n, first / count[:, None]
        covariance = second / count[:, None, None] - means[:, :, None] * means[:, None]
        turn = turned(covariance + 1e-6 * torch.eye(d))
    return weights, means, turn


def mixtures(setting: Setting) -> Iterator[Row]:
    x = blobs(5_000 if setting.quick else 50_000)
    tensor, start = torch.from_numpy(x), begin(x)

    def sklearn() -> Any:
        from sklearn.mixture import GaussianMixture

        weights, means, precisions = start
        return GaussianMixture(
            COMPONENTS,
            tol=0.0,
            max_iter=STEPS,
            init_params="random_from_data",  # not used, and the cheapest
            weights_init=weights,
            means_init=means,
            precisions_init=precisions,
            random_state=0,
        ).fit(x)

    fitted, found = mixture().fit(x, **HOW), bare_em(tensor, start)
    other = sklearn() if peer("sklearn") else None

    def check() -> str:
        agree(f"{len(fitted.climb_)} steps were taken", len(fitted.climb_) == STEPS)
        nats = {OURS: fitted.score(x), BARE: float(logits(tensor, *found).logsumexp(1).mean())}
        if other is not None:
            nats[SKLEARN] = float(other.score(x))
        agree(f"mean log p after {STEPS} steps: {told(nats)}", max(nats.values()) - min(nats.values()) < 1e-3)
        return f"mean log p after {STEPS} steps: {told(nats)}"

    work = f"mixture of {COMPONENTS} full Gaussians, {len(x):,} x 16"
    ours = arms(lambda: mixture().fit(x, **HOW), lambda: bare_em(tensor, start), sklearn)
    note = "ours with its k-means; the others are given the start that it found"
    yield Row("classical", f"{work}, {STEPS} steps of EM", ours, faster(3, SKLEARN), check, note)
    scored = arms(
        lambda: fitted.log_prob(x),
        lambda: torch.cat([logits(block, *found).logsumexp(1) for block in tensor.split(2048)]),
        lambda: other.score_samples(x),
    )
    yield Row("classical", f"{work}, log p", scored, faster(1.8, SKLEARN), check)


# --- principal components -------------------------------------------------------------------------------------------


def bare_pca(x: np.ndarray) -> np.ndarray:
    mean = x.mean(0)
    covariance = (x.T @ x - len(x) * np.outer(mean, mean)) / (len(x) - 1)
    values, _ = np.linalg.eigh(covariance)
    return values[: -LATENT - 1 : -1]


def principal(setting: Setting) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    n = 8_000 if setting.quick else 60_000  # with fewer rows scikit-learn would approximate
    x = rng.normal(size=(n, 100)).astype(np.float32) @ (
        rng.normal(size=(100, 784)) / np.arange(1, 101)[:, None]
    ).astype(np.float32)
    x += 0.1 * rng.normal(size=(n, 784)).astype(np.float32) + 1

    def ours() -> Any:
        return pf.PCA(latent=LATENT).fit(x, **HOW)

    def sklearn() -> Any:
        from sklearn.decomposition import PCA

        return PCA(LATENT).fit(x)

    def check() -> str:
        found = {OURS: ours().variances.numpy(), BARE: bare_pca(x)}
        if peer("sklearn"):
            found[SKLEARN] = sklearn().explained_variance_
        gap = max(float(np.abs(values / found[OURS] - 1).max()) for values in found.values())
        agree(f"explained variances differ by {gap:.1e}", gap < 1e-3)
        return f"explained variances agree to {gap:.1e}"

    note = "ours sums the products in float64"
    work = f"PCA, {LATENT} of {n:,} x 784"
    yield Row("classical", work, arms(ours, lambda: bare_pca(x), sklearn), faster(1, SKLEARN), check, note)


# --- kernels --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def bare_kernels(points: Tensor, x: Tensor) -> Tensor:
    points, x = points / WIDTH, x / WIDTH
    half = 0.5 * (points * points).sum(1)
    constant = log(len(points)) + points.shape[1] * (log(WIDTH) + 0.5 * log(2 * pi))
    parts = [torch.addmm(-half, b, points.T).logsumexp(1) - 0.5 * (b * b).sum(1) for b in x.split(64)]
    return torch.cat(parts) - constant


def kernels(setting: Setting) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    n = 2_000 if setting.quick else 20_000
    points, x = (rng.normal(size=(size, 8)).astype(np.float32) for size in (n, 2_000))
    model = pf.KernelDensity(bandwidth=WIDTH, covariance="spherical").fit(points, **HOW)
    tensors, other = (torch.from_numpy(points), torch.from_numpy(x)), None
    if peer("sklearn"):
        from sklearn.neighbors import KernelDensity

        other = KernelDensity(bandwidth=WIDTH).fit(points)

    def check() -> str:
        nats = {OURS: float(model.log_prob(x).mean()), BARE: float(bare_kernels(*tensors).mean())}
        if other is not None:
            nats[SKLEARN] = float(other.score_samples(x).mean())
        agree(f"mean log p: {told(nats, '.5f')}", max(nats.values()) - min(nats.values()) < 1e-4)
        return f"mean log p: {told(nats, '.5f')}"

    work = f"kernel density, log p of 2,000 rows on {n:,} x 8"
    ours = arms(lambda: model.log_prob(x), lambda: bare_kernels(*tensors), lambda: other.score_samples(x))
    yield Row("classical", work, ours, faster(20, SKLEARN), check, "exact: no arm has a tolerance")


# --- independent components -----------------------------------------------------------------------------------------


@torch.no_grad()
def bare_ica(x: Tensor) -> Tensor:
    torch.manual_seed(0)
    y = (x - x.mean(0)).T.contiguous()
    values, vectors = torch.linalg.eigh(y @ y.T / y.shape[1])
    white = vectors.T / values.sqrt()[:, None]
    y, r = white @ y, torch.linalg.qr(torch.randn(SOURCES, SOURCES))[0]
    for _ in range(200):
        g = torch.tanh(r @ y)
        after = g @ y.T / y.shape[1] - (1 - g.square().mean(1))[:, None] * r
        u, _, v = torch.linalg.svd(after)
        after = u @ v
        turn = float((1 - (after * r).sum(1).abs()).max())
        r = after
        if turn < TOLERANCE:
            break
    return r @ white


def independent(setting: Setting) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    n = 4_000 if setting.quick else 20_000
    mixing = rng.normal(size=(SOURCES, SOURCES))
    x = (rng.uniform(-1, 1, size=(n, SOURCES)) @ mixing.T).astype(np.float32)
    unmix = torch.linalg.inv(torch.from_numpy(mixing))

    def ours() -> Any:
        return pf.ICA(tolerance=TOLERANCE).fit(x, **HOW)

    def sklearn() -> Any:
        from sklearn.decomposition import FastICA

        return FastICA(SOURCES, whiten="unit-variance", tol=TOLERANCE, random_state=0).fit(x)

    def check() -> str:
        found = {OURS: amari(ours().unmix, unmix), BARE: amari(bare_ica(torch.from_numpy(x)), unmix)}
        if peer("sklearn"):
            found[SKLEARN] = amari(torch.from_numpy(sklearn().components_), unmix)
        agree(f"Amari distances: {told(found)}", max(found.values()) < (0.05 if setting.quick else 0.01))
        return f"Amari distances: {told(found)}"

    note = "ours fits the density of each source too, which the others do not have"
    work = f"ICA, {SOURCES} sources x {n:,}"
    ica = arms(ours, lambda: bare_ica(torch.from_numpy(x)), sklearn)
    yield Row("classical", work, ica, faster(2.5, SKLEARN), check, note)


def rows(setting: Setting) -> Iterator[Row]:
    for part in (mixtures, principal, kernels, independent):
        yield from part(setting)
