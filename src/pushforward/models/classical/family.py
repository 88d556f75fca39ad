"""Classical models: closed forms and expectation–maximisation, solved at once and in double precision."""

from __future__ import annotations

from typing import ClassVar

from ...engine import Recipe
from ...model import Model


class Classical(Model):
    """A model that is solved, not stepped."""

    recipe: ClassVar[Recipe] = Recipe(precision="float64", valid=0.0)
