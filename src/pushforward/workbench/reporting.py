"""A report on a saved or fitted model: the page and all its numbers, simple models beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from .. import catalogue, noise
from ..data.examples import Examples
from ..engine import Recipe, safe
from ..engine.files import MANIFEST, digest
from ..engine.safe import regular
from ..errors import BadData, BadFile, Problem
from ..report.rows import Rows, rows_of
from ..report.story import Story, story
from . import reading
from .verbs import opened

LEARNED = 20_000  # rows that a baseline learns from at most
FEW = 10  # rows below which nothing is judged
LEAST = 40  # rows from which half can be given to the baselines
SPLIT = 21  # the use of the seed that divides the rows

# What is simplest for a kind of space: (in words, system, fields, kinds). A baseline must be easy to understand and quick to fit.
BASELINES: tuple[tuple[str, str, dict[str, Any], tuple[str, ...]], ...] = (
    ("a product of marginals", "Gaussianization", {"order": "marginal", "layers": 1}, ("real",)),
    ("a product of marginals", "Factorised", {"smooth": 1.0}, ("binary", "levels", "tokens", "table")),
    ("a Gaussian", "Gaussian", {"shrink": "ledoit-wolf"}, ("real",)),
)


def report(
    model: Any,
    data: Any,
    *,
    train: Any = None,
    given: Any = None,
    said: dict[str, Any] | None = None,
    seed: int = 0,
    n: int = 2000,
    quick: bool = False,
    device: str = "auto",
    command: str = "",
) -> Story:
    """One page about a model, judged on `data`: rows that it has not learned from.

    `model` is a path or a fitted model; `data` and `train` are files, folders, built-in sets, or rows of the kind that it was fitted on. `train`
    are the rows that it learned from: with them the page tells whether it copies, and baselines learn from them. Without them the baselines
    learn from one half of `data` and everything is judged on the other. `given` are the conditions of a conditional model: `column=value`
    words, or what the doors take.
    """
    path = str(model) if isinstance(model, str | Path) else ""
    made: dict[str, Any] = {"command": command} if command else {}
    if path:
        model = opened(path, device)
        made |= remember(model, Path(os.path.expanduser(path))) | {"path": path}
    x = rows(model, data, given, said, "x")
    if len(x) < FEW:
        raise BadData(
            f"There are {len(x)} rows; a report needs {FEW} at least, and says something from a few hundred on."
        )
    learned = None if train is None else rows(model, train, None, said, "train")
    names = {name: str(thing) for name, thing in (("data", data), ("train", train)) if isinstance(thing, str | Path)}
    shelf = learned
    if learned is None and len(x) >= LEAST:
        shelf, x, names["part"] = halved(x, seed)
    simple = baselines(model, None if shelf is None else shelf.x, seed)
    return story(model, x, None, learned, simple, names=names, made=made, seed=seed, n=n, quick=quick)


def rows(model: Any, source: Any, given: Any, said: dict[str, Any] | None, name: str) -> Rows:
    """Rows of a source as the model reads them, and what is given with each."""
    if isinstance(source, str | Path):
        words: Sequence[str] = [given] if isinstance(given, str) else given if isinstance(given, list | tuple) else ()
        source, found = reading.raw(model, str(source), said or {}, words)
        given = found if found is not None else None if words else given
    return rows_of(model, source, given, name)


def halved(x: Rows, seed: int) -> tuple[Rows, Rows, str]:
    """Rows for the baselines to learn from, and rows to judge on."""
    with noise.stream(noise.mix(seed, SPLIT)):
        order = noise.permutation(len(x))
    first, second = (x.take(part.sort().values) for part in (order[: len(x) // 2], order[len(x) // 2 :]))
    chosen = f"{len(second):,} of {len(x):,} rows, chosen by seed {seed}"
    return first, second, f"{chosen}; from the others the baselines learned, as no training rows were passed"


def baselines(model: Any, x: torch.Tensor | None, seed: int) -> dict[str, Any]:
    """Simple models of the same space, fitted; or a sentence why there is none."""
    out: dict[str, Any] = {}
    for words, system, values, kinds in BASELINES:
        if model.space.kind not in kinds:
            continue
        name = words if model._given is None else f"{words} (which is not told what is given)"
        if x is None:
            out[name] = f"there are fewer than {LEAST} rows and no training rows were passed."
            continue
        try:
            out[name] = catalogue.find(system)(**values).fit(
                Examples(x[:LEARNED], space=model.space), seed=seed, quiet=True
            )
        except Problem as problem:
            out[name] = str(problem)
    return out


# ---- what a saved model does not carry along -----------------------------------------------------------------------------
def remember(model: Any, folder: Path) -> dict[str, Any]:
    """The journal and the recipe of a saved model, put back on it; and the facts of its file."""
    card = safe.json_of(folder / "card.json", safe.content(folder / "card.json", safe.CARD))
    known = {field.name for field in fields(Recipe)}
    try:
        if card.get("recipe"):
            model._recipe = Recipe(**{name: value for name, value in card["recipe"].items() if name in known})
    except (TypeError, AttributeError, ValueError) as problem:
        raise BadFile(f"{folder / 'card.json'}: 'recipe' is not that of a training: {problem}.") from problem
    model.history_ = journal(folder / "journal.jsonl")
    return {
        "written": card.get("written"),
        "versions": card.get("versions", {}),
        "hash": digest(folder / MANIFEST)[:16] if (folder / MANIFEST).exists() else None,
    }


def journal(path: Path) -> list[dict[str, Any]]:
    """The entries of a journal; a last line that was cut short by a kill is not one."""
    if not os.path.lexists(path):
        return []
    with regular(path) as file:
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    out = []
    for i, line in enumerate(lines):
        try:
            entry = json.loads(line)
        except ValueError as problem:
            if i == len(lines) - 1:
                break
            raise BadFile(f"{path}, line {i + 1} is not JSON: {problem}. Remove the line, or the journal.") from problem
        if isinstance(entry, dict):
            out.append(entry)
    return out


__all__ = ["report"]
