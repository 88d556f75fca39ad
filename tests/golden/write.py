"""Write the golden model folders of this release: small models whose folders must load, and say the same numbers, for ever after.

    .venv/bin/python tests/golden/write.py            # only what is not there yet
    .venv/bin/python tests/golden/write.py NAME …     # these anew, where a fault in the old ones was found

A folder that has been published is never written again. When the format changes, `FORMAT` in saving.py goes up, the folders of the old
format stay, new ones are added beside them (models-2, …), and loading.py gets a step that turns a card of the old format into one of the new:
each format has one function, old to new, and an old folder goes through all that follow. tests/test_golden.py then reads them all.

Everything is drawn by numpy with a fixed seed, so that a folder written twice on one machine is the same but for its date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import pushforward as pf

HERE = Path(__file__).parent / "models"
SEED, ROWS = 20, 5
ANSWERS = ("log_prob", "bound", "energy")


def tables() -> dict[str, Any]:
    """Data of every kind."""
    rng = np.random.default_rng(SEED)
    n = 200
    x = rng.normal(size=(n, 2)) @ np.array([[1.0, 0.4], [0.0, 0.7]]) + [3.0, -1.0]
    side = rng.choice(["left", "mid", "right"], n)
    mixed = pd.DataFrame(
        {
            "side": pd.Series(side, dtype="str"),
            "height": 170 + 9 * rng.normal(size=n) + 5 * (side == "left"),
            "children": rng.poisson(12, n),
            "born": pd.Timestamp("1970-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), "D"),
            "grade": pd.Categorical(rng.choice(["c", "b", "a"], n), categories=["c", "b", "a"], ordered=True),
            "owner": rng.random(n) > 0.4,
        }
    )
    gaps = mixed[["side", "height"]].assign(weight=60 + 5 * rng.normal(size=n))
    gaps.loc[::7, "weight"] = np.nan
    gaps.loc[::11, "side"] = None
    words = [rng.choice(["to be", "or not", "to", "question"]) for _ in range(n)]
    image = np.clip(rng.integers(0, 2, (n, 1, 1)) * 2 + rng.integers(0, 2, (n, 6, 6)), 0, 3).astype(np.uint8)
    bits = rng.random((n, 6)) > [0.2, 0.4, 0.5, 0.5, 0.6, 0.8]
    return {"real": x, "mixed": mixed, "gaps": gaps, "words": words, "image": image, "bits": bits}


def models() -> dict[str, tuple[Any, str, Any, dict[str, Any]]]:
    """name -> (an unfitted model, its data, what is given, the recipe)."""
    classes, steps = np.array(list("ab"))[np.arange(200) % 2], {"steps": 60, "batch": 64}
    double = {**steps, "precision": "float64"}
    return {
        "gaussian-mixture": (pf.GaussianMixture(components=3), "real", None, {}),
        "copula-of-a-table": (pf.Copula(), "mixed", None, {}),
        "empirical-of-gaps": (pf.Empirical(), "gaps", None, {}),
        "markov-of-words": (pf.Markov(smooth=0.5), "words", None, {}),
        "bayes-net-of-a-table": (pf.BayesNet(bins=4), "mixed", None, {}),
        "gpt-of-words": (pf.GPT(layers=1, heads=2, width=8), "words", None, steps),
        "made-of-gaps-given-a-class": (pf.MADE(hidden=(12, 12), components=2, order="2,0,1"), "gaps", classes, steps),
        "vae-of-images": (pf.VAE(latent=2, hidden=(16,), net="mlp", level="logistic"), "image", None, steps),
        "maf-in-float64": (pf.MAF(transforms=2, hidden=(8, 8), order="random"), "real", None, double),
        "realnvp-of-a-table": (pf.RealNVP(transforms=2, hidden=(8,), mix="lu"), "mixed", None, steps),
        "gan-of-a-table": (pf.TabularGAN(hidden=(12,), modes=2), "mixed", None, steps),
        "rbm-of-bits": (pf.RBM(hidden=4, chains=16, burn=50), "bits", None, steps),
    }


def plain(answer: Any) -> Any:
    """An answer as JSON: a table by columns, dates as text, a missing cell as null."""
    if isinstance(answer, pd.DataFrame):
        return {name: [plain(v) for v in answer[name].astype(object)] for name in answer}
    if isinstance(answer, list | tuple):
        return [plain(v) for v in answer]
    if isinstance(answer, np.ndarray | torch.Tensor):
        return [plain(v) for v in answer.tolist()] if answer.ndim else plain(answer.item())
    if answer is None or answer is pd.NaT or (isinstance(answer, float) and answer != answer):
        return None
    return (
        str(answer) if isinstance(answer, pd.Timestamp) else answer.item() if isinstance(answer, np.generic) else answer
    )


def answers(model: Any, x: Any) -> dict[str, Any]:
    """What a model says of five rows, and three that it draws."""
    given = {"given": ["a", "b", "a", "b", "a"]} if model._given is not None else {}
    out = {name: plain(getattr(model, name)(x, **given)) for name in ANSWERS if name in model.abilities}
    few = {"given": ["a", "b", "a"]} if given else {}
    return out | {"sample": plain(model.sample(3, seed=SEED, **few))}


def rows(data: Any) -> Any:
    return data.iloc[:ROWS].reset_index(drop=True) if isinstance(data, pd.DataFrame) else data[:ROWS]


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    data, told = tables(), HERE / "answers.json"
    HERE.mkdir(exist_ok=True)
    kept = json.loads(told.read_text()) if told.exists() else {}
    for name, (model, kind, given, recipe) in models().items():
        if (HERE / name).exists() and name not in names:
            continue
        model.fit(data[kind], given=given, seed=SEED, quiet=True, **recipe)
        folder = model.save(HERE / name, overwrite=True)
        again = pf.load(folder)
        kept[name] = {"data": kind, **answers(again, rows(data[kind]))}
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{name}: {size:,} bytes, {', '.join(k for k in kept[name] if k != 'data')}")
    told.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
