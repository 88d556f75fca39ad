"""The demo: every system of the catalogue learns for a moment on built-in data; one table, one page with pictures.

Nothing here names a system. Each gets the first set of its family's list that it can take, so a new system appears unasked.
The time is shared out: most to the first system of a family and to the first that takes up a set.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from . import catalogue
from .data import Examples, load
from .engine import Recipe
from .errors import Problem
from .metrics.likelihood import WAYS, Likelihood, likelihood
from .report import Page, portrait


@dataclass(frozen=True)
class Set:
    """Data of the demo: a built-in set, how it is made, and what is told of it."""

    title: str
    kind: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)


SETS = {
    "moons": Set("moons (2-D)", "real", "moons", {"n": 4000}),
    "digits": Set("digits (8×8, 17 levels)", "levels", "digits"),
    "ink": Set("digits (8×8, black or white)", "binary", "digits", {"threshold": 7}),
    "people": Set("people (10 mixed columns)", "table", "people", {"n": 4000}),
    "sentences": Set("sentences (text)", "tokens", "sentences", {"n": 4000}),
}
# What shows a family best; a family that is not here takes the sets in their order above.
LIKES = {
    "classical": ("moons", "people"),
    "autoregressive": ("sentences", "people", "digits"),
    "latent": ("digits", "moons"),
    "flows": ("moons",),
    "adversarial": ("moons",),
    "energy": ("ink", "moons"),
}
HELD = 0.2  # share of a set that no model sees while it learns
LONG, SHORT = 4.0, 1.0  # shares of the time
LEARNING = 0.8  # part of a system's time in which it learns; the rest is for judging it and for its pictures
THREADS = 2  # small networks lose time on more
LEAST = 0.08  # part of the whole time that is there for those still to come, however long the others took
ENOUGH = 300  # steps below which a system of full size would show nothing, so that its small form is taken
QUICKER = 4.0  # times the learning rate of the small form: a narrow network bears larger steps


@dataclass
class Played:
    """What one system did."""

    name: str
    family: str
    data: str
    model: Any = None
    said: str = ""  # why it did not come to an end
    why: str = ""  # why it has no likelihood
    judged: Likelihood | None = None
    figures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def row(self) -> dict[str, Any]:
        nats = None if self.judged is None or self.judged.by == "energy" else self.judged.mean
        return {
            "family": self.family,
            "system": self.name,
            "data": SETS[self.data].title,
            "can": ", ".join(self.model.abilities) if self.model is not None else None,
            "nats": nats,
            "±": None if self.judged is None or nats is None else self.judged.stderr,
            "kind": None if nats is None or self.judged is None else self.judged.kind + self.bracket(),
            "seconds": round(self.seconds, 1),
            "said": self.said,
        }

    def bracket(self) -> str:
        return (
            ""
            if self.judged is None or self.judged.low is None
            else f", {self.judged.low:.4g} … {self.judged.high:.4g}"
        )


def run(
    out: Path,
    time: str | float = "150s",
    only: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
    tell: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Train, judge, draw. `time` is that of the whole demo; what one system leaves is shared by those after it."""
    sets = assign([catalogue.find(name).__name__ for name in only] or list(catalogue.names()))
    left, seconds = shares(sets), Recipe(time=time).seconds
    began, done, threads = clock.monotonic(), [], torch.get_num_threads()
    torch.set_num_threads(min(threads, THREADS))
    try:
        for at, (name, data) in enumerate(sets.items(), 1):
            mine = (
                max(seconds - (clock.monotonic() - began), LEAST * seconds) * left[name] / (sum(left.values()) or 1.0)
            )
            del left[name]
            tell(f"{at}/{len(sets)}  {name} on {SETS[data].title}{f', about {mine:.0f} s' if mine else ''}")
            done.append(play(name, data, mine * LEARNING, seed, device))
            tell(f"     {ending(done[-1])}")
    finally:
        torch.set_num_threads(threads)
    page(done, clock.monotonic() - began).write(out / "report.html")
    return [one.row() for one in done]


def assign(names: Sequence[str]) -> dict[str, str]:
    """A set for each system: the first of its family's list that it takes."""
    out = {}
    for name in names:
        takes = catalogue.find(name).spaces
        likes = [*LIKES.get(catalogue.names()[name], ()), *SETS]
        out[name] = next((s for s in likes if SETS[s].kind in takes), "moons")
    return out


