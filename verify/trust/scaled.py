"""Several processes: the weights of one, other numbers of them, one that is killed, a signal to one, two hosts, data on the disk, samples and scores.

python scaled.py                # the table
python scaled.py --constants    # what docs/scale.md computes with: bytes a parameter, all-reduce, a step, a checkpoint, at 1 and 2 processes
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rows import Row
from safetensors.torch import load_file

HERE = Path(__file__).resolve()
TESTS = HERE.parents[2] / "tests" / "engine"
sys.path.insert(0, str(TESTS))
import hosts  # noqa: E402

GAMES = ("GAN", "WGAN")
EXACT, GAME = 1e-12, 1e-9  # in float64: the order of a sum is all that differs, and players magnify it
MINUTE = 60.0


def rows(much: float, out: Path, seed: int) -> Iterator[Row]:
    torch.set_num_threads(1)
    rng, place = random.Random(seed), Path(tempfile.mkdtemp(dir=out))
    try:
        yield equal(much, place)
        yield crowds(much, place)
        yield worlds(max(1, round(4 * much)), place, rng)
        for name, ways in (("averaged gradients", ()), ("spread weights", ("--shards",))):
            yield killed(max(1, round(6 * much)), place, rng, name, ways)
        yield signalled(max(1, round(6 * much)), place, rng)
        yield streams(place)
        yield two_hosts(place)
        yield shared_out(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def row(fault: str, promise: str, found: dict[str, str], began: float, note: str = "") -> Row:
    """`found` has a word for each try: nothing where the promise held."""
    lost = {name: why for name, why in found.items() if why}
    told = "; ".join([*filter(None, [note]), *(f"{name}: {why}" for name, why in lost.items())])
    return Row(fault, promise, len(found), len(found) - len(lost), len(lost), time.monotonic() - began, told)


# ---- the weights of one -------------------------------------------------------------------------------------------------
def equal(much: float, out: Path) -> Row:
    began, names = time.monotonic(), list(hosts.SYSTEMS)[: max(2, round(len(hosts.SYSTEMS) * min(1.0, much * 2)))]
    done, found, worst = hosts.together(str(hosts.HERE), str(out), *names), {}, 0.0
    for name in names:
        alone = hosts.weights(hosts.fit(name))
        for way in ("ddp", "fsdp"):
            path = out / f"{name}-{way}.safetensors"
            gap = apart(alone, load_file(path)) if path.exists() else float("inf")
            worst = max(worst, gap)
            limit = GAME if name in GAMES else EXACT
            found[f"{name} {way}"] = (
                "" if gap <= limit else f"{gap:.1e} apart {done.stderr[-200:] if done.returncode else ''}"
            )
    promise = f"the weights of one process, in float64: {EXACT:g} apart at most, {GAME:g} for a game"
    return row("two processes, averaged gradients and spread weights", promise, found, began, f"worst {worst:.1e}")


def apart(a: dict[str, Any], b: dict[str, Any]) -> float:
    return max(float((t.double() - b[name].double()).abs().max()) for name, t in a.items() if t.numel())


PROGRAM = """
import json, os, sys
sys.path.insert(0, {tests!r})
import torch, hosts
torch.set_num_threads(1)
from safetensors.torch import save_file
for name, shards, stop, out, keep in json.loads({jobs!r}):
    stops = [lambda m: m.step == stop] if stop else []
    model = hosts.fit(name, shards=shards, out=out, resume=os.path.exists(out), callbacks=stops)
    if keep and os.environ["RANK"] == "0":
        save_file(hosts.weights(model), keep)
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


def worlds(tries: int, out: Path, rng: random.Random) -> Row:
    """Runs that are stopped at a random step and go on with other processes."""
    began, found, before, after, done = time.monotonic(), {}, [], [], []
    for i in range(tries):
        name = rng.choice([n for n in hosts.SYSTEMS if n not in ("GaussianMixture", *GAMES)])
        for way in ("1 to 2", "1 to 2 spread", "2 to 1", "2 spread to 1", "2 to 2 spread", "2 spread to 2"):
            was, _, now = way.partition(" to ")
            folder, stop = str(out / f"w{i}-{way.replace(' ', '-')}.pf"), rng.randrange(1, hosts.HOW["steps"] - 1)
            if was == "1":
                hosts.fit(name, out=folder, callbacks=[lambda m, stop=stop: m.step == stop])
            else:
                before.append([name, "spread" in was, stop, folder, ""])
            if now != "1":
                after.append([name, "spread" in now, 0, folder, folder + ".safetensors"])
            done.append((f"{name} {way}, step {stop}", name, folder, now))
    program = out / "worlds.py"
    program.write_text(PROGRAM.format(tests=str(TESTS), jobs=json.dumps(before + after)))
    ran = hosts.together(str(program), timeout=280)
    alone: dict[str, Any] = {}
    for what, name, folder, now in done:
        alone.setdefault(name, hosts.weights(hosts.fit(name)))
        try:
            ended = (
                hosts.weights(hosts.fit(name, out=folder, resume=True))
                if now == "1"
                else load_file(folder + ".safetensors")
            )
            gap = apart(alone[name], ended)
            found[what] = "" if gap <= EXACT else f"{gap:.1e} apart"
        except Exception as problem:  # a run that is lost in whatever way is counted
            found[what] = f"{problem} {ran.stderr[-200:] if ran.returncode else ''}"
    return row(
        "a run stopped, gone on with by another number of processes, spread or not",
        "the weights of an unbroken run, to 1e-12",
        found,
        began,
    )


