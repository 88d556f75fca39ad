"""Files -> what a fitted model reads: `key=value` words, data in the form that the model was fitted on, conditions."""

from __future__ import annotations

import csv
import gzip
import json
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Examples, load
from ..data.files import read_text
from ..data.load import FORMATS, SETS, format_of, keywords, make, named
from ..data.stores import Tensors
from ..errors import BadData, BadFile, Usage, did_you_mean

WORDS = (
    "drop",
    "names",
    "missing",
    "separator",
    "decimal",
    "encoding",
    "key",
    "kind",
    "units",
    "given",
    "format",
)  # options whose values stay text
LAYOUT = ("separator", "header", "names", "skip", "drop")  # how a table lies in its file
PLAIN = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".npy", ".npz")  # what samples are written as
TABLES = ("csv", "tsv", "jsonl", "json")  # read into memory
HALVES = ("top", "bottom", "left", "right")


def options(pairs: Iterable[str]) -> dict[str, Any]:
    """`key=value` words for `data.load`.

    >>> options(["header=no", "size=28,28", "drop=id,name", "separator=,"])
    {'header': False, 'size': (28, 28), 'drop': ('id', 'name'), 'separator': ','}
    """
    out: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise Usage(f"--read {pair!r}: key=value is awaited, such as --read separator=';' or --read drop=id.")
        key = key.strip()
        whole = key in ("separator", "decimal", "encoding", "key", "kind", "units", "format") or "," not in text
        parts = tuple(
            value(key, part.strip() if not whole else part) for part in ([text] if whole else text.split(","))
        )
        out[key] = parts[0] if whole else parts
    return out


