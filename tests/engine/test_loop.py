"""The loop: resume bit for bit, roll back, stop, average, and the same weights on two processes as on one."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import pushforward as pf
from pushforward.engine import checkpoint, files
from pushforward.errors import BadFile, Diverged, Usage

sys.path.insert(0, str(Path(__file__).parent))
from lines import Line, Trap

X = np.random.default_rng(0).normal(2.0, 3.0, size=(200, 3))


def weights(model):
    return {name: t.clone() for name, t in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_fit_finds_the_mean_and_scale():
    model = Line().fit(X, epochs=200, lr=0.05, schedule="cosine", quiet=True, valid=0)
    assert np.allclose(model.sample(20000, seed=0).mean(0), X.mean(0), atol=0.15)
    assert np.allclose(model.sample(20000, seed=0).std(0), X.std(0), atol=0.2)


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    one, two, three = (Line(drop=0.3).fit(X, steps=40, seed=s, quiet=True) for s in (1, 1, 2))
    assert same(weights(one), weights(two)) and not same(weights(one), weights(three))


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_learning_does_not_mind_what_stands_around_it(around):
    alone = Line().fit(X, steps=20, quiet=True)
    with around():
        assert same(weights(alone), weights(Line().fit(X, steps=20, quiet=True)))


@pytest.mark.parametrize(
    "changes",
    [{}, {"ema": 0.9}, {"accumulate": 2}, {"optimizer": "rmsprop"}, {"schedule": "cosine", "warmup": 5, "clip": 1.0}],
)
def test_resume_is_bit_exact(tmp_path, changes):
    how = dict(seed=3, batch=32, quiet=True, every=7, **changes)
    whole = Line(drop=0.2).fit(X, steps=50, **how)
    Line(drop=0.2).fit(X, steps=50, out=tmp_path / "m.pf", callbacks=[lambda m: m.step == 23], **how)
    again = Line(drop=0.2).fit(X, steps=50, out=tmp_path / "m.pf", resume=True, **how)
    assert same(weights(whole), weights(again))
    assert (
        again.outcome_["best_step"] == whole.outcome_["best_step"] and again.outcome_["best"] == whole.outcome_["best"]
    )


def test_a_nan_is_undone_with_half_the_rate():
    said = []
    model = Trap(at=60, times=9).fit(X, steps=120, quiet=True, every=20, callbacks=[lambda m: said.append(m.step)])
    assert np.isfinite(model.score(X))
    assert any("back to step" in entry.get("said", "") for entry in model.history_)


def test_a_nan_that_comes_back_ends_in_diverged_with_the_last_good_state():
    model = Trap(at=60, times=99)
    with pytest.raises(Diverged, match=r"step \d+.*Try lr="):
        model.fit(X, steps=120, quiet=True, every=20)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_accumulated_gradients_are_those_of_the_whole_batch():
    one = Line().fit(X, steps=1, batch=64, lr=0.1, optimizer="sgd", beta1=0.0, quiet=True, precision="float64", valid=0)
    two = Line().fit(
        X, steps=1, batch=64, lr=0.1, optimizer="sgd", beta1=0.0, quiet=True, precision="float64", valid=0, accumulate=4
    )
    assert all(
        torch.allclose(a, b, atol=1e-12) for a, b in zip(weights(one).values(), weights(two).values(), strict=True)
    )


def test_early_stopping_keeps_the_best_model():
    model = Line().fit(X, steps=100000, lr=0.1, every=10, patience=3, quiet=True)
    assert model.outcome_["reason"] == "patience" and model.outcome_["step"] < 100000
    assert model.outcome_["best_step"] <= model.outcome_["step"]


def test_time_ends_a_run():
    began = time.monotonic()
    model = Line().fit(X, time="0.5s", quiet=True, patience=0)
    assert model.outcome_["reason"] == "time" and time.monotonic() - began < 20


def test_a_batch_larger_than_the_data_is_the_data():
    assert np.isfinite(Line().fit(X[:5], steps=5, batch=512, quiet=True).score(X[:5]))


def test_one_row_fits():
    assert np.isfinite(Line().fit(X[:1], steps=5, quiet=True).score(X[:1]))


def test_ctrl_c_finishes_the_step_and_leaves_a_usable_model(tmp_path):
    def press(moment):
        if moment.event == "step" and moment.step == 10:
            os.kill(os.getpid(), signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    model = Line().fit(X, steps=10**6, out=tmp_path / "m.pf", callbacks=[press], quiet=True, patience=0)
    assert model.outcome_["reason"] == "interrupted" and model.outcome_["step"] <= 12
    assert np.isfinite(model.score(X)) and files.verify(tmp_path / "m.pf") >= 3
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_saves_and_leaves_with_143(tmp_path):
    def press(moment):
        if moment.event == "step" and moment.step == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as left:
        Line().fit(X, steps=10**6, out=tmp_path / "m.pf", callbacks=[press], quiet=True, patience=0)
    assert left.value.code == 143
    tensors, state = checkpoint.newest(tmp_path / "m.pf" / "checkpoints")
    assert state["step"] >= 10 and "model.mean" in tensors


def test_a_damaged_checkpoint_is_passed_over_for_an_older_whole_one(tmp_path):
    checkpoint.write(tmp_path, 1, {"a": torch.ones(2)}, {"step": 1})
    newer = checkpoint.write(tmp_path, 2, {"a": torch.zeros(2)}, {"step": 2})
    blob = bytearray((newer / "state.safetensors").read_bytes())
    blob[-1] ^= 1
    (newer / "state.safetensors").write_bytes(blob)
    assert checkpoint.newest(tmp_path)[1]["step"] == 1


def test_a_write_that_fails_leaves_the_old_folder(tmp_path):
    with files.staged(tmp_path / "m") as stage:
        (stage / "a").write_text("old")
    with pytest.raises(OSError, match="full"), files.staged(tmp_path / "m") as stage:
        (stage / "a").write_text("new")
        raise OSError("disk full")
    assert (tmp_path / "m" / "a").read_text() == "old" and files.verify(tmp_path / "m") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_the_journal_is_json_lines(tmp_path):
    Line().fit(X, steps=100, out=tmp_path / "m.pf", quiet=True)
    entries = [json.loads(line) for line in (tmp_path / "m.pf" / "journal.jsonl").read_text().splitlines()]
    assert any("loss" in e for e in entries) and any("valid" in e for e in entries)


def test_tensorboard_on_request(tmp_path):
    Line().fit(X, steps=60, out=tmp_path / "m.pf", quiet=True, tensorboard=True)
    assert list((tmp_path / "m.pf" / "tensorboard").glob("events*"))


def test_a_misspelt_setting_is_named():
    with pytest.raises(Usage, match="Did you mean 'steps'"):
        Line().fit(X, step=3)
    with pytest.raises(Usage, match="not a time"):
        Line().fit(X, time="soon")
    with pytest.raises(Usage, match="Did you mean 'adam'"):
        Line().fit(X, optimizer="adm")


def test_an_existing_output_is_refused(tmp_path):
    Line().fit(X, steps=3, out=tmp_path / "m.pf", quiet=True)
    with pytest.raises(Usage, match="exists"):
        Line().fit(X, steps=3, out=tmp_path / "m.pf", quiet=True)
    Line().fit(X, steps=3, out=tmp_path / "m.pf", quiet=True, overwrite=True)


def test_a_foreign_class_is_refused(tmp_path):
    Line().fit(X, steps=3, quiet=True).save(tmp_path / "m.pf")
    with pytest.raises(BadFile, match="trust="):
        pf.load(tmp_path / "m.pf")
    assert pf.load(tmp_path / "m.pf", trust="lines").size() > 0


def test_a_flipped_byte_is_named(tmp_path):
    place = Line().fit(X, steps=3, quiet=True).save(tmp_path / "m.pf")
    blob = bytearray((place / "weights.safetensors").read_bytes())
    blob[-3] ^= 4
    (place / "weights.safetensors").write_bytes(blob)
    with pytest.raises(BadFile, match=r"weights\.safetensors has changed"):
        pf.load(place, trust="lines")


PROCESS = """
import sys
sys.path.insert(0, {here!r})
import numpy as np, torch
torch.set_num_threads(1)
from safetensors.torch import save_file
from lines import Line
X = np.random.default_rng(0).normal(2.0, 3.0, size=(200, 3))
for shards in (False, True):
    how = dict(steps=25, batch=64, seed=4, precision="float64", quiet=True, shards=shards, every=10, out=f"{out}/{{shards}}.pf")
    Line().fit(X, callbacks=[lambda m: m.step == 11], **how)
    model = Line().fit(X, resume=True, **how)
    if int(__import__("os").environ["RANK"]) == 0:
        save_file({{n: t.contiguous().clone() for n, t in model.state_dict().items()}}, {out!r} + f"/{{shards}}.safetensors")