# ---- more than two --------------------------------------------------------------------------------------------------------
def crowds(much: float, out: Path) -> Row:
    """Three, four and eight, averaged and spread, and checkpoints that other numbers go on with."""
    began, found, how = time.monotonic(), {}, {"batch": 24}

    def judge(what: str, limit: float, ended: dict[int, Any]) -> None:
        wrong = [end for end in ended.values() if isinstance(end, str)]
        gap = 0.0 if wrong else max(apart(alone, end) for end in ended.values())
        found[what] = wrong[0] if wrong else "" if gap <= limit else f"{gap:.1e} apart"

    for name in ("VAE", "RBM", "GAN", "GPT")[: max(1, round(4 * min(1.0, much)))]:
        alone = hosts.weights(hosts.fit(name, **how))
        for world in (3, 4, 8):
            for shards in (False, True):
                ended = hosts.crowd(world, lambda: hosts.weights(hosts.fit(name, shards=shards, **how)))  # noqa: B023
                judge(f"{name} {world} {'spread' * shards}", GAME if name in GAMES else EXACT, ended)
    alone = hosts.weights(hosts.fit("VAE", **how))
    for before, after in ((4, 3), (3, 8), (8, 4)):
        more = {"shards": True, "out": out / f"c{before}-{after}.pf", **how}
        hosts.crowd(before, lambda: hosts.fit("VAE", callbacks=[lambda m: m.step == 6], **more))  # noqa: B023
        ended = hosts.crowd(after, lambda: hosts.weights(hosts.fit("VAE", resume=True, **more)))  # noqa: B023
        judge(f"{before} to {after}", EXACT, ended)
    promise = f"the weights of one process: {EXACT:g} apart at most, {GAME:g} for a game"
    return row("three to eight processes, played by threads of one", promise, found, began)


# ---- killed, signalled ---------------------------------------------------------------------------------------------------
def started(out: Path, *ways: str) -> subprocess.Popen:
    out.mkdir()
    pd.DataFrame(hosts.data("real"), columns=list("abcd")).to_csv(out / "x.csv", index=False)
    fit = [
        "-m",
        "pushforward",
        "fit",
        str(out / "x.csv"),
        "--model",
        "VAE",
        "-o",
        str(out / "m.pf"),
        "--set",
        "keep=0.1",
    ]
    more = ["--set", "hidden=8", "--set", "patience=0", "--set", "steps=1000000", "--set", "every=50", *ways]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    run = subprocess.Popen(hosts.command(*fit, *more), env=hosts.environment(), **pipes)
    end = time.monotonic() + 2 * MINUTE
    while not list((out / "m.pf" / "checkpoints").glob("step-*")) and run.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    return run


def goes_on(out: Path) -> str:
    import pushforward as pf

    told: list[int] = []
    try:
        pf.VAE(hidden=(8,)).fit(
            pd.read_csv(out / "x.csv"),
            out=out / "m.pf",
            resume=True,
            steps=10**6,
            patience=0,
            quiet=True,
            callbacks=[lambda m: told.append(m.step) or True],
        )
    except Exception as problem:
        return f"it does not go on: {problem}"
    return "" if told and told[0] > 1 else "it began anew"


def ended(run: subprocess.Popen, ranks: list[int], after: float) -> tuple[str, str]:
    """What is wrong, or nothing, and what was said; the processes that are left are ended."""
    try:
        _, said = run.communicate(timeout=after)
        left = [pid for pid in ranks if Path(f"/proc/{pid}").exists()]
        return (f"{len(left)} processes are left" if left else ""), said
    except subprocess.TimeoutExpired:
        for pid in (*ranks, run.pid):
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)
        return f"not over after {after:.0f} s", run.communicate()[1]


