"""Checkpoints: all that a run needs to go on as if it had never stopped. Tensors in safetensors, numbers in JSON, no pickle."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import BadFile, Usage
from . import safe
from .files import BEFORE, MANIFEST, read_json, staged, verify, write_tensors

STEP = re.compile(r"step-(\d{9,})")
STATE: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("step", "best_step", "waited", "failures", "parts", "passed_over", "world", "threads"), (int,)),
    **dict.fromkeys(("slower", "spent"), (int, float)),
    "best": (int, float, type(None)),
    "origin": (dict,),
}

KEPT = {  # what an optimiser keeps for each weight
    "Adam": {"step", "exp_avg", "exp_avg_sq"},
    "AdamW": {"step", "exp_avg", "exp_avg_sq"},
    "RMSprop": {"step", "square_avg"},
    "SGD": {"momentum_buffer"},
}


def write(folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any], last: int = 2) -> Path:
    """Write checkpoint `step` under `folder`, whole or not at all, and forget all but the `last` ones."""
    place = folder / f"step-{step:09d}"
    with staged(place) as stage:
        write_tensors(stage / "state.safetensors", tensors)
        (stage / "state.json").write_text(json.dumps(state))
    forget(folder, step, last)
    return place


def places(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints of a folder, by step."""
    if not folder.is_dir():
        return []
    return sorted((int(found[1]), p) for p in folder.iterdir() if (found := STEP.fullmatch(p.name)))


def forget(folder: Path, step: int, last: int = 2) -> None:
    """Remove all but the last checkpoints up to `step`, which is on the disk. Later ones were damaged: a run goes on from the newest whole one."""
    known = places(folder)
    keep = {place for _, place in [(s, place) for s, place in known if s <= step][-last:]}
    for _, old in known:
        if old not in keep:
            gone = folder / f".{old.name}.{os.getpid()}.part"
            old.rename(gone)  # no half of one under its name
            shutil.rmtree(gone)


def newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest checkpoint that is whole; None where there is none. A damaged one is passed over only for an older whole one."""
    problem: BadFile | None = None
    for _, place in reversed(places(folder)):
        try:
            verify(place)
            return load(place)
        except (BadFile, OSError) as found:
            problem = problem or BadFile(f"No checkpoint in {folder} is whole. The newest: {found}")
    if problem:
        raise problem
    return None


def refusal(folder: Path | None) -> str:
    """Why not to start from the beginning where there is no checkpoint to go on from: a model stands there that would be lost. Else nothing."""
    if folder is None or not (folder / MANIFEST).is_file():
        return ""
    earlier = folder / BEFORE / "checkpoints"
    where = f" (those of the run before lie in {earlier})" if places(earlier) else ""
    return (
        f"{folder} holds a model, and no checkpoint to go on from{where}. Say overwrite (--overwrite) to learn anew in its place, "
        "or name another place."
    )


def load(place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = place / "state.json"
    return safe.load(place / "state.safetensors"), sane(path, safe.typed(path, read_json(path), STATE))


def sane(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a run as a run can have written them."""
    for name, value in state.items():
        if name not in STATE or name == "origin" or value is None:
            continue
        least = -math.inf if name == "best" else 1 if name in ("parts", "world", "threads") else 0
        if not (math.isfinite(value) and least <= value < 1 << 53):
            raise BadFile(f"{path}: {name!r} is {value}; a finite number of at least {least} is awaited.")
    return state


@torch.no_grad()
def pour(tensors: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    """The checkpoint's weights into those of a model; a checkpoint of another model is an error, and nothing is changed."""
    for name, tensor in own.items():
        saved = tensors.get(f"model.{name}")
        if saved is None or saved.shape != tensor.shape:
            found = (
                "is not in it"
                if saved is None
                else f"has shape {tuple(saved.shape)} in it and {tuple(tensor.shape)} here"
            )
            raise Usage(
                f"The checkpoint is of another model: {name!r} {found}. Resume with the same fields and data, or start anew (overwrite)."
            )
    for name, tensor in own.items():
        tensor.copy_(tensors[f"model.{name}"])


def flatten(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """An optimiser's state as named tensors: prefix.index.name."""
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}.{i}.{name}": torch.as_tensor(value)
        for i, entry in state.items()
        for name, value in entry.items()
        if value is not None
    }


def unflatten(optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Put named tensors back into an optimiser."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(prefix + "."):
            index, _, entry = name[len(prefix) + 1 :].partition(".")
            known = index.isdecimal() and int(index) < len(weights) and entry in KEPT[type(optimizer).__name__]
            if not known or (value.numel() != 1 and value.shape != weights[int(index)].shape):
                raise BadFile(
                    f"The checkpoint holds {name!r} of shape {tuple(value.shape)}, which {type(optimizer).__name__} does not keep for these "
                    "weights. Resume with the recipe that it was written with, or start anew (overwrite)."
                )
            state.setdefault(int(index), {})[entry] = value
    if any(set(kept) != KEPT[type(optimizer).__name__] for kept in state.values()):
        raise BadFile(f"The checkpoint lacks a part of what {type(optimizer).__name__} keeps. Start anew (overwrite).")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
