"""Checkpoints in parts: whole or absent, read by any number of processes, and by none that would hold the whole."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from pushforward.data import Examples
from pushforward.engine import checkpoint, files, shards
from pushforward.engine.keeping import Keeping
from pushforward.engine.machine import Machine
from pushforward.engine.rows import Rows, evenly
from pushforward.errors import BadFile, Usage

sys.path.insert(0, str(Path(__file__).parent))
import hosts
from lines import Line

X = np.random.default_rng(0).normal(2.0, 3.0, size=(200, 3))
HOW = {"batch": 64, "seed": 4, "precision": "float64", "quiet": True, "every": 4, "ema": 0.9, "clip": 0.5}
PROGRAM = """
import os, sys
from pathlib import Path
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads(1)
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from test_shards import HOW, X, Line
from pushforward.engine import shards

out, first = Path({out!r}), os.environ["RANK"] == "0"

def keep(name, model):
    if first:
        save_file({{n: t.contiguous().clone() for n, t in model.state_dict().items()}}, out / f"{{name}}.safetensors")

write, gather = shards.write, DTensor.full_tensor

def watched(*words, **more):
    def whole(*_, **__): raise AssertionError("a process gathered a whole tensor for a checkpoint")
    DTensor.full_tensor = whole
    try: return write(*words, **more)
    finally: DTensor.full_tensor = gather

shards.write = watched
stop = [lambda m: m.step == 7]
Line().fit(X, steps=14, shards=True, out=out / "two.pf", callbacks=stop, **HOW)
keep("fsdp", Line().fit(X, steps=14, shards=True, out=out / "two.pf", resume=True, **HOW))
Line().fit(X, steps=14, shards=True, out=out / "parts.pf", callbacks=stop, **HOW)
keep("one-ddp", Line().fit(X, steps=14, out=out / "one-a.pf", resume=True, **HOW))
keep("one-fsdp", Line().fit(X, steps=14, shards=True, out=out / "one-b.pf", resume=True, **HOW))

# What was spread becomes whole again, in an ordinary module; here with blocks of a network that are units by themselves.
from torch import nn
from pushforward.engine.machine import Machine
from pushforward.nets.attention import Block, Trunk

def make():
    torch.manual_seed(3)
    model.net = Trunk(length=4, layers=2, heads=1, width=4)
    model.net.register_buffer("order", torch.arange(3))

Block.unit = True
model, machine = nn.Module(), Machine("cpu", shards=True)
make()
before = {{n: t.detach().clone() for n, t in model.state_dict().items()}}
h = torch.ones(2, 4, 4)
expected = model.net(h).detach()
machine.place(model)
assert isinstance(model.net.blocks[0].up.weight, DTensor) and torch.allclose(model.net(h), expected)
model.net.order += 1
machine.gather(model, make)
after = model.state_dict()
assert not any(isinstance(t, DTensor) for t in after.values()) and after["net.order"].tolist() == [1, 2, 3]
assert all(torch.equal(t, before[n]) for n, t in after.items() if n != "net.order")

