"""Tables of typed columns: Parquet files and anything that speaks Arrow (polars and others), through pyarrow.

Nested columns are refused, decimals become floats, dates become timestamps, whole numbers beside missing cells stay whole.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import BadData, BadFile, Usage
from .examples import LARGE
from .files import CELL, check_unpacked


def pyarrow() -> Any:
    """The library, or a sentence on how to get it."""
    try:
        import pyarrow
    except ImportError as problem:
        raise Usage(
            "Parquet files and Arrow tables need pyarrow. Install it with: pip install 'pushforward[data]'"
        ) from problem
    return pyarrow


class Parquet:
    """A Parquet file by row groups."""

    def __init__(self, path: Path):
        problems = (pyarrow().ArrowException, OSError)
        import pyarrow.parquet as parquet

        self.path = path
        try:
            self.file = parquet.ParquetFile(path)
            self.words = {one.name: one.type for one in self.file.schema_arrow if is_words(one.type)}
            # One word a million times takes its letters once, until its size is known.
            self.file = parquet.ParquetFile(path, read_dictionary=list(self.words))
        except problems as problem:
            raise BadFile(f"{path} is not a whole Parquet file ({str(problem).splitlines()[0]}).") from problem
        about = self.file.metadata
        # A frame's row labels are written as columns of this name; they are no data.
        self.names = tuple(name for name in self.file.schema_arrow.names if not name.startswith("__index_level_"))
        self.sizes = [about.row_group(g).num_rows for g in range(about.num_row_groups)]
        self.bytes = sum(about.row_group(g).total_byte_size for g in range(about.num_row_groups))
        # A run of one value a billion times long takes a few bytes.
        check_unpacked(path, CELL * len(self.names) * max(self.sizes, default=0), path.stat().st_size)
        if not sum(self.sizes):
            raise BadFile(f"{path} holds {len(self.names)} columns and no rows.")

    def frame(self, group: int, names: tuple[str, ...]) -> Any:
        """Some columns of one row group."""
        return self.read(lambda: self.file.read_row_group(group, columns=list(names)), names)

    def whole(self, names: tuple[str, ...]) -> Any:
        """Some columns of the whole file."""
        check_unpacked(self.path, CELL * len(names) * sum(self.sizes), self.path.stat().st_size)
        return self.read(lambda: self.file.read(columns=list(names)), names)

    def read(self, read: Any, names: tuple[str, ...]) -> Any:
        try:
            return from_arrow(self.spelt(read()))[list(names)]
        except (pyarrow().ArrowException, OSError) as problem:
            raise BadFile(f"{self.path} is damaged ({str(problem).splitlines()[0]}).") from problem

    def spelt(self, table: Any) -> Any:
        """Columns of words with every word written out, if that is not far more than the file."""
        import pyarrow.compute as compute

        size = 0
        for i, name in enumerate(table.column_names):
            if name in self.words:
                column = table.column(i)
                for part in column.chunks:
                    size += compute.sum(compute.binary_length(part.dictionary).take(part.indices)).as_py() or 0
                check_unpacked(self.path, size, self.path.stat().st_size)
                table = table.set_column(i, name, column.cast(self.words[name]))
        return table


def is_words(kind: Any) -> bool:
    types = pyarrow().types
    return types.is_string(kind) or types.is_large_string(kind)


class ColumnByColumn:
    """What `Space.of` needs of a table, one column in memory at a time, so that the types of all row groups together are seen."""

    def __init__(self, source: Parquet, names: tuple[str, ...]):
        self.source, self.columns = source, names
        self.iloc = self

    def __len__(self) -> int:
        return sum(self.source.sizes)

    def __getitem__(self, place: tuple[slice, int]) -> Any:
        name = self.columns[place[1]]
        return self.source.whole((name,))[name]


def large(source: Parquet, stream: bool | None) -> bool:
    """Whether to read by row groups: as asked, else by size."""
    return source.bytes > LARGE if stream is None else stream


def from_arrow(table: Any) -> Any:
    """An Arrow table -> a DataFrame."""
    import pandas as pd

    names = [name for name in table.column_names if not name.startswith("__index_level_")]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise BadData(f"Column {twice!r} stands twice in the table. Rename one.")
    return pd.DataFrame({name: series(name, table.column(name)) for name in names})


def series(name: str, column: Any) -> Any:
    import pandas as pd

    pa = pyarrow()
    kind, types = column.type, pa.types
    if (
        types.is_nested(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_time(kind)
        or types.is_duration(kind)
    ):
        raise BadData(
            f"Column {name!r} holds values of type {kind}; a cell is a number, a label, a boolean or a date. Leave it out (drop={name!r})."
        )
    if types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
    if column.null_count and (types.is_integer(kind) or types.is_boolean(kind)):
        # Not through NumPy, where a missing cell would turn whole numbers into floats and lose digits beyond 2^53.
        whole = f"{'UInt' if types.is_unsigned_integer(kind) else 'Int'}{kind.bit_width}"
        return pd.Series(pd.array(column.to_pylist(), dtype="boolean" if types.is_boolean(kind) else whole))
    return column.to_pandas()


def exchange(source: Any) -> Any:
    """Any other table that can hand out its columns (polars, Arrow, ...) -> a DataFrame."""
    pa = pyarrow()
    try:
        if hasattr(source, "__arrow_c_stream__"):
            return from_arrow(pa.table(source))
        from pyarrow.interchange import from_dataframe

        return from_arrow(from_dataframe(source))
    except (pa.ArrowException, TypeError, NotImplementedError) as problem:
        raise BadData(f"The {type(source).__name__} cannot be read as a table ({problem}).") from problem
