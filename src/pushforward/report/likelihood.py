"""What a model says about held-out examples: one number with its kind, its unit, its error and its base measure.

    mean = 1/n sum_i log p(x_i)      stderr = std / sqrt(n)      bits/dim = -mean / (D log 2), where the data are discrete

n examples of D variables:   nats (n,)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np

from ..errors import Unable, Usage, did_you_mean

WAYS = ("log_prob", "bound", "evidence", "energy")  # from what is known exactly to what is known up to a constant


@dataclass(frozen=True)
class Likelihood:
    """The answer of `likelihood`: `values` holds one number a row."""

    values: np.ndarray
    by: str  # the ability that gave it
    kind: str  # exact, lower bound, importance-weighted, unnormalised …
    measure: str  # counting, Lebesgue, mixed
    size: int  # D
    discrete: bool
    low: float | None = None  # of an estimate that comes with a bracket: the means of its ends
    high: float | None = None

    @property
    def impossible(self) -> int:
        """Rows that the model holds to be impossible: log p = -inf."""
        return int(np.isneginf(self.values).sum()) if self.by != "energy" else 0

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def stderr(self) -> float | None:
        return (
            float(np.std(self.values, ddof=1) / sqrt(len(self.values)))
            if len(self.values) > 1 and np.isfinite(self.values).all()
            else None
        )

    @property
    def bits(self) -> float | None:
        """Bits per dimension; None where the data are not discrete or the number is not a likelihood."""
        return -self.mean / self.size / log(2) if self.discrete and self.by != "energy" else None

    def to_json(self) -> dict[str, Any]:
        """The facts without the rows. What is infinite is null, as JSON has no infinity."""
        name = "energy" if self.by == "energy" else "nats"
        facts = {name: self.mean, "stderr": self.stderr, "bits/dim": self.bits, "low": self.low, "high": self.high}
        shown = {key: value if value is not None and np.isfinite(value) else None for key, value in facts.items()}
        if self.low is None:
            del shown["low"], shown["high"]
        return shown | {
            "rows": len(self.values),
            "kind": self.kind,
            "by": self.by,
            "measure": self.measure,
            "impossible": self.impossible,
        }


def likelihood(model: Any, x: Any, given: Any = None, by: str = "", seed: int = 0, **options: Any) -> Likelihood:
    """How likely a model holds each example to be, by its most exact ability or by the one that is named.

    >>> from pushforward.models.classical import Histogram
    >>> model = Histogram(bins=2).fit(np.array([[0.0], [1.0]]))
    >>> found = likelihood(model, np.array([[0.25], [0.75]]))
    >>> round(found.mean, 3), found.kind, found.measure
    (0.0, 'exact', 'Lebesgue')
    """
    if by and by not in WAYS:
        raise Usage(f"by={by!r}: one of {', '.join(WAYS)} is awaited.{did_you_mean(by, WAYS)}")
    way = by or next((way for way in WAYS if way in model.abilities), "")
    if not way:
        raise Unable(str(model.reason("log_prob")))
    seeded = {} if way in ("log_prob", "energy") else {"seed": seed}
    values = np.asarray(
        getattr(model, way)(x, given=given, **seeded, **(options if way == "evidence" else {})), dtype=np.float64
    )
    ends = model.evidence_ if way == "evidence" else {}
    low, high = (
        float(np.mean(np.asarray(ends[end], dtype=np.float64))) if end in ends else None for end in ("low", "high")
    )
    return Likelihood(
        values, way, model.abilities[way], model.space.measure, model.space.size, model.space.discrete, low, high
    )
