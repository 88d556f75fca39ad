"""Crashes: every operation of every writing fails once, the power is cut after each, and processes are killed while they train and save.

The checks are those of tests/engine/test_crash.py, there on a part of the cases and here on all; the kills are of tests/engine/victims.py. Nothing
here is simulated but the disk: the processes are real, and so is the signal that kills them.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rows import Row

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "engine"))

KINDS: list[tuple[Any, bool, str]] = [
    (errno.ENOSPC, False, "the disk is full (ENOSPC) at one operation"),
    (errno.ENOSPC, True, "the disk is full (ENOSPC) from one operation on"),
    (errno.EIO, False, "the disk fails (EIO) at one operation"),
    (errno.EIO, True, "the disk fails (EIO) from one operation on"),
    (errno.EINTR, False, "a call is interrupted (EINTR)"),
    (errno.EROFS, True, "the disk is read-only (EROFS) from one operation on"),
    ("short", False, "a write takes half of its bytes"),
]
WHOLE = "what stood there stands, or the new one does, whole; nothing else is left after the next start; the run goes on, or says so"
GOES_ON = "the folder loads; resumed until its end, the weights are those of an undisturbed run, bit for bit"


class Cases:
    """Counts what the checks of the tests look at, and goes on where one fails."""

    def __init__(self, share: float, chance: random.Random):
        self.share, self.chance = share, chance
        self.tries, self.lost, self.seconds = 0, [], 0.0

    def one(self, check: Callable[[], None], what: str) -> None:
        self.tries += 1
        try:
            check()
        except Exception as problem:
            self.lost.append(
                f"{what}: {type(problem).__name__} {str(problem).splitlines()[0][:200] if str(problem) else ''}"
            )

    def every_operation(self, root: Path, number: Any, lasting: bool, prepare: Any, act: Any, check: Any) -> int:
        from faults import Faults

        for at in range(1, 500):
            fired = True
            if self.share >= 1 or self.chance.random() < self.share or at == 1:
                place = root / str(at)
                place.mkdir()
                prepare(place)

                def case(place: Path = place, at: int = at) -> None:
                    nonlocal fired
                    with Faults(place, at, number, lasting) as disk:
                        found = act(place)
                    fired = bool(disk.fired)
                    assert not disk.missed, disk.missed
                    check(place, found, fired)

                self.one(case, f"operation {at}")
                shutil.rmtree(place)
            if not fired:
                break
            if self.share < 1 and at > 60:
                break
        return 10**6

    def all_cuts(self, root: Path, disk: Any, check: Any, most: int = 0) -> int:
        from power import cuts, lay

        for count, kind, tree in cuts(disk):
            if self.share >= 1 or self.chance.random() < self.share:
                place = root / "cut"
                lay(tree, place)
                self.one(
                    lambda place=place, count=count: check(place, count), f"cut after {count}, unflushed files {kind}"
                )
                shutil.rmtree(place)
        return 10**6

    def run(self, out: Path, name: str, *words: Any, **options: Any) -> None:
        """One of the tests, in a folder of its own."""
        import pytest
        import test_crash

        from pushforward.engine import locks

        began = time.monotonic()
        place = out / f"{name[:40]}{time.monotonic_ns()}"
        place.mkdir(parents=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda handle: None)
            patch.setattr(test_crash, "every_operation", self.every_operation)
            patch.setattr(test_crash, "all_cuts", self.all_cuts)
            options |= {"monkeypatch": patch} if "exchange" in options else {}
            self.one(lambda: getattr(test_crash, name)(place, *words, **options), name)
            self.tries -= not self.lost or not self.lost[-1].startswith(name)  # the test itself is no case
        locks.WORDS.clear()
        shutil.rmtree(place)
        self.seconds += time.monotonic() - began

    def row(self, fault: str, promise: str, note: str = "") -> Row:
        note = "; ".join([note] * bool(note) + self.lost[:3])
        return Row(
            fault, promise, self.tries, self.tries - len(self.lost), len(self.lost), round(self.seconds, 1), note
        )


class Quiet:
    """Stands for pytest's capsys: the sentences on the screen are read by the tests."""

    def __init__(self) -> None:
        import io

        self.old, sys.stderr = sys.stderr, io.StringIO()

    def readouterr(self) -> Any:
        import io
        from types import SimpleNamespace

        found, sys.stderr = sys.stderr.getvalue(), io.StringIO()  # type: ignore[attr-defined]
        return SimpleNamespace(err=found, out="")

    def close(self) -> None:
        sys.stderr = self.old


