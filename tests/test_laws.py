"""The laws that every system owes, run over the whole catalogue by ability and by kind of data."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward import catalogue, fields, noise
from pushforward import model as rooms
from pushforward.errors import Unable, Usage
from pushforward.model import ABILITIES

STEPS = 30
rng = np.random.default_rng(0)


def examples_of(kind: str):
    """A small data set of a kind, small enough for its whole space to be enumerated or integrated."""
    rng = np.random.default_rng(7)
    if kind == "real":
        z = rng.normal(size=(300, 2))
        return np.stack([z[:, 0] + 2 * (rng.random(300) > 0.4), 0.6 * z[:, 0] + 0.5 * z[:, 1]], 1)
    if kind == "binary":
        a = rng.random((300, 1)) > 0.5
        return np.concatenate([a, a ^ (rng.random((300, 1)) > 0.8), rng.random((300, 2)) > 0.3], 1)
    if kind == "levels":
        a = rng.integers(0, 3, (300, 1))
        return np.concatenate([a, (a + rng.integers(0, 2, (300, 1))) % 3, rng.integers(0, 3, (300, 1))], 1).astype(
            np.uint8
        )
    if kind == "tokens":
        return ["".join(rng.choice(list("abc"), 4, p=[0.5, 0.3, 0.2])) for _ in range(300)]
    side = rng.choice(["left", "mid", "right"], 300)
    return pd.DataFrame(
        {"side": side, "x": rng.normal(size=300) + 2 * (side == "right"), "rated": rng.integers(0, 2, 300).astype(bool)}
    )


def whole_space(kind: str, model):
    """Every example of the space and the volume of each: the sum of density x volume is 1."""
    if kind == "real":
        axis = np.linspace(-9, 9, 301)
        grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        return grid, (axis[1] - axis[0]) ** 2
    if kind == "binary":
        return np.array(list(itertools.product([False, True], repeat=4))), 1.0
    if kind == "levels":
        return np.array(list(itertools.product(range(3), repeat=3)), dtype=np.uint8), 1.0
    if kind == "tokens":
        return ["".join(t) for t in itertools.product("abc", repeat=4)], 1.0
    axis = np.linspace(-12, 12, 4001)
    cells = [(s, x, r) for s in ("left", "mid", "right") for r in (False, True) for x in axis]
    return pd.DataFrame(cells, columns=["side", "x", "rated"]), axis[1] - axis[0]


CASES = [(name, kind) for name in catalogue.names() for kind in catalogue.find(name).spaces]
STEPPED = [(name, kind) for name, kind in CASES if not hasattr(catalogue.find(name), "solve")]
_fitted: dict = {}


def make(name: str):
    kind = catalogue.find(name)
    return kind(**kind.small)


def fitted(name: str, kind: str):
    if (name, kind) not in _fitted:
        _fitted[name, kind] = make(name).fit(examples_of(kind), steps=STEPS, batch=64, seed=1, quiet=True)
    return _fitted[name, kind]


def equal(a, b) -> bool:
    if isinstance(a, pd.DataFrame):
        return a.equals(b)
    return a == b if isinstance(a, list) else bool(np.array_equal(a, b, equal_nan=True))


def close(a, b, tolerance: float) -> bool:
    """Equal up to the rounding of batched products; discrete parts of a table exactly."""
    if isinstance(a, pd.DataFrame):
        return all(
            np.allclose(a[c], b[c], atol=tolerance) if a[c].dtype.kind == "f" else (a[c] == b[c]).all() for c in a
        )
    return a == b if isinstance(a, list) else bool(np.allclose(a, b, atol=tolerance))


def first(data, n: int):
    return data.iloc[:n].reset_index(drop=True) if isinstance(data, pd.DataFrame) else data[:n]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_fit_returns_the_model_and_leaves_the_global_generator_alone(name, kind):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    model = make(name)
    assert model.fit(examples_of(kind), steps=3, batch=64, quiet=True) is model
    assert torch.equal(before, torch.get_rng_state())
    assert model.space.kind == kind or kind == "table"


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_seed_gives_the_same_samples_however_many_are_drawn(name, kind, monkeypatch):
    model = fitted(name, kind)
    many = model.sample(150, seed=5)
    assert equal(many, model.sample(150, seed=5))
    assert close(first(many, 7), model.sample(7, seed=5), 1e-4)
    monkeypatch.setattr(rooms, "BUDGET", 1)  # batches of the least size
    assert close(many, model.sample(150, seed=5), 1e-4)
    # After so few steps a generator of bits may have one thing to say, whatever the noise; one of numbers has not.
    one = isinstance(many, np.ndarray) and kind == "binary" and (many == many[0]).all()
    assert one or not equal(many, model.sample(150, seed=6))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_sample_is_of_the_kind_that_came_in(name, kind):
    data, drawn = examples_of(kind), fitted(name, kind).sample(20, seed=0)
    assert type(drawn) is type(data) and len(drawn) == 20
    if isinstance(data, pd.DataFrame):
        assert list(drawn.columns) == list(data.columns) and (drawn.dtypes == data.dtypes).all()
    elif isinstance(data, np.ndarray):
        assert drawn.dtype == data.dtype and drawn.shape[1:] == data.shape[1:]
    fitted(name, kind).space.read(drawn)  # every value is one that the space can hold


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_save_and_load_give_equal_outputs(name, kind, tmp_path):
    model = fitted(name, kind)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert repr(again) == repr(model) and again.abilities == model.abilities
    assert equal(model.sample(10, seed=3), again.sample(10, seed=3))
    data = first(examples_of(kind), 10)
    for ability in ("log_prob", "bound", "energy", "encode"):
        if ability in model.abilities:
            assert np.array_equal(getattr(model, ability)(data), getattr(again, ability)(data))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_is_exact_sums_or_integrates_to_one(name, kind):
    model = fitted(name, kind)
    if "log_prob" not in model.abilities:
        with pytest.raises(Unable):
            _ = model.log_prob
        return
    points, volume = whole_space(kind, model)
    total = float(np.exp(np.asarray(model.log_prob(points), dtype=np.float64)).sum() * volume)
    assert total == pytest.approx(1.0, abs=1e-4 if kind in ("binary", "levels", "tokens") else 2e-2)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_bound_is_below_what_it_bounds(name, kind):
    model, data = fitted(name, kind), first(examples_of(kind), 100)
    if "bound" not in model.abilities:
        assert hasattr(model, "log_prob") or "bound" in model.why_not or not model.judges()
        return
    bounds = np.mean([model.bound(data, seed=s).mean() for s in range(8)])
    if "log_prob" in model.abilities:
        assert bounds <= model.log_prob(data).mean() + 1e-4
    elif "evidence" in model.abilities:
        assert bounds <= model.evidence(data, samples=200).mean() + 0.05


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_completion_keeps_the_known_part(name, kind):
    model, data = fitted(name, kind), first(examples_of(kind), 40)
    if "complete" not in model.abilities:
        assert not hasattr(model, "complete")
        return
    if kind == "tokens":
        known = [line[:2] for line in data]
        assert all(
            whole.startswith(part) and len(whole) == 4
            for whole, part in zip(model.complete(known, seed=0), known, strict=True)
        )
        return
    mask = np.random.default_rng(0).random((40, model.space.size)) > 0.5
    whole = model.complete(data, known=mask, seed=0)
    a, b = (np.asarray(t.to_numpy() if isinstance(t, pd.DataFrame) else t) for t in (whole, data))
    assert (a[mask] == b[mask]).all()
    assert (a[~mask] != b[~mask]).any()
    model.space.read(whole)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_exact_codes_come_back(name, kind):
    model, data = fitted(name, kind), first(examples_of(kind), 50)
    if model.abilities.get("encode") != "exact" or model.abilities.get("decode") != "exact":
        return
    assert close(model.decode(model.encode(data)), data, 1e-3)


@pytest.mark.parametrize("name", catalogue.names())
def test_a_missing_ability_says_why_and_hasattr_is_honest(name):
    model = fitted(name, catalogue.find(name).spaces[0])
    for ability in ABILITIES:
        assert hasattr(model, ability) == (ability in model.abilities)
        if ability not in model.abilities:
            with pytest.raises(Unable, match=f"{name} has no {ability}: .+ It can: .*sample"):
                getattr(model, ability)


@pytest.mark.parametrize("name", catalogue.names())
def test_every_field_reaches_the_command_line(name):
    kind = catalogue.find(name)
    said = kind.comments()
    for field, default in kind().get_params().items():
        assert said.get(field), f"{name}.{field} has no comment, which is its help"
        text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        assert fields.parse(field, text, default) == default
    with pytest.raises(Usage, match="has no field"):
        kind(no_such_field=1)


@pytest.mark.parametrize("name", [n for n in catalogue.names() if "real" in catalogue.find(n).spaces])
def test_rescaling_the_data_moves_log_prob_by_the_jacobian(name):
    data = examples_of("real")
    one = fitted(name, "real")
    two = make(name).fit(data * 3 + 1, steps=STEPS, batch=64, seed=1, quiet=True)
    if not one.judges():
        assert close(two.sample(20, seed=0), one.sample(20, seed=0) * 3 + 1, 1e-2)
        return
    assert np.allclose(one.score_samples(data) - two.score_samples(data * 3 + 1), 2 * np.log(3), atol=5e-3)


@pytest.mark.parametrize(("name", "kind"), STEPPED)
def test_every_weight_learns(name, kind):
    model = fitted(name, kind)
    x, given = pf.Examples(first(examples_of(kind), 64)).take(torch.arange(64))
    model.train()
    for player in model.players or ("model",):
        part = model if player == "model" else getattr(model, player)
        part.zero_grad()
    with noise.stream(0):
        for player, loss in model.turn(x, given):
            part = model if player == "model" else getattr(model, player)
            loss.backward(inputs=list(part.parameters()))
    model.eval()
    still = [n for n, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    model.zero_grad()
    assert not still


@pytest.mark.parametrize(("name", "kind"), [next(c for c in STEPPED if c[0] == n) for n in dict(STEPPED)])
def test_resume_repeats_an_uninterrupted_run_bit_for_bit(name, kind, tmp_path):
    data = examples_of(kind)
    how = dict(batch=64, seed=2, quiet=True, every=8, valid=0.2)
    whole = make(name).fit(data, steps=23, **how)

    def stop(moment):
        return moment.step == 11

    make(name).fit(data, steps=23, out=tmp_path / "m.pf", callbacks=[stop], **how)
    again = make(name).fit(data, steps=23, out=tmp_path / "m.pf", resume=True, **how)
    for (key, a), b in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), key


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_tensors_in_tensors_out(name, kind):
    model = fitted(name, kind)
    x = model.space.read(first(examples_of(kind), 5))
    for ability in ("log_prob", "bound", "energy", "encode"):
        if ability in model.abilities:
            out = getattr(model, ability)(x)
            assert isinstance(out, torch.Tensor)
            assert np.allclose(out.detach().numpy(), getattr(model, ability)(first(examples_of(kind), 5)), atol=1e-5)


@pytest.mark.parametrize("name", [n for n in catalogue.names() if "levels" in catalogue.find(n).spaces])
def test_images_come_back_as_images(name):
    pictures = (np.random.default_rng(0).random((80, 6, 5)) * 4).astype(np.uint8)
    model = make(name).fit(pictures, steps=3, batch=32, quiet=True)
    drawn = model.sample(3, seed=0)
    assert drawn.shape == (3, 6, 5) and drawn.dtype == np.uint8
    if "complete" in model.abilities:
        upper = np.zeros((6, 5), dtype=bool)
        upper[:3] = True
        whole = model.complete(pictures[:4], known=upper, seed=0)
        assert (whole[:, :3] == pictures[:4, :3]).all() and whole.shape == (4, 6, 5)
