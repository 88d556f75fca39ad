"""Counts: the maximum of the likelihood over a finite set of rows.   p(x) = c(x) / n

Lectures 000 and 001. With c(x) of n examples equal to x, N_1 rows seen once, and K rows that there could be, C of them seen:
    smooth a:      p(x) = (c(x) + a) / (n + a K)                                   (Laplace; the mean of a Dirichlet's posterior)
    good-turing:   the unseen have N_1 / n together, the seen c(x) / n of the rest (Good, Biometrika 1953), where an unseen
                   row never has more than the rarest that was seen
    p(x_u | x_o):  the same, over the rows that agree with x_o
A table of all rows would need K - 1 numbers; what is stored are the rows that came.

N examples of D variables, C rows seen:   x (N, D)   seen.rows (C, D)   seen.counts (C,)
"""

from __future__ import annotations

from math import exp, inf, log
from typing import ClassVar

import torch

from ...errors import BadData, Usage, caution, did_you_mean
from ...maths.supports import support_of
from ...maths.tables import Seen, first_row, log_sum, missing
from ...noise import uniform
from .family import Classical

UNSEEN = ("none", "good-turing")


class Counts(Classical):
    """How often each row came: exact, and blind to what did not come unless it is told otherwise.

    >>> model = Counts(smooth=1.0).fit(["ab", "ab", "ba", "aa"])
    >>> [round(float(p), 3) for p in torch.tensor(model.log_prob(["ab", "bb"])).exp()], model.missing_mass_
    ([0.375, 0.125], 0.5)
    """

    smooth: float = 0.0  # a, examples added to every row that there could be
    unseen: str = "none"  # what rows that never came have: none, or good-turing

    coordinates: ClassVar[str] = "codes"
    gaps: ClassVar[bool] = True
    spaces: ClassVar[tuple[str, ...]] = ("binary", "levels", "tokens", "table")
    why_not: ClassVar[dict[str, str]] = {
        "encode": "a row is not a code.",
        "decode": "a row is not a code.",
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        if self.unseen not in UNSEEN:
            raise Usage(f"unseen={self.unseen!r} is not one of {', '.join(UNSEEN)}.{did_you_mean(self.unseen, UNSEEN)}")
        if self.smooth < 0 or (self.smooth and self.unseen != "none"):
            raise Usage("smooth is a number of at least 0, and smooth and unseen='good-turing' exclude each other.")
        self.support_ = support_of(space)
        if self.support_ is None and (self.smooth or self.unseen != "none"):
            raise Usage("There are endlessly many numbers, so none can have a share. Smooth with Histogram(smooth=…).")
        self.seen = Seen(space.size)

    def solve(self, x, given=None):
        self.absorb([(x, given)])

    def absorb(self, lots):
        self.seen.gather(x.flatten(1) for x, _ in lots)

    # ---- facts ---------------------------------------------------------------------------------------------------
    @property
    def total_(self) -> int:
        """n"""
        return int(self.seen.counts.sum())

    @property
    def missing_mass_(self) -> float:
        """What Good and Turing estimate the probability of all rows to be that did not come: N_1 / n."""
        return int((self.seen.counts == 1).sum()) / self.total_

    @property
    def parameters_(self) -> int:
        """K - 1, what a table of all rows would need: exact, however many digits it has."""
        if self.support_ is None:
            raise Usage("A column is a continuum of numbers: a table of all rows would have no end.")
        return self.support_.size - 1

    @property
    def terms(self) -> tuple[float, float, float]:
        """log s, log e and r of   p(x) = s (c(x) - r + e):   what all rows are given, and what the seen ones pay for it."""
        n, seen = self.total_, len(self.seen.counts)
        if self.smooth and self.support_:
            extra = log(self.smooth)
            return -log_sum(log(n), extra + log(self.support_.size)), extra, 0.0
        if self.unseen == "none" or self.support_ is None or seen == self.support_.size or not self.missing_mass_:
            return -log(n), -inf, 0.0
        due, others = self.missing_mass_, log(self.support_.size - seen)
        rarest = log(int(self.seen.counts.min()))
        extra = rarest if due == 1 else min(rarest, log(n * due / (1 - due)) - others)
        return -log_sum(log(n), extra + others), extra, exp(extra)

    # ---- abilities -----------------------------------------------------------------------------------------------
    def unable(self, ability):
        if ability in ("log_prob", "complete") and not self.space.discrete:
            return "a number has no probability of its own, and no two examples agree in one. Histogram counts bins."
        return None

    def _log_prob(self, x, given=None):
        x, (scale, extra, paid) = x.flatten(1), self.terms
        row = self.seen.find(x)
        seen = (self.seen.counts.double()[row] - paid + exp(extra)).log()
        unseen = torch.where(self.support_.holds(x), torch.full_like(seen, extra), -inf)
        nats = torch.where(row < 0, unseen, seen) + scale
        if extra == -inf and bool((row < 0).any()):
            caution(
                f"Some rows never came, so their log p is -inf. Good and Turing put {self.missing_mass_:.3g} on such "
                "rows; Counts(smooth=1.0) or Counts(unseen='good-turing') gives them a share.",
            )
        return nats

    def _sample(self, n, given=None):
        u, (scale, extra, paid) = uniform(n, 3 + self.seen.rows.shape[1]).to(self.device).double(), self.terms
        rows = self.seen.rows[self.seen.pick(self.seen.counts.double() - paid, u[:, 0])]
        if extra == -inf:
            return rows
        fresh = u[:, 1] < exp(scale + extra + log(self.support_.size))
        return torch.where(fresh[:, None], self.support_.draw(u[:, 2:]), rows.double())

    def _complete(self, x, known, given=None):
        x, known, (_, extra, paid) = x.flatten(1), known.flatten(1), self.terms
        u = uniform(len(x), 3 + x.shape[1]).double().to(x.device)
        weights = self.seen.counts.double() - paid
        drawn, mass = self.seen.agreeing(x, known, weights, u[:, 0], missing(self.seen.rows, self.space))
        possible = extra + self.support_.log_agreeing(x, known)
        if bool((impossible := (mass == 0) & (possible == -inf)).any()):
            raise BadData(
                f"No row that came agrees with what is known of row {first_row(impossible)}, so p(unknown | known) is 0 / 0. "
                "Say Counts(smooth=…) or unseen='good-turing', or fit Factorised or Markov, which need no equal rows."
            )
        fresh = u[:, 1] < torch.sigmoid(possible - mass.log())
        return torch.where(fresh[:, None], self.support_.fill(x, known, u[:, 2:]), self.seen.rows[drawn].to(x.dtype))