# Each process moves chains of its own, which only training needs: a run that goes on has those of both.
import pushforward as pf
bits, how = X > 2, dict(steps=60, batch=32, seed=4, quiet=True)
model = lambda: pf.RBM(hidden=6, chains=32, burn=20)
whole = model().fit(bits, **how)
model().fit(bits, out=out / "rbm.pf", callbacks=[lambda m: m.step == 27], **how)
again = model().fit(bits, out=out / "rbm.pf", resume=True, **how)
assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True)), "chains were lost"
assert torch.equal(whole.resting, again.resting) and bool((whole.resting[16:] != 0).all())
torch.distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What two processes left: runs that were stopped and went on, and runs that one process had begun."""
    out = tmp_path_factory.mktemp("runs")
    for name in ("one-a.pf", "one-b.pf"):
        Line().fit(X, steps=14, out=out / name, callbacks=[lambda m: m.step == 7], **HOW)
    (out / "run.py").write_text(PROGRAM.format(here=str(Path(__file__).parent), out=str(out)))
    done = hosts.pair(str(out / "run.py"))
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.fixture(scope="module")
def alone():
    return hosts.weights(Line().fit(X, steps=14, **HOW))


def close(a, b):
    return all(torch.allclose(a[name], b[name], atol=1e-12, rtol=0) for name in a)


@pytest.mark.parametrize("name", ["fsdp", "one-ddp", "one-fsdp"])
def test_what_goes_on_ends_where_one_process_ends(runs, alone, name):
    """Tolerance 1e-12 in float64. fsdp: 2 spread, stopped, 2 spread. one-…: one process, then two."""
    assert close(alone, load_file(runs / f"{name}.safetensors"))


def test_one_process_goes_on_from_the_parts_of_two(runs, alone, capsys):
    model = Line().fit(X, steps=14, out=runs / "parts.pf", resume=True, **{**HOW, "quiet": False})
    assert close(alone, hosts.weights(model))
    said = capsys.readouterr().err
    assert "Going on from step" in said and "not be the same bit for bit: 2 process(es) wrote it and 1 go on" in said


def test_each_process_wrote_its_part(runs):
    place = shards.newest(runs / "two.pf" / "checkpoints")
    assert files.verify(place) == 3 and not list(place.parent.glob(".*"))
    parts = sorted(place.glob("shard-*.safetensors"))
    held = [part_of(path, "model.net.0.weight") for path in parts]
    assert len(parts) == 2 and [t.shape for t in held] == [(4, 1), (4, 1)]
    assert shards.contents(place)["model.net.0.weight"] == ((8, 1), torch.float64)
    assert not any(path.suffix in (".pt", ".pkl", ".distcp", ".metadata") for path in place.iterdir())
    weights = load_file(runs / "two.pf" / "weights.safetensors")
    assert torch.equal(weights["net.0.weight"], load_file(runs / "fsdp.safetensors")["net.0.weight"])


def part_of(path, name):
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)


@pytest.fixture
def place(tmp_path):
    """A checkpoint in parts, of one process."""
    tensors = {"model.a": torch.arange(6.0).reshape(2, 3), "optim.model.0.step": torch.tensor(3.0)}
    return shards.write(Machine("cpu"), tmp_path, 5, tensors, {"step": 5})


def test_numbers_without_axes_come_back(place):
    into = {"model.a": torch.zeros(2, 3), "optim.model.0.step": torch.zeros(())}
    shards.read(Machine("cpu"), place, into)
    assert torch.equal(into["model.a"], torch.arange(6.0).reshape(2, 3)) and into["optim.model.0.step"] == 3
    assert shards.state(place) == {"step": 5}


def test_a_damaged_part_is_passed_over_for_an_older_whole_checkpoint(place):
    newer = shards.write(Machine("cpu"), place.parent, 6, {"model.a": torch.zeros(2, 3)}, {"step": 6})
    assert shards.newest(place.parent) == newer
    part = next(newer.glob("shard-*"))
    blob = bytearray(part.read_bytes())
    blob[-1] ^= 1
    part.write_bytes(blob)
    assert shards.newest(place.parent) == place
    checkpoint.write(place.parent, 7, {"a": torch.ones(2)}, {"step": 7})
    assert shards.newest(place.parent) is None  # the newest whole one is in one piece


def test_a_part_that_cannot_be_written_leaves_the_checkpoint_before(place, monkeypatch):
    monkeypatch.setattr(shards, "own_part", lambda *_: "process 0: no space left")
    with pytest.raises(OSError, match="no space left"):
        shards.write(Machine("cpu"), place.parent, 6, {"model.a": torch.zeros(2, 3)}, {"step": 6})
    assert shards.newest(place.parent) == place and [p.name for p in place.parent.iterdir()] == [place.name]


def test_a_checkpoint_without_its_numbers_does_not_take_its_place(place, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"No space left on device.*state.json"):
        shards.write(Machine("cpu"), place.parent, 6, {"model.a": torch.zeros(2, 3)}, {"step": 6})
    assert [p.name for p in place.parent.iterdir()] == [place.name]


def test_a_folder_that_not_all_processes_see_gets_no_checkpoint(place):
    machine = Machine("cpu")
    machine.world, machine.tell, machine.sums = 2, lambda said: said, list_of
    machine.meet, machine.most = lambda: None, list_of
    with pytest.raises(OSError, match="only 1 of 2 processes see .* put the model's folder where all hosts can write"):
        shards.write(machine, place.parent, 6, {"model.a": torch.zeros(2, 3)}, {"step": 6})
    assert [p.name for p in place.parent.iterdir()] == [place.name]


def list_of(*numbers):
    return list(numbers)


def test_parts_that_the_first_does_not_see_are_no_checkpoint(place, monkeypatch):
    machine = Machine("cpu")
    machine.sums = lambda *numbers: [2.0]  # another one has written its part, too
    with pytest.raises(OSError, match="2 parts were written and the first process sees 1"):
        shards.write(machine, place.parent, 6, {"model.a": torch.zeros(2, 3)}, {"step": 6})


@pytest.mark.parametrize("state", [{"step": "five"}, {"step": -1}, {"best": "low"}, []])
def test_numbers_that_no_run_has_written_are_an_error(place, state):
    (place / "state.json").write_text(json.dumps(state))
    with pytest.raises(BadFile, match=r"state\.json"):
        shards.state(place)


def test_a_tensor_that_a_checkpoint_lacks_is_named(place):
    with pytest.raises(BadFile, match=r"lacks 'winner\.1'"):
        shards.read(Machine("cpu"), place, {"model.a": torch.zeros(2, 3), "winner.1": torch.zeros(2)})


def test_a_part_that_is_no_safetensors_is_an_error(place):
    next(place.glob("shard-*")).write_bytes(b"not one")
    with pytest.raises(BadFile, match="cannot be read"):
        shards.contents(place)


class Run(Keeping):
    """No more of a run than going on needs."""

    def __init__(self, model, folder, seen=1.0):
        self.model, self.folder, self.machine = model, folder, Machine("cpu")
        self.machine.sums = lambda *_: [seen]


def test_parts_of_another_model_and_parts_that_not_all_see_are_refused(place):
    model = torch.nn.Module()
    model.a = torch.nn.Parameter(torch.zeros(3, 3))
    with pytest.raises(Usage, match=r"of another model: 'a' has shape \(2, 3\) in it and \(3, 3\) here"):
        Run(model, place.parent).in_parts(place)
    with pytest.raises(Usage, match="only 0 of 1 processes see it"):
        Run(model, place.parent, seen=0.0).in_parts(place)


# ---- going on with another recipe -----------------------------------------------------------------------------------------
@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A run that was stopped, with its checkpoint in parts."""

    def write(folder, step, tensors, state):
        return shards.write(Machine("cpu"), folder, step, tensors, state)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "write", write)
        Line().fit(X, steps=14, out=tmp_path / "m.pf", callbacks=[lambda m: m.step == 7], **{**HOW, "ema": 0.0})
    assert shards.newest(tmp_path / "m.pf" / "checkpoints")
    return tmp_path / "m.pf"


