"""Arms that do the same work, timed in turns: A B C A B C …, each for as many rounds, the median of each reported.

A turn of a short work repeats it until half a second is over. What a row claims counts only if its check holds: the check makes
sure that the work is equal, and runs before the first turn.
"""

from __future__ import annotations

import gc
import importlib.util
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from types import ModuleType
from typing import Any

OURS, BARE = "pushforward", "bare"
TURN = 0.5  # seconds that a turn of a short work lasts
SLOW = 12.0  # seconds of a work above which two rounds must do
NOISE = 1.05  # what "no slower" allows: the same call varies by more than that from run to run


class Unequal(Exception):
    """The arms of a row do not do the same work, or one of them does it wrong."""


def agree(what: str, condition: bool) -> None:
    """What a check says; a number that does not hold stops the row."""
    if not condition:
        raise Unequal(what)


@dataclass(frozen=True)
class Setting:
    """How the bench is run."""

    rounds: int = 5
    threads: int = 2
    quick: bool = False


@dataclass
class Arm:
    """One way to do the work. `work` is called and timed, or tells the seconds itself where only a part of it counts."""

    name: str
    work: Callable[[], Any]
    tells: bool = False
    rival: bool = True  # whether the best peer may be this one; bare and ours never are


@dataclass(frozen=True)
class Target:
    """What was promised; `met` looks at the medians and gives None where an arm that it needs is absent."""

    text: str
    met: Callable[[dict[str, float]], bool | None]


@dataclass
class Row:
    """One line of the table."""

    workload: str
    work: str
    arms: list[Arm]
    target: Target | None
    check: Callable[[], str]  # raises Unequal, or says what was found equal
    note: str = ""


@dataclass
class Result:
    """What came out of a row."""

    row: Row
    times: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def medians(self) -> dict[str, float]:
        return {name: median(seconds) for name, seconds in self.times.items()}

    @property
    def rivals(self) -> dict[str, float]:
        """The peers' medians, the best one first."""
        names = {arm.name for arm in self.row.arms if arm.rival and arm.name not in (OURS, BARE)}
        return dict(sorted(((n, s) for n, s in self.medians.items() if n in names), key=lambda item: item[1]))

    @property
    def over_bare(self) -> float | None:
        m = self.medians
        return m[OURS] / m[BARE] if OURS in m and BARE in m else None

    @property
    def over_us(self) -> float | None:
        """How many times as long the best peer takes."""
        return min(self.rivals.values()) / self.medians[OURS] if self.rivals and OURS in self.times else None

    @property
    def met(self) -> bool | None:
        if self.problem:
            return False
        return self.row.target.met(self.medians) if self.row.target and OURS in self.times else None


# --- targets --------------------------------------------------------------------------------------------------------


def within(factor: float, *arms: str) -> Target:
    """Ours takes at most `factor` times as long as the first of these arms that is there."""

    def met(m: dict[str, float]) -> bool | None:
        found = next((m[arm] for arm in arms if arm in m), None)
        return None if found is None else m[OURS] <= factor * found

    return Target(f"≤ {factor:g} × {arms[0]}", met)


def faster(factor: float, *arms: str) -> Target:
    """The best of these arms (of all peers, if none is named) takes at least `factor` times as long as ours."""

    def met(m: dict[str, float]) -> bool | None:
        peers = [s for name, s in m.items() if name in arms or (not arms and name not in (OURS, BARE))]
        least = factor if factor > 1 else 1 / NOISE
        return min(peers) >= least * m[OURS] if peers else None

    who = ", ".join(arms) or "the best peer"
    return Target(f"no slower than {who} (within 5 %)" if factor == 1 else f"≥ {factor:g} × as fast as {who}", met)


# --- timing ---------------------------------------------------------------------------------------------------------


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without the garbage collector, as timeit does."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def turn(arm: Arm, repeats: int) -> float:
    """Seconds of one work, as the mean of so many in a row."""
    with undisturbed():
        if arm.tells:
            return sum(arm.work() for _ in range(repeats)) / repeats
        began = time.perf_counter()
        for _ in range(repeats):
            arm.work()
        return (time.perf_counter() - began) / repeats


def calibrate(arm: Arm, setting: Setting) -> tuple[int, int]:
    """Warm up; how often a turn repeats the work, and for how many rounds."""

    def lasts() -> float:
        began = time.perf_counter()
        turn(arm, 1)
        return time.perf_counter() - began

    seconds = lasts()
    if setting.quick:
        return 1, setting.rounds
    if seconds < 1:  # the first call has paid for what is made once
        seconds = lasts()
    return max(1, min(200, math.ceil(TURN / seconds))), setting.rounds if seconds <= SLOW else min(2, setting.rounds)


def measure(row: Row, setting: Setting, tell: Callable[[str], None]) -> Result:
    """Check, warm up, and take turns."""
    result = Result(row)
    try:
        tell("check")
        result.notes.append(row.check())
    except Unequal as problem:
        result.problem = f"the work is not equal: {problem}"
        return result
    plan = {}
    for arm in row.arms:
        tell(f"{arm.name}, warm-up")
        plan[arm.name] = calibrate(arm, setting)
    for number in range(setting.rounds):
        for arm in row.arms:
            repeats, rounds = plan[arm.name]
            if number < rounds:
                tell(f"{arm.name}, round {number + 1} of {rounds}")
                result.times.setdefault(arm.name, []).append(turn(arm, repeats))
    result.notes += [f"{name} took {rounds} rounds" for name, (_, rounds) in plan.items() if rounds < setting.rounds]
    return result


def peer(name: str) -> ModuleType | None:
    """A peer's module, or None where it is not installed."""
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        return None
    return importlib.import_module(name)
