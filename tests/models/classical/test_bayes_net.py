"""Bayesian networks: Chow and Liu's identity, conditionals by enumeration, graphs that are given."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.models.classical import BayesNet

RNG = np.random.default_rng(0)


def codes(n: int = 600, seed: int = 0) -> np.ndarray:
    """Five columns of 3, 2, 3, 2 and 4 values, of which some lean on each other."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 3, n)
    b = (a + rng.integers(0, 2, n)) % 2
    c = np.where(rng.random(n) < 0.7, a, rng.integers(0, 3, n))
    d = np.where(rng.random(n) < 0.6, b, rng.integers(0, 2, n))
    e = np.where(rng.random(n) < 0.5, c + (d > 0), rng.integers(0, 4, n))
    return np.stack([a, b, c, d, e], 1).astype(np.uint8)


SIZES = (3, 2, 3, 2, 4)
WHOLE = np.array(list(itertools.product(*map(range, SIZES))), dtype=np.uint8)
X = codes()


def frame(x: np.ndarray = X) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Categorical(x[:, j], range(SIZES[j])) for j, name in enumerate("abcde")})


def information(x: np.ndarray, i: int, j: int) -> float:
    joint = np.histogram2d(x[:, i], x[:, j], bins=(SIZES[i], SIZES[j]), range=((0, SIZES[i]), (0, SIZES[j])))[0]
    return stats.entropy(joint.sum(1)) + stats.entropy(joint.sum(0)) - stats.entropy(joint.ravel())


def test_the_trees_likelihood_is_informations_less_entropies():
    model = BayesNet(smooth=0.0).fit(frame(), quiet=True)
    edges = model.edges.tolist()
    entropies = sum(stats.entropy(np.bincount(X[:, j])) for j in range(5))
    want = sum(information(X, a, b) for a, b in edges) - entropies
    assert model.score(frame()) == pytest.approx(want, abs=1e-12)


def test_no_other_tree_is_likelier():
    """All 125 trees on five variables."""
    best = BayesNet(smooth=0.0).fit(frame(), quiet=True).score(frame())
    weights = {(i, j): information(X, i, j) for i, j in itertools.combinations(range(5), 2)}
    entropies = sum(stats.entropy(np.bincount(X[:, j])) for j in range(5))
    totals = []
    for tree in itertools.combinations(weights, 4):
        reached = {0}
        for _ in range(4):
            reached |= {v for edge in tree for v in edge if reached & set(edge)}
        if len(reached) == 5:
            totals.append(sum(weights[edge] for edge in tree) - entropies)
    assert len(totals) == 125
    assert best == pytest.approx(max(totals), abs=1e-12)


@pytest.mark.parametrize("parents", [("tree",), ("a>c", "b>c", "c>d", "a>d", "d>e", "b>e"), ()])
def test_conditionals_are_those_of_enumeration(parents):
    """Of gaps in every pattern: what is drawn for one row, many times, against the table of all rows."""
    model, n = BayesNet(parents=parents).fit(frame(), quiet=True), 4000
    p = np.exp(model.log_prob(frame(WHOLE)))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    for pattern in ([1, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]):
        o = np.array(pattern, dtype=bool)
        row = codes(1, seed=9)[0]
        drawn = model.complete(frame(np.tile(row, (n, 1))), known=np.tile(o, (n, 1)), seed=1)
        agree = (WHOLE[:, o] == row[o]).all(1)
        want = p[agree] / p[agree].sum()
        whole = np.stack([drawn[c].astype(int) for c in "abcde"], 1)
        assert (whole[:, o] == row[o]).all()
        have = np.array([(whole == r).all(1).mean() for r in WHOLE[agree]])
        np.testing.assert_allclose(have, want, atol=4.5 * np.sqrt(0.25 / n))
        assert np.abs(have - want).sum() < 4 * np.sqrt(len(want) / n)


def test_the_evidence_of_elimination_is_the_sum_of_the_table():
    from pushforward.maths.elimination import Table, eliminate, plan

    model = BayesNet(parents=("a>c", "b>c", "c>d", "a>d", "d>e", "b>e")).fit(frame(), quiet=True)
    p = np.exp(model.log_prob(frame(WHOLE)))
    x = model.space.read(frame(WHOLE)).long()
    for o in itertools.product([False, True], repeat=5):
        tables = [Table.of(f, t) for f, t in model.factors()]
        order, _ = plan([t.variables for t in tables], [v for v in range(5) if not o[v]], SIZES)
        nats = eliminate([t.at(x, o) for t in tables], order, SIZES)[1].expand(len(x)).numpy()
        key = WHOLE[:, list(o)]
        want = [p[(key == row).all(1)].sum() for row in key]
        np.testing.assert_allclose(np.exp(nats), want, atol=1e-13)


def test_a_given_graph_has_the_tables_of_counting():
    """Rain and sprinkler wet the grass; explaining away: they are independent until the grass is seen."""
    rng = np.random.default_rng(0)
    rain, sprinkler = rng.random(20000) < 0.3, rng.random(20000) < 0.4
    grass = rng.random(20000) < np.where(rain & sprinkler, 0.99, np.where(rain | sprinkler, 0.9, 0.05))
    x = pd.DataFrame({"rain": rain, "sprinkler": sprinkler, "grass": grass})
    for parents in (
        {"grass": ["rain", "sprinkler"]},
        ("rain>grass", "sprinkler>grass"),
        [("rain", "grass"), ("sprinkler", "grass")],
    ):
        model = BayesNet(parents=parents, smooth=0.0).fit(x, quiet=True)
        table = dict((f[-1], t) for f, t in model.factors())[2]
        assert table.shape == (2, 2, 2) and model.parameters_ == 6
        assert table[1, 0, 1].item() == pytest.approx(grass[rain & ~sprinkler].mean(), abs=1e-12)
    asked = pd.DataFrame({"rain": [None, None], "sprinkler": [True, False], "grass": [True, True]})
    many = pd.concat([asked] * 4000, ignore_index=True)
    told = model.complete(many, seed=0)["rain"].astype(bool).to_numpy().reshape(-1, 2).mean(0)
    truth = [x.query(f"grass and sprinkler == {s}")["rain"].mean() for s in (True, False)]
    np.testing.assert_allclose(told, truth, atol=0.03)
    assert truth[1] > truth[0] + 0.3


