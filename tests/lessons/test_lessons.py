"""Every lesson's identities at a quick size, its figures, and the command."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from pushforward import lessons
from pushforward.cli import run
from pushforward.errors import Problem, Usage
from pushforward.lessons.board import Board, Check

SHORT = [name for name in lessons.names() if name != "gan-stability"]  # which has tests of its own


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_identities_of_a_lesson_hold(name, seed):
    board = lessons.run(name, quick=True, seed=seed)
    assert [check.what for check in board.checks if not check.holds] == []
    assert len(board.checks) >= 5 and len({check.what for check in board.checks}) == len(board.checks)
    assert board.figures and next(iter(board.figures)) == name and not board.files


def test_every_lesson_names_its_place_in_the_lectures():
    assert len(lessons.names()) >= 10
    for name, facts in lessons.names().items():
        assert facts["lecture"].startswith("Lecture 00") and facts["title"] and facts["formula"], name
    assert [facts["lecture"] for facts in lessons.names().values()] == sorted(
        f["lecture"] for f in lessons.names().values()
    )


def test_figures_are_vector_and_png_and_the_same_again(tmp_path):
    for folder in ("a", "b"):
        board = lessons.run("inverse-transform", tmp_path / folder, quick=True)
        assert [path.name for path in board.files] == ["inverse-transform.svg", "inverse-transform.png"]
    first, second = (tmp_path / folder / "inverse-transform.svg" for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert ElementTree.parse(first).getroot().tag.endswith("svg")
    assert Image.open(tmp_path / "a" / "inverse-transform.png").size[0] > 2000


def test_an_identity_that_does_not_hold_is_said_with_its_numbers():
    board = Board("broken")
    board.check("one is two", 1, 2, 0.5)
    board.check("nothing is a number", float("nan"), 0, 1)
    board.check("one is one", 1, 1)
    assert [check.holds for check in board.checks] == [False, False, True] and not board.holds
    with pytest.raises(Problem, match="2 of 3 identities do not hold: one is two: 1, awaited 2 within 0.5"):
        board.complain()
    assert not Board("empty").holds
    assert Check("infinite", -float("inf"), -float("inf"), 0).holds and not Check("not", 5, -float("inf"), 0).holds


def test_the_list_and_the_help_import_nothing_heavy():
    script = """
import sys
from pushforward.cli import run
for line in (["lesson"], ["lesson", "--help"], ["lesson", "list", "--json"], ["lesson", "run", "--help"], ["lesson", "run", "dirac"]):
    run(line)
print("HEAVY", sorted({"torch", "pandas", "sklearn", "numpy", "matplotlib", "scipy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout and "Did you mean 'dirac-gan'?" in done.stderr


def test_the_command_lists_and_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["lesson", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["lessons"]
    assert [row["name"] for row in listed] == list(lessons.names())
    assert run(["lesson", "list"]) == 0 and "dirac-gan" in capsys.readouterr().out
    assert run(["lesson", "run", "inverse-transform", "--quick", "--out", "figures", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert "Inverse-transform sampling" in out and "lengths of preimages" in out and "inverse-transform.svg" in err
    assert run(["lesson", "run", "INVERSE_transform", "--quick", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lesson"] == "inverse-transform" and all(check["holds"] for check in told["checks"])
    assert sorted(told["files"]) == ["lessons/inverse-transform.png", "lessons/inverse-transform.svg"]


def test_a_broken_identity_is_an_exit_code(tmp_path, capsys, monkeypatch):
    module = lessons.find("inverse-transform")
    before = module.lesson
    monkeypatch.setattr(module, "lesson", lambda board: (before(board), board.check("wrong on purpose", 1, 0)))
    assert run(["lesson", "run", "inverse-transform", "--quick", "--out", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "wrong on purpose" in out and "NO" in out and "1 of " in err and "do not hold" in err


def test_an_unknown_lesson(capsys):
    with pytest.raises(Usage, match="Did you mean 'gan-stability'"):
        lessons.find("gan-stabilty")
    assert run(["lesson", "run", "nothing"]) == 2
