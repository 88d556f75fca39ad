"""Several processes: the weights of one, rows of their own, one that is killed, a signal to one, two hosts, samples and scores shared out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import pushforward as pf
from pushforward import cli
from pushforward.data.stores import Groups, Mapped, Tensors
from pushforward.engine import loop
from pushforward.engine.machine import DAY, Lost, Machine, device_of, gone
from pushforward.engine.rows import Rows
from pushforward.workbench import sharing

sys.path.insert(0, str(Path(__file__).parent))
import hosts

NAMES = ("VAE", "GAN", "RBM", "GaussianMixture")  # the others: verify/trust/scaled.py


# ---- the weights of one process ---------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def two(tmp_path_factory):
    out = tmp_path_factory.mktemp("two")
    done = hosts.together(str(hosts.HERE), str(out), *NAMES)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_learn_the_weights_of_one(two, name):
    """In float64: 1e-12, and 1e-9 for a game, whose players magnify the rounding of sums. Weights that all rounding leaves alone have learned."""
    alone = hosts.weights(hosts.fit(name))
    for way in ("ddp", "fsdp"):
        together = load_file(two / f"{name}-{way}.safetensors")
        for key, t in alone.items():
            assert torch.allclose(t, together[key], atol=1e-9 if name == "GAN" else 1e-12, rtol=0), (way, key)


def test_eight_processes_learn_the_weights_of_one_and_three_go_on(tmp_path, monkeypatch):
    """Played by threads, in float64. Eight share a weight of four rows: some have none of it."""
    monkeypatch.setattr(loop, "LOOK", 0.0)  # all stop at the step at which one is told
    how = {"batch": 24, "shards": True, "out": tmp_path / "m.pf"}
    alone = hosts.weights(hosts.fit("VAE", batch=24))
    stopped = hosts.crowd(8, lambda: hosts.fit("VAE", callbacks=[lambda m: m.step == 6], **how).outcome_["step"])
    assert len(stopped) == 8 and set(stopped.values()) <= {6, 7}
    assert len(list((tmp_path / "m.pf" / "checkpoints" / f"step-{stopped[0]:09d}").glob("shard-*"))) == 8
    for ended in hosts.crowd(3, lambda: hosts.weights(hosts.fit("VAE", resume=True, **how))).values():
        assert all(torch.allclose(t, ended[key], atol=1e-12, rtol=0) for key, t in alone.items())


# ---- rows of their own --------------------------------------------------------------------------------------------------
class Source:
    """Row groups that count how often each is decoded, and how many are alive at once."""

    sizes = [50, 30, 40, 60, 20]

    def __init__(self):
        self.decoded = []

    def frame(self, group, names):
        self.decoded.append(group)
        start = sum(self.sizes[:group])
        return pd.DataFrame({"a": np.arange(start, start + self.sizes[group], dtype=float), "b": 1.0})


def rows_read(examples, rank, world, steps, batch=20, seed=3):
    rows = Rows(examples, seed, batch, rank, world)
    return [rows.take(step)[0][:, 0].long() for step in range(steps)]


def streamed(source=None):
    space = pf.Space.of(pd.DataFrame({"a": [0.5, 2.0], "b": [1.0, 1.5]}))
    return pf.Examples(Groups(source or Source(), space), space=space)


def mapped(tmp_path, n=200):
    np.save(tmp_path / "x.npy", np.arange(2.0 * n).reshape(n, 2)[:, [0, 1]] / [2.0, 1.0])
    return pf.Examples(np.load(tmp_path / "x.npy", mmap_mode="r"))


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("kind", ["groups", "mapped"])
def test_every_row_is_read_once_an_epoch_by_one_process(kind, world, tmp_path):
    examples = streamed() if kind == "groups" else mapped(tmp_path)
    size = 20 // world
    seen = []
    for rank in range(world):
        own = rows_read(examples, rank, world, 200 // world // size + 1)
        assert all(len(rows) == size for rows in own)  # as many steps, of as many rows, on all
        mine = torch.cat(own)
        count = len(range(rank * 200 // world, (rank + 1) * 200 // world))
        assert len(set(mine[:count].tolist())) == count
        seen.append(set(mine[:count].tolist()))
    assert set().union(*seen) == set(range(200)) and sum(map(len, seen)) == 200


def test_the_order_is_a_function_of_seed_epoch_rank_and_world():
    once, again, other = (torch.cat(rows_read(streamed(), 1, 2, 20, seed=seed)).tolist() for seed in (3, 3, 4))
    assert once == again != other
    assert once[:100] != once[100:] and sorted(once[:100]) == sorted(once[100:])  # another epoch, another order


def test_a_process_decodes_its_row_groups_alone_and_each_once_an_epoch():
    decoded = []
    for rank in range(2):
        source = Source()
        rows_read(streamed(source), rank, 2, 10)
        decoded.append(source.decoded)
    assert sorted(decoded[0]) == [0, 1, 2] and sorted(decoded[1]) == [2, 3, 4]  # row 100 lies within group 2


def test_a_process_keeps_no_more_than_its_buffer_of_row_groups():
    portion = streamed().store.portion(1, 2)
    portion.buffer = 1
    for row in range(len(portion)):
        portion.take(torch.tensor([row]))
        assert len(portion.decoded) == 1


def test_a_process_maps_its_rows_and_keeps_no_list_of_them(tmp_path):
    portion = mapped(tmp_path).store.portion(1, 2)
    assert isinstance(portion, Mapped) and portion.rows is None and portion.array.base is not None
    assert len(portion) == 100 and portion.take(torch.tensor([0]))[0][0, 0] == 100


def test_what_is_in_memory_keeps_the_order_of_one_process():
    examples = pf.Examples(torch.arange(200.0)[:, None].expand(200, 2))
    assert isinstance(examples.store.portion(1, 2), Tensors) and len(examples.store.portion(1, 2)) == 200
    halves = [rows_read(examples, rank, 2, 10) for rank in range(2)]
    whole = rows_read(examples, 0, 1, 10)
    assert all(torch.equal(torch.cat([a, b]), c) for a, b, c in zip(*halves, whole, strict=True))


def test_a_bad_value_is_found_by_the_process_whose_row_it_is(tmp_path, monkeypatch):
    x = np.zeros((100, 2))
    x[10, 1] = np.inf
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(pf.errors.BadData, match="from row 0"):
        pf.Examples(np.load(tmp_path / "x.npy", mmap_mode="r"))
    monkeypatch.setenv("RANK", "1")
    assert len(pf.Examples(np.load(tmp_path / "x.npy", mmap_mode="r"))) == 100


# ---- what all are told ----------------------------------------------------------------------------------------------------
def test_only_what_is_said_of_connections_is_a_lost_process():
    machine = Machine("cpu")
    machine.world = 2
    with pytest.raises(Lost, match="start again with --resume"), machine.heard():
        raise RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1234")
    with pytest.raises(RuntimeError, match="shapes do not agree"), machine.heard():
        raise RuntimeError("shapes do not agree")
    with pytest.raises(pf.errors.Usage, match="Timed out"), machine.heard():
        raise pf.errors.Usage("Timed out is a word that an error of ours may have")
    assert not gone(ValueError("x"))
    with pytest.raises(Lost, match="run it again"), machine.heard(sharing.ANEW):
        raise RuntimeError("Connection closed by peer")


def second(first):
    """The second of two processes, and what the first says."""
    machine = Machine("cpu")
    machine.world, machine.tell, machine.sums = 2, lambda own: {**own, **first}, lambda *numbers: list(numbers)
    return machine


def test_processes_that_were_given_different_things_say_which():
    second({}).same(recipe={"lr": 0.2}, examples=3)
    with pytest.raises(
        pf.errors.Usage, match=r"differ in recipe \(1 of 2 processes\)\. Here recipe .*0\.2.*there.*0\.1"
    ):
        second({"recipe": '{"lr": 0.1}'}).same(recipe={"lr": 0.2}, examples=3)
    with pytest.raises(pf.errors.Usage, match=r"differ in weights .*\[3, 4\].*there.*\[2, 4\]"):
        second({"weights": '[["weight", [2, 4], "torch.float32"]]'}).place(torch.nn.Linear(4, 3, bias=False))


def test_who_is_at_a_disk_is_waited_for_longer_than_who_is_silent(monkeypatch):
    told = {}
    monkeypatch.setattr(torch.distributed, "barrier", lambda **how: told.update(how))
    machine = Machine("cpu")
    machine.world = 2
    machine.meet()
    assert told["timeout"].total_seconds() == DAY


def test_each_process_of_a_host_has_a_cuda_device_of_its_own(monkeypatch):
    """Played: what torchrun tells, and a torch that sees two devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("cuda") == device_of("auto") == torch.device("cuda", 0) and device_of("cuda:1").index == 1
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert device_of("cuda") == device_of("auto") == torch.device("cuda", 1)
    with pytest.raises(pf.errors.Usage, match="the 2 processes of this host would share it"):
        device_of("cuda:0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(pf.errors.Usage, match=r"runs 3 processes and torch sees 2 CUDA device"):
        device_of("auto")


def test_processes_do_not_choose_a_device_that_they_cannot_talk_over(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device_of("auto").type == "mps"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert device_of("auto").type == "cpu"


# ---- a process that is killed, a signal to one ------------------------------------------------------------------------------
def started(out, *words):
    path = out / "x.csv"
    pd.DataFrame(hosts.data("real"), columns=list("abcd")).to_csv(path, index=False)
    fit = ["-m", "pushforward", "fit", str(path), "--model", "VAE", "-o", str(out / "m.pf"), "--set", "keep=0.2"]
    options = ["--set", "hidden=8", "--set", "patience=0", "--set", "steps=1000000", "--set", "every=50", *words]
    return subprocess.Popen(
        hosts.command(*fit, *options),
        env=hosts.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def when_kept(run, out):
    """Wait for a checkpoint; the two workers' numbers."""
    end = time.monotonic() + 120
    while not list((out / "m.pf" / "checkpoints").glob("step-*")):
        assert run.poll() is None and time.monotonic() < end, run.stderr.read()[-2000:]
        time.sleep(0.05)
    return hosts.workers(run.pid)


def goes_on(out):
    """One process goes on from where two were; the step that it went on from, and the sentence."""
    told = []
    model = pf.VAE(hidden=(8,)).fit(
        pd.read_csv(out / "x.csv"),
        out=out / "m.pf",
        resume=True,
        steps=10**6,
        patience=0,
        quiet=True,
        callbacks=[lambda m: told.append(m.step) or True],
    )
    return told[0], next(entry["said"] for entry in model.history_ if "said" in entry)


def test_when_one_is_killed_the_others_leave_and_the_run_goes_on(tmp_path):
    run = started(tmp_path)
    ranks = when_kept(run, tmp_path)
    os.kill(ranks[1], signal.SIGKILL)
    _, said = run.communicate(timeout=60)
    assert run.returncode != 0 and "Process 0 of 2 has lost another one of this run" in said
    assert "Traceback" not in said.partition("torch/distributed")[0]
    step, told = goes_on(tmp_path)
    assert step > 1 and "2 process(es) wrote it and 1 go on" in told


def test_a_signal_to_one_ends_all_with_a_checkpoint(tmp_path):
    run = started(tmp_path)
    os.kill(when_kept(run, tmp_path)[1], signal.SIGTERM)
    _, said = run.communicate(timeout=60)
    assert "has lost another" not in said and said.count("exitcode  : 143") >= 1
    step, _ = goes_on(tmp_path)
    places = sorted((tmp_path / "m.pf" / "checkpoints").glob("step-*"))
    assert step > 1 and json.loads((places[0] / "state.json").read_text())["step"] > 0


# ---- two hosts --------------------------------------------------------------------------------------------------------------
def test_two_hosts_learn_the_weights_of_one_process(tmp_path):
    if why := hosts.why_no_hosts():
        pytest.skip(why)
    with hosts.two_hosts() as both:
        ended = hosts.across(both, str(hosts.HERE), str(tmp_path), "VAE")
    assert [code for code, _ in ended] == [0, 0], ended
    alone = hosts.weights(hosts.fit("VAE"))
    for way in ("ddp", "fsdp"):
        together = load_file(tmp_path / f"VAE-{way}.safetensors")
        assert all(torch.allclose(t, together[key], atol=1e-12, rtol=0) for key, t in alone.items())


# ---- samples and scores -------------------------------------------------------------------------------------------------------
VERBS = """
import sys
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads(1)
from pushforward import cli
from pushforward.workbench import sharing
sharing.LOT = 256
for words in {words!r}:
    code = cli.run(words)
    assert not code, (words, code)
"""
ENDS = ("csv", "tsv", "jsonl", "parquet", "npy")


def words(model, data, out):
    drawn = [["sample", str(model), "-n", "1000", "--seed", "5", "-o", str(out / f"new.{end}")] for end in ENDS]
    scores = [
        ["score", str(model), str(data), "--by", by, "-o", str(out / f"{by}.csv")] for by in ("bound", "evidence")
    ]
    return [*drawn, ["sample", str(model), "-n", "100", "--seed", "5", "-o", str(out / "few.csv")], *scores]


def test_samples_and_scores_of_two_processes_are_those_of_one_to_the_byte(tmp_path, monkeypatch, capsys):
    table = pd.DataFrame(hosts.data("real"), columns=list("abcd"))
    table.insert(0, "side", np.where(table.a > 1, "l", "r"))
    data = tmp_path / "t.csv"
    pd.concat([table] * 4).to_csv(data, index=False)
    model = pf.VAE(latent=2, hidden=(8,)).fit(table, steps=30, quiet=True).save(tmp_path / "m.pf")
    monkeypatch.setattr(sharing, "LOT", 256)
    monkeypatch.setattr("pushforward.model.BUDGET", 1)  # a batch is 64 rows
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    numbers = [w for w in words(model, data, tmp_path / "one")]
    numbers[4][1] = str(
        pf.VAE(latent=2, hidden=(8,)).fit(table[list("abcd")], steps=30, quiet=True).save(tmp_path / "n.pf")
    )
    for verb in numbers:
        assert not cli.run(verb)
    program = VERBS.replace(
        "sharing.LOT = 256", "sharing.LOT = 256\nimport pushforward.model\npushforward.model.BUDGET = 1"
    )
    there = [[w.replace(str(tmp_path / "one"), str(tmp_path / "two")) for w in verb] for verb in numbers]
    (tmp_path / "run.py").write_text(program.format(here=str(Path(__file__).parent), words=there))
    done = hosts.pair(str(tmp_path / "run.py"))
    assert done.returncode == 0, done.stderr[-3000:]
    files = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert files == sorted(p.name for p in (tmp_path / "two").iterdir()) and len(files) == 8  # and no parts are left
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    # What is written lot by lot is what a door gives at once.
    at_once = pf.load(model).sample(1000, seed=5)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "two" / "new.parquet"), at_once)
    assert len(np.load(tmp_path / "two" / "new.npy")) == 1000 and len(pd.read_csv(tmp_path / "two" / "new.csv")) == 1000


def test_no_more_than_a_lot_is_made_at_a_time(tmp_path, monkeypatch):
    x = pd.DataFrame(hosts.data("real"), columns=list("abcd"))
    path = pf.Gaussian().fit(x).save(tmp_path / "m.pf")
    monkeypatch.setattr(sharing, "LOT", 128)
    monkeypatch.setattr("pushforward.model.BUDGET", 1)
    sizes, sample = [], pf.Gaussian._sample
    restored, restore = [], pf.Space.restore
    monkeypatch.setattr(pf.Gaussian, "_sample", lambda self, n, *more: sizes.append(n) or sample(self, n, *more))
    monkeypatch.setattr(pf.Space, "restore", lambda self, x: restored.append(len(x)) or restore(self, x))
    sharing.draw(str(path), 1000, tmp_path / "x.csv", seed=1)
    assert max(sizes) == 64 and restored == [128] * 7 + [104]


def test_rows_of_a_memory_mapped_array_are_scored_a_lot_at_a_time(tmp_path, monkeypatch):
    x = hosts.data("real")
    path = pf.Gaussian().fit(x).save(tmp_path / "m.pf")
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(sharing, "LOT", 64)
    taken, take = [], Mapped.take
    monkeypatch.setattr(Mapped, "take", lambda self, rows: taken.append(len(rows)) or take(self, rows))
    found = sharing.score(str(path), str(tmp_path / "x.npy"), said={"stream": True})
    assert max(taken) <= 4096 and np.allclose(found.values, pf.load(path).log_prob(x)) and found.by == "log_prob"


# ---- closed forms ---------------------------------------------------------------------------------------------------------------
SOLVED = """
import os, sys
import numpy as np, torch
torch.set_num_threads(1)
from safetensors.torch import save_file
import pushforward as pf
from pushforward.data.stores import Mapped
from pushforward.engine import solving
solving.LOT = 3 * 64
taken, take = set(), Mapped.take
Mapped.take = lambda self, rows: taken.update(rows.tolist()) or take(self, rows)
rank = int(os.environ.get("RANK", 0))
for kind, fields in (("Gaussian", {{}}), ("PCA", {{"latent": 2}})):
    data = pf.Examples(np.load({x!r}, mmap_mode="r"))
    model = getattr(pf, kind)(**fields)
    lay, model.__dict__["make"] = model.make, lambda *a: lay(*a) or taken.clear()  # its chart looks at the first rows
    model.fit(data, precision="float64")
    assert taken == set(range(rank * 1001 // 2, (rank + 1) * 1001 // 2)), (kind, min(taken), max(taken), len(taken))
    save_file({{n: t.contiguous() for n, t in model.state_dict().items()}}, f"{out}/{{kind}}-{{rank}}.safetensors")
torch.distributed.destroy_process_group()
"""


def test_moments_of_two_processes_that_read_each_its_rows_are_those_of_one(tmp_path):
    """To 1e-10, at a mean a thousand standard deviations from 0."""
    x = np.random.default_rng(5).normal(size=(1001, 3)) @ np.diag([1.0, 2.0, 0.5]) + 1e3
    x[:, 1] += x[:, 0]
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "run.py").write_text(SOLVED.format(x=str(tmp_path / "x.npy"), out=tmp_path))
    done = hosts.pair(str(tmp_path / "run.py"))
    assert done.returncode == 0, done.stderr[-3000:]
    for kind, fields in (("Gaussian", {}), ("PCA", {"latent": 2})):
        alone = hosts.weights(getattr(pf, kind)(**fields).fit(x, precision="float64"))
        for rank in (0, 1):
            found = load_file(tmp_path / f"{kind}-{rank}.safetensors")
            assert all(torch.allclose(t, found[n], atol=1e-10, rtol=1e-12) for n, t in alone.items()), (kind, rank)
