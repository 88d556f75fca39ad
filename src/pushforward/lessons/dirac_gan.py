"""The Dirac-GAN: does the smallest of all games come to rest?   data at 0, fakes at θ, D(x) = ψ x,   eigenvalues of the field at (0, 0)

Lecture 002, "non-convergence: oscillating parameters" and "locally convergent in the general case".

One number a player. The eigenvalues of the field at the point of rest say what happens near it: on the imaginary axis the players circle, and
each step of finite size drives them apart; left of it they spiral in. A penalty on the critic's slope moves them there.
Mescheder, Geiger & Nowozin, "Which training methods for GANs do actually converge?", ICML 2018, §2-4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import noise
from ..maths.critics import OBJECTIVES, penalise
from ..maths.games import Losses, radius, spectrum
from .board import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, VERMILION, Board, path, portrait

GAMMA, WEIGHT, RATE = 0.6, 0.5, 0.2  # of R1 and of the two-sided penalty, and the learning rate of what is drawn
START, REACH = (1.0, 1.0), 2.0  # θ and ψ


@dataclass(frozen=True)
class Game:
    """A loss and a penalty on the Dirac-GAN."""

    title: str
    objective: str = "minimax"
    penalty: str = ""
    weight: float = 0.0
    alternating: bool = True

    @property
    def losses(self) -> Losses:
        """Of the generator (θ) and of the critic (ψ)."""
        objective, place = OBJECTIVES[self.objective], torch.zeros(1, 1, dtype=torch.float64)

        def generator(theta: Tensor, psi: Tensor) -> Tensor:
            return objective.generator(theta.view(1) * psi, place[:, 0] * psi).mean()

        def critic(theta: Tensor, psi: Tensor) -> Tensor:
            fake = theta.view(1, 1)
            loss = objective.critic(place[:, 0] * psi, fake[:, 0] * psi).mean()
            if self.penalty:
                loss = loss + self.weight * penalise(self.penalty, lambda x: x[:, 0] * psi, place, fake.detach()).mean()
            return loss

        return generator, critic


GAMES = (
    Game("no penalty, both at once", alternating=False),
    Game("no penalty, in turn"),
    Game("Wasserstein, gradient penalty", "wasserstein", "gradient", WEIGHT),
    Game(f"R1 on the data, γ = {GAMMA:g}", penalty="r1", weight=GAMMA),
)


def lesson(board: Board) -> None:
    with noise.stream(board.seed, dtype=torch.float64):  # the gradient penalty draws where it looks
        eigenvalues(board)
        paths = [path(game.losses, START, 300 if board.quick else 600, RATE, game.alternating) for game in GAMES]
        courses(board, paths)
        drawn(board, paths)


def rest() -> list[Tensor]:
    return [torch.zeros((), dtype=torch.float64) for _ in range(2)]


def eigenvalues(board: Board) -> None:
    """Against the closed forms of lemma 3.1 and theorem 4.1 (for f with f'(0) = 1/2)."""
    plain, h = GAMES[1].losses, 0.1
    found = spectrum(plain, rest())
    board.check("no penalty: real part of the eigenvalues", found.real.abs().max(), 0, 1e-12)
    board.check("no penalty: imaginary part", found.imag.abs().max(), 0.5, 1e-12)
    board.check(
        "no penalty: radius of a step of both at once, h = 0.1", radius(plain, rest(), h), np.sqrt(1 + h**2 / 4), 1e-12
    )
    board.check("no penalty: radius of a step in turn", radius(plain, rest(), h, True), 1, 1e-12)
    slower = {
        g: float(spectrum(Game("", penalty="r1", weight=g).losses, rest()).real.max())
        for g in (0.1, 0.3, GAMMA, 1.0, 1.5, 2.0, 3.0)
    }
    for gamma, real in slower.items():
        root = np.sqrt(complex(gamma**2 / 4 - 1 / 4))
        # At γ = 1 two eigenvalues meet, and a double root is known to the square root of the rounding only.
        board.check(
            f"R1, γ = {gamma:g}: real part of the slower eigenvalue",
            real,
            (-gamma / 2 + root).real,
            1e-7 if gamma == 1 else 1e-12,
        )
    board.check("R1: the γ of these that comes to rest fastest", min(slower, key=slower.__getitem__), 1)
    board.table("R1: real part of the slower eigenvalue", [{"γ": g, "real part": real} for g, real in slower.items()])


def courses(board: Board, paths: list[np.ndarray]) -> None:
    """What a long way shows of that."""
    at_once, in_turn, wasserstein, r1 = (np.hypot(*one.T) for one in paths)
    board.check("no penalty, both at once: share of steps that lead outward", (np.diff(at_once) > 0).mean(), 1)
    board.check(
        "no penalty, in turn: farthest in the second half over farthest in the first",
        in_turn[len(in_turn) // 2 :].max() / in_turn[: len(in_turn) // 2].max(),
        1,
        0.05,
    )
    board.check(
        "gradient penalty: comes to rest (1) or not (0)", float(np.abs(np.diff(wasserstein[-50:])).max() < 1e-3), 0
    )
    board.check("R1: last distance from rest", r1[-1], 0, 1e-5)


def drawn(board: Board, paths: list[np.ndarray]) -> None:
    axes = board.axes(2, 3, width=12.0, height=7.6)
    colours = (VERMILION, ORANGE, PURPLE, GREEN)
    for axis, game, way, colour in zip((*axes[0, :2], *axes[1, :2]), GAMES, paths, colours, strict=True):
        portrait(axis, game.losses, REACH)
        axis.plot(*way.T, color=colour, linewidth=1.3)
        axis.plot(*way[0], "o", color=colour, markersize=6)
        axis.plot(0, 0, "+", color=INK, markersize=11)
        axis.set(
            title=game.title,
            xlabel="generator θ",
            ylabel="critic ψ",
            xlim=(-REACH, REACH),
            ylim=(-REACH, REACH),
            aspect="equal",
        )
        axes[0, 2].semilogy(np.hypot(*way.T), color=colour, linewidth=1.3)
    axes[0, 2].set(title="distance from rest, colours as beside", xlabel="step", ylim=(1e-5, 30))
    plane(axes[1, 2])
    board.draw(axes)


def plane(axis: Any) -> None:
    """The eigenvalues at the point of rest as the penalty grows."""
    gamma = np.linspace(0, 2, 401)
    root = np.sqrt((gamma**2 / 4 - 1 / 4).astype(complex))
    for sign in (1, -1):
        values = -gamma / 2 + sign * root
        axis.plot(values.real, values.imag, color=BLUE)
        axis.plot(values.real[0], values.imag[0], "o", color=VERMILION)
    axis.plot(-0.5, 0, "o", color=GREEN)
    axis.annotate("γ = 0", (-0.06, 0.49), ha="right", va="bottom")
    axis.annotate("γ = 1", (-0.47, 0.03))
    axis.axvline(0, color=GREY, linewidth=0.9, linestyle=":")
    axis.set(
        title="R1: eigenvalues as γ grows",
        xlabel="real part",
        ylabel="imaginary part",
        xlim=(-2, 0.15),
        ylim=(-0.6, 0.6),
    )
