"""Checkpoints of spread weights: every process writes and reads its own part, so none ever holds the whole.

torch.distributed.checkpoint in the format of safetensors: `shard-R-….safetensors` has what process R owns and where in the whole it begins,
`state.json` the numbers of the run. The folder is complete or absent: the first process stages it, all write into the stage, the first signs and
renames. Written by W processes it is read by any number, spread or not, and so is a checkpoint that one process wrote: each reads the slices
that it needs. torch's own format is not used, since its list of contents is a pickle.

A process holds, while it writes, its own part twice more (what is written and its bytes); while it reads, nothing more than one tensor.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import BadFile
from . import checkpoint, safe
from .files import read_json, staged, verify
from .machine import Machine


def are_in(place: Path) -> bool:
    """Whether a checkpoint was written by several processes, each its part."""
    return next(place.glob("shard-*.safetensors"), None) is not None


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint if it was written in parts; None where there is none, or a newer one in one piece."""
    for _, place in reversed(checkpoint.places(folder)):
        try:
            verify(place)
        except BadFile:
            continue
        return place if are_in(place) else None
    return None


# ---- writing ---------------------------------------------------------------------------------------------------------
def write(
    machine: Machine, folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any], last: int = 2
) -> Path:
    """Write checkpoint `step`, whole or not at all: every process calls this, and an OSError on one is an OSError on all."""
    place, problem = folder / f"step-{step:09d}", ""
    try:
        with ExitStack() as stack:
            stage = begun(machine, stack, place)
            together(machine, stage, tensors)
            if machine.rank == 0:
                (stage / "state.json").write_text(json.dumps(state))
        # signed, flushed and renamed here
    except OSError as found:
        problem = str(found)
    machine.meet()  # the first reads all parts for their hashes
    if problem := machine.tell(problem):
        raise OSError(problem)
    if machine.rank == 0:
        checkpoint.forget(folder, step, last)
    return place


def begun(machine: Machine, stack: ExitStack, place: Path) -> Path:
    """The stage that the first process opens and all write into; an OSError on all where it cannot be."""
    stage, problem = "", ""
    if machine.rank == 0:
        try:
            stage = str(stack.enter_context(staged(place)))
        except OSError as found:
            problem = str(found)
    stage, problem = machine.tell([stage, problem])
    if not stage:
        raise OSError(problem)
    # torch makes a folder that it does not see: each host would have parts of its own, and a checkpoint that lacks the others'.
    seen = machine.sums(float(Path(stage).is_dir()))[0]
    if seen < machine.world:
        raise OSError(
            f"only {seen:.0f} of {machine.world} processes see {place.parent}, and with spread weights each writes its part there; "
            "put the model's folder where all hosts can write"
        )
    return Path(stage)


def together(machine: Machine, stage: Path, tensors: dict[str, Tensor]) -> None:
    """All parts, seen by the first process; else an OSError."""
    problem = own_part(stage, tensors)
    if machine.most(float(bool(problem)))[0]:
        raise OSError(problem or "another process could not write its part")
    written = machine.sums(float(any(stage.glob(f"shard-{machine.rank + 1:05d}-*"))))[0]
    seen = len(list(stage.glob("shard-*")))
    if machine.rank == 0 and seen < written:
        raise OSError(f"{written:.0f} parts were written and the first process sees {seen}")


def own_part(stage: Path, tensors: dict[str, Tensor]) -> str:
    """Write what this process owns; what went wrong, or nothing."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.api import CheckpointException

    # A number alone has no place in a whole: it goes as a row of one.
    flat = {name: t.detach() if t.dim() else t.detach().reshape(1) for name, t in tensors.items()}
    try:
        with quiet():
            dcp.save(flat, storage_writer=dcp.HuggingFaceStorageWriter(str(stage), save_distributed=True))
    except CheckpointException as problem:
        return "; ".join(f"process {rank}: {found[0]}" for rank, found in problem.failures.items())
    return ""


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's remarks on versions of its own that the reader of ours can do nothing about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ---- reading ---------------------------------------------------------------------------------------------------------
def contents(place: Path) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """name -> (shape, dtype) of all that a checkpoint holds, from the heads of its files."""
    import torch.distributed.checkpoint as dcp

    with read_well(place):
        found = dcp.HuggingFaceStorageReader(str(place)).read_metadata().state_dict_metadata
    return {name: (tuple(about.size), about.properties.dtype) for name, about in found.items()}  # type: ignore[union-attr]


def state(place: Path) -> dict[str, Any]:
    path = place / "state.json"
    return checkpoint.sane(path, safe.typed(path, read_json(path), checkpoint.STATE))


@torch.no_grad()
def read(machine: Machine, place: Path, tensors: dict[str, Tensor]) -> None:
    """Fill tensors, which may be spread, from a checkpoint: each process takes its slices. All processes call this."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.api import CheckpointException

    known = contents(place)
    if lost := sorted(set(tensors) - set(known)):
        raise BadFile(f"{place} lacks {lost[0]!r}, which this run keeps. Start anew (overwrite).")
    alone = {name for name in tensors if known[name][0] == ()}  # written in one piece: a slice of no axis is none
    into = {name: t if t.dim() else t.reshape(1) for name, t in tensors.items() if name not in alone}
    with read_well(place):
        for name, value in numbers(place, alone).items():
            tensors[name].copy_(value.reshape(tensors[name].shape))
        try:
            with quiet():
                dcp.load(into, storage_reader=dcp.HuggingFaceStorageReader(str(place)), no_dist=machine.world == 1)
        except CheckpointException as problem:
            said = "; ".join(str(found[0]) for found in problem.failures.values())
            raise BadFile(f"{place} cannot be read: {said}") from problem


def numbers(place: Path, names: set[str]) -> dict[str, Tensor]:
    """Tensors without axes."""
    from safetensors import safe_open

    out: dict[str, Tensor] = {}
    for path in place.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            out |= {name: file.get_tensor(name) for name in names & set(file.keys())}
    return out


@contextmanager
def read_well(place: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError, KeyError) as problem:
        raise BadFile(f"{place} cannot be read: {problem}") from problem
