"""How to make the page again, and the model."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ...saving import version
from .. import page
from ..case import Case


def again(case: Case, sheet: page.Page) -> dict[str, Any]:
    """Commands, versions, seed, hashes."""
    sheet.section("How to make this again", "again").meaning(
        "The same model, rows, seed and versions give the same page. Good: the hashes of the rows are those of your file."
    )
    command, fit = case.made.get("command"), fitting(case)
    for title, code in (("On the command line", command), ("In Python", python(case)), ("The model itself", fit)):
        if code:
            sheet.part(title)
            sheet.code(code)
    data, then = case.results["facts"]["data"], case.made.get("versions", {})
    facts = {
        "seed": case.seed,
        "rows of a side that measures look at": f"{len(case.rows):,}",
        "hash of the rows": data.get("hash"),
        "hash of the training rows": data.get("training_hash"),
        "hash of the model's file": case.made.get("hash"),
    }
    sheet.facts(facts | versions() | {f"{name}, when the model was made": value for name, value in then.items()})
    made = {key: value for key, value in case.made.items() if key != "command"}
    calls = {"command": command, "python": python(case), "fit": fit}
    return calls | {"seed": case.seed, "n": len(case.rows), "versions": versions(), "made": made}


def python(case: Case) -> str:
    """The calls that make the page."""
    path, data, train = case.made.get("path"), case.names.get("data"), case.names.get("train")
    words = [repr(path) if path else "model", repr(data) if data else "x"]
    if case.train is not None:
        words.append(f"train={train!r}" if train else "train=train")
    words += [f"seed={case.seed}", f"n={case.n}", *(["quick=True"] if case.quick else [])]
    return f"from pushforward.workbench.reporting import report\n\nreport({', '.join(words)}).write('report.html')"


def fitting(case: Case) -> str:
    """The call that fits such a model: its fields and the settings of the training that are not the system's own."""
    kind, model = type(case.model), case.model
    fields = {name: value for name, value in model.get_params(deep=False).items() if value != getattr(kind, name)}
    recipe = model.__dict__.get("_recipe")
    changes = (
        {}
        if recipe is None
        else {k: v for k, v in vars(recipe).items() if v != getattr(kind.recipe, k)} | {"seed": recipe.seed}
    )
    given = ", given=…" if model._given is not None else ""
    return f"import pushforward as pf\n\nmodel = pf.{kind.__name__}({words(fields)}).fit(x{given}{', ' if changes else ''}{words(changes)})"


def words(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in named.items())


def versions() -> dict[str, str]:
    return {
        "pushforward": version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
