"""Data that make trouble, and whether a system keeps its promise on them: it learns, or says in a sentence what is wrong; what it then says and draws
are numbers, and of the kind that came in. Shared by the tests and by the trial of the promises."""

from __future__ import annotations

import datetime
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from pushforward.errors import Problem

N = 120


def numbers(rng) -> np.ndarray:
    return rng.normal(size=(N, 2))


def table(rng, **more: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"x": rng.normal(size=N), "c": rng.choice(list("abc"), N), "k": rng.integers(0, 300, N), **more}
    )


def outlier(rng) -> np.ndarray:
    x = numbers(rng)
    x[3, 0] = 1e300
    return x


def gaps(rng) -> pd.DataFrame:
    frame = table(rng)
    frame.loc[3:10, "x"] = np.nan
    frame.loc[5:9, "c"] = None
    return frame


def broken(rng, value: float) -> np.ndarray:
    x = numbers(rng)
    x[7, 1] = value
    return x


TROUBLES: dict[str, Any] = {
    "NaN in an array": lambda rng: broken(rng, np.nan),
    "infinity in an array": lambda rng: broken(rng, np.inf),
    "infinity in a table": lambda rng: table(rng, y=broken(rng, -np.inf)[:, 1]),
    "values near 1e300": lambda rng: numbers(rng) * [1e300, 1.0],
    "one value of 1e300": outlier,
    "denormal values": lambda rng: numbers(rng) * [5e-320, 1.0],
    "a table with values near 1e300": lambda rng: table(rng, h=rng.normal(size=N) * 1e300),
    "float16": lambda rng: numbers(rng).astype(np.float16),
    "a constant column": lambda rng: np.column_stack([numbers(rng), np.full(N, 7.25)]),
    "constants in a table": lambda rng: table(rng, one=5, word="a", f=2.5, d=Decimal("1.50")),
    "a constant column of a table of floats": lambda rng: pd.DataFrame({"a": rng.normal(size=N), "f": np.full(N, 2.5)}),
    "nothing but constants": lambda rng: np.full((N, 2), 3.5),
    "a column that is all missing": lambda rng: table(rng, none=np.nan),
    "a column of an array that is all missing": lambda rng: np.column_stack([numbers(rng), np.full(N, np.nan)]),
    "a duplicated column": lambda rng: (lambda x: np.column_stack([x, x[:, 0]]))(numbers(rng)),
    "duplicated columns of a table": lambda rng: (lambda t: t.assign(x2=t.x, c2=t.c))(table(rng)),
    "a collinear column": lambda rng: (lambda x: np.column_stack([x, x[:, 0] + 2 * x[:, 1]]))(numbers(rng)),
    "int64 beyond 2^53": lambda rng: table(rng, big=rng.integers(2**60, 2**60 + 10**6, N)),
    "int8, uint16, bool, float16 and gaps": lambda rng: table(
        rng,
        i8=rng.integers(-100, 100, N).astype(np.int8),
        u16=rng.integers(0, 60000, N).astype(np.uint16),
        b=rng.random(N) > 0.5,
        f16=rng.normal(size=N).astype(np.float16),
        gap=pd.array([None if i % 7 == 0 else 3 * i for i in range(N)], dtype="Int16"),
    ),
    "an array of int8": lambda rng: rng.integers(-100, 100, (N, 2)).astype(np.int8),
    "an array of uint16": lambda rng: rng.integers(0, 60000, (N, 2)).astype(np.uint16),
    "Decimal": lambda rng: table(rng, d=[Decimal(f"{v:.2f}") for v in 100 * rng.normal(size=N)]),
    "dates before 1677": lambda rng: table(
        rng, d=np.datetime64("1500-01-01", "s") + rng.integers(0, 10**9, N).astype("timedelta64[s]")
    ),
    "dates of a zone": lambda rng: table(rng, d=pd.date_range("2020-01-01", periods=N, freq="h", tz="Europe/Berlin")),
    "dates in nanoseconds": lambda rng: table(rng, d=pd.to_datetime(rng.integers(10**18, 10**18 + 10**6, N))),
    "durations": lambda rng: table(rng, d=pd.to_timedelta(rng.integers(0, 10**6, N), unit="s")),
    "datetime.date": lambda rng: table(rng, d=[datetime.date(1600 + i, 1, 1 + i % 28) for i in range(N)]),
    "mixed types in a column": lambda rng: table(rng, m=[1, "a", 2.5, None] * (N // 4)),
    "gaps": gaps,
    "one row": lambda rng: numbers(rng)[:1],
    "one row of a table": lambda rng: table(rng).iloc[:1],
    "two rows": lambda rng: numbers(rng)[:2],
    "no row": lambda rng: numbers(rng)[:0],
    "fewer rows than columns": lambda rng: rng.normal(size=(5, 12)),
    "one class only": lambda rng: table(rng)[["x"]].assign(c="only"),
    "bits that never vary": lambda rng: np.ones((N, 3), bool),
    "an identifier": lambda rng: table(rng, who=[f"user-{i}" for i in range(N)]),
    "whole numbers that identify": lambda rng: table(rng, who=np.arange(N)),
    "free text": lambda rng: table(rng, note=[f"note {i} says {i * i}" for i in range(N)]),
    "a category that never comes": lambda rng: table(rng).assign(
        c=pd.Categorical(rng.choice(list("abc"), N), categories=list("abcz"))
    ),
}
REFUSED = (
    "infinity in an array",
    "infinity in a table",
    "nothing but constants",
    "no row",
    "an identifier",
    "free text",
)


def learned(kind: Any, data: Any, **how: Any) -> Any:
    """A small model of these data, or the Problem that says why not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what is said of such data is tested by itself
        try:
            return kind(**kind.small).fit(data, **{"steps": 5, "batch": 32, "seed": 0, "quiet": True, **how})
        except Problem as problem:
            return problem


def broke(kind: Any, data: Any, refused: bool = False) -> str:
    """What of the promise does not hold; nothing where all of it does."""
    model = learned(kind, data)
    if isinstance(model, Problem):
        return "" if len(str(model)) > 40 else f"a Problem that says too little: {model}"
    if refused and not (type(model).coordinates == "features" or not model.judges()):
        return "it was to be refused"
    wrong = []
    for ability in ("log_prob", "bound", "energy"):
        if ability in model.abilities:
            nats = np.asarray(getattr(model, ability)(data), dtype=float)
            if np.isnan(nats).any() or (nats == (-np.inf if ability == "energy" else np.inf)).any():
                wrong.append(f"{ability} holds NaN or infinity")
            elif (nats == (np.inf if ability == "energy" else -np.inf)).mean() > 0.5 and model.judges():
                wrong.append(f"{ability} calls most rows impossible that it has learned from")
    back, drawn = model.space.restore(model.space.read(data)), model.sample(20, seed=0)
    wrong += unlike(data, back, drawn)
    return "; ".join(wrong)


def unlike(data: Any, back: Any, drawn: Any) -> list[str]:
    """Where what comes back, or what is drawn, is not of the kind that came in."""
    if not isinstance(data, pd.DataFrame):
        wrong = (
            []
            if back.dtype == data.dtype and np.array_equal(back, data, equal_nan=data.dtype.kind == "f")
            else ["it does not come back"]
        )
        whole = not (data.dtype.kind == "f" and np.isnan(data).any())
        wrong += (
            [] if drawn.dtype == data.dtype and drawn.shape[1:] == data.shape[1:] else ["a sample is of another type"]
        )
        still = [
            j
            for j in range(data.shape[1])
            if data.dtype.kind == "f" and len(data) > 1 and (data[:, j] == data[0, j]).all()
        ]
        wrong += (
            []
            if (drawn[:, still] == data[0, still]).all() or len(still) == data.shape[1]
            else ["a constant is not reproduced"]
        )
        return wrong + ([] if not whole or np.isfinite(drawn.astype(float)).all() else ["a sample is not finite"])
    wrong = [f"{name} does not come back" for name in data if not back[name].equals(data[name].reset_index(drop=True))]
    for name in data:
        cells, known = drawn[name], data[name].dropna()
        if cells.dtype != data[name].dtype and not data[name].isna().any():
            wrong.append(f"{name} is drawn as {cells.dtype}")
        if len(known) and {type(v) for v in cells.dropna()} - {type(v) for v in known}:
            wrong.append(f"{name} is drawn of other types")
        if len(known) == len(data) > 1 and known.nunique() == 1 and not (cells == known.iloc[0]).all():
            wrong.append(f"{name} is constant and not reproduced")
        if cells.dtype.kind == "f" and len(known) == len(data) and not np.isfinite(cells).all():
            wrong.append(f"{name} is drawn and not finite")
    return wrong
