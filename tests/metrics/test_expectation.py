"""Means under a law: exact on tables, LOTUS, and errors that cover the truth as often as they say."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.maths.laws import Normal, Uniform
from pushforward.maths.pushforward import Pushforward
from pushforward.metrics import expect

DICE = {k: 1 / 6 for k in range(1, 7)}


def test_a_table_is_summed():
    found = expect(lambda eyes: eyes, DICE)
    assert found.value == pytest.approx(3.5, abs=1e-15) and found.stderr == 0.0 and "exact" in str(found)


def test_the_unconscious_statistician_is_right_on_a_table():
    """E f(g(z)) under the base is E f(x) under the pushforward, exactly."""
    g, f = lambda z: (z - 3) ** 2, lambda x: math.sqrt(x + 1)
    assert expect(lambda z: f(g(z)), DICE).value == pytest.approx(expect(f, Pushforward(DICE, g)).value, abs=1e-15)


def test_the_unconscious_statistician_is_right_draw_by_draw():
    law = Pushforward(Normal(), torch.exp, inverse=torch.log)
    below, above = expect(lambda z: z.exp().sqrt(), "normal", seed=3), expect(torch.sqrt, law, seed=3)
    assert below.value == pytest.approx(above.value, abs=1e-12) and below.stderr == pytest.approx(
        above.stderr, abs=1e-12
    )
    assert abs(below.value - math.exp(1 / 8)) < 4 * below.stderr


def test_intervals_of_95_percent_hold_the_truth_in_about_95_percent():
    """500 repetitions: 95 % has a standard deviation of 1 %."""
    hits = [
        low < 1 / 3 < high
        for low, high in (expect(torch.square, Uniform(), n=400, seed=s).interval() for s in range(500))
    ]
    assert abs(np.mean(hits) - 0.95) < 0.035


def test_lots_are_added_up_without_loss():
    found = expect(lambda x: x[:, 0] + 1e6, "normal", n=20_000, seed=1)  # three lots, the last not full
    again = expect(lambda x: x[:, 0], "normal", n=20_000, seed=1)
    assert found.value - 1e6 == pytest.approx(again.value, abs=1e-8) and found.stderr == pytest.approx(
        again.stderr, rel=1e-6
    )
    assert found.n == (20_000,) and again.stderr == pytest.approx(1 / math.sqrt(20_000), rel=0.03)
    assert expect(lambda x: x[:, 0], "normal", n=20_000, seed=1).value == again.value


def test_models_and_examples_are_means_too():
    x = pf.data.toys.moons(400)
    model = pf.GaussianMixture(components=1).fit(x)
    found, state = expect(lambda x: x[:, 0], model, n=4000), torch.get_rng_state()
    assert abs(found.value - x[:, 0].mean()) < 4 * found.stderr
    assert expect(lambda x: x[:, 0], x).value == pytest.approx(float(x[:, 0].astype(float).mean()), abs=1e-7)
    people = pd.DataFrame({"age": [20.0, 30.0, 50.0]})
    assert expect(lambda t: t["age"], people).value == pytest.approx(100 / 3)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    "f, model, n, problem, words",
    [
        (lambda x: x, Uniform([0.0, 0.0], 1.0), 100, BadData, "one number each is awaited"),
        (lambda x: (x - 2).log(), Uniform(), 100, BadData, "NaN or infinite at 100 of 100"),
        (lambda x: x, Uniform(), 1, Usage, "at least 2 draws"),
        (lambda x: x, 3.0, 100, Usage, "model: A float can neither sample|is one number"),
        (lambda x: x, {}, 100, BadData, "empty"),
    ],
)
def test_what_has_no_mean_is_refused(f, model, n, problem, words):
    with pytest.raises(problem, match=words):
        expect(f, model, n)


def test_a_law_that_cannot_sample_is_told_so():
    class Density:
        def log_prob(self, x):
            return -x

    with pytest.raises(Unable, match="cannot sample"):
        expect(lambda x: x, Density())
