"""Nothing is lost: every operation of every writing fails once, the power is cut after each, and real processes are killed while they train and save."""

import errno
import json
import os
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pushforward.engine import Journal, checkpoint, files, locks
from pushforward.errors import BadFile
from pushforward.saving import claim, save

sys.path.insert(0, str(Path(__file__).parent))
from faults import Faults, snapshot
from lines import Line
from power import cuts, lay
from victims import Course, chase

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layer reads names of open files from /proc")

X = np.random.default_rng(0).normal(2.0, 3.0, size=(40, 3))
KINDS = [
    pytest.param(number, lasting, id=f"{number if number == 'short' else errno.errorcode[number]}{'-lasting' * lasting}")
    for number, lasting in [
        (errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EIO, False), (errno.EIO, True), (errno.EINTR, False), (errno.EROFS, True), ("short", False),
    ]
]  # fmt: skip
WAYS = pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two renames"])


@pytest.fixture(scope="module")
def models():
    return [Line().fit(X, steps=2, seed=seed, quiet=True) for seed in (1, 2)]


@pytest.fixture(autouse=True)
def nobody_holds_anything(monkeypatch):
    monkeypatch.setattr(
        os, "fsync", lambda handle: None
    )  # only a power cut, which the layer tells of, knows the difference
    yield
    assert not locks.HELD
    locks.WORDS.clear()


def contents(folder):
    """What the manifest of a folder stands for, once it is verified: name -> bytes."""

    def read(place):
        files.verify(place)
        names = [line.split("  ")[1] for line in (place / files.MANIFEST).read_text().splitlines()]
        return {name: (place / name).read_bytes() for name in names}

    return files.steady(folder, read)


def stood(folder):
    return contents(folder) if folder.exists() or files.left(folder) and files.standing(folder) != folder else None


def run_beside(folder):
    """What a run keeps in a folder: two checkpoints and a journal."""
    for step in (1, 2):
        checkpoint.write(folder / "checkpoints", step, {"w": torch.full((5,), float(step))}, {"step": step})
    (folder / "journal.jsonl").write_text('{"step": 1}\n{"step": 2}\n')


def one_of(folder, name, anew):
    """What a run kept under a name: where it was or, if another begins in its place, in `before`; not in both."""
    places = [folder / name] + [folder / "before" / name] * anew
    found = [snapshot(p) if p.is_dir() else p.read_bytes() for p in places if p.exists()]
    assert len(found) == 1
    return found[0]


def nothing_else(parent, names=("m.pf",)):
    """Nothing but the folder, and nothing half in it."""
    assert sorted(p.name for p in parent.iterdir()) in ([], sorted(names))
    assert not [p for p in parent.rglob(".*")]


def two_renames(monkeypatch):
    monkeypatch.setattr(files, "exchange", lambda a, b: False)


def every_operation(root, number, lasting, prepare, act, check):
    """Let operation 1, 2, 3 … fail until none does; how many there were."""
    for at in range(1, 500):
        place = root / str(at)
        place.mkdir()
        prepare(place)
        with Faults(place, at, number, lasting) as disk:
            found = act(place)
        assert not disk.missed, disk.missed
        check(place, found, bool(disk.fired))
        shutil.rmtree(place)
        if not disk.fired:
            return at - 1
    raise AssertionError("it never ends")


# ---- operations that fail ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "number, lasting, before, exchange",
    [
        (errno.ENOSPC, True, "nothing", True),
        (errno.ENOSPC, True, "a run", False),
        ("short", False, "a model", True),
        (errno.EIO, False, "an overwritten run", True),
        (errno.EROFS, True, "an overwritten run", False),
    ],
)
def test_a_save_is_whole_or_not_at_all_whatever_fails(tmp_path, monkeypatch, models, number, lasting, before, exchange):
    one, two = models
    if not exchange:
        two_renames(monkeypatch)
    anew = before == "an overwritten run"
    name = "weights.safetensors"
    old, new = ({name: contents(save(m, tmp_path / "x" / "m.pf"))[name]} for m in models)
    old_steps = {}

    if before != "nothing":
        save(one, tmp_path / "first" / "m.pf")
    if before.endswith("run"):
        run_beside(tmp_path / "first" / "m.pf")
        old_steps.update(snapshot(tmp_path / "first" / "m.pf" / "checkpoints"))

    def prepare(place):
        if before != "nothing":
            shutil.copytree(tmp_path / "first" / "m.pf", place / "m.pf")
        if anew:
            claim(place / "m.pf", True, False)

    def act(place):
        try:
            return save(two, place / "m.pf")
        except BadFile as problem:
            assert str(place / "m.pf") in str(problem)
            return problem

    def check(place, found, fired):
        folder = place / "m.pf"
        stands = stood(folder)
        stands = stands and {"weights.safetensors": stands["weights.safetensors"]}  # the card tells the time
        if not isinstance(found, BadFile):
            assert stands == new
        assert stands in (([None] if before == "nothing" else [old]) + [new])
        locks.WORDS.clear()
        claim(folder, False, True)
        nothing_else(place)
        if stands:
            assert {k: v for k, v in contents(folder).items() if k in stands} == stands
        if before == "a run" or (anew and stands == old):
            assert one_of(folder, "checkpoints", anew) == old_steps and one_of(folder, "journal.jsonl", anew)
        elif anew:
            assert not (folder / "checkpoints").exists() and not (folder / "journal.jsonl").exists()

    assert every_operation(tmp_path, number, lasting, prepare, act, check) > 10


