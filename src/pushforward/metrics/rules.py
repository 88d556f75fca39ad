"""Rules that the real rows keep, and how many of the fake rows break them.

Found in the real rows:
    a within its range       the range of a number or date
    a whole                  a number that is always whole
    a known                  a code that the real rows hold
    a there                  a cell that is never missing
    a determines b           codes, or a code and a number of few values: each a goes with one b
    a = b,  a <= b           numbers, or dates
The last three are rules only if chance would hardly have kept them: were the columns independent, with chance below 1e-6. A row that lacks a cell of a rule
does not break it. Rules of your own are functions of the DataFrame (or array) that say of each row whether it is right.

The floor is the share of real rows that break a rule: of one half those found in the other half; for rules of your own, of all.
n rows:   broken (n,)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadData, Usage
from ..space.columns import Column
from .estimate import Estimate
from .frames import Table, Tables, halves, read
from .scores import Scores

Numbers = NDArray[np.float64]
Broken = NDArray[np.bool_]
CHANCE = log(1e-6)  # above it, independent columns may have kept a rule by themselves
FEW = 100  # values up to which a number may determine a code, or be determined by one
SHOWN = 1000  # rows that are handed back


@dataclass(frozen=True)
class Rule:
    """A rule in words, which rows break it, and what it allows where that is a range."""

    name: str
    breaks: Callable[[Numbers], Broken]
    allows: str = ""


def violations(real: Any, fake: Any, rules: Any = None, n: int | None = None, seed: int = 0) -> Scores:
    """The share of fake rows that break a rule, in all and by rule; `rows` are those that do.

    Without `rules` they are found in the real rows. Rules of your own: a function, a list or a dict of functions by name.

    >>> import pandas as pd
    >>> real = pd.DataFrame({"born": [1950.5, 1960.5, 1970.5], "wed": [1975.5, 1980.5, 1990.5]})
    >>> fake = real.assign(wed=[1975.5, 1950.5, 1990.5])
    >>> found = violations(real, fake, {"wed after birth": lambda t: t.wed >= t.born})
    >>> float(found), found["wed after birth"].parameters
    (0.3333333333333333, {'broken': 1})
    """
    both = read(n, seed, real=real, fake=fake)
    if rules is None:
        found, words = discovered(both, both["real"].x), "counting rows that break a rule found in the real rows"
        broken = {rule.name: rule.breaks(both["fake"].x) for rule in found}
        allowed = {rule.name: rule.allows for rule in found if rule.allows}
        floors = held_out(both, seed)
        words += "; floor by rules of one half of them on the other"
    else:
        given, allowed, words = named(rules), {}, "counting rows that break a rule given"
        broken = {name: judged(name, rule, both["fake"]) for name, rule in given.items()}
        floors = {name: float(judged(name, rule, both["real"]).mean()) for name, rule in given.items()}
        floors[""] = float(np.any([judged(name, rule, both["real"]) for name, rule in given.items()], 0).mean())
        words += "; floor by the real rows"
    return counted(both, broken, floors, allowed, f"{words}; ± of the fake rows, the rules being held")


def counted(
    both: Tables, broken: dict[str, Broken], floors: dict[str, float], allowed: dict[str, str], words: str
) -> Scores:
    """The shares, most broken first, and the rows."""
    size = (len(both["fake"]),)
    parts = {}
    for name, rows in sorted(broken.items(), key=lambda item: -int(item[1].sum())):
        facts = {"broken": int(rows.sum())} | ({"allowed": allowed[name]} if name in allowed else {})
        parts[name] = Estimate(
            f"rows that break: {name}", *share(rows), floors.get(name), size, words, parameters=facts
        )
    wrong = np.any(list(broken.values()), 0) if broken else np.zeros(size[0], dtype=bool)
    notes = both.notes if broken else (*both.notes, "the real rows keep no rule that could be found")
    whole = Estimate(
        "rows that break a rule",
        *share(wrong),
        floors.get(""),
        size,
        words,
        notes=notes,
        features=f"{len(broken)} {'rule' if len(broken) == 1 else 'rules'}",
    )
    return Scores(whole, parts, both["fake"].shown(np.flatnonzero(wrong)[:SHOWN]))


def share(rows: Broken) -> tuple[float, float]:
    """A share, and its standard error: where all rows are alike, that of half a row."""
    p = float(rows.mean())
    return p, sqrt(max(p * (1 - p), 0.25 / len(rows)) / len(rows))


def held_out(both: Tables, seed: int) -> dict[str, float]:
    """The shares of one half of the real rows that break what the other half keeps."""
    x = both["real"].x
    a, b = halves(len(x), seed)
    if not len(a):
        return {}
    broken = {rule.name: rule.breaks(x[b]) for rule in discovered(both, x[a])}
    return {name: float(rows.mean()) for name, rows in broken.items()} | (
        {"": float(np.any(list(broken.values()), 0).mean())} if broken else {}
    )


# ---- rules of the user --------------------------------------------------------------------------------------------------


def named(rules: Any) -> dict[str, Callable[[Any], Any]]:
    """Rules by name."""
    if callable(rules):
        rules = [rules]
    if isinstance(rules, Sequence) and not isinstance(rules, str):
        rules = {
            getattr(rule, "__name__", "rule").replace("<lambda>", "rule") + f" {i + 1}": rule
            for i, rule in enumerate(rules)
        }
    if not isinstance(rules, Mapping) or not rules or not all(callable(rule) for rule in rules.values()):
        raise Usage(
            "rules= takes functions of the table, as {'wed after birth': lambda t: t.wed >= t.born}, or None to find them."
        )
    return dict(rules)


def judged(name: str, rule: Callable[[Any], Any], table: Table) -> Broken:
    """Which rows break a rule that was given."""
    try:
        kept = np.asarray(rule(table.raw))
    except Exception as problem:
        raise BadData(f"The rule {name!r} could not be asked: {type(problem).__name__}: {problem}.") from problem
    if kept.shape != (len(table),) or kept.dtype.kind not in "bO":
        raise BadData(
            f"The rule {name!r} gave {kept.dtype} of shape {kept.shape} for {len(table):,} rows; one truth for each row is awaited, true where it is right."
        )
    return ~kept.astype(bool)


# ---- rules that are found -----------------------------------------------------------------------------------------------


def discovered(both: Tables, x: Numbers) -> list[Rule]:
    """The rules that these rows keep."""
    known = ~np.isnan(x)
    found = [Rule(f"{both.names[j]} there", missing(j)) for j in range(x.shape[1]) if known[:, j].all()]
    for j, column in enumerate(both.columns):
        if known[:, j].any():
            found += of_column(both, j, x[known[:, j], j], column.discrete)
    found += dependencies(both, x)
    for a, b in combinations(np.flatnonzero(~both.discrete).tolist(), 2):
        if (both.columns[a].kind == "date") == (both.columns[b].kind == "date"):
            found += order(both, x, a, b)
    return found


def missing(j: int) -> Callable[[Numbers], Broken]:
    return lambda y: np.isnan(y[:, j])


def of_column(both: Tables, j: int, seen: Numbers, discrete: bool) -> list[Rule]:
    """What one column keeps: its codes, or its range and that it is whole."""
    name = both.names[j]
    if discrete:
        codes = np.unique(seen)
        return [Rule(f"{name} known", lambda y: ~np.isnan(y[:, j]) & ~np.isin(y[:, j], codes))]
    low, high = float(seen.min()), float(seen.max())
    rules = [
        Rule(
            f"{name} within its range",
            lambda y: (y[:, j] < low) | (y[:, j] > high),
            between(both.columns[j], low, high),
        )
    ]
    if both.columns[j].step == 1 and (seen == np.round(seen)).all():
        rules.append(Rule(f"{name} whole", lambda y: ~np.isnan(y[:, j]) & (y[:, j] != np.round(y[:, j]))))
    return rules


def between(column: Column, low: float, high: float) -> str:
    """A range in words."""
    return " to ".join(column.said(end) for end in (low, high))


@dataclass(frozen=True)
class Levels:
    """A column by its distinct values: which of them each row holds, -1 where the cell is missing."""

    values: Numbers
    place: NDArray[np.int64]

    @classmethod
    def of(cls, cells: Numbers) -> Levels:
        values, place = np.unique(cells, return_inverse=True)
        known = values[~np.isnan(values)]
        return cls(known, np.where(place < len(known), place, -1))


def dependency(x: Numbers, a: Levels, b: int) -> Callable[[Numbers, Numbers], Broken] | None:
    """Which rows (cells of the one, cells of the other) break that a column determines another; None where it does not.

    Kept by chance: (sum_b p_b^2)^(rows beyond the first of each a).
    """
    there = (a.place >= 0) & ~np.isnan(x[:, b])
    u, v = a.place[there], x[there, b]
    first = np.full(len(a.values), np.nan)
    first[u] = v
    if not len(u) or (first[u] != v).any():
        return None
    _, counts = np.unique(v, return_counts=True)
    alike = float(((counts / len(v)) ** 2).sum())
    if len(counts) == 1 or (len(u) - int((~np.isnan(first)).sum())) * log(alike) > CHANCE:
        return None

    def breaks(one: Numbers, other: Numbers) -> Broken:
        at = np.minimum(a.values.searchsorted(one), len(a.values) - 1)
        due = np.where(a.values[at] == one, first[at], np.nan)
        return ~np.isnan(due) & ~np.isnan(other) & (due != other)

    return breaks


def dependencies(both: Tables, x: Numbers) -> list[Rule]:
    """Codes that determine codes, and numbers of few values that codes determine, or that determine codes."""
    levels = {
        j: found
        for j in range(x.shape[1])
        if len((found := Levels.of(x[:, j])).values) <= FEW or both.columns[j].discrete
    }
    rules = []
    for a, b in permutations(levels, 2):
        if both.columns[a].discrete or both.columns[b].discrete:
            if (breaks := dependency(x, levels[a], b)) is not None:
                rules.append(Rule(f"{both.names[a]} determines {both.names[b]}", cells(breaks, a, b)))
    return rules


def cells(breaks: Callable[[Numbers, Numbers], Broken], a: int, b: int) -> Callable[[Numbers], Broken]:
    return lambda y: breaks(y[:, a], y[:, b])


def order(both: Tables, x: Numbers, a: int, b: int) -> list[Rule]:
    """That two numbers are equal, or one never above the other where their ranges meet."""
    there = ~np.isnan(x[:, a]) & ~np.isnan(x[:, b])
    u, v = x[there, a], x[there, b]
    if len(u) < 2:
        return []
    names = both.names
    if (u == v).all():
        equal = Rule(f"{names[a]} = {names[b]}", lambda y: ~np.isnan(y[:, a] + y[:, b]) & (y[:, a] != y[:, b]))
        return [equal] if u.min() < u.max() else []
    for low, high, i, j in ((u, v, a, b), (v, u, b, a)):
        if (low <= high).all() and low.max() > high.min():
            below = 1 - np.sort(high).searchsorted(low, "left").mean() / len(
                high
            )  # P(low <= high), were they independent
            if below < 1 and len(u) * log(below) < CHANCE:
                return [Rule(f"{names[i]} <= {names[j]}", above(i, j))]
    return []


def above(i: int, j: int) -> Callable[[Numbers], Broken]:
    return lambda y: y[:, i] > y[:, j]
