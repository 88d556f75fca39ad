"""Mixed columns as features and back; conditions on their codes."""

import numpy as np
import pandas as pd
import torch

from pushforward import noise
from pushforward.maths.mixed import Mixed
from pushforward.maths.mixtures import Mixtures
from pushforward.space import Space


def made(n=400, modes=3):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "x": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "side": rng.choice(["a", "b", "c"], n, p=[0.6, 0.37, 0.03]),
            "y": rng.exponential(size=n),
            "on": rng.choice([True, None], n),
        }
    )
    space = Space.of(table)
    mixed, x = Mixed(space, modes).double(), space.read(table)
    counts = torch.stack([torch.bincount(x[:, j].long(), minlength=3) for j in (1, 3)]).double()
    mixed.lay(x, counts, counts / counts.sum(1, keepdim=True))
    return mixed, x


def test_rows_come_back():
    mixed, x = made()
    with noise.stream(0, dtype=torch.float64):
        y = mixed(x)
    assert y.shape == (400, mixed.width) == (400, 2 + 4 + 3 + 3 + 3)  # places, modes (of x also missing), side, on
    torch.testing.assert_close(mixed.inverse(y), x, equal_nan=True, atol=1e-9, rtol=0)
    torch.testing.assert_close(mixed.values(y), x[:, [0, 2]].nan_to_num(0.0), atol=1e-9, rtol=0)
    assert (y[:, 2:] >= 0).all() and (y[:, 2:].sum(1) == 4).all()  # one of each block: two modes, two codes


def test_modes_are_drawn_from_their_posterior():
    mixed, x = made(modes=4)
    with noise.stream(0, dtype=torch.float64):
        y = torch.stack([mixed(x[:3])[:, 2:6] for _ in range(4000)]).mean(0)
    joint = Mixtures(mixed.log_weights, mixed.means, mixed.scales).joint(x[:3][:, [0, 2]].nan_to_num(0.0))
    chance = joint[:, 0].softmax(1) * ~torch.isnan(x[:3, :1])
    torch.testing.assert_close(y, chance, atol=0.035, rtol=0)  # four standard errors


def test_what_is_asked_for_is_put_in_place_and_nothing_else():
    mixed, x = made()
    codes = x[:, mixed.codes].long()
    known = torch.rand(400, 2, generator=torch.Generator().manual_seed(0)) < 0.5
    c = mixed.condition(codes, known)
    y = torch.randn(400, mixed.width, dtype=torch.float64)
    out = mixed.put(y, c)
    start = mixed.width - mixed.asked
    assert torch.equal(out[:, :start], y[:, :start])
    found = mixed.inverse(out)[:, [1, 3]].long()
    assert torch.equal(found[known], codes[known])
    for j in range(2):
        block = mixed.codings[j][mixed.codings[j] < mixed.width]
        assert torch.equal(out[~known[:, j]][:, block], y[~known[:, j]][:, block])


def test_conditions_are_drawn_as_often_as_they_came():
    mixed, x = made()
    with noise.stream(0, dtype=torch.float64):
        codes, known = mixed.drawn(40_000)
        whole, there = mixed.drawn(10_000, whole=True)
    assert (known.sum(1) == 1).all() and abs(float(known[:, 0].double().mean()) - 0.5) < 0.01
    share = torch.bincount(codes[known[:, 0], 0], minlength=3) / known[:, 0].sum()
    torch.testing.assert_close(share, torch.bincount(x[:, 1].long(), minlength=3) / 400, atol=0.015, rtol=0)
    assert (whole[there[:, 1], 1] == 1).all()  # of "on" the last code stands for missing


def test_a_column_is_blamed_by_how_likely_it_asked():
    """side: c is rare, and so the reason why most rows with it came."""
    mixed, x = made()
    counts = torch.stack([torch.bincount(x[:, j].long(), minlength=3) for j in (1, 3)]).double()
    q = torch.log1p(counts)
    q = q / q.sum(1, keepdim=True)
    mixed.lay(x, counts, q)
    row = torch.tensor([[2, 1]])
    pull = [float(q[0, 2] / counts[0, 2]), float(q[1, 1] / counts[1, 1])]
    with noise.stream(0, dtype=torch.float64):
        asked = mixed.why(row.expand(20_000, 2))
    alone = asked.sum(1) == 1
    assert abs(float(asked[alone, 0].double().mean()) - pull[0] / sum(pull)) < 0.02
    assert 0.1 < float((~alone).double().mean()) < 0.25  # a third of the conditions, half of which add the other column


def test_numbers_alone():
    space = Space("real", (3,))
    mixed, x = Mixed(space, 2).double(), torch.randn(50, 3, dtype=torch.float64)
    mixed.lay(x, torch.zeros(0, 0), torch.zeros(0, 0))
    torch.testing.assert_close(mixed.inverse(mixed(x)), x, atol=1e-9, rtol=0)
    assert mixed.asked == 0 and torch.equal(mixed.put(x, x[:, :0]), x)