@WAYS
@pytest.mark.parametrize("number, lasting", KINDS[1:3])
def test_a_checkpoint_is_whole_or_not_at_all_whatever_fails(tmp_path, monkeypatch, number, lasting, exchange):
    """Steps 1 and 2 are there; 3 is written, then 3 again, as a run does that ends where it was resumed."""
    if not exchange:
        two_renames(monkeypatch)

    run_beside(tmp_path / "first")

    def prepare(place):
        shutil.copytree(tmp_path / "first", place, dirs_exist_ok=True)

    def act(place):
        problems = []
        for value in (3.0, 3.5):
            try:
                checkpoint.write(place / "checkpoints", 3, {"w": torch.full((5,), value)}, {"step": 3})
            except OSError as problem:
                problems.append(problem)
        return problems

    def check(place, problems, fired):
        files.tidy(place / "checkpoints")
        tensors, state = checkpoint.newest(place / "checkpoints")
        assert float(tensors["w"][0]) in (2.0, 3.0, 3.5) and state["step"] == int(tensors["w"][0])
        if not problems:
            assert float(tensors["w"][0]) == 3.5
        for step in (place / "checkpoints").iterdir():
            files.verify(step)
        assert not fired or problems or number == "short" or float(tensors["w"][0]) == 3.5
        nothing_else(place / "checkpoints", [p.name for p in (place / "checkpoints").iterdir()])

    assert every_operation(tmp_path, number, lasting, prepare, act, check) > 20


@pytest.mark.parametrize("number, lasting", KINDS)
def test_a_journal_says_once_that_it_cannot_be_written_and_goes_on(tmp_path, capsys, number, lasting):
    def act(place):
        try:
            with Journal(place / "m.pf") as journal:
                for step in range(6):
                    journal.note(step, loss=1.0 / 3)
                return journal.entries
        except BadFile as problem:
            return problem

    def check(place, found, fired):
        said = capsys.readouterr().err
        path = place / "m.pf" / "journal.jsonl"
        if isinstance(found, BadFile):
            assert str(place) in str(found)
            return
        assert len([e for e in found if "loss" in e]) == 6
        text = path.read_bytes().split(b"\n")
        assert (
            lasting or text[-1] == b""
        )  # a disk that stays full may keep a line cut short, as a kill may: the last one
        lines = [json.loads(line) for line in text[:-1]]
        if not lasting:  # all of it, in its order, as soon as the disk was there again
            assert [e["step"] for e in lines if "loss" in e] == list(range(6))
        assert said.count("could not be written") == sum("could not" in e.get("said", "") for e in found) <= 2

    def prepare(place):
        (place / "m.pf").mkdir()
        (place / "m.pf" / "journal.jsonl").write_text('{"step": -1}\n{"st')

    assert every_operation(tmp_path, number, lasting, prepare, act, check) > 6


@pytest.mark.parametrize("number, lasting", KINDS[1:5:2])
def test_a_run_goes_on_where_the_disk_fails(tmp_path, capsys, number, lasting):
    """Fails at the beginning with a sentence, or ends as if nothing had been: what could not be written is told."""
    alone = Line().fit(X, steps=12, every=4, quiet=True, patience=0)
    chance, outcomes = random.Random(5), set()
    for at in sorted(chance.sample(range(1, 160), 12)):
        with Faults(tmp_path, at, number, lasting) as disk:
            try:
                model = Line().fit(X, steps=12, every=4, keep=0.0, out=tmp_path / f"{at}.pf", patience=0)
                outcomes.add("saved")
            except BadFile as problem:
                model, said = None, str(problem)
                outcomes.add("not begun" if "cannot be written" in said else "not saved")
        assert not disk.missed
        if model is not None:
            assert all(torch.equal(a, b) for a, b in zip(model.parameters(), alone.parameters(), strict=True))
    assert {"not begun", "not saved"} <= outcomes or not lasting
    assert "Going on." in capsys.readouterr().err


def test_a_model_that_could_not_be_saved_is_still_there(tmp_path):
    model = Line()
    with Faults(tmp_path, 90, errno.ENOSPC, lasting=True), pytest.raises(BadFile, match="still in memory"):
        model.fit(X, steps=12, every=4, keep=0.0, out=tmp_path / "m.pf", quiet=True)
    assert np.isfinite(model.score(X)) and files.verify(model.save(tmp_path / "other.pf")) == 3


