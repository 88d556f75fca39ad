"""A folder NAME.pf back into a model. Every file is checked against the manifest first; nothing in the folder is run."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .engine.files import read_json, verify
from .errors import BadFile
from .saving import FORMAT
from .space import Space


def load(path: str | Path, find: Callable[[str], type], trust: str | None = None) -> Any:
    """Read a model folder. Only classes of pushforward are made, unless `trust` names the package of another."""
    folder = Path(path)
    if not folder.exists():
        raise BadFile(f"{folder} does not exist. A saved model is a folder NAME.pf.")
    verify(folder)
    described = read_json(folder / "card.json")
    model = unfold(described, find, trust, folder)
    fill(model, folder / "weights.safetensors")
    model.eval()
    return model


def unfold(described: Any, find: Callable[[str], type], trust: str | None, folder: Path) -> Any:
    """A card -> a model without weights."""
    try:
        if described["format"] > FORMAT:
            raise BadFile(
                f"{folder} was written by a newer pushforward (format {described['format']}; this one reads {FORMAT}). Upgrade pushforward."
            )
        kind = class_of(described["class"], described["module"], find, trust, folder)
        fields = {
            name: unfold(v, find, trust, folder)
            if isinstance(v, dict) and {"class", "module", "fields"} <= set(v)
            else tuple(v)
            if isinstance(v, list)
            else v
            for name, v in described["fields"].items()
        }
        model = kind(**fields)
        given = None if described["given"] is None else Space.from_json(described["given"])
        model.make(Space.from_json(described["space"]), given, None, 0, getattr(torch, described["dtype"]))
        model.chart.space = Space.from_json(described["coordinates"])
        rebuild(model, given)
        model.outcome_ = described.get("outcome", {})
        return model
    except (KeyError, TypeError, AttributeError) as problem:
        raise BadFile(
            f"{folder / 'card.json'} is not the card of a model: {type(problem).__name__} {problem}."
        ) from problem


def rebuild(model: Any, given: Space | None) -> None:
    """Build once more for the coordinates that the card tells, which the blank chart could not know."""
    chart, given_chart = model.chart, model._given_chart
    model.forget()
    model.build(chart.space, None if given_chart is None else given_chart.space.size)
    model.to(model.dtype)
    model.chart, model._given_chart = chart, given_chart


def class_of(name: str, module: str, find: Callable[[str], type], trust: str | None, folder: Path) -> type:
    root = str(module).partition(".")[0]
    if root == "pushforward":
        return find(str(name))
    if trust is None or root != trust:
        raise BadFile(
            f"{folder} holds a {name} of the package {root!r}, which is not ours; loading it would run that package's code. "
            f"If you trust it, say trust={root!r}."
        )
    return getattr(importlib.import_module(str(module)), str(name))


def fill(model: Any, path: Path) -> None:
    """Put saved weights into a built model: all of them or an error that names what differs."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        saved = load_file(path)
    except (SafetensorError, OSError) as problem:
        raise BadFile(f"{path} cannot be read: {problem}") from problem
    own = model.state_dict()
    if lost := sorted(set(own) ^ set(saved)):
        raise BadFile(
            f"{path} does not fit this {type(model).__name__}: {lost[0]!r} is {'missing' if lost[0] in own else 'not awaited'}."
        )
    for name, tensor in saved.items():
        if own[name].numel() == 0 and tensor.numel():  # a buffer whose size the data decided
            place, _, leaf = name.rpartition(".")
            model.get_submodule(place)._buffers[leaf] = tensor
        elif own[name].shape != tensor.shape:
            raise BadFile(
                f"{path}: {name!r} has shape {tuple(tensor.shape)}; this {type(model).__name__} has {tuple(own[name].shape)}."
            )
    model.load_state_dict(saved)  # not copied by hand: a masked network takes its order from the file
