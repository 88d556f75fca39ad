"""Inverse-transform sampling.   x = g(z) = inf{x: F(x) >= z},   z ~ U(0, 1)

Lecture 000; Devroye, "Non-uniform random variate generation", 1986, chapter II.2; maths/quantiles.py.
Any law on the line is the pushforward of a uniform by the generalised inverse of its distribution function F: continuous, discrete or both.
    fit:  F of the examples, a step of 1/n at each (empirical), or straight between quantiles (smooth): then it has a density
    of:   F that is known, as a callable or a table
    z | x  ~  U(F(x-), F(x)):  the code of x, one number where F has no step there
Of several variables each is taken by itself.

N examples of D variables, P points of each law:   x, z (N, D)   points, below F(x-), at F(x) (D, P)
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from ...errors import BadData, Usage, did_you_mean
from ...maths.bins import codes_of
from ...maths.quantiles import Table, asked, inverse, stack
from ...noise import uniform
from ...space import Space
from .family import Classical

LAWS = ("empirical", "smooth")
ROUNDING = 1e-12  # of a distribution function: smaller steps are none


class InverseTransform(Classical):
    """The quantiles of uniform noise: how any law on the line is drawn from.

    >>> die = InverseTransform.of(points=[1, 2, 3, 4, 5, 6], masses=[1 / 6] * 6)
    >>> die.decode([[0.5], [0.51]]).tolist(), die.sample(4, seed=0).shape
    ([[3.0], [4.0]], (4, 1))
    """

    law: str = "empirical"  # F of a number: empirical, a step at each example; smooth, straight between quantiles

    coordinates: ClassVar[str] = "codes"
    plates: ClassVar[str] = "N{(z) -> [x]}; F -> x"
    why_not: ClassVar[dict[str, str]] = {
        "bound": "its log_prob is exact where there is one.",
        "energy": "its log_prob is exact where there is one.",
        "evidence": "its log_prob is exact where there is one.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        if self.law not in LAWS:
            raise Usage(f"law={self.law!r} is not one of {', '.join(LAWS)}.{did_you_mean(self.law, LAWS)}")
        self._cdf = None
        self.numbers_ = [size == 0 for size in codes_of(space)]
        for name in ("points", "below", "at"):
            self.register_buffer(name, torch.zeros(space.size, 0))

    @classmethod
    def of(cls, cdf: Any = None, points: Any = None, at: Any = None, below: Any = None, masses: Any = None) -> Any:
        """A law that is known: `cdf`, a callable of NumPy arrays such as scipy's; or `points` with their `masses`; or `points` with F `at`
        them, straight between, and F just `below` them where it jumps; or `cdf` and `points`, for a table of the one at the others.
        """
        model = cls()
        model.make(Space("real", (1,), dtype="float64"), None, None, 0, torch.float64)
        if cdf is not None and points is None:
            model._cdf = cdf
            ends = asked(cdf, torch.tensor([-1.0, 1.0], dtype=torch.float64) * torch.finfo(torch.float64).max)
            if ends[0] > ROUNDING or ends[1] < 1 - ROUNDING:
                raise BadData(
                    f"The distribution function goes from {ends[0]:g} to {ends[1]:g}; from 0 to 1 is awaited."
                )
        elif cdf is not None:
            grid = torch.tensor(np.asarray(points, dtype=np.float64))
            at, below = (asked(cdf, x) for x in (grid, torch.nextafter(grid, torch.full_like(grid, -torch.inf))))
            at = at.cummax(0).values
            model.put(Table.of(grid, at, torch.where(at - below < ROUNDING, at, below)))
        elif points is None or (masses is None) == (at is None):
            raise Usage(
                "InverseTransform.of takes a cdf, or points with masses, or points with at (and below where F jumps)."
            )
        else:
            model.put(Table.steps(points, masses) if at is None else Table.of(points, at, below))
        model.outcome_ = {"step": 0, "reason": "given", "best": None}
        return model

    def solve(self, x, given=None):
        x = x.flatten(1)
        make = {"empirical": Table.empirical, "smooth": Table.smooth}[self.law]
        laws = [(make if n else Table.empirical)(x[:, j : j + 1]) for j, n in enumerate(self.numbers_)]
        self.put(stack([(law.points[0], law.below[0], law.at[0]) for law in laws]))

    def put(self, table: Table) -> None:
        self.points, self.below, self.at = (part.to(self.device) for part in (table.points, table.below, table.at))

    @property
    def table(self) -> Table:
        """The laws, one a variable."""
        return Table(self.points, self.below, self.at)

    # ---- abilities -----------------------------------------------------------------------------------------------
    def unable(self, ability):
        if ability == "save" and self._cdf is not None:
            return "A function is not saved: a model's folder holds no code. InverseTransform.of(cdf, points=…) is a table."
        if ability != "log_prob":
            return None
        if self._cdf is not None:
            return "a distribution function alone tells no slope. InverseTransform.of(cdf, points=…) is a table, which does."
        if bool((self.table.jumps & torch.tensor(self.numbers_, device=self.device)).any()):
            return "F has steps, and a value with a probability has no density: see table.mass(x). law='smooth' has a density."
        return None

    def _log_prob(self, x, given=None):
        x, table = x.flatten(1).double(), self.table
        numbers = torch.tensor(self.numbers_, device=x.device)
        return torch.where(numbers, table.log_density(x), table.mass(x).log()).sum(1)

    def _encode(self, x, given=None):
        x, v = x.flatten(1).double(), uniform(len(x), len(self.points)).to(x.device).double()
        f = self.table.cdf if self._cdf is None else lambda y: asked(self._cdf, y)
        least = torch.full_like(x, -torch.inf)
        before = self.table.before(x) if self._cdf is None else f(torch.nextafter(x, least))
        at = f(x)
        # Of a step any z in (F(x-), F(x)] leads back to x; F(x-) itself does not.
        z = torch.maximum(at - v * (at - before), torch.nextafter(before, -least))
        return torch.minimum(z, at)

    def _decode(self, z, given=None):
        if bool(((z < 0) | (z > 1) | torch.isnan(z)).any()):
            raise BadData("A code is a number of 0 … 1, as encode gives it.")
        return self.table.inverse(z.double()) if self._cdf is None else inverse(self._cdf, z.double())

    def _sample(self, n, given=None):
        return self._decode(
            1 - uniform(n, len(self.points)).to(self.device).double()
        )  # (0, 1]: g(0) would be -infinity

    def _complete(self, x, known, given=None):
        z = 1 - uniform(len(x), len(self.points)).to(self.device).double()
        if self._cdf is None and self.space.kind == "table":  # what is filled in is not missing again
            lost = [c.size - 1.0 if c.missing and c.discrete else torch.inf for c in self.space.columns]
            z = z * self.table.before(torch.tensor([lost], dtype=torch.float64, device=z.device))
        return self._decode(z)
