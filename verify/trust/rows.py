"""What a trial of a promise says: how often a fault was put in, and how often the promise held."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One fault, tried many times."""

    fault: str  # what was done to it
    promise: str  # what must hold all the same
    tries: int
    survived: int
    lost: int
    seconds: float
    note: str = ""  # which tries were lost, or the conditions

    def __post_init__(self) -> None:
        if self.survived + self.lost != self.tries:
            raise ValueError(f"{self.fault}: {self.survived} survived and {self.lost} were lost, of {self.tries} tries")

    def line(self) -> str:
        return json.dumps(asdict(self))
