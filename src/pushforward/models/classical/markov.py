"""A first-order Markov chain over the variables.   p(x) = p_1(x_1) prod_j p_j(x_j | x_j-1)

Lectures 001 and 003. With c_j(v, w) of n examples that have v before w at place j, and a pseudo-count a:
    p_j(w | v) = (c_j(v, w) + a) / (c_j(v) + a K_j)           K_1 - 1 + sum_j K_j-1 (K_j - 1) parameters: 1567 for 28 x 28 bits
Every place has a table of its own. Numbers are counted in bins. Completion is exact: forward filtering, backward sampling,
    alpha_j(w) = [w fits what is known] sum_v alpha_j-1(v) p_j(w | v),      x_j | x_j+1, known  ~  alpha_j(x_j) p_j+1(x_j+1 | x_j)
Rabiner, "A tutorial on hidden Markov models", Proc. IEEE 1989, eqs. 19-20; Chib, "Calculating posterior distributions", 1996.

N examples of D variables, K values at most:   x, cells (N, D)   first (K,)   counts (D - 1) K K   alpha (N, K)
"""

from __future__ import annotations

from math import inf
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import BadData, Usage
from ...maths.bins import Bins
from ...maths.gaussians import pick
from ...maths.tables import first_row
from ...noise import uniform
from .family import Classical

MOST = 1 << 27  # numbers of all tables together: one gigabyte


class Markov(Classical):
    """Each variable hears the one before it: a chain of tables.

    >>> model = Markov().fit(["abab", "abba", "baba"])
    >>> model.complete(["a"], seed=0)[0][:2], round(float(model.log_prob(["abab"])[0]), 4), model.parameters_
    ('ab', -1.0986, 7)
    """

    bins: int = 20  # of each number
    smooth: float = 0.0  # a, examples added to every pair of values

    coordinates: ClassVar[str] = "codes"
    gaps: ClassVar[bool] = True
    spaces: ClassVar[tuple[str, ...]] = ("binary", "levels", "tokens", "table")
    plates: ClassVar[str] = "N{[x1] -> [x2] -> […] -> [xD]}"
    why_not: ClassVar[dict[str, str]] = {
        "encode": "a row is not a code.",
        "decode": "a row is not a code.",
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        if self.bins < 1 or self.smooth < 0:
            raise Usage(f"Markov(bins={self.bins}, smooth={self.smooth}): at least 1 bin and 0 or more are awaited.")
        self.cut = Bins(space, self.bins)
        self.register_buffer("first", torch.zeros(0))
        self.register_buffer("counts", torch.zeros(0))  # flat, as one variable alone has none

    def solve(self, x, given=None):
        self.absorb([(x, given)])

    def absorb(self, lots):
        self.cut.lay(x.flatten(1) for x, _ in lots)
        d, k = len(self.cut.sizes), max(self.cut.sizes)
        if (d - 1) * k * k > MOST:
            raise BadData(
                f"{d - 1} tables of {k} x {k} values are {(d - 1) * k * k:,} numbers; {MOST:,} are the most. "
                "Take fewer levels or bins, or a model that shares what it learns between places: MADE, GPT."
            )
        first, counts = (torch.zeros(size, dtype=torch.long, device=self.device) for size in (k, (d - 1) * k * k))
        for x, _ in lots:
            cells = self.cut.cells(x.flatten(1))
            pairs = (torch.arange(d - 1, device=x.device) * k + cells[:, :-1]) * k + cells[:, 1:]
            first += torch.bincount(cells[:, 0], minlength=k)
            counts += torch.bincount(pairs.flatten(), minlength=len(counts))
        self.first, self.counts = first.to(self.dtype), counts.to(self.dtype)

    @property
    def parameters_(self) -> int:
        """K_1 - 1 + sum_j K_j-1 (K_j - 1)"""
        sizes = self.cut.sizes
        return sizes[0] - 1 + sum(a * (b - 1) for a, b in zip(sizes, sizes[1:], strict=False))

    @property  # type: ignore[misc]
    def footprint(self) -> int:  # type: ignore[override]
        return 16 + 4 * len(self.first)

    @property
    def valued(self) -> Tensor:
        """Which of the K places of each variable are values of it: (D, K)."""
        sizes = torch.tensor(self.cut.sizes, device=self.device)
        return torch.arange(len(self.first), device=self.device) < sizes[:, None]

    @property
    def tables(self) -> tuple[Tensor, Tensor]:
        """p_1 (K,) and p_j (D - 1, K, K); a value that never came leads nowhere."""
        valued, k = self.valued, len(self.first)
        first, steps = self.first + self.smooth * valued[0], self.counts.view(-1, k, k) + self.smooth * valued[1:, None]
        return first / first.sum(), steps / steps.sum(2, keepdim=True).clamp(min=torch.finfo(steps.dtype).tiny)

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        cells, (first, steps) = self.cut.cells(x.flatten(1)), self.tables
        at = cells.clamp(min=0)
        places = torch.arange(len(steps), device=x.device)
        nats = first[at[:, 0]].log() + steps[places, at[:, :-1], at[:, 1:]].log().sum(1)
        return torch.where((cells >= 0).all(1), nats - self.cut.log_volumes(cells), -inf)

    def _sample(self, n, given=None):
        first, steps = self.tables
        d = len(steps) + 1
        u = uniform(n, 2 * d).to(first)
        cells = [pick(first.expand(n, -1), u[:, 0])]
        for j in range(1, d):
            cells.append(pick(steps[j - 1][cells[-1]], u[:, j]))
        return self.cut.values(torch.stack(cells, 1), u[:, d:])

    def _complete(self, x, known, given=None):
        first, steps = self.tables
        d, known, cells = len(steps) + 1, known.flatten(1), self.cut.cells(x.flatten(1))
        u = uniform(len(x), 2 * d).to(first)
        alpha = [self.filtered(first.expand(len(x), -1), known, cells, 0)]
        for j in range(1, d):
            alpha.append(self.filtered(alpha[-1] @ steps[j - 1], known, cells, j))
        drawn = [pick(alpha[-1], u[:, d - 1])]
        for j in range(d - 2, -1, -1):
            drawn.insert(0, pick(alpha[j] * steps[j][:, drawn[0]].T, u[:, j]))
        return self.cut.values(torch.stack(drawn, 1), u[:, d:])

    def filtered(self, prior: Tensor, known: Tensor, cells: Tensor, j: int) -> Tensor:
        """p(x_j | what is known up to j), (N, K), from what is foretold of x_j."""
        values = torch.arange(prior.shape[1], device=prior.device)
        there = self.cut.sizes[j] - self.cut.missing[j]  # a gap is not filled with a gap
        alpha = prior * torch.where(known[:, j, None], cells[:, j, None] == values, values < there)
        total = alpha.sum(1, keepdim=True)
        if bool((total == 0).any()):
            raise BadData(
                f"What is known of row {first_row(total[:, 0] == 0)} never came in this order, so p(unknown | known) is 0 / 0. "
                "Say Markov(smooth=1.0)."
            )
        return alpha / total
