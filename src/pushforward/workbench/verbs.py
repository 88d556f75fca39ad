"""The verbs by name and path: fit, sample, score, complete, encode, decode, inspect, verify, make."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import catalogue
from ..data import load
from ..data.load import SETS, keywords, missing, named
from ..engine import Recipe
from ..engine.files import standing
from ..engine.files import verify as check
from ..engine.machine import device_of
from ..errors import BadFile, Problem, Usage, did_you_mean
from ..saving import claim, discard, save
from ..space import Space
from ..tags import lines
from . import reading
from .choosing import choose, settings


@dataclass
class Fitted:
    """What came of a training: the model, where it lies, and which it is and why."""

    model: Any
    path: Path
    why: str
    examples: int

    @property
    def reason(self) -> str:
        return str(self.model.outcome_.get("reason"))

    @property
    def nats(self) -> float | None:
        """Mean log-likelihood (or bound) of the best validation."""
        best = self.model.outcome_.get("best")
        return None if best is None else -best

    def to_json(self) -> dict[str, Any]:
        outcome = self.model.outcome_
        bits = {} if self.nats is None else self.model.units(-self.nats)
        return {
            "model": type(self.model).__name__,
            "why": self.why or None,
            "out": str(self.path),
            "examples": self.examples,
            "space": str(self.model.space),
            "fields": self.model.get_params(deep=False),
            "steps": outcome.get("step"),
            "seconds": outcome.get("seconds"),
            "ended_by": self.reason,
            "remark": outcome.get("remark"),
            "held_out_nats": self.nats,
            **{f"held_out_{name}": value for name, value in bits.items()},
            "parameters": self.model.size(),
            "abilities": self.model.abilities,
        }


@dataclass
class Opened:
    """A model that was read from its folder, and data that it gave."""

    model: Any
    data: Any = None

    @property
    def space(self) -> Space:
        return self.model.space


def first() -> bool:
    """Whether this is the only process, or the first of many (torchrun)."""
    return int(os.environ.get("RANK", 0)) == 0


def place_of(data: str) -> Path:
    """Where a model of these data goes if no place is named: DATA's name with the suffix .pf."""
    name = Path(os.path.expanduser(data)).resolve().name if Path(data).name in ("", ".", "..") else Path(data).name
    while Path(name).suffix.lower() in (
        ".gz",
        ".csv",
        ".tsv",
        ".tab",
        ".jsonl",
        ".ndjson",
        ".json",
        ".parquet",
        ".pq",
        ".npy",
        ".npz",
        ".idx",
        ".txt",
        ".text",
    ):
        name = Path(name).stem
    return Path(f"{name or 'model'}.pf")


def fit(
    data: str,
    model: str = "",
    out: str | Path | None = None,
    *,
    pairs: Sequence[str] = (),
    said: dict[str, Any] | None = None,
    given: Sequence[str] = (),
    valid: str = "",
    time: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    shards: bool = False,
    tensorboard: bool = False,
    quiet: bool = False,
    tell: Any = None,
) -> Fitted:
    """Learn from a file, folder or built-in set. `tell` is called with the choice of a model before training begins."""
    kind = catalogue.find(model) if model else None
    if kind is not None:
        settings(kind, pairs)  # a misspelt field is an error before the data are read
    Recipe(time=time)
    device_of(device)
    if tensorboard:
        installed("tensorboard", "track")
    path = Path(out) if out else place_of(data)
    fresh = not path.exists()
    if first() and not fresh:
        claim(path, overwrite, resume)
    said = dict(said or {}) | ({"given": given[0] if len(given) == 1 else list(given)} if given else {})
    examples = load(data, **said)
    why = ""
    if kind is None:
        chosen, why = choose(examples.space, len(examples))
        kind = catalogue.find(chosen)
        if tell:
            tell(chosen, why)
    fields, changes = settings(kind, pairs)
    changes |= {name: value for name, value in (("time", time), ("seed", seed)) if value is not None}
    held = held_out(valid, said) if valid else changes.pop("valid", None)
    maker = kind(**fields)
    try:
        fitted = maker.fit(
            examples,
            valid=held,
            out=path,
            overwrite=overwrite,
            resume=resume,
            device=device,
            shards=shards,
            tensorboard=tensorboard,
            quiet=quiet,
            **changes,
        )
    except BaseException:
        if first() and fresh:
            discard(path)
        raise
    if said and first():
        fitted.outcome_["read"] = json.dumps(said)
        save(fitted, path)
    return Fitted(fitted, path, why, len(examples))


def held_out(valid: str, said: dict[str, Any]) -> Any:
    """A share of the examples, or others from a file."""
    try:
        return float(valid)
    except ValueError:
        found = load(valid, **said)
    x = found.space.restore(found.x)
    return x if found.given is None or found.given_space is None else (x, found.given_space.restore(found.given))


