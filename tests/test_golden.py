"""Golden model folders of this release load for ever after, and say the same numbers (tests/golden/write.py made them)."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pushforward as pf
from pushforward import catalogue

sys.path.insert(0, str(Path(__file__).parent / "golden"))
import write

HERE = Path(__file__).parent / "golden"
FOLDERS = sorted(folder for folder in (HERE / "models").iterdir() if folder.is_dir())
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return json.loads((HERE / "models" / "answers.json").read_text())


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return write.tables()


def state(folder: Path) -> dict[str, tuple[str, int]]:
    return {f.name: (hashlib.sha256(f.read_bytes()).hexdigest(), f.stat().st_mtime_ns) for f in folder.iterdir()}


def close(found: Any, wanted: Any, tolerance: float = TOLERANCE) -> bool:
    """Numbers up to rounding; everything else is the same."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(close(found[k], wanted[k], tolerance) for k in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(close(f, w, tolerance) for f, w in zip(found, wanted, strict=True))
    if isinstance(wanted, float) and isinstance(found, float):
        return bool(np.isclose(found, wanted, rtol=tolerance, atol=tolerance))
    return type(found) is type(wanted) and found == wanted


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.stem)
def test_a_golden_folder_says_what_it_said(folder, told, data):
    before = state(folder)
    wanted = dict(told[folder.stem])
    model = pf.load(folder)
    found = json.loads(json.dumps(write.answers(model, write.rows(data[wanted.pop("data")]))))
    assert found.keys() == wanted.keys()
    for ability in wanted:
        assert close(found[ability], wanted[ability]), f"{ability}: {found[ability]} where {wanted[ability]} was said"
    assert state(folder) == before, "reading a model changed its folder"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.stem)
def test_a_golden_folder_can_be_read_where_nothing_may_be_written(folder, tmp_path):
    twin = tmp_path / "twin.pf"
    twin.mkdir()
    for file in folder.iterdir():
        (twin / file.name).write_bytes(file.read_bytes())
        (twin / file.name).chmod(0o444)
    os.chmod(twin, 0o555)
    try:
        again = pf.load(twin)
    finally:
        os.chmod(twin, 0o755)
    assert repr(again) == repr(pf.load(folder)) and again.abilities == pf.load(folder).abilities


def test_the_golden_folders_cover_what_there_is(told):
    assert {folder.stem for folder in FOLDERS} == set(told) == set(write.models())
    cards = [json.loads((folder / "card.json").read_text()) for folder in FOLDERS]
    families = catalogue.names()
    assert {families[card["class"]] for card in cards} == set(catalogue.FAMILIES)
    assert {card["space"]["kind"] for card in cards} == {"real", "binary", "levels", "tokens", "table"}
    assert {card["dtype"] for card in cards} == {"float32", "float64"} and any(card["given"] for card in cards)
    columns = [column for card in cards for column in card["space"].get("columns", [])]
    assert {column["kind"] for column in columns} >= {"number", "integer", "category", "ordinal", "boolean", "date"}
    assert any(column.get("missing") for column in columns)
    size = sum(file.stat().st_size for file in (HERE / "models").rglob("*") if file.is_file())
    assert size < 400_000, f"{size:,} bytes; they are kept for ever"
