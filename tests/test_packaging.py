"""What is published and what it stands on: sdist, wheel, lock file, bill of materials, licences."""

import json
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "pushforward"
sys.path.insert(0, str(ROOT / "supply"))
try:
    import packages
    import sbom
    import wheels
finally:
    sys.path.remove(str(ROOT / "supply"))

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HERE = {name: version(name) for name in packages.closure()}
LOCKED = all(Version(v).public == packages.pins().get(name) for name, v in HERE.items())
as_locked = pytest.mark.skipif(
    not LOCKED, reason="this environment has other versions than constraints.txt (make test-lowest, or another Python)"
)


# ---- archives ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    pytest.importorskip("hatchling")
    made = wheels.build(ROOT, tmp_path_factory.mktemp("dist"), "sdist", "wheel")
    return sorted(made, key=lambda path: path.suffix)  # .gz, .whl


def test_the_wheel_is_the_package_and_nothing_else(archives):
    assert wheels.faults(archives[1], PACKAGE) == []


def test_a_wheel_that_lacks_something_is_found(archives, tmp_path):
    import zipfile

    spoiled = tmp_path / archives[1].name
    with zipfile.ZipFile(archives[1]) as old, zipfile.ZipFile(spoiled, "w") as new:
        for name in old.namelist():
            if name not in ("pushforward/py.typed", "pushforward/noise.py") and not name.endswith("/LICENSE"):
                new.writestr(name, old.read(name))
        new.writestr("tests/test_laws.py", "")
    said = " ".join(wheels.faults(spoiled, PACKAGE))
    for word in ("py.typed is not", "noise.py is not", "LICENSE is not", "test_laws.py does not belong"):
        assert word in said


def test_the_sdist_holds_what_a_packager_needs_and_no_results(archives):
    inside = wheels.names(archives[0])
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "constraints.txt", "Makefile", "PKG-INFO"):
        assert name in inside
    assert any(name.startswith("tests/golden/") for name in inside) and "supply/packages.py" in inside
    stray = r"(^|/)(\.|__pycache__|_build|out/|dist/|.*\.pyc$|.*\.egg-info)"
    assert [name for name in inside if re.search(stray, name) and name != ".gitignore"] == []


def test_the_sdist_builds_the_same_wheel(archives, tmp_path):
    tree = wheels.unpack(archives[0], tmp_path / "tree")
    again = wheels.build(tree, tmp_path / "again", "wheel")[0]
    assert again.name == archives[1].name and again.read_bytes() == archives[1].read_bytes()


def test_what_the_wheel_says_of_itself(archives):
    told = wheels.metadata(archives[1])
    assert told["Version"] == PROJECT["version"] == version("pushforward")
    wanted = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert {Requirement(r).name for r in told.get_all("Requires-Dist") if "extra" not in r} == wanted
    assert "Typing :: Typed" in told.get_all("Classifier")


def test_the_readme_renders(archives):
    """As a registry renders it: Markdown with tables; every fence closed, no link into the file system."""
    markdown = pytest.importorskip("markdown_it", reason="rich brings it from 13.1 on")
    text = wheels.metadata(archives[1]).get_payload()
    assert text.strip() == (ROOT / "README.md").read_text().strip()
    page = markdown.MarkdownIt("commonmark").enable("table").render(text)
    assert page.count("<h1>") == 1 and page.count("<table>") >= 1 and page.count("<pre>") >= 3
    assert "```" not in page and "|---" not in page and "file://" not in page and 'href="/' not in page


# ---- the lock ----------------------------------------------------------------------------------------------------
@as_locked
def test_every_package_of_the_library_is_locked():
    assert set(HERE) <= set(packages.pins())
    assert len(HERE) > len(PROJECT["dependencies"]) + 10  # what they bring is looked at too


def test_every_direct_requirement_is_locked_within_its_range():
    pins = packages.pins()
    asked = packages.asked(("", "data", "track", "test", "docs"))
    for wanted in [one for some in asked.values() for one in some]:
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), f"{wanted} and constraints.txt disagree"


