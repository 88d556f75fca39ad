"""Deep generative models behind one interface: draw, score, fill in, encode.

>>> import pushforward as pf
>>> model = pf.Histogram(bins=10).fit(pf.data.toys.moons(200))
>>> model.sample(2, seed=0).shape
(2, 2)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_ROOMS = ("data", "noise", "nets", "maths", "metrics", "graphs", "engine", "lessons", "workbench", "errors")
_NAMES = {
    "Model": "model",
    "Recipe": "engine",
    "Space": "space",
    "Examples": "data",
    "Problem": "errors",
    "Usage": "errors",
    "Unable": "errors",
    "BadData": "errors",
    "BadFile": "errors",
    "Diverged": "errors",
    "load": "catalogue",
    "Pushforward": "maths.pushforward",
    "expect": "metrics",
    "compare": "workbench.comparing",
}


def __getattr__(name: str) -> Any:
    # Everything comes when it is first asked for: `import pushforward` costs next to nothing.
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    if name in _NAMES:
        return getattr(import_module(f".{_NAMES[name]}", __name__), name)
    if name == "__version__":
        from .saving import version

        return version()
    if name.startswith("__"):
        raise AttributeError(name)
    from .catalogue import find
    from .errors import Usage

    try:
        return find(name)
    except Usage as problem:
        raise AttributeError(str(problem)) from None


def __dir__() -> list[str]:
    from .catalogue import names, presets

    return sorted([*_ROOMS, *_NAMES, *names(), *(name.replace("-", "_") for name in presets())])