def killed(tries: int, out: Path, rng: random.Random, name: str, ways: tuple[str, ...]) -> Row:
    began, found, longest = time.monotonic(), {}, 0.0
    for i in range(tries):
        place = out / f"k{i}{''.join(ways)}"
        run = started(place, *ways)
        ranks = hosts.workers(run.pid)
        time.sleep(wait := rng.random())
        if len(ranks) < 2:
            found[f"try {i}"] = f"not begun: {run.communicate(timeout=MINUTE)[1][-200:]}"
            continue
        at = time.monotonic()
        os.kill(ranks[i % 2], signal.SIGKILL)
        why, said = ended(run, ranks, MINUTE)
        longest = max(longest, time.monotonic() - at)
        # The others' own, or that of torchrun where it has ended them before they came to their next step.
        told = "has lost another one of this run" in said or "Signal 9 (SIGKILL) received" in said
        why = why or ("" if told else f"no sentence: {said[-200:]}")
        found[f"rank {i % 2} after {wait:.2f} s"] = why or goes_on(place)
    promise = "the others leave within a minute with a sentence; one process goes on from the last checkpoint"
    return row(
        f"SIGKILL to one of two processes, {name}",
        promise,
        found,
        began,
        f"the last was gone after {longest:.1f} s at most",
    )


def signalled(tries: int, out: Path, rng: random.Random) -> Row:
    began, found = time.monotonic(), {}
    for i in range(tries):
        place, number = out / f"s{i}", (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)[i % 3]
        run = started(place, *(("--shards",) if rng.random() < 0.5 else ()))
        ranks = hosts.workers(run.pid)
        if len(ranks) < 2:
            found[f"try {i}"] = "not begun"
            continue
        os.kill(ranks[i % 2], number)
        why, said = ended(run, ranks, MINUTE)
        why = why or ("one took the other for lost" if "has lost another" in said else "")
        found[f"{number.name} to rank {i % 2}"] = why or goes_on(place)
    return row(
        "SIGTERM, SIGUSR1 or SIGINT to one of two processes",
        "all write a checkpoint and leave; the run goes on",
        found,
        began,
    )


# ---- data on the disk, two hosts, samples and scores ----------------------------------------------------------------------
def streams(out: Path) -> Row:
    began, found, x = time.monotonic(), {}, np.random.default_rng(0).normal(size=(5000, 3))
    np.save(out / "x.npy", x)
    pd.DataFrame(x, columns=list("abc")).to_parquet(out / "x.parquet", row_group_size=300)
    import pushforward as pf

    for data in ("x.npy", "x.parquet"):
        for ways in ((), ("--shards",)):
            model = out / f"{data}{''.join(ways)}.pf"
            words = [
                "fit",
                str(out / data),
                "--model",
                "MAF",
                "--set",
                "transforms=2",
                "--set",
                "hidden=16",
                "--read",
                "stream=yes",
                "--set",
                "steps=100",
                "-o",
                str(model),
            ]
            done = hosts.together("-m", "pushforward", *words, "--set", "patience=0", "-q", *ways)
            try:
                nats = pf.load(model).score(x)
                found[f"{data} {ways}"] = "" if abs(nats + 1.5 * np.log(2 * np.pi * np.e)) < 0.1 else f"{nats:.3f} nats"
            except Exception as problem:
                found[f"{data} {ways}"] = f"{problem} {done.stderr[-200:]}"
    return row(
        "rows on the disk (.npy, .parquet), each process its own", "the entropy of the data, to 0.1 nats", found, began
    )


def two_hosts(out: Path) -> Row:
    began = time.monotonic()
    if why := hosts.why_no_hosts():
        return Row("two hosts", "the weights of one process, to 1e-12", 0, 0, 0, 0.0, f"not tried: {why}")
    names, found = ("VAE", "MADE"), {}
    with hosts.two_hosts() as both:
        there = hosts.across(both, str(hosts.HERE), str(out), *names, timeout=2 * MINUTE)
    for name in names:
        alone = hosts.weights(hosts.fit(name))
        for way in ("ddp", "fsdp"):
            gap = (
                apart(alone, load_file(out / f"{name}-{way}.safetensors"))
                if all(c == 0 for c, _ in there)
                else float("inf")
            )
            found[f"{name} {way}"] = "" if gap <= EXACT else f"{gap:.1e} apart {there[0][1][-200:]}"
    return row(
        "two hosts (network namespaces with addresses of their own)",
        "the weights of one process, to 1e-12",
        found,
        began,
    )


