"""One entrant with one seed: learns in a process of its own, is judged, and leaves a file that is complete or absent.

A process a cell: what needs too long is ended, what needs too much memory ends itself, and the others go on. A second start does what is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ... import catalogue
from ...data import Examples
from ...data.stores import Tensors
from ...engine.files import flush
from ...errors import BadFile, Problem
from ...space import Space
from .panel import Entrant

GRACE = 30.0  # seconds beyond three times its budget after which a process is ended
Say = Callable[[str], None]


@dataclass(frozen=True)
class Cell:
    """An entrant with a seed and the time it has for learning; 0 for one that is solved at once."""

    entrant: Entrant
    seed: int
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.entrant.name}-{self.seed}"


def keep(folder: Path, examples: Examples, part: str) -> None:
    """Examples as files that a process of its own reads: numbers, and nothing that is run."""
    np.save(folder / f"{part}.npy", examples.x.numpy(), allow_pickle=False)
    if examples.given is not None and examples.given_space is not None:
        np.save(folder / f"{part}.given.npy", examples.given.numpy(), allow_pickle=False)
        (folder / "given.json").write_text(json.dumps(examples.given_space.to_json()))
    (folder / "space.json").write_text(json.dumps(examples.space.to_json()))
    for file in folder.iterdir():
        flush(file)


def kept(folder: Path, part: str) -> Examples:
    try:
        return rows(folder, part)
    except (ValueError, OSError, EOFError) as problem:
        raise BadFile(
            f"{folder} holds no longer the rows of its comparison ({problem}). Begin it anew with overwrite (--overwrite)."
        ) from problem


def rows(folder: Path, part: str) -> Examples:
    import torch

    def read(name: str) -> Any:
        return torch.from_numpy(np.load(folder / name, allow_pickle=False))

    space = Space.from_json(json.loads((folder / "space.json").read_text()))
    if not (folder / f"{part}.given.npy").is_file():
        return Examples(Tensors(read(f"{part}.npy")), space=space)
    condition = Space.from_json(json.loads((folder / "given.json").read_text()))
    return Examples(Tensors(read(f"{part}.npy"), read(f"{part}.given.npy")), space=space, given_space=condition)


# ---- in a process of its own --------------------------------------------------------------------------------------------


def work(folder: str, entrant: dict[str, Any], seed: int, seconds: float, judge: str, threads: int) -> None:
    """Learn and be judged. A problem is a finding, written down like any other."""
    import torch

    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C is for the process that was called, which ends the others: else half a training would be judged as a whole one
    torch.set_num_threads(threads)
    cell = Cell(Entrant(**entrant), seed, seconds)
    began, place = time.monotonic(), Path(folder)
    facts: dict[str, Any] = {"name": cell.entrant.name, "seed": seed, "budget": seconds, "said": ""}
    rows: dict[str, np.ndarray] = {}
    try:
        model = learned(cell, place)
        facts |= {"learning": time.monotonic() - began, "steps": model.outcome_.get("step"), "size": model.size()}
        facts |= {"reason": model.outcome_.get("reason"), "abilities": model.abilities}
        torch.set_num_threads(1)  # measures are of many small pieces
        found, rows = judged(judge)(model, place, seed, cell.entrant.baseline == "copy")
        facts |= found
    except Problem as problem:
        facts["said"] = str(problem)
    except MemoryError as problem:
        facts["said"] = f"There was not enough memory ({problem or 'allocation failed'})."
    except Exception as problem:  # a fault of the program: it costs this cell, is told, and the others go on
        facts["said"] = (
            f"A fault of the program: {type(problem).__name__}: {problem}. What led to it is in {cell.name}.fault.txt."
        )
        (place / f"{cell.name}.fault.txt").write_text(traceback.format_exc())
    facts["seconds"] = time.monotonic() - began
    store(place, cell.name, facts, rows)


def judged(path: str) -> Callable[..., Any]:
    """The function that judges, by name: functions do not travel between processes."""
    from importlib import import_module

    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def learned(cell: Cell, folder: Path) -> Any:
    entrant, changes = cell.entrant, dict(cell.entrant.recipe)
    kind = catalogue.find(entrant.model)
    model, train = kind(**entrant.fields), kept(folder, "train")
    if cell.seconds:
        # The end is known, so the rate can fall towards it; the best weights on held-out rows are kept as ever.
        changes = {"schedule": "cosine", "patience": 0} | changes | {"time": f"{cell.seconds:.2f}"}
    place = folder / f"{cell.name}.pf"
    return model.fit(train, seed=cell.seed, quiet=True, device="cpu", out=place, overwrite=True, **changes)


def store(folder: Path, name: str, facts: dict[str, Any], rows: dict[str, np.ndarray]) -> None:
    part = folder / f".{name}.{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for key, values in rows.items():
        np.save(part / f"{key}.npy", values, allow_pickle=False)
    (part / "facts.json").write_text(json.dumps(plain(facts), allow_nan=False))
    for file in part.iterdir():
        flush(file)
    shutil.rmtree(folder / name, ignore_errors=True)
    part.rename(folder / name)


def plain(value: Any) -> Any:
    """As JSON has it; what is infinite or unknown is null."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and value - value != 0 else value


