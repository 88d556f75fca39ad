"""Ctrl-C once and twice, SIGTERM, SIGUSR1: what was learned is kept, the model is usable, the handlers are as they were."""

import os
import signal
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.engine import checkpoint, files, keeping, locks, loop
from pushforward.engine.signals import Leaving, Signals, leave

sys.path.insert(0, str(Path(__file__).parent))
from lines import Line

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals of POSIX")

X = np.random.default_rng(0).normal(2.0, 3.0, size=(200, 3))
HOW = {"quiet": True, "patience": 0, "every": 10, "seed": 3, "steps": 60}
HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


@pytest.fixture(autouse=True)
def as_before():
    before = [signal.getsignal(s) for s in HEARD]
    yield
    assert [signal.getsignal(s) for s in HEARD] == before and not locks.HELD


def weights(model):
    return [t.clone() for t in model.state_dict().values()]


def same(a, b):
    return all(torch.equal(s, t) for s, t in zip(weights(a), weights(b), strict=True))


def send(number, times=1):
    for _ in range(times):
        os.kill(os.getpid(), number)


def at(step, number, times=1):
    """A callback that sends a signal after a step."""
    return [lambda moment: send(number, times) if (moment.event, moment.step) == ("step", step) else None]


# ---- what is heard ---------------------------------------------------------------------------------------------------------
def test_what_is_heard():
    with Signals() as signals:
        send(signal.SIGINT)
        assert signals.said == "interrupted"
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        send(signal.SIGINT)  # a third one, while the last good state is put back
        send(signal.SIGTERM)
        assert signals.said == "terminated"


def test_torchrun_passes_a_ctrl_c_on_that_was_heard_already():
    with Signals(world=2) as signals:
        send(signal.SIGINT, 2)
        assert signals.said == "interrupted"
        signals.at -= 5.0
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_what_is_ignored_stays_ignored_and_what_has_another_use_keeps_it():
    heard = []
    old = [signal.signal(signal.SIGINT, signal.SIG_IGN), signal.signal(signal.SIGUSR1, lambda *a: heard.append(a))]
    try:
        with Leaving(), Signals() as signals:
            send(signal.SIGINT)
            send(signal.SIGUSR1)
        assert signals.said == "" and len(heard) == 1
    finally:
        signal.signal(signal.SIGINT, old[0]), signal.signal(signal.SIGUSR1, old[1])


def test_outside_the_loop_a_signal_ends_the_process_by_way_of_what_is_open():
    closed = []
    with pytest.raises(SystemExit) as left, Leaving():
        try:
            assert signal.getsignal(signal.SIGUSR1) is leave
            send(signal.SIGUSR1)
        finally:
            closed.append(True)
    assert left.value.code == 143 and closed


def test_in_a_thread_nothing_is_changed(tmp_path):
    seen, models = [], []
    callbacks = [lambda moment: seen.append([signal.getsignal(s) for s in HEARD])]
    before = [signal.getsignal(s) for s in HEARD]
    worker = threading.Thread(
        target=lambda: models.append(Line().fit(X, out=tmp_path / "m.pf", callbacks=callbacks, **HOW))
    )
    worker.start()
    worker.join()
    assert all(found == before for found in seen) and models[0].outcome_["reason"] == "steps"


# ---- in a run --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_cluster_takes_the_machine_back_and_the_run_goes_on_bit_for_bit(tmp_path, number):
    whole = Line(drop=0.2).fit(X, **HOW)
    with pytest.raises(SystemExit) as left:
        Line(drop=0.2).fit(X, out=tmp_path / "m.pf", callbacks=at(23, number), **HOW)
    assert left.value.code == 143
    assert checkpoint.newest(tmp_path / "m.pf" / "checkpoints")[1]["step"] == 23
    assert same(Line(drop=0.2).fit(X, out=tmp_path / "m.pf", resume=True, **HOW), whole)


def test_ctrl_c_once_returns_a_usable_model(tmp_path):
    whole = Line(drop=0.2).fit(X, **HOW)
    model = Line(drop=0.2).fit(X, out=tmp_path / "m.pf", callbacks=at(23, signal.SIGINT), **HOW)
    assert model.outcome_["reason"] == "interrupted" and model.outcome_["step"] == 23 and not model.training
    assert np.isfinite(model.score(X)) and same(pf.load(tmp_path / "m.pf", trust="lines"), model)
    assert same(Line(drop=0.2).fit(X, out=tmp_path / "m.pf", resume=True, **HOW), whole)


