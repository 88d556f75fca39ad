"""Build the sdist and the wheel without a network, and look at what is in them.

The build runs hatchling of this environment, not one that is fetched; SOURCE_DATE_EPOCH makes the times in the archives the same each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

EPOCH = "1700000000"


def build(tree: Path, out: Path, *targets: str) -> list[Path]:
    """The archives that were made of a source tree."""
    words = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    for target in targets:
        words += ["-t", target]
    done = subprocess.run(
        words, cwd=tree, env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"the build of {tree} failed:\n{done.stdout}{done.stderr}")
    return sorted(out.iterdir())


def unpack(sdist: Path, out: Path) -> Path:
    """The tree inside an sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(out, filter="data")
    return out / sdist.name.removesuffix(".tar.gz")


def names(archive: Path) -> list[str]:
    """The files inside, without the folder on top of an sdist."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as content:
            return sorted(content.namelist())
    with tarfile.open(archive) as content:
        return sorted(name.partition("/")[2] for name in content.getnames())


def metadata(wheel: Path) -> Message:
    """What the wheel says of itself; its payload is the description, the README."""
    with zipfile.ZipFile(wheel) as content:
        name = next(n for n in content.namelist() if n.endswith(".dist-info/METADATA"))
        return message_from_string(content.read(name).decode())


def faults(wheel: Path, package: Path) -> list[str]:
    """What is wrong with a wheel of the package that lies in a folder."""
    inside = set(names(wheel))
    awaited = {
        f"{package.name}/{p.relative_to(package).as_posix()}"
        for p in package.rglob("*")
        if p.suffix in (".py", ".pyi", ".typed")
    }
    info = next(n for n in inside if n.endswith(".dist-info/METADATA")).rpartition("/")[0]
    told = metadata(wheel)
    found = [f"{name} is not in the wheel" for name in sorted(awaited - inside)]
    found += [
        f"{name} does not belong in the wheel" for name in sorted(inside - awaited) if not name.startswith(f"{info}/")
    ]
    found += [f"{name} is not there" for name in (f"{info}/licenses/LICENSE",) if name not in inside]
    facts = {
        "Name": package.name,
        "License-Expression": "MIT",
        "Description-Content-Type": "text/markdown",
        "Requires-Python": ">=3.11",
    }
    found += [f"{key} is {told[key]!r}, not {value!r}" for key, value in facts.items() if told[key] != value]
    if f"{package.name}/py.typed" not in inside:
        found.append("py.typed is not in the wheel: type checkers would not read the annotations")
    return found
