"""Processes that train and save until they are killed, and what must stand after.

A run in a folder is killed at a random instant, looked at, resumed, killed again …, until it ends; then its weights must be those of a run that
nobody disturbed, bit for bit. The processes come from a server that has imported everything, so that one costs a tenth of a second.
"""

import os
import signal
import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

import pushforward as pf
from pushforward import catalogue
from pushforward.engine import checkpoint, files

CONTEXT = get_context("forkserver")
ALL = ("torch._dynamo", "scipy.stats", "safetensors.torch", "torch.distributed.tensor", "victims")
CONTEXT.set_forkserver_preload(
    [*ALL, *(catalogue.find(n).__module__ for n in ("VAE", "GAN", "RBM", "RealNVP", "Gaussian"))]
)

MOONS = pf.data.toys.moons(200, seed=0)
BITS = np.random.default_rng(0).random((120, 12)) < 0.4
OVER = ("over", "two renames")  # one model saved over another, again and again
HOW = {"keep": 0.0, "every": 5, "patience": 0, "quiet": True, "seed": 3, "steps": 60}


def built(name):
    """(a model, its data, its recipe) by name."""
    if name == "GAN":
        return pf.GAN(latent=2, hidden=(16, 16)), MOONS, HOW | {"ema": 0.9, "steps": 40}
    if name == "RBM":
        return pf.RBM(hidden=8, chains=20, burn=10), BITS, HOW | {"valid": 0.2}
    if name in ("Gaussian", *OVER):  # solved at once: all there is to interrupt is the save
        return pf.Gaussian(), MOONS, {"quiet": True}
    if name == "RealNVP":
        return pf.RealNVP(**pf.RealNVP.small), MOONS, HOW | {"accumulate": 2, "clip": 1.0, "schedule": "cosine"}
    return pf.VAE(latent=2, hidden=(16,)), MOONS, HOW | {"ema": 0.95}


def victim(name, out, ready):
    """One process: fit, from where the last one was killed."""
    torch.set_num_threads(1)
    os.fsync = lambda handle: None  # a kill, unlike a power cut, takes nothing that was written
    model, x, how = built(name)
    ready.send("ready")
    if name == "two renames":
        files.exchange = lambda one, other: False  # as where the kernel has no such call
    if name in OVER:
        for i in range(40):
            model.fit(x[i : i + 100], **how).save(out, overwrite=True)
    else:
        model.fit(x, out=out, resume=True, **how)
    ready.send("done")


@dataclass
class Course:
    """A system, a place, and the weights of a run that nobody disturbed."""

    name: str
    root: Path
    span: float = 0.0  # seconds that a run takes, to kill inside
    wanted: dict = field(default_factory=dict)

    def __post_init__(self):
        model, x, how = built(self.name)
        if self.name in OVER:
            self.wanted = {}
            for i in range(40):
                self.wanted[bytes(self.state(model.fit(x[i : i + 100], **how)))] = i
        else:
            self.wanted = {bytes(self.state(model.fit(x, **how))): 0}

    @staticmethod
    def state(model):
        return b"".join(t.detach().contiguous().numpy().tobytes() for t in model.state_dict().values())


@dataclass
class Tally:
    """How it went."""

    kills: int = 0  # processes that were killed while they ran
    ends: int = 0  # runs that came to their end all the same
    resumed: int = 0  # kills that left a checkpoint
    lost: list = field(default_factory=list)


def chase(course, chance, kills):
    """Kill so many times; every run to its end."""
    tally = Tally()
    while tally.kills < kills:
        place = course.root / f"run{tally.ends}"
        place.mkdir(parents=True)
        step, stands = -1, False
        while True:
            done = hunt(course, place / "m.pf", chance, tally.kills < kills)
            tally.kills += not done
            try:
                step, stands = look(course, place, step, stands, done)
                tally.resumed += step >= 0 and not done
            except Exception as problem:
                tally.lost.append(f"{course.name}, kill {tally.kills}: {type(problem).__name__} {problem}")
            if done or tally.lost:
                break
        tally.ends += 1
        if tally.lost:
            break
    return tally


def hunt(course, out, chance, kill):
    """Let a process run, and kill it at a random instant unless it is done; whether it came to its end."""
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=victim, args=(course.name, str(out), there), daemon=True)
    process.start()
    there.close()
    try:
        assert here.poll(60) and here.recv() == "ready"
        began = time.monotonic()
        wait = chance.uniform(0.0, course.span or 0.3) if kill else 120.0
        if here.poll(wait):
            try:
                if here.recv() == "done":
                    course.span = max(course.span, time.monotonic() - began)
                    process.join()
                    return True
            except EOFError as problem:
                process.join()
                raise AssertionError(f"the process ended by itself with {process.exitcode}") from problem
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        return False
    finally:
        here.close()


def look(course, place, step, stands, done):
    """What a reader finds after a kill, without any mending: (newest step, whether a model stands)."""
    folder = place / "m.pf"
    whole = (files.standing(folder) / files.MANIFEST).exists()
    assert whole or not stands, "the model is gone"
    if whole:
        weights = course.state(files.steady(folder, pf.load))
        if course.name in OVER or done:
            assert weights in course.wanted, "weights of no run"
    # Between a save and the end of its tidying the checkpoints stand in the folder that stepped aside; the next start moves them over.
    kept = [checkpoint.newest(one / "checkpoints") for one in (folder, *files.left(folder))]
    newest = max((found[1]["step"] for found in kept if found is not None), default=-1)
    assert newest >= step, f"checkpoint {step} was there, and now the newest is {newest}"
    left = [p.name for p in place.rglob("*") if files.LEFT.fullmatch(p.name) or p.suffix == ".lock"]
    assert not done or not left, f"left behind: {left}"
    return newest, whole
