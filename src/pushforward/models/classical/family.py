"""Classical models: closed forms and expectation–maximisation, solved at once and in double precision."""

from __future__ import annotations

from typing import ClassVar

from ...engine import Recipe
from ...errors import Usage
from ...model import Model


class Classical(Model):
    """A model that is solved, not stepped."""

    recipe: ClassVar[Recipe] = Recipe(precision="float64", valid=0.0)

    def judges(self):
        return super().judges() and ("_space" not in self.__dict__ or self.unable("log_prob") is None)

    def unconditional(self, given: int | None) -> None:
        """What a joint distribution without a condition says when it is given one."""
        if given:
            raise Usage(
                f"{type(self).__name__} is not conditional. Fit it on all columns together"
                + (": complete() then draws some given the others." if hasattr(type(self), "_complete") else ".")
            )
