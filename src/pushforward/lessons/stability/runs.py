"""All cells: in parallel, each with a file of its own that is complete or absent, so that a second start does only what is missing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import Problem
from ...noise import mix
from .plan import TARGETS, Job, Plan, jobs
from .run import begun, compared, train

Say = Callable[[str], None]


def results(folder: Path, plan: Plan, workers: int = 0, say: Say = lambda text: None) -> list[dict[str, Any]]:
    """The facts of every cell of the plan; those that are not in the folder yet are run."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = jobs(plan)
    left = [job for job in wanted if stored(folder, job.name, plan) is None]
    if len(left) < len(wanted):
        say(f"{len(wanted) - len(left)} of {len(wanted)} cells are in {folder} already.")
    for number, (name, seconds) in enumerate(done(left, plan, folder, workers or min(2, cores())), 1):
        say(f"{number}/{len(left)}  {name}, {seconds:.0f} s")
    return [stored(folder, job.name, plan) or {} for job in wanted]


def done(left: list[Job], plan: Plan, folder: Path, workers: int) -> Iterable[tuple[str, float]]:
    """Run what is left, in this process or in several of one thread each; (name, seconds) as they end."""
    if workers == 1 or len(left) < 2:
        yield from (work(job, plan, folder) for job in left)
        return
    # Fresh processes: what a thread of this one holds is not inherited.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), one_thread)
    try:
        for one in as_completed([pool.submit(work, job, plan, folder) for job in left]):
            yield one.result()
    except BrokenProcessPool as problem:
        raise Problem(
            f"A worker ended before its cell did ({problem}). What is finished is kept; the same command goes on from there."
        ) from problem
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def work(job: Job, plan: Plan, folder: Path) -> tuple[str, float]:
    facts = train(job, plan, folder)
    store(folder, job.name, facts)
    shutil.rmtree(begun(folder, job))
    return job.name, facts["seconds"]


def floors(folder: Path, plan: Plan) -> dict[str, dict[str, float]]:
    """The same divergences of two samples of the truth: what no generator can be told from."""
    found = {}
    for name, target in TARGETS.items():
        facts = stored(folder, f"floor_{name}", plan)
        if facts is None:
            draws = [[target.sample(plan.values, mix(6 + side, i)) for side in (0, 1)] for i in range(plan.draws)]
            pairs = [compared(x, y, plan.bins) for x, y in draws]
            facts = {
                "plan": plan.facts(),
                "kl": {way: float(np.mean([pair[way] for pair in pairs])) for way in pairs[0]},
            }
            store(folder, f"floor_{name}", facts)
        found[name] = facts["kl"]
    return found


def store(folder: Path, name: str, facts: dict[str, Any]) -> None:
    """A file that is complete or absent."""
    part = folder / f".{name}.{os.getpid()}.part"
    part.write_text(json.dumps(facts, allow_nan=False))
    os.replace(part, folder / f"{name}.json")


def stored(folder: Path, name: str, plan: Plan) -> dict[str, Any] | None:
    """What was found, if it was found with this plan."""
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    try:
        facts = json.loads(path.read_text())
    except ValueError:
        return None  # not one of ours, or cut off: run again
    return facts if isinstance(facts, dict) and facts.get("plan") == plan.facts() else None
