"""The one door: whatever holds examples -> `Examples`.

    NumPy arrays, torch tensors, lists of numbers     DataFrames of pandas, polars or anything that speaks Arrow
    .csv .tsv .jsonl .json .parquet                   .npy .npz idx (MNIST); never pickles
    a folder of images                                a .txt file, a list of strings
    the name of a built-in set, see SETS              each text format and idx also as .gz

What may be said about a source are the keywords of its reader (`tables.read_csv`, `images.read_folder`, ...) and of what makes
examples of it (`sources.py`); `given` is what each example is conditioned on.

This module imports nothing heavy, so that sets and formats can be listed at once.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadFile, Usage, did_you_mean

if TYPE_CHECKING:
    from .examples import Examples

# name -> (module and function that make the data, what makes examples of them, one line about them)
SETS: dict[str, tuple[str, str, str]] = {
    "moons": ("toys.moons", "array", "two interleaved half circles, 2-D, density known"),
    "rings": ("toys.rings", "array", "three concentric circles, 2-D, density known"),
    "spirals": ("toys.spirals", "array", "two arms wound about one another, 2-D, density known"),
    "checkerboard": ("toys.checkerboard", "array", "eight uniform squares, 2-D, density known"),
    "eight_gaussians": ("toys.eight_gaussians", "array", "eight modes on a circle, 2-D, density known"),
    "twentyfive_gaussians": ("toys.twentyfive_gaussians", "array", "twenty-five modes on a grid, 2-D, density known"),
    "pinwheel": ("toys.pinwheel", "array", "five bent blades, 2-D, density known"),
    "digits": ("builtin.digits", "digits", "1,797 handwritten digits, 8x8 with 17 levels of grey; given='label'"),
    "iris": ("builtin.iris", "frame", "150 flowers: four lengths and the species"),
    "wine": ("builtin.wine", "frame", "178 wines: thirteen measurements and the cultivar"),
    "breast_cancer": ("builtin.breast_cancer", "frame", "569 tumours: thirty measurements and the diagnosis"),
    "people": ("builtin.people", "frame", "invented people: numbers, labels, an order, truths, dates and gaps"),
    "sentences": ("builtin.sentences", "strings", "invented English sentences from a small grammar"),
}
ROWS = 5000  # of a set that is drawn, unless n= says otherwise

# name -> (module and function that read a file, what makes examples of it, the endings of file names)
FORMATS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "csv": ("tables.read_csv", "frame", (".csv", ".csv.gz")),
    "tsv": ("tables.read_tsv", "frame", (".tsv", ".tsv.gz", ".tab")),
    "jsonl": ("tables.read_jsonl", "frame", (".jsonl", ".jsonl.gz", ".ndjson")),
    "json": ("tables.read_json", "frame", (".json", ".json.gz")),
    "parquet": ("arrow.Parquet", "parquet", (".parquet", ".pq")),
    "npy": ("arrays.read_npy", "array", (".npy",)),
    "npz": ("arrays.Archive", "archive", (".npz",)),
    "idx": ("idx.read_idx", "array", (".idx", ".idx.gz")),
    "text": ("text.read_file", "text", (".txt", ".txt.gz", ".text")),
    "images": ("images.read_folder", "pictures", ()),
}
PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".sav")
OTHERS = (
    ".xlsx", ".xls", ".ods", ".feather", ".arrow", ".orc", ".mat", ".h5", ".hdf5", ".safetensors", ".dta", ".rds", ".sas7bdat", ".db", ".sqlite",
    ".zip", ".tar", ".tgz", ".7z", ".bz2", ".xz", ".zst", ".wav", ".mp3", ".mp4", ".pdf", ".xml", ".html", ".yaml", ".yml",
)  # fmt: skip
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")

# what an option of a reader is written as there -> (what it may be, in words)
KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "yes or no"),
    "int": (
        lambda value: isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0,
        "a whole number of at least 0",
    ),
    "float": (lambda value: isinstance(value, Real) and not isinstance(value, bool), "a number"),
    "str": (lambda value: isinstance(value, str), "a word"),
    "Sequence[str]": (
        lambda value: isinstance(value, str | list | tuple) and all(isinstance(word, str) for word in value),
        "words",
    ),
    "None": (lambda value: value is None, ""),
}


def load(source: Any, *, given: Any = None, format: str | None = None, **options: Any) -> Examples:
    """Examples from any source; `format` says what a file is where its name does not.

    >>> load([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    Examples(3 of real of shape (2,))
    >>> load("iris", given="species")
    Examples(iris: 150 of real of shape (4,), given table of shape (1,))
    """
    if isinstance(source, str) and source in SETS and format is None:
        made, maker, _ = SETS[source]
        function = named(made)
        if "n" in keywords(function):
            options = {"n": ROWS} | options
        return make(f"the set {source}", source, function, (), maker, given, options)
    if isinstance(source, str) and not source.strip():
        raise Usage("The name of a file, a folder or a built-in set is awaited; what came is empty.")
    if isinstance(source, str | Path):
        path = Path(os.path.expanduser(source))  # Path.expanduser has no word for a user that there is not
        found = format_of(path, format)
        return make(
            f"{found} files" if found != "images" else "a folder of images",
            path.name,
            named(FORMATS[found][0]),
            (path,),
            FORMATS[found][1],
            given,
            options,
        )
    if format is not None:
        raise Usage(f"format={format!r} is for files; the source is a {type(source).__name__}.")
    raw, maker = named("sources.recognise")(source)
    return make(f"a {type(source).__name__}", "", lambda: raw, (), maker, given, options)


def make(
    what: str, name: str, reader: Callable, place: tuple, maker: str, given: Any, options: dict[str, Any]
) -> Examples:
    """Read with the options that the reader takes, make examples with the others."""
    maker_function = named(f"sources.{maker}")
    reads, makes = keywords(reader), keywords(maker_function) - {"given", "name"}
    unknown = next((key for key in options if key not in reads | makes), None)
    if unknown is not None:
        known = sorted(reads | makes)
        raise Usage(
            f"load takes no {unknown!r} for {what}.{did_you_mean(unknown, known)} It takes: {', '.join(['given', *known])}."
        )
    for function in (reader, maker_function):
        check_options(function, options)
    raw = reader(*place, **{key: value for key, value in options.items() if key in reads})
    return maker_function(raw, given=given, name=name, **{key: value for key, value in options.items() if key in makes})


def named(path: str) -> Any:
    """A function of this room by module and name."""
    module, name = path.split(".")
    return getattr(import_module(f".{module}", __package__), name)


def keywords(function: Callable) -> set[str]:
    """What may be given by name: everything but the file or the data themselves."""
    return set(inspect.signature(function).parameters) - {"path", "folder", "raw"}


def check_options(function: Callable, options: dict[str, Any]) -> None:
    """Whether what was said about a source is of the types that its reader writes beside each option."""
    for name, about in inspect.signature(function).parameters.items():
        kinds = str(about.annotation).split(" | ")
        if name not in options or not set(kinds) <= set(KINDS):
            continue
        if not any(KINDS[kind][0](options[name]) for kind in kinds):
            awaited = " or ".join(KINDS[kind][1] for kind in kinds if KINDS[kind][1])
            raise Usage(f"{name}={options[name]!r}: {awaited} is awaited.")


def format_of(path: Path, format: str | None) -> str:
    """Which of FORMATS a file or folder is; a missing or foreign one is an error that says what to do."""
    if format is not None and format not in FORMATS:
        raise Usage(f"There is no format {format!r}.{did_you_mean(format, FORMATS)} There are: {', '.join(FORMATS)}.")
    if not named("files.there")(path):
        raise BadFile(missing(path))
    if path.is_dir():
        if (path / "card.json").exists():
            raise BadFile(f"{path} is a saved model, not data. Read it with pushforward.load({str(path)!r}).")
        if format not in (None, "images"):
            raise BadFile(f"{path} is a folder; format={format!r} is for files.")
        return "images"
    if format is not None:
        return format
    name = path.name.lower()
    if re.search(r"[.-]idx\d-[a-z]+(\.gz)?$", name):
        return "idx"
    found = next((kind for kind, (_, _, ends) in FORMATS.items() if name.endswith(ends or ("\0",))), None)
    if found is not None:
        return found
    if name.endswith(PICKLES):
        raise BadFile(
            f"{path} is a kind of file that can run code when it is read, so it is never read. Save the data as .npz, .parquet or .csv."
        )
    if name.endswith(OTHERS):
        raise BadFile(
            f"{path} is of a kind that is not read here. Unpack it if it is an archive; save what it holds as .csv, .parquet, .npz or a folder of images."
        )
    if name.endswith(PICTURES):
        raise BadFile(f"{path} is one image; many are needed to learn from. Pass the folder that holds them.")
    raise BadFile(
        f"What {path} holds cannot be told from its name. Say it: format= one of {', '.join(f for f in FORMATS if f != 'images')}."
    )


def missing(path: Path) -> str:
    """What to say of a source that is neither a set nor a file."""
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    if path.parent != Path(".") or path.suffix:
        lost = "" if path.parent.is_dir() else f" The folder {path.parent} does not exist."
        return f"There is no file {path}.{lost or did_you_mean(path.name, beside)}"
    hint = did_you_mean(path.name, [*SETS, *beside])
    return f"{str(path)!r} is neither a file, nor a folder, nor a built-in set.{hint} Built-in: {', '.join(SETS)}."
