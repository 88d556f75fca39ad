"""The systems by name, read from the families' `__init__.py`: one line a system, no registry.

The names are read as text, so that listing them (for `--help`, completion, "did you mean") costs no import of torch.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import Any

from .errors import Usage, did_you_mean

FAMILIES = ("classical", "autoregressive", "latent", "flows", "adversarial", "energy")


@cache
def names() -> dict[str, str]:
    """Every system and its family, in the order of the families.

    >>> names()["VAE"]
    'latent'
    """
    found: dict[str, str] = {}
    for family in FAMILIES:
        tree = ast.parse((Path(__file__).parent / "models" / family / "__init__.py").read_text())
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                found |= {alias.asname or alias.name: family for alias in node.names}
    return found


def find(name: str) -> type[Any]:
    """The class of a system; letter case, hyphens and underscores do not matter."""
    known = {plain(n): n for n in names()}
    if plain(name) not in known:
        raise Usage(
            f"There is no model {name!r}.{did_you_mean(name, names())} `pushforward models` lists all {len(known)}."
        )
    exact = known[plain(name)]
    return getattr(importlib.import_module(f"pushforward.models.{names()[exact]}"), exact)


def plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def table() -> list[dict[str, Any]]:
    """A row for each system: family, name, one line about it, what it takes and what it can."""
    rows = []
    for name, family in names().items():
        kind = find(name)
        about = (kind.__doc__ or "").strip().split("\n")[0]
        rows.append(
            {"family": family, "model": name, "takes": list(kind.spaces), "can": kind().abilities, "about": about}
        )
    return rows


def load(path: Any, trust: str | None = None) -> Any:
    """A saved model. Only classes of pushforward are made, unless `trust` names the package of another."""
    from .saving import load as read

    return read(path, find, trust)