def test_parts_of_another_optimiser_are_refused(begun):
    with pytest.raises(BadFile, match="'optim.model.0.* is not what SGD keeps"):
        Line().fit(X, steps=14, out=begun, resume=True, optimizer="sgd", **HOW)


def test_an_average_that_a_checkpoint_lacks_begins_at_its_weights(begun):
    """With a learning rate of 0 it stays there."""
    place = shards.newest(begun / "checkpoints")
    saved = part_of(next(place.glob("shard-*")), "model.net.0.weight")
    model = Line().fit(X, steps=14, out=begun, resume=True, lr=0.0, **{**HOW, "ema": 0.9, "every": 100})
    assert torch.equal(model.net[0].weight, saved)


def test_the_state_to_go_back_to_is_held_once(monkeypatch):
    held, snapshot = [], Keeping.snapshot
    monkeypatch.setattr(
        Keeping, "snapshot", lambda self: held.append(bool(getattr(self, "good", {}))) or snapshot(self)
    )
    Line().fit(X, steps=14, **HOW)
    assert len(held) > 2 and not any(held)


def test_rows_that_are_shared_out_and_judged():
    told = []
    assert evenly(32, 4, told.append) == 32 and not told
    assert [evenly(100, 8, told.append), evenly(4, 8, told.append)] == [96, 8] and len(told) == 2
    rows = Rows(Examples(X), 0, 96, 0, 8)
    assert rows.lot(1, spread=False) == 500 and rows.lot(1, spread=True) == 12 and rows.lot(5, spread=True) == 2
