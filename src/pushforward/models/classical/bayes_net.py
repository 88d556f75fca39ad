"""A Bayesian network over codes.   p(x) = prod_d p(x_d | parents of d),   each factor a table

    p(v | q) = (n_vq + a / (r Q)) / (n_q + a / Q)     n_vq of n examples have x_d = v of r and parents q of Q together

The graph is given, or learned as the tree of greatest likelihood (Chow & Liu, "Approximating discrete probability distributions with
dependence trees", IEEE Trans. Inf. Theory 1968): a maximum spanning tree of the mutual informations I, for then (a = 0)
    mean log p(x) = sum_edges I(x_d; x_parent) - sum_d H(x_d)
The count a is one of whole examples, spread evenly (Heckerman, Geiger & Chickering, "Learning Bayesian networks", 1995, section 5.2).
A missing cell is one more value. Numbers are counted in bins. Completion eliminates variables: exact (maths/elimination.py).

N examples of D variables of r_d values, E edges:   x, codes (N, D)   edges parent, child (E, 2)   tables of all variables in one row
"""

from __future__ import annotations

from math import inf, prod
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...errors import BadData, Usage
from ...graphs import Edge, Graph, Node
from ...maths.bins import Bins
from ...maths.elimination import Table, backwards, eliminate, place, plan
from ...maths.gaussians import patterns, pick
from ...maths.trees import informations, occurring, ordered, pairs, read_edges, spanning
from ...noise import current, uniform
from .family import Classical

MOST = 1 << 27  # numbers of all tables: one gigabyte
PAIRS = 1 << 25  # pairs of values that are counted
HELD = 1 << 24  # numbers that completion holds at once, about


