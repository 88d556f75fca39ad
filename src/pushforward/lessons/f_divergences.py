"""The f-divergences from one table.   D_f(P || Q) = E_Q f(p/q) = sup_v  E_P f'(e^v) - E_Q [e^v f'(e^v) - f(e^v)]

Lecture 001, "f-divergence family"; lecture 002 for the game that they give rise to.

Six divergences differ in one convex function of the ratio u = p/q. Written in v = log u, each is reached by the same v: a critic that has learned
the log-ratio serves all of them. Three entries of the lecture's table do not follow from its own definition; the figures show which.
"""

from __future__ import annotations

from math import log

import numpy as np
import torch

from ..maths.divergences import TABLE, bound, gaussians, on_line, tables
from ..maths.laws import Normal
from .board import BLUE, GREEN, INK, ORANGE, PURPLE, VERMILION, Board

COLOURS = dict(zip(TABLE, (BLUE, VERMILION, GREEN, ORANGE, PURPLE, INK), strict=True))
DASHES = dict(zip(TABLE, ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))), strict=True))  # for those who see no colour
SPELLED = {  # the integrals, as sums over a table
    "kl": lambda p, q: (p * (p / q).log()).sum(),
    "reverse_kl": lambda p, q: (q * (q / p).log()).sum(),
    "pearson": lambda p, q: ((p - q) ** 2 / q).sum(),
    "hellinger": lambda p, q: ((p.sqrt() - q.sqrt()) ** 2).sum(),
    "js": lambda p, q: (p * (2 * p / (p + q)).log() + q * (2 * q / (p + q)).log()).sum() / 2,
    "gan": lambda p, q: (p * (p / (p + q)).log() + q * (q / (p + q)).log()).sum(),
}


def lesson(board: Board) -> None:
    p, q = torch.from_numpy(np.random.default_rng(board.seed).dirichlet(np.ones(8), 2))
    rows = []
    for name, d in TABLE.items():
        found, v = tables(name, p, q), (p / q).log()
        board.check(f"{name}: E_Q f(p/q) is the integral", found, SPELLED[name](p, q), 1e-12)
        reached = (p * d.slope(v)).sum() - (q * d.conjugate(v)).sum()
        board.check(f"{name}: the bound is reached at v = log p/q", reached, found, 1e-12)
        moved = max(
            float((p * d.slope(w)).sum() - (q * d.conjugate(w)).sum()) for w in (v + 0.1, v - 0.1, 0.9 * v, 1.1 * v)
        )
        board.check(f"{name}: what another v gives above it", max(moved - found, 0), 0)
        rows.append(
            {
                "divergence": name,
                "definition": d.formula,
                "D(P, Q)": found,
                "D(Q, P)": tables(name, q, p),
                "f(1)": d.least,
                "at most": d.most,
            }
        )
    board.table("on a random table of 8 outcomes", rows)
    slips(board, p, q)
    bells(board)
    drawn(board)


def slips(board: Board, p: torch.Tensor, q: torch.Tensor) -> None:
    """What the lecture prints, put into its own definition."""
    printed = SPELLED["pearson"](q, p)  # (q - p)^2 over p
    board.check("Pearson as printed is that of (Q, P)", printed, tables("pearson", q, p), 1e-12)
    u = p / q
    twice = (q * (u * u.log() - (u + 1) * ((1 + u) / 2).log())).sum()
    board.check("the f printed for JS gives 2 JS", twice, 2 * tables("js", p, q), 1e-12)
    board.check("the f of the GAN is -log 4 at 1, so D(P, P) is not 0", tables("gan", p, p), -log(4), 1e-12)
    board.check("GAN = 2 JS - log 4", tables("gan", p, q), 2 * tables("js", p, q) - log(4), 1e-12)


def bells(board: Board) -> None:
    """N(1, 1) against N(0, 1): quadrature and closed forms, and the bound from draws."""
    one, other = Normal(1.0), Normal(0.0)
    closed = {"kl": 0.5, "reverse_kl": 0.5, "pearson": np.e - 1, "hellinger": 2 - 2 * np.exp(-1 / 8)}
    knots = np.linspace(-12, 13, 26).tolist()
    for name, value in closed.items():
        board.check(
            f"{name} of N(1, 1) and N(0, 1), by quadrature",
            on_line(name, one.log_prob, other.log_prob, knots),
            value,
            1e-10,
        )
    n = 20_000 if board.quick else 200_000
    x, y = (law.sample(n, seed=board.seed + i)[:, 0] for i, law in enumerate((one, other)))
    for name in closed:
        found, error = bound(TABLE[name], x - 0.5, y - 0.5)  # log p/q = x - 1/2
        board.check(f"{name}: the bound from {n:,} draws, within 5 standard errors", found, closed[name], 5 * error)


def drawn(board: Board) -> None:
    axes = board.axes(1, 2, width=11.0, height=4.4)
    u, apart = np.linspace(1e-3, 3.2, 400), np.linspace(0, 3, 61)
    v = torch.from_numpy(np.log(u))
    for name, d in TABLE.items():
        style = {"color": COLOURS[name], "linestyle": DASHES[name], "label": str(d)}
        axes[0, 0].plot(u, d.f(v), **style)
        axes[0, 1].plot(apart, [gaussians(name, Normal(float(m)), Normal(0.0)) for m in apart], **style)
    axes[0, 0].plot(1, 0, "o", color=INK, markersize=5)
    axes[0, 0].set(title="the generators f", xlabel="u = p/q", ylabel="f(u)", ylim=(-2.6, 3.2))
    axes[0, 1].set(title="N(m, 1) against N(0, 1)", xlabel="m", ylabel="divergence", ylim=(-1.6, 4.2))
    axes[0, 1].axhline(-log(4), color=INK, linewidth=0.8)
    axes[0, 1].annotate("−log 4", (2.55, -log(4) + 0.08), fontsize=10)
    axes[0, 1].legend(loc="upper left")
    board.draw(axes)
