"""What a type checker and an editor see of the library: the stub is in step with the package, and a user's file passes `mypy --strict`."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pushforward as pf
from pushforward import catalogue

ROOT = Path(__file__).resolve().parents[1]
STUB = ROOT / "src" / "pushforward" / "__init__.pyi"
CONSUMER = ROOT / "tests" / "typed_consumer.py"
HOW = "Run `.venv/bin/python supply/api.py`."


def names_of_the_stub():
    """(name, room, name there) of what the stub passes on, and (name, None, None) of what it declares."""
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            yield from ((a.asname, node.module, a.name) for a in node.names if a.asname)
        elif isinstance(node, ast.AnnAssign):
            if node.target.id != "__version__":
                yield node.target.id, None, None


def test_the_stub_names_what_the_package_gives_and_no_more():
    assert sorted(name for name, _, _ in names_of_the_stub()) == dir(pf), HOW


@pytest.mark.parametrize("name, room, there", list(names_of_the_stub()))
def test_a_name_of_the_stub_is_that_thing(name, room, there):
    if room:
        assert getattr(pf, name) is getattr(import_module(f"pushforward.{room}"), there)
    elif there is None and name in {preset.replace("-", "_") for preset in catalogue.presets()}:
        assert isinstance(getattr(pf, name), catalogue.Preset)
    else:
        assert getattr(pf, name) is import_module(f"pushforward.{name}")


@pytest.fixture(scope="module")
def checked():
    """What mypy says of the file of a user."""
    pytest.importorskip("mypy")
    words = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-pretty", "--no-color-output"]
    words += ["--cache-dir", str(ROOT / ".mypy_cache" / "strict"), str(CONSUMER)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_a_users_file_passes_strict(checked):
    code, said = checked
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert errors == [] and code == 0, said


def test_types_are_known_where_they_can_be(checked):
    revealed = {int(line): kind for line, kind in re.findall(r':(\d+): note: Revealed type is "(.*)"', checked[1])}
    awaited = {i: text for i, text in enumerate(CONSUMER.read_text().splitlines(), 1) if "reveal_type(" in text}
    assert revealed.keys() == awaited.keys() and len(awaited) > 25
    wrong = {
        text.strip(): revealed[i]
        for i, text in awaited.items()
        if not revealed[i].startswith(text.partition("# -> ")[2])
    }
    assert wrong == {}


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert pf.__version__ == version("pushforward") and "__version__: str" in STUB.read_text()


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "src" / "pushforward" / "py.typed").exists()
