"""Graphs: what they say of independence, checked by enumeration, and how they are drawn, checked against kept drawings.

`python tests/test_graphs.py` writes the drawings of tests/golden anew; look at them before they are kept.
"""

import itertools
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import pushforward as pf
from pushforward import catalogue
from pushforward.errors import Usage
from pushforward.graphs import Edge, Graph, Node, chain_rule

GOLDEN = Path(__file__).parent / "golden"
DRAWN = {
    "autoregressive-of-three": chain_rule(["x1", "x2", "x3"]),
    "autoregressive-of-many": chain_rule([f"x{j}" for j in range(1, 785)]),
    "columns": chain_rule(["age", "height", "income (gross)"]),
    "latent": Graph.read("N{(z) -> [x]}; theta -> x"),
    "amortised": Graph.read("N{(z) -> [x]}; theta -> x; phi ..> z; x ..> z"),
    "mixture": Graph.read("N{(z) -> [x]}; K{mu; sigma}; pi -> z; mu, sigma -> x"),
    "hierarchy": Graph.read("N{(z3) -> (z2) -> (z1) -> [x]; z3 -> z1; z3, z2 -> x}"),
    "sequence": Graph.read("(z1) -> (z2) -> (z3); z1 -> [x1]; z2 -> [x2]; z3 -> [x3]"),
    "flow": Graph.read("N{(z) <-> [x]}; theta -> x"),
    "energy": Graph.read("N{[x]}; theta -- x"),
    "restricted-boltzmann-machine": Graph.read("N{H{(z)}; D{[x]}; z -- x}"),
    "deep-boltzmann-machine": Graph.read("(z2) -- (z1) -- [x]"),
    "deep-belief-network": Graph.read("(z2) -- (z1) -> [x]"),
    "conditional": Graph.read("N{[y]; (z) -> [x]; y -> x}; theta -> x"),
}


# ---- reading ---------------------------------------------------------------------------------------------------------
def test_a_line_of_text_is_a_graph():
    graph = Graph.read("N{(z) -> [x]}; theta -> x; x ..> z")
    assert graph.nodes == (Node("z", "latent", ("N",)), Node("x", "observed", ("N",)), Node("theta", "parameter"))
    assert graph.edges == (Edge("z", "x"), Edge("theta", "x"), Edge("x", "z", "..>"))
    assert Graph.read("[a], [b] -> [c] -- [d]").edges == (Edge("a", "c"), Edge("b", "c"), Edge("c", "d", "--"))
    assert Graph.read("N{T{[x]}}")["x"].plates == ("N", "T")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("N{(z) -> [x]", "not closed"),
        ("(z) -> [x]}", "closes no plate"),
        ("(z) ->", "the end"),
        ("(z) => [x]", "not awaited"),
        ("[a] -> [b]; b -> a", "circle"),
        ("[a] -- [b]; a -> b", "circle"),
        ("[a] -> a", "between two nodes"),
        ("; -> [x]", "variable is awaited"),
    ],
)
def test_a_text_that_is_none_is_refused(text, word):
    with pytest.raises(Usage, match=word):
        Graph.read(text)


def test_names_are_those_of_the_graph():
    graph = Graph.read("(z) -> [x]")
    with pytest.raises(Usage, match="no 'y'"):
        graph.separated("z", "y")
    with pytest.raises(Usage, match="common node"):
        graph.separated("z", "x", given=["z"])
    with pytest.raises(Usage, match="plates of the graph"):
        graph.unrolled(N=2)
    with pytest.raises(Usage, match="one name"):
        Graph((Node("x"), Node("x")))


# ---- independence ----------------------------------------------------------------------------------------------------
KNOWN = [
    ("[a] -> [b] -> [c]", "a", "c", [], False),  # chain
    ("[a] -> [b] -> [c]", "a", "c", ["b"], True),
    ("[b] -> [a], [c]", "a", "c", [], False),  # fork
    ("[b] -> [a], [c]", "a", "c", ["b"], True),
    ("[a], [c] -> [b]", "a", "c", [], True),  # collider
    ("[a], [c] -> [b]", "a", "c", ["b"], False),
    ("[a], [c] -> [b] -> [d] -> [e]", "a", "c", ["e"], False),  # a descendant of a collider tells of it
    ("[a], [c] -> [b] -> [d]; a -> d", "a", "c", ["d"], False),
    ("(z1) -> (z2) -> (z3); z1 -> [x1]; z2 -> [x2]; z3 -> [x3]", "x1", "x3", [], False),
    ("(z1) -> (z2) -> (z3); z1 -> [x1]; z2 -> [x2]; z3 -> [x3]", "x1", "x3", ["z2"], True),
    ("(z1) -> (z2) -> (z3); z1 -> [x1]; z2 -> [x2]; z3 -> [x3]", "x1", "x3", ["x2"], False),
    ("[a] -- [b] -- [c] -- [d] -- a", "a", "c", ["b"], False),  # a square
    ("[a] -- [b] -- [c] -- [d] -- a", "a", "c", ["b", "d"], True),
    ("(z2) -- (z1) -> [x]", "z2", "x", ["z1"], True),  # a deep belief network
    ("[a] -> [b] -- [c]; [d] -> c", "a", "d", [], True),  # a chain graph: the parents of one block
    ("[a] -> [b] -- [c]; [d] -> c", "a", "d", ["b"], False),
]


