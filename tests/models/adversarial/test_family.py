"""What all adversarial systems share: codes of a table, conditions, what they can and cannot."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward import noise
from pushforward.data import toys
from pushforward.errors import Unable
from pushforward.models.adversarial import GAN
from pushforward.nets.blocks import Blocks
from pushforward.space import Column, Space

DOUBLE = torch.float64
COLUMNS = (
    Column("x", "number"),
    Column("side", "category", categories=("a", "b", "c")),
    Column("y", "number"),
    Column("on", "boolean", categories=(False, True)),
)


def test_codes_are_drawn_from_the_softmax_of_their_logits():
    blocks, n = Blocks(COLUMNS), 40000
    y = torch.tensor([0.3, 1.0, 0.0, -1.0, -7.0, 0.5, 0.0], dtype=DOUBLE)
    with noise.stream(0, dtype=DOUBLE):
        out = blocks(y.repeat(n, 1), noise.uniform(n, blocks.width), 0.5)
    assert (out[:, 0] == 0.3).all() and (out[:, 4] == -7.0).all()
    for part in (slice(1, 4), slice(5, 7)):
        torch.testing.assert_close(out[:, part].sum(1), torch.ones(n, dtype=DOUBLE))
        torch.testing.assert_close(out[:, part].mean(0), y[part].softmax(0), atol=4 * 0.5 / math.sqrt(n), rtol=0)
    assert sorted(out[:, 1:4].round(decimals=9).unique().tolist()) == [0, 1]


def test_gradients_pass_through_codes_as_through_their_softmax():
    blocks = Blocks(COLUMNS)
    y = torch.randn(3, 7, dtype=DOUBLE, requires_grad=True)
    pull = torch.randn(3, 7, dtype=DOUBLE)
    found = torch.autograd.grad((blocks(y, None, 0.7) * pull).sum(), y)[0]
    soft = torch.cat([y[:, :1], (y[:, 1:4] / 0.7).softmax(1), y[:, 4:5], (y[:, 5:] / 0.7).softmax(1)], 1)
    torch.testing.assert_close(found, torch.autograd.grad((soft * pull).sum(), y)[0])


def test_a_missing_number_is_one_of_the_outcomes():
    """Features: x, x is there, x is missing, y."""
    blocks = Blocks((Column("x", "number", missing=True), Column("y", "number")))
    y = torch.tensor([[0.7, 9.0, -9.0, 5.0], [0.7, -9.0, 9.0, 5.0]], dtype=DOUBLE)
    torch.testing.assert_close(blocks(y), torch.tensor([[0.7, 1.0, 0.0, 5.0], [0.0, 0.0, 1.0, 5.0]], dtype=DOUBLE))
    frame = pd.DataFrame({"x": np.where(np.arange(300) % 2, np.nan, np.arange(300) / 7), "y": np.arange(300.0)})
    model = GAN(hidden=(16,), latent=3).fit(frame, steps=5, quiet=True)
    assert model.chart.space.shape == (4,)
    assert 0 < model.sample(300, seed=0)["x"].isna().mean() < 1


def test_a_table_is_given_back_as_a_table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=200),
            "side": rng.choice(["a", "b", "c"], 200),
            "age": rng.integers(18, 90, 200),
            "on": rng.random(200) < 0.2,
        }
    )
    model = GAN(hidden=(16,), latent=3).fit(frame, steps=5, quiet=True)
    new = model.sample(50, seed=0)
    assert (
        (new.dtypes == frame.dtypes).all() and set(new["side"]) <= {"a", "b", "c"} and new["age"].between(18, 89).all()
    )
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert again.sample(50, seed=0).equals(new)


def test_a_condition_reaches_both_players():
    model = GAN(latent=3)
    with noise.initialisation(0):
        model.build(Space("real", (2,)), 2)
    model.double()
    given = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=DOUBLE)
    with noise.stream(0, dtype=DOUBLE):
        a = model.generate(2, given)
    with noise.stream(0, dtype=DOUBLE):
        b = model.generate(2, given.flip(0))
    assert (a != b).all()
    assert (model.opinion(a, given) != model.opinion(a, given.flip(0))).all()


def test_packs_serve_vectors_tables_images_and_conditions():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=90), "side": rng.choice(["a", "b"], 90)})
    for data, given in (
        (toys.moons(90), None),
        (frame, None),
        (rng.integers(0, 5, (90, 16, 16)).astype(np.uint8), rng.integers(0, 3, 90)),
    ):
        model = GAN(hidden=(8,), latent=3, pac=4, critic_steps=2).fit(data, given=given, steps=2, batch=30, quiet=True)
        assert len(model.sample(3, seed=0, **({} if given is None else {"given": 1}))) == 3


def test_a_code_means_the_same_alone_and_among_others():
    model = GAN(latent=4, hidden=(16,)).fit(toys.moons(100), steps=3, quiet=True)
    z = np.random.default_rng(0).normal(size=(10, 4))
    np.testing.assert_allclose(model.decode(z)[3:4], model.decode(z[3:4]), atol=1e-6)


def test_it_says_what_it_cannot():
    model = GAN(hidden=(8,)).fit(toys.moons(50), steps=1, quiet=True)
    assert model.abilities == {"sample": "exact", "decode": "exact"}
    with pytest.raises(Unable, match="cannot be inverted gives no density. Compare what it draws"):
        model.log_prob(toys.moons(5))
