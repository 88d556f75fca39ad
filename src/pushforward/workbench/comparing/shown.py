"""The table as it is shown: numbers with their errors, no more digits than the error leaves."""

from __future__ import annotations

from math import floor, inf, isfinite, log10
from typing import Any

JOIN = "\N{NO-BREAK SPACE}"  # a number and its error stay on one line
MEASURES = ("told apart", "columns", "pairs", "copied")


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


def measured(value: float | None, error: float | None) -> str:
    """A measure of samples: three digits, and its error where that is known.

    >>> measured(0.98765, None), measured(0.5, 0.0123)
    ('0.988', '0.500\xa0±\xa00.012')
    """
    return within(value, error) if value is None or error else f"{value:.3f}"


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a comparison as texts; a column that says nothing of any model is left out."""
    lines = [
        {
            "model": row["model"],
            "nats a row": within(row["nats"], row["±"]),
            "kind": row["kind"],
            "behind the best": "the best" if row["behind the best"] == 0 else within(row["behind the best"], row["± "]),
            **{name: measured(row[name], row[f"{name} ±"]) for name in MEASURES},
            "learning": "–" if row["learning, s"] is None else f"{row['learning, s']:.0f} s",
            "parameters": "–" if not row["parameters"] else f"{row['parameters']:,}",
            "seeds": str(row["seeds"]),
        }
        for row in rows
    ]
    return [{name: text for name, text in line.items() if any(other[name] != "–" for other in lines)} for line in lines]
