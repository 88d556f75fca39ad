"""Who stands where: by the likelihood of rows that nobody learned from, with the error of each difference, row by row.

    v_e (N,)   nats of the N test rows under entrant e, the mean over its seeds
    d = v_best - v_e,   error^2 = var(d) / N + var over seeds / seeds
    the top group: d is less than two of its errors

A row is as hard for one model as for another, so differences row by row have a far smaller error than the two means.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import hypot, inf, isfinite, nan, sqrt
from typing import Any

import numpy as np

from .panel import Entrant

CLEAR = 3.0  # errors from which one thing is held to be better than another


@dataclass
class Stand:
    """What one entrant's seeds say together."""

    entrant: Entrant
    cells: list[dict[str, Any]]
    rows: list[np.ndarray] = field(default_factory=list)  # nats of the test rows, an array a seed
    limitless: bool = False  # whether a density of these data has no limit, so that likelihoods do not compare

    @property
    def name(self) -> str:
        return self.entrant.name

    @property
    def done(self) -> list[dict[str, Any]]:
        return [cell for cell in self.cells if not cell["said"]]

    @property
    def said(self) -> str:
        return next((cell["said"] for cell in self.cells if cell["said"]), "")

    @property
    def kind(self) -> str:
        """exact, lower bound …; "" where there is no likelihood that compares."""
        if self.limitless:
            return ""
        return next((cell["likelihood"]["kind"] for cell in self.done if cell.get("likelihood")), "")

    @property
    def values(self) -> np.ndarray | None:
        return np.mean(self.rows, axis=0) if self.rows else None

    @property
    def nats(self) -> float:
        return float(np.mean(self.values)) if self.values is not None else nan

    @property
    def stderr(self) -> float:
        """Over test rows and seeds."""
        if self.values is None or not np.isfinite(self.values).all():
            return nan
        return hypot(float(self.values.std(ddof=1)) / sqrt(len(self.values)), self.over_seeds())

    def over_seeds(self) -> float:
        means = [float(np.mean(row)) for row in self.rows]
        return float(np.std(means, ddof=1)) / sqrt(len(means)) if len(means) > 1 and np.isfinite(means).all() else 0.0

    @property
    def impossible(self) -> int:
        """Test rows that it holds to be impossible."""
        return 0 if self.values is None else int(np.isneginf(self.values).sum())

    def mean(self, name: str) -> tuple[float, float]:
        """A measure of its samples and its error, over the seeds; nan where there is none."""
        values = [cell["measures"][name] for cell in self.done if cell.get("measures", {}).get(name)]
        known = [(one["value"], one["stderr"] or 0.0) for one in values if one["value"] is not None]
        if not known:
            return nan, nan
        spread = float(np.std([v for v, _ in known], ddof=1)) / sqrt(len(known)) if len(known) > 1 else 0.0
        # All seeds are judged on the same rows, so what those rows do to one they do to all: that part does not average out.
        return float(np.mean([v for v, _ in known])), hypot(float(np.mean([e for _, e in known])), spread)

    def total(self, name: str) -> float:
        return float(np.mean([cell.get(name) or 0.0 for cell in self.cells])) if self.cells else nan


def apart(a: Stand, b: Stand) -> tuple[float, float]:
    """The mean of a's nats less b's, row by row, and its error; infinite where b holds rows to be impossible that a does not."""
    if a.values is None or b.values is None:
        return nan, nan
    with np.errstate(invalid="ignore"):
        d = a.values - b.values
    d = np.where(np.isneginf(a.values) & np.isneginf(b.values), 0.0, d)  # impossible for both: no difference
    if np.isposinf(d).any() or np.isneginf(d).any():
        return nan if np.isposinf(d).any() and np.isneginf(d).any() else float(d[np.isinf(d)][0]), nan
    return float(d.mean()), hypot(float(d.std(ddof=1)) / sqrt(len(d)), hypot(a.over_seeds(), b.over_seeds()))


def ranked(stands: list[Stand]) -> list[Stand]:
    """Those with a likelihood, the likeliest first; then the others by their samples; then what did not come to an end."""

    def place(one: Stand) -> tuple[int, int, float]:
        if not one.done:
            return 2, 0, 0.0
        if one.kind:
            return 0, one.impossible, -one.nats if isfinite(one.nats) else 0.0
        telling = one.mean("told apart")[0]
        return 1, 0, telling if isfinite(telling) else 2.0

    return sorted(stands, key=place)


def top(stands: list[Stand]) -> list[Stand]:
    """The best by likelihood, and all that are less than two errors below it."""
    likely = [one for one in ranked(stands) if one.done and one.kind and isfinite(one.nats)]
    if not likely:
        return []
    best = likely[0]
    return [best, *(one for one in likely[1:] if within(best, one, 2.0))]


def within(best: Stand, one: Stand, errors: float) -> bool:
    gap, error = apart(best, one)
    return isfinite(gap) and gap <= errors * error


def clearly(a: Stand, b: Stand) -> bool:
    """Whether a is better than b by more than chance would give."""
    gap, error = apart(a, b)
    return gap == inf or (isfinite(gap) and gap > CLEAR * error)
