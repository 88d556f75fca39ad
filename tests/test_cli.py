"""The command line: every verb, every bad input (its exit code and one sentence), nothing heavy before a verb runs."""

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import pushforward as pf
from pushforward import catalogue
from pushforward.cli import run
from pushforward.engine import Journal


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Data and models that the tests read and do not change."""
    folder, here = tmp_path_factory.mktemp("shelf"), Path.cwd()
    os.chdir(folder)
    try:
        for line in (
            "data make people -n 120 -o people.csv",
            "data make moons -n 120 -o moons.npy",
            "data make digits -n 40 -o scans",
            "data make sentences -n 60 -o lines.txt",
            "fit people.csv -m Histogram --set bins=4 -q",
            "fit people.csv -m VAE --set steps=15 --set hidden=16 --set latent=3 -o mixed.pf -q",
            "fit moons.npy -m VAE --set steps=15 --set hidden=16 --set latent=2 -o plane.pf -q",
            "fit scans -m VAE --set steps=3 --set hidden=16 --set latent=3 -o images.pf -q",
            "fit iris --given species -m VAE --set steps=15 --set hidden=16 -o iris.pf -q",
            "fit moons.npy -m GAN --set steps=3 -o gan.pf -q",
        ):
            assert run(shlex.split(line)) == 0, line
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def shell(shelf, tmp_path, monkeypatch, capsys):
    """`go("fit …")` -> (exit code, standard output, standard error), in a folder of its own beside copies of the shelf."""
    work = tmp_path / "work"
    shutil.copytree(shelf, work)
    monkeypatch.chdir(work)
    monkeypatch.setenv("COLUMNS", "160")

    def go(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(shlex.split(line))
        out, err = capsys.readouterr()
        return code, out, err

    return go


def refused(found: tuple[int, str, str], code: int, *words: str) -> None:
    """One line on standard error, that exit code, no traceback, nothing on standard output."""
    got, out, err = found
    assert got == code, err
    assert out == "" and err.count("\n") == 1 and err.startswith("pushforward: ") and "Traceback" not in err
    for word in words:
        assert word in err, err


# ---- before anything heavy -------------------------------------------------------------------------------------------
def test_help_version_and_completion_import_nothing_heavy():
    script = """
import os, sys
from pushforward.cli import run
for line in (["--help"], ["--version"], ["models", "--help"], ["fit", "--help"], ["data", "list"], ["ftt"]):
    try:
        run(line)
    except SystemExit:
        pass
os.environ |= {"_PUSHFORWARD_COMPLETE": "complete_bash", "COMP_WORDS": "pushforward fit x --model his", "COMP_CWORD": "4"}
try:
    run([])
except SystemExit:
    pass
heavy = {"torch", "pandas", "sklearn", "numpy", "matplotlib", "scipy"} & set(sys.modules)
print("HEAVY", sorted(heavy))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    assert done.stdout.split("HEAVY")[0].strip().splitlines()[-1] == "histogram"  # what completion offered
    assert f"pushforward {version('pushforward')}" in done.stdout
    assert "Did you mean 'fit'?" in done.stderr


def test_no_words_at_all_is_help(shell):
    code, out, _ = shell("")
    assert code == 0 and "fit" in out and "sample" in out
    code, out, _ = shell("data")
    assert code == 0 and "make" in out


# ---- every verb ------------------------------------------------------------------------------------------------------
def test_fit_chooses_a_model_and_says_which_and_why(shell):
    code, out, err = shell("fit moons.npy")
    assert code == 0 and Path("moons.pf/card.json").exists()
    name = json.loads(Path("moons.pf/card.json").read_text())["class"]
    assert f"No model was named: {name} it is." in err and "120 examples" in err
    assert "saved in" in out and "moons.pf" in out
    code, out, _ = shell("fit moons.npy --overwrite --json")
    facts = json.loads(out)
    assert facts["model"] == name and "120 examples" in facts["why"] and facts["out"] == "moons.pf"