def found(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """What a cell left, if it came to its end; what cannot be read, as after a power cut, is learned again."""
    facts = noted(folder / name / "facts.json")
    try:
        rows = {file.stem: np.load(file, allow_pickle=False) for file in (folder / name).glob("*.npy")}
    except (ValueError, OSError, EOFError):
        return None
    return (facts, rows) if isinstance(facts, dict) else None


def noted(file: Path) -> Any:
    """What a file of a comparison says; None where there is none, or half of one."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None


# ---- in the process that was called --------------------------------------------------------------------------------------


def run(folder: Path, cells: Sequence[Cell], workers: int, threads: int, judge: str, say: Say) -> None:
    """All cells, so many at a time."""
    context, left = forge(), list(cells)
    live: dict[str, tuple[Cell, Any, float]] = {}
    try:
        while left or live:
            while left and len(live) < workers:
                cell = left.pop(0)
                words = (str(folder), asdict(cell.entrant), cell.seed, cell.seconds, judge, threads)
                process = context.Process(target=work, args=words, daemon=True)
                with unseen():
                    process.start()
                live[cell.name] = (cell, process, time.monotonic())
            time.sleep(0.05)
            for name, (cell, process, began) in list(live.items()):
                if over(folder, cell, process, began, say):
                    process.join()
                    del live[name]
    finally:
        for _, process, _ in live.values():
            process.terminate()
            process.join()


@contextmanager
def unseen() -> Iterator[None]:
    """The program that called is not seen by a process that begins. It needs nothing of it, and would else run it first: a script without a
    guard (`if __name__ == "__main__"`) would call once more, in every process."""
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def forge() -> Any:
    """Where processes come from: a server that has imported what they need, where the system has such a thing."""
    method = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
    context: Any = get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["torch", "scipy.stats", __name__])
    return context


def over(folder: Path, cell: Cell, process: Any, began: float, say: Say) -> bool:
    """Whether a cell has ended; one that takes too long is ended, one that broke off is told."""
    spent = time.monotonic() - began
    allowed = 3 * max(cell.seconds, cell.entrant.limit) + GRACE
    if process.is_alive() and spent < allowed:
        return False
    said = ""
    if process.is_alive():
        process.terminate()
        said = f"It had not come to an end after {spent:.0f} s and was stopped."
    elif found(folder, cell.name) is None:
        said = f"Its process was ended from outside (exit code {process.exitcode}), as a system does that runs out of memory."
    if said:
        store(
            folder,
            cell.name,
            {"name": cell.entrant.name, "seed": cell.seed, "budget": cell.seconds, "said": said, "seconds": spent},
            {},
        )
    facts = found(folder, cell.name)
    told = said or (facts[0]["said"] if facts else "") or f"{spent:.0f} s"
    say(f"{cell.name}: {told}")
    return True
