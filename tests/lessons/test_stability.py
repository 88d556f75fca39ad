"""The stability study: one cell, all cells, what is resumed, and the page."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from pushforward import lessons, noise
from pushforward.data import load
from pushforward.engine import Recipe
from pushforward.errors import Diverged
from pushforward.lessons.stability import QUICK, floors, results, told
from pushforward.lessons.stability import run as single
from pushforward.lessons.stability import runs as all_runs
from pushforward.lessons.stability.herd import SideBySide, raised
from pushforward.lessons.stability.plan import ARMS, FULL, SLOW, TARGETS, Job, jobs
from pushforward.models.adversarial import GAN

TINY = replace(QUICK, seeds=2, steps=30, long=60, rates=(1e-2, 1e-3), draws=2, values=2_000, examples=500, epoch=10)
SHORT = Job("beta", "GAN-DP", 1e-3, 30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("study")
    results(place, TINY, workers=1)
    return place


def test_the_plan_is_that_of_the_lecture():
    assert set(ARMS) == {"GAN", "WGAN-GP", "GAN-DP"} and set(TARGETS) == {"gaussian", "beta"}
    assert (
        FULL.seeds >= 5 and FULL.draws == 100 and FULL.values == 10_000 and FULL.slow == 1e-5 and len(FULL.rates) >= 3
    )
    named = jobs(FULL)
    assert len({job.name for job in named}) == len(named) == 2 * 3 * len(FULL.rates) + 2
    assert [job.steps for job in named[:2]] == [FULL.long] * 2  # the long ones first


# ---- several at once -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("arm", ARMS)
def test_side_by_side_each_network_has_its_own_losses_and_gradients(arm):
    """Of K = 3, every critic and generator loss is the mean of three, and the gradient of member k a third of its own."""
    members = [GAN(**ARMS[arm], hidden=(8, 8), latent=2) for _ in range(3)]
    herd, examples = GAN(**ARMS[arm], hidden=(8, 8), latent=2), load(TARGETS["gaussian"].sample(50, 0))
    for seed, model in enumerate([*members, herd]):
        model.make(examples.space, None, examples, seed, torch.float64)
    herd.generator, herd.critic = (SideBySide([getattr(m, p) for m in members]) for p in ("generator", "critic"))
    real = torch.randn(12, 1, dtype=torch.float64)
    z = torch.randn(12, 2, dtype=torch.float64)
    rows = [slice(k, None, 3) for k in range(3)]

    def losses(model, part):
        fake = model.generator(z[part])
        with noise.stream(0, start=0, dtype=torch.float64):
            critic = model.critic_loss(real[part], fake.detach())
        return critic, model.generator_loss(fake, real[part])

    ours = losses(herd, slice(None))
    theirs = [losses(m, part) for m, part in zip(members, rows, strict=True)]
    if arm != "WGAN-GP":  # its points between data and fakes are drawn, row by row
        torch.testing.assert_close(ours[0], sum(a for a, _ in theirs) / 3, atol=1e-12, rtol=0)
        slope = torch.autograd.grad(ours[0], herd.critic.weights[0], retain_graph=True)[0]
        own = torch.autograd.grad(theirs[1][0], members[1].critic.net.layers[0].weight)[0]
        torch.testing.assert_close(slope[1].T, own / 3, atol=1e-12, rtol=0)
    torch.testing.assert_close(ours[1], sum(b for _, b in theirs) / 3, atol=1e-12, rtol=0)
    slope = torch.autograd.grad(ours[1], herd.generator.weights[0])[0]
    own = torch.autograd.grad(theirs[1][1], members[1].generator.layers[0].weight)[0]
    torch.testing.assert_close(slope[1].T, own / 3, atol=1e-12, rtol=0)


def test_a_herd_of_one_is_fit(tmp_path):
    """Trained alone by `fit` and as a herd of one: the same examples drawn, to the rounding of float32 over 40 steps."""
    data = TARGETS["gaussian"].sample(300, 0).astype(np.float32)
    fields = {**ARMS["GAN-DP"], "hidden": (16, 16), "latent": 3}
    recipe = Recipe(steps=40, batch=32, lr=1e-3, beta1=0.5, beta2=0.9, seed=7)
    (one,), entries = raised(data, fields, recipe, [7], 10, 100, tmp_path)
    other = GAN(**fields).fit(
        data,
        steps=40,
        batch=32,
        lr=1e-3,
        beta1=0.5,
        beta2=0.9,
        schedule="constant",
        ema=0.0,
        valid=0.0,
        seed=7,
        device="cpu",
        quiet=True,
    )
    assert np.allclose(one.sample(200, seed=1), other.sample(200, seed=1), atol=1e-4)
    looks = [entry for entry in entries if "shape" in entry]
    assert [look["step"] for look in looks] == [10, 20, 30, 40] and not [entry for entry in entries if "said" in entry]
    late = np.asarray(one.sample(20_000, seed=3))
    assert looks[-1]["shape"][0] == pytest.approx([late.mean(), late.std()], abs=0.3)


def test_members_do_not_hear_each_other(tmp_path):
    """The second member's weights are the same whatever the first one's were."""
    data = TARGETS["beta"].sample(300, 0).astype(np.float32)
    fields = {**ARMS["WGAN-GP"], "hidden": (8, 8), "latent": 2}
    recipe = Recipe(steps=5, batch=16, lr=1e-3, seed=1)
    a, b = (raised(data, fields, recipe, [first, 5], 5, 10, tmp_path / str(first))[0][1] for first in (3, 4))
    for one, other in zip(a.generator.parameters(), b.generator.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


# ---- cells -----------------------------------------------------------------------------------------------------------
def test_a_cell_can_be_repeated(tmp_path):
    one, two = (single.train(SHORT, TINY, tmp_path / name) for name in "ab")
    one.pop("seconds"), two.pop("seconds")
    assert one == two and [run["seed"] for run in one["runs"]] == TINY.numbers
    for run in one["runs"]:
        assert len(run["path"]) == SHORT.steps // TINY.epoch and run["said"] == ""
        assert set(run["kl"]) == {"histogram", "kernel"} and all(v > 0 for v in run["kl"].values())
    assert one["runs"][0]["kl"] != one["runs"][1]["kl"]


def test_every_result_is_a_file_and_a_second_start_does_what_is_missing(folder, monkeypatch):
    assert sorted(path.name for path in folder.glob("*.json") if "floor" not in path.name) == sorted(
        f"{job.name}.json" for job in jobs(TINY)
    )
    ran = []
    monkeypatch.setattr(all_runs, "train", lambda job, *rest: ran.append(job.name) or single.train(job, *rest))
    kept = results(folder, TINY, workers=1)
    assert ran == []
    first, second, third = (job.name for job in jobs(TINY)[:3])
    (folder / f"{first}.json").unlink()
    (folder / f"{second}.json").write_text('{"plan": ')  # cut off by a hand that is not ours
    facts = json.loads((folder / f"{third}.json").read_text())
    (folder / f"{third}.json").write_text(json.dumps(facts | {"plan": {}}))  # of another plan
    again = results(folder, TINY, workers=1)
    assert ran == [first, second, third]
    assert [cell["runs"] for cell in again] == [cell["runs"] for cell in kept]
    assert not list(folder.glob(".*")) and not list(folder.glob("part-*"))


def test_a_cell_that_was_stopped_goes_on(tmp_path, monkeypatch):
    """Ctrl-C in the middle of a cell: what it finds in the end is what it finds undisturbed; with another plan it starts anew."""
    whole = single.train(SHORT, TINY, tmp_path / "whole")["runs"]
    look = GAN.generator_loss

    def stop(self, *args):
        if self.step == 17:
            os.kill(os.getpid(), signal.SIGINT)
        return look(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(GAN, "generator_loss", stop)
        with pytest.raises(KeyboardInterrupt):
            single.train(SHORT, TINY, tmp_path)
        assert single.train(SHORT, TINY, tmp_path)["runs"] == whole  # step 17 is behind it
    (tmp_path / "part-beta_gan-dp_1e-03" / "facts.json").write_text("{}")
    assert single.train(SHORT, TINY, tmp_path)["runs"] == whole


def test_two_workers_find_what_one_finds(tmp_path):
    some = replace(TINY, seeds=1, rates=(1e-2,), long=30, steps=10)
    both = [results(tmp_path / str(workers), some, workers=workers) for workers in (1, 2)]
    assert [cell["runs"] for cell in both[0]] == [cell["runs"] for cell in both[1]]


def test_where_one_member_has_no_finite_loss_each_goes_alone(monkeypatch, tmp_path):
    asked = []

    def raise_(data, fields, recipe, seeds, *rest):
        asked.append(len(seeds))
        if len(seeds) > 1 or len(asked) == 2:
            raise Diverged("The loss is NaN.")
        return raised(data, fields, recipe, seeds, *rest)

    monkeypatch.setattr(single, "raised", raise_)
    first, second = single.train(SHORT, TINY, tmp_path)["runs"]
    assert asked == [2, 1, 1] and first["said"] == "The loss is NaN." and first["kl"] == {} and second["kl"]
    cell = told.Cell("beta", "GAN-DP", 1e-3, 30, (first, second))
    assert cell.spread("kernel").startswith("∞") and cell.paths().shape == (1, 3, 2)
    assert told.Cell("beta", "GAN-DP", 1e-3, 30, (first,)).unrest() == np.inf


def test_a_generator_of_one_value_has_no_density(monkeypatch, tmp_path):
    monkeypatch.setattr(GAN, "_sample", lambda self, n, given=None: self.generate(n, given) * 0)
    for run in single.train(SHORT, TINY, tmp_path)["runs"]:
        assert run["kl"] == {} and "do not spread" in run["said"]


def test_an_interrupted_cell_is_not_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(all_runs, "train", lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        results(tmp_path, TINY, workers=1)
    assert not list(tmp_path.glob("*"))


# ---- what they say ---------------------------------------------------------------------------------------------------
def test_the_floor_is_where_theory_has_it(tmp_path):
    """KL of two histograms of n values of one law: about (B - 1) / n with B filled bins."""
    plan = replace(TINY, values=10_000, draws=3)
    for kl in floors(tmp_path, plan).values():
        assert 0.5 * 99 / 10_000 < kl["histogram"] < 1.1 * 99 / 10_000
        assert 0 < kl["kernel"] < kl["histogram"]


def test_medians_and_verdicts_of_known_numbers():
    def cell(rate, kl):
        paths = [[[3.0, 1.5], [3.0 + 0.15 * seed, 1.5]] for seed in range(3)]
        runs = [
            {"seed": s, "kl": {"histogram": kl + 0.01 * s, "kernel": kl / 2 + 0.005 * s}, "path": paths[s]}
            for s in range(3)
        ]
        return {"job": {"target": "gaussian", "arm": "GAN", "rate": rate, "steps": 10}, "runs": runs}

    found = told.cells([cell(1e-3, 0.1), cell(1e-2, 0.5)])
    assert [(c.rate, c.median("histogram")) for c in found] == [
        (1e-2, pytest.approx(0.51)),
        (1e-3, pytest.approx(0.11)),
    ]
    assert told.best(found, "gaussian", "GAN", TINY).rate == 1e-3
    assert found[1].spread("kernel") == "0.0550 [0.0500, 0.0600]" and found[0].unrest() == 0.0


def test_the_lesson_writes_a_page_with_figures_and_table(tmp_path):
    plan = replace(TINY, values=10_000)
    board = lessons.run("gan-stability", tmp_path, quick=True, plan=plan, workers=1)
    assert [check.what for check in board.checks if not check.holds] == []
    names = {path.name for path in board.files}
    assert {"gan-stability.html", "gan-stability.svg", "gan-stability-wgan-gp-by-rate.png"} <= names and len(names) == 7
    text = (tmp_path / "gan-stability.html").read_text()
    assert text.count("data:image/png;base64") == 3 and "floor: two samples of the truth" in text and SLOW in text
    table = board.tables["each model at its best learning rate"]
    assert [row["model"].split(",")[0] for row in table[:4]] == [*ARMS, SLOW]
    assert len(board.tables["every cell"]) == 2 * (3 * 2 + 1) and len(board.remarks) == 6
