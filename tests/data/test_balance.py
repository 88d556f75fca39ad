"""Training by sampling: rows by the values of their discrete columns."""

import numpy as np
import pandas as pd
import torch

import pushforward as pf
from pushforward.data.balance import Balanced, chances


def made(n=3000):
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], n, p=[0.9, 0.098, 0.002])
    return pf.Examples(pd.DataFrame({"kind": kind, "x": rng.normal(size=n), "on": rng.random(n) < 0.3}))


def test_values_come_by_the_logarithm_of_how_often_they_are_there():
    examples = made()
    rows = Balanced.of_all(examples)
    seen = torch.cat([rows.order(0, epoch) for epoch in range(20)])
    x = examples.x
    codes, on = x[:, 0].long(), x[:, 2].long()
    counts = torch.stack([torch.bincount(codes, minlength=3), torch.bincount(on, minlength=3)])
    q = chances(counts)
    # P(row) = (q_kind / n_kind + q_on / n_on) / 2, so the share of each kind follows by adding up.
    weight = (q[0] / counts[0])[codes] / 2 + (q[1] / counts[1].clamp(min=1))[on] / 2
    want = torch.stack([weight[codes == k].sum() for k in range(3)])
    share = torch.bincount(codes[seen], minlength=3) / len(seen)
    torch.testing.assert_close(share.double(), want, atol=4 * 0.5 / len(seen) ** 0.5, rtol=0)
    assert share[2] > 0.05 > 20 * counts[0, 2] / len(x)
    of_one = seen[codes[seen] == 2]  # the rows of a value are alike
    hits = torch.bincount(of_one)[codes.eq(2).nonzero()[:, 0]]
    assert hits.min() > 0.8 * hits.float().mean()


def test_an_epoch_is_a_function_of_the_seed():
    rows = Balanced.of_all(made())
    assert torch.equal(rows.order(3, 1), Balanced.of_all(made()).order(3, 1))
    assert not torch.equal(rows.order(3, 1), rows.order(3, 2))
    assert len(rows.order(0, 0)) == len(rows)


def test_a_part_has_rows_of_its_own():
    rows = Balanced.of_all(made())
    rows.order(0, 0)
    train, held = rows.split(0.5, seed=0)
    assert isinstance(train, Balanced) and int(train.order(0, 0).max()) < len(train)
    assert int(train.sorted()[1].sum()) + int(held.sorted()[1].sum()) == 2 * len(rows)


def test_numbers_alone_keep_their_order():
    examples = pf.Examples(np.random.default_rng(0).normal(size=(50, 2)))
    assert torch.equal(Balanced.of_all(examples).order(1, 2), examples.order(1, 2))


def test_values_that_no_row_has_are_never_drawn():
    kind = pd.Categorical(["a", "c"] * 50, categories=["z", "a", "b", "c", "d"])
    rows = Balanced.of_all(pf.Examples(pd.DataFrame({"kind": kind, "x": np.arange(100) / 7})))
    order = torch.cat([rows.order(0, e) for e in range(20)])
    assert abs(float((order % 2).double().mean()) - 0.5) < 0.05
