"""Forward against reverse KL: one Gaussian for a mixture.   argmin KL(p || q) covers,   argmin KL(q || p) seeks

Lecture 001, "Forward KL vs reverse KL".

Where p has mass, forward KL charges a q that has none; where q has mass, reverse KL charges a p that has none. So one is wide and puts its peak
where nothing is, the other sits on a mode and forgets the rest. Maximum likelihood is the first; a generator against a critic may do either.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize

from ..maths.divergences import on_line
from ..maths.divergences.fits import bells, forward_fit, reverse_fits
from ..maths.gaussians import Mixture
from ..maths.laws import Normal
from .board import BLUE, GREEN, GREY, INK, VERMILION, Board

WEIGHTS, MEANS, WIDTHS = (0.6, 0.4), (-2.2, 2.2), (0.6, 0.7)
KNOTS = np.linspace(-14, 14, 57).tolist()
FLAT = {"weights": [0.5, 0.5], "means": [[-1.8, -1.8], [1.8, 1.8]], "spreads": [[0.5, 0.8], [0.8, 0.5]]}


def lesson(board: Board) -> None:
    target = bells(WEIGHTS, MEANS, WIDTHS)
    wide, found = forward_fit(target), reverse_fits(target)
    (least, narrow), other = found[0], found[1:]
    board.check("forward: mean of q minus mean of p", wide.mean[0], np.dot(WEIGHTS, MEANS), 1e-12)
    variance = np.dot(WEIGHTS, np.square(WIDTHS) + np.square(MEANS)) - np.dot(WEIGHTS, MEANS) ** 2
    board.check("forward: variance of q minus variance of p", wide.covariance[0, 0], variance, 1e-12)
    for name, d, start in (("forward", "kl", wide), ("reverse", "reverse_kl", narrow)):
        end = searched(target, d, start)
        board.check(f"{name}: mean found by searching with quadrature", end[0], start.mean[0], 1e-4)
        board.check(f"{name}: width found so", end[1], start.covariance[0, 0].sqrt(), 1e-4)
    board.check("reverse: KL(q || p), by quadrature", divergence("reverse_kl", target, narrow), least, 1e-8)
    for mode in MEANS:
        nearest = min(abs(float(fit.mean[0]) - mode) for _, fit in found)
        board.check(f"reverse: from the mode at {mode:g} to the nearest local optimum", nearest, 0, 0.1)
    ahead, back = (divergence(d, target, wide) - divergence(d, target, narrow) for d in ("kl", "reverse_kl"))
    board.check("each is the better one by its own measure (1: yes)", float(ahead < 0 < back), 1)
    fits = [("forward", wide), ("reverse", narrow), *(("reverse, local", fit) for _, fit in other)]
    board.table("the fits", [described(target, name, fit) for name, fit in fits])
    drawn(board, target, wide, [fit for _, fit in found])


def divergence(d: str, target: Mixture, q: Normal) -> float:
    return on_line(d, lambda x: target.joint(x[:, None]).logsumexp(1), q.log_prob, KNOTS)


def searched(target: Mixture, d: str, start: Normal) -> tuple[float, float]:
    """Mean and width of the best Gaussian near one, by a search that knows no formula."""

    def cost(theta: np.ndarray) -> float:
        return divergence(d, target, Normal(float(theta[0]), float(np.exp(2 * theta[1]))))

    first = [float(start.mean[0]) + 0.05, float(start.covariance[0, 0].sqrt().log()) + 0.05]
    end = minimize(cost, first, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-13})
    return float(end.x[0]), float(np.exp(end.x[1]))


def described(target: Mixture, name: str, q: Normal) -> dict[str, Any]:
    width = float(q.covariance[0, 0].sqrt())
    both = {"KL(p || q)": divergence("kl", target, q), "KL(q || p)": divergence("reverse_kl", target, q)}
    return {"fit": name, "mean": float(q.mean[0]), "width": width, **both}


def drawn(board: Board, target: Mixture, wide: Normal, narrow: list[Normal]) -> None:
    axes = board.axes(1, 2, width=11.0, height=4.2)
    left, right = axes[0]
    x = torch.linspace(-6, 6, 601, dtype=torch.float64)
    left.fill_between(
        x, target.joint(x[:, None]).logsumexp(1).exp(), color=GREY, alpha=0.4, linewidth=0, label="p, two bells"
    )
    left.plot(x, wide.log_prob(x).exp(), color=BLUE, label="forward: covers")
    left.plot(x, narrow[0].log_prob(x).exp(), color=VERMILION, label="reverse: seeks")
    for i, fit in enumerate(narrow[1:]):
        left.plot(x, fit.log_prob(x).exp(), color=VERMILION, linestyle="--", label="" if i else "reverse: local optima")
    left.set(xlabel="x", ylabel="density", title="one Gaussian for two bells", ylim=(0, 0.88))
    left.legend(loc="upper center", ncols=2)
    plane = bells(**FLAT)
    side = torch.linspace(-4.2, 4.2, 161, dtype=torch.float64)
    nats = plane.joint(torch.cartesian_prod(side, side)).logsumexp(1).exp().reshape(161, 161).T
    right.contourf(side, side, nats, levels=6, cmap="Greys", alpha=0.7)
    ellipse(right, forward_fit(plane), BLUE, "-")
    for i, (_, fit) in enumerate(reverse_fits(plane)):
        ellipse(right, fit, VERMILION if i == 0 else GREEN, "-" if i == 0 else "--")
    right.set(title="the same in the plane", xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    right.plot(0, 0, "+", color=INK)
    board.draw(axes)


def ellipse(axis: Any, law: Normal, colour: str, dashes: str) -> None:
    """Around it at one and at two standard deviations."""
    angle = torch.linspace(0, 2 * np.pi, 181, dtype=torch.float64)
    ring = torch.stack([angle.cos(), angle.sin()], 1) @ law.triangle.T
    for size in (1, 2):
        axis.plot(*(law.mean + size * ring).T, color=colour, linestyle=dashes, linewidth=2.2 - 0.6 * size)