def test_ctrl_c_twice_stops_in_the_middle_of_a_step_and_undoes_it(tmp_path, monkeypatch):
    """The interrupt comes when one of the weights has stepped and the others have not."""
    at_good, count = Line().fit(X, callbacks=[lambda m: m.step == 20], **HOW | {"valid": 0}), []
    update = loop.Run.update

    def half(self, player, its_weights, *rest):
        count.append(1)
        if len(count) == 26:
            with torch.no_grad():
                its_weights[0].add_(100.0)
            send(signal.SIGINT, 2)
        return update(self, player, its_weights, *rest)

    monkeypatch.setattr(loop.Run, "update", half)
    model = Line()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, out=tmp_path / "m.pf", keep=0.0, **HOW | {"valid": 0})
    assert len(count) == 26 and same(model, at_good) and not model.training
    assert np.isfinite(model.sample(5, seed=0)).all()
    monkeypatch.setattr(loop.Run, "update", update)
    again = Line().fit(X, out=tmp_path / "m.pf", resume=True, **HOW | {"valid": 0})
    assert same(again, Line().fit(X, **HOW | {"valid": 0}))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_checkpoint_that_is_being_written_is_written_to_its_end(tmp_path, monkeypatch, number):
    write, count = keeping.checkpoint.write_tensors, []

    def interrupted(path, tensors):
        count.append(path)
        if len(count) == 2:
            send(number)
        write(path, tensors)

    monkeypatch.setattr(keeping.checkpoint, "write_tensors", interrupted)
    try:
        model = Line().fit(X, out=tmp_path / "m.pf", keep=0.0, **HOW)
        assert number == signal.SIGINT and model.outcome_["step"] <= 21
    except SystemExit as left:
        assert number == signal.SIGTERM and left.code == 143
    for _, place in checkpoint.places(tmp_path / "m.pf" / "checkpoints"):
        assert files.verify(place) == 2
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("number, reason", [(signal.SIGINT, "interrupted"), (signal.SIGUSR1, "terminated")])
def test_a_signal_while_the_examples_held_out_are_judged(tmp_path, monkeypatch, number, reason):
    judge, count = Line.judge, []

    def interrupted(self, x, given):
        count.append(1)
        if len(count) == 2:
            send(number)
        return judge(self, x, given)

    monkeypatch.setattr(Line, "judge", interrupted)
    model = Line()
    try:
        model.fit(X, out=tmp_path / "m.pf", **HOW)
        assert reason == "interrupted" and model.outcome_["reason"] == reason
    except SystemExit as left:
        assert reason == "terminated" and left.code == 143
    assert checkpoint.newest(tmp_path / "m.pf" / "checkpoints")[1]["step"] == 20 and not model.training


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_last_step_is_heard_too(tmp_path, number):
    def end(moment):
        if moment.event == "end":
            send(number)

    try:
        model = Line().fit(X, out=tmp_path / "m.pf", callbacks=[end], **HOW)
        assert number == signal.SIGINT and model.outcome_["reason"] == "interrupted"
    except SystemExit as left:
        assert number == signal.SIGTERM and left.code == 143
    assert checkpoint.newest(tmp_path / "m.pf" / "checkpoints")[1]["step"] == 60


def test_a_second_ctrl_c_while_the_last_checkpoint_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    write, count = keeping.checkpoint.write_tensors, []

    def interrupted(path, tensors):
        count.append(path)
        write(path, tensors)
        if len(count) == 4:
            send(signal.SIGINT, 2)

    monkeypatch.setattr(keeping.checkpoint, "write_tensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Line().fit(X, out=tmp_path / "m.pf", keep=0.0, **HOW)
    monkeypatch.undo()
    assert checkpoint.newest(tmp_path / "m.pf" / "checkpoints")[1]["step"] == 30
    assert not list(tmp_path.rglob(".*"))


class Sum(Line):
    """Solved at once, with a signal in the middle."""

    number: int = 0

    loss = None

    def solve(self, x, given=None):
        self.mean.data += 1.0
        send(self.number)
        self.mean.data += 1.0


@pytest.mark.parametrize(
    "number, error", [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGUSR1, SystemExit)]
)
def test_what_is_solved_at_once_stops_at_once_and_leaves_what_stood(tmp_path, number, error):
    folder = Line().fit(X, steps=2, quiet=True).save(tmp_path / "m.pf")
    before = (folder / "MANIFEST.sha256").read_bytes()
    with pytest.raises(error) as left:
        Sum(number=int(number)).fit(X, out=folder, overwrite=True, quiet=True)
    assert error is KeyboardInterrupt or left.value.code == 143
    assert (folder / "MANIFEST.sha256").read_bytes() == before and files.verify(folder) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["m.pf"]


