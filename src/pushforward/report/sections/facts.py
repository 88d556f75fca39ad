"""What the data are and what the model is."""

from __future__ import annotations

from typing import Any

import torch

from ...abilities import ABILITIES
from ...metrics.likelihood import fingerprint
from .. import page
from ..case import Case
from ..rows import copies

SHOWN = 24  # columns that are listed before the fold
FEW = 200  # rows below which errors are wide
MEASURES = {
    "counting": "a probability of each possible row, so nats are at most 0 and bits per dimension mean something",
    "Lebesgue": "a density, so nats may be above 0 and depend on the units of the columns",
    "mixed": "a density of the numbers times probabilities of the labels, so nats depend on the units of the numbers",
}
KINDS = {
    "real": "numbers",
    "binary": "zeros and ones",
    "levels": "whole numbers on a scale",
    "tokens": "text, symbol by symbol",
    "table": "a table of mixed columns",
}
DOES = {
    "sample": "draw new rows",
    "log_prob": "say how likely a row is, exactly",
    "bound": "say how likely a row is at least",
    "energy": "say which of two rows is likelier, without the constant",
    "evidence": "estimate how likely a row is, by sampling",
    "encode": "find the code of a row",
    "decode": "make a row of a code",
    "complete": "fill in what is missing",
}


def data(case: Case, sheet: page.Page) -> dict[str, Any]:
    """The rows that the model is judged on, and those that it learned from."""
    space, train = case.space, case.train
    sheet.section("The data", "data").meaning(
        "What the model is judged on. Good: rows that it has not learned from, as many as can be had, and gathered in the same way."
    )
    sheet.facts(told(case))
    shared = None if train is None else copies(case.x, train)
    for words in cares(case, shared):
        sheet.care(words)
    listed = columns(case)
    if listed:
        sheet.table(listed[:SHOWN], caption="The columns")
    if len(listed) > SHOWN:
        sheet.fold(f"{len(listed) - SHOWN} more columns", [page.table(listed[SHOWN:], caption="More columns")])
    return {
        "rows": len(case.x),
        "variables": space.size,
        "space": str(space),
        "measure": space.measure,
        "columns": listed,
        "hash": fingerprint(space, case.x),
        "training_rows": None if train is None else len(train),
        "training_hash": None if train is None else fingerprint(space, train),
        "rows_also_in_training": shared,
        "rows_compared": len(case.rows),
        "outside": case.outside or None,
    }


def told(case: Case) -> dict[str, Any]:
    """The facts of the rows in words."""
    measure, own = case.space.measure, case.model._given
    return {
        "judged on": case.names.get("data"),
        "of which": case.names.get("part"),
        "rows": f"{len(case.x):,}",
        "a row is": described(case),
        "measure": f"{measure}: {MEASURES[measure]}",
        "missing": missing_words(case),
        "given with each row": None if own is None else ", ".join(own.names) or str(own),
        "learned from": learned(case),
        "looked at": f"{len(case.rows):,} of the rows, chosen by seed {case.seed}, wherever samples are compared",
    }


def cares(case: Case, shared: int | None) -> list[str]:
    """What is wrong with the rows."""
    out = []
    if shared:
        repeats = case.space.measure == "counting" or case.space.kind == "table"
        chance = "In data that repeat this may be chance; otherwise the numbers below flatter the model."
        seen = "The model has seen them, so the numbers below flatter it."
        out.append(
            f"{shared:,} of the {len(case.x):,} rows also stand in the training data. {chance if repeats else seen}"
        )
    if case.outside:
        out.append(case.outside)
    if len(case.x) < FEW:
        out.append(f"{len(case.x)} rows are few: most errors below are wide, and small differences cannot be seen.")
    return out


