"""Faults put in on purpose, and how often the promise held: `make verify-trust`, or `verify/trust/run.py --only crashes --much 0.1`.

Each part is a module beside this one with `rows(much, out, seed)`; it runs in a process of its own and writes a line of JSON a row as it goes.
With --out, parts can be run on different occasions: what lies there of the others is taken as it is.
Parts that take one core run two at a time, those that take both run alone. The table goes to the screen and, after a full run, into docs/guarantees.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path

from rows import Row

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "guarantees.md"
BEGIN, END = "<!-- what make verify-trust found -->", "<!-- end -->"
ALONE, WIDE = (
    (("crashes", "supplied"), ("fuzzed", "signalled", "numbered")),
    ("scaled",),
)  # two lanes of one core; both cores
PARTS = (*ALONE[0], *ALONE[1], *WIDE)


def part(name: str, much: float, out: Path, seed: int) -> int:
    """Run one part here and write its rows."""
    torch_threads()
    module = importlib.import_module(name)
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run
    folder.mkdir(parents=True)
    with open(out / f"{name}.jsonl", "w") as file:
        for row in module.rows(much, folder, seed):
            file.write(row.line() + "\n")
            file.flush()
            print(
                f"{'ok  ' if not row.lost else 'LOST'} {row.fault}: {row.survived:,} of {row.tries:,}, {row.seconds:.0f} s  {row.note}",
                flush=True,
            )
    return 0


def torch_threads() -> None:
    import torch

    torch.set_num_threads(1)


def lane(names: tuple[str, ...], much: float, out: Path, seed: int, broken: list[str]) -> None:
    """Parts one after the other, each in a process of its own."""
    paths = os.pathsep.join([str(HERE), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    for name in names:
        command = [
            sys.executable,
            str(HERE / "run.py"),
            "--part",
            name,
            "--much",
            str(much),
            "--seed",
            str(seed),
            "--out",
            str(out),
        ]
        if subprocess.run(command, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}).returncode:
            broken.append(name)


def found(out: Path, names: list[str]) -> list[Row]:
    files = [out / f"{name}.jsonl" for name in names]
    return [Row(**json.loads(line)) for file in files if file.is_file() for line in file.read_text().splitlines()]


def conditions(much: float, seconds: float, seed: int) -> str:
    import torch

    cpu = (
        next(
            (
                line.partition(":")[2].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if "model name" in line
            ),
            "",
        )
        if Path("/proc/cpuinfo").exists()
        else ""
    )
    whole = "" if much == 1 else f"; a part of the full measure: {much:g}"
    return (
        f"{date.today()}, {os.cpu_count()} cores {cpu or platform.machine()}, {platform.system()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, seed {seed}, {seconds / 60:.1f} minutes{whole}"
    )


def table(rows: list[Row]) -> list[str]:
    lines = ["| fault | promise | tries | survived | lost | note |", "|---|---|---:|---:|---:|---|"]
    for row in rows:
        cells = (
            row.fault,
            row.promise,
            f"{row.tries:,}",
            f"{row.survived:,}",
            f"**{row.lost:,}**" if row.lost else "0",
            row.note,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    total = sum(row.tries for row in rows), sum(row.survived for row in rows), sum(row.lost for row in rows)
    return [*lines, "| all | | {:,} | {:,} | {:,} | |".format(*total)]


def write_page(rows: list[Row], words: str) -> None:
    """The table between its two marks in docs/guarantees.md; the words around it are written by hand."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + "\n".join([BEGIN, "", *table(rows), "", f"Conditions: {words}.", "", END]) + after)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by commas")
    parser.add_argument("--much", type=float, default=1.0, help="1 is the full measure; 0.02 a trial of it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="where the rows go")
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.part:
        return part(said.part, said.much, said.out, said.seed)
    names = [name for name in said.only.split(",") if name]
    if strange := [name for name in names if name not in PARTS]:
        print(f"There is no part {strange[0]!r}. Known: {', '.join(PARTS)}.")
        return 2
    out = (said.out or Path(tempfile.mkdtemp(prefix="pushforward-trust-"))).resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        (out / f"{name}.jsonl").unlink(missing_ok=True)
    began, broken = time.monotonic(), []
    lanes = [tuple(name for name in line if name in names) for line in ALONE]
    threads = [threading.Thread(target=lane, args=(line, said.much, out, said.seed, broken)) for line in lanes if line]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lane(tuple(name for name in WIDE if name in names), said.much, out, said.seed, broken)
    rows = found(out, list(PARTS))
    words = conditions(said.much, time.monotonic() - began, said.seed)
    print("\n".join(["", *table(rows), "", words]))
    for name in broken:
        print(f"The part {name} did not come to an end.")
    if not broken and all((out / f"{name}.jsonl").is_file() for name in PARTS) and said.much == 1:
        write_page(rows, words)
        print(f"Written to {PAGE.relative_to(ROOT)}.")
    return 1 if broken or any(row.lost for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
