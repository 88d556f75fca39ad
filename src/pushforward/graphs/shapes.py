"""Sizes and places: how large a node is drawn, and a box with everything in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .graph import Node

RADIUS, POINT = 19.0, 4.0  # of a variable's circle, of a parameter's point
TAGGED = (11.0, 19.0)  # half the room of a parameter with its name above it


@dataclass
class Box:
    """Places from the upper left corner: nodes by their middle and half their sizes, plates by their corner and their sizes."""

    width: float = 0.0
    height: float = 0.0
    nodes: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    plates: list[tuple[str, float, float, float, float]] = field(default_factory=list)

    def put(self, other: Box, x: float, y: float) -> None:
        """Another box into this one, its corner at (x, y)."""
        self.nodes |= {name: (x + a, y + b, w, h) for name, (a, b, w, h) in other.nodes.items()}
        self.plates += [(label, x + a, y + b, w, h) for label, a, b, w, h in other.plates]

    def settled(self, pad: float = 0.0, foot: float = 0.0, also: Iterable[tuple[float, float]] = ()) -> Box:
        """The box that is just around everything in it, and around some points."""
        sides = [(x - w, y - h, x + w, y + h) for x, y, w, h in self.nodes.values()]
        sides += [(x, y, x, y) for x, y in also]
        sides += [(x, y, x + w, y + h) for _, x, y, w, h in self.plates]
        left, top = min(side[0] for side in sides), min(side[1] for side in sides)
        right, bottom = max(side[2] for side in sides), max(side[3] for side in sides)
        out = Box(right - left + 2 * pad, bottom - top + 2 * pad + foot)
        out.put(self, pad - left, pad - top)
        return out


def half_sizes(node: Node) -> tuple[float, float]:
    """Of a node as it is drawn: a long name makes an ellipse."""
    if node.kind == "parameter":
        return TAGGED
    return max(RADIUS, 3.9 * len(node.name) + 8) if len(node.name) > 4 else RADIUS, RADIUS