def described(case: Case) -> str:
    """One row in words."""
    space = case.space
    if case.picture:
        c, h, w = space.shape
        colour = {1: "grey", 3: "colour"}.get(c, f"{c} channels")
        values = {"binary": "black or white", "levels": f"{space.levels} levels"}.get(space.kind, "numbers")
        return f"an image of {h} × {w} points, {colour}, {values}"
    if space.kind == "tokens":
        long = f"at most {space.shape[0] - 1}" if space.end >= 0 else f"{space.shape[0]}"
        return f"a text of {long} symbols, of {space.levels - (space.end >= 0)} different ones"
    count = f"{space.size} variables" if space.size > 1 else "1 variable"
    values = f", 0 … {space.levels - 1}" if space.kind == "levels" else ""
    return f"{count}: {KINDS[space.kind]}{values}"


def missing_words(case: Case) -> str | None:
    if case.space.kind != "table":
        return None
    gone = gaps(case)
    return f"{100 * float(gone.float().mean()):.3g} % of the cells" if bool(gone.any()) else "none"


def gaps(case: Case) -> torch.Tensor:
    """Which cells of a table are missing (N, D)."""
    last = torch.tensor([c.size - 1 if c.discrete and c.missing else -1 for c in case.space.columns])
    return torch.isnan(case.x) | (case.x == last)


def learned(case: Case) -> str:
    if case.train is None:
        return "not known: no training rows were passed"
    name = case.names.get("train")
    return f"{len(case.train):,} rows{f' of {name}' if name else ''}"


def columns(case: Case) -> list[dict[str, Any]]:
    """A line for each column of rows that have names or kinds."""
    space = case.space
    out: list[dict[str, Any]] = []
    if space.kind == "table":
        gone = gaps(case).float().mean(0).tolist()
        for j, c in enumerate(space.columns):
            out.append({"column": c.name, "kind": c.kind, "holds": c.holds, "missing": f"{100 * gone[j]:.3g} %"})
    elif space.kind == "real" and len(space.shape) == 1:
        x = case.x.double()
        for name, v in zip(case.labels, x.T, strict=True):
            out.append(
                {
                    "column": name,
                    "mean": float(v.mean()),
                    "deviation": float(v.std()),
                    "least": float(v.min()),
                    "most": float(v.max()),
                }
            )
    return out


def model(case: Case, sheet: page.Page) -> dict[str, Any]:
    """Class, fields, size, and what it can and cannot do."""
    own, kind = case.model, type(case.model)
    about = (kind.__doc__ or "").strip().split("\n")[0]
    sheet.section("The model", "model").meaning(
        "What it is and what can be asked of it. What is missing is missing for a reason that lies in its mathematics."
    )
    size = f"{own.size():,} that are learned by steps" if own.size() else "none that are learned by steps"
    made = {"written": case.made.get("written"), "file": case.made.get("path")}
    sheet.facts({"system": kind.__name__, "in a sentence": about, "parameters": size} | made)
    cannot = {ability: why for ability in ABILITIES if (why := own.lack(ability)) is not None}
    can = own.abilities
    rows = [
        {"it can": ability, "which is to": does, "how": can.get(ability) or f"no: {cannot[ability]}"}
        for ability, does in DOES.items()
    ]
    sheet.table(rows, caption="What it can")
    if fields := settings(own):
        sheet.fold(f"Its {len(fields)} fields", [page.table(fields, caption="Fields")])
    values = own.get_params(deep=False).items()
    plain = {
        name: value if isinstance(value, bool | int | float | str | None) else shown(value) for name, value in values
    }
    return {
        "system": kind.__name__,
        "about": about,
        "fields": plain,
        "parameters": own.size(),
        "abilities": can,
        "cannot": cannot,
    }


def settings(own: Any) -> list[dict[str, Any]]:
    """Each field of a model, as it is and as it would be unless said."""
    comments = own.comments()
    return [
        {
            "field": name,
            "value": shown(value),
            "default": shown(getattr(type(own), name)),
            "what it is": comments.get(name, ""),
        }
        for name, value in own.get_params(deep=False).items()
    ]


def shown(value: Any) -> str:
    """A field's value as one would write it."""
    return repr(value) if not isinstance(value, tuple) else ", ".join(map(repr, value))
