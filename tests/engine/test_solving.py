"""Closed forms from examples that do not fit into one lot: the same model as from all at once."""

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward.data import load
from pushforward.engine import solving

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1000, 3)) @ RNG.normal(size=(3, 3)) + 1e3
CODES = RNG.integers(0, 3, (1000, 4)).astype(np.uint8)
TABLE = pd.DataFrame(
    {
        "x": np.where(RNG.random(1000) < 0.1, np.nan, RNG.normal(size=1000)),
        "side": RNG.choice(["l", "r"], 1000),
        "n": RNG.poisson(40, 1000),
    }
)
CASES = [
    (pf.Counts, {"smooth": 0.5}, CODES),
    (pf.Counts, {"unseen": "good-turing"}, CODES),
    (pf.Empirical, {}, CODES),
    (pf.Histogram, {"bins": 4}, X),
    (pf.Histogram, {"bins": 4, "smooth": 0.1}, TABLE),
    (pf.Factorised, {}, TABLE),
    (pf.Markov, {"smooth": 0.1}, TABLE),
    (pf.Gaussian, {}, X),
    (pf.Gaussian, {"shrink": "ledoit-wolf"}, X),
    (pf.Gaussian, {}, CODES),
]


@pytest.mark.parametrize(("kind", "fields", "data"), CASES, ids=lambda v: getattr(v, "__name__", ""))
@pytest.mark.parametrize("rows", [64, 999])
def test_lots_give_what_the_whole_gives(kind, fields, data, rows, monkeypatch):
    whole = kind(**fields).fit(data, seed=3)
    monkeypatch.setattr(solving, "LOT", rows * pf.Space.of(data).size)
    lots = kind(**fields).fit(data, seed=3)
    for (name, a), b in zip(whole.state_dict().items(), lots.state_dict().values(), strict=True):
        assert torch.allclose(a.double(), b.double(), rtol=1e-11, atol=1e-9, equal_nan=True), name
    assert np.allclose(whole.score_samples(data), lots.score_samples(data), rtol=1e-9)


def test_a_memory_mapped_array_is_read_in_lots(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    mapped = pf.Examples(np.load(tmp_path / "x.npy", mmap_mode="r"))
    taken = []
    monkeypatch.setattr(solving, "LOT", 300)
    take = type(mapped.store).take
    monkeypatch.setattr(type(mapped.store), "take", lambda self, rows: taken.append(len(rows)) or take(self, rows))
    model = pf.Gaussian().fit(mapped)
    assert np.allclose(model.covariance, np.cov(X.T, bias=True), atol=1e-8)
    assert taken[1:] == [100] * 10  # after the first look, which lays out the chart
    taken.clear()
    pf.Histogram(bins=5).fit(mapped)
    assert taken[1:] == [100] * 20  # a pass for the range and one for the counts


def test_a_parquet_file_is_read_by_row_groups(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    TABLE.to_parquet(tmp_path / "t.parquet", row_group_size=128)
    monkeypatch.setattr(solving, "LOT", 3 * 200)
    streamed = load(tmp_path / "t.parquet", stream=True)
    assert type(streamed.store).__name__ == "Groups"
    model = pf.Histogram(bins=4, smooth=0.1).fit(streamed)
    assert np.allclose(model.log_prob(TABLE), pf.Histogram(bins=4, smooth=0.1).fit(TABLE).log_prob(TABLE), atol=1e-12)


def test_what_needs_all_at_once_still_has_it(monkeypatch):
    monkeypatch.setattr(solving, "LOT", 30)
    assert np.isfinite(pf.GaussianMixture(components=2).fit(X).score(X))
    assert len(pf.KernelDensity().fit(X).points) == 1000
