"""A table of everything at once: a code, a number and a whole number, each of them missing at times, and more often where another is large.
Whatever a model makes of a missing cell, a code and a density, all that can come has probability 1 together.
"""

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf

AXIS = np.linspace(-13, 17, 101)


def table(n=300):
    rng = np.random.default_rng(3)
    side = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2]).astype(object)
    size, count = 2 * rng.normal(size=n) + 3 * (side == "b"), rng.poisson(9, n) + 5.0 * (side == "a")
    size[rng.random(n) < np.where(count > 9, 0.25, 0.1)] = np.nan
    side[rng.random(n) < 0.1], count[rng.random(n) < 0.1] = None, np.nan
    return pd.DataFrame({"side": side, "size": size, "count": pd.array(count).astype("Int64")})


def everything():
    """All rows on a grid, and the volume of each: a missing number has the measure 1."""
    cells = [(s, x, k) for s in ("a", "b", "c", None) for k in (*range(-12, 48), None) for x in (*AXIS, np.nan)]
    rows = pd.DataFrame(cells, columns=["side", "size", "count"]).astype({"count": "Int64"})
    return rows, np.where(rows["size"].isna(), 1.0, AXIS[1] - AXIS[0])


@pytest.mark.parametrize(
    ("model", "ability", "off"),
    [
        (pf.Copula(), "evidence", 0.01),  # an estimate without bias of each, of 24,000 rows
        (pf.Copula(tied=False), "log_prob", 0.01),
        (pf.MADE(hidden=(32, 32), components=4), "log_prob", 0.002),
        (pf.VAE(latent=2, hidden=(16,)), "evidence", 0.02),
        (pf.BayesNet(bins=6), "log_prob", 0.03),  # a histogram has corners, which the grid does not meet
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else str(value),
)
def test_all_that_can_come_has_probability_one(model, ability, off):
    model.fit(table(), steps=60, batch=64, seed=1, quiet=True)
    rows, volume = everything()
    nats = getattr(model, ability)(rows, **({"samples": 16} if ability == "evidence" else {}))
    assert abs(np.exp(nats.astype(float)) @ volume - 1) < off


@pytest.mark.parametrize(
    "model", [pf.GaussianMixture(components=3), pf.PCA(latent=1), pf.FactorAnalysis(latent=1), pf.Copula()]
)
def test_what_fills_a_gap_is_a_value(model):
    """Also where a code is a number with noise, of which the last says that the cell is missing."""
    model.fit(table())
    asked = pd.DataFrame(
        {"side": [None] * 500, "size": [np.nan] * 500, "count": pd.array([8, None] * 250, dtype="Int64")}
    )
    whole = model.complete(asked, seed=0)
    assert not whole.isna().any().any() and set(whole["side"]) == {"a", "b", "c"}
    assert (whole["count"][::2] == 8).all() and model.complete(asked[:7], seed=0).equals(whole[:7])
