"""The workbench: what can be done with data and models by name and path. The command line and the studio are faces of it."""

from .choosing import choose, settings
from .comparing import Comparison, compare
from .machinery import doctor
from .reading import condition, options, raw
from .reporting import report
from .sharing import draw, many, score
from .verbs import (
    Fitted,
    Opened,
    anomaly,
    complete,
    decode,
    encode,
    first,
    fit,
    inspect,
    make,
    place_of,
    sample,
    verify,
)
from .writing import free, write

__all__ = [
    "Comparison",
    "Fitted",
    "Opened",
    "anomaly",
    "choose",
    "compare",
    "complete",
    "condition",
    "decode",
    "doctor",
    "draw",
    "encode",
    "first",
    "fit",
    "free",
    "inspect",
    "make",
    "many",
    "options",
    "place_of",
    "raw",
    "report",
    "sample",
    "score",
    "settings",
    "verify",
    "write",
]