def test_fit_takes_fields_and_recipe_and_seed(shell):
    code, out, _ = shell(
        "fit moons.npy -m vae --set latent=5 --set hidden=8,8 --set lr=0.01 --set steps=4 --seed 7 -o a.pf --json"
    )
    facts, card = json.loads(out), json.loads(Path("a.pf/card.json").read_text())
    assert code == 0 and facts["steps"] == 4 and facts["fields"]["hidden"] == [8, 8]
    assert card["fields"]["latent"] == 5 and card["recipe"]["lr"] == 0.01 and card["recipe"]["seed"] == 7
    assert facts["held_out_nats"] < 0 and facts["ended_by"] == "steps"
    assert facts["abilities"]["bound"] == "lower bound"
    code, out, _ = shell("fit moons.npy -m vae --set recipe.warmup=9 --set warmup=0.5 --set steps=2 -o b.pf --json")
    card = json.loads(Path("b.pf/card.json").read_text())
    assert card["fields"]["warmup"] == 0.5 and card["recipe"]["warmup"] == 9  # a name of both means the field


def test_fit_stops_by_the_clock_and_goes_on(shell):
    code, out, _ = shell("fit moons.npy -m VAE --set hidden=8 --time 0.3s --set patience=0 -o t.pf --json")
    first = json.loads(out)
    assert code == 0 and first["ended_by"] == "time"
    code, out, err = shell(
        f"fit moons.npy -m VAE --set hidden=8 --set steps={first['steps'] + 5} --set patience=0 -o t.pf --resume"
    )
    assert code == 0 and f"Going on from step {first['steps']}" in err
    assert f"{first['steps'] + 5:,} steps" in out


def test_fit_holds_out_a_share_or_another_file(shell):
    assert shell("fit moons.npy -m VAE --set steps=2 --valid 0.25 -o a.pf")[0] == 0
    assert json.loads(Path("a.pf/card.json").read_text())["recipe"]["valid"] == 0.25
    code, out, _ = shell("fit moons.npy -m VAE --set steps=2 --valid moons.npy -o b.pf --json")
    assert code == 0 and json.loads(out)["held_out_nats"] is not None
    refused(shell("fit moons.npy -m VAE --valid 2 -o c.pf"), 2, "valid=2")
    refused(shell("fit moons.npy -m VAE --valid moon.npy -o c.pf"), 3, "Did you mean 'moons.npy'?")
    assert not Path("c.pf").exists()


def test_how_data_were_read_is_remembered(shell):
    table = pd.read_csv("people.csv")
    table.insert(0, "id", [f"row {i}" for i in range(len(table))])
    table.to_csv("named.csv", index=False, sep=";")
    refused(shell("fit named.csv -m Histogram"), 3, "identifier", "drop")
    assert shell("fit named.csv -m Histogram --read drop=id -q")[0] == 0
    assert shell("score named.pf named.csv")[0] == 0
    assert shell("verify named.pf")[0] == 0


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl", "json"])
def test_a_table_comes_back_with_its_columns_and_types(shell, suffix):
    code, _, err = shell(f"sample people.pf -n 30 -o new.{suffix} --seed 1")
    assert code == 0 and "30 rows" in err
    model = pf.load("people.pf")
    drawn, back = model.sample(30, seed=1), pf.data.load(f"new.{suffix}")
    assert list(back.space.names) == list(pd.read_csv("people.csv").columns)
    assert torch.equal(
        torch.nan_to_num(model.space.read(drawn)), torch.nan_to_num(model.space.read(back.space.restore(back.x)))
    )
    if suffix == "parquet":
        assert (pd.read_parquet("new.parquet").dtypes == drawn.dtypes).all()


def test_samples_on_standard_output(shell):
    code, out, err = shell("sample people.pf -n 3 --seed 1")
    assert (
        code == 0
        and err == ""
        and out.splitlines()[0] == ",".join(pd.read_csv("people.csv").columns)
        and len(out.splitlines()) == 4
    )
    code, out, _ = shell("sample people.pf -n 3 --seed 1 --json")
    found = json.loads(out)
    assert found["rows"] == 3 and set(found["samples"][0]) == set(pd.read_csv("people.csv").columns)
    assert (
        shell("sample people.pf -n 3 --seed 1")[1]
        == shell("sample people.pf -n 3 --seed 1")[1]
        != shell("sample people.pf -n 3 --seed 2")[1]
    )


def test_images_come_back_as_a_sheet_a_folder_or_an_array(shell):
    assert shell("sample images.pf -n 9 -o sheet.png")[0] == 0 and Image.open("sheet.png").mode == "RGBA"
    assert shell("sample images.pf -n 12 -o many --seed 1")[0] == 0
    assert sorted(p.name for p in Path("many").iterdir())[::11] == ["00.png", "11.png"]
    assert shell("sample images.pf -n 12 -o many.npy --seed 1")[0] == 0
    assert np.array_equal(np.load("many.npy").reshape(12, 1, 8, 8), pf.data.load("many").x.numpy())
    refused(shell("sample images.pf -n 2"), 2, "-o out.png")
    refused(shell("sample people.pf -n 2 -o people.png"), 2, "table", ".csv")
    assert not Path("people.png").exists()


