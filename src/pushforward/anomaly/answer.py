"""What `anomaly` answers: a score, a p-value, a flag and what each column adds, a row each.

N rows of D columns:   scores, p_values, flags (N,)   attribution (N, D)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, repr=False)
class Anomaly:
    """The answer of `anomaly`: one number a row, high is odd."""

    scores: np.ndarray
    p_values: np.ndarray | None  # None without reference examples
    flags: np.ndarray | None  # Benjamini-Hochberg at `rate`
    attribution: np.ndarray | None  # (N, D): what each column adds to the score; NaN in rows that were not asked
    columns: tuple[str, ...]
    way: str
    words: tuple[str, ...]  # how the scores, the p-values and the attribution came about
    rate: float
    reference: int  # examples behind the p-values
    index: Any = None  # of the DataFrame that came in

    def __len__(self) -> int:
        return len(self.scores)

    def oddest(self, k: int = 5) -> np.ndarray:
        """The numbers of the k oddest rows, the oddest first."""
        return np.argsort(-self.scores, kind="stable")[:k]

    @property
    def told(self) -> dict[int, np.ndarray]:
        """The rows whose columns were told apart: what each adds."""
        rows = np.zeros((0, 0)) if self.attribution is None else self.attribution
        return {int(i): rows[i] for i in np.flatnonzero(~np.isnan(rows).all(1))}

    def blamed(self, row: int) -> str:
        """The column that adds most to the score of a row; nothing where that was not asked, or none adds."""
        adds = self.told.get(row)
        return "" if adds is None or not np.nanmax(adds) > 0 else self.columns[int(np.nanargmax(adds))]

    def to_frame(self) -> Any:
        """A DataFrame: score, p_value, flagged, column (the one that adds most), and what each column adds."""
        import pandas as pd

        parts: dict[str, Any] = {"score": self.scores}
        if self.p_values is not None:
            parts |= {"p_value": self.p_values, "flagged": self.flags}
        if self.attribution is not None:
            parts["column"] = [self.blamed(row) for row in range(len(self))]
            parts |= {f"by {name}": self.attribution[:, j] for j, name in enumerate(self.columns)}
        return pd.DataFrame(parts, index=self.index)

    def to_json(self) -> dict[str, Any]:
        """All of it; what is infinite or unknown is null."""
        return {name: getattr(self, name) for name in ("way", "rate", "reference")} | {
            "words": list(self.words),
            "columns": list(self.columns),
            "scores": known(self.scores),
            "p_values": None if self.p_values is None else known(self.p_values),
            "flags": None if self.flags is None else self.flags.tolist(),
            "attribution": {i: known(row) for i, row in self.told.items()},
        }

    def __str__(self) -> str:
        flagged = "" if self.flags is None else f", {int(self.flags.sum()):,} flagged at a rate of {self.rate:g}"
        lines = [f"anomaly of {len(self):,} rows by {self.way}{flagged}", *self.words]
        for row in self.oddest():
            p = "" if self.p_values is None else f", p = {self.p_values[row]:.3g}"
            by = f", most by {self.blamed(row)}" if self.blamed(row) else ""
            lines.append(f"row {row}: {self.scores[row]:.4g}{p}{by}")
        return "\n  ".join(lines)

    __repr__ = __str__


def known(values: np.ndarray) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]
