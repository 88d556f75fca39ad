"""`pushforward.load` on a folder that somebody made to do harm gives an error and nothing else.

Each try happens in a child process that watches itself: what is opened, started or imported from outside the folder, how much memory is
taken beyond the size of the files, and whether it ends in time.
"""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import pushforward as pf
from pushforward.errors import Problem

sys.path.insert(0, str(Path(__file__).parent))
import fuzz
from hostile import (
    BYTES,
    CANARY,
    MOON,
    ROOM,
    Payload,
    added,
    all_at,
    attempt,
    both,
    bound_socket,
    card,
    change,
    composed,
    drop,
    first,
    fullwidth,
    half_signed,
    head,
    linked,
    manifest,
    nested,
    pickled,
    put,
    replaced,
    shift,
    sparse,
    swapped,
    text,
    torch_pickled,
    weights,
)


# ---- folders -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Small folders that load."""
    place, rng = tmp_path_factory.mktemp("models"), np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    frame = pd.DataFrame(
        {
            "side": rng.choice(["left", "mid"], 200),
            "x": x[:, 0],
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, 200), "D"),
        }
    )
    how: dict[str, Any] = {"steps": 3, "batch": 32, "quiet": True, "seed": 0}
    made = {
        "gaussian": pf.Gaussian().fit(x),
        "other": pf.Gaussian().fit(10 * x),
        "maf": pf.MAF(transforms=2, hidden=(8, 8)).fit(frame, **how),
        "gpt": pf.GPT(layers=1, width=8, heads=2).fit(["abc", "cab", "bca"] * 9, **how),
        "made": pf.MADE(hidden=(8, 8)).fit(x, given=list("ab") * 100, **how),
        "empirical": pf.Empirical().fit(np.where(x > 2, np.nan, x)),
        "copula": pf.Copula().fit(frame),
        "realnvp": pf.RealNVP(transforms=2, hidden=(8,)).fit(x, **how),
    }
    for model in made.values():
        model.sample(2, seed=0, **({"given": "a"} if model._given is not None else {}))
    return {name: model.save(place / f"{name}.pf") for name, model in made.items()}