@pytest.mark.skipif(
    not any("tokens" in catalogue.find(n).spaces for n in catalogue.names()), reason="no system of text yet"
)
def test_text_comes_back_as_text_and_is_gone_on_with(shell):
    name = next(n for n in catalogue.names() if "tokens" in catalogue.find(n).spaces)
    fields = "".join(
        f" --set {k}={','.join(map(str, v)) if isinstance(v, tuple) else v}"
        for k, v in catalogue.find(name).small.items()
    )
    assert shell(f"fit lines.txt -m {name}{fields} --set steps=3 --read lines=yes -q")[0] == 0
    assert shell("sample lines.pf -n 5 -o new.txt")[0] == 0 and len(Path("new.txt").read_text().splitlines()) == 5
    assert shell("score lines.pf lines.txt")[0] == 0
    code, out, _ = shell("complete lines.pf --prompt 'the cat'")
    assert code == 0 and out.startswith("the cat")
    Path("prompts.txt").write_text("the dog\nthe\n")
    code, out, _ = shell("complete lines.pf prompts.txt --json")
    assert code == 0 and [line[:3] for line in json.loads(out)["completed"]] == ["the", "the"]
    refused(shell("complete lines.pf --prompt 'Ω'"), 3, "'Ω'")


def test_score_says_mean_error_kind_and_measure(shell):
    code, out, _ = shell("score people.pf people.csv --json -o rows.csv")
    facts, rows = json.loads(out), pd.read_csv("rows.csv")
    assert code == 0 and facts["kind"] == "exact" and facts["measure"] == "mixed" and facts["rows"] == 120
    assert rows["nats"].mean() == pytest.approx(facts["nats"]) and rows["nats"].std() / 120**0.5 == pytest.approx(
        facts["stderr"]
    )
    truth = pf.load("people.pf").log_prob(pd.read_csv("people.csv", parse_dates=["since"], keep_default_na=True))
    assert rows["nats"].to_numpy() == pytest.approx(truth)
    code, out, _ = shell("score images.pf scans --json")
    facts = json.loads(out)
    assert facts["by"] == "bound" and facts["bits/dim"] == pytest.approx(-facts["nats"] / 64 / np.log(2))
    code, out, _ = shell("score images.pf scans --by evidence")
    assert code == 0 and "importance-weighted" in out


def test_anomaly_ranks_a_planted_row_first(shell):
    shell("data make moons -n 400 -o usual.npy")
    shell("fit usual.npy -m GaussianMixture -s components=8 -o mix.pf -q")
    rows = np.load("moons.npy")
    rows[7] = (0.5, 3.0)
    np.save("odd.npy", rows)
    shell("data make moons -n 700 --seed 5 -o other.npy")
    code, out, err = shell("anomaly mix.pf odd.npy --reference other.npy -o odd.csv")
    found = pd.read_csv("odd.csv")
    assert code == 0 and found["score"].idxmax() == 7 and found["p_value"][7] == pytest.approx(1 / 701)
    assert out.splitlines()[3].split()[0] == "7" and "against 700 reference examples" in err
    facts = json.loads(shell("anomaly mix.pf odd.npy --json")[1])
    assert facts["way"] == "likelihood" and len(facts["scores"]) == 120
    assert (
        shell("anomaly mix.pf odd.npy --way sideways")[0] == 2 and shell("anomaly mix.pf odd.npy --way ratio")[0] == 2
    )


def test_compare_prints_what_to_take_and_writes_a_page(shell):
    shell("data make moons -n 400 -o usual.npy")
    code, out, err = shell("compare usual.npy --models Histogram --time 5s --seed 1 -o page.html")
    assert code == 0 and "nats a row" in out and Path("page.html").read_text().startswith("<!doctype html>")
    facts = json.loads(shell("compare usual.npy --models Histogram --time 5s --seed 1 -o page.html --json")[1])
    assert {"marginals", "mixture", "copy", "Histogram"} <= {row["model"] for row in facts["table"]} and facts[
        "best"
    ] in facts["top"]
    assert shell("compare usual.npy --models Nonesuch --time 5s")[0] == 2
    assert shell("compare usual.npy --models GPT --time 5s")[0] == 3