def shares(sets: dict[str, str]) -> dict[str, float]:
    """The share of time of each system: long for the first of a family and the first on a set, short for the others."""
    seen: set[str] = set()
    out = {}
    for name, data in sets.items():
        marks = {catalogue.names()[name], f"on {data}"}
        steps = not hasattr(
            catalogue.find(name), "solve"
        )  # what is solved at once needs none, and leaves the long time to others
        out[name] = (LONG if marks - seen else SHORT) if steps else 0.0
        seen |= marks if steps else set()
    return out


@cache
def examples(data: str) -> tuple[Examples, Examples]:
    """(what is learned from, what is judged on)."""
    return load(SETS[data].source, **SETS[data].options).split(HELD, seed=0)


def play(name: str, data: str, seconds: float, seed: int, device: str) -> Played:
    """One system: learn, judge, draw. A problem is told in the table and does not end the demo."""
    one = Played(name, catalogue.names()[name], data)
    began = clock.monotonic()
    try:
        train, held = examples(data)
        kind = catalogue.find(name)
        fields, changes = sized(kind, train, seconds, seed, device)
        learning = clock.monotonic()
        one.model = kind(**fields).fit(train, seed=seed, device=device, quiet=True, **changes)
        one.seconds = clock.monotonic() - learning
        real = held.space.restore(held.x)
        if any(way in one.model.abilities for way in WAYS):
            one.judged = likelihood(one.model, real, seed=seed)
        else:
            one.why = str(one.model.reason("log_prob"))
        one.figures = portrait(one.model, real, seed)
    except Problem as problem:
        one.said, one.seconds = str(problem), clock.monotonic() - began
    return one


def sized(
    kind: type[Any], train: Examples, seconds: float, seed: int, device: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields and recipe of a system that takes enough steps in its time: its own, or those of its small form."""
    if not seconds:
        return {}, {}
    changes: dict[str, Any] = {"time": f"{seconds:.2f}"}
    if not kind.small or hasattr(kind, "solve"):
        return {}, changes
    times: list[float] = []
    kind().fit(
        train,
        steps=4,
        seed=seed,
        device=device,
        quiet=True,
        valid=0.0,
        callbacks=[lambda moment: times.append(clock.monotonic())],
    )
    a_step = (times[3] - times[0]) / 3  # the first is slower: caches are cold
    if a_step * ENOUGH < seconds:
        return {}, changes
    return dict(kind.small), changes | {"lr": kind.recipe.lr * QUICKER}


def ending(one: Played) -> str:
    """One line about how it went."""
    if one.said:
        return f"not done: {one.said}"
    row = one.row()
    steps = one.model.outcome_.get("step")
    nats = "no likelihood" if row["nats"] is None else f"{row['nats']:.3f} nats an example held out ({row['kind']})"
    if one.judged is not None and one.judged.impossible:
        nats += f", because {one.judged.impossible} of {len(one.judged.values)} examples are impossible for it"
    return f"{nats}, {f'{steps:,} steps in ' if steps else ''}{one.seconds:.1f} s"


def page(done: list[Played], seconds: float) -> Page:
    """The report."""
    sheet = Page(
        "pushforward: every system, for a moment",
        f"{len(done)} systems learned on built-in data, {seconds:.0f} seconds in all. "
        "Nats are mean log-likelihoods of examples that no model saw while it learned; more is better, and only rows of the same data compare. "
        "An estimate by sampling is as good as its bracket is narrow. Longer training gives better models.",
    )
    sheet.table(
        [{key: value for key, value in one.row().items() if key != "said"} for one in done],
        {one.name: one.name for one in done},
    )
    for one in done:
        sheet.section(f"{one.name} ({one.family})", one.name)
        if one.model is None or one.said:
            sheet.text(one.said)
            continue
        sheet.text((type(one.model).__doc__ or "").strip().splitlines()[0])
        sheet.text(
            f"{SETS[one.data].title[0].upper()}{SETS[one.data].title[1:]}: {ending(one)}. {one.why}{truth(one.data)}",
            soft=True,
        )
        sheet.row(one.figures)
    return sheet


def truth(data: str) -> str:
    """What the true density itself would get, where it is known."""
    from .data import toys

    known = toys.DENSITIES.get(SETS[data].source)
    return f" The true density has {-toys.density(SETS[data].source).entropy:.3f} nats." if known else ""
