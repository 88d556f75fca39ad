"""White variables, FastICA, Amari's distance, and the trees of Chow and Liu."""

import itertools

import numpy as np
import pytest
import torch

from pushforward import noise
from pushforward.maths.components import amari, even, independent, whitening
from pushforward.maths.elimination import Table, backwards, eliminate, plan
from pushforward.maths.moments import Moments
from pushforward.maths.trees import informations, occurring, ordered, pairs, spanning

G = torch.Generator().manual_seed(0)


def white(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
    seen = Moments(x.shape[1])
    seen.add(x)
    matrix, span = whitening(seen)
    return matrix @ (x - seen.mean).T, matrix, span


def test_white_is_white_and_says_how_many_directions_there_are():
    x = torch.randn(500, 4, generator=G, dtype=torch.float64) @ torch.randn(4, 4, generator=G, dtype=torch.float64)
    y, _, span = white(x)
    assert span == 4 and torch.allclose(y @ y.T / 500, torch.eye(4, dtype=torch.float64), atol=1e-9)
    flat = torch.cat([x, x[:, :1] + x[:, 1:2], torch.ones(500, 1, dtype=torch.float64)], 1)
    y, matrix, span = white(flat)
    assert span == 4 and torch.isfinite(matrix).all()
    assert torch.allclose((y @ y.T / 500)[:4, :4], torch.eye(4, dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize(("n", "dtype"), [(3000, torch.float64), (30000, torch.float64), (30000, torch.float32)])
def test_independent_components_are_found(n, dtype):
    """In two stages too, where there are many rows."""
    s = torch.rand(n, 5, generator=G, dtype=torch.float64)
    mixing = torch.randn(5, 5, generator=G, dtype=torch.float64)
    y, matrix, _ = white(s @ mixing.T)
    with noise.stream(0):
        r, steps, turned = independent(y.to(dtype), 1e-4, 200)
    assert turned < 1e-4 and steps < 30
    assert torch.allclose(r @ r.T, torch.eye(5, dtype=dtype), atol=1e-5)
    assert amari(r.double() @ matrix, torch.linalg.inv(mixing)) < (0.05 if n == 3000 else 0.02)


def test_it_stops_where_there_is_nothing_to_find():
    y, _, _ = white(torch.randn(500, 3, generator=G, dtype=torch.float64))
    with noise.stream(0):
        r, steps, _ = independent(y, 1e-12, 7)
    assert steps == 7 and torch.allclose(r @ r.T, torch.eye(3, dtype=torch.float64), atol=1e-9)


def test_amari_forgets_order_sign_and_size():
    a = torch.randn(4, 4, generator=G, dtype=torch.float64)
    same = torch.diag(torch.tensor([2.0, -0.1, 1.0, 5.0], dtype=torch.float64))[[2, 0, 3, 1]] @ a
    assert amari(same, a) == pytest.approx(0, abs=1e-12)
    assert amari(torch.ones(3, 3) + torch.eye(3) * 1e-9, torch.eye(3)) == pytest.approx(1, abs=1e-6)
    assert amari(torch.tensor([[3.0]]), torch.tensor([[1.0]])) == 0
    turn = even(torch.eye(2, dtype=torch.float64) + torch.tensor([[0.0, 0.2], [0.0, 0.0]]))
    assert 0.05 < amari(turn, torch.eye(2)) < 0.5


def test_a_spanning_tree_is_the_best_of_all():
    weights = torch.rand(5, 5, generator=G, dtype=torch.float64)
    weights = weights + weights.T
    best = sum(float(weights[a, b]) for a, b in spanning(weights).tolist())
    totals = []
    for tree in itertools.combinations(itertools.combinations(range(5), 2), 4):
        reached = {0}
        for _ in range(4):
            reached |= {v for edge in tree for v in edge if reached & set(edge)}
        totals += [sum(float(weights[e]) for e in tree)] if len(reached) == 5 else []
    assert best == pytest.approx(max(totals))
    assert spanning(torch.zeros(1, 1)).shape == (0, 2)


def test_informations_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    codes = torch.tensor(np.stack([rng.integers(0, 3, 200), rng.integers(0, 2, 200)], 1))
    lots = [codes[:150], codes[150:]]
    places, came = occurring(lots, (5, 2))  # two of five values never come
    found = informations(pairs(lots, (5, 2), places), came)
    p = np.histogram2d(*codes.numpy().T, bins=(3, 2))[0] / 200
    want = (p * np.log(p / p.sum(1, keepdims=True) / p.sum(0))).sum()
    assert found[0, 1] == pytest.approx(want, abs=1e-12) and found[1, 0] == pytest.approx(want, abs=1e-12)
    assert found[0, 0] == pytest.approx(-(p.sum(1) * np.log(p.sum(1))).sum(), abs=1e-12)


def test_parents_come_first_and_circles_are_left_out():
    assert ordered([(3, 0), (0, 1), (3, 1)], 4) == [[2], [3], [3, 0], [0, 3, 1]]
    assert ordered([(0, 1), (1, 0)], 3) == [[2]]


def test_a_chain_of_many_is_eliminated_leaf_by_leaf():
    """200 variables in a chain: a table of all has 2^200 numbers, the plan needs 4 at a time; Z by products of matrices."""
    step = torch.tensor([[0.9, 0.1], [0.3, 0.7]], dtype=torch.float64)
    tables = [Table.of([d, d + 1], step) for d in range(199)] + [
        Table.of([0], torch.tensor([0.25, 0.75], dtype=torch.float64))
    ]
    order, largest = plan([t.variables for t in tables], range(200), (2,) * 200)
    assert largest == 4
    steps, nats = eliminate(tables, order, (2,) * 200)
    assert nats.item() == pytest.approx(0, abs=1e-12)
    n = 4000
    drawn = backwards(
        steps, torch.zeros(n, 200, dtype=torch.long), torch.rand(n, 200, generator=G, dtype=torch.float64)
    )
    assert drawn[:, 0].double().mean() == pytest.approx(0.75, abs=0.03)
    assert drawn[:, 1:].double().mean() == pytest.approx(0.25, abs=0.02)  # the chain's own law
