"""What is true of MADE: triangular in its order, a distribution in every order, one pass to sample, conditionals as enumerated."""

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward import MADE, noise
from pushforward.errors import Unable, Usage
from pushforward.maths.unroll import naive, unroll
from pushforward.nets.masked import MaskedNet

rng = np.random.default_rng(3)
A = rng.random((400, 1)) > 0.5
BITS = np.concatenate(
    [A, A ^ (rng.random((400, 1)) > 0.8), rng.random((400, 1)) > 0.3, A ^ (rng.random((400, 1)) > 0.7)], 1
)
STATES = np.array(list(product([False, True], repeat=4)))
NUMBERS = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
SMALL = {"hidden": (24, 24), "components": 3}


def fit(data, steps=60, given=None, **fields) -> MADE:
    return MADE(**{**SMALL, **fields}).fit(
        data, given=given, steps=steps, lr=1e-2, batch=64, ema=0.0, precision="float64", quiet=True, valid=0.0
    )


@pytest.fixture(scope="module")
def one() -> MADE:
    return fit(BITS)


@pytest.fixture(scope="module")
def every() -> MADE:
    return fit(BITS, order="any", orders=3)


def table(n=300) -> pd.DataFrame:
    """Columns of all kinds, two of which lack cells: x where side is left, mostly; grade anywhere."""
    side = rng.choice(["left", "mid", "right"], n)
    x = np.where((side == "left") & (rng.random(n) < 0.8), np.nan, rng.normal(size=n) + 2 * (side == "right"))
    grade = pd.Series(rng.choice(["a", "b", "c"], n)).where(rng.random(n) > 0.2)
    return pd.DataFrame(
        {"side": side, "x": x, "grade": grade, "age": rng.integers(0, 90, n), "rated": rng.random(n) > 0.5}
    )


def p_of(model: MADE, order, states=STATES) -> np.ndarray:
    """p of every state in one order."""
    x = torch.as_tensor(states).double()
    with torch.no_grad():
        return model.head.log_prob(x, model.under(order).conditionals(x)).exp().numpy()


def variation(drawn: np.ndarray, p: np.ndarray) -> float:
    """Total variation between drawn states and their probabilities."""
    count = (drawn[:, None] == STATES).all(2).sum(0)
    return float(np.abs(count / len(drawn) - p / p.sum()).sum() / 2)


# ---- the order -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"order": "random"},
        {"order": "2,0,4,1,3"},
        {"order": "any", "orders": 2},
        {"residual": False},
    ],
    ids=str,
)
def test_the_jacobian_is_strictly_triangular_in_the_order(fields):
    model = fit(NUMBERS, steps=3, **fields)
    starts, x = model.head.starts, torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for order in model.averaged():
        at = model.under(order)
        # Absolute values of the Jacobian (P, D), added up over 20 points: a unit may be off at one.
        jacobian = sum(
            torch.autograd.functional.jacobian(lambda x, at=at: at.conditionals(x[None])[0], one).abs() for one in x
        )
        for t, d in enumerate(order):
            rows = jacobian[starts[d] : starts[d + 1]]
            assert bool((rows[:, list(order[t:])] == 0).all())
            assert bool((rows[:, list(order[:t])].sum(0) > 0).all()), "a variable before it is not seen"


def test_every_order_sums_to_one(every):
    orders = list(permutations(range(4)))
    sums = np.array([p_of(every, order).sum() for order in orders])
    assert len(sums) == 24 and np.abs(sums - 1).max() < 1e-12
    assert abs(np.exp(every.log_prob(STATES)).sum() - 1) < 1e-12
    average = sum(p_of(every, order) for order in every.averaged()) / 3
    np.testing.assert_allclose(np.exp(every.log_prob(STATES)), average, rtol=1e-12)


@pytest.mark.parametrize("order", ["0,1,2", "0,2,1", "1,0,2", "1,2,0", "2,0,1", "2,1,0", "random"])
@pytest.mark.parametrize("level", ["categorical", "logistic"])
def test_a_model_of_any_one_order_sums_to_one(order, level):
    a = rng.integers(0, 3, (300, 1))
    data = np.concatenate([a, (a + rng.integers(0, 2, (300, 1))) % 3, rng.integers(0, 3, (300, 1))], 1).astype(np.uint8)
    model = fit(data, steps=15, order=order, level=level)
    states = np.array(list(product(range(3), repeat=3)), dtype=np.uint8)
    assert abs(np.exp(model.log_prob(states)).sum() - 1) < 1e-12


def test_orders_that_cannot_be_are_told():
    for order, said in (("1,1,0,2", "not a permutation of the variables 0 … 3"), ("natrual", "Did you mean 'natural'")):
        with pytest.raises(Usage, match=said):
            fit(BITS, order=order, steps=1)
    with pytest.raises(Usage, match="at least 1"):
        fit(BITS, orders=0, steps=1)