def test_impossible_rows_are_counted_and_json_stays_json(shell):
    far = np.load("moons.npy")
    far[0] = 1e6
    np.save("far.npy", far)
    shell("fit moons.npy -m Histogram -o h.pf -q")
    code, out, err = shell("score h.pf far.npy --json")
    facts = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert code == 0 and facts["impossible"] == 1 and facts["nats"] is None
    assert "1 of 120 rows are impossible" in shell("score h.pf far.npy")[2]


def test_complete_fills_the_gaps_of_tables_arrays_and_images(shell):
    table = pd.read_csv("people.csv")
    table.loc[:5, "age"] = None
    table.loc[3:9, "city"] = None
    table.to_csv("holes.csv", index=False)
    assert shell("complete mixed.pf holes.csv -o full.csv")[0] == 0
    full = pd.read_csv("full.csv")
    assert full["age"].notna().all() and full["city"].notna().all()
    assert (full.loc[10:, "city"] == table.loc[10:, "city"]).all() and full["height"].equals(table["height"])
    x = np.load("moons.npy").astype(float)
    x[4, 1] = np.nan
    np.save("holes.npy", x)
    assert shell("complete plane.pf holes.npy -o full.npy")[0] == 0
    got = np.load("full.npy")
    assert np.isfinite(got).all() and np.allclose(np.delete(got.ravel(), 9), np.delete(x.ravel(), 9), atol=1e-5)
    assert shell("complete images.pf scans --known top -o full --seed 1")[0] == 0
    assert torch.equal(pf.data.load("full").x[:, :, :4], pf.data.load("scans").x[:, :, :4])
    refused(shell("complete mixed.pf holes.csv --known top"), 2, "table")
    refused(shell("complete mixed.pf"), 2, "--prompt")
    refused(shell("complete mixed.pf --prompt 'once upon'"), 2, "--prompt", "table")


def test_encode_and_decode_meet(shell):
    assert shell("encode plane.pf moons.npy -o z.csv")[0] == 0
    z = pd.read_csv("z.csv")
    assert z.to_numpy() == pytest.approx(pf.load("plane.pf").encode(np.load("moons.npy")), abs=1e-6) and list(
        z.columns
    ) == ["z0", "z1"]
    assert shell("decode plane.pf z.csv -o x.npy")[0] == 0
    assert np.load("x.npy") == pytest.approx(pf.load("plane.pf").decode(z.to_numpy()), abs=1e-5)
    np.save("odd.npy", np.zeros((2, 7)))
    refused(shell("decode plane.pf odd.npy"), 2, "(2, 7)", "encode")


def test_a_condition_at_fit_is_asked_for_after(shell):
    assert shell("sample iris.pf -n 3 --given species=Setosa -o s.csv")[0] == 0
    assert shell("score iris.pf iris")[0] == 0
    refused(shell("sample iris.pf -n 3"), 2, "species")
    refused(shell("sample iris.pf -n 3 --given specie=setosa"), 2, "Did you mean 'species'?")
    refused(shell("sample iris.pf -n 3 --given species=setosaa"), 3, "Did you mean 'setosa'?")
    refused(shell("sample plane.pf -n 3 --given species=setosa"), 2, "without a condition")


def test_models_is_the_catalogue(shell):
    code, out, _ = shell("models --json")
    rows = json.loads(out)["models"]
    assert (
        code == 0
        and [row["model"] for row in rows if not row["of"]] == list(catalogue.names())
        and rows[0]["can"]["sample"]
    )
    assert all(name in shell("models")[1] for name in catalogue.names())
    assert {row["model"]: row["of"] for row in rows if row["of"]} == {
        n: p.system for n, p in catalogue.presets().items()
    }
    code, out, _ = shell("models vae")
    assert code == 0 and "width of z" in out and "lr=0.001" in out
    refused(shell("models VEA"), 2, "Did you mean 'VAE'?")


def test_inspect_reads_models_and_data(shell):
    code, out, _ = shell("inspect mixed.pf --json")
    assert code == 0 and json.loads(out)["fields"]["latent"] == 3
    assert "parameters" in shell("inspect mixed.pf")[1]
    code, out, _ = shell("inspect people.csv --json")
    facts = json.loads(out)
    assert (
        {c["name"]: c["kind"] for c in facts["columns"]}["since"] == "date"
        and facts["examples"] == 120
        and facts["model"] in catalogue.names()
    )
    assert "1 …" not in shell("inspect people.csv")[1] and "category" in shell("inspect people.csv")[1]
    refused(shell("inspect peeple.csv"), 3, "Did you mean 'people.csv'?")


