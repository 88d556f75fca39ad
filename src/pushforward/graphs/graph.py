"""A model's graph: which variables are observed or latent, what depends on what, what is repeated.

    N{(z) -> [x]}; theta -> x      (z) latent   [x] observed   theta, bare when first named, a parameter   N{…} a plate: N times what is in it
    a -> b   b is drawn given a         a -- b   they depend on each other
    a <-> b  each is a function of the other     a ..> b   b is guessed from a: part of the learning, not of the model

Independence is read off by the moral graph of the smallest ancestral set: Lauritzen, Dawid, Larsen & Leimer, "Independence properties of
directed Markov fields", Networks 1990, for directed graphs, where it is Pearl's d-separation; Frydenberg, "The chain graph Markov
property", Scand. J. Stat. 1990, with undirected edges too. A plate: Buntine, "Operations for learning with graphical models", JAIR 1994.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import Usage

ARROWS = ("->", "--", "<->", "..>")
WORD = re.compile(r"\s*(<->|->|--|\.\.>|[;,{}]|\([^()]+\)|\[[^\[\]]+\]|[^\s;,{}()\[\]<>.-]+)")
KINDS = {"(": "latent", "[": "observed"}
DOTS = ("…", "...")


@dataclass(frozen=True)
class Node:
    """A variable; `plates` from the outermost to the innermost that it is in."""

    name: str
    kind: str = "latent"  # observed, latent, parameter
    plates: tuple[str, ...] = ()

    @property
    def dots(self) -> bool:
        """Whether it stands for variables that are left out."""
        return self.name in DOTS


@dataclass(frozen=True)
class Edge:
    """From `tail` to `head`, unless `kind` is --."""

    tail: str
    head: str
    kind: str = "->"


@dataclass(frozen=True)
class Graph:
    """Nodes and edges, in the order in which they were named.

    >>> collider = Graph.read("(a) -> [c]; (b) -> c")
    >>> collider.separated("a", "b"), collider.separated("a", "b", given=["c"])
    (True, False)
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    title: str = ""

    def __post_init__(self) -> None:
        names = [node.name for node in self.nodes]
        if len(set(names)) < len(names):
            raise Usage(f"Two nodes of the graph have one name: {', '.join(names)}.")
        for edge in self.edges:
            if edge.kind not in ARROWS or not {edge.tail, edge.head} <= set(names) or edge.tail == edge.head:
                raise Usage(f"{edge}: an edge is one of {' '.join(ARROWS)} between two nodes of {', '.join(names)}.")
        self.check_order()

    @classmethod
    def read(cls, text: str, title: str = "") -> Graph:
        """A graph from its line of text."""
        return Reader(text).graph(title)

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise Usage(f"The graph has no {name!r}. It has {', '.join(node.name for node in self.nodes)}.")

    # ---- independence --------------------------------------------------------------------------------------------
    def separated(self, a: str | Iterable[str], b: str | Iterable[str], given: Iterable[str] = ()) -> bool:
        """Whether a and b are independent given the others in every distribution of this graph (d-separation).

        In a plate it speaks of one example; `unrolled` has several. That an x is a function of z can make more independent than this sees.
        """
        left, right, seen = ({part} if isinstance(part, str) else set(part) for part in (a, b, given))
        for name in left | right | seen:
            self[name]
        if left & right or (left | right) & seen:
            raise Usage(f"separated({a!r}, {b!r}, given={sorted(seen)}): three sets without a common node are awaited.")
        near = self.moral(left | right | seen)
        reached, fresh = set(left), list(left)
        while fresh:
            new = near[fresh.pop()] - reached - seen
            reached |= new
            fresh += new
        return not reached & right

    def moral(self, names: set[str]) -> dict[str, set[str]]:
        """The neighbours of each node in the moral graph of the smallest ancestral set around `names`."""
        kept, fresh = set(names), list(names)
        while fresh:
            here = fresh.pop()
            new = (self.parents(here) | self.neighbours(here)) - kept
            kept |= new
            fresh += new
        near: dict[str, set[str]] = {name: set() for name in kept}
        for group in self.components(kept):
            parents = set().union(*(self.parents(name) for name in group))
            pairs = [*itertools.combinations(sorted(parents), 2)]  # parents of what depends on both are married
            pairs += [(name, other) for name in group for other in self.parents(name) | self.neighbours(name)]
            for one, other in pairs:
                near[one].add(other)
                near[other].add(one)
        return near

    def parents(self, name: str) -> set[str]:
        return {edge.tail for edge in self.edges if edge.head == name and edge.kind in ("->", "<->")}

    def neighbours(self, name: str) -> set[str]:
        ends = [{edge.tail, edge.head} for edge in self.edges if edge.kind == "--"]
        return set().union(*(pair for pair in ends if name in pair)) - {name}

    def components(self, names: Iterable[str]) -> list[set[str]]:
        """What hangs together by undirected edges."""
        left, found = set(names), []
        while left:
            group, fresh = set(), [min(left)]
            while fresh:
                here = fresh.pop()
                group.add(here)
                fresh += self.neighbours(here) & left - group
            left -= group
            found.append(group)
        return found

    def check_order(self) -> None:
        """No way along the arrows leads back to where it began."""
        groups = self.components(node.name for node in self.nodes)
        which = {name: i for i, group in enumerate(groups) for name in group}
        above = {i: {which[p] for name in group for p in self.parents(name)} for i, group in enumerate(groups)}
        while free := [i for i, parents in above.items() if not parents & above.keys()]:
            for i in free:
                del above[i]
        if above:
            names = sorted(name for i in above for name in groups[i])
            raise Usage(f"The arrows among {', '.join(names)} go round in a circle; a distribution has no such graph.")

    # ---- other forms ---------------------------------------------------------------------------------------------
    def unrolled(self, **sizes: int) -> Graph:
        """The plates named, written out: `unrolled(N=2)` has x_1 and x_2 in the place of x."""
        unknown = sizes.keys() - {label for node in self.nodes for label in node.plates}
        if unknown or any(size < 1 for size in sizes.values()):
            raise Usage(f"unrolled({sizes}): plates of the graph and sizes of at least 1 are awaited.")
        copies = {node.name: list(replicas(node, sizes)) for node in self.nodes}
        nodes = [copy for node in self.nodes for _, copy in copies[node.name]]
        edges = []
        for edge in self.edges:
            for (i, one), (j, other) in itertools.product(copies[edge.tail], copies[edge.head]):
                if all(i[label] == j[label] for label in i.keys() & j.keys()):
                    edges.append(Edge(one.name, other.name, edge.kind))
        return Graph(tuple(nodes), tuple(edges), self.title)

    def with_parents(self, names: Sequence[str], of: Sequence[str]) -> Graph:
        """More observed variables, beside the first of those that depend on them."""
        place = self[of[0]].plates
        new = tuple(Node(name, "observed", place) for name in names)
        edges = tuple(Edge(name, child) for name in names for child in of)
        return Graph(new + self.nodes, edges + self.edges, self.title)

    def svg(self) -> str:
        """A drawing that needs no other file and is read on a light and a dark ground."""
        from .drawing import svg

        return svg(self)

    _repr_svg_ = _repr_html_ = svg  # a notebook and a page of the documentation show it

    def dot(self) -> str:
        """The graph in the language of Graphviz."""
        from .drawing import dot

        return dot(self)

    def save(self, path: str | Path) -> Path:
        """Write the drawing; the suffix says which: .svg or .dot."""
        path = Path(path)
        known = {".svg": self.svg, ".dot": self.dot, ".gv": self.dot}
        if path.suffix not in known:
            raise Usage(f"{path.name}: a graph is written as one of {', '.join(known)}.")
        path.write_text(known[path.suffix](), encoding="utf-8")
        return path


