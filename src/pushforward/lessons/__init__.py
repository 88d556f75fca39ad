"""The figures and identities of the lectures, one file a lesson: `pushforward lesson list`, `pushforward lesson run NAME`.

A lesson is a module with a docstring, its title and formula in the first line and its place in the lectures in the paragraph after, and
a function `lesson(board)` that draws, computes and checks. The list is read as text, so that it costs no import of torch.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import Usage, did_you_mean


@cache
def names() -> dict[str, dict[str, str]]:
    """Every lesson, in the order of the lectures, with its title, its formula and its place in them.

    >>> names()["dirac-gan"]["lecture"][:11]
    'Lecture 002'
    """
    found = {}
    for path in Path(__file__).parent.glob("*.py"):
        if path.stem == "__init__":
            continue
        first, _, rest = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")
        title, _, formula = first.partition("   ")
        place = " ".join(rest.strip().split("\n\n")[0].split())
        found[path.stem.replace("_", "-")] = {"title": title.strip(), "formula": formula.strip(), "lecture": place}
    return dict(sorted(found.items(), key=lambda one: (one[1]["lecture"], one[0])))


def find(name: str) -> Any:
    """The module of a lesson."""
    plain = name.lower().replace("_", "-")
    if plain not in names():
        raise Usage(
            f"There is no lesson {name!r}.{did_you_mean(plain, names())} `pushforward lesson list` names all {len(names())}."
        )
    return importlib.import_module(f".{plain.replace('-', '_')}", __name__)


def run(
    name: str,
    out: str | Path | None = None,
    quick: bool = False,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
    **options: Any,
) -> Any:
    """Teach a lesson: the board with its figures and checks, its files written into `out` if that is given.

    >>> run("inverse-transform", quick=True).holds
    True
    """
    module = find(name)  # before anything heavy

    import matplotlib

    from .board import Board
    from .board.style import LOOK

    place = None if out is None else Path(out)
    board = Board(module.__name__.rpartition(".")[2].replace("_", "-"), quick, seed, place, tell, options)
    with matplotlib.rc_context(LOOK):
        module.lesson(board)
        board.close()
    return board


__all__ = ["find", "names", "run"]
