"""Distinct rows against numpy and brute force; supports against enumeration."""

import itertools
from math import log

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward.maths.supports import Grid, Strings, support_of
from pushforward.maths.tables import Seen, keys, log_sum

ROWS = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (500, 4)))


@pytest.mark.parametrize("lot", [500, 37, 1])
def test_distinct_rows_are_those_of_numpy_however_they_come(lot):
    seen = Seen(4).gather(ROWS.split(lot))
    rows, counts = np.unique(ROWS.numpy(), axis=0, return_counts=True)
    mine = {tuple(r): c for r, c in zip(seen.rows.tolist(), seen.counts.tolist(), strict=True)}
    assert mine == {tuple(r): c for r, c in zip(rows.tolist(), counts.tolist(), strict=True)}
    first = list(dict.fromkeys(map(tuple, ROWS.tolist())))
    assert [tuple(r) for r in seen.rows.tolist()] == first  # in the order of their first appearance
    assert (seen.rows[seen.find(ROWS)] == ROWS).all()
    assert seen.find(torch.full((1, 4), 7)).tolist() == [-1]


def test_numbers_are_equal_when_they_are():
    x = torch.tensor([[0.0, torch.nan], [-0.0, torch.nan], [1e-300, 2.0]], dtype=torch.float64)
    seen = Seen(2).gather([x])
    assert seen.counts.tolist() == [2, 1] and seen.find(x).tolist() == [0, 0, 1]


def test_keys_of_neighbouring_rows_do_not_meet():
    """Whole numbers as float64 differ in few bits, high ones: the worst case of a key that is linear in them."""
    grid = torch.cartesian_prod(*[torch.arange(40.0, dtype=torch.float64)] * 4)
    assert len(keys(grid).unique()) == len(grid) == 2_560_000


def test_what_agrees_is_drawn_in_proportion():
    seen = Seen(4).gather([ROWS])
    known = torch.tensor([[True, False, True, False]]).expand(4000, -1)
    u = torch.rand(4000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn, mass = seen.agreeing(ROWS[:1].expand(4000, -1), known, seen.counts.double(), u)
    fits = (ROWS[:, [0, 2]] == ROWS[0, [0, 2]]).all(1)
    assert (mass == fits.sum()).all()
    share = torch.bincount(drawn, minlength=len(seen.rows)) / 4000
    want = torch.where((seen.rows[:, [0, 2]] == ROWS[0, [0, 2]]).all(1), seen.counts, 0) / fits.sum()
    assert (share - want).abs().max() < 4 * (0.25 / 4000) ** 0.5
    nothing, mass = seen.agreeing(torch.full((1, 4), 9), known[:1], seen.counts.double(), u[:1])
    assert mass.tolist() == [0.0]


def test_log_sum():
    assert log_sum(log(3.0), log(4.0)) == pytest.approx(log(7.0), abs=1e-15)
    assert log_sum(2.0, -float("inf")) == 2.0


@pytest.mark.parametrize("support", [Grid((2, 3, 2)), Grid((3, 2, 2), missing=(True, False, True)), Strings(4, 2)])
def test_a_support_counts_and_draws_what_agrees(support):
    width = support.length if isinstance(support, Strings) else len(support.sizes)
    top = 3
    every = torch.tensor(list(itertools.product(range(top), repeat=width)))
    members = every[support.holds(every)]
    assert len(members) == support.size
    gone = torch.zeros_like(members, dtype=torch.bool)
    if isinstance(support, Grid) and support.missing:
        gone = (members == torch.tensor(support.sizes) - 1) & torch.tensor(support.missing)
    u = torch.rand(3000, width + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for mask in itertools.product([False, True], repeat=width):
        o = torch.tensor(mask)
        row = members[5 % len(members)]
        fits = members[(members[:, o] == row[o]).all(1) & ~gone[:, ~o].any(1)]
        count = support.log_agreeing(row[None], o[None])
        assert float(count) == pytest.approx(log(len(fits)) if len(fits) else -float("inf"), abs=1e-9)
        if len(fits):
            drawn = support.fill(row.expand(3000, -1), o.expand(3000, -1), u)
            found, counts = torch.unique(drawn, dim=0, return_counts=True)
            assert {tuple(r) for r in found.tolist()} == {tuple(r) for r in fits.tolist()}
            assert (counts / 3000 - 1 / len(fits)).abs().max() < 5 * (1 / len(fits) / 3000) ** 0.5
    assert support.holds(support.draw(u)).all()


def test_the_support_of_a_table_has_the_range_of_whole_numbers_and_the_missing():
    table = pd.DataFrame({"n": [3.0, 30.0, np.nan] * 10, "side": ["l", "r", "l"] * 10})
    support = support_of(pf.Space.of(table))
    assert support.size == (28 + 1) * 2  # 3 … 30 or missing, and two sides
    drawn = support.draw(torch.rand(4000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    assert support.holds(drawn).all() and len(torch.unique(drawn.nan_to_num(-1), dim=0)) == 58
    assert support.holds(torch.tensor([[31.0, 0.0], [2.0, 0.0], [3.5, 0.0]])).tolist() == [False] * 3
    unknown = torch.zeros(1, 2, dtype=torch.bool)
    assert float(support.log_agreeing(torch.zeros(1, 2), unknown)) == pytest.approx(
        log(28 * 2)
    )  # nothing is filled with a gap
    assert support_of(pf.Space.of(pd.DataFrame({"x": [0.5, 1.5]}))) is None
