"""One cell of the study: a GAN on the line from several seeds, looked at once an epoch, and judged by many samples at its end."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...engine import Recipe
from ...errors import BadData, Diverged
from ...maths.divergences import histogram, kde
from ...models.adversarial import GAN
from ...noise import mix
from .herd import raised
from .plan import ARMS, TARGETS, Job, Plan, Target

LOOKED = 2_000  # values of a look
EDGES = 121  # of the histogram that a figure shows


def train(job: Job, plan: Plan, folder: Path) -> dict[str, Any]:
    """Fit and judge; the facts of a cell as they are written down. What was stopped goes on from what is in the folder."""
    began = time.monotonic()
    own = begun(folder, job)
    facts = {"plan": plan.facts(), "job": vars(job)}
    if own.is_dir() and (not (own / "facts.json").is_file() or json.loads((own / "facts.json").read_text()) != facts):
        shutil.rmtree(own)  # begun with another plan
    own.mkdir(parents=True, exist_ok=True)
    (own / "facts.json").write_text(json.dumps(facts))
    try:
        runs, calm = played(job, plan, plan.numbers, own / "all")
    except Diverged:
        calm = False
    if not calm:  # where one member has no finite loss the engine slows down all of them, so each goes by itself
        runs = [alone(job, plan, seed, own / str(seed)) for seed in plan.numbers]
    return {**facts, "runs": runs, "seconds": round(time.monotonic() - began, 2)}


def begun(folder: Path, job: Job) -> Path:
    """Where a cell is while it is not done."""
    return folder / f"part-{job.name}"


def alone(job: Job, plan: Plan, seed: int, folder: Path) -> dict[str, Any]:
    try:
        return played(job, plan, [seed], folder)[0][0]
    except Diverged as problem:
        return {"seed": seed, "path": [], "kl": {}, "density": [], "said": str(problem)}


def played(job: Job, plan: Plan, seeds: Sequence[int], folder: Path) -> tuple[list[dict[str, Any]], bool]:
    """The runs of some seeds together, and whether the engine never had to go back."""
    target, fields = TARGETS[job.target], {**ARMS[job.arm], "hidden": plan.hidden, "latent": plan.latent}
    data = target.sample(plan.examples * len(seeds), mix(1, *seeds)).astype(np.float32)
    recipe = Recipe(
        steps=job.steps, batch=plan.batch, lr=job.rate, beta1=plan.beta1, beta2=plan.beta2, seed=mix(2, *seeds)
    )
    models, entries = raised(data, fields, recipe, [mix(3, seed) for seed in seeds], plan.epoch, LOOKED, folder)
    looks = {e["step"]: e["shape"] for e in entries if "shape" in e}  # a run that went on has noted some steps twice
    paths = np.array([looks[step] for step in sorted(looks)]).transpose(1, 0, 2).tolist()
    runs = [
        {"seed": seed, "path": path, **judged(model, target, seed, plan)}
        for seed, model, path in zip(seeds, models, paths, strict=True)
    ]
    return runs, not any("not finite" in e.get("said", "") for e in entries)


def judged(model: GAN, target: Target, seed: int, plan: Plan) -> dict[str, Any]:
    """KL(generated || true) by histograms and by kernels, averaged over samples, and the shape that a figure shows."""
    counts, edges = np.zeros(EDGES - 1), np.linspace(*target.frame, EDGES)
    pairs: list[dict[str, float]] = []
    said = ""
    for i in range(plan.draws):
        fake = np.asarray(model.sample(plan.values, seed=mix(4, seed, i)), dtype=np.float64)
        counts += np.histogram(fake, edges)[0]
        try:
            pairs.append(compared(fake, target.sample(plan.values, mix(5, seed, i)), plan.bins))
        except BadData as problem:  # a generator that gives one value has no density, and its divergence no bound
            said = str(problem)
            break
    kl = {} if said else {way: float(np.mean([pair[way] for pair in pairs])) for way in pairs[0]}
    shape = counts / max(counts.sum(), 1) / np.diff(edges)
    return {"kl": kl, "said": said, "density": shape.round(6).tolist()}


def compared(x: np.ndarray, y: np.ndarray, bins: int) -> dict[str, float]:
    """KL(x || y) in two ways."""
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    return {"histogram": histogram("kl", a, b, bins=bins)[0], "kernel": kde("kl", a, b)[0]}