def installed(module: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise Usage(f"{module} is not installed. Install it with: pip install 'pushforward[{extra}]'")


def opened(path: str, device: str = "auto") -> Any:
    """A saved model on a device."""
    return catalogue.load(lying(path)).to(device_of(device))


def lying(path: str) -> Path:
    """The folder of a saved model."""
    folder = Path(os.path.expanduser(path))
    if not standing(folder).exists():
        beside = [p.name for p in folder.parent.glob("*.pf")] if folder.parent.is_dir() else []
        raise BadFile(
            f"There is no model {path}. A saved model is a folder NAME.pf.{did_you_mean(folder.name, beside)}"
        )
    return folder


def sample(path: str, n: int, given: Sequence[str] = (), seed: int | None = None, device: str = "auto") -> Opened:
    model = opened(path, device)
    return Opened(model, model.sample(n, given=reading.condition(model, given), seed=seed))


def anomaly(
    path: str,
    data: str,
    reference: str = "",
    background: str = "",
    way: str = "auto",
    rate: float = 0.05,
    said: dict[str, Any] | None = None,
    given: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
) -> Any:
    """How odd each row is; `reference` and `background` are a file of usual rows and a saved model."""
    model = opened(path, device)
    other = opened(background, device) if background else None
    x, condition = reading.raw(model, data, said or {}, given)
    usual, beside = reading.raw(model, reference, said or {}, given) if reference else (None, None)
    return model.anomaly(
        x, way, reference=usual, background=other, given=condition, reference_given=beside, rate=rate, seed=seed
    )


def complete(
    path: str,
    data: str = "",
    prompts: Sequence[str] = (),
    known: str = "",
    said: dict[str, Any] | None = None,
    given: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
) -> Opened:
    """Fill in what is missing: empty cells, NaN, the rest of a text, or the part that `known` leaves out."""
    model = opened(path, device)
    door = model.complete  # a model that cannot says so before the data are read
    if prompts and model.space.kind != "tokens":
        raise Usage(
            f"--prompt is the beginning of a text; this {type(model).__name__} is a model of {model.space}. Name a file with gaps."
        )
    if prompts:
        x, condition = list(prompts), reading.condition(model, given)
    elif data:
        x, condition = reading.raw(model, data, said or {}, given, holes=True)
    else:
        raise Usage("Nothing to complete: name a file with gaps, or pass --prompt TEXT.")
    return Opened(model, door(x, known=reading.known_part(model, known, len(x)), given=condition, seed=seed))


def encode(
    path: str,
    data: str,
    said: dict[str, Any] | None = None,
    given: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
) -> Opened:
    model = opened(path, device)
    door = model.encode
    x, condition = reading.raw(model, data, said or {}, given)
    return Opened(model, np.asarray(door(x, given=condition, seed=seed)))


def decode(path: str, codes: str, given: Sequence[str] = (), seed: int = 0, device: str = "auto") -> Opened:
    """Codes (rows of numbers in a table or an array) -> examples."""
    model = opened(path, device)
    door = model.decode
    z = load(codes).x.float()
    try:
        return Opened(model, door(z.numpy(), given=reading.condition(model, given), seed=seed))
    except RuntimeError as problem:
        if isinstance(problem, Problem) or "shape" not in str(problem):
            raise
        raise Usage(
            f"{codes} holds codes of shape {tuple(z.shape)}, which this {type(model).__name__} cannot decode. Codes come from `pushforward encode`."
        ) from problem


def inspect(path: str, said: dict[str, Any] | None = None) -> dict[str, Any]:
    """The facts of a saved model, or how data would be read and which model they would get."""
    place = Path(os.path.expanduser(path))
    if place.is_dir() and (place / "card.json").exists():
        model = opened(path, "cpu")
        return dict(lines(model)) | {
            "fields": model.get_params(deep=False),
            "abilities": model.abilities,
            "outcome": model.outcome_,
        }
    if path not in SETS and not place.exists():
        raise BadFile(missing(place))
    examples = load(path, **(said or {}))
    name, why = choose(examples.space, len(examples))
    facts: dict[str, Any] = {
        "data": path,
        "examples": len(examples),
        "space": str(examples.space),
        "measure": examples.space.measure,
    }
    if examples.space.columns:
        facts["columns"] = [
            {"name": c.name, "kind": c.kind, "holds": c.holds, "missing": c.missing} for c in examples.space.columns
        ]
    return facts | {"model": name, "why": why}


def verify(path: str) -> dict[str, Any]:
    """Check every file of a model, its checkpoints included, against the hashes that were written with it."""
    folder = lying(path)
    files, kept = check(folder), sorted((folder / "checkpoints").glob("step-*"))
    return {
        "model": path,
        "files": files + sum(check(place) for place in kept),
        "checkpoints": len(kept),
        "whole": True,
    }


def make(name: str, n: int | None = None, seed: int = 0, said: dict[str, Any] | None = None) -> tuple[Any, Space]:
    """A built-in set as data, and its space."""
    if name not in SETS:
        raise Usage(f"There is no built-in set {name!r}.{did_you_mean(name, SETS)} There are: {', '.join(SETS)}.")
    takes = keywords(named(SETS[name][0]))
    drawn: dict[str, Any] = {"n": n, "seed": seed} if "n" in takes else {}
    examples = load(name, **{key: value for key, value in drawn.items() if value is not None}, **(said or {}))
    if n is not None and "n" not in takes:
        if n > len(examples):
            raise Usage(f"{name} has {len(examples)} examples; {n} cannot be taken.")
        examples = examples.head(n)
    return examples.space.restore(examples.x), examples.space
