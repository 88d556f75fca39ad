"""`sample` and `score` of many rows: a lot at a time, so that memory holds a lot and no more, and shared out over the processes of torchrun.

    lots 0 1 2 … L - 1      process r of W makes lots r L / W … (r + 1) L / W - 1, writes them into a part, and the first joins the parts

Row i meets the same noise and stands in the same batch whoever makes it, so what W processes write equals what one writes, byte for byte (with as
many threads each). The parts lie hidden beside the file until they are joined, in a folder that all processes see; they take its room once more.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import noise
from ..engine.machine import DAY, Machine, ranks
from ..errors import BadFile
from ..metrics.likelihood import Likelihood, likelihood
from ..space import Space
from . import reading
from .verbs import opened
from .writing import frame, free, plain, whole, write

LOT = 1 << 16  # rows, about, that are made and written at a time
KINDS = (".csv", ".tsv", ".jsonl", ".parquet", ".npy")  # what can be written row after row
ANEW = "What stood there stands: run it again."


def many(n: int, out: Path | None) -> bool:
    """Whether rows are made lot by lot: where there are several processes, or more rows than a lot, and a file that can be written so."""
    return out is not None and out.suffix.lower() in KINDS and (ranks()[1] > 1 or n > LOT)


def lots(model: Any, n: int) -> list[slice]:
    """The rows of each lot: whole batches of the model's doors, which one process would make too."""
    seen: list[int] = []

    def probe(rows: slice) -> Any:
        seen.append(rows.stop - rows.start)
        return noise.current() and model.space.blank()[:0]

    model.batched(probe, 1 << 13, 0, ())
    size = max(1, LOT // seen[0]) * seen[0]
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


@contextmanager
def beginning(model: Any, first: int) -> Iterator[None]:
    """Inside, row 0 of a door meets the noise of row `first`."""

    def batched(one: Callable[[slice], Any], n: int, seed: int, shape: tuple[int, ...]) -> Any:
        def later(rows: slice) -> Any:
            with noise.stream(seed, 0, first + rows.start, "cpu", model.dtype):
                return one(rows)

        return type(model).batched(model, later, n, seed, shape)

    model.__dict__["batched"] = batched
    try:
        yield
    finally:
        del model.__dict__["batched"]


# ---- drawing ---------------------------------------------------------------------------------------------------------
def draw(
    path: str,
    n: int,
    out: Path,
    given: Sequence[str] = (),
    seed: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> Path:
    """Write n new examples to a file. Every process calls this; only the first writes the file."""
    place, machine = free(out, overwrite), Machine(device, patience=DAY)
    model = opened(path, str(machine.device))
    condition = reading.condition(model, given)

    def one(rows: slice) -> Any:
        told = condition[rows] if hasattr(condition, "__array__") or hasattr(condition, "iloc") else condition
        with beginning(model, rows.start):
            return model.sample(rows.stop - rows.start, given=told, seed=seed)

    found = lots(model, n)
    with machine.heard(ANEW):
        seed = machine.tell(secrets.randbits(62) if seed is None else seed)
        if len(found) < 2:  # one process makes them, as if it were alone
            machine.end(lambda: write(one(slice(0, n)), model.space, place, overwrite))
            return place
        return joined(machine, place, model.space, found, one)


def joined(machine: Machine, place: Path, space: Space, found: list[slice], one: Callable[[slice], Any]) -> Path:
    """Each process writes its lots into a part, the first joins the parts."""
    parts = [place.parent / f".{place.name}.{rank}-{machine.world}.rows" for rank in range(machine.world)]
    mine = found[machine.rank * len(found) // machine.world : (machine.rank + 1) * len(found) // machine.world]
    writer = WRITERS[place.suffix.lower()]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        writer.fill(parts[machine.rank], ((rows.start == 0, frame_or_array(one(rows), space, place)) for rows in mine))
        machine.meet()
        if machine.rank == 0:
            if gone := [part for part in parts if not part.exists()]:
                raise BadFile(
                    f"{len(gone)} of {len(parts)} parts of {place} are not seen here. Write where all hosts can read."
                )
            whole(place, lambda file: writer.join(file, parts))
        machine.end()
    finally:
        parts[machine.rank].unlink(missing_ok=True)
    return place


def frame_or_array(data: Any, space: Space, place: Path) -> Any:
    return frame(data, space) if place.suffix.lower() != ".npy" else numbers(data)


def numbers(data: Any) -> np.ndarray:
    """A lot as an array, or the reason why it makes none."""
    from .writing import arrays

    if hasattr(data, "columns") or isinstance(data, list):
        arrays(data[:1], ".npy", Path(os.devnull))  # says what does not make an array
    return data.to_numpy() if hasattr(data, "columns") else plain(data)


class Lines:
    """Rows as lines of text; the first lot brings the names."""

    def __init__(self, suffix: str):
        self.suffix = suffix

    def fill(self, part: Path, tables: Iterator[tuple[bool, Any]]) -> None:
        with open(part, "w", newline="", encoding="utf-8") as file:
            for first, table in tables:
                if self.suffix == ".jsonl":
                    text = table.to_json(orient="records", lines=True, date_format="iso", double_precision=15)
                    file.write(text if text.endswith("\n") else text + "\n")
                else:
                    sep = "," if self.suffix == ".csv" else "\t"
                    table.to_csv(file, index=False, header=first, sep=sep, lineterminator="\n")

    def join(self, place: Path, parts: list[Path]) -> None:
        with open(place, "wb") as file:
            for part in parts:
                with open(part, "rb") as source:
                    shutil.copyfileobj(source, file, 1 << 22)


class Groups:
    """Rows as the row groups of a Parquet file, a group a lot."""

    def fill(self, part: Path, tables: Iterator[tuple[bool, Any]]) -> None:
        from ..data.arrow import pyarrow

        pa = pyarrow()
        from pyarrow import parquet

        writer = None
        part.touch()
        for _, table in tables:
            lot = pa.Table.from_pandas(table, schema=writer and writer.schema, preserve_index=False)
            writer = writer or parquet.ParquetWriter(part, lot.schema)
            writer.write_table(lot, row_group_size=len(table))
        if writer:
            writer.close()

    def join(self, place: Path, parts: list[Path]) -> None:
        from pyarrow import parquet

        files = [parquet.ParquetFile(part) for part in parts if part.stat().st_size]
        with parquet.ParquetWriter(place, files[0].schema_arrow) as writer:
            for file in files:
                for group in range(file.num_row_groups):
                    lot = file.read_row_group(group)
                    writer.write_table(lot, row_group_size=len(lot))
                file.close()


class Array:
    """Rows of one array: their bytes, and a head that says how many there are."""

    def fill(self, part: Path, arrays: Iterator[tuple[bool, Any]]) -> None:
        with open(part, "wb") as file:
            for _, array in arrays:
                np.save(file, np.ascontiguousarray(array), allow_pickle=False)

    def join(self, place: Path, parts: list[Path]) -> None:
        heads = [head for part in parts for head in self.heads(part)]
        shape = (sum(rows for _, rows, _, _ in heads), *heads[0][2])
        with open(place, "wb") as file:
            np.lib.format.write_array_header_1_0(
                file,
                {"descr": heads[0][3], "fortran_order": False, "shape": shape},  # type: ignore[arg-type]
            )
            for part in parts:
                with open(part, "rb") as source:
                    while source.peek(1):
                        file.write(np.lib.format.read_array(source, allow_pickle=False).tobytes())

    def heads(self, part: Path) -> Iterator[tuple[Path, int, tuple[int, ...], Any]]:
        with open(part, "rb") as source:
            while source.peek(1):
                np.lib.format.read_magic(source)
                shape, _, dtype = np.lib.format.read_array_header_1_0(source)
                source.seek(int(np.prod(shape)) * dtype.itemsize, 1)
                yield part, shape[0], shape[1:], np.lib.format.dtype_to_descr(dtype)


WRITERS: dict[str, Any] = {name: Lines(name) for name in (".csv", ".tsv", ".jsonl")} | {
    ".parquet": Groups(),
    ".npy": Array(),
}


# ---- scoring ---------------------------------------------------------------------------------------------------------
def score(
    path: str,
    data: str,
    by: str = "",
    said: dict[str, Any] | None = None,
    given: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
) -> Likelihood:
    """How likely each row is, a lot at a time, of several processes each its lots; all of them get all answers."""
    machine = Machine(device, patience=DAY)
    model = opened(path, str(machine.device))
    examples, condition = reading.examples(model, data, said or {}, given)
    found = lots(model, len(examples))
    mine = found[machine.rank * len(found) // machine.world : (machine.rank + 1) * len(found) // machine.world]
    with machine.heard(ANEW):
        answers = [(rows, lot(model, examples, condition, rows, by, seed)) for rows in mine]
        answer = together(machine, answers, len(examples))
        machine.end()
        return answer


def lot(model: Any, examples: Any, condition: Any, rows: slice, by: str, seed: int) -> Likelihood:
    x, g = examples.take(rows)
    told = condition[rows] if hasattr(condition, "__array__") or hasattr(condition, "iloc") else condition
    if g is not None and examples.given_space is not None:
        told = examples.given_space.restore(g)
    with beginning(model, rows.start):
        return likelihood(model, examples.space.restore(x), told, by, seed)


def together(machine: Machine, answers: list[tuple[slice, Likelihood]], n: int) -> Likelihood:
    """The answers of all processes in the order of the rows."""
    import torch
    import torch.distributed as dist

    one = answers[0][1] if answers else None
    names = machine.tell([name for name in ("values", "spread", "ess") if one and getattr(one, name) is not None])
    columns: dict[str, Any] = {}
    for name in names:
        column = torch.full((n,), -0.0, dtype=torch.float64)  # -0 + x is x, whatever its sign
        for rows, answer in answers:
            column[rows] = torch.from_numpy(np.asarray(getattr(answer, name), dtype=np.float64))
        if machine.world > 1:
            dist.all_reduce(column)
        columns[name] = column.numpy()
    ends: dict[str, Any] = {}
    for end in ("low", "high"):
        told = [
            (getattr(answer, end), rows.stop - rows.start)
            for rows, answer in answers
            if getattr(answer, end) is not None
        ]
        total, count = machine.sums(sum(value * rows for value, rows in told), float(sum(rows for _, rows in told)))
        ends[end] = total / count if count else None
    one = one or Likelihood(np.zeros(0), "", "", "", 1, False)  # a process without a lot; the first has one
    return replace(one, **({"rows": ""} | columns | ends))