def test_verify_data_and_doctor(shell):
    code, out, _ = shell("verify people.pf mixed.pf")
    assert code == 0 and out.count("is whole") == 2
    assert json.loads(shell("verify mixed.pf --json")[1])["checkpoints"] >= 1
    assert len(json.loads(shell("data list --json")[1])["sets"]) >= 13
    code, out, _ = shell("data make moons -n 4 --seed 3")
    assert code == 0 and len(out.splitlines()) == 5
    refused(shell("data make moon"), 2, "Did you mean 'moons'?")
    refused(shell("data make iris -n 999"), 2, "150")
    facts = json.loads(shell("doctor --json")[1])
    assert facts["versions"]["torch"] == torch.__version__ or facts["versions"]["torch"] in torch.__version__
    assert facts["threads"] >= 1 and str(Path.home()) not in json.dumps(facts)


def test_the_demo_plays_any_system_and_writes_a_page(shell):
    code, out, _ = shell("demo --out d --time 2s --model Histogram --model RealNVP --json")
    rows = json.loads(out)["systems"]
    assert code == 0 and [row["system"] for row in rows] == ["Histogram", "RealNVP"] and rows[1]["kind"] == "exact"
    page = Path("d/report.html").read_text()
    assert page.count("data:image/png;base64,") >= 6 and "://" not in page


# ---- what bad input gets ---------------------------------------------------------------------------------------------
def test_misspelt_words(shell):
    refused(shell("ftt moons.npy"), 2, "Did you mean 'fit'?")
    refused(shell("fit moons.npy --modle VAE"), 2, "--modle")
    refused(shell("fit moons.npy -m VEA"), 2, "Did you mean 'VAE'?")
    refused(shell("fit moons.npy -m VAE --set latnt=3"), 2, "Did you mean 'latent'?")
    refused(shell("fit moons.npy -m VAE --set latent=many"), 2, "latent='many'")
    refused(shell("fit moons.npy -m VAE --set latent"), 2, "name=value")
    refused(shell("fit moons.npy -m VAE --set lr=-1"), 2, "lr=-1")
    refused(shell("fit moons.npy -m VAE --time soon"), 2, "soon")
    refused(shell("fit moons.npy -m VAE --device cdua"), 2, "Did you mean 'cuda'?")
    refused(shell("fit people.csv -m VAE -o x.pf --given cty"), 2, "Did you mean 'city'?")
    refused(shell("fit people.csv -m VAE -o x.pf --read seperator=;"), 2, "Did you mean 'separator'?")
    refused(shell("sample people.pf -n many"), 2, "--number", "integer")
    refused(shell("score images.pf scans --by evidance"), 2, "Did you mean 'evidence'?")
    assert not Path("moons.pf").exists()


def test_as_json_a_problem_is_an_object(shell):
    code, out, err = shell("models VEA --json")
    assert (
        code == 2
        and out == ""
        and json.loads(err) == {"error": json.loads(err)["error"], "exit_code": 2}
        and "VAE" in json.loads(err)["error"]
    )