def shared_out(out: Path) -> Row:
    """Enough rows for several lots."""
    import pushforward as pf

    began, found, n = time.monotonic(), {}, 150_000
    x = np.random.default_rng(1).normal(size=(2000, 3))
    model = str(pf.RealNVP().fit(x, steps=50, quiet=True).save(out / "flow.pf"))
    np.save(out / "many.npy", np.tile(x, (n // len(x), 1)))
    verbs = [["sample", model, "-n", str(n), "--seed", "3", "-o", f"new{end}"] for end in (".csv", ".parquet", ".npy")]
    verbs.append(["score", model, str(out / "many.npy"), "--read", "stream=yes", "-o", "nats.csv"])
    for verb in verbs:
        for ways in (1, 2):
            (out / str(ways)).mkdir(exist_ok=True)
            words = ["-m", "pushforward", *verb[:-1], str(out / str(ways) / verb[-1]), "-q"]
            done = hosts.together(*words, processes=ways)
        one, two = (out / str(ways) / verb[-1] for ways in (1, 2))
        alike = one.exists() and two.exists() and one.read_bytes() == two.read_bytes()
        found[verb[-1]] = "" if alike else f"the files differ {done.stderr[-200:] if done.returncode else ''}"
    return row(f"sample and score of {n:,} rows by two processes", "the bytes of one process", found, began)


# ---- constants ------------------------------------------------------------------------------------------------------------
CONSTANTS = """
import json, os, resource, sys, tempfile, time
from pathlib import Path
import torch, torch.distributed as dist
torch.set_num_threads(1)
from torch import nn
from pushforward.engine import checkpoint, shards
from pushforward.engine.machine import Machine
shards_ = sys.argv[1] == "fsdp"
machine, found = Machine("cpu", shards=shards_), {}

def clock(work, times=5):
    work(); machine.meet(); began = time.perf_counter()
    for _ in range(times): work()
    machine.meet()
    return (time.perf_counter() - began) / times

model = nn.Module(); model.net = nn.Sequential(*(nn.Linear(1024, 1024) for _ in range(16)))
count = sum(p.numel() for p in model.parameters())
machine.place(model)
weights = list(model.parameters())
adam = torch.optim.Adam(weights, fused=None if shards_ else True)
x = torch.randn(64 // machine.world, 1024)

def compute():
    model.net(x).square().mean().backward()

def step():
    compute(); machine.average(weights); adam.step(); adam.zero_grad(set_to_none=True)

if machine.world > 1:
    flat = torch.zeros(1 << 22)
    found["all-reduce GB/s"] = flat.numel() * 4 / clock(lambda: dist.all_reduce(flat)) / 1e9
    small = torch.zeros(1)
    found["all-reduce of one number, us"] = clock(lambda: dist.all_reduce(small), 200) * 1e6
found["step, s"] = clock(step)
own = sum((t.to_local() if hasattr(t, "to_local") else t).numel() * t.element_size() for t in weights)
state = sum((v.to_local() if hasattr(v, "to_local") else v).numel() * v.element_size()
            for s in adam.state.values() for v in s.values() if isinstance(v, torch.Tensor))
found["bytes of weights and optimiser a parameter"] = (own + state) / count
tensors = {f"model.{n}": t for n, t in model.state_dict().items()} | checkpoint.flatten(adam, "optim.model")
size = sum(t.numel() * t.element_size() for t in tensors.values())
where = Path(machine.tell(tempfile.mkdtemp(dir=sys.argv[2]) if machine.rank == 0 else ""))
def keep():
    if shards_ and machine.world > 1: shards.write(machine, where, 1, tensors, {})
    elif machine.rank == 0: checkpoint.write(where, 1, tensors, {})
    machine.meet()
found["checkpoint MB/s"] = size / clock(keep, 2) / 1e6
found["largest resident memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
if machine.rank == 0: print("CONSTANTS", json.dumps(found))
if machine.world > 1: dist.destroy_process_group()
"""


def constants() -> None:
    with tempfile.TemporaryDirectory() as out:
        (program := Path(out) / "constants.py").write_text(CONSTANTS)
        table = {}
        for name, processes, way in (("1 process", 1, "ddp"), ("2, averaged", 2, "ddp"), ("2, spread", 2, "fsdp")):
            done = hosts.together(str(program), way, out, processes=processes)
            told = [line for line in done.stdout.splitlines() if line.startswith("CONSTANTS")]
            table[name] = json.loads(told[0].partition(" ")[2]) if told else {"failed": done.stderr[-300:]}
    print("16,793,600 parameters (16 layers 1024 x 1024), Adam, 64 rows a step over all processes, 1 thread each")
    print(pd.DataFrame(table).to_string(float_format=lambda v: f"{v:.4g}"))


if __name__ == "__main__":
    if "--constants" in sys.argv:
        constants()
    else:
        with tempfile.TemporaryDirectory() as folder:
            for found in rows(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0, Path(folder), 0):
                print(found.line(), flush=True)
