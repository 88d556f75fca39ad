"""What stands in the way of a writer, and what a reader finds meanwhile: links, damaged checkpoints, journals cut short, runs that come to nothing."""

import errno
import json
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from pushforward.engine import Journal, checkpoint, files, journal
from pushforward.errors import BadData, BadFile, Usage
from pushforward.saving import claim, discard, save

sys.path.insert(0, str(Path(__file__).parent))
from faults import Faults, snapshot
from lines import Line, Trap
from test_crash import X, contents, models, nobody_holds_anything, two_renames

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layer reads names of open files from /proc")
__all__ = ["models", "nobody_holds_anything"]  # fixtures


def test_a_reader_finds_a_model_at_every_instant_of_a_save(tmp_path, monkeypatch, models):
    folder = save(models[0], tmp_path / "m.pf")
    seen = []
    real = os.rename
    two_renames(monkeypatch)
    monkeypatch.setattr(os, "rename", lambda a, b: (real(a, b), seen.append(contents(folder)))[0])
    save(models[1], folder)
    assert len(seen) == 2 and seen[0] != seen[1] == contents(folder)


def test_a_reader_whose_folder_is_exchanged_meanwhile_reads_again(tmp_path, models):
    folder, looks = save(models[0], tmp_path / "m.pf"), []

    def read(place):
        first = (place / files.MANIFEST).read_bytes()
        if not looks:
            save(models[1], folder)
        looks.append(place)
        return first, (place / files.MANIFEST).read_bytes()

    first, second = files.steady(folder, read)
    assert first == second and len(looks) == 2


def test_a_folder_that_may_not_be_written_is_told(tmp_path, models):
    folder = save(models[0], tmp_path / "m.pf")
    with Faults(tmp_path, 1, errno.EACCES, lasting=True):
        for do in (lambda: claim(folder, False, True), lambda: save(models[1], folder), lambda: Journal(folder)):
            with pytest.raises(BadFile, match=r"m\.pf.*cannot be written: Permission denied"):
                do()
        with pytest.raises(BadFile, match="Permission denied"):
            Line().fit(X, steps=2, out=tmp_path / "new.pf", quiet=True)


def test_a_run_writes_through_no_link(tmp_path, models):
    folder = save(models[0], tmp_path / "m.pf")
    (tmp_path / "mine").mkdir()
    (tmp_path / "secret").write_text("mine")
    for name, there in (("journal.jsonl", "secret"), ("checkpoints", "mine")):
        (folder / name).symlink_to(tmp_path / there)
        with pytest.raises(Usage, match="is a link"):
            claim(folder, False, True)
        with pytest.raises(BadFile, match="cannot be written") if name == "journal.jsonl" else pytest.raises(Usage):
            Journal(folder) if name == "journal.jsonl" else Line().fit(X, steps=2, out=folder, resume=True, quiet=True)
        save(models[1], folder)
        (folder / name).unlink(missing_ok=True)
    assert (tmp_path / "secret").read_text() == "mine" and not list((tmp_path / "mine").iterdir())


def test_a_link_to_a_folder_stays_a_link(tmp_path, models):
    (tmp_path / "big").mkdir()
    folder = save(models[0], tmp_path / "big" / "m.pf")
    (tmp_path / "latest.pf").symlink_to(folder)
    models[1].save(tmp_path / "latest.pf", overwrite=True)
    assert (tmp_path / "latest.pf").is_symlink() and contents(folder) == contents(tmp_path / "latest.pf")


def test_what_is_written_can_be_read_by_whom_the_folder_lets(tmp_path, models):
    folder = save(models[0], tmp_path / "m.pf")
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_what_another_folder_left_is_left_alone(tmp_path, models):
    """A folder `m` is not mended with what belongs to `m.pf`."""
    beside = tmp_path / ".m.pf.12.part"
    beside.mkdir()
    save(models[0], tmp_path / "m")
    assert beside.is_dir()
    save(models[0], tmp_path / "m.pf")
    assert not beside.exists()