BAD = {
    "inf.npy": (lambda p: np.save(p, np.array([[1.0, np.inf], [2.0, 3.0]])), "NaN or infinity"),
    "inf.csv": (lambda p: p.write_text("a,b\n1.5,x\ninf,y\n"), "infinite"),
    "pickled.npy": (lambda p: np.save(p, np.array([{"a": 1}], dtype=object), allow_pickle=True), "pickled"),
    "table.pkl": (lambda p: p.write_bytes(b"\x80\x04."), "never read"),
    "empty.csv": (lambda p: p.write_text(""), "empty"),
    "header.csv": (lambda p: p.write_text("a,b\n"), "no rows"),
    "ragged.csv": (lambda p: p.write_text("a,b\n1,2\n3\n"), "line 3"),
    "latin.csv": (lambda p: p.write_bytes(b"a,b\ncaf\xe9,1\n"), "line 2"),
    "what.xyz": (lambda p: p.write_text("?"), "format="),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_at_fit(shell, name):
    make, words = BAD[name]
    make(Path(name))
    refused(shell(f"fit {name} -m VAE -o bad.pf"), 3, words)
    assert not Path("bad.pf").exists()


def test_bad_images_are_refused(shell):
    for folder, names in (
        ("sizes", {"a.png": (8, 8), "b.png": (9, 8)}),
        ("big", {"a.png": (10, 10), "b.png": (10, 10)}),
        ("cut", {"a.png": (30, 30)}),
    ):
        Path(folder).mkdir()
        for name, size in names.items():
            Image.fromarray(np.random.default_rng(0).integers(0, 255, size[::-1], dtype=np.uint8)).save(
                f"{folder}/{name}"
            )
    cut = Path("cut/a.png")
    cut.write_bytes(cut.read_bytes()[:200])
    refused(shell("fit sizes -o bad.pf"), 3, "8x9", "size=")
    refused(shell("fit cut -o bad.pf"), 3, "cut/a.png")
    refused(shell("score images.pf big"), 3, "(1, 8, 8)")
    assert not Path("bad.pf").exists()


def test_data_that_do_not_fit_the_model(shell):
    table = pd.read_csv("people.csv")
    table.rename(columns={"city": "cty"}).to_csv("renamed.csv", index=False)
    table.assign(city="Atlantis").to_csv("unseen.csv", index=False)
    refused(shell("score people.pf renamed.csv"), 3, "no column 'city'", "Did you mean 'cty'?")
    refused(shell("score people.pf unseen.csv"), 3, "'city'", "'Atlantis'")
    refused(shell("score people.pf moons.npy"), 3, "10 columns")
    refused(shell("score gan.pf moons.npy"), 2, "GAN has no log_prob")
    refused(shell("encode people.pf people.csv"), 2, "Histogram has no encode")
    only = next((n for n in catalogue.names() if "table" not in catalogue.find(n).spaces), None)
    if only:
        refused(shell(f"fit people.csv -m {only} -o bad.pf"), 3, only, "table")
        assert not Path("bad.pf").exists()


def test_odd_but_honest_data_are_learned(shell):
    Path("constant.csv").write_text("a,b,c\n" + "".join(f"{i * 0.37:.2f},5,x\n" for i in range(30)))
    assert shell("fit constant.csv -m VAE --set steps=3 --set hidden=8 -q")[0] == 0
    code, out, _ = shell("sample constant.pf -n 4")
    assert code == 0 and all(line.endswith(",5,x") for line in out.splitlines()[1:])
    assert "nan" not in shell("score constant.pf constant.csv")[1]
    Path("one.csv").write_text("a,b\n1.5,x\n")
    assert shell("fit one.csv -m VAE --set steps=3 --set hidden=8 -q")[0] == 0  # and fewer rows than a batch
    assert shell("sample one.pf -n 2")[0] == 0


def test_what_is_not_there(shell):
    refused(shell("fit mons.npy"), 3, "Did you mean 'moons.npy'?")
    refused(shell("fit mooons"), 3, "Did you mean 'moons'?")
    refused(shell("sample peple.pf"), 3, "Did you mean 'people.pf'?")
    refused(shell("verify nothing.pf"), 3, "nothing.pf")
    refused(shell("fit people.pf"), 3, "saved model")
    refused(shell("sample scans"), 3, "MANIFEST")


def test_what_stands_there_is_left_alone(shell):
    before = Path("people.pf/card.json").read_bytes()
    refused(shell("fit people.csv -m Histogram"), 2, "--overwrite")
    shell("sample people.pf -n 3 -o new.csv --seed 1")
    drawn = Path("new.csv").read_bytes()
    refused(shell("sample people.pf -n 5 -o new.csv"), 2, "--overwrite")
    assert Path("people.pf/card.json").read_bytes() == before and Path("new.csv").read_bytes() == drawn
    assert shell("sample people.pf -n 5 -o new.csv --overwrite")[0] == 0 and Path("new.csv").read_bytes() != drawn
    Path("work").mkdir()
    Path("work/thesis.txt").write_text("years")
    refused(shell("fit people.csv -m Histogram -o work --overwrite"), 2, "other things")
    assert Path("work/thesis.txt").read_text() == "years"
    refused(shell("sample people.pf -o out.xyz"), 2, ".xyz")


def test_a_damaged_or_foreign_model_is_refused(shell):
    weights = Path("mixed.pf/weights.safetensors")
    whole = bytearray(weights.read_bytes())
    whole[-3] ^= 1
    weights.write_bytes(whole)
    refused(shell("verify mixed.pf"), 3, "weights.safetensors", "changed")
    refused(shell("sample mixed.pf"), 3, "weights.safetensors")
    card = Path("people.pf/card.json")
    described = json.loads(card.read_text()) | {"module": "os.path", "class": "Canary"}
    card.write_text(json.dumps(described))
    manifest = Path("people.pf/MANIFEST.sha256")
    lines = [
        f"{hashlib.sha256(card.read_bytes()).hexdigest()}  card.json" if "card.json" in line else line
        for line in manifest.read_text().splitlines()
    ]
    manifest.write_text("\n".join(lines) + "\n")
    refused(shell("sample people.pf"), 3, "'os'", "trust")


def test_a_full_disk_leaves_the_old_files_whole(shell, monkeypatch):
    import safetensors.torch

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = Path("people.csv").read_bytes()
    with monkeypatch.context() as m:
        m.setattr(pd.DataFrame, "to_csv", full)
        refused(shell("sample people.pf -n 3 -o people.csv --overwrite"), 3, "No space left")
    assert Path("people.csv").read_bytes() == before and not list(Path(".").glob(".*"))
    with monkeypatch.context() as m:
        m.setattr(safetensors.torch, "save_file", full)
        got, _, err = shell("fit moons.npy -m VAE --set steps=3 --set hidden=8 -o plane.pf --overwrite")
        assert got == 3 and "No space left" in err and "Traceback" not in err
        shell("fit moons.npy -m VAE --set steps=3 --set hidden=8 -o fresh.pf")
    assert shell("verify plane.pf")[0] == 0 and shell("sample plane.pf -n 2")[0] == 0
    assert not Path("fresh.pf").exists()


def test_memory_and_other_faults(shell, monkeypatch):
    from pushforward import workbench

    def short(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(workbench, "sample", short)
    refused(shell("sample people.pf"), 1, "memory")

    def wrong(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(workbench, "sample", wrong)
    with pytest.raises(ZeroDivisionError):  # a fault of the program keeps its traceback
        shell("sample people.pf")


def test_divergence_has_its_own_exit_code(shell, monkeypatch):
    from pushforward.models.latent import VAE

    monkeypatch.setattr(
        VAE, "loss", lambda self, x, given=None: self.decoder(torch.zeros(2, self.latent), None).sum() * float("nan")
    )
    got, out, err = shell("fit moons.npy -m VAE --set steps=2000 --set hidden=8 -o bad.pf")
    assert got == 4 and "diverged" in err.splitlines()[-1] and "Traceback" not in err and out == ""
    assert not Path("bad.pf").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_something_to_go_on_with(shell, monkeypatch, number, code):
    note = Journal.note

    def interrupted(self: Journal, step: int, **numbers: object) -> None:
        note(self, step, **numbers)
        os.kill(os.getpid(), number)

    with monkeypatch.context() as m:
        m.setattr(Journal, "note", interrupted)
        got, _, err = shell("fit moons.npy -m VAE --set steps=5000 --set hidden=8 -o cut.pf")
    assert got == code and "--resume" in err and "Traceback" not in err
    if code == 130:
        assert shell("sample cut.pf -n 2")[0] == 0
    got, _, err = shell("fit moons.npy -m VAE --set steps=25 --set hidden=8 -o cut.pf --resume")
    assert got == 0 and "Going on from step 20" in err
    assert shell("verify cut.pf")[0] == 0


def test_resume_with_other_fields_is_refused(shell):
    shell("fit moons.npy -m VAE --set steps=3 --set hidden=8 -o r.pf -q")
    refused(shell("fit moons.npy -m VAE --set steps=5 --set hidden=9 -o r.pf --resume"), 2, "same fields")
    assert shell("sample r.pf -n 2")[0] == 0


def test_a_pipe_that_nobody_reads_and_a_full_disk_are_no_tracebacks():
    command = [sys.executable, "-m", "pushforward", "data", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as gone:
        assert gone.stdout is not None and gone.stderr is not None
        gone.stdout.close()
        assert gone.stderr.read() == ""
    assert gone.returncode == 141
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 3 and done.stderr == "pushforward: No space left on device.\n"


def test_a_dash_is_standard_output(shell):
    assert shell("sample people.pf -n 3 --seed 1 -o -") == shell("sample people.pf -n 3 --seed 1")
    assert json.loads(shell("sample people.pf -n 3 -o - --json")[1])["rows"] == 3
    code, out, _ = shell("score people.pf people.csv -o -")
    shell("score people.pf people.csv -o rows.csv")
    assert code == 0 and out == Path("rows.csv").read_text() and out.startswith("nats\n")
    code, out, _ = shell("anomaly plane.pf moons.npy -o -")
    assert code == 0 and len(out.splitlines()) == 121 and out.startswith("score,")
    code, out, err = shell("score people.pf people.csv -o - --json")
    assert code == 2 and out == "" and "standard output" in json.loads(err)["error"]
    assert not Path("-").exists()


def test_a_place_that_cannot_hold_rows_is_refused_before_the_work(shell):
    for line in ("score people.pf", "anomaly people.pf", "encode plane.pf"):
        refused(shell(f"{line} nothing.csv -o rows.png"), 2, ".png", ".csv")
        refused(shell(f"{line} nothing.csv -o rows"), 2, "rows", ".csv")


def test_a_wrong_option_is_told_where_its_help_is(shell):
    refused(shell("fit moons.npy --steps 3"), 2, "--steps", "--set NAME=VALUE", "`pushforward fit --help`")
    refused(shell("sample people.pf --sed 3"), 2, "--seed", "`pushforward sample --help`")
    refused(shell("verify peple.pf"), 3, "Did you mean 'people.pf'?")


def test_what_the_library_says_of_a_keyword_is_told_in_words_of_the_command_line(shell):
    Path("what.xyz").write_text("?")
    refused(shell("inspect what.xyz"), 3, "format=", "--read NAME=VALUE")


def test_score_is_short_where_nothing_is_amiss_and_fields_are_written_as_they_are_set(shell):
    out = shell("score people.pf people.csv")[1]
    assert "impossible" not in out and "broken" not in out and "exact" in out
    assert "hidden=16  " in shell("inspect mixed.pf")[1].replace("\n", "  ")
    shell("fit moons.npy -m VAE --set hidden=8,9 --set steps=1 -o two.pf -q")
    assert "hidden=8,9" in shell("inspect two.pf")[1]


def test_one_row_of_a_table_is_read_as_the_table_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "grade": rng.choice(["1", "2", "A"], 600),
            "price": rng.choice(["1.50", "2.00", "free"], 600),
            "day": rng.choice(["2020-01-01", "2021-05-05", "never"], 600),
            "shop": [f"s{i:03d}" for i in rng.integers(0, 130, 600)],
            "y": rng.normal(size=600),
        }
    )
    rows.to_csv("all.csv", index=False)
    assert run("fit all.csv -m Histogram --set smooth=1 -o m.pf -q".split()) == 0
    plain = (rows.grade != "A") & (rows.price != "free") & (rows.day != "never")
    rows[plain].head(1).to_csv("one.csv", index=False)
    rows.drop_duplicates("shop").to_csv("shops.csv", index=False)
    for line in ("score m.pf one.csv", "score m.pf shops.csv", "anomaly m.pf shops.csv", "complete m.pf one.csv"):
        assert run(line.split()) == 0, line
    model = pf.load("m.pf")
    assert np.allclose(model.log_prob(pd.read_csv("one.csv")), model.log_prob(rows[plain].head(1)))


def test_a_model_is_loaded_without_the_compiler_of_torch(tmp_path):
    place = pf.Gaussian().fit(pf.data.toys.moons(50)).save(tmp_path / "m.pf")
    script = f"import sys, pushforward as pf; pf.load({str(place)!r}).sample(2); print('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


def test_warnings_are_remarks_without_a_place_in_the_code(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(50, 2))[:, [0, 1, 0]])
    assert run(["fit", str(tmp_path / "x.npy"), "-m", "GaussianMixture", "-o", str(tmp_path / "m.pf")]) == 0
    said = capsys.readouterr().err
    assert "Note: Columns 'x0', 'x2' determine one another" in said and ".py" not in said


def test_a_name_does_not_steer_the_terminal(tmp_path, capsys):
    pd.DataFrame({"a\x1b[31mred": [1.5, 2.5, 4.0, 5.0]}).to_csv(tmp_path / "t.csv", index=False)
    assert run(["fit", str(tmp_path / "t.csv"), "-m", "Gaussian", "-o", str(tmp_path / "m.pf"), "-q"]) == 0
    assert run(["inspect", str(tmp_path / "m.pf")]) == 0 and run(["score", str(tmp_path / "m.pf"), "no\x1bne.csv"]) == 3
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err and "\\x1b" in told.err


def test_of_several_processes_the_first_does_what_is_not_shared_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert run(["models"]) == 0 and capsys.readouterr().out == ""
    monkeypatch.setenv("RANK", "0")
    assert run(["models"]) == 0 and "MADE" in capsys.readouterr().out
