"""Comparisons: paired differences, groups, words; whole runs on data whose family is known; what is stopped goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from math import inf, isnan

import numpy as np
import pandas as pd
import pytest

import pushforward as pf
from pushforward.space import Space
from pushforward.workbench.comparing import around, compare, parts
from pushforward.workbench.comparing.cells import Cell, found, keep, kept, store
from pushforward.workbench.comparing.panel import Entrant, chosen, named, panel
from pushforward.workbench.comparing.standing import Stand, apart, clearly, ranked, top
from pushforward.workbench.comparing.verdict import verdict


def standing(name, rows, baseline="", kind="exact", measures=None, said=""):
    cell = {
        "name": name,
        "seed": 0,
        "said": said,
        "likelihood": {"kind": kind} if kind else None,
        "measures": measures or {},
    }
    return Stand(
        Entrant(name, "Gaussian", f"{name} it is", baseline), [cell], [np.asarray(rows, dtype=float)] if kind else []
    )


def rows(mean, n=400, seed=0):
    """Rows that are as hard for all models, and a small noise of each."""
    hard = 10 * np.random.default_rng(7).normal(size=n)
    return hard + mean + 0.1 * np.random.default_rng(seed).normal(size=n)


def test_differences_are_taken_row_by_row():
    a, b = standing("a", rows(1.0, seed=1)), standing("b", rows(0.9, seed=2))
    gap, error = apart(a, b)
    assert abs(gap - 0.1) < 0.03 and error < 0.01 < 0.3 < a.stderr  # the two means alone say nothing
    assert clearly(a, b) and not clearly(b, a)


def test_impossible_rows_decide():
    a, b = standing("a", rows(1.0)), standing("b", [-inf, *rows(1.0)[1:]])
    assert apart(a, b)[0] == inf and apart(b, a)[0] == -inf and clearly(a, b) and not clearly(b, a)
    both = standing("c", [-inf, *rows(1.0)[1:]])
    assert apart(b, both)[0] == 0.0
    other = standing("d", [*rows(1.0)[:-1], -inf])
    assert isnan(apart(b, other)[0]) and not clearly(b, other)
    worse = standing("e", [-inf] * 30 + list(rows(1.0)[30:]))
    assert [one.name for one in ranked([worse, b, a])] == ["a", "b", "e"]
    assert [one.name for one in ranked([b, a])] == ["a", "b"] and b.impossible == 1


def test_groups_and_order():
    best, near = standing("best", rows(1.0, seed=1)), standing("near", rows(1.0, seed=2))
    far, game = standing("far", rows(0.5, seed=3)), standing("game", [], kind="")
    lost = standing("lost", [], kind="", said="no memory")
    lost.rows = []
    order = ranked([lost, game, far, near, best])
    assert [one.name for one in order][2:] == ["far", "game", "lost"]
    assert {one.name for one in top(order)} <= {"best", "near"} and "far" not in {one.name for one in top(order)}


def test_seeds_count_as_error():
    a = standing("a", rows(1.0, seed=1))
    a.rows.append(rows(2.0, seed=2))
    b = standing("b", rows(1.2, seed=3))
    gap, error = apart(a, b)
    assert abs(gap - 0.3) < 0.05 and error > 0.4 and not clearly(a, b)


def test_more_seeds_do_not_average_out_what_the_common_rows_do():
    one = standing("one", rows(1.0), measures={"copied": {"value": 0.4, "stderr": 0.2}})
    one.cells = one.cells * 4
    assert one.mean("copied") == pytest.approx((0.4, 0.2)) and not any("copies" in said for said in verdict([one]))


def test_words_say_that_nothing_beats_the_marginals():
    margin = standing("marginals", rows(1.0, seed=1), "marginals")
    assert "Nothing beats the marginals" in verdict([margin, standing("MAF", rows(0.99, seed=2))])[0]
    said = verdict([margin, standing("MAF", rows(2.0, seed=2))])[0]
    assert said.startswith("By likelihood, take MAF") and "1.0" in said
    simple = verdict([margin, standing("Gaussian", rows(2.0, seed=2), "gaussian"), standing("MAF", rows(1.5, seed=3))])[
        0
    ]
    assert simple.startswith("A simple model is enough") and "Gaussian" in simple


def test_words_about_samples_memory_and_failures():
    def measures(auc, near):
        return {
            "told apart": {"value": auc, "stderr": 0.01},
            "copied": {"value": near, "stderr": 0.01},
        }

    stands = [
        standing("copy", [], "copy", "", measures(0.5, 1.0)),
        standing("GAN", [], kind="", measures=measures(0.6, 0.01)),
        standing("parrot", [], kind="", measures=measures(0.55, 0.9)),
        standing("lost", [], kind="", said="There was not enough memory."),
    ]
    stands[1].cells[0] |= {"broken": 7, "drawn": 100}
    said = " ".join(verdict(stands))
    assert "GAN drew 7 of 100 rows with numbers that are not finite" in said
    assert "By its samples, parrot comes nearest" in said and "AUC of 0.550" in said
    assert "copies of rows that were learned from" in said and "parrot (90 %)" in said and "copy (" not in said
    assert "lost did not come to an end: There was not enough memory." in said


def test_the_panel_suits_the_data():
    real = {one.name for one in panel(Space("real", (5,)), 2000)}
    assert {"marginals", "Gaussian", "mixture", "copy", "MAF", "GAN"} <= real
    text = {one.name for one in panel(Space.of(["abc", "ab"]), 2000)}
    assert {"marginals", "Markov", "copy", "GPT"} == text
    assert "kernels" not in {one.name for one in panel(Space("real", (5,)), 10**6)}  # it compares with every row
    asked = panel(Space("real", (5,)), 100, ["realnvp", "WGAN"])
    assert [one.name for one in asked if not one.baseline] == ["RealNVP", "WGAN"] and any(
        one.baseline == "copy" for one in asked
    )
    with pytest.raises(pf.Problem, match="These take them"):
        named("GPT", Space("real", (5,)))
    with pytest.raises(pf.Problem, match="twice"):
        chosen("MADE,MADE")


def test_bad_input():
    with pytest.raises(pf.Problem, match="There are 3 examples"):
        compare(np.random.default_rng(0).normal(size=(3, 2)), time="5s")
    with pytest.raises(pf.Problem, match="held=2"):
        compare(np.zeros((50, 2)), time="5s", held=2)
    with pytest.raises(pf.Problem, match="time"):
        compare(np.zeros((50, 2)), time=0)
    with pytest.raises(pf.Problem, match="page is awaited"):
        compare(np.random.default_rng(0).normal(size=(50, 2)), time="5s", out="folder")


def test_another_comparison_is_not_replaced_unasked(tmp_path):
    x, page = np.random.default_rng(0).normal(size=(80, 2)), tmp_path / "page.html"
    compare(x, "Gaussian", time="3s", out=page)
    with pytest.raises(pf.Problem, match="another comparison"):
        compare(x, "PCA", time="3s", out=page)
    assert (tmp_path / "page.runs" / "Gaussian-0" / "facts.json").is_file()
    done = compare(x, "PCA", time="3s", out=page, overwrite=True)
    assert "PCA" in {one.name for one in done.stands}
    for wrong in ({"workers": -1}, {"seeds": -2}):
        with pytest.raises(pf.Problem, match="at least 0"):
            compare(x, "PCA", time="3s", **wrong)


def test_who_was_named_stands_once():
    names = [one.name for one in panel(Space("real", (5,)), 100, ["gaussian", "Copula"])]
    assert names.count("Gaussian") == 1 and sorted(names) == sorted(set(names))
    with pytest.raises(pf.Problem, match="twice"):
        chosen("Copula,copula")


def test_a_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "page.runs").mkdir()
    (tmp_path / "page.runs" / "thesis.txt").write_text("mine")
    with pytest.raises(pf.Problem, match="not of a comparison"):
        compare(np.random.default_rng(0).normal(size=(50, 2)), time="5s", out=tmp_path / "page.html")
    assert (tmp_path / "page.runs" / "thesis.txt").read_text() == "mine"


def test_the_parts_of_a_sorted_file_are_shuffled():
    x = np.arange(2000.0)[:, None] + np.zeros((1, 2))
    train, test, _ = parts(pf.data.load(x), 0.2, 0)
    for part in (train, test):
        assert abs(float(part.x[:150, 0].mean()) - 1000) < 200 and len(part.x.unique(dim=0)) == len(part)
    assert len(train) == 1600 and len(test) == 400


def test_repeated_rows_and_few_rows_are_warned_of():
    x = np.repeat(np.random.default_rng(0).normal(size=(100, 2)), 5, 0)
    facts = parts(pf.data.load(x), 0.2, 0)[2]
    assert any("stand in the training rows too" in text for text in facts["warnings"])
    assert any("All rows are the same" in text for text in parts(pf.data.load(np.ones((50, 2))), 0.2, 0)[2]["warnings"])
    assert any("only 10 test rows" in text for text in parts(pf.data.load(np.ones((50, 2))), 0.2, 0)[2]["warnings"])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A comparison on data of a mixture of three, as a user runs it."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0, 0.0], [6.0, 0.0, 3.0], [0.0, 7.0, -3.0]])
    x = centres[rng.integers(3, size=1500)] + rng.normal(size=(1500, 3)) @ np.array(
        [[1.0, 0.8, 0.0], [0.0, 0.6, 0.5], [0.0, 0.0, 0.4]]
    )
    out = tmp_path_factory.mktemp("compare") / "page.html"
    return x, out, compare(x, "Gaussianization", time="20s", out=out)


def test_the_known_family_is_in_the_top_group(mixed):
    _, out, done = mixed
    assert "mixture" in done.top and "marginals" not in done.top and "Gaussian" not in done.top
    assert done.said[0].startswith(
        ("A simple model is enough: nothing is likelier than the baseline mixture", "By likelihood, take")
    )
    assert json.loads(json.dumps(done.to_json(), allow_nan=False))["top"] == done.top
    text = out.read_text()
    assert "http" not in text.replace("http-equiv", "") and "What to take" in text and "mixture" in text
    assert np.isfinite(done.load("mixture").score(np.zeros((1, 3)))) and "mixture" in str(done)
    assert "halves of the real rows, each of half as many, it is 0." in text and re.search(
        r"0\.\d+\xa0±\xa00\.0", text
    )  # told apart


def test_the_copy_is_seen_through(mixed):
    copy = next(one for one in mixed[2].stands if one.name == "copy")
    others = [one.mean("copied") for one in mixed[2].stands if one.name in ("marginals", "mixture", "Gaussian")]
    assert copy.mean("copied")[0] > 0.99 and all(abs(value) < 4 * error for value, error in others)
    assert copy.mean("told apart")[0] < 0.58
    assert copy.name != mixed[2].best


def test_what_is_there_is_not_run_again(mixed):
    x, out, done = mixed
    stamps = {path: path.stat().st_mtime_ns for path in (out.with_suffix(".runs")).glob("*/facts.json")}
    assert stamps
    lost = out.with_suffix(".runs") / "Gaussian-0"
    (lost / "facts.json").unlink()
    said = []
    again = compare(x, "Gaussianization", time="20s", out=out, tell=said.append)
    assert [text.split(":")[0] for text in said[1:]] == ["Gaussian-0"] and "6 models" in said[0]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items() if path.parent != lost)
    assert [one.name for one in again.stands] == [one.name for one in done.stands]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no process groups here")
def test_judging_that_takes_long_is_taken_from_the_time_to_learn(tmp_path):
    cells = [Cell(Entrant(name, "Gaussian", "it is"), 0, 0.0) for name in ("quick", "slow", "lost")]
    for cell, seconds, learning in zip(cells, (3.0, 41.0, 7.0), (1.0, 2.0, None), strict=True):
        store(tmp_path, cell.name, {"seconds": seconds, "learning": learning}, {})
    assert around(tmp_path, cells) == 43.0 and around(tmp_path, cells[:1]) == 12.0


def test_ctrl_c_keeps_what_is_finished_and_half_of_nothing(tmp_path):
    np.save(tmp_path / "x.npy", pf.data.toys.moons(300, seed=0))
    words = [
        sys.executable,
        "-m",
        "pushforward",
        "compare",
        "x.npy",
        "--models",
        "MADE",
        "--time",
        "90s",
        "--seeds",
        "1",
        "-o",
        "x.html",
    ]
    run = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 60
    while not (tmp_path / "x.runs" / "MADE-0.pf").exists() and time.monotonic() < until and run.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of the group
    told = run.communicate(timeout=60)[1]
    assert run.returncode == 130 and "the same command goes on" in told and "Traceback" not in told, told
    assert (tmp_path / "x.runs" / "copy-0" / "facts.json").is_file() and not (tmp_path / "x.runs" / "MADE-0").exists()


def test_on_independent_noise_nothing_beats_the_marginals():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.gamma(2.0, size=1500), "b": rng.uniform(size=1500), "c": rng.normal(size=1500)})
    done = compare(frame, "Gaussianization", time="15s")
    assert "Nothing beats the marginals" in done.said[0]
    with pytest.raises(pf.Problem, match="not kept"):
        done.load("Gaussian")


def test_columns_that_determine_one_another_are_not_compared_by_likelihood():
    x = np.random.default_rng(0).normal(size=(300, 2))
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "sum": x.sum(1)})
    done = compare(table, "Gaussian,KernelDensity", time="10s")
    assert done.facts["singular"] == [["a", "b", "sum"]] and done.top == []
    assert done.said[0].startswith("A density of these data has no limit")
    assert any("a, b, sum determine one another" in said for said in done.facts["warnings"])
    assert "no limit" in {row["kind"] for row in done.rows()} <= {"no limit", "not done"} and all(
        row["nats"] is None for row in done.rows()
    )
    assert any("By its samples" in said for said in done.said)


def test_a_script_without_a_guard_compares(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(
        "import pushforward as pf\nprint('once')\n"
        "done = pf.compare(pf.data.toys.moons(100), models=['Histogram'], time='1s', workers=1)\n"
        "print(done.best, len(repr(done)) < 9000)\n"
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert ended.stdout.count("once") == 1 and ended.stdout.endswith("True\n") and "Error" not in ended.stderr


@pytest.mark.parametrize("cut", ["facts.json", "nats.npy"])
def test_half_of_a_cell_is_learned_again(tmp_path, cut):
    cell = Cell(Entrant("Histogram", "Histogram", "it is"), 0, 0.0)
    store(tmp_path, cell.name, {"name": "Histogram"}, {"nats": np.arange(5.0)})
    assert found(tmp_path, cell.name)[1]["nats"].tolist() == [0, 1, 2, 3, 4]
    for size in (9, 0):
        os.truncate(tmp_path / cell.name / cut, size)
        assert found(tmp_path, cell.name) is None


def test_rows_of_a_comparison_that_are_gone_are_told(tmp_path):
    keep(tmp_path, pf.Examples(np.arange(6.0).reshape(3, 2)), "train")
    assert kept(tmp_path, "train").x.tolist() == [[0, 1], [2, 3], [4, 5]]
    for name in ("train.npy", "space.json"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(pf.BadFile, match="Begin it anew with overwrite"):
            kept(tmp_path, "train")
