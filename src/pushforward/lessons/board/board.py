"""A board: what a lesson finds, beside what the lecture says, and what it draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import Problem
from . import style


@dataclass(frozen=True)
class Check:
    """An identity, with numbers: it holds where `found` is within `within` of `wanted`."""

    what: str
    found: float
    wanted: float
    within: float

    @property
    def holds(self) -> bool:
        if math.isinf(self.wanted):
            return self.found == self.wanted
        return abs(self.found - self.wanted) <= self.within  # NaN does not

    def row(self) -> dict[str, Any]:
        return {
            "identity": self.what,
            "found": self.found,
            "awaited": self.wanted,
            "within": self.within,
            "holds": "yes" if self.holds else "NO",
        }


@dataclass
class Board:
    """What a lesson works with. `quick` asks for fewer draws and steps; the identities are the same."""

    name: str
    quick: bool = False
    seed: int = 0
    out: Path | None = None
    tell: Callable[[str], None] | None = None  # who hears how far a long lesson is
    options: dict[str, Any] = field(default_factory=dict)  # of one lesson alone
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def check(self, what: str, found: Any, wanted: Any, within: float = 0.0) -> None:
        """State an identity and whether it holds."""
        self.checks.append(Check(what, float(found), float(wanted), float(within)))

    def axes(self, rows: int = 1, columns: int = 1, width: float = 10.0, height: float = 3.6, **options: Any) -> Any:
        """The axes (rows, columns) of a new figure in the style of the lessons."""
        return style.canvas(rows, columns, width, height, **options)[1]

    def draw(self, axes: Any, name: str = "") -> None:
        """Keep the figure of these axes; the first is called like the lesson."""
        self.figures["-".join(filter(None, [self.name, name]))] = axes.flat[0].figure

    def table(self, title: str, rows: list[dict[str, Any]]) -> None:
        """Numbers to be shown beside the identities."""
        self.tables[title] = rows

    def remark(self, text: str) -> None:
        """A sentence that belongs to the result."""
        self.remarks.append(text)

    def say(self, text: str) -> None:
        """A word on the way."""
        if self.tell:
            self.tell(text)

    def close(self) -> None:
        """Write what is to be written."""
        if self.out is not None:
            for name, figure in self.figures.items():
                self.files += style.write(figure, self.out / name)

    # ---- what came of it -----------------------------------------------------------------------------------------
    @property
    def figure(self) -> Any:
        """The first figure."""
        return next(iter(self.figures.values()))

    @property
    def holds(self) -> bool:
        return bool(self.checks) and all(check.holds for check in self.checks)

    def complain(self) -> None:
        """A problem, if an identity does not hold."""
        wrong = [check for check in self.checks if not check.holds]
        if wrong:
            told = "; ".join(f"{c.what}: {c.found:.6g}, awaited {c.wanted:.6g} within {c.within:.2g}" for c in wrong)
            raise Problem(f"{self.name}: {len(wrong)} of {len(self.checks)} identities do not hold: {told}.")
