"""What a run says: a progress bar on a terminal, plain lines elsewhere, JSON lines in the model's folder, TensorBoard on request.

The only place of the library that prints.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

PLAIN = 10.0  # seconds between plain lines


class Journal:
    """The journal of one run, in a folder if there is one. `quiet` silences the terminal, never the file."""

    def __init__(self, folder: Path | None = None, quiet: bool = False, tensorboard: bool = False):
        self.entries: list[dict[str, Any]] = []
        self.file: TextIO | None = open(folder / "journal.jsonl", "a") if folder else None
        self.quiet = quiet
        self.bar: Any = None
        self.task: Any = None
        self.began = self.spoke = time.monotonic()
        self.writer = None
        if tensorboard and folder:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder / "tensorboard"))

    def open(self, what: str, total: int) -> None:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self.bar = Progress(
                *columns, TextColumn("{task.fields[said]}"), console=Console(stderr=True), transient=True
            )
            self.bar.start()
            self.task = self.bar.add_task(what, total=total, said="")
        self.what, self.total = what, total

    def note(self, step: int, **numbers: Any) -> None:
        """Record numbers of a step."""
        entry = {"step": step, "seconds": round(time.monotonic() - self.began, 3), **numbers}
        self.entries.append(entry)
        if self.file:
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()
        if self.writer:
            for name, value in numbers.items():
                if isinstance(value, int | float):
                    self.writer.add_scalar(name, value, step)
        said = "  ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in numbers.items()
        )
        if self.bar and self.task is not None:
            self.bar.update(self.task, completed=step, said=said)
        elif not self.quiet and time.monotonic() - self.spoke > PLAIN:
            self.spoke = time.monotonic()
            done = min(max(step / max(self.total, 1), 1e-9), 1.0)
            left = (self.spoke - self.began) * (1 - done) / done
            print(
                f"{self.what}  step {step}/{self.total}  {said}  about {left:.0f} s left", file=sys.stderr, flush=True
            )

    def say(self, text: str) -> None:
        """A sentence for the reader: why a run stopped, what was tried."""
        self.entries.append({"said": text})
        if self.file:
            self.file.write(json.dumps({"said": text}) + "\n")
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None
        if self.file:
            self.file.close()
            self.file = None
        if self.writer:
            self.writer.close()
            self.writer = None
