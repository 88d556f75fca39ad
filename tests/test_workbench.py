"""The workbench: which model is chosen, what words mean, what files hold what was given."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import pushforward as pf
from pushforward import catalogue, demo, workbench
from pushforward.data import load
from pushforward.errors import BadData, BadFile, Usage
from pushforward.space import Space
from pushforward.workbench import choosing, reading, verbs, writing

# ---- choosing --------------------------------------------------------------------------------------------------------
CASES = {
    "table": (Space.of(pd.DataFrame({"a": ["x", "y"] * 50, "b": np.arange(100.0) + 0.5})), 10_000),
    "images": (Space("levels", (1, 28, 28), 256), 60_000),
    "colour": (Space("real", (3, 32, 32)), 60_000),
    "few": (Space("real", (3,)), 50),
    "many": (Space("real", (3,)), 50_000),
    "one": (Space("real", (1,)), 50_000),
    "bits": (Space("binary", (20,), 2), 5_000),
    "levels": (Space("levels", (20,), 5), 5_000),
    "patch": (Space("levels", (1, 2, 2), 5), 5_000),
    "text": (Space("tokens", (20,), 5), 5_000),
    "lines": (Space("tokens", (20,), 5, form="text", end=4), 5_000),
    "stream": (Space("tokens", (20,), 5, form="text"), 5_000),
}


@pytest.mark.parametrize("case", CASES)
def test_the_choice_is_in_the_catalogue_and_takes_the_data(case):
    space, n = CASES[case]
    if not any(space.kind in catalogue.find(name).spaces for name in catalogue.names()):
        with pytest.raises(BadData, match="No model"):
            workbench.choose(space, n)
        return
    name, why = workbench.choose(space, n)
    assert space.kind in catalogue.find(name).spaces
    assert why.endswith(".") and why.count(". ") == 0 and f"{n:,}" in why


def test_the_choice_follows_the_data():
    chosen = {case: workbench.choose(*CASES[case])[0] for case in CASES if CASES[case][0].kind != "tokens"}
    assert chosen["images"] == "VAE"
    assert catalogue.names()[chosen["few"]] == "classical"
    assert "log_prob" in catalogue.find(chosen["many"])().abilities
    assert "table" in catalogue.find(chosen["table"]).spaces


def test_a_text_that_is_cut_into_pieces_is_told_from_one_that_is_read_by_lines():
    assert (
        "lines=yes" in workbench.choose(*CASES["stream"])[1] and "lines=yes" not in workbench.choose(*CASES["lines"])[1]
    )


def test_without_a_preferred_system_the_first_that_fits_is_taken(monkeypatch):
    monkeypatch.setattr(choosing, "PREFERENCES", ())
    name, why = workbench.choose(*CASES["bits"])
    assert name == next(n for n in catalogue.names() if "binary" in catalogue.find(n).spaces) and "first" in why


@pytest.mark.parametrize("name", catalogue.names())
def test_every_field_and_every_setting_of_training_is_reached(name):
    kind = catalogue.find(name)
    pairs = [
        f"{f}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for f in kind.fields for v in [getattr(kind, f)]
    ]
    fields, changes = workbench.settings(kind, pairs)
    assert fields == {f: getattr(kind, f) for f in kind.fields} and changes == {}
    fields, changes = workbench.settings(kind, ["recipe.steps=7", "recipe.lr=0.5", "recipe.time=2m"])
    assert fields == {} and changes == {"steps": 7, "lr": 0.5, "time": "2m"}


# ---- words -----------------------------------------------------------------------------------------------------------
def test_words_for_reading():
    said = [
        "separator=,",
        "drop=1,b",
        "size=28",
        "crop=8,9",
        "threshold=0.5",
        "lines=yes",
        "header=no",
        "encoding=latin-1",
        "missing=?",
    ]
    numbers = {"size": 28, "crop": (8, 9), "threshold": 0.5, "lines": True, "header": False}
    assert (
        workbench.options(said)
        == {"separator": ",", "drop": ("1", "b"), "encoding": "latin-1", "missing": "?"} | numbers
    )
    with pytest.raises(Usage, match="key=value"):
        workbench.options(["lines"])


def test_a_condition_takes_the_type_of_its_column():
    frame = pd.DataFrame({"kind": ["1", "2"] * 20, "weight": np.linspace(0.1, 3, 40), "on": [True, False] * 20})
    model = pf.VAE(latent=2, hidden=(8,)).fit(
        np.random.default_rng(0).normal(size=(40, 2)), given=frame, steps=2, quiet=True
    )
    found = workbench.condition(model, ["kind=2", "weight=1.5", "on=true"])
    assert found == {"kind": "2", "weight": 1.5, "on": True}
    assert model.sample(3, given=found, seed=0).shape == (3, 2)
    for pairs, words in (
        (["kind=2"], "lacks 'weight'"),
        (["kind=2", "weight=much", "on=no"], "number"),
        (["knd=2"], "Did you mean 'kind'"),
    ):
        with pytest.raises((Usage, BadData), match=words):
            workbench.condition(model, pairs)


def test_a_file_of_conditions_has_a_row_for_each_example(tmp_path):
    labels = ["a", "b"] * 20
    model = pf.VAE(latent=2, hidden=(8,)).fit(
        np.random.default_rng(0).normal(size=(40, 2)), given=pd.DataFrame({"l": labels}), steps=2, quiet=True
    )
    pd.DataFrame({"l": ["a", "b", "b"]}).to_csv(tmp_path / "l.csv", index=False)
    given = workbench.condition(model, [str(tmp_path / "l.csv")])
    assert np.array_equal(
        model.sample(3, given=given, seed=0), model.sample(3, given=pd.DataFrame({"l": ["a", "b", "b"]}), seed=0)
    )


@pytest.mark.parametrize(
    ("half", "part"), [("top", np.s_[:4, :]), ("bottom", np.s_[4:, :]), ("left", np.s_[:, :4]), ("right", np.s_[:, 4:])]
)
def test_halves_of_images(half, part):
    model = pf.Histogram().fit(load("digits").head(20))
    mask = reading.known_part(model, half, 5)
    assert mask.shape == (5, 1, 8, 8) and mask.sum() == 5 * 32 and mask[2, 0][part].all()


def test_a_mask_from_a_file(tmp_path):
    model, path = pf.Histogram().fit(load("digits").head(20)), tmp_path / "m.npy"
    np.save(path, np.eye(8, dtype=bool))
    assert reading.known_part(model, str(path), 3)[2, 0, 5, 5]
    np.save(path, np.ones((2, 3), dtype=bool))
    with pytest.raises(BadData, match=r"\(2, 3\)"):
        reading.known_part(model, str(path), 3)


PLACES = {"a/b/my.csv": "my.pf", "t.csv.gz": "t.pf", "moons": "moons.pf", "v1.2.npy": "v1.2.pf", "images/": "images.pf"}


@pytest.mark.parametrize(("data", "place"), PLACES.items())
def test_where_a_model_goes(data, place):
    assert str(verbs.place_of(data)) == place


# ---- files -----------------------------------------------------------------------------------------------------------
def test_a_table_keeps_its_types_through_every_format(tmp_path):
    frame = load("people", n=40).space.restore(load("people", n=40).x)
    space = load("people", n=40).space
    for suffix in (".csv", ".tsv", ".jsonl", ".json", ".parquet"):
        back = load(workbench.write(frame, space, tmp_path / f"t{suffix}"))
        a, b = space.read(frame), space.read(back.space.restore(back.x))
        assert torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)), suffix


def test_vectors_are_arrays_or_named_columns(tmp_path):
    x = np.random.default_rng(0).normal(size=(5, 2))
    space = Space.of(x)
    assert np.array_equal(np.load(workbench.write(x, space, tmp_path / "x.npy")), x)
    assert np.array_equal(np.load(workbench.write(x, space, tmp_path / "x.npz"))["x"], x)
    assert list(pd.read_csv(workbench.write(x, space, tmp_path / "x.csv")).columns) == ["x0", "x1"]
    assert list(pd.read_csv(workbench.write(x[:0], space, tmp_path / "none.csv")).columns) == ["x0", "x1"]
    assert list(pd.read_csv(workbench.write(x, None, tmp_path / "z.csv")).columns) == ["z0", "z1"]


def test_text_is_written_as_text(tmp_path):
    lines = ["ada", "bo"]
    assert workbench.write(lines, Space.of(lines), tmp_path / "a.txt").read_text() == "ada\nbo\n"
    pieces = ["a\nb", "c\nd"]
    assert workbench.write(pieces, Space.of(pieces), tmp_path / "b.txt").read_text() == "a\nb\n\nc\nd\n"
    (tmp_path / "raw.txt").write_bytes("häuser am see".encode())
    bytes_ = load(tmp_path / "raw.txt", units="bytes", length=14)
    assert (
        workbench.write(bytes_.space.restore(bytes_.x), bytes_.space, tmp_path / "c.txt").read_text()
        == "häuser am see\n"
    )
    with pytest.raises(Usage, match="mixed kinds|numbers"):
        workbench.write(lines, Space.of(lines), tmp_path / "a.npy")


@pytest.mark.parametrize(("shape", "mode"), [((4, 6, 5), "L"), ((4, 6, 5, 3), "RGB"), ((4, 3, 6, 5), "RGB")])
def test_images_are_written_as_they_were(tmp_path, shape, mode):
    x = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    space = Space.of(x)
    place = workbench.write(x, space, tmp_path / "many")
    assert Image.open(place / "0.png").mode == mode
    assert torch.equal(load(place).x, space.read(x))
    sheet = np.asarray(Image.open(workbench.write(x, space, tmp_path / "sheet.png")))
    assert (sheet[..., 3] == 255).mean() > 0.8


def test_bits_and_numbers_become_grey(tmp_path):
    bits = np.random.default_rng(0).random((3, 8, 8)) > 0.5
    assert torch.equal(
        load(workbench.write(bits, Space.of(bits), tmp_path / "bits")).x > 0, Space.of(bits).read(bits) > 0
    )
    numbers = np.linspace(0, 1, 192).reshape(3, 8, 8)
    assert int(load(workbench.write(numbers, Space.of(numbers), tmp_path / "grey")).x.max()) == 255


@pytest.mark.parametrize("name", ["x.csv", "many"])
def test_a_failure_leaves_nothing_and_hurts_nothing(tmp_path, monkeypatch, name):
    images = np.zeros((3, 8, 8), dtype=np.uint8)
    images[0, 0, 0] = 255
    place = workbench.write(images, Space.of(images), tmp_path / name)
    before = {p.name: p.read_bytes() for p in ([place] if place.is_file() else place.iterdir())}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(BadFile, match="No space left"):
        workbench.write(images, Space.of(images), tmp_path / name, overwrite=True)
    with pytest.raises(Usage, match="--overwrite"):
        workbench.write(images, Space.of(images), tmp_path / name)
    assert {p.name: p.read_bytes() for p in ([place] if place.is_file() else place.iterdir())} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    images = np.zeros((3, 8, 8), dtype=np.uint8)
    images[:, 2] = 9
    space = Space.of(images)
    workbench.write(images, space, tmp_path / "many")
    workbench.write(images[:1], space, tmp_path / "many", overwrite=True)
    assert [p.name for p in (tmp_path / "many").iterdir()] == ["0.png"] and [p.name for p in tmp_path.iterdir()] == [
        "many"
    ]


def test_what_cannot_be_written_says_so(tmp_path):
    x = np.zeros((2, 3))
    for name, words in (
        ("a.xls", "not a kind"),
        ("a.png", "picture"),
        ("folder", "folder of images"),
        ("a.txt", "text"),
    ):
        with pytest.raises(Usage, match=words):
            writing.write(x, Space.of(x), tmp_path / name)
    with pytest.raises(Usage, match="mixed kinds"):
        writing.write(pd.DataFrame({"a": ["x"]}), None, tmp_path / "a.npy")
    assert not list(tmp_path.iterdir())


# ---- the demo's plan -------------------------------------------------------------------------------------------------
def test_every_system_has_a_place_in_the_demo():
    sets = demo.assign(list(catalogue.names()))
    assert list(sets) == list(catalogue.names())
    assert all(demo.SETS[data].kind in catalogue.find(name).spaces for name, data in sets.items())
    left = demo.shares(sets)
    assert all((left[name] == 0) == hasattr(catalogue.find(name), "solve") for name in sets)
    for family in catalogue.FAMILIES:
        stepped = [name for name in sets if catalogue.names()[name] == family and left[name]]
        assert not stepped or left[stepped[0]] == demo.LONG


def test_a_system_that_fails_is_told_and_does_not_end_the_demo(monkeypatch, tmp_path):
    def broken(self, x, given=None):
        raise BadData("it cannot be")

    monkeypatch.setattr(catalogue.find("Histogram"), "solve", broken)
    said: list[str] = []
    rows = demo.run(tmp_path, "1s", ["Histogram"], tell=said.append)
    assert rows[0]["said"] == "it cannot be" and rows[0]["nats"] is None
    assert "it cannot be" in (tmp_path / "report.html").read_text() and any("not done" in line for line in said)
