"""What all runs say together: medians over the seeds and their spread, each arm at its best, and who is least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .plan import ARMS, SLOW, TARGETS, Plan

WAYS = ("histogram", "kernel")
Floors = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Cell:
    """The runs of one target, arm and rate."""

    target: str
    arm: str
    rate: float
    steps: int
    runs: tuple[dict[str, Any], ...]

    def kl(self, way: str) -> np.ndarray:
        """Of each seed; infinite where the run came to no density."""
        return np.array([run["kl"].get(way, np.inf) for run in self.runs])

    def median(self, way: str) -> float:
        return float(np.median(self.kl(way)))

    def paths(self) -> np.ndarray:
        """(seeds, looks, 2): mean and width; a run that diverged stands still at its last look."""
        longest = max(len(run["path"]) for run in self.runs)
        known = [run["path"] + [run["path"][-1]] * (longest - len(run["path"])) for run in self.runs if run["path"]]
        return np.array(known, dtype=np.float64).reshape(len(known), longest, 2)

    def unrest(self) -> float:
        """How far mean and width move about their own average in the second half, as a share of the true width; the median over seeds."""
        late = self.paths()[:, self.paths().shape[1] // 2 :]
        return float(np.median(late.std(1).max(1)) / TARGETS[self.target].law.std()) if late.size else np.inf

    def spread(self, way: str) -> str:
        values = self.kl(way)
        return f"{shown(np.median(values))} [{shown(values.min())}, {shown(values.max())}]"


def shown(value: float) -> str:
    return "∞" if np.isinf(value) else f"{value:.4f}" if value < 1 else f"{value:.2f}"


def cells(results: list[dict[str, Any]]) -> list[Cell]:
    """The results in the order of targets, arms and falling rates."""
    order = {name: i for i, name in enumerate((*TARGETS, *ARMS))}
    found = [Cell(**one["job"], runs=tuple(one["runs"])) for one in results]
    return sorted(found, key=lambda c: (order[c.target], order[c.arm], -c.rate))


def best(found: list[Cell], target: str, arm: str, plan: Plan, way: str = "histogram") -> Cell:
    """An arm at the rate of the grid with the least median."""
    return min(
        (c for c in found if (c.target, c.arm) == (target, arm) and c.rate in plan.rates), key=lambda c: c.median(way)
    )


def summary(found: list[Cell], least: Floors, plan: Plan) -> list[dict[str, Any]]:
    """Table 2.2: each arm at its best rate, the slow one at its own, and the floor."""
    rows = []
    for arm in ARMS:
        rows.append(
            {"model": f"{arm}, at its best rate"}
            | {title(t, way): best(found, t, arm, plan, way).spread(way) for t in TARGETS for way in WAYS}
        )
    slow = {c.target: c for c in found if c.arm == SLOW and c.rate == plan.slow}
    rows.append(
        {"model": f"{SLOW}, rate {plan.slow:g}, {plan.long:,} steps"}
        | {title(t, way): slow[t].spread(way) for t in TARGETS for way in WAYS}
    )
    return [
        *rows,
        {"model": "floor: two samples of the truth"}
        | {title(t, way): shown(least[t][way]) for t in TARGETS for way in WAYS},
    ]


def title(target: str, way: str) -> str:
    return f"{target}, {way}"


def table(found: list[Cell], least: Floors) -> list[dict[str, Any]]:
    """Every cell."""
    return [
        {
            "target": c.target,
            "model": c.arm,
            "rate": f"{c.rate:g}",
            "steps": c.steps,
            **{f"KL, {way}": c.spread(way) for way in WAYS},
            "above the floor": shown(c.median("histogram") - least[c.target]["histogram"]),
            "unrest": shown(c.unrest()),
            "no density": sum(not run["kl"] for run in c.runs),
        }
        for c in found
    ]


def verdict(found: list[Cell], plan: Plan) -> list[str]:
    """Who is least, said by the numbers."""
    said = []
    for target in TARGETS:
        for way in WAYS:
            order = sorted((best(found, target, arm, plan, way) for arm in ARMS), key=lambda c: c.median(way))
            told = ", then ".join(f"{c.arm} {shown(c.median(way))} (rate {c.rate:g})" for c in order)
            wins = sum(a < b for a, b in zip(order[0].kl(way), order[1].kl(way), strict=True))
            said.append(
                f"{target}, by {way}: least is {told}; in {wins} of {plan.seeds} seeds the first is below the second."
            )
    rates = {t: [c.median("histogram") for c in found if (c.target, c.arm) == (t, SLOW)] for t in TARGETS}
    for target, values in rates.items():
        ratio = max(values) / min(values)
        said.append(
            f"{target}: over its learning rates the KL of {SLOW} changes by a factor of {'∞' if np.isinf(ratio) else f'{ratio:.1f}'}."
        )
    return said
