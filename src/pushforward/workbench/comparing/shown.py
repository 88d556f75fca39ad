"""The table as it is shown: numbers with their errors, no more digits than the error leaves."""

from __future__ import annotations

from math import floor, inf, isfinite, log10
from typing import Any

JOIN = "\N{NO-BREAK SPACE}"  # a number and its error stay on one line
COLUMNS = ("told apart", "columns", "pairs", "copied")


def within(value: float | None, error: float | None) -> str:
    """A number and its error, to two digits of the error.

    >>> within(-32.1084, 0.1114), within(0.5, None), within(float("-inf"), None), within(None, None)
    ('−32.11\xa0±\xa00.11', '0.5', '−∞', '–')
    """
    if value is None or value != value:
        return "–"
    if not isfinite(value):
        return "∞" if value == inf else "−∞"
    if not error or not isfinite(error):
        return f"{value:.4g}".replace("-", "−")
    digits = min(6, max(0, 1 - floor(log10(error))))
    return f"{value:.{digits}f}{JOIN}±{JOIN}{error:.{digits}f}".replace("-", "−")


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a comparison as texts; a column that says nothing of any model is left out."""
    lines = [
        {
            "model": row["model"],
            "nats a row": within(row["nats"], row["±"]),
            "kind": row["kind"],
            "behind the best": "the best" if row["behind the best"] == 0 else within(row["behind the best"], row["± "]),
            **{name: "–" if row[name] is None else f"{row[name]:.3f}" for name in COLUMNS},
            "learning": "–" if row["learning, s"] is None else f"{row['learning, s']:.0f} s",
            "parameters": "–" if not row["parameters"] else f"{row['parameters']:,}",
            "seeds": str(row["seeds"]),
        }
        for row in rows
    ]
    return [{name: text for name, text in line.items() if any(other[name] != "–" for other in lines)} for line in lines]
