"""What pushforward stands on: every package of an installed environment that its requirements lead to, and the lock of their versions.

    python supply/packages.py lock        constraints.txt, from the environment this Python runs in
    python supply/packages.py licences    the table of docs/supply.md

Requirements are read from pyproject.toml and from the metadata of what is installed, markers and extras followed; nothing is asked of a network.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
import tomllib
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "constraints.txt"
PAGE = ROOT / "docs" / "supply.md"
SHIPPED = ("", "data", "track")  # "" is what every user installs; the others are extras of the library itself
KEPT = ("hatchling", "setuptools")  # they build, and are no requirement of an extra
# Words of a licence with which this library could not be used under MIT terms, or not by everybody.
BARRED = re.compile(
    r"\b(?:A|L)?GPL|GNU|\bBUSL|Business Source|\bSSPL|Commons Clause|non-?commercial|\bNC\b|-NC-|proprietary|\bEULA|evaluation", re.I
)  # fmt: skip
HEAD = """\
# Every package that `make` installs, at the version the tests passed with: Python 3.11, x86-64 Linux, CPU build of torch.
# Written by `make lock`. Dependencies of dependencies are here too, so that tomorrow's installation is today's.
"""


@dataclass
class Package:
    """One installed package and why it is there."""

    installed: Distribution
    extras: set[str] = field(default_factory=set)  # of itself, asked for by others
    asked_by: set[str] = field(default_factory=set)
    needs: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return str(self.installed.metadata["Name"])

    @property
    def version(self) -> str:
        return Version(self.installed.version).public  # without the build, as +cpu

    @property
    def licence(self) -> str:
        """As its metadata has it: the expression, else its field where that is a name, else its classifiers."""
        told = self.installed.metadata
        if told["License-Expression"]:
            return str(told["License-Expression"])
        classes = [
            c.split(" :: ")[-1]
            for c in told.get_all("Classifier") or []
            if c.startswith("License :: ") and c.count(" :: ") > 1
        ]
        written = (told["License"] or "").strip()
        if re.fullmatch(r"[\w. +-]{2,40}", written) and not written.startswith("Copyright"):
            return written
        return "; ".join(classes) or "not told"

    @property
    def content(self) -> str:
        """SHA-256 of what was installed: the sorted names and hashes of its files, without what an installer adds for itself."""
        own = re.compile(r"^\.\.|\.pyc$|\.dist-info/(INSTALLER|REQUESTED|RECORD|direct_url\.json|uv_cache\.json)$")
        record = csv.reader((self.installed.read_text("RECORD") or "").splitlines())
        lines = sorted(f"{file}={told}" for file, told, _ in record if told and not own.search(file))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def archives(self) -> dict[str, str]:
        """Hashes of the archive it came from, where the installer kept them."""
        told = json.loads(self.installed.read_text("direct_url.json") or "{}")
        return dict(told.get("archive_info", {}).get("hashes", {}))


def project() -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def asked(extras: tuple[str, ...] = SHIPPED) -> dict[str, list[Requirement]]:
    """The direct requirements of the library, by extra; "" is the library itself."""
    told = project()
    every = {"": told["dependencies"], **told["optional-dependencies"]}
    return {
        extra: [Requirement(line) for line in every[extra] if not line.startswith("pushforward")] for extra in extras
    }


def closure(extras: tuple[str, ...] = SHIPPED, more: tuple[str, ...] = ()) -> dict[str, Package]:
    """Every package that the library with these extras leads to, by canonical name."""
    found: dict[str, Package] = {}
    front = [("pushforward", one) for some in asked(extras).values() for one in some]
    front += [("the build", Requirement(name)) for name in more]
    while front:
        by, wanted = front.pop()
        name = canonicalize_name(wanted.name)
        if name not in found:
            try:
                found[name] = Package(distribution(name))
            except PackageNotFoundError:
                sys.exit(f"{wanted} is asked for by {by} and is not installed. Run make test or make docs first.")
            extra = {""} | wanted.extras
        else:
            extra = wanted.extras - found[name].extras
        one = found[name]
        one.asked_by.add(by)
        one.extras |= wanted.extras
        if by in found:
            found[by].needs.add(name)
        for line in one.installed.requires or [] if extra else []:
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": word}) for word in extra):
                front.append((name, need))
    return dict(sorted(found.items()))


def pins(path: Path = LOCK) -> dict[str, str]:
    """The versions of a lock file, by canonical name."""
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def lock() -> str:
    """The text of constraints.txt for this environment."""
    parts = [
        ("The library", [r.name for some in asked(("",)).values() for r in some], ("",)),
        ("What the library's dependencies bring", [], ("",)),
        ("The extras data and track", [], SHIPPED),
        ("Tests, pages and the build", [], (*SHIPPED, "test", "docs")),
    ]
    text, done = HEAD, set()
    for title, names, extras in parts:
        last = title == parts[-1][0]
        packages = closure(extras, KEPT if last else ())
        chosen: list[str] = [canonicalize_name(n) for n in names] or list(packages)
        fresh = [n for n in chosen if n not in done]
        done |= set(fresh)
        text += f"\n# {title}\n" + "".join(f"{packages[n].name}=={packages[n].version}\n" for n in fresh)
    return text


def barred(licence: str) -> bool:
    """Whether a licence keeps somebody from using the library as its own licence says.

    >>> barred("AGPL-3.0-only"), barred("Business Source License 1.1"), barred("CC-BY-NC-4.0"), barred("BSL-1.0 AND MIT")
    (True, True, True, False)
    """
    return bool(BARRED.search(licence))


def licences() -> str:
    """The table of what a user installs."""
    direct: dict[str, str] = {canonicalize_name(r.name): extra for extra, some in asked().items() for r in some}
    rows = ["| package | licence | asked for by |", "|---|---|---|"]
    for name, one in closure().items():
        by = ([f"pushforward[{direct[name]}]" if direct[name] else "pushforward"] if name in direct else []) + sorted(
            one.asked_by - {"pushforward"}
        )
        licence = one.licence.replace(" AND ", ", ")
        rows.append(f"| {one.name} | {licence} | {', '.join(by)} |")
    return "\n".join(rows) + "\n"


def set_in(page: str, table: str) -> str:
    """The page with its table of licences replaced."""
    begin = page.index("| package | licence |")
    end = next((m.start() for m in re.finditer(r"^(?!\|)", page[begin:], re.M)), len(page) - begin) + begin
    return page[:begin] + table + page[end:]


def main() -> None:
    if sys.argv[1:] == ["lock"]:
        LOCK.write_text(lock())
    elif sys.argv[1:] == ["licences"]:
        PAGE.write_text(set_in(PAGE.read_text(), licences()))
    else:
        sys.exit(str(__doc__))


if __name__ == "__main__":
    main()
