"""Checkpoints: all that a run needs to go on as if it had never stopped. Tensors in safetensors, numbers in JSON, no pickle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import BadFile, Usage
from .files import read_json, staged, verify


def write(folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any], last: int = 2) -> Path:
    """Write checkpoint `step` under `folder`, whole or not at all, and forget all but the `last` ones."""
    from safetensors.torch import save_file

    place = folder / f"step-{step:09d}"
    with staged(place) as stage:
        save_file(
            {name: t.detach().contiguous().cpu().clone() for name, t in tensors.items()}, stage / "state.safetensors"
        )
        (stage / "state.json").write_text(json.dumps(state))
    for old in sorted(folder.glob("step-*"))[:-last]:
        shutil.rmtree(old)
    return place


def newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest checkpoint that is whole; None where there is none. A damaged one is passed over only for an older whole one."""
    problem: BadFile | None = None
    for place in sorted(folder.glob("step-*"), reverse=True):
        try:
            verify(place)
            return load(place)
        except BadFile as found:
            problem = problem or found
    if problem:
        raise problem
    return None


def load(place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(place / "state.safetensors"), read_json(place / "state.json")
    except SafetensorError as problem:
        raise BadFile(f"{place / 'state.safetensors'} cannot be read: {problem}") from problem


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
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(prefix + "."):
            index, _, entry = name[len(prefix) + 1 :].partition(".")
            state.setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
