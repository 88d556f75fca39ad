"""What is compared: numbers, components, networks, functions; rows that are not finite are counted."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward.data import people
from pushforward.errors import BadData, Usage
from pushforward.maths.laws import Normal
from pushforward.metrics.distances import mmd, wasserstein
from pushforward.metrics.features import compared
from pushforward.metrics.quality import prdc


def normal(n, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_numbers_are_compared_as_they_are_whatever_holds_them():
    x, y = normal(9), normal(7, seed=1)
    for real, fake in (
        (x, y),
        (torch.from_numpy(x), y),
        (x.tolist(), y.tolist()),
        (pf.data.Examples(x), torch.from_numpy(y)),
    ):
        found = compared(real, fake)
        assert found.x.dtype == torch.float64 and found.words == "" and found.notes == ()
        assert np.allclose(found.x, x) and np.allclose(found.y, y) and found.n == (9, 7)
    pictures = compared(np.zeros((5, 4, 4), np.uint8), np.ones((6, 4, 4), np.uint8))
    assert pictures.x.shape == (5, 16) and pictures.y.shape == (6, 16) and float(pictures.y.sum()) == 96
    assert compared(x, Normal([0.0] * 3, [1.0] * 3), n=11).n == (9, 11)


def test_a_wild_row_of_the_fakes_does_not_hide_the_others():
    """The scale is that of the real rows: by both sides together one cell of 1e7 would make all others of its column equal."""
    real, fake = (people(250, seed=s)[["height", "income", "works"]] for s in (1, 2))
    blurred = fake.assign(height=fake.height + 40 * np.random.default_rng(0).normal(size=250), income=-fake.income)
    wild = blurred.copy()
    wild.loc[0, ["height", "income"]] = 1e7
    one, two = prdc(real, blurred), prdc(real, wild)
    assert one["precision"].value < 0.3 and one["coverage"].value < 0.5
    assert all(abs(one[name].value - two[name].value) < 0.02 for name in one)
    for features in (
        None,
        "pca:3",
    ):  # and with the same real rows and seed two models are compared in the same features
        assert torch.equal(compared(real, fake, features).x, compared(real, wild, features).x)


def test_tables_and_texts_have_numbers_too():
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0, 5.0], "b": list("uvuv")})
    found = compared(frame, frame.iloc[::-1])
    assert found.x.shape == (4, 3) and "one-hot" in found.words and torch.allclose(found.x, found.y.flip(0))
    assert compared(["ab", "ba"], ["bb", "aa", "ab"]).n == (2, 3)


def test_what_is_not_finite_is_counted_and_said():
    x, y = normal(9), normal(8, seed=1)
    x[2, 1], y[:3, 0], y[5, 2] = math.nan, math.inf, -math.inf
    found = compared(x, y)
    assert found.n == (8, 4)
    assert found.notes[0].startswith("1 of 9 real examples is not finite") and found.notes[1].startswith("4 of 8 fake")
    frame = pd.DataFrame({"a": [1.0, math.inf, 3.0, math.nan], "b": list("uvuv")})
    found = compared(frame, frame)
    assert found.n == (3, 3) and "1 of 4 real" in found.notes[0], "a missing cell is compared, an infinite one is not"
    found = compared(normal(5), normal(6), features=lambda z: np.where(z[:, :1] > 0, np.nan, z))
    assert len(found.notes) == 2 and "fake" in found.notes[1]
    with pytest.raises(BadData, match="none of 4"):
        compared(normal(4), np.full((4, 3), np.nan))


def test_components_are_learned_on_other_real_examples():
    x = normal(400, 6) * np.array([9, 4, 1, 0.1, 0.1, 0.1], np.float32) + 5
    found = compared(x, x[:50], features="pca:2")
    assert found.n == (200, 50) and found.x.shape[1] == 2
    assert "the 2 first principal components of 200 other real examples (9" in found.words
    assert 7 < float(found.x[:, 0].std()) < 11 and abs(float(found.x[:, 0].mean())) < 3
    assert compared(x, x, features="pca").x.shape[1] == 6 and compared(x[:9], x, features="pca").x.shape[1] == 3
    again = compared(x, x[:50], features="pca:2")
    assert torch.equal(found.x, again.x) and not torch.equal(
        found.x, compared(x, x[:50], features="pca:2", seed=1).x[:200]
    )


def test_components_keep_equal_laws_equal():
    """Fitted on the examples that are compared, 30 of 60 components of 80 examples would give them alone more spread."""
    wide = [compared(normal(80, 60, 2 * s), normal(80, 60, 2 * s + 1), features="pca:30", seed=s) for s in range(20)]
    ratio = np.mean([float(f.x.var()) / float(f.y.var()) for f in wide])
    assert abs(ratio - 1) < 0.05


def test_modules_get_tensors_and_are_left_as_they_were():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Dropout(), torch.nn.Flatten())
    net.train()
    shapes = []
    net[0].register_forward_hook(lambda _, args, __: shapes.append(tuple(args[0].shape)))
    x = (normal(600, 5 * 6 * 3).reshape(600, 5, 6, 3) * 50 + 100).clip(0, 255).astype(np.uint8)
    found = compared(x, x[:10], features=net)
    assert shapes[0] == (512, 3, 5, 6) and found.x.shape == (600, 48) and found.words == "48 features by Sequential"
    assert net.training and net[1].num_batches_tracked == 0 and torch.allclose(found.x[:10], found.y)
    assert not found.x.requires_grad
    assert compared(normal(5), normal(6), features=torch.nn.Linear(3, 2).double()).y.shape == (6, 2)


def test_functions_get_examples_as_they_came():
    kinds = []

    def length(z):
        kinds.append(type(z))
        return np.array([[len(s)] for s in z])

    assert compared(["a", "bcd"], ["ef", "g"], features=length).x.tolist() == [[1.0], [3.0]] and kinds == [list, list]
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"]})
    assert compared(frame, frame, features=lambda f: f[["a"]] * 2).x.tolist() == [[2.0], [4.0]]
    found = compared(torch.ones(3, 2), torch.ones(2, 2), features=lambda z: z.sum(1))
    assert found.x.tolist() == [[2.0]] * 3 and found.words == "1 feature by the function given"


def test_a_network_is_trained_here_and_depends_on_the_real_side_alone():
    x = pf.data.toys.eight_gaussians(300)
    labels = (np.arctan2(x[:, 1], x[:, 0]) // (np.pi / 4)).astype(int) + 4
    real = pf.data.Examples(x, labels.astype(str))
    found = compared(real, x[:40], features="network:8")
    assert found.x.shape == (150, 8) and found.y.shape == (40, 8)
    assert "trained to tell 8 classes apart on 150 other real examples" in found.words
    assert torch.equal(found.x, compared(real, x[40:90], features="network:8").x)
    state = torch.random.get_rng_state()
    code = compared(x, x[:40], features="network:8")
    assert "as an autoencoder" in code.words and torch.equal(torch.random.get_rng_state(), state)
    assert float(code.x.std(0).max()) > 0.1


def test_a_network_reads_tables_texts_and_pictures():
    frame = pd.DataFrame({"a": np.arange(12.0), "b": list("uvw") * 4})
    for real in (frame, ["ab", "ba", "bb"] * 4, np.random.default_rng(0).integers(0, 255, (12, 5, 5), np.uint8)):
        assert compared(real, real, features="network:4").x.shape == (6, 4)


def test_distances_take_features():
    x, y = normal(200, 5), normal(200, 5, 1)
    y[:, 4] += 3
    first = lambda z: z[:, :4]  # noqa: E731
    assert (
        mmd(x, y, features=first).p_value > 0.01 > mmd(x, y).p_value
        and "4 features" in mmd(x, y, features=first).features
    )
    near, far = (wasserstein(x, y, features=f, floors=1) for f in (first, "pca:4"))
    assert near.value < 2 * near.floor and far.value > 3 * far.floor and near.features and far.n == (100, 200)
    y[0, 0] = math.nan
    assert "1 of 200 fake" in str(mmd(x, y, features="raw")) and "1 of 200 fake" in str(
        wasserstein(x, y, features="raw")
    )


@pytest.mark.parametrize(
    "features, problem, words",
    [
        ("pac", Usage, "Did you mean 'pca'"),
        ("pca:two", Usage, "whole number"),
        (7, Usage, "awaited"),
        (lambda z: z[:2], BadData, "one row for each"),
        (lambda z: {"out": z}, BadData, "one row of numbers"),
        (lambda z: 3.0, BadData, "one row of numbers"),
    ],
)
def test_what_gives_no_features_is_refused(features, problem, words):
    with pytest.raises(problem, match=words):
        compared(normal(9), normal(9), features=features)


def test_sides_that_do_not_belong_together_are_refused():
    with pytest.raises(BadData, match="same variables"):
        compared(normal(9), normal(9, 4))
    with pytest.raises(BadData, match="at least 2"):
        compared(normal(1), normal(9))
    with pytest.raises(BadData, match="at least 4"):
        compared(normal(3), normal(9), features="pca")
    with pytest.raises(Usage, match="None"):
        compared(None, normal(9))
