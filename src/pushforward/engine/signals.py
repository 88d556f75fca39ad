"""Ctrl-C, SIGTERM and SIGUSR1: heard between two steps, so that what was learned is kept.

    Ctrl-C once          the step is finished, a checkpoint written, the model is usable and `fit` returns
    Ctrl-C twice         KeyboardInterrupt at once; the model stands at its last good state
    SIGTERM, SIGUSR1,    the step is finished, a checkpoint written, the process ends with 143
    SIGHUP

A model that is being saved is saved before a signal is followed; a second Ctrl-C leaves the old one. What is solved at once stops at once.

SIGUSR1 is what a cluster sends before it takes a machine back (SLURM: `--signal=USR1@120`), SIGHUP what a terminal or an ssh connection that is closed
leaves behind. A signal that is ignored stays ignored (nohup, a job in the background), and a SIGUSR1 or SIGHUP that the program hears itself stays its own.
In a thread that is not the main one Python hears no signals: nothing is changed. A process that a callback forks hears them as before the run.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

LEAVE = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name))
OWN = LEAVE[1:]  # which a program may use for something else
ECHO = 1.0  # seconds in which torchrun passes on the Ctrl-C that its processes have had from the terminal


class Terminated(SystemExit):
    """The process is to end, and what is open is to be closed on the way."""

    def __init__(self) -> None:
        super().__init__(143)


def inherited(process: int, number: int) -> bool:
    """Whether this is a worker that a callback of process `process` has forked. Then the signal does what it does where nobody listens."""
    if process == os.getpid():
        return False
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.raise_signal(number)
    return True


def leave(number: int, frame: Any) -> None:
    if not inherited(Leaving.process, number):
        raise Terminated


def main() -> bool:
    return threading.current_thread() is threading.main_thread()


def free(number: int) -> bool:
    """Whether a signal may be heard here: neither ignored, nor with another use."""
    found = signal.getsignal(number)
    if number in OWN:
        return found in (signal.SIG_DFL, leave)
    return found is not None and found is not signal.SIG_IGN


class Handlers:
    """Handlers of signals, put back as they were on leaving."""

    def __init__(self) -> None:
        self.old: dict[int, Any] = {}

    def listen(self, handler: Any, *numbers: int) -> None:
        if main():
            self.old = {s: signal.signal(s, handler) for s in numbers if free(s)}

    def __exit__(self, *error: Any) -> None:
        for number, handler in self.old.items() if main() else ():
            signal.signal(number, handler)
        self.old = {}


class Leaving(Handlers):
    """Outside the loop, where nothing is to be finished: SIGTERM, SIGUSR1 and SIGHUP end the process with 143, by way of what is open."""

    process = 0  # that listens; a child has another number

    def __enter__(self) -> Leaving:
        Leaving.process = os.getpid()
        self.listen(leave, *(s for s in LEAVE if signal.getsignal(s) is signal.SIG_DFL))
        return self


class Later(Handlers):
    """Around something short that is to be finished: a signal is followed when it is."""

    def __enter__(self) -> Later:
        self.heard: list[int] = []
        self.listen(lambda number, frame: self.heard.append(number), signal.SIGINT, *LEAVE)
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for number in self.heard[:1]:
            signal.raise_signal(number)


class Signals(Handlers):
    """What was heard so far, in `said`."""

    def __init__(self, world: int = 1) -> None:
        super().__init__()
        self.world = world
        self.said, self.stopped, self.at = "", False, 0.0
        self.process = os.getpid()

    def __enter__(self) -> Signals:
        self.listen(self.heard, signal.SIGINT, *LEAVE)
        return self

    def heard(self, number: int, frame: Any) -> None:
        if inherited(self.process, number):
            return
        if number != signal.SIGINT:
            self.said = "terminated"
        elif not self.said:
            self.said, self.at = "interrupted", time.monotonic()
        elif not self.stopped and not (self.world > 1 and time.monotonic() - self.at < ECHO):
            self.stopped = True  # while the last good state is put back, a third one changes nothing
            raise KeyboardInterrupt

    def follow(self) -> None:
        """What was asked for, now that what had to be finished is."""
        if self.said == "interrupted":
            raise KeyboardInterrupt
        if self.said:
            raise Terminated
