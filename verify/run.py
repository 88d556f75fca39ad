"""Slow truths: what the systems learn on real data, against known numbers. `make verify`, or `verify/run.py --only vae,gpt`.

Real sets are found in PUSHFORWARD_DATA, else in shared/data beside the checkout. Each truth writes verify/out/NAME.json as it
ends, so that a run can be cut and gone on with; docs/results.md is written from what is there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import tables
import torch

import pushforward as pf
from pushforward.data import toys
from pushforward.data.stores import Tensors

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PUSHFORWARD_DATA", ROOT.parent / "shared" / "data"))
OUT = ROOT / "verify" / "out"
Row = dict[str, object]
STUDY = (
    "The stability study (`pushforward lesson run gan-stability`; lecture 002, table 2.2): KL(generated ‖ true), the mean over 100 samples of 10,000 values, "
    "by histograms of 100 bins and by kernels. Median of five seeds, with the least and the largest."
)


def row(what: str, value: float, target: float, unit: str, note: str, more: bool = False) -> Row:
    """A figure and whether it keeps to its target (at most; at least where `more` is better)."""
    kept = value >= target if more else value <= target
    return {
        "what": what,
        "value": round(float(value), 4),
        "target": target,
        "unit": unit,
        "kept": bool(kept),
        "more": more,
        "note": note,
    }


def table(name: str) -> dict[str, np.ndarray]:
    """A continuous table, dequantised by one grid step (seed 0) and standardised by the training rows."""
    with np.load(DATA / "uci-density" / f"{name}.npz") as file:
        raw = {part: file[part] for part in ("train", "valid", "test")}
    columns = [np.unique(raw["train"][:, j].astype(np.float64)) for j in range(raw["train"].shape[1])]
    step, rng = np.array([np.diff(c).min() for c in columns]), np.random.default_rng(0)
    noisy = {part: x.astype(np.float64) + rng.random(x.shape) * step for part, x in raw.items()}
    mean, scale = noisy["train"].mean(0), noisy["train"].std(0)
    return {part: (x - mean) / scale for part, x in noisy.items()}


def density(name: str, target: float, budget: str, **fields: object) -> list[Row]:
    x = table(name)
    how = fields.pop("recipe", {})
    began = time.monotonic()
    flow = pf.MAF(**fields).fit(x["train"], valid=x["valid"], time=budget, seed=0, quiet=True, **how)
    seconds = time.monotonic() - began
    nll = -flow.score(x["test"])
    mixture = -pf.GaussianMixture(components=20).fit(x["train"], seed=0, quiet=True).score(x["test"])
    note = f"{flow!r}, {flow.outcome_['step']} steps in {seconds:.0f} s, best at {flow.outcome_['best_step']}; standardised units"
    return [
        row(f"{name}: spline MAF, test NLL", nll, target, "nats", note),
        row(f"{name}: spline MAF below the full mixture of 20", nll - mixture, 0.0, "nats", f"mixture {mixture:.3f}"),
    ]


def power() -> list[Row]:
    """Spline MAF on power-plant in 75 s (a peer's spline flow in 75 s: 3.333; one Gaussian: 4.702)."""
    return density("power-plant", 3.33, "75s", transforms=4, hidden=(128, 128), scalar="spline", bins=8, reach=4.0, order="reverse",
                   recipe=dict(batch=512, lr=2e-3, schedule="cosine", patience=0, ema=0.995, clip=5.0))  # fmt: skip


def protein() -> list[Row]:
    """Spline MAF on protein in 75 s (a peer's affine MAF in 75 s: -2.968; one Gaussian: 5.015)."""
    return density("protein-tertiary-structure", -2.97, "75s", transforms=4, hidden=(128, 128), scalar="spline", bins=8, reach=4.0,
                   recipe=dict(batch=512, lr=2e-3, schedule="cosine", patience=0, ema=0.995, clip=5.0))  # fmt: skip


def binary(name: str, target: float, **how: object) -> list[Row]:
    with np.load(DATA / "binary-density" / f"{name}.npz") as file:
        x = {part: file[part].astype(bool) for part in ("train", "valid", "test")}
    fields = how.pop("fields", {})
    began = time.monotonic()
    model = pf.MADE(**fields).fit(x["train"], valid=x["valid"], seed=0, quiet=True, **how)
    note = f"{model!r}, {time.monotonic() - began:.0f} s"
    return [row(f"{name}: MADE, test NLL", -model.score(x["test"]), target, "nats", note)]


def mushrooms() -> list[Row]:
    """MADE on mushrooms (the paper's table as remembered: 9.68)."""
    fields = {"hidden": (500,), "orders": 4}
    return binary("mushrooms", 9.9, fields=fields, steps=8000, batch=100, lr=2e-3, ema=0.999, patience=0)


def dna() -> list[Row]:
    """MADE on dna (the paper's table as remembered: 83.63, on another split)."""
    fields, held = {"hidden": (1000,), "dropout": 0.5}, {"optimizer": "adamw", "decay": 0.5}
    return binary("dna", 84.0, fields=fields, steps=3000, batch=100, ema=0.0, patience=30, **held)


def mnist() -> tuple[torch.Tensor, torch.Tensor]:
    parts = []
    for name in ("train", "t10k"):
        with gzip.open(DATA / "mnist" / f"{name}-images-idx3-ubyte.gz") as file:
            parts.append(torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784).copy()))
    return parts[0], parts[1]


