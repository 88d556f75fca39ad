"""Every reader against files that were changed by chance and by malice: 100,000 mutations and more.

A try is a file, or a folder, with bits, bytes, pieces or JSON values changed (tests/fuzz.py), some signed anew so that the deeper layers are
reached. It has survived if the reader gave finite examples or a working model, or a `Problem` with a sentence; it is lost if anything
else was raised, the process died or hung, or took more memory than the file and 64 MiB. Tries run by the hundred in a child process that
also watches for files that are written.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import mmap
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rows import Row

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from seeds import READERS, files_of, models_of

import fuzz

ROOM = 64 << 20
LOT = 200  # tries of one child
SECONDS = 240  # of one child
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass
class Target:
    """One reader: what to break, how, and what to do with it."""

    fault: str
    tries: int  # at `much` = 1
    change: Callable[[random.Random, Path], Any]  # writes a broken thing into a folder of its own; says what to read
    read: Callable[[Any], None]
    promise: str = "finite examples, or a Problem"
    lost: list[str] = field(default_factory=list)
    good: int = 0  # tries in which the reader had nothing to object


def rows(much: float, out: Path, seed: int) -> Iterator[Row]:
    place = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else out
    room = place / f"pushforward-fuzz-{os.getpid()}"
    room.mkdir(parents=True)
    try:
        for target in targets(room / "seeds", seed):
            tries = max(10, round(much * target.tries))
            began = time.monotonic()
            for start in range(0, tries, LOT):
                lot(target, room / "work", seed, range(start, min(start + LOT, tries)))
            note = f"{target.good} were read all the same" + "".join(f"; {said}" for said in target.lost[:3])
            lost = len(target.lost)
            yield Row(target.fault, target.promise, tries, tries - lost, lost, time.monotonic() - began, note)
    finally:
        shutil.rmtree(room, ignore_errors=True)


# ---- one lot of tries in a child ---------------------------------------------------------------------------------
def lot(target: Target, work: Path, seed: int, numbers: range) -> None:
    """Run tries in a child; what it says comes back through a file, and which one it was at through shared memory."""
    at = mmap.mmap(-1, 8)
    told = work.with_name("told.json")
    numbers_left = numbers
    while numbers_left:
        told.unlink(missing_ok=True)
        child = os.fork()
        if not child:
            code = 1
            try:
                told.write_text(json.dumps(tries(target, work, seed, numbers_left, at)))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if status == 0:
            good, lost = json.loads(told.read_text())
            target.good += good
            target.lost += lost
            return
        stopped = int.from_bytes(at[:8], "little")
        target.lost.append(f"try {stopped}: the process ended with status {status}")
        numbers_left = range(stopped + 1, numbers_left.stop)


def tries(target: Target, work: Path, seed: int, numbers: range, at: mmap.mmap) -> tuple[int, list[str]]:
    """The tries themselves."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    signal.alarm(SECONDS)
    written: list[str] = []
    busy = [True]
    own = str(work)

    def hook(event: str, args: Any) -> None:
        if busy[0]:
            return
        place = str(args[0]) if args else ""  # a name without a folder is below one that was opened before
        outside = place.startswith("/") and not place.startswith((own, "/dev/null"))
        writes = event == "open" and isinstance(args[2], int) and bool(args[2] & WRITING)
        if event.startswith(("os.system", "subprocess", "os.exec", "pickle.find_class")) or (
            outside and (writes or event in ("os.remove", "os.rename", "os.mkdir"))
        ):
            written.append(f"{event} {str(args)[:60]}")

    sys.addaudithook(hook)
    good, lost = 0, []
    for number in numbers:
        at[:8] = number.to_bytes(8, "little")
        rng = random.Random(f"{seed} {target.fault} {number}")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        thing = target.change(rng, work)
        size = sum(f.stat().st_size for f in work.rglob("*") if f.is_file())
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        busy[0] = False
        try:
            target.read(thing)
            good += 1
        except BaseException as problem:
            if not expected(problem):
                where = problem.__traceback__
                while where is not None and where.tb_next is not None:
                    where = where.tb_next
                line = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
                lost.append(f"try {number}: {type(problem).__name__} {str(problem)[:160]!r} at {line}")
        finally:
            busy[0] = True
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        if grown > ROOM + size:
            lost.append(f"try {number}: {grown >> 20} MiB more memory")
        if time.monotonic() - began > 10:
            lost.append(f"try {number}: {time.monotonic() - began:.0f} s")
        if written:
            lost.append(f"try {number}: {written.pop()}")
            written.clear()
    return good, lost