def failing(much: float, out: Path, chance: random.Random, models: Any) -> Iterator[Row]:
    for number, lasting, fault in KINDS:
        cases = Cases(much, chance)
        for before, exchange in itertools.product(("nothing", "a model", "a run", "an overwritten run"), (True, False)):
            cases.run(out, "test_a_save_is_whole_or_not_at_all_whatever_fails", models=models, number=number, lasting=lasting,
                      before=before, exchange=exchange)  # fmt: skip
        for exchange in (True, False):
            cases.run(
                out,
                "test_a_checkpoint_is_whole_or_not_at_all_whatever_fails",
                number=number,
                lasting=lasting,
                exchange=exchange,
            )
        screen = Quiet()
        try:
            cases.run(out, "test_a_journal_says_once_that_it_cannot_be_written_and_goes_on", screen, number, lasting)
        finally:
            screen.close()
        yield cases.row(fault, WHOLE, "every operation in turn, of saves, checkpoints and the journal")


def cut(much: float, out: Path, chance: random.Random, models: Any) -> Iterator[Row]:
    cases = Cases(much, chance)
    for before, exchange in itertools.product(("nothing", "a run", "an overwritten run"), (True, False)):
        cases.run(
            out, "test_a_power_cut_leaves_the_old_model_or_the_new", models=models, before=before, exchange=exchange
        )
    yield cases.row(
        "the power is cut in a save: what was not flushed is gone, cut short or zeros",
        WHOLE,
        "after every operation, every order",
    )
    cases = Cases(much, chance)
    for exchange in (True, False):
        cases.run(out, "test_a_power_cut_leaves_a_whole_checkpoint_that_is_not_older_than_the_last", exchange=exchange)
    yield cases.row(
        "the power is cut in a checkpoint", "the last one that was written is whole, or a newer one is", "as above"
    )
    cases = Cases(much, chance)
    cases.run(out, "test_a_power_cut_in_a_run_that_overwrites_takes_nothing", models)
    yield cases.row(
        "the power is cut in a run that overwrites",
        "the old model and its checkpoints stand until the new model does",
        "as above",
    )


def killed(much: float, out: Path, seed: int) -> Iterator[Row]:
    from victims import Course, chase

    for name, kills, what in (
        ("VAE", 150, "training a VAE with averaged weights"),
        ("GAN", 100, "training a GAN with averaged weights"),
        ("RBM", 100, "training an RBM with persistent chains"),
        ("RealNVP", 60, "training a flow with accumulated, clipped gradients"),
        ("Gaussian", 30, "fitting and saving what is solved at once"),
        ("over", 80, "saving one model over another"),
        ("two renames", 80, "saving one model over another where two names cannot change places"),
    ):
        began = time.monotonic()
        tally = chase(Course(name, out / name), random.Random(seed + len(name)), max(1, round(kills * much)))
        note = f"{tally.ends} run(s) killed {tally.kills} times, {tally.resumed} after a checkpoint" + "".join(
            f"; {t}" for t in tally.lost
        )
        shutil.rmtree(out / name)
        yield Row(f"SIGKILL at a random instant of {what}", GOES_ON, tally.kills, tally.kills - len(tally.lost), len(tally.lost),
                  round(time.monotonic() - began, 1), note)  # fmt: skip


def begin(out: str, ready: Any) -> None:
    """A process that wants the folder."""
    from victims import HOW, built

    from pushforward.errors import Usage

    model, x, how = built("VAE")
    ready.send("ready")
    ready.recv()
    try:
        model.fit(x, out=out, resume=True, **(how | HOW | {"steps": 10}))
        ready.send("wrote")
    except Usage as problem:
        ready.send("refused" if "is being written by process" in str(problem) else f"said {problem}")


def two(much: float, out: Path) -> Iterator[Row]:
    """Two processes begin at the same instant: one writes, the other is refused, or comes after it and goes on."""
    from victims import CONTEXT

    from pushforward.engine import files

    began, tries, refused, lost = time.monotonic(), max(1, round(30 * much)), 0, []
    for i in range(tries):
        place = out / f"two{i}" / "m.pf"
        pipes = [CONTEXT.Pipe() for _ in range(2)]
        pair = [CONTEXT.Process(target=begin, args=(str(place), there), daemon=True) for _, there in pipes]
        for process in pair:
            process.start()
        assert all(here.recv() == "ready" for here, _ in pipes)
        for here, _ in pipes:
            here.send("go")
        said = sorted(here.recv() for here, _ in pipes)
        for process in pair:
            process.join()
        refused += "refused" in said
        left = [p.name for p in place.parent.iterdir()]
        if said not in (["refused", "wrote"], ["wrote", "wrote"]) or left != ["m.pf"] or not files.verify(place):
            lost.append(f"{said}, {left}")
        shutil.rmtree(place.parent)
    note = "; ".join(
        [f"the second was refused {refused} times, and went on after the first {tries - refused} times", *lost[:3]]
    )
    yield Row("two processes fit into one folder at the same instant", "one writes at a time; the second is refused with a sentence, or comes after",
              tries, tries - len(lost), len(lost), round(time.monotonic() - began, 1), note)  # fmt: skip


