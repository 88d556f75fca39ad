"""How odd: minus the likelihood, its distance from what is typical, its ratio to a background, or the distance of the code.

The formulas stand at the top of the room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import noise
from ..errors import BadData, Unable, Usage
from .rows import Rows, halves

WORDS = {"log_prob": "log p(x)", "bound": "a lower bound of log p(x)", "energy": "the energy, up to a constant"}
Scorer = Callable[[Tensor, Tensor | None], np.ndarray]


def number(model: Any) -> str:
    """The ability that says how likely an example is; nothing where there is none."""
    return next((name for name in ("log_prob", "bound", "energy") if name in model.abilities), "")


def scored(model: Any, way: str, background: Any, held: Rows | None, seed: int) -> tuple[Scorer, str, Rows | None]:
    """The score, what it is in words, and the reference examples that are left to hold it against."""
    nats = likely(model, seed)
    word = WORDS.get(number(model), "")
    if way == "likelihood":
        return (lambda x, g: -nats(x, g)), f"score = minus {word}" if "energy" not in word else f"score = {word}", held
    if way == "ratio":
        other = beside(model, background, seed)
        return against(other, nats), f"score = log p of {type(background).__name__} - {word}", held
    if held is None:
        raise Usage(f"way={way!r} needs reference=, real examples: {type(model).__name__} cannot sample.")
    first, rest = halves(held, noise.mix(seed, 6))
    if way == "typicality":
        return typical(nats, first, word) + (rest,)
    return latent(model, first, seed), "score = squared Mahalanobis distance of the code from the reference codes", rest


def against(other: Scorer, nats: Scorer) -> Scorer:
    """What one model says less what another does; what the second holds to be impossible is the oddest, whatever the first says."""

    def ratio(x: Tensor, given: Tensor | None) -> np.ndarray:
        own = nats(x, given)
        with np.errstate(invalid="ignore"):
            return np.where(np.isneginf(own), np.inf, other(x, given) - own)

    return ratio


def typical(nats: Scorer, first: Rows, word: str) -> tuple[Scorer, str]:
    """The distance from the median, on either side in its own spread: log p has a long tail below and an end above."""
    seen = nats(first.x, first.given)
    sure = seen[np.isfinite(seen)]
    centre = float(np.median(sure)) if len(sure) else 0.0
    sides = (sure[sure < centre] - centre, sure[sure > centre] - centre)
    low, high = (float(np.sqrt((part**2).mean())) if len(part) else 0.0 for part in sides)
    low, high = low or high or 1.0, high or low or 1.0

    def distance(x: Tensor, given: Tensor | None) -> np.ndarray:
        away = nats(x, given) - centre
        return np.where(away < 0, -away / low, away / high)

    return distance, f"score = distance of {word} from {centre:.4g}, in its spread: {low:.3g} below, {high:.3g} above"


def likely(model: Any, seed: int) -> Scorer:
    """log p, its bound, or minus the energy."""
    name = number(model)
    seeded = {"seed": noise.mix(seed, 2)} if name == "bound" else {}

    def nats(x: Tensor, given: Tensor | None) -> np.ndarray:
        with torch.no_grad():
            found = getattr(model, name)(x, given=given, **seeded)
        return found.detach().cpu().double().numpy() * (-1 if name == "energy" else 1)

    return nats


def beside(model: Any, background: Any, seed: int) -> Scorer:
    """log p of the background, which reads the rows as they came."""
    background.check_fitted()
    if not number(background):
        raise Unable(f"The background gives no likelihood. {background.reason('log_prob')}")
    if background.space.shape != model.space.shape and background.space.kind != "tokens":
        raise BadData(
            f"The background is of {background.space}, the model of {model.space}. Fit both on the same variables."
        )
    nats, alike, free = likely(background, seed), background.space == model.space, background._given is None
    return lambda x, g: nats(x if alike else background.space.read(model.space.restore(x)), None if free else g)


def latent(model: Any, first: Rows, seed: int) -> Scorer:
    def codes(x: Tensor, given: Tensor | None) -> Tensor:
        with torch.no_grad():
            return model.encode(x, given=given, seed=noise.mix(seed, 2)).detach().cpu().double().flatten(1)

    z = codes(first.x, first.given)
    n, width = z.shape
    centre = z.mean(0)
    covariance = (z - centre).T @ (z - centre) / n
    share = width / (n + width)  # towards a round one: few examples of a long code say little about its directions
    round_ = covariance.diagonal().mean().clamp(min=1e-12) * torch.eye(width, dtype=torch.float64)
    factor = torch.linalg.cholesky(torch.lerp(covariance, round_, share))

    def distance(x: Tensor, given: Tensor | None) -> np.ndarray:
        away = torch.linalg.solve_triangular(factor, (codes(x, given) - centre).T, upper=False)
        return (away**2).sum(0).numpy()

    return distance


def finite(scorer: Scorer, rows: Rows, name: str) -> np.ndarray:
    """Scores without NaN; +inf (impossible) is a score."""
    scores = np.where(rows.impossible, np.inf, scorer(rows.x, rows.given))
    wrong = np.flatnonzero(np.isnan(scores))
    if len(wrong):
        where = f"The score of {len(wrong)} of {len(scores)} rows of {name} is NaN, the first in row {wrong[0]}"
        raise BadData(f"{where}: the model is broken there. Fit it again, or leave those rows out.")
    return scores