class Binarised(pf.Examples):
    """Grey images drawn anew as bits each time they are read: the intensity is the probability (dynamic binarisation)."""

    def take(self, indices):
        x, given = super().take(indices)
        return (pf.noise.uniform(len(x), x.shape[1]) * 255 < x).to(torch.uint8), given


def vae() -> list[Row]:
    """VAE with 20 latents on dynamically binarised MNIST: the bound, and the importance-weighted estimate."""
    train, test = mnist()
    grey = Binarised(Tensors(train), space=pf.Space("binary", (784,)))
    fixed = (torch.rand(test.shape, generator=torch.Generator().manual_seed(0)) * 255 < test).numpy()
    began = time.monotonic()
    model = pf.VAE(latent=20, hidden=(500,)).fit(
        grey, epochs=50, batch=128, lr=1e-3, valid=0.02, schedule="cosine", patience=0, quiet=True
    )
    note = (
        f"{model!r}, 50 epochs in {time.monotonic() - began:.0f} s; the 10,000 test images binarised once with seed 0"
    )
    bound = -float(np.mean([model.bound(fixed, seed=s).mean() for s in range(4)]))
    tight = model.evidence(fixed[:1000], samples=500)
    error = tight.std() / 1000**0.5
    pf_picture("vae-digits", model.sample(64, seed=0).reshape(-1, 28, 28))
    return [
        row("MNIST: VAE, minus the bound", bound, 98.0, "nats", note),
        row(
            "MNIST: VAE, importance-weighted estimate",
            -float(tight.mean()),
            bound,
            "nats",
            f"500 samples, 1,000 images, ± {error:.2f} over images",
        ),
    ]


def gpt() -> list[Row]:
    """GPT of the CPU size on tinyshakespeare, characters, validation on the last tenth (nanoGPT's CPU run: 1.88)."""
    text = (DATA / "tinyshakespeare" / "input.txt").read_text()
    cut = int(0.9 * len(text))
    windows = [text[cut + i : cut + i + 64] for i in range(0, len(text) - cut - 64, 64)]
    (OUT / "shakespeare.txt").write_text(text[:cut])
    train = pf.data.load(OUT / "shakespeare.txt", length=64)
    began = time.monotonic()
    model = pf.GPT(layers=4, heads=4, width=128).fit(train, steps=4000, batch=24, lr=2e-3, beta2=0.99, warmup=100, schedule="cosine", valid=0.02,
                                                     patience=0, quiet=True)  # fmt: skip
    known = [w for w in windows if set(w) <= set(model.space.alphabet)]
    nats = -float(np.mean(model.log_prob(known))) / 64
    (OUT / "gpt.txt").write_text("\n----\n".join(model.sample(4, seed=0)))
    note = f"{model!r}, context 64, {model.outcome_['step']} steps of 24 in {time.monotonic() - began:.0f} s; the first character of a window counted too"
    return [row("tinyshakespeare: GPT, validation", nats, 1.9, "nats/char", note)]


def rbm() -> list[Row]:
    """RBM with 500 hidden units on binarised MNIST, by annealed importance sampling with its reverse."""
    train, test = mnist()
    bits = (torch.rand(train.shape, generator=torch.Generator().manual_seed(0)) * 255 < train).numpy()
    fixed = (torch.rand(test.shape, generator=torch.Generator().manual_seed(1)) * 255 < test).numpy()
    began = time.monotonic()
    model = pf.RBM(hidden=500).fit(bits, epochs=30, quiet=True)
    seconds = time.monotonic() - began
    nats = -float(np.mean(model.evidence(fixed)))
    high, low = (-float(np.mean(np.asarray(model.evidence_[end]))) for end in ("low", "high"))
    pf_picture("rbm-digits", model.sample(64, seed=0).reshape(-1, 28, 28))
    return [
        row(
            "MNIST: RBM-500, upper end of the bracket",
            high,
            100.0,
            "nats",
            f"{model!r}, 30 epochs in {seconds:.0f} s; annealed up and down: {low:.2f} … {high:.2f}, estimate {nats:.2f}; test images binarised once",
        )
    ]