def value(key: str, text: str) -> Any:
    """A word as a number or a truth where it is one, and where the option is not text by nature."""
    if key in WORDS:
        return text
    plain = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(text.lower())
    if plain is not None:
        return plain
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def remembered(model: Any) -> dict[str, Any]:
    """How the data of a saved model were read: what was said at fit holds until something else is said."""
    try:
        said = json.loads(model.outcome_.get("read", "{}"))
        if not isinstance(said.get("format", ""), str):
            raise TypeError("its format is no word")
        return {key: tuple(v) if isinstance(v, list) else v for key, v in said.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as problem:
        raise BadFile(
            f"The card of this {type(model).__name__} does not say how its data were read: {problem}."
        ) from problem


def told(model: Any, source: str, said: dict[str, Any]) -> dict[str, Any]:
    """What holds for a source: what is said now, and what was said at fit as far as its kind takes it. A table that is written as samples are, with
    the columns of the model and no others, needs no word of how it lies."""
    before = remembered(model)
    if source in SETS:
        return before | said
    path = Path(os.path.expanduser(source))
    if path.suffix.lower() in PLAIN and "format" not in said:
        before.pop("format", None)
    kind = format_of(path, said.get("format", before.get("format")))
    reader, maker, _ = FORMATS[kind]
    takes = {"given", "format"} | keywords(named(reader)) | keywords(named(f"sources.{maker}"))
    before = {word: value for word, value in before.items() if word in takes}
    if set(before) & {*LAYOUT, "encoding"} and path.is_file():
        own = set(model.space.names)
        if set(heading(path, kind)) in (own, own | set(model._given.names if model._given else ())):
            left = (*LAYOUT, "encoding") if is_utf8(path) else LAYOUT
            before = {word: value for word, value in before.items() if word not in left}
    return before | said


def heading(path: Path, kind: str) -> list[str]:
    """The names of the columns of a table that is written as samples are; none where it is not."""
    if kind == "parquet":
        return list(named("arrow.Parquet")(path).names)
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", errors="replace", newline="") as file:
            line = file.readline(1 << 20)
        if kind in ("csv", "tsv"):
            return next(csv.reader([line], delimiter="," if kind == "csv" else "\t"), [])
        return list(json.loads(line)) if kind == "jsonl" else []
    except (OSError, EOFError, ValueError, TypeError, RecursionError, zlib.error, csv.Error):
        return []  # what is wrong with it is told by who reads it


def is_utf8(path: Path) -> bool:
    try:
        return bool(read_text(path))
    except BadFile:
        return False


def examples(model: Any, source: str, said: dict[str, Any], given: Sequence[str] = (), **more: Any) -> tuple[Any, Any]:
    """(Examples, what is given beside them) from a file, folder or built-in set, read as the data of `model` were."""
    said = told(model, source, said)
    names = said.pop("given", None)
    if model._given is None or given:
        names = None
    if kind_of(source, said) == "text" and model.space.kind == "tokens":
        said = (more or ({"lines": True} if model.space.end >= 0 else {"length": model.space.shape[0]})) | said
    if (kind := kind_of(source, said)) in TABLES and model.space.form == "frame":
        x, g = columns(source, kind, said, names)
        found = Examples(x, g, space=model.space, given_space=model._given if g is not None else None)
        return found, None if g is not None else condition(model, given)
    found = load(source, given=names, **said)
    beside = found.given is not None if isinstance(found.store, Tensors) else found.given_space is not None
    return found, None if beside else condition(model, given)


def raw(
    model: Any, source: str, said: dict[str, Any], given: Sequence[str] = (), holes: bool = False
) -> tuple[Any, Any]:
    """(x, given) from a file, folder or built-in set, of the kind that `model` was fitted on. `holes` allows missing values."""
    all_said = told(model, source, said)
    if holes and (kind := kind_of(source, all_said)) in ("npy", "npz"):
        # Examples have no gaps, so an array with gaps is read as it is.
        return array(Path(source), kind, all_said), condition(model, given)
    if (kind := kind_of(source, all_said)) in TABLES and model.space.form == "frame":
        names = all_said.pop("given", None)
        x, g = columns(source, kind, all_said, None if model._given is None or given else names)
        return x, condition(model, given) if g is None else g
    found, beside = examples(model, source, said, given, **({"lines": True} if holes else {}))
    x, g = found.take(slice(None))
    if g is None or found.given_space is None:
        return found.space.restore(x), beside
    return found.space.restore(x), found.given_space.restore(g)


def columns(source: str, kind: str, said: dict[str, Any], names: Any) -> tuple[Any, Any]:
    """(columns of the examples, columns given with them) of a table for a model that knows what each column holds: nothing is guessed anew
    from these rows, which may be few."""
    path, options = Path(os.path.expanduser(source)), {key: value for key, value in said.items() if key != "format"}
    found: Any = make(f"{kind} files", path.name, named(FORMATS[kind][0]), (path,), "parts", names, options)
    return found


def kind_of(source: str, said: dict[str, Any]) -> str:
    return "" if source in SETS else format_of(Path(os.path.expanduser(source)), said.get("format"))


def array(path: Path, kind: str, said: dict[str, Any]) -> np.ndarray:
    reader = named(FORMATS[kind][0])
    return reader(path) if kind == "npy" else reader(path).read(said.get("key"))


def condition(model: Any, pairs: Sequence[str]) -> Any:
    """`column=value` words, or the path of one file with a row for each example, -> what the doors take as `given`."""
    if not pairs:
        return None
    space = model._given
    if space is None:
        raise Usage(
            f"This {type(model).__name__} was fitted without a condition, so --given is not awaited. Fit with --given COLUMN to have one."
        )
    names = list(space.names) or ["given"]
    if len(pairs) == 1 and "=" not in pairs[0] and Path(pairs[0]).is_file():
        found = load(pairs[0])
        return found.space.restore(found.x)
    out: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            name, text = names[0], pair
        if name not in names:
            raise Usage(
                f"--given {name!r}: this model was not fitted with it. Awaited: {', '.join(names)}.{did_you_mean(name, names)}"
            )
        out[name] = cell(space.columns[names.index(name)] if space.columns else None, name, text)
    if lost := [name for name in names if name not in out]:
        raise Usage(f"--given lacks {lost[0]!r}. This model is conditioned on {', '.join(names)}.")
    return out


def cell(column: Any, name: str, text: str) -> Any:
    """One word as a value of a column."""
    if column is not None and column.discrete:
        found = next((c for c in column.categories if str(c).lower() == text.lower()), None)
        if found is None:
            raise BadData(
                f"--given {name}={text!r} was not among the {len(column.categories)} categories at fit.{did_you_mean(text, column.categories)}"
            )
        return found
    if column is not None and column.kind == "date":
        return text
    try:
        return float(text)
    except ValueError:
        raise Usage(f"--given {name}={text!r}: a number is awaited.") from None


def known_part(model: Any, what: str, n: int) -> np.ndarray | None:
    """Which values of n examples are known: a half of an image by name, or a .npy file of truths."""
    if not what:
        return None
    shape = model.space.shape
    if what in HALVES:
        if len(shape) != 3:
            raise Usage(
                f"--known {what}: these examples are {model.space}, which have no {what}. Pass a .npy file of truths."
            )
        mask = np.zeros(shape, dtype=bool)
        height, width = shape[1] // 2, shape[2] // 2
        place = {
            "top": np.s_[:, :height],
            "bottom": np.s_[:, height:],
            "left": np.s_[:, :, :width],
            "right": np.s_[:, :, width:],
        }[what]
        mask[place] = True
    elif Path(what).suffix == ".npy":
        mask = named("arrays.read_npy")(Path(what)).astype(bool)
    else:
        raise Usage(
            f"--known {what!r}: {', '.join(HALVES)} or a .npy file of truths is awaited.{did_you_mean(what, HALVES)}"
        )
    if mask.shape in (shape, shape[-2:] if len(shape) == 3 else shape):
        return np.broadcast_to(mask, (n, *shape)).copy()
    if mask.shape != (n, *shape):
        raise BadData(f"{what} has shape {mask.shape}; {shape} for all examples or {(n, *shape)} is awaited.")
    return mask


__all__ = ["condition", "examples", "known_part", "options", "raw", "remembered"]
