"""One writer for a folder: who comes second is refused, what the dead left is taken over, and nobody leaves a lock behind."""

import json
import os
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pushforward.engine import Journal, locks
from pushforward.errors import BadFile, Usage
from pushforward.saving import claim, discard, save

sys.path.insert(0, str(Path(__file__).parent))
from lines import Line

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="other processes are made by fork")

X = np.random.default_rng(0).normal(size=(40, 2))
NOBODY = 2**22 + 1  # a number that no process has


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path):
    locks.WORDS.clear()
    yield
    assert not locks.HELD and not list(tmp_path.rglob("*.lock"))


def child(do):
    """A process that does something, says so, and waits to be killed; (its number, a way to end it)."""
    here, there = os.pipe()
    number = os.fork()
    if number == 0:
        try:
            do()
            os.write(there, b"1")
            time.sleep(60)
        finally:
            os._exit(1)
    assert os.read(here, 1) == b"1"
    os.close(here), os.close(there)

    def end(how=signal.SIGKILL):
        os.kill(number, how)
        os.waitpid(number, 0)

    return number, end


def left(folder, **about):
    """A lock file that somebody left."""
    found = {"process": NOBODY, "host": "elsewhere", "boot": "another", "since": "2026-01-01T00:00:00+00:00"} | about
    locks.of(folder).write_text(json.dumps(found))


def test_the_second_process_is_refused_and_the_dead_ones_lock_is_taken_over(tmp_path, capsys):
    folder = tmp_path / "m.pf"
    model = Line().fit(X, steps=2, out=folder, quiet=True)
    number, end = child(lambda: locks.take(folder))
    ways = [
        lambda: claim(folder, False, True),
        lambda: Journal(folder),
        lambda: save(model, folder),
        lambda: model.save(folder, overwrite=True),
        lambda: Line().fit(X, steps=2, out=folder, resume=True, quiet=True),
    ]
    try:
        for way in ways:
            with pytest.raises(Usage, match=f"is being written by process {number} on {socket.gethostname()} since 2"):
                way()
        discard(folder)
        assert folder.is_dir()
    finally:
        end()
    again = Line().fit(X, steps=4, out=folder, resume=True)
    said = f"m.pf was left locked by process {number} on {socket.gethostname()}"
    assert any(said in e.get("said", "") for e in again.history_) and said in capsys.readouterr().err


@pytest.mark.parametrize(
    "about", [{"boot": locks.boot()}, {"host": socket.gethostname()}], ids=["a container", "a boot ago"]
)
def test_a_lock_of_this_kernel_or_of_an_earlier_boot_is_taken_over_at_once(tmp_path, monkeypatch, about):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits"))
    left(tmp_path / "m.pf", **about)
    with locks.hold(tmp_path / "m.pf") as lock:
        assert f"process {NOBODY}" in lock.said


@pytest.mark.parametrize("flock", [True, False])
def test_a_lock_of_another_host_is_watched(tmp_path, monkeypatch, flock):
    if not flock:
        monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "DEAD", 1.5)
    monkeypatch.setattr(locks, "LOOK", 0.05)
    left(tmp_path / "m.pf")
    stop = threading.Event()

    def beat():
        while not stop.wait(0.1):
            os.utime(locks.of(tmp_path / "m.pf"))

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        with pytest.raises(Usage, match=f"process {NOBODY} on elsewhere since 2026-01-01"):
            locks.take(tmp_path / "m.pf")
    finally:
        stop.set()
        heart.join()
    assert locks.of(tmp_path / "m.pf").exists()
    with locks.hold(tmp_path / "m.pf") as lock:
        assert "gave no sign of life" in lock.said


