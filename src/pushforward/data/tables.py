"""Tables written as text: CSV, TSV and JSON, as pandas DataFrames. Each line must have as many cells as the header.

How cells become numbers, dates, booleans or text is said in cells.py.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import BadFile, Usage
from . import cells
from .files import read_text

SEPARATORS = (",", ";", "\t", "|")


def read_csv(
    path: Path,
    *,
    separator: str | None = None,
    header: bool = True,
    names: Sequence[str] | None = None,
    missing: Sequence[str] = (),
    encoding: str = "utf-8",
    skip: int = 0,
) -> Any:
    """A table of separated cells.

    separator   by default the one of , ; tab | that the first line has most of
    header      the first line holds the names; without, the columns are column_1, column_2, ... or `names`
    missing     words that stand for a missing cell beside the empty one, such as ("?",)
    skip        lines to leave out at the top
    """
    text = read_text(path, encoding)
    if "\0" in text:
        raise BadFile(
            f'{path} holds a NUL byte in line {text.count(chr(10), 0, text.index(chr(0))) + 1}: it is not text, or it is encoding="utf-16".'
        )
    rows = lines(path, text, separator, skip)
    try:
        at, first = next(rows)
    except StopIteration:
        raise BadFile(f"{path} holds no line after the {skip} left out.") from None
    titles = title(path, first, header, names)
    body = [] if header else [first]
    for at, row in rows:
        if len(row) != len(titles):
            raise BadFile(
                f"{path}, line {at}: {len(row)} cells where {len(titles)} were awaited ({', '.join(titles[:6])})."
            )
        body.append(row)
    if not body:
        raise BadFile(f"{path} holds a header ({', '.join(titles[:6])}) and no rows.")
    words = frozenset((missing,) if isinstance(missing, str) else missing)
    return frame({name: cells.column(part, words) for name, part in zip(titles, zip(*body, strict=True), strict=True)})


def read_tsv(
    path: Path,
    *,
    header: bool = True,
    names: Sequence[str] | None = None,
    missing: Sequence[str] = (),
    encoding: str = "utf-8",
    skip: int = 0,
) -> Any:
    """A table of cells separated by tabs; the options are those of CSV."""
    return read_csv(path, separator="\t", header=header, names=names, missing=missing, encoding=encoding, skip=skip)


def lines(path: Path, text: str, separator: str | None, skip: int) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each row; blank lines are no rows."""
    stream = io.StringIO(text, newline="")
    for _ in range(skip):
        stream.readline()
    if separator is None:
        here = stream.tell()
        top = next((line for line in stream if line.strip()), "")
        stream.seek(here)
        separator = max(SEPARATORS, key=top.count)
    if len(separator) != 1:
        raise Usage(f"separator={separator!r} has {len(separator)} characters; one is awaited, such as ';'.")
    reader = csv.reader(stream, delimiter=separator, skipinitialspace=separator != " ", strict=True)
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                yield skip + reader.line_num, row
    except csv.Error as problem:
        raise BadFile(
            f"{path}, line {skip + reader.line_num}: {problem}. A quotation mark may have been opened and not closed."
        ) from problem


def title(path: Path, first: list[str], header: bool, names: Sequence[str] | None) -> list[str]:
    """The names of the columns."""
    if names is not None and len(names) != len(first):
        raise BadFile(f"{path} has {len(first)} columns and names= gives {len(names)}.")
    found = list(names) if names is not None else first if header else []
    titles = [name.strip() or f"column_{i + 1}" for i, name in enumerate(found or [""] * len(first))]
    twice = [name for name, count in Counter(titles).items() if count > 1]
    if twice:
        raise BadFile(
            f"{path} names {twice[0]!r} for {titles.count(twice[0])} columns. Rename one, or pass header=False if the first line is a row of data."
        )
    return titles


def frame(columns: dict[str, Any]) -> Any:
    import pandas as pd

    return pd.DataFrame(columns)


def read_jsonl(path: Path, *, encoding: str = "utf-8") -> Any:
    """One JSON object a line. A key that an object lacks is a missing cell; null and NaN are missing too."""
    records = []
    for at, line in enumerate(read_text(path, encoding).split("\n"), 1):
        if line.strip():
            records.append((at, parse(path, at, line)))
    return from_records(path, records, "line")


def read_json(path: Path, *, encoding: str = "utf-8") -> Any:
    """One JSON list of objects."""
    found = parse(path, 1, read_text(path, encoding))
    if not isinstance(found, list):
        raise BadFile(
            f"{path} holds a JSON {type(found).__name__}; a list of objects is awaited, or one object a line in a .jsonl file."
        )
    return from_records(path, list(enumerate(found, 1)), "entry")


def parse(path: Path, at: int, text: str) -> Any:
    try:
        found = json.loads(text, object_pairs_hook=once)
        if "\\u" in text:  # half of a pair of escapes is no character
            json.dumps(found, ensure_ascii=False).encode("utf-8")
        return found
    except json.JSONDecodeError as problem:
        raise BadFile(
            f"{path}, line {at + problem.lineno - 1}, column {problem.colno}: {problem.msg}; this is not JSON."
        ) from problem
    except (RecursionError, ValueError) as problem:
        raise BadFile(f"{path}, line {at}: {problem}; this is no table.") from problem


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which no key stands twice: the second value would take the place of the first without a word."""
    out = dict(pairs)
    if len(out) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice!r} stands twice in one object")
    return out


def from_records(path: Path, records: list[tuple[int, Any]], word: str) -> Any:
    names: dict[str, None] = {}
    for at, record in records:
        if not isinstance(record, dict):
            raise BadFile(f"{path}, {word} {at}: {type(record).__name__} where an object with named cells was awaited.")
        names |= dict.fromkeys(record)
        nested = next((key for key, value in record.items() if isinstance(value, dict | list)), None)
        if nested is not None:
            raise BadFile(
                f"{path}, {word} {at}: {nested!r} holds a {type(record[nested]).__name__}; a cell of a table is one value."
            )
    if not names:
        raise BadFile(f"{path} holds no rows.")
    columns = {}
    for name in names:
        columns[name] = cells.values([record.get(name) for _, record in records])
        if columns[name] is None:
            kinds = sorted({type(r[name]).__name__ for _, r in records if r.get(name) is not None})
            raise BadFile(f"{path}: {name!r} holds values of several kinds ({', '.join(kinds)}); a column holds one.")
    return frame(columns)