def test_its_graph_can_be_drawn_and_asked():
    model = BayesNet(parents=("a>c", "b>c")).fit(frame(), quiet=True)
    graph = model.graph()
    assert graph.separated("a", "b") and not graph.separated("a", "b", given=["c"])
    assert {(e.tail, e.head) for e in graph.edges} == {("a", "c"), ("b", "c")}


def test_a_chain_is_found():
    """0 -> 1 -> 2 -> 3: neighbours tell each other most. From the first variable outwards the tree is that chain."""
    rng = np.random.default_rng(1)
    x = [rng.integers(0, 2, 5000)]
    for _ in range(3):
        x.append(np.where(rng.random(5000) < 0.85, x[-1], 1 - x[-1]))
    model = BayesNet().fit(np.stack(x, 1), quiet=True)
    assert model.edges.tolist() == [[0, 1], [1, 2], [2, 3]]


def test_a_missing_cell_is_one_more_value_and_a_gap_is_filled_with_another():
    x = frame().astype(object).mask(np.random.default_rng(2).random(X.shape) < 0.15)
    x = pd.DataFrame({c: x[c].map(lambda v: None if pd.isna(v) else f"v{v}") for c in x})
    model = BayesNet().fit(x, quiet=True)
    assert np.isfinite(model.log_prob(x)).all()
    assert not model.complete(x, seed=0).isna().any().any()
    assert model.sample(3000, seed=0).isna().to_numpy().mean() == pytest.approx(0.15, abs=0.02)


def test_numbers_are_counted_in_bins():
    side = RNG.integers(0, 2, 2000)
    x = pd.DataFrame(
        {"side": np.where(side, "r", "l"), "x": RNG.normal(size=2000) + 4 * side, "n": RNG.integers(0, 40, 2000)}
    )
    model = BayesNet(bins=12).fit(x, quiet=True)
    asked = pd.DataFrame({"side": [None] * 200, "x": [4.2] * 200, "n": [3] * 200})
    assert (model.complete(asked, seed=0)["side"] == "r").mean() > 0.9
    assert model.sample(100, seed=0)["n"].between(0, 39).all()
    assert np.isneginf(model.log_prob(x.assign(x=100.0))).all()


def test_a_row_is_completed_alike_alone_and_among_others():
    model = BayesNet().fit(frame(), quiet=True)
    mask = np.random.default_rng(3).random((40, 5)) < 0.5
    whole = model.complete(frame(X[:40]), known=mask, seed=5)
    assert model.complete(frame(X[:1]), known=mask[:1], seed=5).equals(whole.iloc[:1])


def test_what_nobody_has_seen():
    x = pd.DataFrame({"a": [0, 0, 1, 1] * 20, "b": [0, 0, 1, 1] * 20, "c": [0, 1, 0, 1] * 20}).astype("category")
    never = x.iloc[:1].assign(b=pd.Categorical([1], [0, 1]))
    assert np.isneginf(BayesNet(smooth=0.0).fit(x, quiet=True).log_prob(never))[0]
    assert np.isfinite(BayesNet().fit(x, quiet=True).log_prob(never))[0]
    with pytest.raises(BadData, match="row 0 never came together.*smooth"):
        BayesNet(smooth=0.0).fit(x, quiet=True).complete(never, known=[True, True, False])


def test_what_is_wrong_is_said():
    with pytest.raises(Usage, match="round in a circle"):
        BayesNet(parents=("a>b", "b>c", "c>a")).fit(frame(), quiet=True)
    with pytest.raises(Usage, match="'a>rain' is not an edge"):
        BayesNet(parents=("a>rain",)).fit(frame(), quiet=True)
    with pytest.raises(Usage, match="twice"):
        BayesNet(parents=("a>b", "a>b")).fit(frame(), quiet=True)
    with pytest.raises(Usage, match="Two different ones"):
        BayesNet(parents=("a>a",)).fit(frame(), quiet=True)
    many = RNG.integers(0, 200, size=(300, 60)).astype(np.uint8)
    with pytest.raises(BadData, match="pairs.*fewer levels"):
        BayesNet().fit(many, quiet=True)
    with pytest.raises(BadData, match="tables hold"):
        BayesNet(parents=[(i, 59) for i in range(4)]).fit(many, quiet=True)
    with pytest.raises(Unable, match="no code"):
        BayesNet().fit(X, quiet=True).encode(X)


def test_too_many_gaps_for_too_many_parents_are_refused():
    from pushforward.maths.elimination import plan

    with pytest.raises(Unable, match="numbers is needed"):
        plan([tuple(range(30))], range(30), (2,) * 30)


def test_it_comes_back_from_a_folder(tmp_path):
    for parents in (("tree",), (), {"e": ["a", "b"]}):
        model = BayesNet(parents=parents).fit(frame(), quiet=True)
        again = pf.load(model.save(tmp_path / f"{len(parents)}{type(parents).__name__}.pf"))
        assert (again.log_prob(frame()) == model.log_prob(frame())).all()
        assert again.sample(5, seed=0).equals(model.sample(5, seed=0))