@pytest.mark.parametrize(("text", "a", "b", "given", "independent"), KNOWN)
def test_known_independences(text, a, b, given, independent):
    assert Graph.read(text).separated(a, b, given) is independent
    assert Graph.read(text).separated(b, a, given) is independent


def test_sets_of_variables_and_guesses():
    graph = Graph.read("(z) -> [x1], [x2], [x3]; x1 ..> z")
    assert graph.separated(["x1", "x2"], "x3", given=["z"]) and not graph.separated(["x1", "z"], "x3")


def test_examples_are_independent_given_the_parameters():
    graph = Graph.read("N{(z) -> [x]}; theta -> x").unrolled(N=3)
    assert [n.name for n in graph.nodes] == ["z_1", "z_2", "z_3", "x_1", "x_2", "x_3", "theta"] and len(
        graph.edges
    ) == 6
    assert graph.separated("x_1", "x_3", given=["theta"]) and not graph.separated("x_1", "x_3")
    machine = Graph.read("N{H{(h)}; D{[x]}; h -- x}").unrolled(H=2, D=3)
    assert len(machine.edges) == 6 and {n.plates for n in machine.nodes} == {("N",)}
    assert machine.separated(["x_1", "x_2"], "x_3", given=["h_1", "h_2"]) and not machine.separated(
        "x_1", "x_2", given=["h_1"]
    )


def dependence(joint: np.ndarray, a: int, b: int, given: tuple[int, ...]) -> float:
    """max |p(a, b, s) p(s) - p(a, s) p(b, s)| over all values."""
    others = tuple(i for i in range(joint.ndim) if i not in (a, b, *given))
    p = joint.sum(others, keepdims=True)
    return np.abs(p * p.sum((a, b), keepdims=True) - p.sum(b, keepdims=True) * p.sum(a, keepdims=True)).max()


def compare(graph: Graph, joint: np.ndarray) -> int:
    """Every independence of a distribution of three or more variables is one that the graph says, and the other way round."""
    names, seen = [n.name for n in graph.nodes], 0
    for a, b in itertools.combinations(range(len(names)), 2):
        others = [i for i in range(len(names)) if i not in (a, b)]
        for size in range(len(others) + 1):
            for given in itertools.combinations(others, size):
                found = dependence(joint, a, b, given)
                said = graph.separated(names[a], names[b], [names[i] for i in given])
                assert (found < 1e-15) if said else (found > 1e-9), (names[a], names[b], given, found)
                seen += said
    return seen


@pytest.mark.parametrize("seed", range(12))
def test_d_separation_is_the_independence_of_random_networks(seed):
    """Five binary variables, random arrows and random tables: independent in the enumerated joint exactly where the graph says so."""
    rng, n = np.random.default_rng(seed), 5
    arrows = [(i, j) for i, j in itertools.combinations(range(n), 2) if rng.random() < 0.45]
    joint = np.ones((2,) * n)
    for j in range(n):
        parents = [i for i, child in arrows if child == j]
        p = rng.uniform(0.1, 0.9, (2,) * len(parents))
        table = np.stack([p, 1 - p], -1)
        axes = [*parents, j]
        shape = [2 if i in axes else 1 for i in range(n)]
        joint = joint * np.transpose(table, np.argsort(axes)).reshape(shape)
    assert joint.sum() == pytest.approx(1, abs=1e-12)
    graph = Graph(tuple(Node(f"v{i}", "observed") for i in range(n)), tuple(Edge(f"v{i}", f"v{j}") for i, j in arrows))
    compare(graph, joint)


@pytest.mark.parametrize("seed", range(6))
def test_separation_is_the_independence_of_random_fields(seed):
    """The same without arrows: a product of random tables, one an edge."""
    rng, n = np.random.default_rng(seed), 5
    edges = [pair for pair in itertools.combinations(range(n), 2) if rng.random() < 0.5]
    joint = np.ones((2,) * n)
    for i, j in edges:
        shape = [2 if k in (i, j) else 1 for k in range(n)]
        joint = joint * rng.uniform(0.3, 3.0, (2, 2)).reshape(shape)
    joint /= joint.sum()
    graph = Graph(
        tuple(Node(f"v{i}", "observed") for i in range(n)), tuple(Edge(f"v{i}", f"v{j}", "--") for i, j in edges)
    )
    compare(graph, joint)


