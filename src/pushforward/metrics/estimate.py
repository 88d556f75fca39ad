"""What an estimate is: a number, its standard error, its floor, how many examples it rests on, and how it was made.

    floor     what the same estimator gives for two samples of one law: below it nothing was measured
    excess    value - floor
    a - b     the difference of two that were made in the same way; those that were not are not subtracted

n examples of P, m of Q.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import hypot, inf, isfinite
from typing import Any

from ..errors import Usage


@dataclass(frozen=True, repr=False)
class Estimate:
    """One number that says how far it is to be trusted. `float` gives the number.

    >>> Estimate("KL(P || Q)", 0.512, 0.011, 0.002, (1000, 1000), "a histogram")
    KL(P || Q) = 0.512 ± 0.011, floor 0.002, n = 1,000 and 1,000
      by a histogram
    """

    name: str
    value: float
    stderr: float  # 0 where the value is exact, nan where it has none
    floor: float | None = None
    n: tuple[int, ...] = ()
    estimator: str = ""
    p_value: float | None = None  # of a test that the laws are one
    notes: tuple[str, ...] = ()
    features: str = ""  # what was compared where it is not the examples as they are: "the 10 first principal components of the real examples"
    parameters: Mapping[str, Any] = field(
        default_factory=dict
    )  # numbers of the estimator without which its value says little, as {"k": 5}

    def __float__(self) -> float:
        return self.value

    @property
    def excess(self) -> float:
        """The value above its floor."""
        return self.value - (self.floor or 0.0)

    def interval(self, sigmas: float = 1.96) -> tuple[float, float]:
        """Value -+ so many standard errors: 95 % by default, of the error that chance makes (not of a bias)."""
        reach = sigmas * self.stderr if isfinite(self.value) else 0.0
        return self.value - reach, self.value + reach

    def __sub__(self, other: Estimate) -> Estimate:
        """The difference of two measures of one kind, as if their errors were independent."""
        for what in ("name", "features", "estimator"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise Usage(
                    f"{self.name} and {other.name} were not made alike: their {what} is {mine!r} and {theirs!r}. Make both in one way."
                )
        if dict(self.parameters) != dict(other.parameters) or self.n != other.n:
            raise Usage(
                f"{self.name}: one rests on n = {self.n} with {dict(self.parameters)}, the other on n = {other.n} with {dict(other.parameters)}. "
                "Such numbers depend on both; make both alike."
            )
        error = hypot(self.stderr, other.stderr)
        return Estimate(f"difference of {self.name}", self.value - other.value, error, 0.0, self.n, self.estimator, features=self.features,
                        parameters=self.parameters)  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """The facts. What is infinite or unknown is null, as JSON has neither, and said in words."""
        facts = asdict(self) | {"n": list(self.n), "notes": list(self.notes), "parameters": dict(self.parameters)}
        numbers = {key: facts[key] for key in ("value", "stderr", "floor", "p_value")}
        return (
            facts
            | {key: x if x is not None and isfinite(x) else None for key, x in numbers.items()}
            | {"said": str(self)}
        )

    def __str__(self) -> str:
        parts = [f"{self.name} = {shown(self.value)}"]
        exact = self.stderr == 0 and not self.n
        if exact:
            parts[0] += ", exact"
        elif isfinite(self.stderr):
            parts[0] += f" ± {self.stderr:.2g}"
        if self.floor is not None and not exact:
            parts.append(f"floor {shown(self.floor)}")
        if self.p_value is not None:
            parts.append(f"p = {self.p_value:.3g}")
        if self.n:
            parts.append(f"n = {' and '.join(f'{n:,}' for n in self.n)}")
        of = [f"of {self.features}"] if self.features else []
        by = [f"by {self.estimator}"] if self.estimator else []
        fixed = [
            ", ".join(
                f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}"
                for name, value in self.parameters.items()
            )
        ]
        return "\n  ".join([", ".join(parts), *of, *by, *filter(None, fixed), *self.notes])

    __repr__ = __str__


def shown(x: float) -> str:
    return "inf" if x == inf else f"{x:.4g}"
