"""Tables written as text: CSV, TSV and JSON, as pandas DataFrames. Each line must have as many cells as the header.

How cells become numbers, dates, booleans or text is said in cells.py.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise, tee
from pathlib import Path
from typing import Any

from ..errors import BadFile, Usage
from ..space import alike
from . import cells
from .files import CELL, check_unpacked, read_text

SEPARATORS = (",", ";", "\t", "|")
LOOK = 1000  # rows that the first line is compared with


def read_csv(
    path: Path,
    *,
    separator: str | None = None,
    header: bool | None = None,
    names: Sequence[str] | None = None,
    missing: Sequence[str] = (),
    decimal: str | None = None,
    encoding: str = "utf-8",
    skip: int = 0,
) -> Any:
    """A table of separated cells.

    separator   by default the one of , ; tab | that the first line has most of; a blank stands for any number of them
    header      the first line holds the names; without, the columns are column_1, column_2, ... or `names`. Unsaid, a first line that looks like a
                row of numbers is asked about
    missing     words that stand for a missing cell beside the empty one, such as ("?",)
    decimal     what stands before the fraction of a number, "," or "."; the other one may part thousands. Unsaid, a column of numbers with commas
                is asked about; "" leaves it words
    skip        lines to leave out at the top

    A first column without a name that numbers the rows, as pandas and R write it, is left out.
    """
    text = read_text(path, encoding)
    if "\0" in text:
        raise BadFile(
            f'{path} holds a NUL byte in line {text.count(chr(10), 0, text.index(chr(0))) + 1}: it is not text, or it is encoding="utf-16".'
        )
    rows = lines(path, text, separator, skip)
    try:
        _, first = next(rows)
    except StopIteration:
        raise BadFile(f"{path} holds no line after the {skip} left out.") from None
    titles = title(path, first, header is not False, names)
    body = even(path, rows, titles)
    top = ([first] if header is False else []) + list(islice(body, LOOK))
    if not top:
        raise BadFile(f"{path} holds a header ({', '.join(titles[:6])}) and no rows.")
    if header is None:
        check_header(path, first, top)
    words = frozenset((missing,) if isinstance(missing, str) else missing)
    parts = dict(zip(titles, cells.packed(chain(top, body), len(titles)), strict=True))
    if header is not False and names is None and are_labels(first, parts[titles[0]]):
        del parts[titles[0]]
    return frame({name: column(path, name, cells.spelt(part), words, decimal) for name, part in parts.items()})


def even(path: Path, rows: Iterator[tuple[int, list[str]]], titles: list[str]) -> Iterator[list[str]]:
    """Rows, each with as many cells as there are columns."""
    for at, row in rows:
        if len(row) != len(titles):
            raise BadFile(
                f"{path}, line {at}: {len(row)} cells where {len(titles)} were awaited ({', '.join(titles[:6])})."
                + " Say skip= if lines stand above the header." * (len(titles) == 1)
            )
        yield row


def are_labels(first: list[str], part: list[Any]) -> bool:
    """Whether the first column is what pandas and R number their rows by: without a name beside columns that have one, a different whole number
    in each row. It is no data, as in Parquet."""
    if len(first) == 1 or first[0].strip() or not all(name.strip() for name in first[1:]):
        return False
    words = cells.spelt(part)
    return len(set(words)) == len(words) and all(word.isascii() and word.isdigit() for word in words)


def column(path: Path, name: str, part: Sequence[str], missing: frozenset[str], decimal: str | None) -> Any:
    """One column, where commas in its numbers have been asked about."""
    if decimal not in (None, "", ".", ","):
        raise Usage(f"decimal={decimal!r}: ',' or '.' is awaited, or '' for words.")
    found = cells.column(part, missing, decimal or "")
    if decimal is None and (example := cells.commas(part, missing)):
        raise BadFile(
            f'{path}: column {name!r} holds numbers with commas, such as {example!r}. Say decimal="," where the comma stands before the fraction, '
            'decimal="." where it parts thousands, or decimal="" if they are words.'
        )
    return found


def check_header(path: Path, first: list[str], body: list[list[str]]) -> None:
    """Numbers in the first line that lie among those below them are a row of data, unless they count (0, 1, 2 or 1990, 2000, 2010): so do names."""
    places = [j for j, title in enumerate(first) if alike.is_number(title)]
    titles = [float(first[j]) for j in places]
    steps = {round(b - a, 9) for a, b in pairwise(titles)}
    if not titles or (len(steps) == 1 and (len(titles) > 2 or steps <= {1, -1})):
        return
    below = [[float(row[j]) for row in body if alike.is_number(row[j])] for j in places]
    among = [min(numbers) <= title <= max(numbers) for title, numbers in zip(titles, below, strict=True) if numbers]
    if 2 * sum(among) > len(titles):
        raise BadFile(
            f"{path}: the first line ({', '.join(first[:6])}) looks like a row of data and not like names. Say header=False (--read header=no) if it is "
            "one, or header=True if these are the names."
        )


def read_tsv(
    path: Path,
    *,
    header: bool | None = None,
    names: Sequence[str] | None = None,
    missing: Sequence[str] = (),
    decimal: str | None = None,
    encoding: str = "utf-8",
    skip: int = 0,
) -> Any:
    """A table of cells separated by tabs; the options are those of CSV."""
    return read_csv(
        path,
        separator="\t",
        header=header,
        names=names,
        missing=missing,
        decimal=decimal,
        encoding=encoding,
        skip=skip,
    )


def lines(path: Path, text: str, separator: str | None, skip: int) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each row; blank lines are no rows."""
    stream: Iterator[str] = islice(ended(text), min(skip, len(text)), None)
    if separator is None:
        top, stream = tee(stream)
        separator = divider(list(islice((line for line in top if line.strip()), 2)))
        del top
    if len(separator) != 1 or separator in '"\r\n':
        raise Usage(f"separator={separator!r}: one character is awaited, such as ';'.")
    source = (line.strip() + "\n" for line in stream) if separator == " " else stream
    reader = csv.reader(source, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                yield skip + reader.line_num, row
    except csv.Error as problem:
        long = (
            f"a cell has more than {csv.field_size_limit():,} characters" if "field limit" in str(problem) else problem
        )
        raise BadFile(
            f"{path}, line {skip + reader.line_num}: {long}. A quotation mark may have been opened and not closed."
        ) from problem


def ended(text: str) -> Iterator[str]:
    """The lines of a text with their ends, of whatever system these are."""
    at = 0
    for end in re.finditer(r"\r\n|\n|\r", text):
        yield text[at : end.end()]
        at = end.end()
    if at < len(text):
        yield text[at:]


def divider(top: list[str]) -> str:
    """What stands between the cells of the first lines: the one of SEPARATORS that the first has most of outside quotation marks, or blanks if it
    has none and there are numbers between blanks."""
    bare = [re.sub(r'"[^"]*"', "", line) for line in top]
    best = max(SEPARATORS, key="".join(bare[:1]).count)
    words = [line.split() for line in bare]
    numbers = words and len(words[0]) == len(words[-1]) > 1 and all(map(alike.is_number, words[-1]))
    return " " if numbers and best not in bare[0] else best


def title(path: Path, first: list[str], header: bool, names: Sequence[str] | None) -> list[str]:
    """The names of the columns."""
    names = [names] if isinstance(names, str) else names
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
    check_unpacked(
        path, CELL * len(names) * len(records), path.stat().st_size
    )  # few have keys, and all get a cell for each
    columns = {}
    for name in names:
        columns[name] = cells.values([record.get(name) for _, record in records])
        if columns[name] is None:
            kinds = sorted({type(r[name]).__name__ for _, r in records if r.get(name) is not None})
            raise BadFile(f"{path}: {name!r} holds values of several kinds ({', '.join(kinds)}); a column holds one.")
    return frame(columns)
