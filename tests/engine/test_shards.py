"""Checkpoints in parts: whole or absent, read by any number of processes, and by none that would hold the whole."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from pushforward.engine import checkpoint, files, shards
from pushforward.engine.keeping import Keeping
from pushforward.engine.machine import Machine
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