# ---- power cuts ------------------------------------------------------------------------------------------------------------
def all_cuts(tmp_path, disk, check, most=40):
    """Check so many of the states that a power cut may leave; how many there are. All are looked at in verify/trust/crashes.py."""
    states = [(count, kind, tree) for count, kind, tree in cuts(disk)]
    for count, kind, tree in random.Random(0).sample(states, min(most, len(states))):
        place = tmp_path / "cut"
        lay(tree, place)
        try:
            check(place, count)
        except BaseException:
            print(f"after operation {count}, files that were not flushed {kind}: {tree.keys()}")
            raise
        shutil.rmtree(place)
    return len(states)


@WAYS
@pytest.mark.parametrize("before", ["nothing", "a run", "an overwritten run"])
def test_a_power_cut_leaves_the_old_model_or_the_new(tmp_path, monkeypatch, models, before, exchange):
    if not exchange:
        two_renames(monkeypatch)
    one, two = models
    place = tmp_path / "here"
    folder = place / "m.pf"
    place.mkdir()
    if before != "nothing":
        save(one, folder)
        run_beside(folder)
    old = stood(folder)
    steps = snapshot(folder / "checkpoints") if old else {}
    if before == "an overwritten run":
        claim(folder, True, False)
    with Faults(place) as disk:
        save(two, folder)
    assert not disk.missed
    new, total = contents(folder), disk.count

    def check(cut, count):
        found = stood(cut / "m.pf")
        assert found in ((old, new) if count < total else (new,))
        claim(cut / "m.pf", False, True)
        nothing_else(cut)
        if found:
            assert contents(cut / "m.pf") == found
        if before == "a run" or (before == "an overwritten run" and found == old):
            assert one_of(cut / "m.pf", "checkpoints", before != "a run") == steps

    assert all_cuts(tmp_path, disk, check) > 30


@WAYS
def test_a_power_cut_leaves_a_whole_checkpoint_that_is_not_older_than_the_last(tmp_path, monkeypatch, exchange):
    if not exchange:
        two_renames(monkeypatch)
    place = tmp_path / "here"
    run_beside(place)
    done = []
    with Faults(place) as disk:
        for step, value in ((3, 3.0), (4, 4.0), (4, 4.5)):
            checkpoint.write(place / "checkpoints", step, {"w": torch.full((5,), value)}, {"step": step})
            done.append((disk.count, value))
    assert not disk.missed

    def check(cut, count):
        files.tidy(cut / "checkpoints")
        tensors, _ = checkpoint.newest(cut / "checkpoints")
        assert float(tensors["w"][0]) >= max([2.0] + [value for after, value in done if after <= count])
        nothing_else(cut / "checkpoints", [p.name for p in (cut / "checkpoints").iterdir()])

    assert all_cuts(tmp_path, disk, check) > 60


def test_a_power_cut_in_a_run_that_overwrites_takes_nothing(tmp_path, models):
    """The old model and its checkpoints stand until the new one does; a checkpoint of the new run is not taken for one of the old."""
    place = tmp_path / "here"
    folder = place / "m.pf"
    save(models[0], folder)
    run_beside(folder)
    old, steps, done = contents(folder), snapshot(folder / "checkpoints"), []
    with Faults(place) as disk:
        claim(folder, True, False)
        with Journal(folder, quiet=True) as journal:
            for step in (1, 2, 3):
                journal.note(step, loss=0.5)
                checkpoint.write(folder / "checkpoints", step, {"w": torch.full((5,), 10.0 + step)}, {"step": step})
                done.append((disk.count, 10.0 + step))
            save(models[1], folder)
    new, total = contents(folder), disk.count
    assert not disk.missed and not (folder / "before").exists()

    def check(cut, count):
        found = contents(cut / "m.pf")
        assert found in ((old, new) if count < total else (new,))
        claim(cut / "m.pf", False, True)
        with Journal(cut / "m.pf", quiet=True) as journal:
            journal.note(9, loss=1.0)
        lines = (cut / "m.pf" / "journal.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines][-1]["step"] == 9
        newest = checkpoint.newest(cut / "m.pf" / "checkpoints")
        kept = [value for after, value in done if after <= count]
        if kept:
            assert float(newest[0]["w"][0]) >= kept[-1]
        if found == old:
            assert steps in [snapshot(cut / "m.pf" / where / "checkpoints") for where in ("", "before")]

    assert all_cuts(tmp_path, disk, check) > 100


# ---- kills -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name, kills", [("VAE", 5), ("GAN", 4), ("RBM", 4), ("over", 4), ("two renames", 3)])
def test_killed_at_any_instant_a_run_goes_on_bit_for_bit(tmp_path, name, kills):
    """Twenty real SIGKILLs. The hundreds are in verify/trust/crashes.py."""
    tally = chase(Course(name, tmp_path), random.Random(len(name)), kills)
    assert tally.kills == kills and not tally.lost


def test_the_layer_sees_what_it_must(tmp_path):
    """An operation behind its back is noticed."""
    with Faults(tmp_path) as disk:
        os.symlink(__file__, tmp_path / "a")
    assert disk.missed
