"""The one door: which source is which, and what a misspelling gets."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from pushforward import data
from pushforward.data import FORMATS, SETS, Examples, load
from pushforward.errors import BadData, BadFile, Usage


@pytest.mark.parametrize("name", SETS)
def test_every_built_in_set(name):
    examples = load(name)
    assert examples.name == name and len(examples) > 100
    again = examples.space.restore(examples.take([0, 1])[0])
    assert len(again) == 2


@pytest.mark.parametrize("name", [name for name, (made, _, _) in SETS.items() if made.startswith("toys.")])
def test_sets_that_are_drawn_take_n_and_seed(name):
    few, many = load(name, n=70, seed=3), load(name, n=200, seed=3)
    assert len(few) == 70 and torch.equal(few.x, many.x[:70]) and not torch.equal(few.x, load(name, n=70).x)


def test_known_sizes_and_kinds():
    digits = load("digits", given="label")
    assert (len(digits), str(digits.space)) == (1797, "levels(17) of shape (1, 8, 8)") and int(digits.x.max()) == 16
    assert digits.given_space.columns[0].categories == tuple(range(10)) and digits.given[:3, 0].tolist() == [0, 1, 2]
    iris = load("iris")
    assert iris.space.names == ("sepal_length", "sepal_width", "petal_length", "petal_width", "species")
    assert iris.space.columns[-1].categories == ("setosa", "versicolor", "virginica")
    assert load("wine").space.shape == (14,) and load("breast_cancer", drop="diagnosis").space.kind == "real"


def test_people_have_something_of_everything():
    table = data.people(2000)
    kinds = {c.name: c.kind for c in load(table).space.columns}
    assert set(kinds.values()) == {"integer", "number", "ordinal", "category", "boolean", "date"}
    assert (
        kinds["education"] == "ordinal"
        and kinds["since"] == "date"
        and kinds["works"] == "boolean"
        and kinds["age"] == "integer"
    )
    # The gaps tell something, and the columns hang together.
    assert table["income"].isna()[table["age"] > 65].mean() > 3 * table["income"].isna()[table["age"] <= 65].mean()
    assert (table["commute"].isna() == ~table["works"]).all()
    assert (
        np.corrcoef(table["education"].cat.codes, np.log(table["income"].fillna(table["income"].median())))[0, 1] > 0.3
    )
    pd.testing.assert_frame_equal(data.people(50), table.head(50), check_categorical=False)


def test_sentences_agree_in_number():
    lines = data.sentences(500)
    assert lines[:20] == data.sentences(20) and len(set(lines)) > 250
    one = {s for s, _ in data.builtin.SEES + data.builtin.RESTS}
    plural = {p for _, p in data.builtin.NOUNS}
    for line in lines:
        words = line.rstrip(".").split()
        verb = next(
            i for i, w in enumerate(words) if w in one or w in {p for _, p in data.builtin.SEES + data.builtin.RESTS}
        )
        assert (words[verb] in one) == (words[verb - 1] not in plural)


def test_things_in_memory():
    rows = [[0.5, 1.0], [2.0, 3.5], [4.0, 5.0]]
    frame = pd.DataFrame(rows, columns=["a", "b"])
    for source in (rows, np.array(rows), torch.tensor(rows), frame, {"a": [0.5, 2.0, 4.0], "b": [1.0, 3.5, 5.0]}):
        examples = load(source)
        assert examples.space.kind == "real" and torch.equal(examples.x.double(), torch.tensor(rows).double())
    assert load(frame["a"]).space.names == ("a",)
    assert load(np.array(["ab", "c"])).space.kind == "tokens"
    kept = load(rows)
    assert load(kept) is kept and load(kept, given=[0, 1, 0]).given.shape == (3, 1)
    assert load(np.array([[0, 3], [2, 1]]), kind="levels", levels=5).space.levels == 5
    assert load(np.array(rows), threshold=2.5).x.tolist() == [[0, 0], [0, 1], [1, 1]]


def test_given_and_drop_name_columns():
    frame = pd.DataFrame({"a": [1.5, 2.0, 3.0], "b": ["x", "y", "x"], "c": [0.5, 1.5, 2.5]})
    examples = load(frame, given="b", drop="c")
    assert examples.space.names == ("a",) and examples.given_space.names == ("b",)
    assert load(frame, given=["b", "c"]).given_space.names == ("b", "c")
    assert load(frame, given=["p", "q", "p"]).given[:, 0].tolist() == [0, 1, 0]  # a label for each row, not columns
    assert load(frame, given=frame[["c"]], drop=("b", "c")).given_space.names == ("c",)
    with pytest.raises(Usage, match="given='bb': there is no such column. Did you mean 'b'"):
        load(frame, given=["bb", "c"])
    with pytest.raises(Usage, match="drop='d'"):
        load(frame, drop="d")
    with pytest.raises(BadData, match="No column is left"):
        load(frame, given="b", drop=["a", "c"])


@pytest.mark.parametrize(
    "source, options, problem, says",
    [
        ("monns", {}, BadFile, "neither a file, nor a folder, nor a built-in set. Did you mean 'moons'"),
        ("nowhere/table.csv", {}, BadFile, "There is no file nowhere/table.csv. The folder nowhere does not exist"),
        ("moons", {"sed": 3}, Usage, "no 'sed' for the set moons. Did you mean 'seed'.*It takes: given"),
        ("digits", {"given": "labels"}, Usage, "Did you mean 'label'"),
        ([[1.0], [2.0]], {"levls": 3}, Usage, "Did you mean 'levels'"),
        ([[1.0], [2.0]], {"format": "csv"}, Usage, "format='csv' is for files"),
        ("moons", {"format": "cvs"}, Usage, "no format 'cvs'. Did you mean 'csv'"),
        (b"bytes", {}, Usage, "Bytes were passed"),
        ([], {}, BadData, "2D array"),
    ],
)
def test_misspellings(source, options, problem, says):
    with pytest.raises(problem, match=says):
        load(source, **options)


def test_files_beside_a_misspelt_one_are_suggested(tmp_path, monkeypatch):
    (tmp_path / "table.csv").write_text("a\n1\n")
    with pytest.raises(BadFile, match="Did you mean 'table.csv'"):
        load(tmp_path / "tabel.csv")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadFile, match="Did you mean 'table.csv'"):
        load("tabl")
    with pytest.raises(Usage, match="no 'seperator' for csv files. Did you mean 'separator'"):
        load("table.csv", seperator=";")


def test_what_a_name_does_not_say_is_said_by_format(tmp_path):
    (tmp_path / "a.data").write_text("a,b\n1.5,2\n2.5,3\n")
    with pytest.raises(BadFile, match="cannot be told from its name. Say it: format="):
        load(tmp_path / "a.data")
    assert load(tmp_path / "a.data", format="csv").space.names == ("a", "b")
    with pytest.raises(BadFile, match="is a folder"):
        load(tmp_path, format="csv")


def test_what_is_not_data(tmp_path):
    (tmp_path / "one.png").write_bytes(b"x")
    with pytest.raises(BadFile, match="one image; many are needed"):
        load(tmp_path / "one.png")
    for name in ("t.xlsx", "t.feather", "t.tar"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(BadFile, match=f"{name} is of a kind that is not read here.*csv"):
            load(tmp_path / name)
    (tmp_path / "m.pf").mkdir()
    (tmp_path / "m.pf" / "card.json").write_text("{}")
    with pytest.raises(BadFile, match="a saved model, not data"):
        load(tmp_path / "m.pf")


def test_tensors_keep_their_device_and_let_go_of_the_graph():
    x = torch.randn(4, 2, requires_grad=True)
    assert not load(x).take([0])[0].requires_grad
    assert load(torch.zeros(3, 2)).space.form == "tensor"


def test_the_names_of_the_room():
    assert data.load is load and callable(data.load) and data.Examples is Examples
    assert {*FORMATS} >= {"csv", "npy", "idx"} and set(dir(data)) >= {"load", "toys", "people"}
    with pytest.raises(AttributeError, match="Did you mean 'toys'"):
        data.toyz  # noqa: B018


def test_listing_costs_no_heavy_import():
    code = "import sys, pushforward.data as d; list(d.SETS), d.toys; print([m for m in ('torch', 'pandas', 'PIL', 'pyarrow', 'scipy') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


@pytest.mark.parametrize(
    "said, awaited",
    [
        ({"skip": "x"}, "skip='x': a whole number"),
        ({"skip": -1}, "skip=-1: a whole number of at least 0"),
        ({"header": "maybe"}, "header='maybe': yes or no"),
        ({"separator": 5}, "separator=5: a word"),
        ({"separator": '"'}, "one character is awaited"),
        ({"missing": 5}, "missing=5: words"),
        ({"names": [1, 2]}, "names=.* words"),
        ({"drop": {"a": 1}}, "drop=.* a word or words"),
        ({"encoding": None}, "encoding=None: a word"),
    ],
)
def test_options_are_of_their_type(tmp_path, said, awaited):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(Usage, match=awaited):
        load(tmp_path / "t.csv", **said)


def test_kinds_and_sizes_that_there_are_not(tmp_path):
    for said in ({"kind": "foo"}, {"kind": "table"}, {"threshold": "x"}, {"levels": -3}):
        with pytest.raises(Usage, match="is awaited"):
            load([[1.0], [2.0]], **said)
    for size in (True, (10**6, 10**6), 0):
        with pytest.raises(Usage, match="size=.*of 89,478,485 pixels at most"):
            load(images(tmp_path), size=size)
    with pytest.raises(Usage, match="n=-3"):
        load("moons", n=-3)


def images(place):
    from PIL import Image

    Image.new("L", (4, 4)).save(place / "a.png")
    return place


@pytest.mark.parametrize(
    "name, says",
    [
        ("", "what came is empty"),
        ("~nobody-of-this-name/x.csv", "no file"),
        ("lorem ipsum " * 400, "File name too long.*list of strings"),
        ("a\0b.csv", "null byte"),
        ("/dev/zero", "is a device"),
    ],
)
def test_names_that_name_nothing(name, says):
    with pytest.raises((BadFile, Usage), match=says):
        load(name, **({"format": "csv"} if name == "/dev/zero" else {}))


def test_a_pipe_in_a_folder_is_not_waited_for_and_that_of_a_shell_is_read(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(BadFile, match="is a pipe"):
        load(tmp_path / "t.csv")
    with pytest.raises(BadFile, match="is a pipe"):
        load([[1.0], [2.0]], given=tmp_path / "t.csv")
    reading, writing = os.pipe()
    os.write(writing, b"a,b\n1.5,2.5\n3.5,4.5\n")
    os.close(writing)
    assert load(f"/dev/fd/{reading}", format="csv").space.names == ("a", "b")
    os.close(reading)
