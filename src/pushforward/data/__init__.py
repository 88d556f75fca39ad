"""Examples to learn from: one door, `load`, for arrays, tables, images, text, files and built-in sets.

>>> from pushforward.data import load
>>> load("moons", n=100, seed=0)
Examples(moons: 100 of real of shape (2,))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# The function must be bound here, over the module of the same name; that module imports nothing heavy.
from .load import FORMATS, SETS, load

if TYPE_CHECKING:  # what comes when it is first asked for, for type checkers and editors
    from . import builtin, toys
    from .builtin import people, sentences
    from .examples import Examples, singular

_NAMES = {"Examples": "examples", "singular": "examples", "people": "builtin", "sentences": "builtin"}
_MODULES = ("toys", "builtin")

__all__ = ["FORMATS", "SETS", "Examples", "builtin", "load", "people", "sentences", "singular", "toys"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name in _NAMES:
        return getattr(import_module(f".{_NAMES[name]}", __name__), name)
    from ..errors import did_you_mean

    raise AttributeError(f"pushforward.data has no {name!r}.{did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    return __all__