def expected(problem: BaseException) -> bool:
    from pushforward.errors import Problem

    return isinstance(problem, Problem) and len(str(problem)) > 20


# ---- what is read ------------------------------------------------------------------------------------------------
def finite(x: Any) -> None:
    """Examples hold no infinity; NaN is a missing cell."""
    import torch

    if x is not None and x.is_floating_point() and bool(torch.isinf(x).any()):
        raise ArithmeticError("infinite examples came out")


def data(path: Path, **options: Any) -> None:
    from pushforward.data import load

    found = load(path, **options)
    x, given = found.take(list(range(min(len(found), 64))))
    finite(x)
    finite(given)


def loaded(path: Path) -> Any:
    """A model; one whose card asks for long chains is given short ones, since it would do as it is told."""
    import pushforward

    model = pushforward.load(path)
    if "burn" in model.fields:
        model.burn = min(model.burn, 50)
    return model


def drawn(path: Path) -> None:
    """Whose numbers were changed and signed may draw what it likes, infinite rows too: they are its numbers."""
    model = loaded(path)
    given = {"given": model._given.restore(model._given.blank()[:1])} if model._given is not None else {}
    model.sample(1, seed=0, **given)


def folder(path: Path) -> None:
    import numpy as np
    import torch

    model = loaded(path)
    given = {"given": model._given.restore(model._given.blank()[:1])} if model._given is not None else {}
    drawn = model.sample(1, seed=0, **given)
    if isinstance(drawn, np.ndarray) and drawn.dtype.kind == "f" and np.isinf(drawn).any():
        raise ArithmeticError("infinite examples came out")
    if isinstance(drawn, torch.Tensor):
        finite(drawn)


# ---- what is broken ----------------------------------------------------------------------------------------------
def targets(seeds: Path, seed: int) -> list[Target]:
    seeds.mkdir()
    models, kept, runs = models_of(seeds), files_of(seeds), run_of(seeds)
    card, weights, works = "card.json", "weights.safetensors", "a model that samples, or a Problem"
    out = [
        Target("card changed, signed anew", 14_000, part(models, card, fuzz.rejson), folder, works),
        Target("bytes of the card changed, signed anew", 7_000, part(models, card, fuzz.mutated), folder, works),
        Target("header of the weights changed, signed anew", 10_000, part(models, weights, fuzz.reweighed), folder, works),
        Target("bytes of the weights changed, signed anew", 6_000, part(models, weights, fuzz.mutated), drawn, works),
        Target("numbers of the weights changed, signed anew", 4_000, part(models, weights, renumbered), whole, "a whole model, or a Problem"),
        Target("manifest changed", 6_000, part(models, fuzz.MANIFEST, fuzz.mutated, signed=False), folder, works),
        Target("any file of a model changed, not signed", 9_000, part(models, "", fuzz.mutated, signed=False), damaged, "a Problem"),
        Target("state of a checkpoint changed, signed anew", 3_000, checkpoint(runs), resumed, "a run that goes on, or a Problem"),
        Target("journal changed, run resumed", 400, journal(runs), resumed, "a run that goes on"),
        Target("journal changed, read for a report", 4_000, journal(runs), history, "what can be read of it, or a Problem"),
    ]  # fmt: skip
    for name, (tries, options) in READERS.items():
        out.append(
            Target(f"data: {name}", tries, broken(kept, name), lambda path, options=options: data(path, **options))
        )
    return out


def part(
    models: list[Path], name: str, change: Callable[..., bytes], signed: bool = True
) -> Callable[[random.Random, Path], Path]:
    """Break one file of a model folder."""

    def write(rng: random.Random, work: Path) -> Path:
        source = rng.choice(models)
        target = work / "m.pf"
        shutil.copytree(source, target)
        file = target / (name or rng.choice(("card.json", "weights.safetensors", "README.md")))
        before = file.read_bytes()
        after = change(before, rng)
        while not signed and not name and after == before:
            after = change(before, rng)
        file.write_bytes(after)
        if signed:
            fuzz.sign(target)
        return target

    return write


def renumbered(data: bytes, rng: random.Random) -> bytes:
    """Weights with some of their bytes changed, and none of the header."""
    start = 8 + int.from_bytes(data[:8], "little")
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(start, len(out))
        out[at : at + 1] = bytes(
            (rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256), out[at] ^ (1 << rng.randrange(8)))),)
        )
    return bytes(out)


