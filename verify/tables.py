"""A scoreboard of synthetic tables: our systems by the protocol of SDGym 0.2.2, beside the figures that it published.

    ring, grid, gridr   10,000 rows to learn from and as many to be judged by, of Gaussians of the plane with covariance 0.05 I: 8 on the unit
                        circle; 25 on a grid with steps of 2; the same, each centre moved by up to 1/2. Likelihood both ways, the mean over diagonal
                        mixtures of 10 and of 30: of what was drawn by a mixture of the test rows, and of the test rows by a mixture of what was drawn.
    adult               four classifiers learn the income from as many drawn rows as there are real ones, and are judged by the real test rows.

The published rows are those of its file of results; the classifiers' library was an older one, so `real` is what the real rows themselves
come to here. `run.py` calls `simulated` and `adult` and hands in `row`.
"""

from __future__ import annotations

import gzip
import time
import warnings
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pushforward as pf

Row = dict[str, object]
ROWS = 10_000
COVARIANCE = 0.05
BUDGET = "60s"  # of learning, for a system that takes steps

# L_test (of the test rows by a mixture of what was drawn) and L_syn (the other way), SDGym 0.2.2.
PUBLISHED = {
    "ring": {"real": (-1.703, -1.711), "CTGAN": (-2.70, -7.13), "TVAE": (-1.94, -1.58), "independent": (-1.957, -2.47)},
    "grid": {"real": (-3.486, -3.470), "CTGAN": (-5.09, -8.92), "TVAE": (-5.66, -3.27), "independent": (-3.486, -3.47)},
    "gridr": {"real": (-3.641, None), "CTGAN": (-5.03, None), "TVAE": (-3.708, None), "independent": (-4.029, None)},
}
TARGETS = {"ring": -1.95, "grid": -3.75, "gridr": -3.75}
# Accuracy and F1, SDGym 0.2.2.
ADULT = {"real": (0.824, 0.663), "CTGAN": (0.798, 0.602), "TVAE": (0.803, 0.619), "independent": (0.638, 0.151)}
NAMES = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race", "sex", "capital-gain",
    "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip


# ---- simulated -------------------------------------------------------------------------------------------------------
def centres(name: str, rng: np.random.Generator) -> np.ndarray:
    if name == "ring":
        angle = np.arange(8) * np.pi / 4
        return np.stack([np.cos(angle), np.sin(angle)], 1)
    grid = np.stack(np.meshgrid(*[np.arange(-4.0, 5.0, 2.0)] * 2, indexing="ij"), -1).reshape(-1, 2)
    return grid + (rng.random(grid.shape) - 0.5 if name == "gridr" else 0.0)