SEEDS = 10


def modes(name: str, what: str) -> list[Row]:
    """The default GAN on separate Gaussians of the plane, ten seeds: how many of them find all modes and draw at least 95 % within 3 sigma
    of one. A mode is found if it has a tenth of its share of 2,500 draws. The divergences are by a histogram of 200,000 draws with cells of
    half a sigma, half a draw added to each cell; their floor is what as many draws of the truth itself give."""
    law = toys.density(name)
    x, centres = law.sample(20000, seed=0), np.asarray(law.centres)
    held, shares, seconds, apart = 0, [], [], []
    for seed in range(SEEDS):
        began = time.monotonic()
        model = pf.GAN().fit(x, seed=seed, quiet=True)
        seconds.append(time.monotonic() - began)
        drawn = model.sample(200_000, seed=1)
        distance = np.linalg.norm(drawn[:2500, None] - centres, axis=2)
        near = distance.min(1) < 3 * law.std
        hits = np.bincount(distance.argmin(1)[near], minlength=len(centres))
        found = int((hits >= 250 / len(centres)).sum())
        shares.append(100 * near.mean())
        held += found == len(centres) and shares[-1] >= 95
        apart.append(binned(law, drawn))
        print(
            f"  {what}, seed {seed}: {found} modes, {shares[-1]:.1f} % near one, {seconds[-1]:.0f} s, {model.diagnosis_.verdict}",
            flush=True,
        )
    forward, backward = np.median(apart, axis=0)
    floor = binned(law, law.sample(200_000, seed=2))
    note = f"{model!r}, {model.outcome_['step']} steps, {SEEDS} seeds"
    told = f"KL(truth, model) {forward:.3f} (floor {floor[0]:.3f}), KL(model, truth) {backward:.3f} (floor {floor[1]:.3f}): medians"
    return [
        row(f"{what}: GAN, seeds that find all {len(centres)} modes", held, 9, f"of {SEEDS}", note, more=True),
        row(
            f"{what}: GAN, draws near a mode, the worst seed",
            min(shares),
            95.0,
            "%",
            f"median {np.median(shares):.1f}; {told}",
            more=True,
        ),
        row(f"{what}: GAN, the longest fit", max(seconds), 60.0, "s", f"median {np.median(seconds):.0f}"),
    ]


def binned(law: toys.Cloud, drawn: np.ndarray) -> tuple[float, float]:
    """KL(law, drawn) and KL(drawn, law) by a histogram."""
    cells = round(4 * law.extent / law.std)
    edges = np.linspace(-law.extent, law.extent, cells + 1)
    middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    inner = (np.arange(4) - 1.5) / 4 * width  # the truth in a cell is the mean over 4 x 4 points of it
    points = np.stack(np.meshgrid(*[(middle[:, None] + inner).ravel()] * 2, indexing="ij"), -1).reshape(-1, 2)
    mass = np.exp(law.log_prob(points)).reshape(cells, 4, cells, 4).mean((1, 3)) * width**2
    counts = np.histogram2d(*np.clip(drawn, edges[0], edges[-1]).T, bins=[edges, edges])[0]
    p, q = mass + 1e-300, (counts + 0.5) / (counts.sum() + counts.size / 2)
    raw = counts / counts.sum()
    seen = raw > 0
    return float((p * np.log(p / q)).sum()), float((raw[seen] * np.log(raw[seen] / p[seen])).sum())


def ring() -> list[Row]:
    """GAN on a ring of eight Gaussians, ten seeds."""
    return modes("eight_gaussians", "ring of 8")


def grid() -> list[Row]:
    """GAN on a grid of twenty-five Gaussians, ten seeds."""
    return modes("twentyfive_gaussians", "grid of 25")


