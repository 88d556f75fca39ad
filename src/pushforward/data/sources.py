"""What has been read -> `Examples`: which columns are given, which are left out, which space it is.

`given` may be the names of columns of a table, the key of an array in an archive, "folder" for images, "label" for the digits, a
file of labels beside a file of arrays, or one value or row for each example.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import BadData, BadFile, Usage, did_you_mean
from ..space import Space
from ..space.raw import shown
from ..space.space import is_frame, is_text
from . import text as words
from .arrays import Archive, read_npy
from .arrow import ColumnByColumn, Parquet, exchange, large
from .examples import Examples, labelled
from .files import there
from .idx import read_idx
from .stores import Groups, Tensors, Windows

KINDS = ("real", "binary", "levels", "tokens")  # that an array may be


def recognise(source: Any) -> tuple[Any, str]:
    """(data, which function of this file makes examples of them) for a thing in memory."""
    if isinstance(source, Examples):
        return source, "again"
    if hasattr(source, "toarray") and hasattr(
        source, "nnz"
    ):  # sparse, some of them dictionaries: the space says why not
        return source, "array"
    if isinstance(source, np.ndarray) and source.ndim == 1 and source.dtype.kind in "UT":
        return source.tolist(), "strings"
    if is_text(source):
        return source, "strings"
    if isinstance(source, dict) or (hasattr(source, "to_frame") and hasattr(source, "iloc")):
        return columned(source), "frame"
    if is_frame(source):
        return source, "frame"
    if hasattr(source, "__arrow_c_stream__") or hasattr(source, "__dataframe__"):
        return exchange(source), "frame"
    if hasattr(source, "to_pandas"):
        return recognise(source.to_pandas())
    if isinstance(source, torch.utils.data.Dataset | torch.utils.data.DataLoader):
        raise Usage(
            f"A {type(source).__name__} of torch was passed, which does not say what its parts are. Pass the rows themselves: x, and with given= what "
            "belongs to each, such as load(dataset.tensors[0], given=dataset.tensors[1])."
        )
    if isinstance(source, bytes):
        raise Usage("Bytes were passed. Pass the path of the file, or a list of strings.")
    return source, "array"


def columned(source: Any) -> Any:
    """Columns by name, or one column, as a DataFrame."""
    import pandas as pd

    try:
        return pd.DataFrame(source)
    except (TypeError, ValueError) as problem:
        raise BadData(
            f"The {type(source).__name__} cannot be read as a table ({problem}). A list of values for each column is awaited, all of one length."
        ) from problem


def again(raw: Examples, *, given: Any = None, name: str = "") -> Examples:
    """Examples stay what they are; something new may be given with each."""
    if given is None:
        return raw
    if not isinstance(raw.store, Tensors):
        raise Usage("These examples are read from the disk as they are needed; say given= where they are loaded.")
    return Examples(raw.store.x, given, space=raw.space, name=raw.name)


def array(
    raw: Any, *, given: Any = None, name: str = "", kind: str = "", levels: int = 0, threshold: float | None = None
) -> Examples:
    """Rows of an array. `kind` and `levels` say the space where the values do not show it; `threshold` makes it binary: x > threshold."""
    if isinstance(given, str | Path):
        given = labels(Path(given))
    if kind not in ("", *KINDS) or levels < 0:
        raise Usage(
            f"kind={kind!r}, levels={levels}: a kind of {', '.join(KINDS)} is awaited, and 1 or more levels.{did_you_mean(kind, KINDS)}"
        )
    if threshold is not None:
        numbers = np.asarray(raw.detach().cpu() if isinstance(raw, torch.Tensor) else raw)
        raw, kind, levels = (numbers > threshold).astype(np.uint8), "binary", 2
    return Examples(raw, given, space=Space.of(raw, kind, levels) if kind else None, name=name)


def labels(path: Path) -> np.ndarray:
    """The array in a file that lies beside a file of examples."""
    if not there(path):
        raise BadFile(
            f"given={str(path)!r}: there is no such file.{did_you_mean(path.name, [p.name for p in path.parent.glob('*')])}"
        )
    return read_npy(path) if path.suffix == ".npy" else read_idx(path)


def archive(
    raw: Archive,
    *,
    given: Any = None,
    name: str = "",
    key: str | None = None,
    kind: str = "",
    levels: int = 0,
    threshold: float | None = None,
) -> Examples:
    """The array `key` of an .npz file; `given` is another key, or one value or row for each example."""
    x = raw.read(key, beside=given if isinstance(given, str) else None)
    return array(
        x,
        given=raw.read(given) if isinstance(given, str) else given,
        name=name,
        kind=kind,
        levels=levels,
        threshold=threshold,
    )


def pictures(
    raw: tuple[np.ndarray, list[str]], *, given: Any = None, name: str = "", threshold: float | None = None
) -> Examples:
    """Images of a folder; given="folder" is the name of the first-level folder that an image lies in."""
    images, folders = raw
    if isinstance(given, str):
        if given != "folder":
            raise Usage(
                f"given={given!r}: for images this is 'folder' or one value for each.{did_you_mean(given, ['folder'])}"
            )
        given = folders
    if threshold is not None or images.dtype == bool:
        return array(images, given=given, name=name, threshold=threshold)
    return array(images, given=given, name=name, kind="levels", levels=256)


def digits(
    raw: tuple[np.ndarray, np.ndarray], *, given: Any = None, name: str = "", threshold: float | None = None
) -> Examples:
    """Images of handwritten digits; given="label" is which digit it is."""
    if isinstance(given, str):
        if given != "label":
            raise Usage(
                f"given={given!r}: for the digits this is 'label' or one value for each.{did_you_mean(given, ['label'])}"
            )
        given = {"label": raw[1]}
    return array(raw[0], given=given, name=name, kind="levels", levels=17, threshold=threshold)


def strings(raw: Sequence[str], *, given: Any = None, name: str = "", units: str = "characters") -> Examples:
    """Each string is an example."""
    return text(words.strings(raw, units=units), given=given, name=name)


def text(raw: Examples, *, given: Any = None, name: str = "") -> Examples:
    """Text that has been made into symbols."""
    if given is not None and isinstance(raw.store, Windows):
        raise Usage(
            "A text is one stream, cut anywhere: nothing can be given with a piece of it. With lines=True each line is an example."
        )
    out = raw if given is None else again(raw, given=given)
    out.name = name
    return out


def frame(raw: Any, *, given: Any = None, name: str = "", drop: str | Sequence[str] = ()) -> Examples:
    """Rows of a table. `given` names columns, or is one value or row for each example; `drop` names columns to leave out."""
    x, given = parts(raw, given=given, drop=drop)
    return Examples(x, given, name=name)


def parts(raw: Any, *, given: Any = None, name: str = "", drop: str | Sequence[str] = ()) -> tuple[Any, Any]:
    """(the columns of the examples, those that are given with them), as they were read: a model knows what is in them."""
    raw = raw.rename(columns=str)
    conditions = condition_names(given, list(raw.columns), len(raw))
    keep = kept(list(raw.columns), drop, conditions)
    return raw[keep], raw[conditions] if conditions else given


def parquet(
    raw: Parquet, *, given: Any = None, name: str = "", drop: str | Sequence[str] = (), stream: bool | None = None
) -> Examples:
    """A Parquet file: in memory, or by row groups (`stream`, by default above 1 GiB), its types fixed by all groups together."""
    columns = list(raw.names)
    conditions = condition_names(given, columns, sum(raw.sizes))
    keep = kept(columns, drop, conditions)
    if not large(raw, stream):
        return frame(raw.whole((*keep, *conditions)), given=conditions or given, name=name)
    if given is not None and not conditions:
        raise Usage("A file read by row groups can be conditioned on its own columns. Name them: given=.")
    space = Space.of(ColumnByColumn(raw, tuple(keep)))
    given_space = Space.of(ColumnByColumn(raw, tuple(conditions))) if conditions else None
    return Examples(Groups(raw, space, given_space), space=space, given_space=given_space, name=name)


def condition_names(given: Any, columns: list[str], rows: int) -> list[str]:
    """The columns that `given` names; none if it is not names but values, one for each row."""
    if isinstance(given, str):
        given = [given]
    if not is_text(given):
        return []
    strange = [name for name in given if name not in columns]
    if len(strange) == len(given) == rows:
        return []
    if strange:
        raise Usage(
            f"given={strange[0]!r}: there is no such column.{did_you_mean(strange[0], columns)} There are: {shown(columns)}."
        )
    return list(given)


def kept(columns: list[str], drop: str | Sequence[str], conditions: list[str]) -> list[str]:
    """The columns that are neither dropped nor given."""
    drop = [drop] if isinstance(drop, str) else list(drop)
    strange = next((name for name in drop if name not in columns), None)
    if strange is not None:
        raise Usage(
            f"drop={strange!r}: there is no such column.{did_you_mean(strange, columns)} There are: {shown(columns)}."
        )
    keep = [name for name in columns if name not in drop and name not in conditions]
    if not keep:
        raise BadData("No column is left to learn from: all are given or dropped.")
    return keep


__all__ = [
    "again",
    "archive",
    "array",
    "digits",
    "frame",
    "labelled",
    "parquet",
    "pictures",
    "recognise",
    "strings",
    "text",
]
