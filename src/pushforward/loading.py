"""A folder NAME.pf back into a model. Nothing in the folder is run, whoever wrote it, and nothing outside of it is read.

The order of the checks: the manifest, the sums of all files that it lists, the card, the header of the weights, the model built within
the memory that these weights explain, every name, shape and type, the numbers. The model is handed out whole or not at all.

Who knows where a folder comes from can lift the bound on memory with trust="pushforward".
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from math import isnan, prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .engine import safe
from .engine.budget import OBJECT, Budget, TooMuch
from .engine.files import MANIFEST, steady
from .errors import BadFile, Problem, Usage, did_you_mean
from .fields import Fields
from .saving import FORMAT
from .space import Space

CARD, WEIGHTS = "card.json", "weights.safetensors"
OURS = "pushforward"
FREE = 32 << 20  # bytes that a model may take beyond four times its weights: masks, and what is made on the way
MANY = 1 << 14  # variables of an example that any weights explain; beyond, one for each byte of weights
TURNS = 1 << 13, 1 << 8  # operations that any weights explain, and for each tensor; and one for each 256 bytes
DEEP = 16  # models within models
PARTS: dict[str, tuple[type, ...]] = {
    "format": (int,),
    "class": (str,),
    "module": (str,),
    "fields": (dict,),
    "space": (dict,),
    "given": (dict, type(None)),
    "coordinates": (dict,),
    "dtype": (str,),
}
TYPES = ("float32", "float64", "float16", "bfloat16")
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,31}", re.ASCII)


def load(path: str | Path, find: Callable[[str], type], trust: str | None = None) -> Any:
    """Read a model folder. Only classes of pushforward are made, unless `trust` names the package of another."""
    if "\0" in str(path):
        raise BadFile(f"{str(path)!r} holds a NUL, which no path does. A saved model is a folder NAME.pf.")
    return steady(Path(path), lambda folder: read(folder, find, trust))


def read(folder: Path, find: Callable[[str], type], trust: str | None) -> Any:
    """The model of a folder that nobody writes meanwhile."""
    if not folder.exists():
        raise BadFile(f"{folder} does not exist. A saved model is a folder NAME.pf.")
    if not folder.is_dir():
        raise BadFile(
            f"{folder} is not a folder. A saved model is a folder NAME.pf with card.json, weights and a manifest; unpack an archive first."
        )
    if not (folder / MANIFEST).is_symlink() and not (folder / MANIFEST).exists():
        raise BadFile(f"{folder} has no {MANIFEST}: it is not a saved model, or its writing was cut off.")
    safe.verified(folder, MANIFEST, (CARD, WEIGHTS))
    card = folder / CARD
    described = safe.json_of(card, safe.content(card, safe.CARD))
    entries = safe.header(folder / WEIGHTS)
    model = built(described, card, entries, find, trust)
    fill(model, folder / WEIGHTS, entries)
    model.eval()
    return model


def built(
    described: Any, card: Path, entries: dict[str, safe.Entry], find: Callable[[str], type], trust: str | None
) -> Any:
    """The model of a card without its numbers; whatever a card can provoke is a BadFile that names it."""
    size = sum(one.bytes for one in entries.values())
    known, most = trust == OURS, FREE + 4 * size + 3 * OBJECT * len(entries)
    turns = TURNS[0] + TURNS[1] * len(entries) + size // 256
    guard: AbstractContextManager[Any] = nullcontext() if known else Budget(most, turns)
    try:
        with guard:
            return unfold(described, card, find, trust, 1 << 62 if known else max(MANY, size))
    except TooMuch as problem:
        raise BadFile(
            f"{card} describes a model of more memory than its {size:,} bytes of weights explain ({problem}). "
            f"If you know where {card.parent} comes from, say trust={OURS!r}."
        ) from problem
    except BadFile as problem:
        raise problem if str(card) in str(problem) else BadFile(f"{card}: {problem}") from problem
    except Problem as problem:
        raise BadFile(f"{card} does not describe a model: {problem}") from problem
    except ImportError as problem:
        raise BadFile(f"{card} is of a package that cannot be imported: {problem}.") from problem
    except Exception as problem:  # values that nobody awaited, in whatever code they reach first
        raise BadFile(f"{card} is not the card of a model: {type(problem).__name__} {str(problem)[:300]}.") from problem


def unfold(
    described: Any, card: Path, find: Callable[[str], type], trust: str | None, most: int, depth: int = 0
) -> Any:
    """A card -> a model without weights. `most` is the number of variables that an example may have."""
    check(described, card, depth)
    kind = class_of(described["class"], described["module"], find, trust, card)
    model = kind(**{name: field(value, card, find, trust, most, depth) for name, value in described["fields"].items()})
    model.check_fields()
    space, given, coordinates = (
        space_of(described[part], card, part, most) for part in ("space", "given", "coordinates")
    )
    model.make(space, given, None, 0, getattr(torch, described["dtype"]))
    if coordinates != model.chart.space:
        rebuild(model, coordinates, card)
    model.outcome_ = described.get("outcome", {})
    return model


def check(described: Any, card: Path, depth: int) -> None:
    """Whether a card has the parts of one."""
    if not isinstance(described, dict):
        raise BadFile(f"{card} holds a JSON {type(described).__name__}; an object that describes a model is awaited.")
    if depth > DEEP:
        raise BadFile(f"{card} describes models within models, more than {DEEP} deep.")
    for name, kinds in PARTS.items():
        if name not in described or type(described[name]) not in kinds:
            came = repr(described[name])[:80] if name in described else "nothing"
            raise BadFile(f"{card}: {name!r} is {came}; a value of type {kinds[0].__name__} is awaited.")
    if described["format"] > FORMAT:
        raise BadFile(
            f"{card.parent} was written by a newer pushforward (format {described['format']}; this one reads {FORMAT}). Upgrade pushforward."
        )
    if described["format"] < 1 or described["dtype"] not in TYPES:
        raise BadFile(
            f"{card}: format {described['format']}, dtype {described['dtype'][:40]!r}; 1 and one of {', '.join(TYPES)} are awaited."
        )
    outcome = described.get("outcome", {})
    if not isinstance(outcome, dict) or any(isinstance(value, dict | list) for value in outcome.values()):
        raise BadFile(f"{card}: 'outcome' is {repr(outcome)[:80]}; an object of plain values is awaited.")


def field(value: Any, card: Path, find: Callable[[str], type], trust: str | None, most: int, depth: int) -> Any:
    """The value of a field: a model of its own, a tuple, or what it is."""
    if isinstance(value, dict) and {"class", "module", "fields"} <= set(value):
        return unfold(value, card, find, trust, most, depth + 1)
    if isinstance(value, float) and isnan(value):
        raise BadFile(f"{card}: a field is NaN; a number is awaited.")
    return tuple(value) if isinstance(value, list) else value


def space_of(described: Any, card: Path, part: str, most: int) -> Space | None:
    """A space of a size that there can be weights for."""
    if described is None:
        return None
    try:
        space = Space.from_json(described)
    except BadFile as problem:
        raise BadFile(f"{card}, {part}: {problem}") from problem
    if space.size > most or space.levels > 16 * most:
        raise BadFile(
            f"{card}, {part}: examples of {space.size:,} variables with {space.levels:,} levels; the weights are those of at most {most:,}."
        )
    return space


def rebuild(model: Any, coordinates: Any, card: Path) -> None:
    """Build once more for the coordinates that the card tells, which the blank chart could not know: where numbers are scaled, the
    columns have other bounds."""
    chart, given_chart = model.chart, model._given_chart
    if (coordinates.kind, coordinates.shape) != (chart.space.kind, chart.space.shape):
        raise BadFile(f"{card}, coordinates: {coordinates}; for this space and class they are {chart.space}.")
    chart.space = coordinates
    model.forget()
    model.build(chart.space, None if given_chart is None else given_chart.space.size)
    model.to(model.dtype)
    model.chart, model._given_chart = chart, given_chart


def class_of(name: str, module: str, find: Callable[[str], type], trust: str | None, card: Path) -> type:
    """A system of the catalogue, or a model class of the trusted package: never anything else that can be called."""
    if not DOTTED.fullmatch(module) or not (name.isidentifier() and name.isascii()):
        raise BadFile(
            f"{card} names the class {name[:80]!r} of {module[:80]!r}; the name of a class and a module with dots are awaited."
        )
    root = module.partition(".")[0]
    if root == OURS:
        try:
            found: Any = find(name)
        except Usage as problem:
            raise BadFile(
                f"{card} names the class {name!r}, which is no system of this pushforward: {problem}"
            ) from problem
        if getattr(found, "__name__", "") != name or not isinstance(found, type):
            raise BadFile(
                f"{card} names the class {name!r}, which is no system of this pushforward.{did_you_mean(name, [found.__name__])}"
            )
        return found
    if trust is None or root != trust:
        raise BadFile(
            f"{card.parent} holds a {name} of the package {root!r}, which is not ours; loading it would run that package's code. "
            f"If you trust it, say trust={root!r}."
        )
    found = getattr(importlib.import_module(module), name, None)
    if not (
        isinstance(found, type)
        and issubclass(found, Fields)
        and hasattr(found, "make")
        and found.__module__.partition(".")[0] == root
    ):
        raise BadFile(f"{card} names {module}.{name}, which is no model class of that package.")
    return found


# ---- weights -----------------------------------------------------------------------------------------------------
def fill(model: Any, path: Path, entries: dict[str, safe.Entry]) -> None:
    """Put saved weights into a built model: all of them or an error that names what differs, before any is read."""
    own, who = model.state_dict(), type(model).__name__
    if lost := sorted(set(own) ^ set(entries)):
        said = "is missing" if lost[0] in own else "is not awaited"
        raise BadFile(
            f"{path} does not fit this {who}: {lost[0][:200]!r} {said}"
            + (f", and {len(lost) - 1} more." if len(lost) > 1 else ".")
        )
    buffers = dict(model.named_buffers())
    for name, one in entries.items():
        if (why := unfit(own[name], one, name in buffers)) is not None:
            raise BadFile(f"{path}: {name!r} has shape {one.shape} and type {plain(one.dtype)}; this {who} has {why}.")
    saved = safe.tensors(path, entries)
    gaps = any(column.missing and not column.discrete for column in model.space.columns)
    for name, tensor in saved.items():
        sound(path, name, tensor, own[name], name in buffers, gaps)
        ordered(path, name, tensor, own[name])
        if own[name].numel() == 0 and tensor.numel():  # a buffer whose size the data decided
            place, _, leaf = name.rpartition(".")
            model.get_submodule(place)._buffers[leaf] = tensor
    free = any(tensor.numel() == 0 for name, tensor in own.items() if name in buffers)
    try:
        model.load_state_dict(saved)  # not copied by hand: a masked network takes its order from the file
        if free:
            works(model)
    except Exception as problem:
        raise BadFile(f"{path} does not fit this {who}: {type(problem).__name__} {str(problem)[:300]}.") from problem


def works(model: Any) -> None:
    """Draw one example where the data decided how large the buffers are, since nothing else says which sizes go together."""
    if model._given is None and model.lack("sample") is None:
        with torch.no_grad(), suppress(Problem):
            model.batched(lambda rows: model.leave(model._sample(1, None)), 1, 0, model.space.shape)


def unfit(own: Tensor, one: safe.Entry, buffer: bool) -> str | None:
    """What a tensor of the file should have been, or None if it is."""
    free = buffer and own.numel() == 0  # as many rows as there were data, in the smallest type that holds them
    if free and own.ndim > 1:
        fits = len(one.shape) == own.ndim and all(
            have in (0, want) for have, want in zip(own.shape, one.shape, strict=True)
        )
    else:
        fits = free or one.shape == tuple(own.shape)
    alike = one.dtype == own.dtype or (free and own.is_floating_point() and one.dtype != torch.bool)
    return None if fits and alike else f"{tuple(own.shape)} and {plain(own.dtype)}"


def sound(path: Path, name: str, tensor: Tensor, own: Tensor, buffer: bool, gaps: bool) -> None:
    """Weights are finite numbers. Data that were kept have NaN where numbers may be missing; the end of a list of edges, and the
    logarithm of nothing, are infinite."""
    if not tensor.is_floating_point() or bool(torch.isfinite(tensor.sum())):
        return
    free = buffer and own.numel() == 0
    wrong = torch.zeros_like(tensor, dtype=torch.bool) if free and gaps else torch.isnan(tensor)
    if not free and not (buffer and bool(torch.isinf(own).any())):
        wrong |= tensor == torch.inf
        if not (buffer and name.rpartition(".")[2].startswith("log")):
            wrong |= tensor == -torch.inf
    if bool(wrong.any()):
        first = tuple(wrong.nonzero()[0].tolist())
        raise BadFile(
            f"{path}: {name!r} holds NaN or infinity: {int(wrong.sum()):,} of {prod(tensor.shape):,} numbers, the first at {first}. "
            "Finite numbers are awaited: the model diverged before it was saved, or the file was changed."
        )


def ordered(path: Path, name: str, tensor: Tensor, own: Tensor) -> None:
    """Places that a network was built with, such as the order of its variables, may change their sequence and nothing else."""
    counts = own.numel() != 1 and not bool(own.any())  # zeros until something is counted
    if own.dtype != torch.int64 or own.ndim != 1 or own.numel() == 0 or counts:
        return
    if not torch.equal(own.sort().values, tensor.sort().values):
        raise BadFile(
            f"{path}: {name!r} holds {str(tensor[:8].tolist())} …; the numbers {str(own[:8].tolist())} … in some order are awaited."
        )


def plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
