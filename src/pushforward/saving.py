"""A model as a folder NAME.pf: card.json, weights.safetensors, journal.jsonl, README.md, MANIFEST.sha256. No pickle, no code.

`claim` asks for a place, and touches nothing that stands there; `save` writes. Between the two a run holds the folder's lock by its journal.
"""

from __future__ import annotations

import json
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from .engine.files import BEFORE, MANIFEST, RUNS, make, mend, movable, real, remove, staged, tidy, write_tensors
from .engine.locks import WORDS, Word, hold
from .engine.signals import Signals
from .errors import BadFile, Usage

FORMAT = 1


def claim(path: str | Path, overwrite: bool, resume: bool) -> Path:
    """A folder that may be written: new, or to be overwritten or resumed by the caller's word.

    Nothing of what stands there is touched: it stays until the new model is whole.
    """
    folder = Path(path)
    try:
        with hold(folder) as lock:
            if lock.depth > 1:
                raise Usage(f"{folder} is where the run that is going on keeps its own. Save to another place.")
            mend(folder)
            tidy(folder / "checkpoints")
            check(folder, overwrite or resume)
            if folder.exists():
                moved(folder)
            make(folder)
            found = WORDS.get(real(folder), Word())
            WORDS[real(folder)] = Word(lock.said or found.said, overwrite and not resume and any(folder.iterdir()))
    except OSError as problem:
        raise BadFile(f"{folder} cannot be written: {problem.strerror or problem}. Name another place.") from problem
    return folder


def moved(folder: Path) -> None:
    """Whether what is written can take the place of a folder that stands: said now, not when a model has been learned."""
    try:
        movable(folder)
    except OSError as problem:
        raise BadFile(
            f"{folder} cannot change places with a new one ({problem.strerror}): a volume is mounted there, or it belongs to a container's image. "
            "Name a folder inside it, or another place."
        ) from problem


def check(folder: Path, may: bool) -> None:
    """Whether a folder is one that a model may be written to."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise Usage(f"{folder} is a file; a model is a folder. Name another place.")
    if not may and any(folder.iterdir()):
        raise Usage(
            f"{folder} exists. Say overwrite (--overwrite) to replace it, resume (--resume) to go on with it, or name another."
        )
    if any(folder.iterdir()) and not any((folder / name).exists() for name in (MANIFEST, *RUNS, BEFORE)):
        raise Usage(
            f"{folder} is a folder with other things in it, not a model, and is left alone. Name another place."
        )
    for name in (*RUNS, BEFORE):
        if (folder / name).is_symlink():
            raise Usage(
                f"{folder / name} is a link; a run writes inside its folder alone. Put what it names there itself."
            )


def discard(folder: Path) -> None:
    """Remove what a run that came to nothing had begun, if no other run has the folder by now."""
    if not folder.is_dir():
        return
    try:
        with hold(folder):
            if not ((folder / MANIFEST).exists() or any((folder / "checkpoints").glob("step-*"))):
                remove(folder)
    except (Usage, BadFile):
        return  # it is another's, or cannot be changed: what the run came to is the thing to tell


def card(model: Any) -> dict[str, Any]:
    """All of a model but its weights, as JSON."""
    kind = type(model)
    return {
        "format": FORMAT,
        "class": kind.__name__,
        "module": kind.__module__,
        "fields": {
            name: card(value) if hasattr(value, "make") else value
            for name, value in model.get_params(deep=False).items()
        },
        "space": model.space.to_json(),
        "given": None if model._given is None else model._given.to_json(),
        "coordinates": model.chart.space.to_json(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "recipe": vars(model._recipe) if hasattr(model, "_recipe") else {},
        "outcome": {
            k: v for k, v in getattr(model, "outcome_", {}).items() if v is None or isinstance(v, int | float | str)
        },
        "abilities": model.abilities,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"pushforward": version(), "torch": torch.__version__, "python": platform.python_version()},
    }


def version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pushforward")
    except PackageNotFoundError:
        return "source"


def save(model: Any, folder: Path) -> Path:
    """Write the folder whole or leave what stands there. A signal is heard when it is written; a second Ctrl-C at once."""
    history = folder / "journal.jsonl"
    try:
        with hold(folder), Signals() as signals:
            anew = WORDS.pop(real(folder), Word()).anew
            with staged(folder, anew) as stage:
                described = card(model)
                (stage / "card.json").write_text(json.dumps(described, indent=1))
                write_tensors(stage / "weights.safetensors", model.state_dict())
                if history.is_file() and not history.is_symlink() and not anew:
                    shutil.copyfile(history, stage / "journal.jsonl")
                (stage / "README.md").write_text(readme(model, described, folder.name))
        signals.follow()
    except OSError as problem:
        raise BadFile(
            f"{folder} could not be written: {problem}. What stands there is whole, and the model is still in memory: save it again, or elsewhere."
        ) from problem
    return folder


def readme(model: Any, described: dict[str, Any], name: str) -> str:
    abilities = "\n".join(f"- `{verb}`: {kind}" for verb, kind in described["abilities"].items())
    outcome = ", ".join(f"{k} {v}" for k, v in described["outcome"].items() if v is not None)
    return (
        f"# {described['class']}\n\nA generative model of {model.space} made with pushforward {described['versions']['pushforward']} "
        f"({described['written']}).\n\n{(type(model).__doc__ or '').strip().splitlines()[0]}\n\n## It can\n\n{abilities}\n\n## Training\n\n{outcome}\n\n"
        f"## Use\n\n```python\nimport pushforward as pf\nmodel = pf.load('{name}')\nmodel.sample(10)\n```\n\n"
        "What it draws is generated, not observed. It has learned from its training data, their errors and their biases included.\n"
    )
