"""What a model gives -> a file, by its suffix, whole or not at all.

.csv .tsv .jsonl .json .parquet   rows with the columns and types that came in (arrays: x0, x1, …)
.npy .npz                         arrays
.txt                              text: a line each, or with a blank line between where an example may hold several lines
.png                              images as one sheet;   without suffix: a folder with an image each
"""

from __future__ import annotations

import io
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadFile, Usage, did_you_mean
from ..report import pictures
from ..report.portrait import written
from ..space import Space

TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
NUMBERS = (*TABLES, ".npy", ".npz")  # what holds rows of numbers
KINDS = (*NUMBERS, ".txt", ".png")


def free(path: str | Path, overwrite: bool, kinds: tuple[str, ...] = (*KINDS, "")) -> Path:
    """A place that may be written with one of these kinds of file, or an error before any work is done."""
    place = Path(path)
    if place.exists() and not overwrite:
        raise Usage(f"{place} exists. Say --overwrite to replace it, or name another file.")
    if place.suffix.lower() not in kinds:
        known = [kind for kind in kinds if kind]
        what = f"{place.suffix} is not" if place.suffix else "without a suffix it is not"
        raise Usage(
            f"{place}: {what} a kind of file that these can be written to. Known: {', '.join(known)}.{did_you_mean(place.suffix, known)}"
        )
    return place


def write(data: Any, space: Space | None, path: str | Path, overwrite: bool = False) -> Path:
    """Write data of a space (None: plain numbers, such as codes) to a file of the kind that its suffix says."""
    place = free(path, overwrite)
    suffix = place.suffix.lower()
    if suffix in TABLES:
        return whole(place, lambda part: rows(frame(data, space), suffix, part))
    if suffix in (".npy", ".npz"):
        return whole(place, lambda part: arrays(data, suffix, part))
    if suffix == ".txt":
        return whole(place, lambda part: part.write_bytes(text(data, space).encode()))
    images, top = stack(data, space, place)
    if suffix == ".png":
        return whole(place, lambda part: part.write_bytes(pictures.tiles(images, top)))
    return whole(place, lambda part: folder(images, top, part))


def whole(place: Path, fill: Callable[[Path], Any]) -> Path:
    """Fill a hidden neighbour, flush it, let it take the place. On failure nothing is left and what stood there stays."""
    part = place.parent / f".{place.name}.{os.getpid()}.part"
    old = place.parent / f".{place.name}.{os.getpid()}.old"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fill(part)
        if part.is_file():
            with open(part, "rb") as file:
                os.fsync(file.fileno())
        if place.is_dir():
            place.rename(old)
        part.replace(place)
    except OSError as problem:
        if old.exists() and not place.exists():
            old.rename(place)
        raise BadFile(f"{place} could not be written: {problem.strerror or problem}.") from problem
    finally:
        for rest in (part, old):
            shutil.rmtree(rest, ignore_errors=True) if rest.is_dir() else rest.unlink(missing_ok=True)
    return place


def frame(data: Any, space: Space | None) -> Any:
    """Rows as a DataFrame."""
    import pandas as pd

    if hasattr(data, "columns"):
        return data
    if isinstance(data, list):
        return pd.DataFrame({"text": data})
    array = plain(data)
    names = (
        space.names
        if space is not None and space.names
        else [f"{'x' if space is not None else 'z'}{j}" for j in range(math.prod(array.shape[1:]))]
    )
    return pd.DataFrame(array.reshape(len(array), len(names)), columns=list(names))


def rows(table: Any, suffix: str, part: Path) -> None:
    if suffix in (".csv", ".tsv"):
        table.to_csv(part, index=False, sep="," if suffix == ".csv" else "\t", lineterminator="\n")
    elif suffix in (".jsonl", ".json"):
        table.to_json(part, orient="records", lines=suffix == ".jsonl", date_format="iso", double_precision=15)
    else:
        from ..data.arrow import pyarrow

        pyarrow()  # or a sentence on how to get it
        table.to_parquet(part, index=False)


def arrays(data: Any, suffix: str, part: Path) -> None:
    if hasattr(data, "columns") and not all(dtype.kind in "fiub" for dtype in data.dtypes):
        raise Usage(f"Columns of mixed kinds do not make an array. Write {', '.join(TABLES)}.")
    if isinstance(data, list):
        raise Usage("Text does not make an array of numbers. Write .txt, .csv or .jsonl.")
    out = io.BytesIO()
    array = data.to_numpy() if hasattr(data, "columns") else plain(data)
    np.save(out, array, allow_pickle=False) if suffix == ".npy" else np.savez(out, x=array)
    part.write_bytes(out.getvalue())


def text(data: Any, space: Space | None) -> str:
    """Examples as text. Lines of a file stay lines; pieces of a running text may hold line ends, so a blank line parts them."""
    if space is None or space.kind != "tokens":
        raise Usage(f"{space or 'Codes'} cannot be written as text. Write {', '.join(TABLES)}, .npy or .npz.")
    lines = [written(line) for line in data]
    return ("\n" if not any("\n" in line for line in lines) else "\n\n").join(lines) + "\n"


def stack(data: Any, space: Space | None, place: Path) -> tuple[np.ndarray, float]:
    """Images (N, C, H, W) and the value of white."""
    if space is None or len(space.shape) != 3 or space.shape[0] not in (1, 3):
        said = "a folder of images" if not place.suffix else "a picture"
        raise Usage(
            f"{place}: {space or 'codes'} cannot be written as {said}. Name a file that ends in one of {', '.join(KINDS[:-1])}."
        )
    if len(data) == 0:
        raise Usage(f"{place}: no images make no picture. Ask for at least one.")
    images = space.settle(space.read(data)).double().numpy()
    return images, float(space.levels - 1) if space.kind == "levels" else 1.0 if space.kind == "binary" else float(
        max(images.max(), 1e-12)
    )


def folder(images: np.ndarray, top: float, part: Path) -> None:
    from PIL import Image

    part.mkdir()
    digits = len(str(max(len(images) - 1, 0)))
    for i, image in enumerate(pictures.bytes_of(images, top)):
        shown = Image.fromarray(image if images.shape[1] == 3 else image[..., 0])
        shown.save(part / f"{i:0{digits}d}.png")


def plain(data: Any) -> np.ndarray:
    """A tensor or an array as an array."""
    return np.asarray(data.detach().cpu() if hasattr(data, "detach") else data)


__all__ = ["frame", "free", "write", "written"]
