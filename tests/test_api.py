"""The documented names are the exported ones, with the signatures of tests/golden/api.json: a change of the public face is seen in review."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

import pushforward as pf
from pushforward import data, maths, metrics

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("api", ROOT / "supply" / "api.py")
api = sys.modules["api"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(api)

HOW = (
    "The public names or signatures are not those of tests/golden/api.json. If that is meant: run `.venv/bin/python supply/api.py`, read the difference, "
    "write a line in CHANGELOG.md, and from 1.0 on follow docs/stability.md."
)
TOLD = api.api()
KEPT = json.loads(api.GOLDEN.read_text())


@pytest.mark.parametrize("part", api.PARTS)
def test_names_and_signatures_are_those_that_were_reviewed(part):
    def signatures(told):
        return {name: one["signature"] for name, one in told.get(part, {}).items()}

    assert signatures(TOLD) == signatures(KEPT), HOW


def test_the_page_and_the_stub_are_in_step():
    assert api.PAGE.read_text() == api.page(TOLD), HOW
    assert api.STUB.read_text() == api.stub(), HOW


def test_the_page_names_what_is_exported_and_nothing_else():
    page = api.PAGE.read_text()
    parts = {name: text for name, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, flags=re.M | re.S)}
    listed = {part: re.findall(r"^- `(\w+)", text, flags=re.M) for part, text in parts.items()}
    assert listed["pushforward"] == dir(pf)
    assert sorted(listed["pushforward.metrics"]) == sorted(metrics.__all__)
    assert sorted(listed["pushforward.data"]) == sorted(data.__all__) == sorted(dir(data))
    for room in ("heads", "bijections", "divergences", "transport"):
        module = importlib.import_module(f"{maths.__name__}.{room}")
        assert sorted(listed[f"pushforward.maths.{room}"]) == sorted(module.__all__)
    doors = {name for name in vars(pf.Model) if type(vars(pf.Model)[name]).__name__ == "Ability"}
    assert doors <= set(listed["pushforward.Model"])


@pytest.mark.parametrize("part", api.PARTS)
def test_every_public_name_has_a_line(part):
    assert [name for name, one in TOLD[part].items() if not one["line"]] == [], (
        "A public thing has a docstring (a field of a dataclass: a comment)."
    )


def test_what_is_exported_is_there_and_what_is_not_is_told():
    assert all(getattr(pf, name) is not None for name in dir(pf))
    assert all(hasattr(metrics, name) for name in metrics.__all__) and all(hasattr(data, name) for name in data.__all__)
    with pytest.raises(AttributeError, match="Did you mean 'VAE'"):
        _ = pf.VEA


def test_a_change_of_a_signature_is_a_difference():
    def before(x, *, n: int = 3, at=None):
        pass

    def after(x, *, n: int = 4, at=None):
        pass

    assert api.signature(before) == "(x, *, n=3, at=None)" != api.signature(after)
    assert api.flat("<class 'numpy.float32'>, at=torch.float32, lr=0.001") == "<class 'float32'>, at=float32, lr=0.001"
    assert api.flat("f=<function a.<locals>.b at 0x7f3a>").count("0x") == 0


def test_exit_codes_are_stable():
    """Scripts depend on these numbers: docs/stability.md promises them."""
    codes = {name: int(one["signature"].split()[-1]) for name, one in TOLD["pushforward.errors"].items()}
    promised = {"Problem": 1, "Usage": 2, "Unable": 2, "BadData": 3, "BadType": 3, "BadFile": 3, "Diverged": 4}
    assert promised.items() <= codes.items()
    page = (ROOT / "docs" / "stability.md").read_text()
    for code in (0, *sorted(set(promised.values())), 130, 143):
        assert f"| {code} |" in page
