"""The report on a saved model: what the page remembers of its training, baselines, the command and its mistakes."""

import json
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer

import pushforward as pf
from pushforward.cli import judging
from pushforward.errors import BadData, BadFile, Problem, Usage
from pushforward.workbench import fit, make, write
from pushforward.workbench.reporting import BASELINES, baselines, journal, report


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Saved models and their data."""
    folder, here = tmp_path_factory.mktemp("shelf"), Path.cwd()
    os.chdir(folder)
    try:
        for name, n in (("moons", 300), ("people", 300), ("sentences", 120)):
            suffix = {"moons": "npy", "people": "csv", "sentences": "txt"}[name]
            for part, seed in (("train", 0), ("test", 1)):
                data, space = make(name, n, seed)
                write(data, space, f"{name}-{part}.{suffix}")
        fit("moons-train.npy", "MAF", "moons.pf", pairs=["steps=60", "hidden=16", "every=10"], seed=3, quiet=True)
        fit("people-train.csv", "MADE", "people.pf", pairs=["steps=30", "hidden=16"], quiet=True)
        fit("iris", "VAE", "iris.pf", pairs=["steps=15", "hidden=16"], given=["species"], quiet=True)
        fit("moons-train.npy", "GAN", "gan.pf", pairs=["steps=5"], quiet=True)
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def here(shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    return shelf


def go(line):
    """The command alone, as an application of its own."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(judging.report)
    return app(args=shlex.split(line), standalone_mode=False)


def test_a_saved_model_brings_its_training_along(here):
    told = report("moons.pf", "moons-test.npy", train="moons-train.npy", n=100, quick=True)
    facts = told.to_json()
    assert facts["training"]["ended_by"] == "steps" and len(facts["training"]["curve"]) >= 6
    assert "Training curves" in told.html() and "learning rate" in told.html()  # MAF's recipe has a cosine schedule
    assert facts["again"]["made"]["hash"] and facts["again"]["made"]["path"] == "moons.pf"
    assert (
        "steps=60" in facts["again"]["fit"]
        and "seed=3" in facts["again"]["fit"]
        and "hidden=(16,)" in facts["again"]["fit"]
    )
    assert set(facts["likelihood"]["baselines"]) == {"a product of marginals", "a Gaussian"}
    assert facts["data"]["training_rows"] == 300 and facts["likelihood"]["training"]["rows"] == 300


def test_without_training_rows_one_half_is_for_the_baselines(here):
    told = report("people.pf", "people-test.csv", n=100, quick=True)
    facts = told.to_json()
    assert facts["data"]["rows"] == 150 and "from the others the baselines learned" in told.html()
    lead = facts["likelihood"]["baselines"]["a product of marginals"]["lead"]
    assert lead["rows"] + lead["impossible_for_baseline"] == 150
    assert "not known" in told.verdict[2].word.lower()


def test_rows_in_memory_are_taken_too(here):
    model, x = pf.load("moons.pf"), np.load("moons-test.npy")
    assert report(model, x, n=50, quick=True).to_json()["data"]["rows"] == 150
    few = report(model, x[:20], n=50, quick=True).to_json()
    assert "fewer than" in few["likelihood"]["baselines"]["a Gaussian"]["not_known"]
    with pytest.raises(BadData, match="There are 3 rows; a report needs 10"):
        report(model, x[:3])


def test_a_conditional_model_is_told_what_is_given(here):
    facts = report("iris.pf", "iris", n=50, quick=True).to_json()
    assert facts["data"]["rows"] == 75 and facts["samples"]["drawn"] == 50
    assert all("not told what is given" in name for name in facts["likelihood"]["baselines"])


def test_baselines_are_simple_and_of_the_space():
    x = np.random.default_rng(0).normal(size=(100, 2)) + [0, 5]
    model = pf.Gaussian().fit(x)
    found = baselines(model, model.space.read(x), 0)
    alone = found["a product of marginals"]
    grid = np.stack(np.meshgrid(np.linspace(-6, 6, 120), np.linspace(-1, 11, 120)), -1).reshape(-1, 2)
    density = np.exp(alone.log_prob(grid)).reshape(120, 120)
    assert density.sum() * 0.1008**2 == pytest.approx(1, abs=0.03)
    outer = np.outer(density.sum(1), density.sum(0)) / density.sum()
    assert np.abs(density - outer).max() < 1e-5 * density.max()  # it knows nothing of how columns belong together
    assert {kind for *_, kinds in BASELINES for kind in kinds} == {"real", "binary", "levels", "tokens", "table"}


def test_a_journal_that_was_cut_short_is_read(tmp_path):
    place = tmp_path / "journal.jsonl"
    place.write_text('{"step": 1, "loss": 2.0}\n{"said": "x"}\n{"step": 2, "lo')
    assert journal(place) == [{"step": 1, "loss": 2.0}, {"said": "x"}]
    place.write_text('{"step": 1\n{"step": 2}\n')
    with pytest.raises(BadFile, match="line 1"):
        journal(place)
    assert journal(tmp_path / "none") == []


# ---- the command -----------------------------------------------------------------------------------------------------------
def test_the_command_writes_a_page_and_says_the_verdict(here, capsys, tmp_path):
    go(f"moons.pf moons-test.npy --train moons-train.npy --quick -n 100 -o {tmp_path}/a.html")
    out, err = capsys.readouterr()
    html = (tmp_path / "a.html").read_text()
    assert len(out.strip().splitlines()) == 3 and "The page is" in err
    assert all(line.partition(". ")[2][:25] in html for line in out.strip().splitlines())
    assert "pushforward report moons.pf moons-test.npy --train moons-train.npy --seed 0 -n 100 --quick" in html
    assert not list(tmp_path.glob(".*"))


def test_the_command_gives_every_number_as_json(here, capsys, tmp_path):
    go(f"people.pf people-test.csv --quick -n 60 --json -o {tmp_path}/b.html")
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert facts["out"].endswith("b.html") and facts["quality"]["c2st"]["logistic auc"]["floor"] == 0.5 and err == ""


def test_the_command_refuses_what_it_cannot_do(here, tmp_path):
    cases = {
        f"moons.pf people-test.csv -o {tmp_path}/c.html": (BadData, "not of the space"),
        f"moons.pf moons-test.npy -o {tmp_path}/c.png": (Usage, "ends in .html"),
        f"none.pf moons-test.npy -o {tmp_path}/c.html": (BadFile, "no model"),
        f"moons.pf none.npy -o {tmp_path}/c.html": (BadFile, "none.npy"),
        f"moons.pf moons-test.npy --given species=x -o {tmp_path}/c.html": (Usage, "without a condition"),
    }
    for line, (kind, words) in cases.items():
        with pytest.raises(kind, match=words):
            go(line)
    assert not list(tmp_path.iterdir())
    (tmp_path / "d.html").write_text("mine")
    with pytest.raises(Problem, match="exists"):
        go(f"moons.pf moons-test.npy -o {tmp_path}/d.html")
    assert (tmp_path / "d.html").read_text() == "mine"


def test_a_game_without_likelihood_has_a_page_and_a_diagnosis(here):
    told = report("gan.pf", "moons-test.npy", n=60, quick=True)
    facts = told.to_json()
    assert told.verdict[0].word == "Not known" and facts["diagnosis"]["said"] and facts["likelihood"]["not_known"]