def test_checkpoints_after_a_damaged_one_are_kept(tmp_path):
    for step in (1, 2):
        checkpoint.write(tmp_path, step * 10, {"w": torch.ones(1) * step}, {"step": step})
    (tmp_path / "step-000000020" / "state.json").write_text("{}")
    assert checkpoint.newest(tmp_path)[1]["step"] == 1
    checkpoint.write(tmp_path, 15, {"w": torch.ones(1)}, {"step": 15})
    assert [step for step, _ in checkpoint.places(tmp_path)] == [10, 15]


def test_no_whole_checkpoint_is_an_error(tmp_path):
    checkpoint.write(tmp_path, 1, {"w": torch.ones(1)}, {})
    (tmp_path / "step-000000001" / "state.json").unlink()
    with pytest.raises(BadFile, match="No checkpoint"):
        checkpoint.newest(tmp_path)


def test_overwriting_that_comes_to_nothing_leaves_the_run_before(tmp_path):
    folder = tmp_path / "m.pf"
    Line().fit(X, steps=4, out=folder, quiet=True)
    old, steps = contents(folder), snapshot(folder / "checkpoints")
    claim(folder, True, False)
    assert snapshot(folder / "checkpoints") == steps  # a claim alone takes nothing

    def stop(moment):
        raise RuntimeError("stop")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="stop"):
            Line().fit(X, steps=4, out=folder, overwrite=True, callbacks=[stop], quiet=True)
        assert contents(folder) == old and snapshot(folder / "before" / "checkpoints") == steps
    with pytest.raises(
        Usage, match=r"no checkpoint to go on from \(those of the run before lie in .*before/checkpoints\)"
    ):
        Line().fit(X, steps=4, out=folder, resume=True, quiet=True)
    Line().fit(X, steps=8, out=folder, overwrite=True, quiet=True)
    assert not (folder / "before").exists() and checkpoint.newest(folder / "checkpoints")[1]["step"] == 8


def test_a_model_without_a_checkpoint_is_not_learned_over_by_resume(tmp_path):
    folder = Line().fit(X, steps=4, quiet=True).save(tmp_path / "m.pf")
    old = contents(folder)
    with pytest.raises(Usage, match="holds a model, and no checkpoint"):
        Line().fit(X, steps=4, out=folder, resume=True, quiet=True)
    assert contents(folder) == old


