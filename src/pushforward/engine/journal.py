"""What a run says: a progress bar on a terminal, plain lines elsewhere, JSON lines in the model's folder, TensorBoard on request.

The only place of the library that prints. A journal in a folder holds the folder's lock until it is closed.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import BadFile
from .files import aside, make, mend, real
from .locks import WORDS, Word, take

PLAIN = 10.0  # seconds between plain lines


class Lines:
    """A file of JSON that grows by whole lines: what a kill or a full disk left of one is taken back before the next."""

    def __init__(self, path: Path):
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
            flags |= getattr(os, name, 0)
        self.file = open(os.open(path, flags, 0o666), "r+b", buffering=0)
        if not stat.S_ISREG(os.fstat(self.file.fileno()).st_mode):
            self.file.close()
            raise OSError(f"{path.name} is not a regular file")
        self.left = b""
        text = self.file.readall()
        self.size = whole(text)
        self.torn = self.size < len(text)

    def add(self, entry: dict[str, Any]) -> None:
        """Write an entry, and before it those that could not be written when it was their turn."""
        self.left += (json.dumps(entry) + "\n").encode()
        self.write()

    def write(self) -> None:
        if self.torn:
            self.file.truncate(self.size)
        self.torn = True
        rest = memoryview(self.left)
        while rest:
            rest = rest[self.file.write(rest) :]
        self.size, self.left, self.torn = self.size + len(self.left), b"", False

    def close(self) -> None:
        try:
            if self.left:
                self.write()
        finally:
            self.file.close()


def whole(text: bytes) -> int:
    """How many bytes of a journal are whole lines: a kill cuts the last one short, a power cut may leave zeros in its place."""
    end = text.rfind(b"\n") + 1
    while end:
        start = text.rfind(b"\n", 0, end - 1) + 1
        try:
            json.loads(text[start:end])
            return end
        except ValueError:
            end = start
    return end


class Journal:
    """The journal of one run, in a folder if there is one. `quiet` silences the terminal, never the file."""

    def __init__(self, folder: Path | None = None, quiet: bool = False, tensorboard: bool = False):
        self.entries: list[dict[str, Any]] = []
        self.quiet, self.folder = quiet or sys.stderr is None, folder
        self.bar: Any = None
        self.task: Any = None
        self.what, self.total, self.seconds = "", 1, float("inf")
        self.began = self.spoke = time.monotonic()
        self.writer: Any = None
        self.file: Lines | None = None
        self.dumb = False  # whether the file could not be written last time
        self.lock = take(folder) if folder else None
        try:
            if folder:
                self.begin(folder)
            if tensorboard and folder:
                from torch.utils.tensorboard import SummaryWriter

                self.writer = SummaryWriter(str(folder / "tensorboard"))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def begin(self, folder: Path) -> None:
        """The file, of a new run or of one that goes on, and what the claim of the folder had to say."""
        word = WORDS.pop(real(folder), Word())
        try:
            if word.anew:
                aside(folder)
            make(folder)
            self.file = Lines(folder / "journal.jsonl")
        except OSError as problem:
            raise BadFile(
                f"{folder / 'journal.jsonl'} cannot be written: {problem.strerror or problem}. A run keeps its journal there; "
                "let it be written, or name another place."
            ) from problem
        for said in (word.said, self.lock.said if self.lock else ""):
            if said:
                self.say(said)

    def open(self, what: str, total: int, seconds: float = float("inf")) -> None:
        """A run of so many steps, or of so many seconds: whichever is over first."""
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[step]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self.bar = Progress(
                *columns, TextColumn("{task.fields[said]}"), console=Console(stderr=True), transient=True
            )
            self.bar.start()
            self.task = self.bar.add_task(what, total=1.0, step="", said="")
        self.what, self.total, self.seconds = what, total, seconds

    def note(self, step: int, **numbers: Any) -> None:
        """Record numbers of a step."""
        entry = {"step": step, "seconds": round(time.monotonic() - self.began, 3), **numbers}
        self.keep(entry)
        self.draw(step, numbers)
        said = "  ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in numbers.items()
        )
        now = time.monotonic()
        done = min(max(step / max(self.total, 1), (now - self.began) / self.seconds, 1e-9), 1.0)
        counted = f"{step}/{self.total}" if self.seconds == float("inf") else str(step)
        if self.bar and self.task is not None:
            self.bar.update(self.task, completed=done, step=counted, said=said)
        elif not self.quiet and time.monotonic() - self.spoke > PLAIN:
            self.spoke = time.monotonic()
            left = (self.spoke - self.began) * (1 - done) / done
            self.tell(f"{self.what}  step {counted}  {said}  about {left:.0f} s left")

    def draw(self, step: int, numbers: dict[str, Any]) -> None:
        """For TensorBoard, until the disk is full."""
        try:
            for name, value in numbers.items() if self.writer else ():
                if isinstance(value, int | float):
                    self.writer.add_scalar(name, value, step)
        except OSError as problem:
            self.writer = None
            self.say(f"TensorBoard's files could not be written ({problem}). Going on without them.")

    def tell(self, text: str) -> None:
        """To the terminal. A log on a full disk, a closed terminal or a reader that has left ends no run; the journal has the text as well."""
        if not self.quiet:
            with suppress(OSError):
                print(text, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A sentence for the reader: why a run stopped, what was tried."""
        self.keep({"said": text})
        self.tell(text)

    def keep(self, entry: dict[str, Any]) -> None:
        """In memory, and in the file as soon as that can be written: a full disk does not end a run."""
        self.entries.append(entry)
        if self.file is None:
            return
        try:
            self.file.add(entry)
            self.dumb = False
        except OSError as problem:
            if not self.dumb:
                self.dumb = True
                self.say(f"The journal could not be written ({problem}); it is kept in memory. Going on.")

    def close(self) -> None:
        if self.bar:
            with suppress(OSError):  # a terminal that is closed
                self.bar.stop()
            self.bar = None
        file, self.file = self.file, None
        writer, self.writer = self.writer, None
        try:
            if file:
                file.close()
            if writer:
                writer.close()
        except OSError as problem:
            self.say(f"The last entries of the journal could not be written: {problem}.")
        finally:
            if self.lock:
                # NFS keeps the folder that stood here before as long as this file of it is open. The next start mends what is left.
                with suppress(OSError):
                    mend(self.lock.folder)
                self.lock.release()
                self.lock = None