def test_where_there_is_no_flock_the_holder_beats_and_the_second_hears_it(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "BEAT", 0.05)
    monkeypatch.setattr(locks, "LOOK", 0.02)
    number, end = child(lambda: locks.take(tmp_path / "m.pf"))
    try:
        with pytest.raises(Usage, match=f"process {number}"):
            locks.take(tmp_path / "m.pf")
    finally:
        end()
    monkeypatch.setattr(locks, "DEAD", 0.3)
    with locks.hold(tmp_path / "m.pf") as lock:
        assert "gave no sign of life" in lock.said


def test_a_lock_that_was_given_back_between_opening_and_locking_is_not_taken_for_held(tmp_path, monkeypatch):
    """What was opened has no name any more, so the lock on it keeps nobody out."""
    left(tmp_path / "m.pf", boot=locks.boot())
    grab, count = locks.grab, []

    def late(file):
        if not count:
            locks.of(tmp_path / "m.pf").unlink()
        count.append(file)
        return grab(file)

    monkeypatch.setattr(locks, "grab", late)
    with locks.hold(tmp_path / "m.pf") as lock:
        assert len(count) == 2 and lock.same(lock.file) and not lock.said


def test_who_has_just_taken_the_lock_is_asked_for_its_name(tmp_path, monkeypatch):
    sign, going = locks.Lock.sign, threading.Event()

    def late(lock):
        going.set()
        time.sleep(0.2)
        sign(lock)

    monkeypatch.setattr(locks.Lock, "sign", late)
    done = threading.Event()

    def first():
        with locks.hold(tmp_path / "m.pf"):
            done.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    going.wait(30)
    try:
        with pytest.raises(Usage, match=f"process {os.getpid()} "):
            locks.take(tmp_path / "m.pf")
    finally:
        done.set()
        thread.join()


def test_an_empty_lock_is_of_one_that_died_as_it_took_it(tmp_path):
    locks.of(tmp_path / "m.pf").write_text("")
    with locks.hold(tmp_path / "m.pf") as lock:
        assert lock.said == ""


@pytest.mark.parametrize("text", ["[]", "{", "\x00\x01", '{"process": "x"}'])
def test_a_lock_file_of_rubbish_is_taken_over(tmp_path, monkeypatch, text):
    monkeypatch.setattr(locks, "DEAD", 0.1)
    monkeypatch.setattr(locks, "LOOK", 0.02)
    locks.of(tmp_path / "m.pf").write_text(text)
    with locks.hold(tmp_path / "m.pf"):
        assert json.loads(locks.of(tmp_path / "m.pf").read_text())["process"] == os.getpid()


def test_a_lock_is_not_written_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    locks.of(tmp_path / "m.pf").symlink_to(tmp_path / "mine")
    with pytest.raises(BadFile, match="cannot be written"):
        locks.take(tmp_path / "m.pf")
    assert (tmp_path / "mine").read_text() == "mine"
    locks.of(tmp_path / "m.pf").unlink()


def test_one_thread_holds_it_twice_and_another_not_at_all(tmp_path):
    found = []

    def other():
        try:
            locks.take(tmp_path / "m.pf")
        except Usage as problem:
            found.append(str(problem))

    with locks.hold(tmp_path / "m.pf"):
        with locks.hold(tmp_path / "x" / ".." / "m.pf"):  # the same place
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        assert locks.of(tmp_path / "m.pf").exists()
    assert f"process {os.getpid()} (this one)" in found[0]


def test_a_forked_process_does_not_give_back_what_is_its_parents(tmp_path):
    with locks.hold(tmp_path / "m.pf") as lock:
        _, end = child(lock.release)
        assert locks.of(tmp_path / "m.pf").exists()

        def second():
            with pytest.raises(Usage, match="is being written by"):
                locks.take(tmp_path / "m.pf")

        _, end_too = child(second)
        end(), end_too()


