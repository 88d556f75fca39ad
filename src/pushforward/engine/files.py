"""Folders that are complete or absent: staged beside their place, flushed to the disk, renamed; every file with its sha256."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import BadFile

MANIFEST = "MANIFEST.sha256"
LIVING = (
    MANIFEST,
    "journal.jsonl",
)  # a journal grows while a run goes on or is done anew; the model beside it must stay whole


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Make a file's bytes, or a folder's names, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sign(folder: Path) -> None:
    """Write the manifest over all files of a folder; itself and what other writers own (journal, checkpoints) excepted."""
    lines = [f"{digest(f)}  {f.name}\n" for f in sorted(folder.iterdir()) if f.is_file() and f.name not in LIVING]
    (folder / MANIFEST).write_text("".join(lines))


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Write a folder whole or not at all: fill the yielded one; on leaving it takes the place of `folder`.

    What stands in `folder` until then stays as it is if anything fails, a full disk included.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    mend(folder)
    stage = folder.parent / f".{folder.name}.{os.getpid()}.part"
    old = folder.parent / f".{folder.name}.{os.getpid()}.old"
    try:
        stage.mkdir()
        yield stage
        sign(stage)
        for path in [*stage.iterdir(), stage]:
            flush(path)
        if folder.exists():
            folder.rename(old)
        stage.rename(folder)
        flush(folder.parent)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        mend(folder)


def mend(folder: Path) -> None:
    """Clear what an interrupted writing left beside a folder: put the old one back if the new one never came, and move over the
    subfolders that other writers own (checkpoints) if it did."""
    for part in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(part, ignore_errors=True)
    for old in folder.parent.glob(f".{folder.name}.*.old"):
        if not folder.exists():
            old.rename(folder)
            continue
        for inner in old.iterdir():
            if inner.is_dir() and not (folder / inner.name).exists():
                inner.rename(folder / inner.name)
        shutil.rmtree(old, ignore_errors=True)


def verify(folder: Path) -> int:
    """Check every file of a folder against its manifest; the number of files, or an error that names the one that differs."""
    manifest = folder / MANIFEST
    if not folder.is_dir():
        raise BadFile(
            f"{folder} is not a folder. A saved model is a folder NAME.pf with card.json, weights and a manifest."
        )
    if not manifest.is_file():
        raise BadFile(f"{folder} has no {MANIFEST}: it is not a saved model, or its writing was cut off.")
    lines = manifest.read_text().splitlines()
    for line in lines:
        wanted, _, name = line.partition("  ")
        path = folder / name
        if not name or Path(name).name != name or path.is_symlink():
            raise BadFile(f"{manifest} names {name!r}, which is not a file of this folder.")
        if not path.is_file():
            raise BadFile(f"{path} is missing, though the manifest lists it. Restore the folder from a copy.")
        found = digest(path)
        if found != wanted:
            raise BadFile(
                f"{path} has changed since it was written (sha256 {found[:12]}…, manifest {wanted[:12]}…). Restore it from a copy."
            )
    return len(lines)


def read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > 64 << 20:
            raise BadFile(f"{path} is {path.stat().st_size >> 20} MiB; a card is small. It is not one of ours.")
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as problem:
        raise BadFile(f"{path} cannot be read: {problem}") from problem