def test_separation_is_the_independence_of_a_chain_graph():
    """p(a) p(d) p(b, c | a, d) with b -- c, a -> b, d -> c:  p(b, c | a, d) = f(a, b) g(b, c) h(c, d) / Z(a, d)."""
    rng = np.random.default_rng(0)
    f, g, h = (rng.uniform(0.3, 3.0, (2, 2)) for _ in range(3))
    block = np.einsum("ab,bc,cd->abcd", f, g, h)
    joint = np.einsum("a,d,abcd->abcd", [0.3, 0.7], [0.6, 0.4], block / block.sum((1, 2), keepdims=True))
    graph = Graph.read("[a] -> [b] -- [c]; [d] -> c")
    order = [["a", "b", "c", "d"].index(n.name) for n in graph.nodes]
    assert compare(graph, joint.transpose(order)) == 3  # a from d; a from c and b from d given what lies between


# ---- drawing ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", DRAWN)
def test_drawings_are_the_kept_ones(name):
    assert DRAWN[name].svg() == (GOLDEN / f"{name}.svg").read_text(encoding="utf-8")
    assert DRAWN[name].dot() == (GOLDEN / f"{name}.dot").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawing_stands_by_itself(name):
    """Well-formed, nothing fetched, no black and no white, all within its frame, a shape for each variable."""
    graph, text = DRAWN[name], DRAWN[name].svg()
    root = ElementTree.fromstring(text)
    assert "href" not in text and "<style" not in text and "script" not in text and "url(" not in text
    space = "{http://www.w3.org/2000/svg}"
    colours = {e.get(k) for e in root.iter() for k in ("fill", "stroke")} - {None, "none"}
    assert colours == {"#74797f"}
    variables = [n for n in graph.nodes if not n.dots]
    assert len(root.findall(f"{space}ellipse")) + len(root.findall(f"{space}circle")) == len(variables)
    assert len(root.findall(f"{space}rect")) == len(
        {n.plates[: i + 1] for n in graph.nodes for i in range(len(n.plates))}
    )
    left, top, width, height = map(float, root.get("viewBox").split())
    for e in root.findall(f"{space}ellipse"):
        x, y, rx, ry = (float(e.get(k)) for k in ("cx", "cy", "rx", "ry"))
        assert left <= x - rx and x + rx <= left + width and top <= y - ry and y + ry <= top + height


@pytest.mark.parametrize("name", DRAWN)
def test_no_two_nodes_of_a_drawing_touch(name):
    space = "{http://www.w3.org/2000/svg}"
    shapes = [
        tuple(float(e.get(k)) for k in ("cx", "cy", "rx", "ry"))
        for e in ElementTree.fromstring(DRAWN[name].svg()).findall(f"{space}ellipse")
    ]
    for (x, y, w, h), (a, b, v, u) in itertools.combinations(shapes, 2):
        assert abs(x - a) > w + v or abs(y - b) > h + u


def test_names_are_escaped():
    graph = chain_rule(['<b>"&', "c"])
    assert "&lt;b&gt;" in graph.svg() and '\\"' in graph.dot()
    ElementTree.fromstring(graph.svg())


def test_a_graph_is_written_by_its_suffix(tmp_path):
    graph = DRAWN["latent"]
    assert graph.save(tmp_path / "g.svg").read_text() == graph.svg() == graph._repr_svg_()
    assert graph.save(tmp_path / "g.dot").read_text() == graph.dot()
    with pytest.raises(Usage, match=r"\.svg, \.dot"):
        graph.save(tmp_path / "g.png")


# ---- models ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", catalogue.names())
def test_every_system_has_a_graph(name):
    graph = catalogue.find(name)().graph()
    assert graph.title == catalogue.find(name).__name__
    assert any(n.kind == "observed" for n in graph.nodes)
    ElementTree.fromstring(graph.svg())


def test_a_fitted_model_names_its_variables_and_its_condition():
    x = np.random.default_rng(0).normal(size=(60, 3))
    model = pf.MADE(hidden=(8,), components=1).fit(x, given=x[:, 0] > 0, steps=2, quiet=True)
    graph = model.graph()
    assert [n.name for n in graph.nodes] == ["given", "x1", "x2", "x3"]
    assert {(e.tail, e.head) for e in graph.edges} == {
        *(("given", f"x{j}") for j in (1, 2, 3)),
        ("x1", "x2"),
        ("x1", "x3"),
        ("x2", "x3"),
    }
    assert [n.name for n in pf.MADE(order="2,0,1", hidden=(8,)).fit(x, steps=2, quiet=True).graph().nodes] == [
        "x3",
        "x1",
        "x2",
    ]


def test_what_the_families_say():
    assert not pf.VAE().graph().separated("z", "x") and pf.VAE().graph()["z"].kind == "latent"
    machine = pf.RBM().graph().unrolled(H=2, D=2)
    assert machine.separated("x_1", "x_2", given=["h_1", "h_2"])
    assert [n.name for n in pf.GPT().graph().nodes] == ["x1", "x2", "…", "xD"]
    assert {e.kind for e in pf.RealNVP().graph().edges} == {"<->", "->"}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, graph in DRAWN.items():
        for suffix in (".svg", ".dot"):
            sys.stdout.write(f"{graph.save(GOLDEN / (name + suffix))}\n")