@pytest.mark.parametrize(
    "fields", [{"order": "random"}, {"order": "random", "orders": 3}, {"order": "any", "orders": 2}], ids=str
)
def test_a_saved_model_finds_its_orders_again(fields, tmp_path):
    model = fit(BITS, steps=5, **fields)
    assert len(set(map(tuple, model.averaged()))) == fields.get("orders", 1)
    again = pf.load(model.save(tmp_path / "m.pf"))
    np.testing.assert_array_equal(again.log_prob(BITS), model.log_prob(BITS))
    np.testing.assert_array_equal(again.sample(50, seed=0), model.sample(50, seed=0))


def test_a_run_in_many_orders_is_repeated_and_resumed_bit_for_bit(tmp_path):
    how = dict(batch=64, seed=2, quiet=True, every=4, valid=0.2, steps=11)
    whole = MADE(**SMALL, order="any").fit(BITS, **how)
    MADE(**SMALL, order="any").fit(BITS, out=tmp_path / "m.pf", callbacks=[lambda moment: moment.step == 6], **how)
    again = MADE(**SMALL, order="any").fit(BITS, out=tmp_path / "m.pf", resume=True, **how)
    for (name, a), b in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


# ---- pushforward ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fields", [{}, {"order": "3,1,0,4,2"}, {"order": "any"}], ids=str)
@pytest.mark.parametrize("kind", ["table", "numbers", "levels"])
def test_steps_give_the_values_of_full_passes(fields, kind):
    data = {"table": table(), "numbers": NUMBERS, "levels": rng.integers(0, 6, (200, 5)).astype(np.uint8)}[kind]
    labels = rng.choice(["p", "q", "r"], len(data))
    model = fit(data, steps=10, given=labels, **fields)
    with noise.stream(0, dtype=torch.float64), torch.no_grad():
        u, given = noise.uniform(60, 5), torch.eye(3, dtype=torch.float64)[torch.arange(60) % 3]
        order = model.averaged()[0]
        fast, slow = (sampler(model.under(order), model.head, u, given, order=order) for sampler in (unroll, naive))
    torch.testing.assert_close(fast, slow, atol=1e-9, rtol=0, equal_nan=True)


def test_sampling_takes_no_full_pass(one, monkeypatch):
    def refuse(*_):
        raise AssertionError("a full pass")

    monkeypatch.setattr(MaskedNet, "forward", refuse)
    assert one.sample(5, seed=0).shape == (5, 4)


@pytest.mark.parametrize("name", ["one", "every"])
def test_samples_have_the_enumerated_probabilities(name, request):
    model = request.getfixturevalue(name)
    drawn, p = model.sample(20_000, seed=1), np.exp(model.log_prob(STATES))
    counts = (drawn[:, None] == STATES).all(2).sum(0)
    assert stats.chisquare(counts, 20_000 * p / p.sum()).pvalue > 1e-3


def test_codes_of_its_own_samples_are_uniform_and_come_back(one):
    x = one.sample(3000, seed=0)
    u = one.encode(x, seed=4)
    assert all(stats.kstest(u[:, d], "uniform").pvalue > 1e-3 for d in range(4))
    assert np.abs(np.corrcoef(u.T) - np.eye(4)).max() < 0.08
    np.testing.assert_array_equal(one.decode(u), x)


def test_an_average_over_orders_has_no_encoding(every):
    with pytest.raises(Unable, match="averages the probabilities of 3 orders"):
        _ = every.encode
    assert "decode" not in every.abilities and "log_prob" in every.abilities


def test_each_condition_has_a_distribution():
    labels = np.where(A[:, 0], "yes", "no")
    model = fit(BITS, steps=500, given=labels)
    p = {label: np.exp(model.log_prob(STATES, given=label)) for label in ("yes", "no")}
    assert all(abs(q.sum() - 1) < 1e-12 for q in p.values())
    assert p["yes"][STATES[:, 0]].sum() > 0.9 and p["no"][STATES[:, 0]].sum() < 0.1
    whole = model.complete(BITS, known=[False, True, False, True], given=labels, seed=0)
    assert (whole[:, [1, 3]] == BITS[:, [1, 3]]).all() and (whole[:, 0] == A[:, 0]).mean() > 0.9


# ---- completion ----------------------------------------------------------------------------------------------------
N = 20_000


def completed(model: MADE, known: list[bool], value: bool, n: int) -> np.ndarray:
    return model.complete(np.full((n, 4), value), known=known, seed=2)


@pytest.mark.parametrize("known", [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]], ids=str)
def test_a_known_prefix_is_conditioned_on_exactly(one, known):
    mask = np.array(known, dtype=bool)
    drawn = completed(one, mask, True, N)
    assert one.completion_["kind"] == "exact"
    p = np.exp(one.log_prob(STATES)) * STATES[:, mask].all(1)
    assert variation(drawn, p) < 0.012


@pytest.mark.parametrize("known", [[0, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]], ids=str)
@pytest.mark.parametrize("value", [True, False])
def test_elsewhere_candidates_are_weighed(one, known, value):
    mask = np.array(known, dtype=bool)
    drawn = completed(one, mask, value, 1500)
    assert one.completion_["kind"] == "importance-weighted"
    ess = one.completion_["ess"]
    assert ess.shape == (1500,) and bool((ess > 1).all()) and bool((ess < 256).all())
    p = np.exp(one.log_prob(STATES)) * (STATES[:, mask] == value).all(1)
    assert variation(drawn, p) < 0.04