class BayesNet(Classical):
    """Tables along a directed graph, given or learned as a tree: exact probabilities and exact conditionals.

    >>> import numpy as np
    >>> a = np.random.default_rng(0).integers(0, 2, size=(500, 1))
    >>> model = BayesNet().fit(np.concatenate([a, 1 - a, a], axis=1))
    >>> model.edges.tolist(), model.complete([[1, 0, 0]], known=[True, False, False], seed=0).tolist()
    ([[0, 1], [0, 2]], [[1, 0, 1]])
    >>> lawn = BayesNet(parents={"grass": ["rain", "sprinkler"]})
    """

    parents: tuple = ("tree",)  # tree (learned), or edges as rain>wet,hose>wet; in Python also {child: [parents]}
    smooth: float = 1.0  # a, examples spread evenly over the table of each variable
    bins: int = 20  # of each number

    coordinates: ClassVar[str] = "codes"
    gaps: ClassVar[bool] = True
    spaces: ClassVar[tuple[str, ...]] = ("binary", "levels", "tokens", "table")
    why_not: ClassVar[dict[str, str]] = {
        "encode": "its variables are all observed: there is no code.",
        "decode": "its variables are all observed: there is no code.",
        "bound": "its log_prob is exact.",
        "energy": "its log_prob is exact, and minus that is an energy.",
        "evidence": "its log_prob is exact.",
    }

    def build(self, space, given=None):
        self.unconditional(given)
        if self.bins < 1 or self.smooth < 0:
            raise Usage(f"BayesNet(bins={self.bins}, smooth={self.smooth}): at least 1 bin and 0 or more are awaited.")
        self.cut = Bins(space, self.bins)
        self.names_ = space.names or tuple(map(str, range(space.size)))
        self.register_buffer("edges", torch.zeros(0, 2, dtype=torch.long))
        self.register_buffer("tables", torch.zeros(0))

    # ---- learning ------------------------------------------------------------------------------------------------
    def solve(self, x, given=None):
        self.absorb([(x, given)])

    def absorb(self, lots):
        self.cut.lay(x.flatten(1) for x, _ in lots)
        edges = read_edges(self.parents, self.names_)
        edges = self.tree(lots) if edges is None else torch.tensor(edges, dtype=torch.long).view(-1, 2)
        self.edges = edges.to(self.device)
        sizes = [prod(self.shape(family)) for family in self.families]
        if sum(sizes) > MOST:
            name = self.names_[self.families[sizes.index(max(sizes))][-1]]
            raise BadData(
                f"The tables hold {sum(sizes):,} numbers, {max(sizes):,} of them for {name!r} alone; {MOST:,} are the most. "
                "Give it fewer parents, or the numbers fewer bins."
            )
        counts = [torch.zeros(size, dtype=torch.long, device=self.device) for size in sizes]
        for x, _ in lots:
            codes = self.cut.cells(x.flatten(1))
            for count, family in zip(counts, self.families, strict=True):
                count += torch.bincount(place(codes, family, self.shape(family)), minlength=len(count))
        found = []
        for count, family in zip(counts, self.families, strict=True):
            table = count.view(-1, self.cut.sizes[family[-1]]).to(self.dtype) + self.smooth / len(count)
            total = table.sum(1, keepdim=True)
            # Parents that nobody has seen together tell nothing of the child.
            found.append(torch.where(total > 0, table / total, 1 / table.shape[1]).flatten())
        self.tables = torch.cat(found)

    def tree(self, lots: Any) -> Tensor:
        """Chow and Liu's edges, away from the first variable."""
        sizes = self.cut.sizes
        places, came = occurring((self.cut.cells(x.flatten(1)) for x, _ in lots), sizes)
        if sum(came) ** 2 > PAIRS:
            raise BadData(
                f"{len(came)} variables of {sum(came):,} values in all make {sum(came) ** 2:,} pairs; {PAIRS:,} are the most. "
                "Take fewer levels or bins, or say parents=…."
            )
        return spanning(informations(pairs((self.cut.cells(x.flatten(1)) for x, _ in lots), sizes, places), came))

    # ---- the graph -----------------------------------------------------------------------------------------------
    @property
    def families(self) -> list[list[int]]:
        """Each variable after its parents, parents first: [*parents, d]."""
        return ordered(self.edges.tolist(), len(self.names_))

    def shape(self, family: list[int]) -> list[int]:
        sizes = self.cut.sizes
        return [sizes[v] for v in family]

    def factors(self) -> list[tuple[list[int], Tensor]]:
        """Each family with its table (r of the parents …, r)."""
        shapes = [self.shape(family) for family in self.families]
        parts = self.tables.split([prod(shape) for shape in shapes])
        return [(f, part.view(shape)) for f, part, shape in zip(self.families, parts, shapes, strict=True)]

    @property
    def parameters_(self) -> int:
        """sum_d (r_d - 1) Q_d"""
        return sum(prod(shape[:-1]) * (shape[-1] - 1) for shape in map(self.shape, self.families))

    @property
    def plates(self) -> Any:
        if "edges" not in self._buffers:
            return "N{[x1] -> [x2]}"
        nodes = tuple(Node(name, "observed", ("N",)) for name in self.names_)
        return Graph(nodes, tuple(Edge(self.names_[a], self.names_[b]) for a, b in self.edges.tolist()))

    # ---- abilities -----------------------------------------------------------------------------------------------
    def _log_prob(self, x, given=None):
        codes = self.cut.cells(x.flatten(1))
        at, nats = codes.clamp(min=0), -self.cut.log_volumes(codes)
        for family, table in self.factors():
            nats = nats + table.flatten()[place(at, family, table.shape)].log()
        return torch.where((codes >= 0).all(1), nats, -inf)

    def _sample(self, n, given=None):
        d = len(self.names_)
        u = uniform(n, 2 * d).to(self.tables)
        codes = torch.zeros(n, d, dtype=torch.long, device=self.device)
        for (*parents, child), table in self.factors():
            shares = table.flatten(0, -2) if parents else table[None]
            codes[:, child] = pick(shares[place(codes, parents, table.shape[:-1])], u[:, child])
        return self.cut.values(codes, u[:, d:])

    def _complete(self, x, known, given=None):
        sizes, known = self.cut.sizes, known.flatten(1)
        codes, u = self.cut.cells(x.flatten(1)), uniform(len(x), 2 * len(self.names_)).to(self.tables)
        self.check(((codes < 0) & known).any(1))
        tables = [Table.of(family, table) for family, table in self.factors()]
        for rows, o in patterns(known):
            unknown = (~o).nonzero()[:, 0].tolist()
            order, largest = plan([t.variables for t in tables], unknown, sizes)
            for some in rows.split(max(1, HELD // largest)):
                asked = [t.at(codes[some], o.tolist()) for t in tables]
                steps, nats = eliminate(asked + [self.valued(v) for v in unknown], order, sizes)
                self.check(torch.zeros_like(known[:, 0]).index_put((some,), nats == -inf))
                codes[some] = backwards(steps, codes[some], u[some])
        return self.cut.values(codes, u[:, len(self.names_) :])

    def valued(self, v: int) -> Table:
        """1 for each value of a variable, 0 for being missing: a gap is not filled with a gap."""
        there = torch.ones(1, self.cut.sizes[v], dtype=self.dtype, device=self.device)
        there[0, -1] = not self.cut.missing[v]
        return Table((v,), there)

    def check(self, wrong: Tensor) -> None:
        if bool(wrong.any()):
            raise BadData(
                f"What is known of row {current().start + int(wrong.nonzero()[0])} never came together, so p(unknown | known) is 0 / 0. "
                "Say BayesNet(smooth=1.0); numbers beyond those seen have probability 0 in any case."
            )