def test_what_came_to_nothing_is_removed_unless_it_is_anothers(tmp_path):
    (tmp_path / "m.pf").mkdir()
    (tmp_path / "m.pf" / "journal.jsonl").write_text("")
    discard(tmp_path / "m.pf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "tail", [b'{"step": 3', b'{"step": 3}', b"\0" * 50, b"\0\0\n{\n", b'{"step"\n\n', b"\xff\xfe\n"], ids=str
)
def test_a_journal_that_was_cut_short_goes_on_after_its_last_whole_line(tmp_path, tail):
    whole = b'{"step": 1}\n{"step": 2}\n'
    (tmp_path / "journal.jsonl").write_bytes(whole + tail)
    with Journal(tmp_path, quiet=True) as journal:
        journal.note(9, loss=1.0)
    text = (tmp_path / "journal.jsonl").read_bytes()
    assert text.startswith(whole) and [json.loads(line)["step"] for line in text.splitlines()] == [1, 2, 9]


# ---- systems of files that cannot do what others can --------------------------------------------------------------------
def test_where_what_is_open_keeps_a_folder_a_run_ends_well_and_leaves_nothing(tmp_path, monkeypatch):
    """NFS: no exchange of names, and a file that is removed while it is open gets another name in its folder."""
    remove = os.unlink

    def unlink(path, *, dir_fd=None):
        whole = os.path.join(f"/proc/self/fd/{dir_fd}" if dir_fd is not None else "", path)
        found = os.stat(whole)
        opened = [
            os.stat(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")
        ]
        if any((o.st_dev, o.st_ino) == (found.st_dev, found.st_ino) for o in opened) and whole.endswith(".jsonl"):
            os.rename(whole, os.path.join(os.path.dirname(whole), f".nfs{found.st_ino}"))
            silly.append(found.st_ino)
        else:
            remove(path, dir_fd=dir_fd)

    silly = []
    two_renames(monkeypatch)
    monkeypatch.setattr(os, "unlink", unlink)
    model = Line().fit(X, steps=4, out=tmp_path / "m.pf", quiet=True)
    assert silly and np.isfinite(model.score(X)) and files.verify(tmp_path / "m.pf") == 3
    assert [p.name for p in tmp_path.iterdir()] == ["m.pf"]


def test_a_system_of_files_that_flushes_no_folders_is_written_to(tmp_path, monkeypatch):
    def fsync(number):
        def one(handle):
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(number, os.strerror(number))

        return one

    monkeypatch.setattr(os, "fsync", fsync(errno.EINVAL))
    assert files.verify(Line().fit(X, steps=2, quiet=True).save(tmp_path / "m.pf")) == 3
    monkeypatch.setattr(os, "fsync", fsync(errno.EIO))
    with pytest.raises(BadFile, match="Input/output error"):
        Line().fit(X, steps=2, quiet=True).save(tmp_path / "n.pf")


def test_a_folder_where_a_volume_is_mounted_is_refused_before_anything_is_learned(tmp_path, monkeypatch):
    """The system says where volumes begin, with a blank in a name as \\040."""
    out, rename, read = tmp_path / "an out", os.rename, Path.read_text
    out.mkdir()
    line = "40 27 0:50 / {} rw shared:1 - tmpfs none rw\n".format(str(out).replace(" ", "\\040"))
    told = "27 1 8:1 / / rw - ext4 /dev/sda rw\n" + line
    monkeypatch.setattr(Path, "read_text", lambda p, *a, **k: told if p.name == "mountinfo" else read(p, *a, **k))
    moved = []
    monkeypatch.setattr(os, "rename", lambda a, b: moved.append(a) or rename(a, b))
    assert files.mounts() == {"/": "ext4", str(out): "tmpfs"}
    with pytest.raises(BadFile, match=r"cannot change places .*Name a folder inside it"):
        Line().fit(X, steps=2, out=out, quiet=True, callbacks=[lambda moment: pytest.fail("it learns")])
    assert out not in moved and [p.name for p in tmp_path.iterdir()] == ["an out"]
    Line().fit(X, steps=2, out=out / "m.pf", quiet=True)


def test_a_reader_awaits_a_folder_that_is_away_for_an_instant(tmp_path, models):
    folder = save(models[0], tmp_path / "m.pf")
    away = [True]

    def read(place):
        if away.pop() if away else False:
            raise BadFile("it is away")
        return place

    assert files.steady(folder, read) == folder
    with pytest.raises(BadFile, match="for good"):
        files.steady(folder, lambda place: (_ for _ in ()).throw(BadFile("for good")))


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV])
def test_a_folder_that_cannot_change_places_is_refused_before_anything_is_learned(
    tmp_path, monkeypatch, models, number
):
    """Of a layer of a container only a try tells."""
    rename, out = os.rename, tmp_path / "out"
    monkeypatch.setattr(files, "mounts", lambda: {"/": "overlay"})
    out.mkdir()

    def fixed(a, b):
        if Path(a) == out:
            raise OSError(number, os.strerror(number))
        rename(a, b)

    two_renames(monkeypatch)
    monkeypatch.setattr(os, "rename", fixed)
    with pytest.raises(BadFile, match=r"cannot change places .*Name a folder inside it"):
        Line().fit(X, steps=2, out=out, quiet=True, callbacks=[lambda moment: pytest.fail("it learns")])
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    Line().fit(X, steps=2, out=out / "m.pf", quiet=True)


