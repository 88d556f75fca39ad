"""A model as a folder NAME.pf: card.json, weights.safetensors, journal.jsonl, README.md, MANIFEST.sha256. No pickle, no code."""

from __future__ import annotations

import json
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from .engine.files import MANIFEST, mend, staged
from .errors import BadFile, Usage

FORMAT = 1


def claim(path: str | Path, overwrite: bool, resume: bool) -> Path:
    """A folder that may be written: new, or to be overwritten or resumed by the caller's word."""
    folder = Path(path)
    mend(folder)
    if folder.exists() and not (overwrite or resume):
        raise Usage(
            f"{folder} exists. Say overwrite (--overwrite) to replace it, resume (--resume) to go on with it, or name another."
        )
    if (
        folder.is_dir()
        and any(folder.iterdir())
        and not any((folder / name).exists() for name in (MANIFEST, "checkpoints", "journal.jsonl"))
    ):
        raise Usage(
            f"{folder} is a folder with other things in it, not a model, and is left alone. Name another place."
        )
    if (
        folder.exists()
        and overwrite
        and not resume
        and folder.is_dir()
        and ((folder / MANIFEST).exists() or (folder / "checkpoints").exists())
    ):
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        (folder / "journal.jsonl").unlink(missing_ok=True)
    elif folder.exists() and not folder.is_dir():
        raise Usage(f"{folder} is a file; a model is a folder. Name another place.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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
    """Write the folder whole or leave what stands there."""
    from safetensors.torch import save_file

    history = folder / "journal.jsonl"
    try:
        with staged(folder) as stage:
            described = card(model)
            (stage / "card.json").write_text(json.dumps(described, indent=1))
            save_file(
                {name: t.detach().contiguous().cpu().clone() for name, t in model.state_dict().items()},
                stage / "weights.safetensors",
            )
            if history.exists():
                shutil.copy(history, stage / "journal.jsonl")
            (stage / "README.md").write_text(readme(model, described))
    except OSError as problem:
        raise BadFile(
            f"{folder} could not be written: {problem}. What stood there is as it was; the model is still in memory."
        ) from problem
    return folder


def readme(model: Any, described: dict[str, Any]) -> str:
    abilities = "\n".join(f"- `{name}`: {kind}" for name, kind in described["abilities"].items())
    outcome = ", ".join(f"{k} {v}" for k, v in described["outcome"].items() if v is not None)
    return (
        f"# {described['class']}\n\nA generative model of {model.space} made with pushforward {described['versions']['pushforward']} "
        f"({described['written']}).\n\n{(type(model).__doc__ or '').strip().splitlines()[0]}\n\n## It can\n\n{abilities}\n\n## Training\n\n{outcome}\n\n"
        f"## Use\n\n```python\nimport pushforward as pf\nmodel = pf.load('{model.space.form}.pf')\nmodel.sample(10)\n```\n\n"
        "What it draws is generated, not observed. It has learned from its training data, their errors and their biases included.\n"
    )