HOSTILE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    # what: (model, what is done to it, what the refusal names)
    "a pickle as weights": ("gaussian", pickled("weights.safetensors"), "weights.safetensors"),
    "a pickle of torch as weights": ("gaussian", torch_pickled, "weights.safetensors"),
    "a pickle as card": ("gaussian", pickled("card.json"), "card.json"),
    "a header of 2^63 bytes": ("gaussian", head(lambda told: None, length=2**63), "weights.safetensors"),
    "a header of 2^64 - 1 bytes": ("gaussian", head(lambda told: None, length=2**64 - 1), "weights.safetensors"),
    "a header of no bytes": ("gaussian", head(lambda told: None, length=0), "weights.safetensors"),
    "a header of 100 MB of brackets": ("gaussian", head(lambda told: b"[" * 100_000_000), "weights.safetensors"),
    "a header of 20 MB of small objects": ("gaussian", head(lambda told: b"[" + b'{"a":1},' * 2_500_000 + b"1]"), "brackets"),
    "a header of 20 MB of commas": ("gaussian", head(lambda told: b"[" + b"1," * 10_000_000 + b"1]"), "commas"),
    "a header that is a list": ("gaussian", head(lambda told: b"[1, 2]"), "list"),
    "a header that is no JSON": ("gaussian", head(lambda told: b"not JSON"), "JSON"),
    "a header with a tensor twice": ("gaussian", head(both), "twice"),
    "offsets that overlap": ("gaussian", head(all_at(lambda ends: [])), "weights.safetensors"),
    "offsets with a gap": ("gaussian", head(all_at(lambda ends: [n + 8 for n in ends])), "gap"),
    "offsets below 0": ("gaussian", head(shift(-(10**6), 0)), "offsets"),
    "offsets in the wrong order": ("gaussian", head(lambda told: first(told)["data_offsets"].reverse()), "offsets"),
    "offsets beyond the end": ("gaussian", head(shift(2**40, 1)), "bytes"),
    "offsets beyond 64 bits": ("gaussian", head(shift(2**70, 1)), "offsets"),
    "bytes behind the last tensor": ("gaussian", head(lambda told: None, tail=bytes(4096)), "promises"),
    "a shape that overflows": ("gaussian", head(lambda told: first(told).__setitem__("shape", [2**62, 4, 2**62])), "shape"),
    "a shape of floats": ("gaussian", head(lambda told: first(told).__setitem__("shape", [1.5])), "shape"),
    "a shape of a thousand axes": ("gaussian", head(lambda told: first(told).__setitem__("shape", [1] * 1000)), "shape"),
    "a type that there is not": ("gaussian", head(lambda told: first(told).__setitem__("dtype", "O")), "type"),
    "a truth that is 7": ("maf", head(lambda told: None, tail=b""), "weights.safetensors"),
    "NaN in the weights": ("gaussian", weights(lambda t: t["mean"].fill_(torch.nan)), "mean"),
    "infinity in the weights": ("maf", weights(lambda t: next(v for k, v in t.items() if k.endswith("weight")).view(-1)[3:4].fill_(torch.inf)), "weight"),
    "NaN in what brings numbers into place": ("maf", weights(lambda t: t["chart.steps.1.scale"].fill_(torch.nan)), "chart.steps.1.scale"),
    "weights of another shape": ("gaussian", weights(lambda t: t.__setitem__("mean", torch.zeros(3))), "(3,)"),
    "weights of another type": ("gaussian", weights(lambda t: t.__setitem__("mean", t["mean"].float())), "float32"),
    "weights of whole numbers": ("gaussian", weights(lambda t: t.__setitem__("mean", torch.zeros(2, dtype=torch.int64))), "int64"),
    "a tensor is missing": ("gaussian", weights(lambda t: t.pop("mean")), "missing"),
    "a tensor too many": ("gaussian", weights(lambda t: t.__setitem__("extra", torch.zeros(1))), "not awaited"),
    "rows of another width": ("empirical", weights(lambda t: t.__setitem__("seen.rows", torch.zeros(9, 5))), "seen.rows"),
    "sizes that do not go together": ("copula", weights(lambda t: t.__setitem__("spread", t["spread"].new_zeros(9, 9))), "weights.safetensors"),
    "a table of words as an array": ("maf", put("space", "form", value="array"), "form"),
    "places that there are not": ("realnvp", weights(lambda t: t[next(k for k in t if k.endswith("kept"))].fill_(7)), "kept"),
    "an order that is none": ("maf", weights(lambda t: t[next(k for k in t if k.endswith("order"))].fill_(7)), "weights.safetensors"),
    "a key twice": ("gaussian", text(b'{"format": 1, "format": 2}'), "twice"),
    "a million brackets": ("gaussian", text(b"[" * 1_000_000), "card.json"),
    "a million objects in one another": ("gaussian", text(b'{"a":' * 1_000_000), "card.json"),
    "20,000 brackets": ("gaussian", text(b"[" * 20_000 + b"]" * 20_000), "deep"),
    "a card of 15 MB of lists": ("gaussian", text(b"[" + b"[]," * 5_000_000 + b"1]"), "brackets"),
    "a card of 100 MB": ("gaussian", lambda folder: (sparse("card.json", 100 << 20)(folder), fuzz.sign(folder)), "bytes"),
    "a card of one string of 8 MB": ("gaussian", text(b'{"format": "' + b"\\u0100" * (8 << 20 >> 3) + b'"}'), "card.json"),
    "a card that is no text": ("gaussian", text(b"\xff\xfe{}"), "card.json"),
    "a card that is a number": ("gaussian", text(b"1"), "int"),
    "a number of 10,000 digits": ("gaussian", text(b'{"format": ' + b"9" * 10_000 + b"}"), "card.json"),
    "a number beyond all floats": ("gaussian", text(b'{"format": 1e999}'), "too large"),
    "a format that is true": ("gaussian", put("format", value=True), "format"),
    "a format of nothing": ("gaussian", drop("format"), "format"),
    "a newer format": ("gaussian", put("format", value=2), "newer"),
    "no space": ("gaussian", drop("space"), "space"),
    "the class Model": ("gaussian", put("class", value="Model"), "Model"),
    "an abstract class": ("gaussian", put("class", value="Latent"), "Latent"),
    "the class os.system": ("gaussian", put("class", value="os.system"), "os.system"),
    "the class __import__": ("gaussian", put("class", value="__import__"), "__import__"),
    "a preset as class": ("gaussian", put("class", value="WGAN"), "WGAN"),
    "a class by another spelling": ("gaussian", put("class", value="gaussian"), "gaussian"),
    "a class that is a list": ("gaussian", put("class", value=["Gaussian"]), "class"),
    "the module os": ("gaussian", put("module", value="os"), "trust"),
    "the module pushforward/../x": ("gaussian", put("module", value="pushforward/../x"), "pushforward/../x"),
    "a module with an empty name": ("gaussian", put("module", value="pushforward..evil"), "pushforward..evil"),
    "a module of other letters": ("gaussian", put("module", value="рushforward"), "module"),
    "a field that there is not": ("gaussian", put("fields", "evil", value=1), "evil"),
    "a field that hides a method": ("gaussian", put("fields", "forward", value=1), "forward"),
    "a field of another type": ("maf", put("fields", "transforms", value="many"), "transforms"),
    "a field of NaN": ("maf", put("fields", "reach", value=float("nan")), "NaN"),
    "layers of a billion": ("maf", put("fields", "hidden", value=[10**9]), "memory"),
    "layers of a string": ("maf", put("fields", "hidden", value=["a"]), "card.json"),
    "a billion layers": ("maf", put("fields", "transforms", value=10**9), "memory"),
    "a billion blocks": ("gpt", put("fields", "layers", value=10**9), "memory"),
    "layers below 0": ("gpt", put("fields", "layers", value=-3), "gpt"),
    "a width of 10^12": ("gpt", put("fields", "width", value=10**12), "card.json"),
    "10^12 variables": ("gaussian", put("space", "shape", value=[10**12]), "variables"),
    "variables below 0": ("gaussian", put("space", "shape", value=[-2]), "shape"),
    "no variables": ("gaussian", put("space", "shape", value=[]), "shape"),
    "a shape of 2^40 by 2^40": ("gaussian", put("space", "shape", value=[2**40, 2**40]), "2^62"),
    "10^12 symbols": ("gpt", put("space", "levels", value=10**12), "alphabet"),
    "10^12 symbols without letters": ("gpt", card(lambda told: told["space"].update(BYTES)), "levels"),
    "a space of another kind": ("gpt", put("space", "kind", value="real"), "card.json"),
    "a space that there is not": ("gaussian", put("space", "kind", value="graph"), "kind"),
    "a space that is a list": ("gaussian", put("space", value=[1]), "space"),
    "a space with more in it": ("gaussian", put("space", "evil", value=1), "evil"),
    "numbers that are objects": ("gaussian", put("space", "dtype", value="object"), "dtype"),
    "180,000 columns in one": ("maf", card(lambda told: told["space"].update(columns=told["space"]["columns"] * 60_000)), "card.json"),
    "columns without names": ("maf", put("space", "names", value=[]), "columns"),
    "a column of another kind": ("maf", put("space", "columns", 0, "kind", value="code"), "kind"),
    "a column of nested categories": ("maf", put("space", "columns", 0, "categories", value=[["a"]]), "categories"),
    "a date in no unit": ("maf", put("space", "columns", 2, "unit", value="x"), "unit"),
    "a zone that is a file": ("maf", put("space", "columns", 2, "dtype", value="datetime64[us, dateutil//etc/passwd]"), "dtype"),
    "a zone that is a way out": ("maf", put("space", "columns", 2, "dtype", value="category:datetime64[us, dateutil/../../x]"), "dtype"),
    "bounds that are crossed": ("maf", card(lambda told: told["space"]["columns"][1].update(low=3.0, high=-3.0)), "low"),
    "a condition of another kind": ("made", put("given", value=3), "given"),
    "a condition of 10^12 numbers": ("made", put("given", value={"kind": "real", "shape": [10**12]}), "variables"),
    "coordinates of another size": ("gaussian", put("coordinates", "shape", value=[7]), "coordinates"),
    "a dtype that is a function": ("gaussian", put("dtype", value="load"), "dtype"),
    "an outcome that is nested": ("gaussian", put("outcome", value={"read": [[]]}), "outcome"),
    "20,000 models within models": ("gaussian", nested(20_000), "card.json"),
    "100 models within models": ("gaussian", nested(100), "deep"),
    "a link in place of the card": ("gaussian", linked("card.json"), "link"),
    "a link in place of the weights": ("gaussian", linked("weights.safetensors"), "link"),
    "a link in place of the manifest": ("gaussian", linked(fuzz.MANIFEST), "link"),
    "a link to itself": ("gaussian", replaced("card.json", lambda path: path.symlink_to(path)), "link"),
    "a link to endless zeros": ("gaussian", replaced("weights.safetensors", lambda path: path.symlink_to("/dev/zero")), "link"),
    "a folder in place of the card": ("gaussian", replaced("card.json", Path.mkdir), "folder"),
    "a pipe in place of the card": ("gaussian", replaced("card.json", os.mkfifo), "pipe"),
    "a pipe in place of the weights": ("gaussian", replaced("weights.safetensors", os.mkfifo), "pipe"),
    "a pipe in place of the manifest": ("gaussian", replaced(fuzz.MANIFEST, os.mkfifo), "pipe"),
    "a socket in place of the weights": ("gaussian", replaced("weights.safetensors", bound_socket), "socket"),
    "a way out in the manifest": ("gaussian", manifest(f"{'0' * 64}  ../outside\n"), "MANIFEST"),
    "a whole path in the manifest": ("gaussian", manifest(f"{'0' * 64}  /etc/passwd\n"), "MANIFEST"),
    "a drive in the manifest": ("gaussian", manifest(f"{'0' * 64}  C:\\x\n"), "MANIFEST"),
    "a NUL in the manifest": ("gaussian", manifest(f"{'0' * 64}  a\0b\n"), "MANIFEST"),
    "a line without a sum": ("gaussian", manifest("card.json\n"), "MANIFEST"),
    "a file twice in the manifest": ("gaussian", lambda folder: manifest((folder / fuzz.MANIFEST).read_text().splitlines()[0] + "\n")(folder), "twice"),
    "a file that is not there": ("gaussian", manifest(f"{'0' * 64}  more.json\n"), "more.json is missing"),
    "a manifest of 1 GB": ("gaussian", sparse(fuzz.MANIFEST, 1 << 30), "MANIFEST"),
    "a manifest without the card": ("gaussian", half_signed, "card.json"),
    "an empty manifest": ("gaussian", lambda folder: (folder / fuzz.MANIFEST).write_text(""), "empty"),
    "an empty card": ("gaussian", text(b""), "empty"),
    "empty weights": ("gaussian", lambda folder: ((folder / "weights.safetensors").write_bytes(b""), fuzz.sign(folder)), "weights.safetensors"),
    "no card": ("gaussian", lambda folder: (folder / "card.json").unlink(), "card.json is missing"),
    "a wrong sum": ("gaussian", added("card.json", b" "), "card.json has changed"),
    "a bit that fell over": ("gaussian", added("weights.safetensors", b"\x41"), "weights.safetensors has changed"),
    "weights of another model": ("gaussian", swapped, "weights.safetensors has changed"),
    "a name in wide letters": ("gaussian", fullwidth, "MANIFEST"),
    "a name with an accent of its own": ("gaussian", composed, "MANIFEST"),
    "a model of the size of the moon within a model": ("gaussian", put("fields", "shrink", value=MOON), "card.json"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_folder_is_an_error_and_nothing_else(what, models, tmp_path):
    name, harm, named = HOSTILE[what]
    for one in (name, "other"):
        shutil.copytree(models[one], tmp_path / f"{one}.pf")
    folder = tmp_path / f"{name}.pf"
    harm(folder)
    size = sum(f.lstat().st_blocks * 512 for f in folder.iterdir())
    kind, said = attempt(lambda: pf.load(folder), folder, ROOM + size)
    assert kind in ("BadFile", "Usage"), f"{kind}: {said}"
    assert named in said and str(folder) in said, said
    assert not (tmp_path / CANARY).exists()


# ---- what must go on working -------------------------------------------------------------------------------------
def test_an_extra_file_is_neither_read_nor_minded(models, tmp_path):
    folder = tmp_path / "m.pf"
    shutil.copytree(models["gaussian"], folder)
    (folder / "extra.pt").write_bytes(pickle.dumps(Payload(tmp_path / CANARY)))
    os.mkfifo(folder / "pipe")
    (folder / "way-out").symlink_to("/etc/passwd")
    (folder / "journal.jsonl").write_bytes(b"\xff not JSON")
    assert attempt(lambda: pf.load(folder), folder) == ("loaded", "")
    assert not (tmp_path / CANARY).exists()


def test_a_link_to_a_whole_folder_is_the_caller_s_own_word(models, tmp_path):
    (tmp_path / "latest.pf").symlink_to(models["gaussian"])
    assert pf.load(tmp_path / "latest.pf").sample(2, seed=0).shape == (2, 2)


def test_a_hard_link_is_a_file(models, tmp_path):
    folder = tmp_path / "m.pf"
    folder.mkdir()
    for file in models["gaussian"].iterdir():
        os.link(file, folder / file.name)
    assert pf.load(folder).sample(2, seed=0).shape == (2, 2)


@pytest.mark.parametrize("what", ["zip", "tar", "file", "pipe", "nothing", "an empty folder", "NUL"])
def test_what_is_no_folder(what, models, tmp_path):
    place = tmp_path / "m.pf"
    if what in ("zip", "tar"):
        shutil.make_archive(str(tmp_path / "m"), what, models["gaussian"])
        (tmp_path / f"m.{what}").rename(place)
    elif what == "file":
        shutil.copy(models["gaussian"] / "weights.safetensors", place)
    elif what == "pipe":
        os.mkfifo(place)
    elif what == "an empty folder":
        place.mkdir()
    elif what == "NUL":
        place = tmp_path / "a\0b"
    kind, said = attempt(lambda: pf.load(place), tmp_path)
    assert kind == "BadFile" and ("NUL" in what or str(place) in said)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(models, tmp_path):
    folder = tmp_path / "m.pf"
    shutil.copytree(models["gaussian"], folder)
    (folder / "card.json").chmod(0)
    kind, said = attempt(lambda: pf.load(folder), folder)
    assert kind == "BadFile" and "card.json cannot be read" in said


def test_a_type_that_pandas_has_not_is_told_when_it_is_asked_for(models, tmp_path):
    folder = tmp_path / "m.pf"
    shutil.copytree(models["maf"], folder)
    change(folder, lambda card: card["space"]["columns"][1].update(dtype="Gaussian"))
    with pytest.raises(Problem, match=r"'x' cannot become 'Gaussian'"):
        pf.load(folder).sample(3, seed=0)


# ---- trust -------------------------------------------------------------------------------------------------------
def package(place: Path, name: str) -> None:
    (place / f"{name}.py").write_text(
        "from pathlib import Path\n"
        "from subprocess import Popen\n"
        "from pushforward.model import Model\n"
        f"(Path(__file__).parent / 'imported-{name}').touch()\n"
        "class Mine(Model):\n"
        "    def build(self, space, given=None):\n"
        "        pass\n"
        "class NoModel:\n"
        "    def __init__(self, **values):\n"
        "        raise SystemExit('made')\n"
    )


@pytest.mark.parametrize(
    ("module", "name", "trust", "runs"),
    [
        ("theirs_1", "Mine", None, False),
        ("theirs_2", "Mine", "other", False),
        ("theirs_3", "Mine", "theirs", False),
        ("theirs_4", "Mine", "pushforward", False),
        ("theirs_5", "NoModel", "theirs_5", True),
        ("theirs_6", "Popen", "theirs_6", True),
        ("theirs_7", "Model", "theirs_7", True),
        ("theirs_8.os", "system", "theirs_8", True),
        ("theirs_9", "absent", "theirs_9", True),
    ],
)
def test_trust_is_for_the_package_that_was_named_and_its_models(
    module, name, trust, runs, models, tmp_path, monkeypatch
):
    package(tmp_path, module.partition(".")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "m.pf"
    shutil.copytree(models["gaussian"], folder)
    change(folder, lambda card: card.update(module=module, **{"class": name}))
    with pytest.raises(Problem, match=r"card\.json|trust"):
        pf.load(folder, trust=trust)
    assert (tmp_path / f"imported-{module.partition('.')[0]}").exists() == runs


def test_a_trusted_model_is_made(models, tmp_path, monkeypatch):
    package(tmp_path, "friends")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "m.pf"
    shutil.copytree(models["gaussian"], folder)
    kind: Any = importlib.import_module("friends").Mine
    model = kind()
    model.make(pf.load(folder).space, None, None)
    save_file(model.state_dict(), folder / "weights.safetensors")
    space = model.chart.space.to_json()
    change(
        folder,
        lambda card: card.update(module="friends", fields={}, coordinates=space, dtype="float32", **{"class": "Mine"}),
    )
    assert isinstance(pf.load(folder, trust="friends"), kind)


def test_more_memory_than_the_weights_explain_is_a_question_of_trust(tmp_path):
    bits = np.random.default_rng(0).random((40, 3)) > 0.5
    model = pf.RBM(hidden=400, chains=40_000).fit(bits, steps=1, quiet=True)
    folder = model.save(tmp_path / "m.pf")
    with pytest.raises(Problem, match="trust='pushforward'"):
        pf.load(folder)
    again = pf.load(folder, trust="pushforward")
    assert torch.equal(again.weight, model.weight)


# ---- mutations ---------------------------------------------------------------------------------------------------
def test_some_hundred_mutations_of_every_file_that_is_read(tmp_path):
    """A sample of what `make verify-trust` does a hundred thousand times."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "verify" / "trust"))
    import fuzzed

    found = list(fuzzed.rows(0.003, tmp_path, seed=7))
    assert sum(row.tries for row in found) >= 300
    assert not [f"{row.fault}: {row.note}" for row in found if row.lost]


@pytest.mark.parametrize(
    "said",
    ['{"skip": "x"}', '{"skip": 9999999999999}', '{"missing": 5}', '{"separator": 5}', '{"names": 3}', "[1]", "null"],
)
def test_how_data_are_read_is_not_for_a_card_to_break(models, tmp_path, said):
    """A score of data is read as the card says; what it says may be of any type and size."""
    from pushforward import workbench

    folder = tmp_path / "m.pf"
    shutil.copytree(models["maf"], folder)
    change(folder, lambda told: told["outcome"].__setitem__("read", said))
    (tmp_path / "t.csv").write_text("side,x,when,more\nleft,1.5,2020-01-01,1\n")
    kind, _ = attempt(lambda: workbench.score(str(folder), str(tmp_path / "t.csv")), tmp_path, 3 * ROOM)
    assert kind in ("BadFile", "Usage")
