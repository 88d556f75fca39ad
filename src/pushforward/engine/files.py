"""Folders that are complete or absent: staged beside their place, flushed to the disk, put there in one stroke; every file with its sha256.

A folder that stands already changes places with the staged one in one call of the kernel (Linux `renameat2` with RENAME_EXCHANGE: ext4, xfs, btrfs,
tmpfs; macOS `renamex_np` on APFS), so a reader finds the old one or the new one at every instant, and so does whoever comes after a kill. Where
there is no such call (NFS, some containers) the old one steps aside first, for the time of one rename; `standing` finds it there and `mend` puts it back.
Replacing file after file was the other way; it leaves folders whose files are not of one writing.

Nothing is removed before what replaces it is on the disk, and only who holds the folder's lock (`locks`) writes or mends it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from ..errors import BadFile
from . import safe

MANIFEST = "MANIFEST.sha256"
LIVING = (
    MANIFEST,
    "journal.jsonl",
)  # a journal grows while a run goes on or is done anew; the model beside it must stay whole
RUNS = ("checkpoints", "tensorboard", "journal.jsonl")  # what a run writes beside the model
OURS = re.compile(r"(card|state)\.json|.*\.safetensors|README\.md|journal\.jsonl|MANIFEST\.sha256|\..*")  # files
BEFORE = "before"  # where they go when a run starts anew, until its model is whole
LEFT = re.compile(r"\.(.+)\.\d+\.(part|old)")
TRIES = 5  # times that a folder is read anew because it was exchanged meanwhile

Read = TypeVar("Read")


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Make a file's bytes, or a folder's names, survive a power cut."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no such call for folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise  # else a file system that has no such call for folders either
    finally:
        os.close(handle)


def make(folder: Path) -> None:
    """A folder, and those above it, that survive a power cut."""
    if not folder.is_dir():
        make(folder.parent)
        folder.mkdir(exist_ok=True)
        flush(folder.parent)


def real(folder: Path) -> Path:
    """Where a folder is: what is written takes the place of the folder, not of a link to it."""
    return Path(os.path.realpath(folder))


def sign(folder: Path) -> None:
    """Write the manifest over all files of a folder; itself and what other writers own (journal, checkpoints) excepted."""
    lines = [f"{digest(f)}  {f.name}\n" for f in sorted(folder.iterdir()) if f.is_file() and f.name not in LIVING]
    (folder / MANIFEST).write_text("".join(lines))


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Tensors as safetensors, which says a full disk in an error of its own."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file({name: t.detach().contiguous().cpu().clone() for name, t in tensors.items()}, path)
    except SafetensorError as problem:
        raise OSError(f"{path.name}: {problem}") from problem


@contextmanager
def staged(folder: Path, anew: bool = False) -> Iterator[Path]:
    """Write a folder whole or not at all: fill the yielded one; on leaving it takes the place of `folder`.

    What stands in `folder` until then stays as it is if anything fails, a full disk included. What others put there moves over (checkpoints, a
    report); not so what a run left there if the new folder is not of that run (`anew`).
    """
    folder = real(folder)
    make(folder.parent)
    mend(folder)
    stage = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        stage.mkdir()
        yield stage
        sign(stage)
        mode = (stage / MANIFEST).stat().st_mode
        for path in stage.iterdir():
            if path.stat().st_mode != mode and path.is_file():
                path.chmod(mode)  # safetensors makes files that only their owner can read
            flush(path)
        flush(stage)
        if anew and folder.is_dir():
            aside(folder)
        put(stage, folder)
        flush(folder.parent)
    finally:
        # What is told is whether the new one stands. NFS keeps what somebody has open; the next start mends, and says so if it cannot.
        with suppress(OSError):
            mend(folder)


def put(stage: Path, folder: Path) -> None:
    if not folder.exists():
        stage.rename(folder)
    elif not exchange(stage, folder):
        folder.rename(stage.with_suffix(".old"))
        stage.rename(folder)


def mounts() -> dict[str, str]:
    """Where file systems begin, and of which kind they are; nothing where the system does not say."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return {}
    words = (line.split(" ") for line in lines)
    return {re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), w[4]): w[w.index("-") + 1] for w in words}