def stability() -> list[Row]:
    """The stability study of three games (Gaussian and Beta, five seeds): is the penalised discriminator's KL the least?"""
    from pushforward.lessons import run
    from pushforward.lessons.stability.plan import ARMS, FULL, TARGETS
    from pushforward.lessons.stability.told import WAYS

    board = run("gan-stability", OUT, tell=lambda text: print(f"  {text}", flush=True))
    (OUT / "stability.md").write_text("\n".join(markdown(board.tables["each model at its best learning rate"])))
    cells = [cell for cell in board.tables["every cell"] if float(cell["rate"]) in FULL.rates]

    def least(target: str, arm: str, way: str) -> float:
        mine = [cell[f"KL, {way}"] for cell in cells if (cell["target"], cell["model"]) == (target, arm)]
        return min(float(text.split()[0].replace("∞", "inf")) for text in mine)

    rest = [arm for arm in ARMS if arm != "GAN-DP"]
    rates = ", ".join(f"{rate:g}" for rate in FULL.rates)
    note = f"median of {FULL.seeds} seeds at the best of the rates {rates}; the target is the least of {' and '.join(rest)}"
    found = [
        row(f"{target}: GAN-DP, KL by {way}", least(target, "GAN-DP", way), min(least(target, arm, way) for arm in rest), "nats", note)
        for target in TARGETS
        for way in WAYS
    ]  # fmt: skip
    took = sum(
        json.loads(path.read_text()).get("seconds", 0.0) for path in (OUT / "gan-stability" / "runs").glob("*.json")
    )
    note = f"{len(board.checks)} identities hold; what was run before is kept"
    return [*found, row("stability study: all cells, on two processes", took / 120, 20.0, "minutes", note)]


def markdown(rows: list[dict[str, object]]) -> list[str]:
    """A table of Markdown."""
    head = list(rows[0])
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(str(r[name]) for name in head)} |" for r in rows),
    ]


def pf_picture(name: str, images: np.ndarray) -> None:
    """A square of images, to look at."""
    from PIL import Image

    side = int(len(images) ** 0.5)
    grid = images[: side * side].reshape(side, side, 28, 28).transpose(0, 2, 1, 3).reshape(side * 28, side * 28)
    Image.fromarray((grid * 255).astype(np.uint8)).save(OUT / f"{name}.png")


def scoreboard() -> list[Row]:
    """Synthetic rows of simulated tables, by the protocol of SDGym."""
    return tables.simulated(row)


def adult() -> list[Row]:
    """Synthetic rows of Adult, by the protocol of SDGym."""
    return tables.adult(row, DATA, OUT)


TRUTHS: dict[str, Callable[[], list[Row]]] = {
    f.__name__: f for f in (ring, grid, stability, scoreboard, adult, mushrooms, dna, power, protein, vae, gpt, rbm)
}


def write_page() -> None:
    lines = [
        "# Results on real data\n",
        "What `make verify` found, each figure with its target. Peers' figures named in a description were measured by the project on the same kind",
        "of machine; a paper's are called so.\n",
        "| what | found | target | unit | kept | how |",
        "|---|---|---|---|---|---|",
    ]
    conditions = set()
    for path in [OUT / f"{name}.json" for name in TRUTHS]:
        if not path.exists():
            lines.append(f"| {path.stem}: not run | | | | | {(TRUTHS[path.stem].__doc__ or '').strip()} |")
            continue
        found = json.loads(path.read_text())
        conditions.add(found["conditions"])
        for r in found["rows"]:
            bound = "≥" if r.get("more") or r["unit"] == "%" or r["unit"].startswith("of ") else "≤"
            lines.append(
                f"| {r['what']} | {r['value']} | {bound} {r['target']} | {r['unit']} | {'yes' if r['kept'] else '**no**'} | {r['note']} |"
            )
    if (OUT / "stability.md").exists():
        lines += ["", "## Three games", "", STUDY, "", *(OUT / "stability.md").read_text().splitlines()]
    lines += ["", "Conditions: " + "; ".join(sorted(conditions)) + ".", ""]
    (ROOT / "docs" / "results.md").write_text("\n".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(TRUTHS))
    names = [name for name in parser.parse_args().only.split(",") if name]
    if strange := [name for name in names if name not in TRUTHS]:
        print(f"There is no truth {strange[0]!r}. Known: {', '.join(TRUTHS)}.")
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    kept = True
    for name in names:
        if not DATA.is_dir() and name not in ("ring", "grid", "stability", "scoreboard"):
            print(f"{name}: skipped, there is no folder {DATA}; set PUSHFORWARD_DATA.")
            continue
        began = time.monotonic()
        rows = TRUTHS[name]()
        conditions = f"{date.today()}, {os.cpu_count()} cores ({platform.machine()}), torch {torch.__version__}, {torch.get_num_threads()} threads, seed 0"
        (OUT / f"{name}.json").write_text(
            json.dumps({"rows": rows, "conditions": conditions, "seconds": time.monotonic() - began}, indent=1)
        )
        for r in rows:
            kept &= bool(r["kept"])
            print(
                f"{'ok ' if r['kept'] else 'NO '} {r['what']}: {r['value']} {r['unit']} (target {r['target']})  {r['note']}",
                flush=True,
            )
    write_page()
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
