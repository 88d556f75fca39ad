"""What stands in the way of a writer, and what a reader finds meanwhile: links, damaged checkpoints, journals cut short, runs that come to nothing."""

import errno
import json
import os
import sys
from pathlib import Path

import pytest
import torch

from pushforward.engine import Journal, checkpoint, files
from pushforward.errors import BadFile, Usage
from pushforward.saving import claim, discard, save

sys.path.insert(0, str(Path(__file__).parent))
from faults import Faults, snapshot
from lines import Line
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
