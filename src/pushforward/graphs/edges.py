"""The lines of a drawing: straight from border to border, bent where another node stands in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .graph import Edge, Graph, Node
from .shapes import POINT, Box, half_sizes

HEAD, SPREAD = 8.5, 3.4  # length of an arrow's head, and half its breadth
CLEAR = 5.0  # from a line to a node that it passes
BENDS = (0.0, 0.22, -0.22, 0.34, -0.34, 0.5, -0.5, 0.75, -0.75)  # as a share of the way from end to end
STEPS = 24  # places along a line at which it is asked whether it passes a node

Point = tuple[float, float]


@dataclass
class Line:
    """A straight line, or a curve with one control point, and the corners of its heads."""

    start: Point
    end: Point
    middle: Point | None = None
    dashed: bool = False
    heads: list[tuple[Point, Point, Point]] = field(default_factory=list)

    def path(self) -> str:
        bend = "L" if self.middle is None else f"Q{place(self.middle)} "
        return f"M{place(self.start)} {bend}{place(self.end)}"

    def points(self) -> list[Point]:
        return along(self.start, self.middle or halfway(self.start, self.end), self.end)


def lines(graph: Graph, box: Box) -> list[Line]:
    """Of all edges between nodes of the box."""
    return [line(edge, graph, box) for edge in graph.edges if edge.tail in box.nodes and edge.head in box.nodes]


def line(edge: Edge, graph: Graph, box: Box) -> Line:
    start, end = (box.nodes[name][:2] for name in (edge.tail, edge.head))
    others = [
        (box.nodes[n.name][:2], shape(n)) for n in graph.nodes if n.name in box.nodes.keys() - {edge.tail, edge.head}
    ]
    # A guess runs beside the arrow that it turns round.
    twin = any({e.tail, e.head} == {edge.tail, edge.head} and e != edge for e in graph.edges)
    bends = BENDS[1:] if twin and edge.kind == "..>" else BENDS
    bend = next((b for b in bends if clear(start, bent(start, end, b), end, others)), bends[0])
    middle = bent(start, end, bend)
    goals = (middle, middle) if bend else (end, start)  # the middle of a straight line may lie in a wide node
    a, b = border(start, shape(graph[edge.tail]), goals[0]), border(end, shape(graph[edge.head]), goals[1])
    out = Line(a, b, middle if bend else None, edge.kind == "..>")
    if edge.kind != "--":
        out.heads.append(head(b, middle if bend else a))
        out.end = towards(b, middle if bend else a, HEAD - 0.5)
    if edge.kind == "<->":
        out.heads.append(head(a, middle if bend else b))
        out.start = towards(a, middle if bend else b, HEAD - 0.5)
    return out


def shape(node: Node) -> Point:
    """Half the width and height of what a line ends at."""
    return (POINT, POINT) if node.kind == "parameter" else half_sizes(node)


def halfway(a: Point, b: Point) -> Point:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def bent(start: Point, end: Point, share: float) -> Point:
    """A control point off the straight line: above a rather level one; beside a rather upright one, on the side that it comes from."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    x, y = dy, -dx
    wrong = y > 0 if abs(dx) >= abs(dy) else x * (-dx if abs(dx) > 1e-9 else -1.0) < 0
    side = -2 * share if wrong else 2 * share
    middle = halfway(start, end)
    return middle[0] + side * x, middle[1] + side * y


def along(start: Point, middle: Point, end: Point) -> list[Point]:
    """Points of the curve, its ends included."""
    found = []
    for t in (i / STEPS for i in range(STEPS + 1)):
        a, m, b = (1 - t) ** 2, 2 * t * (1 - t), t**2
        found.append((a * start[0] + m * middle[0] + b * end[0], a * start[1] + m * middle[1] + b * end[1]))
    return found


def clear(start: Point, middle: Point, end: Point, others: list[tuple[Point, Point]]) -> bool:
    """Whether a curve passes no other node."""
    return not any(
        ((x - cx) / (w + CLEAR)) ** 2 + ((y - cy) / (h + CLEAR)) ** 2 < 1
        for x, y in along(start, middle, end)[1:-1]
        for (cx, cy), (w, h) in others
    )


def border(centre: Point, size: Point, goal: Point) -> Point:
    """Where the way from the middle of a node to a point leaves the node."""
    dx, dy = goal[0] - centre[0], goal[1] - centre[1]
    scale = 1 / math.hypot(dx / size[0], dy / size[1])
    return centre[0] + scale * dx, centre[1] + scale * dy


def towards(point: Point, goal: Point, length: float) -> Point:
    dx, dy = goal[0] - point[0], goal[1] - point[1]
    far = math.hypot(dx, dy) or 1.0
    return point[0] + length * dx / far, point[1] + length * dy / far


def head(tip: Point, source: Point) -> tuple[Point, Point, Point]:
    """The corners of an arrow's head that comes from `source`."""
    back = towards(tip, source, HEAD)
    dx, dy = (back[0] - tip[0]) / HEAD * SPREAD, (back[1] - tip[1]) / HEAD * SPREAD
    return tip, (back[0] - dy, back[1] + dx), (back[0] + dy, back[1] - dx)


def place(point: Point) -> str:
    return " ".join(f"{round(v, 1) + 0.0:.1f}".removesuffix(".0") for v in point)
