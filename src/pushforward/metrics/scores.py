"""Several estimates of one question: the answer as a whole, and what it is made of.

overall    the number to quote
parts      of each column, pair, rule or attack, the most telling first
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from ..errors import Usage, did_you_mean
from .estimate import Estimate, shown

SHOWN = 12  # parts in print


@dataclass(frozen=True, repr=False)
class Scores:
    """An estimate and its parts. `float` gives the whole, `[name]` a part.

    >>> found = Scores(Estimate("likeness", 0.9, 0.01, 0.99, (10, 10)), {"age": Estimate("likeness of age", 0.8, 0.02, 0.98)})
    >>> float(found), found["age"].value
    (0.9, 0.8)
    >>> print(found)
    likeness = 0.9 ± 0.01, floor 0.99, n = 10 and 10
      age   0.8 ± 0.02, floor 0.98
    """

    overall: Estimate
    parts: Mapping[str, Estimate] = field(default_factory=dict)
    rows: Any = None  # examples to look at, where there are any

    def __float__(self) -> float:
        return self.overall.value

    def __getitem__(self, name: str) -> Estimate:
        if name not in self.parts:
            raise Usage(
                f"There is no part {name!r}.{did_you_mean(name, self.parts)} There are: {', '.join(list(self.parts)[:20])}."
            )
        return self.parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def to_json(self) -> dict[str, Any]:
        """The facts. Rows are left out: they are somebody's data."""
        return {
            "overall": self.overall.to_json(),
            "parts": {name: part.to_json() for name, part in self.parts.items()},
            "said": str(self),
        }

    def __str__(self) -> str:
        some = list(self.parts.items())[:SHOWN]
        width = max((len(name) for name, _ in some), default=0)
        lines = [f"  {name:<{width}}   {short(part)}" for name, part in some]
        more = [f"  … and {len(self.parts) - SHOWN} more in parts"] if len(self.parts) > SHOWN else []
        rows = [str(self.rows.head(5))] if self.rows is not None and len(self.rows) else []
        return "\n".join([str(self.overall), *lines, *more, *rows])

    __repr__ = __str__


def short(part: Estimate) -> str:
    """A part on one line."""
    error = f" ± {part.stderr:.2g}" if isfinite(part.stderr) and part.stderr else ""
    null = f", floor {shown(part.floor)}" if part.floor is not None else ""
    test = f", p = {part.p_value:.3g}" if part.p_value is not None else ""
    facts = "".join(
        f", {key} {shown(value) if isinstance(value, float) else value}" for key, value in part.parameters.items()
    )
    return f"{shown(part.value)}{error}{null}{test}{facts}"
