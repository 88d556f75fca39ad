"""A conditional GAN on a table of mixed columns beside the ctgan package, at its own hyper-parameters: batch 500, packs of 10, 256-256.

The first 10,000 rows of Adult, or invented ones of the same shape. `columns` is finding the modes of the numbers and turning all rows into
features; `epoch` is 20 steps, transform left out on both sides; `sample` is 10,000 rows as a DataFrame. The package's epoch is a quarter
of the difference between fits of five epochs and of one, with a transform that was made before.
"""

from __future__ import annotations

import gzip
import os
import time
import warnings
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from clock import count, fit_step
from facts import ROOT
from measure import OURS, Arm, Row, Setting, agree, faster, peer

import pushforward as pf
from pushforward import noise
from pushforward.data.balance import Balanced
from pushforward.models.adversarial import PRESETS

CTGAN = "ctgan"
BATCH = 500
NAMES = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race", "sex", "capital-gain",
    "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip
RECIPE = {"batch": BATCH, "lr": 2e-4, "beta1": 0.5, "beta2": 0.9, "decay": 1e-6}


def table(n: int) -> tuple[pd.DataFrame, str]:
    """n rows of Adult where it is found, else of as many columns of the same kinds; and what they are."""
    folder = Path(os.environ.get("PUSHFORWARD_DATA", ROOT.parent / "shared" / "data")) / "adult"
    file = folder / "adult.data.gz"
    if file.exists():
        with gzip.open(file, "rt") as lines:
            text = lines.read()
        found = pd.read_csv(StringIO(text), names=list(NAMES), skipinitialspace=True, keep_default_na=False)
        return found.head(n), "Adult"
    rng = np.random.default_rng(0)
    sizes = {
        "workclass": 9,
        "education": 16,
        "marital-status": 7,
        "occupation": 15,
        "relationship": 6,
        "race": 5,
        "sex": 2,
    }
    sizes |= {"native-country": 42, "income": 2}
    columns: dict[str, Any] = {}
    for name in NAMES:
        if name in sizes:
            share = rng.dirichlet(np.full(sizes[name], 0.5))
            columns[name] = np.array([f"{name} {k}" for k in range(sizes[name])])[rng.choice(sizes[name], n, p=share)]
        else:
            columns[name] = np.where(rng.random(n) < 0.4, 0, rng.gamma(2.0, 500.0, n)).astype(int)
    return pd.DataFrame(columns), "invented rows of the shape of Adult"


def codes_of(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame if frame[name].dtype.kind not in "if"]


def model() -> Any:
    return pf.TabularGAN(**PRESETS["CTGAN"]["fields"])


# ---- columns ---------------------------------------------------------------------------------------------------------
def ours_columns(frame: pd.DataFrame) -> torch.Tensor:
    """From the DataFrame to features: types, codes, modes, places."""
    made, examples = model(), Balanced.of_all(pf.Examples(frame))
    made._balanced = examples
    made.make(examples.space, None, examples, 0, torch.float32)
    with noise.stream(0):
        return made.mixed(made.enter(examples.x, None)[0])


def theirs_columns(frame: pd.DataFrame) -> Any:
    from ctgan.data_transformer import DataTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformer = DataTransformer()
        transformer.fit(frame, codes_of(frame))
        return transformer, transformer.transform(frame)


class Ready:
    """A transformer that has nothing left to do."""

    def __init__(self, transformer: Any, matrix: np.ndarray):
        self.transformer, self.matrix = transformer, matrix

    def fit(self, *_: Any) -> None:
        pass

    def transform(self, _: Any) -> np.ndarray:
        return self.matrix

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transformer, name)


def theirs(frame: pd.DataFrame, ready: Ready, epochs: int) -> Any:
    import ctgan.synthesizers.ctgan as room

    kept, room.DataTransformer = room.DataTransformer, lambda: ready
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = room.CTGAN(epochs=epochs, batch_size=BATCH, pac=10)
            found.set_random_state(0)
            found.fit(frame, codes_of(frame))
    finally:
        room.DataTransformer = kept
    return found