def test_many_at_once_hold_it_one_at_a_time(tmp_path):
    """Six processes add to a number in a file, which they read, wait, and write: none is lost."""
    (tmp_path / "count").write_text("0")
    numbers = []
    for seed in range(6):
        if (number := os.fork()) == 0:
            chance, done = random.Random(seed), 0
            while done < 15:
                try:
                    with locks.hold(tmp_path / "m.pf"):
                        value = int((tmp_path / "count").read_text())
                        time.sleep(chance.random() * 1e-3)
                        (tmp_path / "count").write_text(str(value + 1))
                        done += 1
                except Usage:
                    time.sleep(chance.random() * 1e-3)
            os._exit(0)
        numbers.append(number)
    assert all(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0 for number in numbers)
    assert (tmp_path / "count").read_text() == "90"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_the_lock_is_given_back_however_a_run_ends(tmp_path, error):
    held = []

    def stop(moment):
        held.append(locks.of(tmp_path / "m.pf").exists())
        raise error

    with pytest.raises(error):
        Line().fit(X, steps=4, out=tmp_path / "m.pf", callbacks=[stop], quiet=True)
    assert held == [True]  # and the fixture sees that nothing is left


class Slow(Line):
    """Somebody else wants the folder between the last step and the save."""

    def remark(self):
        def want():
            try:
                locks.take(self.__dict__["place"]).release()
                self.__dict__["found"] = "free"
            except Usage:
                self.__dict__["found"] = "held"

        thread = threading.Thread(target=want)
        thread.start()
        thread.join()
        return ""


def test_nobody_comes_between_the_last_step_and_the_save(tmp_path):
    model = Slow()
    model.__dict__["place"] = tmp_path / "m.pf"
    model.fit(X, steps=2, out=tmp_path / "m.pf", quiet=True)
    assert model.__dict__["found"] == "held"


def test_a_lock_may_be_given_back_by_another_thread(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    lock = locks.take(tmp_path / "m.pf")
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    assert not locks.of(tmp_path / "m.pf").exists()
    signal.signal(signal.SIGTERM, before)


def test_two_runs_in_one_process(tmp_path):
    def second(moment):
        with pytest.raises(Usage, match=r"\(this one\)"):
            thread.append(Line().fit(X, steps=2, out=tmp_path / "m.pf", resume=True, quiet=True))

    thread = []
    worker = threading.Thread(
        target=lambda: Line().fit(X, steps=2, out=tmp_path / "m.pf", callbacks=[hand_over], quiet=True)
    )
    asked, go_on = threading.Event(), threading.Event()

    def hand_over(moment):
        asked.set()
        go_on.wait(30)

    worker.start()
    asked.wait(30)
    second(None)
    go_on.set()
    worker.join()
    assert not thread and (tmp_path / "m.pf" / "card.json").exists()


def test_ctrl_c_while_the_lock_is_given_back_is_followed_when_nothing_is_left(tmp_path, monkeypatch):
    lock, join = locks.take(tmp_path / "m.pf"), threading.Thread.join

    def pressed(thread, *wait):
        join(thread, *wait)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(lock.beating, "join", lambda *wait: pressed(lock.beating, *wait))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        lock.release()
    assert list(tmp_path.iterdir()) == [] and signal.getsignal(signal.SIGINT) is before
    locks.take(tmp_path / "m.pf").release()


def test_a_lock_is_not_kept_by_the_children_of_who_is_gone(tmp_path):
    """A run is killed; a worker that it forked lives on, and has inherited the file that the lock is on."""
    folder, (here, there) = tmp_path / "m.pf", os.pipe()

    def run():
        locks.take(folder)
        if os.fork() == 0:
            os.write(there, str(os.getpid()).encode())
            time.sleep(60)
            os._exit(0)
        os.write(there, b" ")

    number, end = child(run)
    worker = b""
    while not worker.strip() or b" " not in worker:
        worker += os.read(here, 20)
    end()
    try:
        with locks.hold(folder) as lock:
            assert f"left locked by process {number}" in lock.said
    finally:
        os.kill(int(worker), signal.SIGKILL)
        os.close(here), os.close(there)
