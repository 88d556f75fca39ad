"""Every page runs, block by block, and every link on it leads somewhere."""

import doctest
import importlib.util
import re
import sys
from fnmatch import filter as fnmatch_filter
from fnmatch import fnmatch
from pathlib import Path

import pytest

from pushforward import catalogue

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")


def room(name: str, path: Path):
    """A module that is not of the package."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = room("pages", ROOT / "docs" / "pages.py")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *pages.all_pages()]
by_name = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


@by_name
def test_every_block_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("COLUMNS", "140")
    session = pages.Session(page)
    for block in pages.blocks(page.read_text()):
        if block.runs:
            session.run(block)


def test_the_examples_of_the_runner_itself_hold():
    assert doctest.testmod(pages).attempted >= 4 and doctest.testmod(pages).failed == 0


def test_a_block_that_fails_fails_its_page(tmp_path):
    page = tmp_path / "page.md"
    blocks = (
        "python\n1 / 0",
        "python\nassert 1 == 2",
        "shell exit=0\npushforward no-such-verb",
        "shell exit=2\npushforward --version",
    )
    for text in [f"```{block}\n```\n" for block in blocks]:
        page.write_text(text)
        with pytest.raises(pages.PageError):
            pages.with_results(page, text)


def test_results_stand_below_their_block(tmp_path):
    text = "one\n\n```python\nprint('said')\n6 * 7\n```\n\ntwo\n"
    whole = pages.with_results(tmp_path / "page.md", text)
    assert re.search(
        r"6 \* 7\n```\n+````\{code-block\} text\n:class: result\n\nsaid\n````\n+````\{code-block\} text\n:class: result\n\n42\n````\n+two",
        whole,
    )


def test_every_language_of_a_page_is_known():
    """A misspelt fence would be a block that never runs."""
    for page in PAGES:
        for block in pages.blocks(page.read_text()):
            assert block.language in ("python", "shell", "text", "yaml", "{toctree}"), (
                f"{page.name}, line {block.line}: {block.language!r}"
            )
            if block.language in ("python", "shell"):
                assert all(re.fullmatch(r"no-run|exit=\d+|file=\S+", word) for word in block.options), (
                    f"{page.name}, line {block.line}"
                )
                assert block.runs or block.options, f"{page.name}, line {block.line} would not run; say no-run"


@by_name
def test_every_formula_becomes_mathml(page):
    maths = pytest.importorskip("docutils.utils.math.latex2mathml", reason="docutils comes with pushforward[docs]")
    for formula in pages.formulas(page.read_text()):
        assert "<math" in maths.tex2mathml(formula), formula


def headings(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    return {pages.slug(title) for title in re.findall(r"^#+ (.+)$", text, flags=re.M)}


@by_name
def test_every_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, mark = target.partition("#")
        found = (page.parent / place).resolve() if place else page
        assert found.exists(), f"{page.name} links to {target}, which is not there"
        assert not mark or mark in headings(found), f"{page.name} links to {target}; {found.name} has no such heading"


def test_every_page_is_in_the_contents():
    index = next(p for p in pages.all_pages() if p.name == "index.md")
    trees = [block.text for block in pages.blocks(index.read_text()) if block.language == "{toctree}"]
    listed = {line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")}
    there = {p.relative_to(pages.HERE).with_suffix("").as_posix() for p in pages.all_pages()} - {"index"}
    missing = {page for page in there if not any(fnmatch(page, pattern) for pattern in listed)}
    assert not missing and all(fnmatch_filter(there, pattern) for pattern in listed)


def test_the_lectures_page_calls_existing_only_what_exists():
    table = (pages.HERE / "lectures.md").read_text().partition("## Systems")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| [")]
    assert len(rows) == len(catalogue.FAMILIES)
    for family, here, missing in rows:
        name = re.search(r"\[(\w+)\]", family)[1]
        systems = re.findall(r"`(\w+)`", here)
        assert systems and all(catalogue.names().get(system) == name for system in systems)
        assert not re.findall(r"`(\w+)`", missing)
        page = (pages.HERE / "families" / f"{name}.md").read_text()
        assert all(f"## {system}\n" in page and f"pf.{system}(" in page for system in systems), (
            f"families/{name}.md lacks one of {systems}"
        )


def test_the_floors_on_the_page_are_those_that_are_enforced():
    house = room("house", ROOT / "tests" / "test_house.py")
    block = next(b for b in pages.blocks((pages.HERE / "architecture.md").read_text()) if b.language == "text")
    told = {}
    for line in block.text.splitlines():
        floor, rooms = re.match(r"(\d)  (.+?)(?:   +|$)", line).groups()
        told |= dict.fromkeys(rooms.split(), int(floor))
    there = {house.room(path) for path in house.FILES}
    assert told == {name: floor for name, floor in house.FLOORS.items() if name in there}
