"""Numbers at the edge: every system on every kind of trouble, runs that are rigged to diverge, and memory that is short.

A try of the grid is one system on one draw of troubled data; the promise is that it learns or says in a sentence what is wrong, that what it then says
and draws are numbers, and that what came in comes back. `much` is how many draws: ten at full measure.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import Row

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "engine")]
DRAWS = 6
RUNS = 40


def rows(much: float, out: Path, seed: int) -> Iterator[Row]:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    yield from grid(max(1, round(DRAWS * much)), seed)
    yield rigged(max(2, round(RUNS * much)), seed)
    yield short(max(2, round(RUNS * much)), seed)


def grid(draws: int, seed: int) -> Iterator[Row]:
    """One row a kind of trouble, over all systems of which it is a kind of data."""
    from pushforward import catalogue
    from troubles import REFUSED, TROUBLES, broke

    for trouble, make in TROUBLES.items():
        began, tries, lost = time.monotonic(), 0, []
        for draw in range(draws):
            for name in catalogue.names():
                kind, data = catalogue.find(name), make(np.random.default_rng([seed, draw]))
                tries += 1
                try:
                    what = broke(kind, data, trouble in REFUSED and "real" in kind.spaces)
                except Exception as problem:  # the very thing that must not be
                    what = f"{type(problem).__name__}: {problem}"
                if what:
                    lost.append(f"{name}: {what}"[:200])
        note = "; ".join(sorted(set(lost))[:5])
        promise = "it learns, or a sentence says what is wrong; answers are numbers, and values come back as they were"
        yield Row(f"data: {trouble}", promise, tries, tries - len(lost), len(lost), time.monotonic() - began, note)


def rigged(runs: int, seed: int) -> Row:
    """A loss of NaN at random steps, some for long: the model is left finite, the journal says it, and a run that goes on for ever is given up."""
    from lines import Trap

    from pushforward.errors import Diverged

    began, lost, rng = time.monotonic(), [], np.random.default_rng(seed)
    x = rng.normal(2.0, 3.0, size=(200, 3))
    for run in range(runs):
        at, times = int(rng.integers(0, 100)), int(rng.choice([1, 2, 3, 4, 10, 40, 10**6]))
        model: Any = Trap(at=at, times=times)
        try:
            model.fit(x, steps=120, every=20, batch=32, seed=run, quiet=True)
            told, gave_up = any("not finite" in entry.get("said", "") for entry in model.history_), False
        except Diverged as problem:
            told, gave_up = "at step" in str(problem), True
        sound = all(bool(torch.isfinite(p).all()) for p in model.parameters()) and math.isfinite(model.score(x))
        # Forty in a row heal or not, as the looks at the loss fall between them: three times a run goes back.
        if not (told and sound and (times == 40 or gave_up == (times == 10**6))):
            lost.append(f"NaN from {at} on, {times} times: told {told}, sound {sound}, given up {gave_up}")
    promise = "the model is left at a good state, the journal says so, and only what does not heal ends in Diverged"
    return Row(
        "training: loss NaN", promise, runs, runs - len(lost), len(lost), time.monotonic() - began, "; ".join(lost[:5])
    )


def short(runs: int, seed: int) -> Row:
    """An allocator that refuses more than so many examples, from a random step on: the weights are those of the run with room."""
    from test_memory import Line, Narrow

    began, lost, rng = time.monotonic(), [], np.random.default_rng(seed)
    x = rng.normal(2.0, 3.0, size=(200, 3))
    for run in range(runs):
        room, after, how = (
            int(rng.integers(1, 64)),
            int(rng.integers(0, 40)),
            {"precision": "float64", "batch": 64, "quiet": True},
        )
        narrow, wide = Narrow(room=room, after=after), Line()
        for model in (narrow, wide):
            model.fit(x, steps=50, every=10, seed=run, **how)
        pairs = zip(narrow.state_dict().values(), wide.state_dict().values(), strict=True)
        if not all(torch.allclose(a, b, atol=1e-11) for a, b in pairs):
            lost.append(f"room for {room} of 64 from step {after} on")
    promise = "the batch is taken in parts, and the weights are those of the whole batch up to 1e-11 in float64"
    note = "; ".join(lost[:5]) or "an allocator played by an error above a size"
    return Row("memory: CUDA out of memory", promise, runs, runs - len(lost), len(lost), time.monotonic() - began, note)