def writing(out: str, until: Any) -> None:
    """A process that saves one model over another until it is told to stop."""
    from victims import MOONS

    import pushforward as pf

    models = [pf.Gaussian().fit(MOONS[i::3], quiet=True) for i in range(3)]
    until.send("going")
    i = 0
    while not until.poll():
        models[i % 3].save(out, overwrite=True)
        i += 1


def read(much: float, out: Path) -> Iterator[Row]:
    """A model is loaded while another process saves over it all the time: each load is one of the models, whole."""
    from victims import CONTEXT, MOONS, Course

    import pushforward as pf

    began, tries, lost, seen = time.monotonic(), max(20, round(1000 * much)), [], set()
    whole = {Course.state(pf.Gaussian().fit(MOONS[i::3], quiet=True)) for i in range(3)}
    place = pf.Gaussian().fit(MOONS[::3], quiet=True).save(out / "read" / "m.pf")
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=writing, args=(str(place), there), daemon=True)
    process.start()
    here.recv()
    for i in range(tries):
        try:
            seen.add(found := Course.state(pf.load(place)))
            assert found in whole, "weights of no model"
        except Exception as problem:
            lost.append(f"load {i}: {type(problem).__name__} {problem}")
    here.send("stop")
    process.join()
    shutil.rmtree(place.parent)
    note = "; ".join([f"{len(seen)} of 3 models seen", *lost[:2]])
    yield Row("a model is loaded while another process saves over it without a pause", "one of the models, whole, every time", tries,
              tries - len(lost), len(lost), round(time.monotonic() - began, 1), note)  # fmt: skip


def small(name: str, out: str, limit: int, ready: Any) -> None:
    """A process whose files may not grow beyond a limit of the kernel, and which says what came of its fit."""
    import resource
    import signal

    from victims import built

    from pushforward.errors import BadFile

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    model, x, how = built(name)
    try:
        model.fit(x, out=out, **how)
        ready.send("saved")
    except BadFile:
        ready.send("told" if model.sample(3, seed=0).shape == (3, 2) else "gone")


def limited(much: float, out: Path, chance: random.Random) -> Iterator[Row]:
    from victims import CONTEXT

    from pushforward.engine import files

    began, tries, lost, saved = time.monotonic(), max(2, round(20 * much)), [], 0
    for i in range(tries):
        place = out / f"limited{i}" / "m.pf"
        here, there = CONTEXT.Pipe()
        process = CONTEXT.Process(
            target=small, args=("VAE", str(place), chance.randrange(200, 12000), there), daemon=True
        )
        process.start()
        try:
            there.close()
            said = here.recv()
        except EOFError:
            said = "ended without a word"
        process.join()
        saved += said == "saved"
        left = [p for p in place.parent.rglob(".*")]
        stands = (place / files.MANIFEST).exists() and files.verify(place) > 0
        if said not in ("saved", "told") or left or stands != (said == "saved"):
            lost.append(f"{said}, left {left}")
        shutil.rmtree(place.parent)
    note = "; ".join([f"{saved} saved, {tries - saved} told with the model in memory", *lost[:3]])
    yield Row("files may not grow beyond a random limit of the kernel (RLIMIT_FSIZE)", "a whole model or none; the error is a sentence, and the model "
              "is in memory", tries, tries - len(lost), len(lost), round(time.monotonic() - began, 1), note)  # fmt: skip


def rows(much: float, out: Path, seed: int) -> Iterator[Row]:
    from test_crash import Line, X

    chance = random.Random(seed)
    models = [Line().fit(X, steps=2, seed=s, quiet=True) for s in (1, 2)]
    yield from failing(much, out, chance, models)
    yield from cut(much, out, chance, models)
    yield from killed(much, out, seed)
    yield from two(much, out)
    yield from read(much, out)
    yield from limited(much, out, chance)
