"""Counts when there are more outcomes than examples.   p(x) = c(x) / n,   and the mass of what never came, about N_1 / n

Lecture 000, "Maximum likelihood estimation": what happens if d > n?

Counting is the maximum of the likelihood, and says that whatever did not come cannot come. How much it is wrong by can be told from the examples
themselves: by the share of outcomes that came exactly once (Good and Turing).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..catalogue import find
from .board import BLUE, GREEN, GREY, INK, ORANGE, VERMILION, Board

BITS = 10  # an outcome is a row of so many bits
SIZES = (10, 30, 100, 300, 1000, 3000)  # n


def lesson(board: Board) -> None:
    rng = np.random.default_rng(board.seed)
    p = 1 / np.arange(1, 2**BITS + 1)  # Zipf's law
    p = rng.permutation(p / p.sum())
    every = rows(np.arange(2**BITS))
    n, repeats = 300, 100 if board.quick else 1000
    drawn = rng.choice(2**BITS, n, p=p)
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "Laplace": {"smooth": 1.0},
        "Good-Turing": {"unseen": "good-turing"},
    }
    nats = {}
    for name, fields in kinds.items():
        model = find("Counts")(**fields).fit(rows(drawn))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that some rows never came is what this is about
            nats[name] = np.asarray(model.log_prob(every), dtype=np.float64)
        board.check(f"{name}: sum of p over all {2**BITS} outcomes", np.exp(nats[name]).sum(), 1, 1e-9)
    unseen = np.setdiff1d(np.arange(2**BITS), drawn)
    board.check("plain: log p of what did not come", nats["plain"][unseen].max(), -np.inf)
    once = (np.bincount(drawn) == 1).sum() / n
    board.check("Good-Turing: mass of what did not come", np.exp(nats["Good-Turing"][unseen]).sum(), once, 1e-9)
    shares(board, rng, p, n, repeats)
    said = [
        {"estimate": name, "mass of the unseen": np.exp(v[unseen]).sum(), "nats of the source": p @ v}
        for name, v in nats.items()
    ]
    board.table(
        f"{n} draws of {2**BITS} outcomes",
        [*said, {"estimate": "truth", "mass of the unseen": p[unseen].sum(), "nats of the source": p @ np.log(p)}],
    )
    picture(board, rng, p, np.bincount(drawn, minlength=2**BITS) / n, 20 if board.quick else 100)


def rows(numbers: np.ndarray) -> np.ndarray:
    """Outcomes as rows of bits."""
    return (numbers[:, None] >> np.arange(BITS) & 1).astype(bool)


def missing(rng: np.random.Generator, p: np.ndarray, n: int, repeats: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Over many lots of n draws: the true mass of what did not come, N_1 / n, and what Laplace gives to it."""
    counts = rng.multinomial(n, p, size=repeats)
    absent = (counts == 0).sum(1)
    return (counts == 0) @ p, (counts == 1).sum(1) / n, absent / (n + len(p))


def shares(board: Board, rng: np.random.Generator, p: np.ndarray, n: int, repeats: int) -> None:
    """In the mean N_1 / n is too large by sum p^2 (1 - p)^(n-1), which is at most 1 / n."""
    truth, good, _ = missing(rng, p, n, repeats)
    gap = good - truth
    board.check(
        "Good-Turing minus truth in the mean, within 4 standard errors",
        gap.mean(),
        (p**2 * (1 - p) ** (n - 1)).sum(),
        4 * gap.std() / repeats**0.5,
    )
    board.check("true missing mass in the mean", truth.mean(), (p * (1 - p) ** n).sum(), 4 * truth.std() / repeats**0.5)


def picture(board: Board, rng: np.random.Generator, p: np.ndarray, share: np.ndarray, repeats: int) -> None:
    axes = board.axes(1, 2, width=11.0, height=4.2)
    left, right = axes[0]
    order = np.argsort(-p)
    rank = np.arange(1, len(p) + 1)
    came = share[order] > 0
    left.loglog(rank, p[order], color=INK, label="truth")
    left.loglog(rank[came], share[order][came], ".", color=BLUE, markersize=5, label="counts / n")
    left.loglog(
        rank[~came], np.full((~came).sum(), p.min() / 2), "|", color=VERMILION, markersize=7, label="never came: 0"
    )
    left.set(title="300 draws of 1,024 outcomes", xlabel="outcome, by its probability", ylabel="probability")
    left.legend(loc="lower left")
    found = np.array([[part.mean() for part in missing(rng, p, n, repeats)] for n in SIZES]).T
    for values, colour, dashes, name in zip(
        found, (INK, GREEN, ORANGE), ("-", "--", "-."), ("truth", "Good–Turing", "Laplace"), strict=True
    ):
        right.semilogx(SIZES, values, color=colour, linestyle=dashes, marker="o", label=name)
    right.axvline(len(p), color=GREY, linewidth=0.9, linestyle=":")
    right.annotate("n = d", (len(p) * 1.06, 0.9), color=INK)
    right.set(title="probability of what did not come yet", xlabel="examples n", ylabel="mass", ylim=(0, 1))
    right.legend(loc="lower left")
    board.draw(axes)
