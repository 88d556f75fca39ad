"""The empirical distribution: the examples themselves.   P = 1/n sum_i delta(x_i)

Lectures 000 and 002: the maximum of the likelihood over all distributions whatever. On codes it is a table of counts; on numbers it is n points
without a density, and a density that comes close to it (a kernel of width h -> 0) has a likelihood without limit.

N examples of D variables, C of them different:   x (N, D)   seen.rows (C, D)   seen.counts (C,)
"""

from __future__ import annotations

from typing import ClassVar

import torch

from ...errors import BadData
from ...maths.tables import Seen, first_row, missing
from ...noise import uniform
from .family import Classical


class Empirical(Classical):
    """Draws from the examples, with replacement: what memorising would look like.

    >>> model = Empirical().fit([[0.5, 1.0], [0.5, 1.0], [7.0, 2.0]])
    >>> model.sample(4, seed=0).tolist(), "log_prob" in model.abilities
    ([[0.5, 1.0], [7.0, 2.0], [0.5, 1.0], [7.0, 2.0]], False)
    """

    coordinates: ClassVar[str] = "codes"
    gaps: ClassVar[bool] = True
    spaces: ClassVar[tuple[str, ...]] = ("real", "binary", "levels", "tokens", "table")
    why_not: ClassVar[dict[str, str]] = {
        "encode": "an example is not a code.",
        "decode": "an example is not a code.",
        "bound": "nothing lies below what has no density; on codes its log_prob is exact.",
        "energy": "its log_prob is exact where there is one.",
        "evidence": "its log_prob is exact where there is one.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        self.seen = Seen(space.size)

    def solve(self, x, given=None):
        self.absorb([(x, given)])

    def absorb(self, lots):
        self.seen.gather(x.flatten(1) for x, _ in lots)

    def unable(self, ability):
        if self.space.discrete:
            return None
        return {
            "log_prob": "n points have no density: between them there is nothing. KernelDensity spreads them.",
            "complete": "no two examples agree in a number, so none is like the known part. KernelDensity completes.",
        }.get(ability)

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        row = self.seen.find(x.flatten(1))
        counts = self.seen.counts.double()
        return torch.where(row < 0, 0.0, counts[row] / counts.sum()).log()

    def _sample(self, n, given=None):
        u = uniform(n, 1)[:, 0].double().to(self.device)
        return self.seen.rows[self.seen.pick(self.seen.counts.double(), u)]

    def _complete(self, x, known, given=None):
        x, known, u = x.flatten(1), known.flatten(1), uniform(len(x), 1)[:, 0].double().to(x.device)
        gone = missing(self.seen.rows, self.space)
        row, mass = self.seen.agreeing(x, known, self.seen.counts.double(), u, gone)
        if bool((mass == 0).any()):
            raise BadData(
                f"No example agrees with what is known of row {first_row(mass == 0)}, so nothing is there to be drawn. "
                "Counts(smooth=…), Factorised and Markov complete what never came."
            )
        return self.seen.rows[row].to(x.dtype)