def theirs_epoch(frame: pd.DataFrame, ready: Ready) -> Callable[[], float]:
    def work() -> float:
        seconds = []
        for epochs in (1, 5):
            began = time.perf_counter()
            theirs(frame, ready, epochs)
            seconds.append(time.perf_counter() - began)
        return (seconds[1] - seconds[0]) / 4

    return work


# ---- checks ----------------------------------------------------------------------------------------------------------
def apart(real: pd.DataFrame, drawn: pd.DataFrame) -> float:
    """The mean over columns of the distance of distribution functions (numbers) or of shares (codes): 0 is best."""
    from scipy.stats import ks_2samp

    found = []
    for name in real:
        if name in codes_of(real):
            share = [t[name].astype(str).value_counts(normalize=True) for t in (real, drawn)]
            found.append(float(share[0].sub(share[1], fill_value=0).abs().sum()) / 2)
        else:
            found.append(float(ks_2samp(real[name], drawn[name]).statistic))
    return float(np.mean(found))


def rows(setting: Setting) -> Iterator[Row]:
    frame, source = table(2_000 if setting.quick else 10_000)
    steps, installed = len(frame) // BATCH, peer(CTGAN) is not None
    ready = Ready(*theirs_columns(frame)) if installed else None
    epochs = 1 if setting.quick else 10
    mine = model().fit(frame, epochs=epochs, quiet=True, device="cpu", **RECIPE)
    other = theirs(frame, ready, epochs) if ready else None

    def back() -> str:
        features = ours_columns(frame)
        again = mine.space.restore(
            mine.leave(mine.mixed.inverse(mine.mixed(mine.enter(mine.space.read(frame), None)[0])))
        )
        off = max(
            0.0 if again[name].astype(str).equals(frame[name].astype(str)) else float("inf") for name in codes_of(frame)
        )
        agree("codes come back", off == 0)
        agree("numbers come back", all((again[n] == frame[n]).all() for n in frame if n not in codes_of(frame)))
        return (
            f"{features.shape[1]} features"
            + (f", ctgan {ready.matrix.shape[1]}" if ready else "")
            + "; all rows come back"
        )

    def good() -> str:
        far = {OURS: apart(frame, mine.sample(len(frame), seed=0))}
        sizes = {OURS: count([*mine.generator.parameters()])}
        if other is not None:
            far[CTGAN] = apart(frame, other.sample(len(frame)))
            sizes[CTGAN] = count([*other._generator.parameters()])
            agree(f"generators learn {sizes}", sizes[OURS] > 0.9 * sizes[CTGAN])
            agree(f"columns are apart by {far}", far[OURS] < far[CTGAN] + (0.3 if setting.quick else 0.05))
        told = ", ".join(f"{name} {value:.3f}" for name, value in far.items())
        return f"after {epochs} epochs columns are apart by {told}; numbers learned by the generator: {sizes}"

    def arms(ours: Callable[[], Any], peers: Callable[[], Any], tells: bool = False) -> list[Arm]:
        return [Arm(OURS, ours, tells=tells), *([Arm(CTGAN, peers, tells=tells)] if installed else [])]

    yield Row(
        "tables", f"{source}, {len(frame):,} rows: columns to features",
        arms(lambda: ours_columns(frame), lambda: theirs_columns(frame)), faster(5, CTGAN), back,
    )  # fmt: skip
    step = fit_step(model, frame, skip=4, steps=max(steps, 8), **RECIPE)
    yield Row(
        "tables", f"CTGAN, an epoch of {steps} steps, batch {BATCH}",
        arms(lambda: steps * step(), theirs_epoch(frame, ready) if ready else lambda: 0.0, tells=True), faster(1.4, CTGAN), good,
    )  # fmt: skip
    n = 1_000 if setting.quick else 10_000
    yield Row(
        "tables", f"CTGAN, {n:,} rows drawn",
        arms(lambda: mine.sample(n, seed=0), lambda: other.sample(n)), faster(2, CTGAN), good,
    )  # fmt: skip
