"""Ctrl-C and SIGTERM: heard between two steps, so that what was learned is kept."""

from __future__ import annotations

import signal
import threading
from typing import Any


class Signals:
    """The first Ctrl-C lets the step finish, the second stops at once; SIGTERM saves and leaves with 143."""

    def __enter__(self) -> Signals:
        self.said = ""
        self.old: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self.old = {s: signal.signal(s, self.heard) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def heard(self, number: int, frame: Any) -> None:
        if self.said and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.said = "interrupted" if number == signal.SIGINT else "terminated"

    def __exit__(self, *error: Any) -> None:
        for number, handler in self.old.items():
            signal.signal(number, handler)
