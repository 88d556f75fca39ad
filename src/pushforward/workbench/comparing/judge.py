"""What is asked of every model that was fitted: how likely it holds the test rows to be, and what its samples are like.

It runs where the model was fitted and gives back numbers alone. What cannot be measured on these data is said, not left out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ... import metrics
from ...data import Examples
from ...errors import Problem
from ...noise import mix
from .cells import kept

JUDGED = 5_000  # test rows whose likelihood is asked for
SEEN = 30_000  # training rows that samples are compared with, to see copies
DRAWN = 3_000  # rows of a sample that is looked at, at most as many as there are test rows


def judge(model: Any, folder: Path, seed: int, copies: bool = False) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(facts, nats of the test rows). `copies`: its samples are training rows, each at most once."""
    train, test = kept(folder, "train"), kept(folder, "test").head(JUDGED)
    facts: dict[str, Any] = {"likelihood": None, "measures": {}, "unmeasured": {}}
    rows: dict[str, np.ndarray] = {}
    way = next((way for way in ("log_prob", "bound") if way in model.abilities), None)
    if way is not None:
        found = metrics.likelihood(model, raw(test), given=condition(test), by=way, seed=mix(seed, 1))
        facts["likelihood"], rows["nats"] = found.to_json(), found.values
    if "sample" in model.abilities:
        facts |= measured(model, train, test, seed, copies)
    return facts, rows


def raw(examples: Examples) -> Any:
    return examples.space.restore(examples.x)


def condition(examples: Examples) -> Any:
    if examples.given is None or examples.given_space is None:
        return None
    return examples.given_space.restore(examples.given)


def measured(model: Any, train: Examples, test: Examples, seed: int, copies: bool) -> dict[str, Any]:
    """Measures of a sample beside as many test rows, why those that are missing are, and how many rows of it are not finite."""
    real, seen = test.head(DRAWN), train.head(SEEN)
    # A row that is drawn twice would be known again by a classifier that learned from the first.
    drawn = raw(train.head(len(real))) if copies else model.sample(len(real), given=condition(real), seed=mix(seed, 2))
    learned, held = raw(seen), raw(real)
    found: dict[str, Any] = {}
    lost: dict[str, str] = {}
    for name, measure in asked(model.space).items():
        try:
            found[name] = measure(learned, held, drawn, seed)
        except Problem as problem:
            lost[name] = str(problem)
    told = {
        name: {"value": float(one), "stderr": one.stderr, "floor": one.floor, "said": str(one)}
        for name, one in found.items()
    }
    return {"measures": told, "unmeasured": lost, "broken": broken(drawn), "drawn": len(drawn)}


def broken(drawn: Any) -> int:
    """Rows with a number that is not finite; a missing cell of a table is none.

    >>> broken(np.array([[1.0, 2.0], [np.nan, 0.0], [np.inf, 0.0]])), broken(["a text"])
    (2, 0)
    """
    if hasattr(drawn, "select_dtypes"):
        return int(np.isinf(drawn.select_dtypes("number").to_numpy(dtype=np.float64, na_value=np.nan)).any(1).sum())
    if isinstance(drawn, list):
        return 0
    numbers = np.asarray(drawn).reshape(len(drawn), -1)
    return int((~np.isfinite(numbers)).any(1).sum()) if numbers.dtype.kind == "f" else 0


def asked(space: Any) -> dict[str, Callable[[Any, Any, Any, int], Any]]:
    """name -> (rows learned from, rows held out, rows drawn, seed) -> Estimate."""
    scale = "standard" if space.layout == "flat" else "common"  # of pixels some hardly ever vary
    found: dict[str, Callable[[Any, Any, Any, int], Any]] = {
        "told apart": lambda seen, real, drawn, seed: sharpest(metrics.c2st(real, drawn, seed=seed)),
        "copied": lambda seen, real, drawn, seed: metrics.copied(seen, real, drawn, scale, seed=seed),
    }
    if space.kind == "table":
        found["columns"] = lambda seen, real, drawn, seed: metrics.columns(real, drawn, seed=seed).overall
        found["pairs"] = lambda seen, real, drawn, seed: metrics.trends(real, drawn, seed=seed).overall
    return found


def sharpest(found: Any) -> Any:
    """Of several classifiers the one that tells samples from real rows best."""
    return max((one for name, one in found.items() if name.endswith("auc")), key=float)