def drawn_from(name: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows to be judged by; each centre has as many."""
    rng = np.random.default_rng(seed)
    middle = centres(name, rng)
    x = np.repeat(middle, -(-2 * ROWS // len(middle)), 0)[: 2 * ROWS]
    x = rng.permutation(x + COVARIANCE**0.5 * rng.normal(size=x.shape))
    return x[:ROWS], x[ROWS:]


def likelihood(synthetic: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """L_test and L_syn, nats a row."""
    from sklearn.mixture import GaussianMixture

    found = []
    for components in (10, 30):
        judge = [GaussianMixture(components, covariance_type="diag", random_state=0).fit(x) for x in (synthetic, test)]
        found.append((judge[0].score(test), judge[1].score(synthetic)))
    of_test, of_drawn = np.mean(found, axis=0)
    return float(of_test), float(of_drawn)


PLANE: dict[str, Callable[[], Any]] = {
    "TabularGAN": pf.TabularGAN,
    "GAN": pf.GAN,
    "VAE": lambda: pf.VAE(latent=2, number="mixture"),
    "MAF": lambda: pf.MAF(scalar="spline"),
    "GaussianMixture": lambda: pf.GaussianMixture(components=30),
    "Copula": pf.Copula,
}


def fitted(model: Any, train: Any, budget: str = BUDGET) -> Any:
    """A model that takes steps for as long as the budget allows (without one its own recipe), and one with a closed form."""
    steps = {} if hasattr(type(model), "solve") or not budget else {"time": budget}
    return model.fit(train, seed=0, quiet=True, **steps)


def simulated(row: Callable[..., Row], names: tuple[str, ...] = ("ring", "gridr")) -> list[Row]:
    """Rings and grids by SDGym's protocol: the test likelihood of our systems beside the published rows."""
    rows: list[Row] = []
    for name in names:
        train, test = drawn_from(name)
        here = likelihood(train, test)
        peers = ", ".join(f"{who} {a:.2f}" for who, (a, _) in PUBLISHED[name].items())
        for system, make in PLANE.items():
            began = time.monotonic()
            model = fitted(make(), train)
            seconds = time.monotonic() - began
            of_test, of_drawn = likelihood(model.sample(ROWS, seed=1), test)
            target = TARGETS[name] if system == "TabularGAN" else PUBLISHED[name]["CTGAN"][0]
            note = f"{model!r}, {seconds:.0f} s; L_syn {of_drawn:.3f}; the real rows here {here[0]:.3f}; SDGym: {peers}"
            rows.append(row(f"{name}: {system}, test likelihood", of_test, target, "nats", note, more=True))
    return rows


# ---- Adult -----------------------------------------------------------------------------------------------------------
def people(path: Path) -> pd.DataFrame:
    """Adult as a table; `?` is a value like others, as in the protocol."""
    with gzip.open(path, "rt") as file:
        text = file.read()
    table = pd.read_csv(StringIO(text), names=NAMES, skipinitialspace=True, keep_default_na=False)
    return table.assign(income=table["income"].str.rstrip("."))


class Features:
    """What the classifiers see: large amounts by their logarithm, other numbers on 0 … 5, two values as a bit, others one-hot."""

    def __init__(self, real: pd.DataFrame):
        self.numbers = [name for name in NAMES if real[name].dtype.kind in "if"]
        self.ends = {name: (real[name].min(), real[name].max()) for name in self.numbers}
        self.codes = {
            name: sorted(real[name].unique()) for name in NAMES if name not in self.numbers and name != "income"
        }

    def __call__(self, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        parts = []
        for name in NAMES[:-1]:
            if name in self.numbers:
                (low, high), x = self.ends[name], table[name].to_numpy(dtype=np.float64)
                large = low >= 0 and high >= 1e3
                parts.append(np.log(np.maximum(x, 1e-2))[:, None] if large else ((x - low) / (high - low) * 5)[:, None])
            else:
                values = self.codes[name]
                same = table[name].to_numpy()[:, None] == np.array(values, dtype=object)
                parts.append(same[:, 1:].astype(np.float64) if len(values) == 2 else same.astype(np.float64))
        return np.concatenate(parts, 1), (table["income"] == ">50K").to_numpy().astype(int)


def classifiers() -> list[Any]:
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.tree import DecisionTreeClassifier

    return [
        DecisionTreeClassifier(max_depth=15, class_weight="balanced", random_state=0),
        AdaBoostClassifier(random_state=0),
        LogisticRegression(class_weight="balanced", max_iter=50),
        MLPClassifier((50,), max_iter=50, random_state=0),
    ]


def utility(table: pd.DataFrame, test: pd.DataFrame, see: Features) -> tuple[float, float]:
    """Mean accuracy and mean F1 of the classifiers that learned from the table."""
    from sklearn.metrics import accuracy_score, f1_score

    (x, y), (x_test, y_test), found = see(table), see(test), []
    for one in classifiers():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fifty iterations are the protocol, whether they converge or not
            told = np.full(len(y_test), y[0]) if len(np.unique(y)) == 1 else one.fit(x, y).predict(x_test)
        found.append((accuracy_score(y_test, told), f1_score(y_test, told)))
    accuracy, f1 = np.mean(found, axis=0)
    return float(accuracy), float(f1)


def astray(real: pd.DataFrame, drawn: pd.DataFrame) -> tuple[float, str]:
    """The largest difference of the share of a rare value (under 5 %) of any column of codes, in points, and which it is."""
    worst, where = 0.0, "none"
    for name in real:
        if real[name].dtype.kind in "if":
            continue
        share = real[name].value_counts(normalize=True)
        share = share[share < 0.05]
        off = (drawn[name].value_counts(normalize=True).reindex(share.index).fillna(0) - share).abs() * 100
        if len(off) and off.max() > worst:
            worst, where = float(off.max()), f"{name} = {off.idxmax()}"
    return worst, where


COLUMNS: dict[str, Callable[[], Any]] = {
    "TabularGAN": pf.TabularGAN,
    "MADE": pf.MADE,
    "VAE": pf.VAE,
    "Copula": pf.Copula,
    "GAN": pf.GAN,
}


def adult(row: Callable[..., Row], folder: Path, out: Path | None = None) -> list[Row]:
    """Adult by SDGym's protocol, with the standard split: F1 of classifiers that learned from what was drawn, rare values."""
    train, test = (people(folder / "adult" / f"adult.{part}.gz") for part in ("data", "test"))
    see = Features(train)
    real = utility(train, test, see)
    rows: list[Row] = []
    peers = ", ".join(f"{who} {b:.3f}" for who, (_, b) in ADULT.items())
    for system, make in COLUMNS.items():
        began = time.monotonic()
        model = fitted(make(), train, "" if system == "TabularGAN" else BUDGET)
        seconds = time.monotonic() - began
        drawn = model.sample(len(train), seed=1)
        if out is not None:
            drawn.head(200).to_csv(out / f"adult-{system}.csv", index=False)
        accuracy, f1 = utility(drawn, test, see)
        target = 0.64 if system == "TabularGAN" else ADULT["CTGAN"][1]
        note = f"{model!r}, {seconds:.0f} s; accuracy {accuracy:.3f}; the real rows here {real[1]:.3f} ({real[0]:.3f}); SDGym: {peers}"
        rows.append(row(f"Adult: {system}, F1 on real rows", f1, target, "F1", note, more=True))
        off, where = astray(train, drawn)
        text = f"the value that is farthest off: {where}; of all values under 5 %"
        rows.append(row(f"Adult: {system}, shares of rare values", off, 1.0, "points", text))
    return rows
