"""A graph as SVG, with a layout of our own, and as DOT, for Graphviz.

The SVG needs no font, style or script from elsewhere, and has one grey in the middle between black and white, so that it is read on both.
An observed variable is shaded, a latent one is open, a parameter is a point; a plate says in its corner how often it is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from .edges import Line, Point, lines, place
from .graph import Graph, Node
from .layout import arranged
from .shapes import POINT, half_sizes

GREY = "#74797f"
MARGIN = 10.0
FONT = "font-family=\"Georgia, 'Times New Roman', serif\""
GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ", "lambda": "λ", "mu": "μ",
    "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "psi": "ψ", "omega": "ω", "Sigma": "Σ",
    "Lambda": "Λ", "Theta": "Θ", "Omega": "Ω", "...": "…",
}  # fmt: skip
INDEXED = re.compile(rf"([A-Za-z]|{'|'.join(map(re.escape, GREEK))})_?(\d+(?:_\d+)*|(?<=_)[A-Za-z]{{1,5}})")


def written(name: str) -> tuple[str, str]:
    """A name and its index, as they are written.

    >>> written("theta"), written("x12"), written("z_2_1"), written("petal_length")
    (('θ', ''), ('x', '12'), ('z', '2,1'), ('petal_length', ''))
    """
    found = INDEXED.fullmatch(name)
    stem, index = (found[1], found[2].replace("_", ",")) if found else (name, "")
    return GREEK.get(stem, stem), index


# ---- SVG -------------------------------------------------------------------------------------------------------------
def svg(graph: Graph) -> str:
    """The drawing as text."""
    box = arranged(graph).settled(MARGIN)
    ways = lines(graph, box)
    ends = [point for way in ways for point in way.points()]
    left, right = (
        pick([side, *(x + m for x, _ in ends)]) for pick, side, m in ((min, 0.0, -3.0), (max, box.width, 3.0))
    )
    top, foot = (
        pick([side, *(y + m for _, y in ends)]) for pick, side, m in ((min, 0.0, -3.0), (max, box.height, 3.0))
    )
    size = f'width="{number(right - left)}" height="{number(foot - top)}"'
    view = f'viewBox="{number(left)} {number(top)} {number(right - left)} {number(foot - top)}"'
    title = escape(graph.title or "A graphical model")
    # The outer plate is drawn before the inner, and the nodes last.
    parts = [part for one in box.plates for part in plate(*one)]
    parts += [part for way in ways for part in stroke(way)]
    parts += [part for node in graph.nodes for part in variable(node, box.nodes[node.name][:2])]
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} role="img" aria-label="{title}">'
    return "\n".join([opening, f"<title>{title}</title>", *parts, "</svg>"]) + "\n"


def number(value: float) -> str:
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def plate(label: str, x: float, y: float, width: float, height: float) -> Iterable[str]:
    size = f'width="{number(width)}" height="{number(height)}" rx="7"'
    yield f'<rect x="{number(x)}" y="{number(y)}" {size} fill="none" stroke="{GREY}"/>'
    yield text(label, (x + width - 8, y + height - 7), 13, "end")


def stroke(way: Line) -> Iterable[str]:
    dash = ' stroke-dasharray="5 3.5"' if way.dashed else ""
    yield f'<path d="{way.path()}" fill="none" stroke="{GREY}" stroke-width="1.3"{dash}/>'
    for corners in way.heads:
        yield f'<path d="M{" L".join(place(corner) for corner in corners)} Z" fill="{GREY}"/>'


def text(name: str, at: Point, size: int, anchor: str = "middle") -> str:
    stem, index = written(name)
    style = ' font-style="italic"' if len(stem) < 3 else ""
    inner = escape(stem)
    if index:
        inner += f'<tspan dy="{number(size * 0.24)}" font-size="{number(size * 0.7)}" font-style="normal">{escape(index)}</tspan>'
    where = f'x="{number(at[0])}" y="{number(at[1])}" text-anchor="{anchor}"'
    return f'<text {where} {FONT} font-size="{size}"{style} fill="{GREY}">{inner}</text>'


def variable(node: Node, at: Point) -> Iterable[str]:
    x, y = at
    if node.dots:
        yield text("...", (x, y + 2), 20)
    elif node.kind == "parameter":
        yield f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(POINT)}" fill="{GREY}"/>'
        yield text(node.name, (x, y - 8), 15)
    else:
        w, h = half_sizes(node)
        shade = f'fill="{GREY}" fill-opacity="0.35"' if node.kind == "observed" else 'fill="none"'
        size = f'rx="{number(w)}" ry="{number(h)}"'
        yield f'<ellipse cx="{number(x)}" cy="{number(y)}" {size} {shade} stroke="{GREY}" stroke-width="1.4"/>'
        yield text(node.name, (x, y + 5), 17 if len(node.name) <= 4 else 13)


# ---- DOT -------------------------------------------------------------------------------------------------------------
STYLES = {"->": "", "--": " [dir=none]", "<->": " [dir=both]", "..>": " [style=dashed, constraint=false]"}


def dot(graph: Graph) -> str:
    """The same in the words of Graphviz: plates are clusters."""
    opening = [f"digraph {quoted(graph.title or 'model')} {{", '  node [shape=ellipse, fontname="serif"];']
    arrows = [f"  {quoted(e.tail)} -> {quoted(e.head)}{STYLES[e.kind]};" for e in graph.edges]
    return "\n".join([*opening, *inside(graph, ()), *arrows, "}"]) + "\n"


def inside(graph: Graph, path: tuple[str, ...]) -> Iterable[str]:
    space, seen = "  " * (len(path) + 1), set()
    for node in graph.nodes:
        if node.plates == path:
            yield f"{space}{quoted(node.name)} [{looks(node)}];"
        elif node.plates[: len(path)] == path and (label := node.plates[len(path)]) not in seen:
            seen.add(label)
            inner = (*path, label)
            yield f"{space}subgraph {quoted('cluster_' + '_'.join(inner))} {{"
            yield f"{space}  label={quoted(label)}; labelloc=b; labeljust=r;"
            yield from inside(graph, inner)
            yield f"{space}}}"


def looks(node: Node) -> str:
    stem, index = written(node.name)
    label = f"<{escape(stem)}<SUB>{escape(index)}</SUB>>" if index else quoted(stem)
    if node.dots:
        return f"label={label}, shape=plaintext"
    if node.kind == "parameter":
        return f'label="", xlabel={label}, shape=point'
    return f"label={label}" + (', style=filled, fillcolor="#d0d2d5"' if node.kind == "observed" else "")


def quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