def test_a_claim_that_fails_anywhere_leaves_what_stands(tmp_path, monkeypatch, models):
    """To see whether a folder of a container can change places it is moved aside and back: a disk may fail between the two."""
    monkeypatch.setattr(files, "mounts", lambda: {"/": "overlay"})
    folder = save(models[0], tmp_path / "m.pf")
    old, fired = contents(folder), True
    for at in range(1, 40):
        with Faults(tmp_path, at, errno.EIO) as disk:
            try:
                claim(folder, False, True)
            except BadFile:
                assert disk.fired
        assert contents(files.standing(folder)) == old and not disk.missed
        claim(folder, False, True)
        assert [p.name for p in tmp_path.iterdir()] == ["m.pf"] and contents(folder) == old
        fired = bool(disk.fired)
    assert not fired


def test_an_empty_folder_is_free(tmp_path):
    """What a fit leaves whose examples are refused, or what mkdtemp makes."""
    with pytest.raises(BadData, match="NaN"):
        Line().fit(np.where(X == X[0, 0], np.nan, X), steps=2, out=tmp_path / "m.pf", quiet=True)
    Line().fit(X, steps=2, out=tmp_path / "m.pf", quiet=True)
    with pytest.raises(Usage, match="exists"):
        Line().fit(X, steps=2, out=tmp_path / "m.pf", quiet=True)


def test_what_somebody_put_into_a_folder_stays_there(tmp_path, models):
    folder = tmp_path / "m.pf"
    Line().fit(X, steps=2, out=folder, quiet=True)
    (folder / "report.html").write_text("mine")
    Line().fit(X, steps=4, out=folder, resume=True, quiet=True)
    models[0].save(folder, overwrite=True)
    assert (folder / "report.html").read_text() == "mine" and files.verify(folder) == 3


def test_half_of_a_folder_is_not_moved_into_the_one_that_stands(tmp_path):
    (tmp_path / "m.pf" / "checkpoints").mkdir(parents=True)
    stage = tmp_path / ".m.pf.12.part"
    stage.mkdir()
    for name in ("card.json", "weights.safetensors", "README.md", "journal.jsonl"):
        (stage / name).write_text("half")
    files.mend(tmp_path / "m.pf")
    assert [p.name for p in tmp_path.rglob("*")] == ["m.pf", "checkpoints"]


def test_a_callback_does_not_save_over_the_run_that_calls_it(tmp_path):
    """Its checkpoints and its journal would go as those of a run before."""

    def keep(moment):
        with pytest.raises(Usage, match="where the run that is going on keeps its own"):
            moment.model.save(tmp_path / "m.pf", overwrite=True)
        moment.model.save(tmp_path / "other.pf", overwrite=True)

    Line().fit(X, steps=2, out=tmp_path / "m.pf", callbacks=[keep], quiet=True)
    assert (tmp_path / "m.pf" / "journal.jsonl").exists() and files.verify(tmp_path / "other.pf") == 3


# ---- who reads what a run says ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("way", ["a full disk", "nobody", "none"])
def test_a_run_goes_on_where_nobody_can_read_what_it_says(tmp_path, monkeypatch, way):
    """A log on a full disk, a pipe whose reader has left, no terminal at all: what is said is in the journal."""
    here, there = os.pipe()
    os.close(here)
    log = None if way == "none" else open("/dev/full" if way == "a full disk" else there, "w")
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(journal, "PLAIN", 0.0)
    try:
        model = Trap(at=5).fit(X, steps=20, out=tmp_path / "m.pf", patience=0)
    finally:
        monkeypatch.undo()
        with suppress(OSError):
            log.close() if log else os.close(there)
    assert any("passed over" in e.get("said", "") for e in model.history_) and files.verify(tmp_path / "m.pf") == 3
    assert "passed over" in (tmp_path / "m.pf" / "journal.jsonl").read_text()


def test_a_run_goes_on_where_tensorboard_cannot_write(tmp_path):
    class Full:
        def add_scalar(self, *about):
            raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(tmp_path / "m.pf", quiet=True) as lines:
        lines.writer = Full()
        lines.note(1, loss=1.0)
        lines.note(2, loss=1.0)
    assert [e.get("step", e.get("said", "")[:11]) for e in lines.entries] == [1, "TensorBoard", 2]