class Reader:
    """Reads the text of a graph: a node has the kind and the plates of its first naming."""

    def __init__(self, text: str):
        self.text, self.words, at = text, [], 0
        while at < len(text.rstrip()):
            found = WORD.match(text, at)
            if found is None:
                raise Usage(
                    f"{text!r}: {text[at:].strip()[:12]!r} is not awaited in a graph such as 'N{{(z) -> [x]}}; theta -> x'."
                )
            self.words.append(found[1])
            at = found.end()
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []

    def graph(self, title: str) -> Graph:
        self.block(())
        if self.words:
            raise Usage(f"{self.text!r}: a }} closes no plate.")
        return Graph(tuple(self.nodes.values()), tuple(self.edges), title)

    def block(self, plates: tuple[str, ...]) -> None:
        """Statements up to the end of the text or of the plate."""
        while self.words and self.words[0] != "}":
            if self.words[0] == ";":
                self.words.pop(0)
            elif self.words[1:2] == ["{"]:
                label = self.words.pop(0)
                self.words.pop(0)
                self.block((*plates, label))
                if not self.words:
                    raise Usage(f"{self.text!r}: the plate {label} is not closed.")
                self.words.pop(0)
            else:
                self.chain(plates)

    def chain(self, plates: tuple[str, ...]) -> None:
        """a, b -> c -- d …"""
        tails = self.several(plates)
        while self.words and self.words[0] in ARROWS:
            kind = self.words.pop(0)
            heads = self.several(plates)
            self.edges += [Edge(tail, head, kind) for tail, head in itertools.product(tails, heads)]
            tails = heads

    def several(self, plates: tuple[str, ...]) -> list[str]:
        names = [self.node(plates)]
        while self.words and self.words[0] == ",":
            self.words.pop(0)
            names.append(self.node(plates))
        return names

    def node(self, plates: tuple[str, ...]) -> str:
        word = self.words.pop(0) if self.words else "the end"
        if word in (*ARROWS, ";", ",", "{", "}", "the end"):
            raise Usage(f"{self.text!r}: {word} stands where a variable is awaited.")
        name = word[1:-1].strip() if word[0] in KINDS else word
        self.nodes.setdefault(name, Node(name, KINDS.get(word[0], "parameter"), plates))
        return name


def replicas(node: Node, sizes: Mapping[str, int]) -> Iterable[tuple[dict[str, int], Node]]:
    """The copies of a node in plates that are written out, with the number of each in its plate."""
    open_ = [label for label in node.plates if label in sizes]
    kept = tuple(label for label in node.plates if label not in sizes)
    for numbers in itertools.product(*(range(1, sizes[label] + 1) for label in open_)):
        name = "_".join([node.name, *map(str, numbers)])
        yield dict(zip(open_, numbers, strict=True)), Node(name, node.kind, kept)


def chain_rule(names: Sequence[str], most: int = 5, plate: str = "N") -> Graph:
    """The chain rule: every variable depends on all before it. Of more than `most` those in the middle are left out.

    >>> chain_rule(["a", "b", "c"]).edges[1:]
    (Edge(tail='a', head='c', kind='->'), Edge(tail='b', head='c', kind='->'))
    """
    if len(names) > most:
        names = [*names[: most - 2], DOTS[0], names[-1]]
    nodes = tuple(Node(name, "observed", (plate,)) for name in names)
    edges = (Edge(one, other) for j, other in enumerate(names) for one in names[:j])
    return Graph(nodes, tuple(edges))
