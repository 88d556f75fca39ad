"""One writer for a folder: a lock beside it, which the kernel gives back when its holder dies, and which says who holds it.

The lock is `flock` on `.NAME.lock`: it needs no guess about process numbers, which mean nothing from one container to the next, and it ends with its
holder however that ends. In the file stand the process, its host, the boot of the kernel and the time. They make the sentence for who comes second,
and they decide where `flock` does not reach (file systems that have none, or keep it to one host): there the holder touches the file every
`BEAT` seconds, and who finds a lock of another host watches it for `DEAD` seconds. A lock that does not beat is of a run that is gone.

    found a lock file that                                 then
    the kernel says is held                                refuse
    is free, of this kernel, or of this host before a boot take over at once, and say so
    is free here, of another host                          watch: refuse at its first beat, else take over and say so

The file stands beside the folder because a folder that is written anew changes places with another. Readers need no lock.
Known limits: where there is no `flock` at all, two that take over the same dead lock in the same instant are not told apart; and a run that
was asleep for longer than `DEAD` on another host without a common `flock` does not notice that it was taken for dead.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import BadFile, Usage
from .files import make, real
from .signals import Later, Leaving

try:
    import fcntl
except ImportError:  # Windows: the beat alone decides
    fcntl = None  # type: ignore[assignment]

BEAT = 15.0
DEAD = 60.0
LOOK = 1.0  # seconds between two looks at a lock that is watched


@dataclass
class Word:
    """What a claim leaves, in this process, for the journal or the save that comes after it."""

    said: str = ""  # how a lock was taken over
    anew: bool = False  # what the run before left is not of this one


WORDS: dict[Path, Word] = {}
HELD: dict[Path, Lock] = {}


def forked() -> None:
    """In a child: let go of the files, else it would keep its parent's locks when that is gone. The parent's hold is not touched."""
    for lock in HELD.values():
        with suppress(OSError):
            os.close(lock.file)
    HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forked)


def of(folder: Path) -> Path:
    """The lock of a folder."""
    place = real(folder)
    return place.with_name(f".{place.name}.lock")


def take(folder: Path) -> Lock:
    """The lock of a folder, to be released; once more if this thread holds it already. A folder that another holds is an error."""
    path = of(folder)
    own = HELD.get(path)
    if own is None or (own.process, own.thread) != (os.getpid(), threading.get_ident()):
        own = Lock(path, folder)
    own.depth += 1
    return own


@contextmanager
def hold(folder: Path) -> Iterator[Lock]:
    lock = take(folder)
    try:
        yield lock
    finally:
        lock.release()


class Lock:
    """A lock that is held."""

    def __init__(self, path: Path, folder: Path):
        self.path, self.folder, self.depth = path, folder, 0
        self.process, self.thread = os.getpid(), threading.get_ident()
        self.said, self.stop = "", threading.Event()
        self.leaving = Leaving()
        try:
            make(path.parent)
            self.file, fresh = self.opened()
        except OSError as problem:
            raise BadFile(f"{folder} cannot be written: {problem.strerror} ({path}). Name another place.") from problem
        try:
            if not fresh:
                self.judge()
            self.sign()
        except OSError as problem:
            self.close()
            raise BadFile(f"{folder} cannot be written: {problem.strerror} ({path}).") from problem
        except BaseException:
            os.close(self.file)
            raise
        self.beating = threading.Thread(target=self.beat, daemon=True, name="pushforward-lock")
        self.beating.start()
        self.leaving.__enter__()
        HELD[path] = self

    def opened(self) -> tuple[int, bool]:
        """The file, locked as far as the system can, and whether it is new."""
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        while True:
            try:
                file, fresh = os.open(self.path, flags | os.O_CREAT | os.O_EXCL, 0o644), True
            except FileExistsError:
                try:
                    file, fresh = os.open(self.path, flags), False
                except FileNotFoundError:
                    continue  # released in between
            self.kernel = grab(file)
            if self.kernel is False:
                end = time.monotonic() + LOOK
                while not (found := read(file)) and time.monotonic() < end:
                    time.sleep(0.02)  # it has the lock, and is about to say its name
                os.close(file)
                raise Usage(self.refusal(found))
            if self.same(file):
                return file, fresh
            os.close(file)

    def same(self, file: int) -> bool:
        """Whether the name is still that of the file."""
        try:
            there, here = os.stat(self.path), os.fstat(file)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def judge(self) -> None:
        """A lock file that was there: of a run that is gone, or of one that only this host's kernel knows nothing of."""
        found = read(self.file)
        if self.kernel and (not found or found.get("boot") == boot() or found.get("host") == socket.gethostname()):
            if found:
                self.said = f"{self.folder} was left locked by {who(found)}, which is gone: taken over."
            return
        seen, end = beat_of(self.path), time.monotonic() + DEAD
        while time.monotonic() < end:
            time.sleep(LOOK)
            if beat_of(self.path) != seen:
                raise Usage(self.refusal(read(self.file)))
        self.said = (
            f"{self.folder} was left locked by {who(found)}, which gave no sign of life for {DEAD:.0f} s: taken over."
        )

    def refusal(self, found: dict[str, Any]) -> str:
        return (
            f"{self.folder} is being written by {who(found)}. Wait until that has ended, end it, or name another place."
        )

    def sign(self) -> None:
        about = {
            "process": self.process,
            "host": socket.gethostname(),
            "boot": boot(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        os.ftruncate(self.file, 0)
        os.lseek(self.file, 0, os.SEEK_SET)
        os.write(self.file, json.dumps(about).encode())

    def beat(self) -> None:
        while not self.stop.wait(BEAT):
            with suppress(OSError):  # a beat that is missed is made up for by the next
                os.utime(self.path)

    def release(self) -> None:
        self.depth -= 1
        if self.depth or self.process != os.getpid():
            return
        self.leaving.__exit__()
        with Later():  # else the file would be left, for the next to take over
            HELD.pop(self.path, None)
            self.stop.set()
            self.beating.join()
            self.close()

    def close(self) -> None:
        """Remove the file, if it is still ours, while it is locked; then give the lock back."""
        mine = self.same(self.file)
        if not self.kernel:
            os.close(self.file)  # Windows removes no file that is open
        if mine:
            with suppress(OSError):  # who finds it takes it over
                self.path.unlink()
        if self.kernel:
            os.close(self.file)


def grab(file: int) -> bool | None:
    """True: ours. False: another's. None: there are no locks here."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def read(file: int) -> dict[str, Any]:
    """What a lock file says; nothing if its writer did not come that far."""
    os.lseek(file, 0, os.SEEK_SET)
    try:
        found = json.loads(os.read(file, 4096))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def beat_of(path: Path) -> tuple[int, int]:
    """When a lock was touched last. The file is opened for it: a network file system asks its server only then."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return 0, 0
    try:
        found = os.fstat(file)
        return found.st_ino, found.st_mtime_ns
    finally:
        os.close(file)


def who(found: dict[str, Any]) -> str:
    if not found:
        return "a process that has not said its name"
    own = (
        found.get("process") == os.getpid()
        and found.get("boot") == boot()
        and found.get("host") == socket.gethostname()
    )
    name = f"process {found.get('process')}{' (this one)' if own else ''}"
    return f"{name} on {found.get('host')} since {found.get('since')}"


def boot() -> str:
    """Which boot of which kernel this is: the same in all containers of a machine. Without one, the host's name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()
