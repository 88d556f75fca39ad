"""Where the nodes of a graph stand: plates are boxes within boxes, and each box is laid out by itself.

What is in a box stands in layers, causes above effects. Observed variables that follow one another stand in a row, as a sequence is written;
variables with numbers (z1, z2, … x1, x2, …) stand in a grid, a column a number. Parameters stand beside what they belong to.
"""

from __future__ import annotations

import re

from .edges import lines
from .graph import Graph, Node
from .shapes import TAGGED, Box, half_sizes

APART, BELOW = 30.0, 34.0  # between neighbours in a layer, between layers
PAD, FOOT = 16.0, 13.0  # inside a plate, and more at its foot for its label
BESIDE = 30.0  # from a box to the parameters beside it
NUMBERED = re.compile(r"(.*?[^\d_])_?(\d+)")

Layers = list[list[str]]


def arranged(graph: Graph) -> Box:
    """The whole graph."""
    return Container(graph, ()).box()


class Container:
    """A plate, or the whole. Its items are the nodes that are in no plate further in, and the plates next further in."""

    def __init__(self, graph: Graph, path: tuple[str, ...]):
        self.graph, self.path = graph, path
        self.owner: dict[str, str] = {}  # a node -> the item that it is in
        self.boxes: dict[str, Box] = {}
        for node in graph.nodes:
            if node.plates[: len(path)] == path:
                inner = node.plates[len(path) :][:1]
                item = self.owner[node.name] = "{" + inner[0] if inner else node.name
                if item not in self.boxes:
                    self.boxes[item] = self.plate(inner[0]) if inner else self.single(node)
        points = [n.name for n in graph.nodes if n.kind == "parameter" and n.name in self.boxes]
        self.points = points if len(points) < len(self.boxes) else []
        self.main = [item for item in self.boxes if item not in self.points]
        pairs = [(self.owner.get(e.tail), self.owner.get(e.head)) for e in graph.edges if e.kind != "..>"]
        self.arrows = [(a, b) for a, b in pairs if a in self.main and b in self.main and a != b]

    def plate(self, label: str) -> Box:
        inner = Container(self.graph, (*self.path, label)).box()
        bends = [point for one in lines(self.graph, inner) if one.middle for point in one.points()]
        inner = inner.settled(PAD, FOOT, [(x + side, y - 1.0) for x, y in bends for side in (-1.0, 1.0)])
        inner.plates.insert(0, (label, 0.0, 0.0, inner.width, inner.height))
        return inner

    def single(self, node: Node) -> Box:
        w, h = half_sizes(node)
        return Box(2 * w, 2 * h, {node.name: (w, h, w, h)})

    def box(self) -> Box:
        """Layer below layer, each in the middle."""
        layers, out, top = self.grid() or self.row() or self.layers(), Box(), 0.0
        columns = len({len(layer) for layer in layers}) == 1
        for layer in layers:
            sizes = [self.boxes[item].width for item in layer]
            if columns:
                sizes = [max(self.boxes[row[c]].width for row in layers) for c in range(len(layer))]
            height, x = max(self.boxes[item].height for item in layer), -(sum(sizes) + APART * (len(sizes) - 1)) / 2
            for item, size in zip(layer, sizes, strict=True):
                one = self.boxes[item]
                out.put(one, x + (size - one.width) / 2, top + (height - one.height) / 2)
                x += size + APART
            top += height + BELOW
        out = out.settled()
        self.parameters(out)
        return out.settled()

    def grid(self) -> Layers:
        """A row for each stem, a column for each number, if all items are such."""
        parts = {item: NUMBERED.fullmatch(item) for item in self.main}
        stems: dict[str, dict[int, str]] = {}
        for item, part in parts.items():
            if part is None:
                return []
            stems.setdefault(part[1], {})[int(part[2])] = item
        numbers = [sorted(row) for row in stems.values()]
        if len(stems) < 2 or len(numbers[0]) < 2 or any(row != numbers[0] for row in numbers):
            return []
        of = {item: part[1] for item, part in parts.items() if part}
        ranks = ranked(list(stems), [(of[a], of[b]) for a, b in self.arrows if of[a] != of[b]])
        return [[stems[stem][n] for n in numbers[0]] for stem in sorted(stems, key=ranks.__getitem__)]

    def row(self) -> Layers:
        """Observed variables that follow one another."""
        observed = all(self.owner.get(item) == item and self.graph[item].kind == "observed" for item in self.main)
        follow = all(pair in self.arrows for pair in zip(self.main, self.main[1:], strict=False))
        return [self.main] if observed and follow and len(self.main) > 2 else []

    def layers(self) -> Layers:
        ranks = ranked(self.main, self.arrows)
        return [[item for item in self.main if ranks[item] == rank] for rank in sorted(set(ranks.values()))]

    def parameters(self, out: Box) -> None:
        """Beside what they belong to: right, or left where they serve a guess alone."""
        width, middle = out.width, out.height / 2
        ends: dict[str, list[float]] = {name: [] for name in self.points}
        guess = dict.fromkeys(self.points, True)
        for e in self.graph.edges:
            for name, other in ((e.tail, e.head), (e.head, e.tail)):
                if name in ends and other in out.nodes and other not in ends:
                    ends[name].append(out.nodes[other][1])
                    guess[name] &= e.kind == "..>"
        w, h = TAGGED
        for name, ys in ends.items():
            left = bool(ys) and guess[name]
            x, y = -BESIDE if left else width + BESIDE, sum(ys) / len(ys) if ys else middle
            while any(abs(x - a) < 2 * w and abs(y - b) < 2 * h for a, b, *_ in out.nodes.values()):
                x += -2 * w if left else 2 * w
            out.nodes[name] = (x, y, w, h)


def ranked(items: list[str], arrows: list[tuple[str, str]]) -> dict[str, int]:
    """The longest way from above to each item; an arrow that would close a circle is left out."""
    ranks, kept = dict.fromkeys(items, 0), list[tuple[str, str]]()
    for tail, head in arrows:
        if not leads(kept, head, tail):
            kept.append((tail, head))
    for _ in items:
        for tail, head in kept:
            ranks[head] = max(ranks[head], ranks[tail] + 1)
    return ranks


def leads(arrows: list[tuple[str, str]], start: str, end: str) -> bool:
    """Whether there is a way along the arrows."""
    reached, fresh = {start}, [start]
    while fresh:
        here = fresh.pop()
        new = {head for tail, head in arrows if tail == here} - reached
        reached |= new
        fresh += new
    return end in reached