@as_locked
def test_the_lock_is_what_is_installed():
    try:
        text = packages.lock()
    except SystemExit:
        pytest.skip("the packages of the pages are not installed (make docs)")
    assert text == packages.LOCK.read_text(), "Run `make lock` and read what changed."


def test_the_lowest_versions_are_the_floors_of_the_ranges():
    """With one exception. The project uses of torch only what 2.11 has and allows it, but no CPU build below 2.13 was to be had to try it with."""
    floors = {}
    for wanted in [one for some in packages.asked().values() for one in some]:
        assert [s.operator for s in wanted.specifier] == [">="], f"{wanted}: a floor and nothing else is awaited"
        floors[canonicalize_name(wanted.name)] = Version(next(iter(wanted.specifier)).version)
    told = {name: Version(v) for name, v in packages.pins(ROOT / "supply" / "lowest.txt").items()}
    assert (floors.pop("torch"), told.pop("torch")) == (Version("2.11"), Version("2.13.0"))
    assert told == floors


# ---- licences and the bill of materials --------------------------------------------------------------------------
def test_no_licence_of_the_library_bars_anybody():
    assert {name: one.licence for name, one in packages.closure().items() if packages.barred(one.licence)} == {}
    assert [name for name, one in packages.closure().items() if one.licence == "not told"] == []


@pytest.mark.parametrize(
    "text, no",
    [
        ("GPL-3.0-or-later", True),
        ("GNU Lesser General Public License v3 (LGPLv3)", True),
        ("AGPL-3.0-only", True),
        ("BUSL-1.1", True),
        ("Business Source License 1.1", True),
        ("CC-BY-NC-4.0", True),
        ("Free for non-commercial use", True),
        ("NVIDIA Proprietary Software", True),
        ("BSL-1.0 AND MIT", False),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("MPL-2.0", False),
    ],
)
def test_what_bars(text, no):
    assert packages.barred(text) is no


@as_locked
def test_the_page_lists_the_licences_that_are_there():
    page = packages.PAGE.read_text()
    assert packages.set_in(page, packages.licences()) == page, "Run `make licences` and read what changed."
    for wanted in PROJECT["dependencies"]:
        assert f"| {Requirement(wanted).name} |" in page


def test_the_bill_is_cyclonedx():
    bill = sbom.bill()
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", bill["serialNumber"])
    refs = [one["bom-ref"] for one in bill["components"]]
    own = bill["metadata"]["component"]["bom-ref"]
    assert len(set(refs)) == len(refs) == len(HERE) and own not in refs
    for one in bill["components"]:
        assert {"type", "bom-ref", "name", "version", "purl", "licenses"} <= set(one)
        assert re.fullmatch(r"pkg:pypi/[a-z0-9]+(-[a-z0-9]+)*@[\w.]+", one["purl"]), one["purl"]
        told = one["licenses"]
        assert all(len(entry) == 1 for entry in told) and ("expression" not in told[0] or len(told) == 1)
        assert all(re.fullmatch("[0-9a-f]{32,128}", h["content"]) for h in one.get("hashes", []))
    edges = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    assert set(edges) == {*refs, own}
    reached, front = set(), [own]
    while front:
        one = front.pop()
        if one not in reached:
            reached.add(one)
            front += edges[one]
    assert reached == {*refs, own}, "every package is needed by somebody"


def test_the_same_environment_gives_the_same_bill(monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    first = sbom.bill()
    assert json.dumps(sbom.bill()) == json.dumps(first) and "timestamp" not in first["metadata"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert sbom.bill()["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"


def test_files_of_a_package_that_change_change_its_hash():
    one = packages.closure()["numpy"]
    assert re.fullmatch("[0-9a-f]{64}", one.content) and one.content == packages.closure()["numpy"].content
    assert one.content != packages.closure()["scipy"].content
