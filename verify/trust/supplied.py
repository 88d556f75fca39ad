"""Supply: what is published installs and works from nothing, reaches no network, and stands on packages that are locked and free to use.

Tests run without the network (supply/alone.py), sdist and wheel are built and installed into fresh environments, the archives and the packages that
they lead to are gone through one by one. With `much` of 1 the wheel is also installed with everything it asks for, from the index of this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from rows import Row

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "supply"))
import alone  # noqa: E402
import packages  # noqa: E402
import sbom  # noqa: E402
import wheels  # noqa: E402

# Reading, learning in loops with children, the command line: the rest of the tests by `make test-offline`.
PARTS = (
    "tests/test_cli.py",
    "tests/test_offline.py",
    "tests/engine",
    "tests/data",
    "tests/test_comparing.py",
    "tests/report",
)
SECONDS = 110.0
FIT = """
import pushforward as pf
from pathlib import Path
assert Path(pf.__file__).is_relative_to({place!r}), pf.__file__
x = pf.data.toys.moons(200, seed=0)
model = pf.MAF(transforms=2, hidden=(16,)).fit(x, steps=5, seed=0, quiet=True)
model.save("moons.pf")
assert pf.load("moons.pf").sample(3, seed=1).shape == (3, 2)
"""


def rows(much: float, out: Path, seed: int) -> Iterator[Row]:
    yield offline(much, out)
    yield from archives(out, real=much >= 1)
    yield supply()


# ---- the network ------------------------------------------------------------------------------------------------------------
def offline(much: float, out: Path) -> Row:
    """Tests, without the network; a test that fails and an attempt that is seen are lost."""
    began, passed = time.monotonic(), 0
    notes: list[str] = []
    lost: list[str] = []
    for part in PARTS:
        left = SECONDS * max(much, 0.2) - (time.monotonic() - began)
        if left < 5:
            notes.append(f"{part} was not reached in the time")
            continue
        good, bad, cut = tested(part, out / "offline.txt", left)
        passed, lost = passed + good, lost + bad
        notes += [f"{part} was cut short by the time"] if cut else []
    wall = (
        "Python and a namespace with loopback alone"
        if alone.namespace()
        else "Python alone (no namespace can be made here)"
    )
    return Row(
        "the network is taken away",
        "the tests pass, and nothing tries to reach it",
        passed + len(lost),
        passed,
        len(lost),
        time.monotonic() - began,
        "; ".join([f"blocked: {wall}", *notes, *lost]),
    )


def tested(part: str, told: Path, seconds: float) -> tuple[int, list[str], bool]:
    """Tests that passed, those that failed with the attempts that were seen, and whether the time cut them short."""
    words = [sys.executable, "-m", "pytest", part, "-vv", "-m", "not slow", "--tb=line", "--no-header"]
    attempts: list[str] = []
    cut = False
    with open(told, "w") as file:
        try:
            done, attempts = alone.run(words, True, seconds, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            cut = True
    said = told.read_text(errors="replace")
    bad = re.findall(r"^(\S+) (?:FAILED|ERROR)", said, flags=re.M)
    good = len(re.findall(r"^\S.* PASSED", said, flags=re.M))
    if not cut and done.returncode not in (0, 1, 5):
        bad.append(f"{part}: {said[-300:]}")
    return good, bad + attempts, cut


# ---- archives ---------------------------------------------------------------------------------------------------------------
def archives(out: Path, real: bool) -> Iterator[Row]:
    began = time.monotonic()
    made = wheels.build(ROOT, fresh(out / "dist"), "sdist", "wheel")
    sdist, wheel = (next(p for p in made if p.name.endswith(end)) for end in (".tar.gz", ".whl"))
    again = wheels.build(wheels.unpack(sdist, fresh(out / "tree")), fresh(out / "again"), "wheel")[0]
    wrong = wheels.faults(wheel, ROOT / "src" / "pushforward")
    if again.read_bytes() != wheel.read_bytes():
        wrong.append("the sdist builds another wheel than the tree")
    good = len(wheels.names(wheel))
    promise = "the wheel is the package with licence and py.typed and nothing else; the sdist builds the same bytes"
    seconds = time.monotonic() - began
    yield Row("sdist and wheel, file by file", promise, good + len(wrong), good, len(wrong), seconds, "; ".join(wrong))
    yield installs(wheel, sdist, out, real)


def installs(wheel: Path, sdist: Path, out: Path, real: bool) -> Row:
    """Each archive into an environment of its own, which goes when it was tried."""
    began, notes, lost, tries = time.monotonic(), ["the dependencies are those of .venv"], list[str](), 0
    for archive, everything in [(wheel, False), (sdist, False), *([(wheel, True)] if real else [])]:
        problem = installed(archive, out / "fresh", everything)
        shutil.rmtree(out / "fresh", ignore_errors=True)
        if problem is None:
            notes.append(f"torch {version('torch')} cannot be had here, so not with every dependency installed anew")
            continue
        tries += 1
        notes += ["and once every dependency installed anew"] if everything and not problem else []
        lost += [f"{archive.name}: {problem}"] if problem else []
    promise = "pip install works; the command answers; import, fit, save, load and sample work"
    seconds = time.monotonic() - began
    fault = "installed into an empty environment"
    return Row(fault, promise, tries, tries - len(lost), len(lost), seconds, "; ".join([*notes, *lost]))


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def installed(archive: Path, place: Path, everything: bool) -> str | None:
    """What went wrong; empty where nothing did, None where this build of torch cannot be had. Without `everything`, this environment lends the dependencies."""
    venv.create(fresh(place), with_pip=True)
    python, command = str(place / "bin" / "python"), str(place / "bin" / "pushforward")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]

    def ended(words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=place, env=env, capture_output=True, text=True, timeout=600)

    if everything:  # the very build that is here, and no larger one
        if ended([*pip, f"torch=={version('torch')}"]).returncode:
            return None
        first = [*pip, "-c", str(packages.LOCK), str(archive)]
    else:
        home = next(place.glob("lib/python*/site-packages"))
        (home / "lent.pth").write_text(site_of_this() + "\n")
        first = [*pip, "--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", str(archive)]
    fit = [python, "-c", FIT.format(place=str(place))]
    for words in (first, [command, "--version"], fit, [command, "inspect", "moons.pf"]):
        done = ended(words)
        if done.returncode:
            return f"{' '.join(words[1:4])}: {(done.stderr or done.stdout).strip()[-300:]}"
    return ""


def site_of_this() -> str:
    """Where the packages of this environment lie; the editable pushforward in it is a line of a .pth there, which is not followed."""
    import torch

    return str(Path(torch.__file__).parents[1])


# ---- what it stands on ------------------------------------------------------------------------------------------------------
def supply() -> Row:
    began, pins = time.monotonic(), packages.pins()
    found = packages.closure()
    told = {one["purl"] for one in sbom.bill()["components"]}
    lost = [f"{name} {one.version} is not locked" for name, one in found.items() if pins.get(name) != one.version]
    lost += [
        f"{name}: {one.licence}"
        for name, one in found.items()
        if packages.barred(one.licence) or one.licence == "not told"
    ]
    lost += [
        f"{name} is not in the bill" for name, one in found.items() if sbom.purl(one.name, one.version) not in told
    ]
    bad = {re.split(r"[ :]", text)[0] for text in lost}
    return Row(
        "every package that an installation brings",
        "locked to a version, under a licence that bars nobody, and in the bill of materials",
        len(found),
        len(found) - len(bad),
        len(bad),
        time.monotonic() - began,
        "; ".join(lost),
    )