@pytest.mark.parametrize("number, times", [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGINT, 2)])
def test_a_save_is_finished_before_a_signal_is_followed(tmp_path, monkeypatch, number, times):
    one, two = (Line().fit(X, steps=2, seed=s, quiet=True) for s in (1, 2))
    folder = one.save(tmp_path / "m.pf")
    sign = files.sign
    monkeypatch.setattr(files, "sign", lambda stage: (sign(stage), send(number, times)))
    with pytest.raises(SystemExit if number == signal.SIGTERM else KeyboardInterrupt):
        two.save(folder, overwrite=True)
    assert same(pf.load(folder, trust="lines"), two if times == 1 else one)
    assert [p.name for p in tmp_path.iterdir()] == ["m.pf"]


# ---- several processes -----------------------------------------------------------------------------------------------------
class Both:
    """Two processes that compare numbers, as threads."""

    def __init__(self):
        self.said, self.barrier, self.world = {}, threading.Barrier(2), 2

    def most(self, *values):
        self.said[threading.get_ident()] = values
        self.barrier.wait(10)
        found = [max(column) for column in zip(*self.said.values(), strict=True)]
        self.barrier.wait(10)
        return found


@pytest.mark.parametrize(
    "first, second, all_",
    [("terminated", "", "terminated"), ("", "interrupted", "interrupted"), ("interrupted", "terminated", "terminated")],
)
def test_a_signal_to_one_process_stops_all_at_the_same_step(first, second, all_):
    machine, found = Both(), []

    def rank(said):
        run = loop.Run.__new__(loop.Run)
        run.machine, run.asked, run.step, run.look, run.told, run.pace = machine, "", 5, 0, (0, 0.0), 0.0
        run.recipe, run.spent, run.began = Line.recipe, 0.0, 0.0
        signals = Signals(2)
        signals.said = said
        found.append(run.reason(signals))

    ranks = [threading.Thread(target=rank, args=(said,)) for said in (first, second)]
    [thread.start() for thread in ranks]
    [thread.join() for thread in ranks]
    assert found == [all_, all_]


def test_a_closed_terminal_is_a_signal_too(tmp_path):
    """What ssh leaves when it goes; under nohup it is ignored, and what a program hears itself stays its own."""

    def hang_up(moment):
        assert signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL  # else it would end these tests
        if (moment.event, moment.step) == ("step", 23):
            send(signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup these tests begin with another
    try:
        with pytest.raises(SystemExit) as left:
            Line().fit(X, out=tmp_path / "m.pf", callbacks=[hang_up], **HOW)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert left.value.code == 143 and checkpoint.newest(tmp_path / "m.pf" / "checkpoints")[1]["step"] == 23
    for use in (signal.SIG_IGN, lambda *heard: None):
        old = signal.signal(signal.SIGHUP, use)
        try:
            again = Line().fit(X, out=tmp_path / "m.pf", resume=True, callbacks=at(31, signal.SIGHUP), **HOW)
        finally:
            signal.signal(signal.SIGHUP, old)
        assert again.outcome_["reason"] == "steps"


def test_a_worker_that_a_callback_forks_can_be_ended(tmp_path):
    """It has inherited the run's handlers, which wait for the end of a step that never comes there."""
    codes = []

    def fork(moment):
        if (moment.event, moment.step) == ("step", 3):
            here, there = os.pipe()
            worker = get_context("fork").Process(target=lambda: (os.write(there, b"1"), time.sleep(60)))
            worker.start()
            os.read(here, 1)
            worker.terminate()
            worker.join(20)
            codes.append(worker.exitcode)
            worker.kill()

    model = Line().fit(X, out=tmp_path / "m.pf", callbacks=[fork], **HOW)
    assert codes == [-signal.SIGTERM] and model.outcome_["reason"] == "steps"
