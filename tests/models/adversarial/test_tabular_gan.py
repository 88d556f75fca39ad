"""The conditional GAN for tables: conditions that hold, codes as often as they came, rare ones kept."""

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward import noise
from pushforward.data.balance import Balanced
from pushforward.models.adversarial import TabularGAN

RARE = 0.02


def table(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.choice(["a", "b", "rare"], n, p=[0.68, 0.3, RARE])
    on = rng.random(n) < np.where(kind == "a", 0.8, 0.1)
    x = rng.normal(size=n) * 0.3 + np.select([kind == "a", kind == "b"], [-2.0, 1.0], 4.0)
    grade = pd.Categorical.from_codes(rng.integers(0, 4, n), ["one", "two", "three", "four"], ordered=True)
    return pd.DataFrame({"x": x, "kind": kind, "age": rng.integers(18, 90, n), "on": on, "grade": grade})


@pytest.fixture(scope="module")
def model():
    return TabularGAN(hidden=(64, 64), modes=5).fit(table(), steps=1500, batch=200, seed=0, quiet=True)


@pytest.mark.parametrize("column", ["kind", "on", "grade"])
def test_a_condition_holds_in_every_row_whatever_the_column(model, column):
    data = table(50)
    for value in data[column].unique():
        ask = pd.DataFrame({name: [value if name == column else None] * 40 for name in data})
        drawn = model.complete(ask, seed=1)
        assert (drawn[column] == value).all() and not drawn.isna().any().any()
        assert (drawn.dtypes == data.dtypes).all()


def test_conditions_on_several_columns_hold_and_reach_the_rest(model):
    ask = pd.DataFrame(
        {"x": [None] * 300, "kind": ["a", "b", "rare"] * 100, "age": None, "on": [False] * 300, "grade": ["two"] * 300}
    )
    drawn = model.complete(ask, seed=0)
    assert (drawn["kind"] == ask["kind"]).all() and not drawn["on"].any() and (drawn["grade"] == "two").all()
    middle = drawn.groupby("kind")["x"].median()
    assert middle["a"] == pytest.approx(-2, abs=0.7) and middle["rare"] == pytest.approx(4, abs=1.2)


def test_codes_come_as_often_as_in_the_data():
    """With one column of codes every row is drawn for it, so its shares are exact: three standard errors of 20,000 draws."""
    data = table(1000)[["x", "kind"]]
    model = TabularGAN(hidden=(16,), modes=3).fit(data, steps=10, batch=100, quiet=True)
    drawn = model.sample(20_000, seed=3)["kind"].value_counts(normalize=True)
    for kind, share in data["kind"].value_counts(normalize=True).items():
        assert abs(drawn[kind] - share) < 3 * (share * (1 - share) / 20_000) ** 0.5


def test_rare_codes_are_kept(model):
    data, drawn = table(), model.sample(5000, seed=0)
    for name in ("kind", "on", "grade"):
        a, b = (t[name].value_counts(normalize=True) for t in (data, drawn))
        assert (a - b.reindex(a.index).fillna(0)).abs().max() < 0.05
    assert abs((drawn["kind"] == "rare").mean() - RARE) < 0.01


def test_known_numbers_choose_among_draws(model):
    ask = table(60)[["x", "kind", "age", "on", "grade"]].assign(kind=None, on=None, grade=None, age=None)
    drawn = model.complete(ask, seed=0)
    assert (drawn["x"] == ask["x"]).all()
    near = np.where(ask["x"] < -1, "a", np.where(ask["x"] < 2.5, "b", "rare"))
    assert (drawn["kind"] == near).mean() > 0.8


def test_numbers_that_may_be_missing_and_an_unfit_code():
    data = table(400)
    data["x"] = data["x"].mask(np.arange(400) % 4 == 0)
    data["kind"] = data["kind"].mask(np.arange(400) % 5 == 0)
    model = TabularGAN(hidden=(16,), modes=3).fit(data, steps=5, batch=100, quiet=True)
    drawn = model.sample(500, seed=0)
    assert 0 < drawn["x"].isna().mean() < 1 and drawn["kind"].isna().any()
    assert not model.complete(data, seed=0).isna().any().any()


def test_both_players_see_the_condition_and_the_critic_the_numbers():
    model = TabularGAN(hidden=(8,), latent=2, modes=2).fit(table(200), steps=1, quiet=True)
    codes = model.mixed.codes
    x = model.enter(model.space.read(table(6)), None)[0]
    with noise.stream(0):
        y, given = model.shown(x, None)
    assert torch.equal(model.mixed.inverse(y)[:, codes], x[:, codes])
    asked = model.mixed.condition(x[:, codes].long(), torch.ones(6, len(codes), dtype=torch.bool))
    assert given.shape == asked.shape and (given <= asked).all() and (given.sum(1) >= 1).all()
    assert (model.opinion(y, given) != model.opinion(y, torch.zeros_like(given))).all()
    assert model.critic.net.layers[0].in_features == model.mixed.width + len(model.mixed.numbers) + model.mixed.asked


def test_a_fit_sees_rows_by_training_by_sampling():
    data = table(1000)
    seen = []

    class Watched(TabularGAN):
        def moves(self, x, given=None):
            seen.append(x[:, self.mixed.codes[0]])
            yield from super().moves(x, given)

    Watched(hidden=(8,), modes=2).fit(data, steps=20, batch=200, quiet=True)
    share = (torch.cat(seen) == 2).double().mean()
    rows = Balanced.of_all(pf.Examples(data))
    want = (rows.space.read(data)[rows.order(0, 0), 1] == 2).double().mean()
    assert float(share) == pytest.approx(float(want), abs=0.04) and share > 4 * RARE


def test_a_vector_of_numbers_is_a_table_without_codes():
    x = pf.data.toys.moons(300)
    model = TabularGAN(hidden=(16,), modes=3, pac=3, critic_steps=2).fit(x, steps=6, batch=60, quiet=True)
    assert model.sample(5, seed=0).shape == (5, 2) and model.mixed.asked == 0
    assert "decode" not in model.abilities and "comes of a condition" in model.reason("decode")


def test_a_condition_from_outside_goes_beside_its_own():
    data = table(300)
    model = TabularGAN(hidden=(16,), modes=3, pac=2).fit(
        data[["x", "on"]], given=data["kind"], steps=6, batch=60, quiet=True
    )
    drawn = model.sample(6, given="rare", seed=0)
    assert list(drawn) == ["x", "on"]
    assert model.complete(pd.DataFrame({"x": [None] * 4, "on": [True] * 4}), given="a", seed=0)["on"].all()


def test_the_preset_of_the_paper():
    model = pf.CTGAN(hidden=(16, 16), latent=4, modes=3)
    assert (model.pac, model.objective, model.penalty, model.weight, model.net) == (
        10,
        "wasserstein",
        "gradient",
        10.0,
        "dense",
    )
    model.fit(table(300), steps=4, batch=100, quiet=True)
    one = model.sample(7, seed=0)
    assert one.equals(model.sample(30, seed=0).iloc[:7]) or np.allclose(
        one["x"], model.sample(30, seed=0)["x"][:7], atol=1e-5
    )


def test_it_says_what_is_wrong():
    with pytest.raises(pf.Problem, match="net='mpl' is not one of mlp, dense. Did you mean 'mlp'"):
        TabularGAN(net="mpl").fit(table(50), steps=1)
    with pytest.raises(pf.Problem, match="modes and lazy are at least 1"):
        TabularGAN(modes=0).fit(table(50), steps=1)
    with pytest.raises(pf.Problem, match="TabularGAN has no log_prob"):
        TabularGAN(hidden=(8,)).fit(table(50), steps=1, quiet=True).log_prob(table(5))