def whole(path: Path) -> None:
    """A model whose numbers were changed and signed: they are its own. It loads whole or not, and a sample may be nonsense or fail."""
    model = loaded(path)
    given = {"given": model._given.restore(model._given.blank()[:1])} if model._given is not None else {}
    with suppress(ArithmeticError, LookupError, RuntimeError, ValueError):
        model.sample(1, seed=0, **given)


def damaged(path: Path) -> None:
    """A folder that is not as it was written."""
    folder(path)
    raise ArithmeticError("a changed file went unnoticed")


def run_of(seeds: Path) -> Path:
    """A run that was left in the middle, with a checkpoint and a journal."""
    import numpy as np

    import pushforward as pf

    place = seeds / "run.pf"
    model = pf.MAF(transforms=1, hidden=(4,))
    model.fit(DATA(), steps=6, batch=32, quiet=True, seed=0, out=place, keep=0.0, every=2)
    assert list((place / "checkpoints").glob("step-*")), "there is no checkpoint to break"
    assert np.isfinite(pf.load(place).log_prob(DATA())).all()
    return place


def DATA() -> Any:
    import numpy as np

    return np.random.default_rng(0).normal(size=(64, 2))


def checkpoint(run: Path) -> Callable[[random.Random, Path], Path]:
    """Break the newest checkpoint of a run, and all older ones."""

    def write(rng: random.Random, work: Path) -> Path:
        target = work / "run.pf"
        shutil.copytree(run, target)
        for place in (target / "checkpoints").glob("step-*"):
            name = rng.choice(("state.json", "state.safetensors"))
            file = place / name
            before = file.read_bytes()
            change = rng.choice((fuzz.mutated, fuzz.rejson if name == "state.json" else fuzz.reweighed))
            file.write_bytes(change(before, rng))
            fuzz.sign(place)
        return target

    return write


def journal(run: Path) -> Callable[[random.Random, Path], Path]:
    def write(rng: random.Random, work: Path) -> Path:
        target = work / "run.pf"
        shutil.copytree(run, target)
        file = target / "journal.jsonl"
        lines = file.read_bytes().split(b"\n")
        if rng.random() < 0.5 and lines:
            at = rng.randrange(len(lines))
            lines[at] = fuzz.rejson(lines[at], rng)
        else:
            lines = fuzz.mutated(b"\n".join(lines), rng).split(b"\n")
        file.write_bytes(b"\n".join(lines))
        return target

    return write


def resumed(path: Path) -> None:
    import numpy as np

    import pushforward as pf

    model = pf.MAF(transforms=1, hidden=(4,)).fit(DATA(), steps=8, batch=32, quiet=True, seed=0, out=path, resume=True)
    if not np.isfinite(model.sample(2, seed=0)).all():
        raise ArithmeticError("the run went on to a model that draws infinities")


def history(path: Path) -> None:
    from pushforward.workbench.reporting import journal

    journal(path / "journal.jsonl")


def broken(kept: dict[str, list[bytes]], name: str) -> Callable[[random.Random, Path], Path]:
    """A file of one kind with some of it changed; a picture lies in a folder."""
    every = [one for found in kept.values() for one in found]

    def write(rng: random.Random, work: Path) -> Path:
        before = rng.choice(kept[name])
        if name.endswith(".gz") and rng.random() < 0.5:
            after = gzip.compress(fuzz.mutated(gzip.decompress(before), rng), mtime=0)
        elif name == "json" and rng.random() < 0.5:
            after = fuzz.rejson(before, rng)
        elif name == "npz" and rng.random() < 0.5:
            after = rezipped(before, rng)
        else:
            after = fuzz.mutated(before, rng, rng.choice(every))
        path = work / f"x.{name}"
        path.write_bytes(after)
        return work if name in ("png", "jpg", "gif", "tiff", "bmp", "webp") else path

    return write


def rezipped(data: bytes, rng: random.Random) -> bytes:
    """An archive whose packing is whole and whose content is not."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", rng.choice((0, 8, 12, 14))) as new:
        for name in old.namelist():
            new.writestr(
                rng.choice((name, name, name, "../" + name, "/" + name, name.upper(), "x.txt")),
                fuzz.mutated(old.read(name), rng) if rng.random() < 0.7 else old.read(name),
            )
    return buffer.getvalue()