torch.distributed.destroy_process_group()
"""


def test_two_processes_take_the_steps_of_one(tmp_path):
    """Tolerance 1e-12 in float64: the only difference is the order of a sum."""
    script = tmp_path / "run.py"
    script.write_text(PROCESS.format(here=str(Path(__file__).parent), out=str(tmp_path)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    alone = Line().fit(X, steps=25, batch=64, seed=4, precision="float64", quiet=True, every=10)
    for shards in (False, True):
        together = load_file(tmp_path / f"{shards}.safetensors")
        for name, t in alone.state_dict().items():
            assert torch.allclose(t, together[name], atol=1e-12, rtol=0), (shards, name)


@pytest.mark.parametrize(
    ("change", "data", "told"),
    [
        ({"seed": 5}, X, r"seed was 3 and is 5, and the examples are others"),  # others are held out
        ({"lr": 0.5}, X, r"bit: lr was 0.001 and is 0.5\.$"),
        ({}, X + 1e-9, r"bit: the examples are others\.$"),
        ({}, X[:150], r"the examples are others"),
        ({"steps": 70, "patience": 3, "keep": 5}, X, r"^Going on from step 25\.$"),
    ],
)
def test_resume_says_what_is_not_as_it_was(tmp_path, change, data, told):
    how = dict(seed=3, batch=32, quiet=True, steps=60, every=10)
    Line().fit(X, out=tmp_path / "m.pf", callbacks=[lambda m: m.step == 25], **how)
    again = Line().fit(data, out=tmp_path / "m.pf", resume=True, **how | change)
    assert re.search(told, [e["said"] for e in again.history_ if "said" in e][0])


def test_a_checkpoint_of_other_fields_is_refused_though_its_shapes_fit(tmp_path):
    Line(drop=0.2).fit(X, steps=5, out=tmp_path / "m.pf", quiet=True)
    with pytest.raises(Usage, match=r"is of Line\(drop=0.2\); this is Line\(\)\. Resume with the same fields"):
        Line().fit(X, steps=9, out=tmp_path / "m.pf", resume=True, quiet=True)


def test_a_damaged_checkpoint_that_is_passed_over_is_named(tmp_path):
    Line().fit(X, steps=20, out=tmp_path / "m.pf", quiet=True, keep=0.0, every=10)
    newest = tmp_path / "m.pf" / "checkpoints" / "step-000000020"
    (newest / "state.json").write_text("{}")
    again = Line().fit(X, steps=30, out=tmp_path / "m.pf", resume=True, quiet=True)
    assert [e["said"] for e in again.history_ if "said" in e] == [
        f"{newest} is damaged, and is passed over.",
        "Going on from step 10.",
    ]


def test_slow_steps_are_kept_between_two_looks(tmp_path):
    """Every step is slower than `keep` here, so what a kill takes is one step, not those up to the next look."""
    how = dict(batch=32, quiet=True, steps=30)

    def stop(moment):
        if moment.step == 7:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        Line(drop=0.2).fit(X, out=tmp_path / "m.pf", callbacks=[stop], keep=1e-9, **how)
    assert [step for step, _ in checkpoint.places(tmp_path / "m.pf" / "checkpoints")] == [5, 6]
    again = Line(drop=0.2).fit(X, out=tmp_path / "m.pf", resume=True, **how)
    assert same(weights(again), weights(Line(drop=0.2).fit(X, **how)))


def test_settings_out_of_range_are_named_before_the_first_step():
    wrong = {
        "time": [0, "0s"],
        "warmup": [-1, 1.5],
        "keep": ["60", -1.0],
        "seed": [None, 1.5, "a"],
        "lr": [np.nan, np.inf, True],
    }
    wrong |= {
        "beta1": [2.0],
        "beta2": [1.0],
        "decay": [-1],
        "steps": [2.5],
        "batch": [1.5, 0],
        "accumulate": [1.5],
        "clip": [np.nan],
    }
    wrong |= {"ema": ["x"], "every": [0.5], "compile": ["yes"], "epochs": [np.nan], "valid": [0.95]}
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(Usage, match=f"{name}=.*(is awaited|not a time)"):
                Line.recipe.change(**{name: value})
    fine = Line.recipe.change(steps=1e4, batch=np.int64(32), lr=np.float32(0.5), seed=np.int64(3))
    assert [type(v) for v in (fine.steps, fine.batch, fine.lr, fine.seed)] == [int, int, float, int]


def test_the_time_left_of_a_run_of_so_many_seconds_is_told(monkeypatch, capsys):
    monkeypatch.setattr("pushforward.engine.journal.PLAIN", 0.0)
    Line().fit(X, time="1s", every=5)
    left = [float(word) for word in re.findall(r"about (\d+) s left", capsys.readouterr().err)]
    assert left and max(left) <= 60