@pytest.mark.parametrize("known", list(product([False, True], repeat=4))[1:-1], ids=str)
def test_with_any_order_the_known_come_first_and_that_is_exact(every, known):
    mask = np.array(known)
    drawn = completed(every, mask, True, N)
    assert every.completion_["kind"] == "exact" and bool((every.completion_["ess"] == 256).all())
    order = [d for d in range(4) if mask[d]] + [d for d in range(4) if not mask[d]]
    assert variation(drawn, p_of(every, order) * STATES[:, mask].all(1)) < 0.012


def test_an_average_over_orders_is_conditioned_on_as_one_distribution():
    model = fit(BITS, order="random", orders=3)
    drawn = completed(model, [False, True, False, True], True, 1500)
    p = np.exp(model.log_prob(STATES)) * STATES[:, [1, 3]].all(1)
    assert model.completion_["kind"] == "importance-weighted" and variation(drawn, p) < 0.04


@pytest.mark.parametrize("fields", [{}, {"order": "any"}, {"orders": 2}], ids=str)
def test_what_fills_a_row_does_not_depend_on_its_company(fields):
    data = table(80)
    model = fit(data, steps=15, **fields)
    known = rng.random((80, 5)) > 0.5
    whole = model.complete(data, known=known, seed=3)
    alone = model.complete(data.iloc[:7], known=known[:7], seed=3)
    for name in data:
        if whole[name].dtype.kind == "f":
            np.testing.assert_allclose(whole[name][:7], alone[name], atol=1e-9)
        else:
            assert list(whole[name][:7]) == list(alone[name])


# ---- missing cells -------------------------------------------------------------------------------------------------
def test_missing_cells_are_modelled_and_filled():
    data = table(400)
    model = fit(data, steps=300)
    drawn = model.sample(2000, seed=0)
    for side in ("left", "mid", "right"):
        gone, there = (t["x"].isna()[t["side"] == side].mean() for t in (drawn, data))
        assert abs(gone - there) < 0.1
    assert abs(drawn["grade"].isna().mean() - data["grade"].isna().mean()) < 0.06
    assert np.isfinite(model.log_prob(data)).all()
    whole = model.complete(data, seed=0)
    assert not whole.isna().any().any() and model.completion_["kind"] == "importance-weighted"
    there = data.notna()
    assert all((whole[c][there[c]] == data[c][there[c]]).all() for c in data)
    again = model.complete(data[there.all(axis=1)], known=[True] * 5, seed=0)
    assert model.completion_["kind"] == "exact" and again.notna().all().all()


@pytest.mark.parametrize("order", ["natural", "any"])
def test_a_filled_gap_is_conditioned_on_being_there(order):
    """Two columns of codes with gaps, which come together: p(a, b | neither is missing), by enumeration."""
    a = rng.choice(["x", "y", "z"], 600, p=[0.5, 0.2, 0.3])
    lost = (a == "x") & (rng.random(600) < 0.7)
    data = pd.DataFrame(
        {"a": pd.Series(a).where(rng.random(600) > 0.2), "b": pd.Series(rng.choice(["u", "v", "w"], 600)).where(~lost)}
    )
    model = fit(data, steps=200, order=order)
    codes = torch.tensor(list(product(range(3), range(3))), dtype=torch.float64)
    with torch.no_grad():
        p = model.head.log_prob(codes, model.under(model.averaged()[0]).conditionals(codes)).softmax(0).numpy()
    blank = pd.DataFrame({"a": [None] * 1500, "b": [None] * 1500}, dtype=object)
    whole = model.complete(blank, seed=0)
    counts = pd.crosstab(whole["a"], whole["b"]).to_numpy().ravel()
    assert np.abs(counts / 1500 - p).sum() / 2 < 0.05


# ---- real data -----------------------------------------------------------------------------------------------------
RECIPES = {
    "mushrooms": ({"hidden": (500,), "orders": 4}, {"steps": 8000, "lr": 2e-3, "ema": 0.999, "patience": 0}),
    "dna": (
        {"hidden": (1000,), "dropout": 0.5},
        {"steps": 3000, "ema": 0.0, "optimizer": "adamw", "decay": 0.5, "patience": 30},
    ),
}


def learn(folder, name: str) -> float:
    """Nats of the test rows of a binary table, learned on its training rows and stopped by its validation rows."""
    with np.load(folder / "binary-density" / f"{name}.npz") as file:
        x = {part: file[part].astype(bool) for part in ("train", "valid", "test")}
    fields, recipe = RECIPES[name]
    model = MADE(**fields).fit(x["train"], valid=x["valid"], batch=100, seed=0, quiet=True, **recipe)
    return -model.score(x["test"])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("mushrooms", 9.9), ("dna", 84.0)])
def test_binary_tables_of_the_literature(name, most, real_data):
    assert learn(real_data, name) <= most
