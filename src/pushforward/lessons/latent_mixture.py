"""One Gaussian, or a latent variable.   approach 1: p(x) = N(x; m, s²)     approach 2: p(x) = sum_z p(z) N(x; m_z, s_z²)

Lecture 003, "latent variables result in mixtures of distributions", approach 1 and approach 2.

The data have two humps. A variable that nobody observed, which hump it was, makes a family of bells into one that can have both; summed out it
leaves a density, and asked for it answers with a posterior.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..catalogue import find
from ..maths.divergences import on_line
from ..maths.divergences.fits import bells
from ..maths.gaussians import Mixture
from .board import BLUE, GREEN, GREY, INK, ORANGE, VERMILION, Board

WEIGHTS, MEANS, WIDTHS = (0.35, 0.65), (-1.6, 1.4), (0.6, 0.8)
KNOTS = np.linspace(-12, 12, 49).tolist()


def lesson(board: Board) -> None:
    truth = bells(WEIGHTS, MEANS, WIDTHS)
    n = 2_000 if board.quick else 20_000
    rng = np.random.default_rng(board.seed)
    u, e = torch.from_numpy(rng.random(n)), torch.from_numpy(rng.standard_normal((n, 1)))
    x = truth.draw(u, e).numpy()
    one = find("Gaussian")().fit(x)
    two = find("GaussianMixture")(components=2, tolerance=1e-9).fit(x, seed=board.seed)
    closed = -0.5 * np.log(2 * np.pi * np.e * x.var())
    board.check("approach 1: mean log-likelihood is -log(s √(2πe))", one.score(x), closed, 1e-6)
    points = np.linspace(-4, 4, 81)[:, None]
    parts = joint(two, points)
    board.check(
        "approach 2: p(x) is the sum of p(x, z)",
        np.abs(parts.logsumexp(1).numpy() - two.log_prob(points)).max(),
        0,
        1e-9,
    )
    posterior = np.asarray(two.encode(points))
    board.check("its posterior is p(x, z) / p(x)", np.abs(parts.softmax(1).numpy() - posterior).max(), 0, 1e-9)
    board.check("EM never goes down: largest step down", max(0.0, -np.diff(two.climb_).min()), 0, 1e-9)
    lost = {
        name: on_line("kl", lambda t: truth.joint(t[:, None]).logsumexp(1), density(model), KNOTS)
        for name, model in (("one", one), ("two", two))
    }
    # Twice n KL is about chi-squared with as many degrees as parameters, five here.
    board.check(
        "approach 2: 2n KL(truth || fit), at most the 99.9 % point of chi-squared", 2 * n * lost["two"], 0, 20.5
    )
    board.check("approach 1: KL(truth || fit) stays at that of the best single bell", lost["one"], single(truth), 0.02)
    rows = [
        {"approach": name, "nats an example": float(np.mean(m.log_prob(x))), "KL(truth || fit)": lost[k]}
        for name, k, m in (("one Gaussian", "one", one), ("two, by a latent variable", "two", two))
    ]
    board.table(f"{n:,} examples", rows)
    drawn(board, x, one, two)


def joint(model: Any, x: np.ndarray) -> torch.Tensor:
    """log p(z) + log N(x; m_z, s_z²), (N, K), written out."""
    spread = model.spread.flatten() if model.spread.ndim < 3 else model.spread[:, 0, 0]
    z = (torch.from_numpy(x) - model.means[:, 0]) / spread
    return model.log_weights - 0.5 * z**2 - spread.log() - 0.5 * np.log(2 * np.pi)


def density(model: Any):
    return lambda t: torch.as_tensor(np.asarray(model.log_prob(t[:, None].numpy())))


def single(truth: Mixture) -> float:
    """KL of the mixture to the Gaussian of its moments."""
    from ..maths.divergences.fits import forward_fit

    best = forward_fit(truth)
    return on_line("kl", lambda t: truth.joint(t[:, None]).logsumexp(1), best.log_prob, KNOTS)


def drawn(board: Board, x: np.ndarray, one: Any, two: Any) -> None:
    axes = board.axes(1, 2, width=11.0, height=4.2, sharey=True)
    t = np.linspace(-4.5, 4.5, 451)[:, None]
    for axis, title in zip(axes[0], ("approach 1: a Gaussian", "approach 2: a latent variable"), strict=True):
        axis.hist(x[:, 0], bins=80, density=True, color=GREY, alpha=0.4)
        axis.set(title=title, xlabel="x", xlim=(-4.5, 4.5), ylim=(0, 0.5))
    axes[0, 0].plot(t, np.exp(one.log_prob(t)), color=VERMILION, label="p(x)")
    parts = joint(two, t).exp().numpy()
    for k, colour in enumerate((BLUE, ORANGE)):
        axes[0, 1].fill_between(t[:, 0], parts[:, k], color=colour, alpha=0.4, linewidth=0, label=f"p(x, z = {k})")
    axes[0, 1].plot(t, np.exp(two.log_prob(t)), color=VERMILION, label="p(x), their sum")
    axes[0, 1].plot(
        t,
        0.3 * np.asarray(two.encode(t))[:, 1],
        color=GREEN,
        linestyle="--",
        linewidth=1.3,
        label="p(z = 1 | x), scaled",
    )
    axes[0, 0].set_ylabel("density", color=INK)
    for axis in axes[0]:
        axis.legend(loc="upper right")
    board.draw(axes)
