"""docs/add-a-model.md to the letter: in a copy of the project, one file, one line and one test, and everything else is there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .test_docs import ROOT, pages

PAGE = ROOT / "docs" / "add-a-model.md"
SUITES = ("test_laws.py", "test_house.py", "test_sklearn.py")
PROGRAM = """
import contextlib, io, json, sys
import pytest, torch
torch.set_num_threads(1)
name, test, *suites = sys.argv[1:]


class Count:
    passed, failed = [], []

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            (self.passed if report.passed else self.failed).append(report.nodeid)


def cli(*words):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main([*words, "--json"])
    return json.loads(said.getvalue())


count = Count()
with contextlib.redirect_stdout(sys.stderr):
    own = pytest.main([test, "-q", "-p", "no:cacheprovider"], plugins=[count])
    laws = pytest.main([*suites, "-q", "-p", "no:cacheprovider", "-k", f"{name} or student_t"], plugins=[count])
from pushforward.cli import main
import pushforward

print(json.dumps({
    "package": pushforward.__file__, "own": own, "laws": laws, "passed": count.passed, "failed": count.failed,
    "models": cli("models")["models"], "about": cli("models", name),
    "fit": cli("fit", "moons", "--model", name, "--set", "freedom=3", "--set", "steps=20", "-o", "t.pf"),
    "sample": cli("sample", "t.pf", "-n", "3", "--seed", "0"),
    "demo": cli("demo", "--model", name, "--time", "1", "-o", "demo")["systems"],
}))
"""


def register(path: Path, line: str) -> None:
    """The line of the page at the end of a family's __init__.py."""
    path.write_text(path.read_text().rstrip() + "\n" + line.strip() + "\n")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """What came of doing what the page says, in one other process."""
    there = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "src", there / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", there)
    (there / "tests").mkdir()
    for name in ("conftest.py", *SUITES):
        shutil.copy(ROOT / "tests" / name, there / "tests")
    system, line, test = (block for block in pages.blocks(PAGE.read_text()) if block.file)
    for block in (system, test):
        place = there / block.file
        assert not (ROOT / block.file).exists(), f"{block.file} exists: the page has to add something else"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(block.text)
    name = line.text.split()[-1]
    register(there / line.file, line.text)
    before = {path: path.read_bytes() for path in (ROOT / "src").rglob("*.py")}
    words = [sys.executable, "-c", PROGRAM, name, test.file, *(f"tests/{suite}" for suite in SUITES)]
    env = os.environ | {"PYTHONPATH": str(there / "src"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, cwd=there, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    changed = [p for p, data in before.items() if (there / p.relative_to(ROOT)).read_bytes() != data]
    return json.loads(done.stdout.splitlines()[-1]) | {
        "there": there,
        "name": name,
        "changed": changed,
        "log": done.stderr,
    }


def test_the_copy_is_what_ran(followed):
    assert Path(followed["package"]).is_relative_to(followed["there"])


def test_no_other_file_was_touched(followed):
    assert [path.name for path in followed["changed"]] == ["__init__.py"]


def test_its_own_test_and_every_law_hold(followed):
    assert not followed["failed"] and followed["own"] == followed["laws"] == 0, followed["log"][-4000:]
    laws = {test.partition("::")[2].partition("[")[0] for test in followed["passed"] if "test_laws" in test}
    assert len(laws) >= 14, laws
    assert any("check_estimator" in test for test in followed["passed"])


def test_it_is_in_the_catalogue_and_on_the_command_line(followed):
    row = next(row for row in followed["models"] if row["model"] == followed["name"])
    assert row["family"] == "classical" and set(row["can"]) == {"sample", "log_prob", "encode", "decode"}
    assert [field["field"] for field in followed["about"]["fields"]] == ["freedom"]
    assert followed["about"]["fields"][0]["what it is"]
    assert followed["fit"]["fields"] == {"freedom": 3}
    assert followed["sample"]["rows"] == 3


def test_it_has_a_row_in_the_demo(followed):
    (row,) = followed["demo"]
    assert row["system"] == followed["name"] and row["nats"] < 0 and row["kind"] == "exact" and not row["said"]
    assert (followed["there"] / "demo" / "report.html").stat().st_size > 10_000


def test_its_files_pass_the_linter(followed):
    files = [block.file for block in pages.blocks(PAGE.read_text()) if block.file]
    for words in (("check",), ("format", "--check")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", *files],
            cwd=followed["there"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_names_the_files_where_it_shows_them():
    text = PAGE.read_text()
    for block in pages.blocks(text):
        assert not block.file or text.count(f"`{block.file}`") == 1
