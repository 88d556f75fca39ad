"""The report: one page about one model, and all its numbers.

Every section writes its part of the page and gives its numbers; the verdict stands on top and is made last. The page names no model: it asks
for abilities, measures come from `measures.py`, baselines are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ..saving import version
from .case import Case
from .page import Page
from .sections.again import again
from .sections.chances import calibration, chances
from .sections.facts import data, model
from .sections.judging import privacy, quality
from .sections.learning import diagnosis, training
from .sections.looks import looks, neighbours
from .verdict import Verdict, verdicts

SECTIONS: dict[str, Callable[[Case, Page], dict[str, Any]]] = {
    "data": data,
    "model": model,
    "training": training,
    "likelihood": chances,
    "samples": looks,
    "neighbours": neighbours,
    "quality": quality,
    "calibration": calibration,
    "diagnosis": diagnosis,
    "privacy": privacy,
    "again": again,
}


@dataclass
class Story:
    """A page and the numbers on it."""

    page: Page
    verdict: list[Verdict]
    numbers: dict[str, Any]

    def html(self) -> str:
        return self.page.html()

    def write(self, path: str | Path) -> Path:
        """The page as a file."""
        return self.page.write(Path(path))

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures. What is infinite or unknown is null."""
        return plain({"verdict": [one.to_json() for one in self.verdict]} | self.numbers)

    def __str__(self) -> str:
        return "\n".join(f"{one.label}. {one.said}" for one in self.verdict)

    def _repr_html_(self) -> str:
        from html import escape

        return f'<iframe srcdoc="{escape(self.html(), quote=True)}" width="100%" height="800" title="{escape(self.page.title)}"></iframe>'


def story(
    model: Any,
    x: Any,
    given: Any = None,
    train: Any = None,
    baselines: Mapping[str, Any] | None = None,
    *,
    names: Mapping[str, str] | None = None,
    made: Mapping[str, Any] | None = None,
    seed: int = 0,
    n: int = 2000,
    quick: bool = False,
) -> Story:
    """All that can be said of a fitted model on rows `x`, which it should not have learned from.

    `train` are rows that it learned from (of a conditional model: rows and what is given): with them the page says whether it copies.
    `baselines` are fitted models by what they are in words, `names` what the data and the training data are called, `made` facts of the
    model's file. Measures look at `n` rows of each side.
    """
    told = {"baselines": dict(baselines or {}), "names": dict(names or {}), "made": dict(made or {})}
    case = Case.of(model, x, given, train, **told, seed=int(seed), n=n, quick=quick)
    called = f" on {case.names['data']}" if case.names.get("data") else ""
    page = Page(f"{type(model).__name__}{called}", f"A report on a generative model, by pushforward {version()}.")
    page.section("Verdict", "verdict")
    place = len(page.parts)
    page.contents()
    case.results["facts"] = numbers = {}
    for name, section in SECTIONS.items():
        numbers[name] = section(case, page)
    found = verdicts(case, numbers)
    page.parts[place:place] = top(found, cautions(case, numbers))
    return Story(page, found, numbers)


def top(found: list[Verdict], cares: list[str]) -> list[str]:
    """What stands first and is made last."""
    sheet = Page("")
    sheet.parts.clear()
    sheet.verdict((one.label, one.said) for one in found)
    for words in cares:
        sheet.care(words)
    return sheet.parts


def cautions(case: Case, numbers: dict[str, Any]) -> list[str]:
    """What a reader must know before the numbers."""
    out = []
    shared, rows = numbers["data"]["rows_also_in_training"], len(case.x)
    if shared and shared > rows / 2:
        out.append(
            f"{shared:,} of the {rows:,} rows that it was judged on are rows that it learned from. Judge it on others."
        )
    if case.train is None:
        out.append(
            "Whether the rows it was judged on are new to it is not known, because the training rows were not passed."
        )
    if numbers["training"]["ended_by"] in ("interrupted", "terminated"):
        out.append("Its training was interrupted.")
    return out


def plain(value: Any) -> Any:
    """For JSON, which has neither tuples nor infinity.

    >>> plain({1: (float("inf"), True), "a": Path("b")})
    {'1': [None, True], 'a': 'b'}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