def movable(folder: Path) -> None:
    """An OSError now, not after hours, where a folder that stands cannot change places: a volume is mounted there, or it is of a container's image."""
    folder, kinds = real(folder), mounts()
    if str(folder) in kinds or os.path.ismount(folder):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(folder))
    if kinds.get(max((place for place in kinds if folder.is_relative_to(place)), key=len, default="")) != "overlay":
        return
    # Only a try tells whether it lies in a layer that stays as it is.
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    folder.rename(aside)
    aside.rename(folder)


def exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one stroke; False where the system or the file system cannot."""
    import ctypes

    here, swap = -100, 2  # AT_FDCWD; RENAME_EXCHANGE, and RENAME_SWAP of macOS
    a, b = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "linux":
            return ctypes.CDLL(None).renameat2(here, a, here, b, swap) == 0
        if sys.platform == "darwin":
            return ctypes.CDLL(None).renamex_np(a, b, swap) == 0
    except AttributeError:  # a C library without it
        return False
    return False


def left(folder: Path) -> list[Path]:
    """What interrupted writings of a folder left beside it."""
    if not folder.parent.is_dir():
        return []
    return sorted(p for p in folder.parent.iterdir() if (found := LEFT.fullmatch(p.name)) and found[1] == folder.name)


def mend(folder: Path) -> None:
    """Clear what an interrupted writing left beside a folder: put the old one back if the new one never came, and move over what
    other writers own (checkpoints, a report that somebody put there) if it did."""
    folder = real(folder)
    found = left(folder)
    if not found:
        return
    for part in found:
        if part.suffix == ".old" and not folder.exists():
            part.rename(folder)
    flush(folder.parent)  # what stands now stands, before anything is removed
    for part in left(folder):
        if folder.is_dir():
            carry(part, folder)
        shutil.rmtree(part)


def carry(part: Path, folder: Path) -> None:
    theirs = [p for p in part.iterdir() if (p.name != BEFORE if p.is_dir() else not OURS.fullmatch(p.name))]
    inner = [p for p in theirs if not os.path.lexists(folder / p.name)]
    for path in inner:
        path.rename(folder / path.name)
    if inner:
        flush(folder)
        flush(part)


def tidy(parent: Path) -> None:
    """Mend every folder in a folder."""
    if parent.is_dir():
        for name in sorted({found[1] for p in parent.iterdir() if (found := LEFT.fullmatch(p.name))}):
            mend(parent / name)


def aside(folder: Path) -> None:
    """What the run before left goes into `before`, and with the folder when the new model takes its place. A run that was over before it had
    a checkpoint is not worth what is there already."""
    found = [folder / name for name in RUNS if os.path.lexists(folder / name)]
    before = folder / BEFORE
    if not found:
        return
    if before.exists() and not any((folder / "checkpoints").glob("step-*")):
        for path in found:
            remove(path)
        return
    remove(before)
    make(before)
    for path in found:
        path.rename(before / path.name)
    flush(before)
    flush(folder)


def remove(path: Path) -> None:
    """A file, link or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def standing(folder: Path) -> Path:
    """Where to read a folder: its place, or beside it in the instant in which the old one has stepped aside."""
    if folder.exists():
        return folder
    return next((p for p in left(real(folder)) if p.suffix == ".old"), folder)


def steady(folder: Path, read: Callable[[Path], Read]) -> Read:
    """What `read` makes of a folder, all of it from one writing: read anew if another took its place meanwhile, or if it was away for an instant."""
    failed: Any = ()
    for _ in range(TRIES):
        before = generation(folder)
        try:
            found = read(standing(folder))
        except (BadFile, OSError):
            if generation(folder) == before == failed:
                raise
            failed = before
            continue
        if generation(folder) == before:
            return found
    raise BadFile(f"{folder} is being written anew all the time. Read it when that has ended.")


def generation(folder: Path) -> tuple[int, int] | None:
    try:
        found = (standing(folder) / MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def verify(folder: Path) -> int:
    """Check every file of a folder against its manifest; the number of files, or an error that names the one that differs."""
    manifest = folder / MANIFEST
    if not folder.is_dir():
        raise BadFile(
            f"{folder} is not a folder. A saved model is a folder NAME.pf with card.json, weights and a manifest."
        )
    if not manifest.is_file() and not manifest.is_symlink():
        raise BadFile(f"{folder} has no {MANIFEST}: it is not a saved model, or its writing was cut off.")
    return len(safe.verified(folder, MANIFEST, ()))


def read_json(path: Path) -> Any:
    return safe.json_of(path, safe.content(path, safe.CARD))
