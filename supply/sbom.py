"""The bill of materials: every package that pushforward leads to, as CycloneDX 1.6 in JSON (ECMA-424).

    python supply/sbom.py [--extras data,track] [-o FILE]

The same environment gives the same file: the serial number follows from the content, and the time is SOURCE_DATE_EPOCH or left out. Of each
package: name, version, licence, package URL (the purl specification's type pypi), who needs it, and a hash of its installed files; the hash of the
archive it came from only where the installer kept it, which pip does for an archive that was named by its address or path.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packages import SHIPPED, Package, closure, project

ALGORITHMS = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
# Identifiers of the SPDX list that stand in the metadata of packages here; another word is given as a name.
SPDX = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib", "0BSD"}


def purl(name: str, version: str) -> str:
    """A package URL: lower case, hyphens.

    >>> purl("Markdown_it", "1.0")
    'pkg:pypi/markdown-it@1.0'
    """
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"


def licence(one: Package) -> list[dict[str, Any]]:
    told = one.licence
    if told in SPDX:
        return [{"license": {"id": told}}]
    if one.installed.metadata["License-Expression"]:
        return [{"expression": told}]
    return [] if told == "not told" else [{"license": {"name": told}}]


def component(one: Package) -> dict[str, Any]:
    place = purl(one.name, one.version)
    out: dict[str, Any] = {
        "type": "library",
        "bom-ref": place,
        "name": one.name,
        "version": one.installed.version,
        "scope": "required",
        "purl": place,
        "properties": [{"name": "pushforward:installed-files:sha256", "value": one.content}],
    }
    if summary := one.installed.metadata["Summary"]:
        out["description"] = summary
    if told := licence(one):
        out["licenses"] = told
    hashes = [{"alg": ALGORITHMS[name], "content": text} for name, text in one.archives.items() if name in ALGORITHMS]
    return out | ({"hashes": hashes} if hashes else {})


def head() -> dict[str, Any]:
    """What the bill is of."""
    told = project()
    own = purl(told["name"], told["version"])
    component = {
        "type": "library",
        "bom-ref": own,
        "name": told["name"],
        "version": told["version"],
        "description": told["description"],
    }
    out: dict[str, Any] = {
        "component": component | {"licenses": [{"license": {"id": told["license"]}}], "purl": own},
        "lifecycles": [{"phase": "build"}],
    }
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        out["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return out


def bill(extras: tuple[str, ...] = SHIPPED) -> dict[str, Any]:
    """The whole bill."""
    packages, top = closure(extras), head()
    refs = {name: purl(one.name, one.version) for name, one in packages.items()}
    direct = sorted(refs[name] for name, one in packages.items() if "pushforward" in one.asked_by)
    edges = [(top["component"]["bom-ref"], direct)]
    edges += [(refs[name], sorted(refs[n] for n in one.needs)) for name, one in packages.items()]
    body = {
        "components": [component(one) for one in packages.values()],
        "dependencies": [{"ref": ref, "dependsOn": needs} for ref, needs in edges],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([top, body], sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": top,
        **body,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", default=",".join(SHIPPED[1:]), help="extras of the library to follow (data,track)")
    parser.add_argument("-o", "--out", type=Path, help="the file to write; else it is printed")
    told = parser.parse_args()
    text = json.dumps(bill(("", *filter(None, told.extras.split(",")))), indent=2, ensure_ascii=False) + "\n"
    if told.out is None:
        print(text, end="")
    else:
        told.out.parent.mkdir(parents=True, exist_ok=True)
        told.out.write_text(text, encoding="utf-8")
        print(f"{told.out}: {len(json.loads(text)['components'])} packages")


if __name__ == "__main__":
    main()
