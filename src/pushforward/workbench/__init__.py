"""The workbench: what can be done with data and models by name and path. The command line and the studio are faces of it."""

from .choosing import choose, settings
from .machinery import doctor
from .reading import condition, options, raw
from .verbs import Fitted, Opened, complete, decode, encode, first, fit, inspect, make, sample, score, verify
from .writing import free, write

__all__ = [
    "Fitted",
    "Opened",
    "choose",
    "complete",
    "condition",
    "decode",
    "doctor",
    "encode",
    "first",
    "fit",
    "free",
    "inspect",
    "make",
    "options",
    "raw",
    "sample",
    "score",
    "settings",
    "verify",
    "write",
]
