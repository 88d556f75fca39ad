"""Arrays with missing cells: a system that can take them learns from what is known; another says so."""

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward import catalogue
from pushforward.errors import BadData
from pushforward.space import Space


def holes(n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 3))
    x[rng.random(x.shape) < 0.15] = np.nan
    x[:, 2] = np.nan_to_num(x[:, 2])  # a column without any
    return x


@pytest.mark.parametrize("name", [n for n in catalogue.names() if "real" in catalogue.find(n).spaces])
def test_it_learns_or_says_that_cells_are_missing(name, monkeypatch):
    kind, x = catalogue.find(name), holes()
    monkeypatch.setattr(kind, "recipe", kind.recipe.change(steps=2, batch=16))
    try:
        model = kind(**kind.small).fit(x, seed=0, quiet=True)
    except BadData as problem:
        assert any(word in str(problem) for word in ("NaN", "missing")), str(problem)
        return
    if "sample" in model.abilities:
        drawn = model.sample(5, seed=0)
        assert isinstance(drawn, np.ndarray) and drawn.shape == (5, 3) and drawn.dtype == x.dtype
    if "log_prob" in model.abilities:
        assert np.isfinite(model.log_prob(x[:7])).all()
    if "complete" in model.abilities and name != "Histogram":  # where no example was, its conditional is 0 / 0
        full = model.complete(x[:7], seed=0)
        kept = ~np.isnan(x[:7])
        assert np.array_equal(full[kept], x[:7][kept])


@pytest.mark.parametrize("name", ["GaussianMixture", "PCA", "FactorAnalysis"])
def test_an_array_with_gaps_and_the_same_table_give_one_likelihood(name):
    x, kind = holes(), catalogue.find(name)
    of_array = kind(**kind.small).fit(x, seed=0, quiet=True)
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    of_frame = kind(**kind.small).fit(frame, seed=0, quiet=True)
    assert np.allclose(of_array.log_prob(x), of_frame.log_prob(frame), atol=1e-6)
    assert not hasattr(of_array, "feature_names_in_")


def test_the_space_of_an_array_with_gaps():
    x = holes().astype(np.float32)
    space = Space.of(x)
    assert [c.missing for c in space.columns] == [True, True, False] and space.measure == "mixed"
    assert (
        np.array_equal(space.restore(space.read(x)), x, equal_nan=True)
        and space.restore(space.read(x)).dtype == np.float32
    )
    assert Space.from_json(space.to_json()) == space
    t = Space.of(torch.from_numpy(x))
    assert isinstance(t.restore(t.read(torch.from_numpy(x))), torch.Tensor)


def test_infinities_are_no_gaps():
    x = holes()
    x[3, 1] = np.inf
    with pytest.raises(BadData, match="infinite"):
        pf.GaussianMixture().fit(x)
    x = np.nan_to_num(holes(), nan=np.inf)
    with pytest.raises(BadData, match="infinity"):
        pf.GaussianMixture().fit(x)


def test_a_model_of_whole_rows_refuses_gaps_later():
    model = pf.GaussianMixture(components=1).fit(np.nan_to_num(holes()), quiet=True)
    with pytest.raises(BadData, match="NaN"):
        model.log_prob(holes())


def test_completed_rows_keep_their_labels():
    """What is put beside the table by label stands in its row."""
    rows = pd.DataFrame({"a": np.linspace(0, 1, 40) + 0.01, "b": ["x", "y"] * 20}, index=range(100, 140))
    model = pf.MADE(hidden=(8,)).fit(rows, steps=2, quiet=True)
    asked = rows[::-3].copy()
    asked.iloc[0, 1] = None
    full = model.complete(asked, seed=0)
    assert full.index.equals(asked.index) and np.allclose(full["a"], asked["a"])
