"""The optimal discriminator, and where -log 4 comes from.   D*(x) = p(x) / (p(x) + q(x)),   V(D*, q) = 2 JS(p, q) - log 4

Lecture 002, "optimal discriminator"; lecture 004, "GAN training: discriminator".

Against a fixed generator q the best discriminator is a ratio of densities, and the value that it reaches is a divergence of q from the data: least,
-log 4, where the two are one and every answer is a coin's.
"""

from __future__ import annotations

from math import log

import numpy as np
import torch
from torch import Tensor

from ..maths.critics import OBJECTIVES
from ..maths.divergences import gaussians, on_line
from ..maths.laws import Normal
from .board import BLUE, GREY, INK, VERMILION, Board

FAR = 1.5  # between the two bells of the first panel
GAME = OBJECTIVES["minimax"]


def value(logit, p: Normal, q: Normal) -> float:
    """V(D, q) by quadrature, D = sigmoid of the logit; the critic's loss with its sign turned."""
    x = torch.linspace(-14, 14 + FAR, 60001, dtype=torch.float64)
    v, height = logit(x), float(x[1] - x[0])
    nothing = torch.full_like(v, -torch.inf)  # softplus of it is 0
    on_data, on_fakes = GAME.critic(v, nothing), GAME.critic(-nothing, v)
    return -float((p.log_prob(x).exp() * on_data + q.log_prob(x).exp() * on_fakes).sum()) * height


def lesson(board: Board) -> None:
    p, q = Normal(0.0), Normal(FAR)
    best = value(lambda x: p.log_prob(x) - q.log_prob(x), p, q)
    js = gaussians("js", p, q)
    board.check("V(D*) = 2 JS - log 4", best, 2 * js - log(4), 1e-9)
    board.check("V(D*) where the fakes are the data", value(torch.zeros_like, p, p), -log(4), 1e-9)
    others = (
        lambda x: 0.8 * (p.log_prob(x) - q.log_prob(x)),
        lambda x: p.log_prob(x) - q.log_prob(x) + 0.3,
        torch.zeros_like,
    )
    board.check("what another D gives above it", max(max(value(d, p, q) for d in others) - best, 0), 0)
    found = on_line("gan", p.log_prob, q.log_prob, np.linspace(-14, 14 + FAR, 60).tolist())
    board.check("and it is the f-divergence called GAN", found, best, 1e-9)
    a, b, error = learned(board, p, q)
    board.check("slope of a learned logit, within 5 standard errors", a, -FAR, 5 * error[0])
    board.check("its height at 0, within 5 standard errors", b, FAR**2 / 2, 5 * error[1])
    drawn(board, p, q, (a, b))


def learned(board: Board, p: Normal, q: Normal) -> tuple[float, float, tuple[float, float]]:
    """Logit a x + b of a discriminator trained on draws, and the standard errors of a and b. For two equal bells a line is enough."""
    n = 20_000 if board.quick else 100_000
    real, fake = p.sample(n, seed=board.seed)[:, 0], q.sample(n, seed=board.seed + 1)[:, 0]
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    climb = torch.optim.LBFGS([w], max_iter=100, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        climb.zero_grad()
        out = GAME.critic(w[0] * real + w[1], w[0] * fake + w[1]).mean()
        out.backward()
        return out

    climb.step(loss)
    # The inverse of Fisher's information. The even number of real and fake does not depend on chance, which touches b alone and makes it safer.
    x = torch.cat([real, fake])
    chance = torch.sigmoid(w[0] * x + w[1]).detach()
    rows = torch.stack([x, torch.ones_like(x)], 1)
    errors = torch.linalg.inv((rows * (chance * (1 - chance))[:, None]).T @ rows).diagonal().sqrt()
    w = w.detach()
    return float(w[0]), float(w[1]), (float(errors[0]), float(errors[1]))


def drawn(board: Board, p: Normal, q: Normal, line: tuple[float, float]) -> None:
    axes = board.axes(1, 2, width=11.0, height=4.2)
    x = np.linspace(-4, 4 + FAR, 600)
    here = torch.from_numpy(x)
    left, right = axes[0]
    for law, colour, name in ((p, BLUE, "data p"), (q, VERMILION, "generator q")):
        left.fill_between(x, law.log_prob(here).exp(), color=colour, alpha=0.35, linewidth=0, label=name)
    left.plot(x, torch.sigmoid(p.log_prob(here) - q.log_prob(here)), color=INK, label=r"$D^* = p\,/\,(p + q)$")
    left.plot(x, 1 / (1 + np.exp(-(line[0] * x + line[1]))), color=GREY, linestyle="--", label="D, trained on draws")
    left.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    left.set(title="the best answer to a fixed generator", xlabel="x", ylim=(0, 1.02))
    left.legend(loc="center right")
    apart = np.linspace(0, 6, 61)
    right.plot(apart, [2 * gaussians("js", p, Normal(float(m))) - log(4) for m in apart], color=INK)
    right.axhline(-log(4), color=GREY, linestyle=":")
    right.axhline(0, color=GREY, linestyle=":")
    right.annotate("−log 4: the generator has won", (2.2, -log(4) + 0.04), color=INK)
    right.annotate("0: no overlap, no slope to go down", (0.1, 0.03), color=INK)
    right.set(
        title=r"the game's value, $2\,JS(p, q) - \log 4$",
        xlabel="distance of the two means",
        ylabel="$V(D^*, q)$",
        ylim=(-1.5, 0.15),
    )
    board.draw(axes)
