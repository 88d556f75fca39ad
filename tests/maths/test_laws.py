"""Laws that are known in full, and how any other is asked."""

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.errors import BadData, Usage
from pushforward.maths.laws import Finite, Normal, Uniform, law_of, plain

COVARIANCE = [[2.0, 0.6], [0.6, 1.0]]


def test_normal_is_that_of_scipy():
    x = np.random.default_rng(0).normal(size=(50, 2)) * 3
    want = stats.multivariate_normal([1.0, -1.0], COVARIANCE).logpdf(x)
    assert np.allclose(Normal([1.0, -1.0], COVARIANCE).log_prob(x), want, atol=1e-12)
    assert np.allclose(Normal(1.0, 4.0).cdf([0.0, 3.0]), stats.norm(1, 2).cdf([0.0, 3.0]), atol=1e-14)
    drawn = Normal([1.0, -1.0], COVARIANCE).sample(20_000, seed=0).numpy()
    assert np.allclose(np.cov(drawn.T), COVARIANCE, atol=0.06) and np.allclose(drawn.mean(0), [1, -1], atol=0.04)


def test_a_row_does_not_depend_on_how_many_are_drawn():
    for law in (Normal([0.0, 1.0], [1.0, 2.0]), Uniform([0.0, 1.0], 3.0)):
        assert torch.equal(law.sample(5, seed=3), law.sample(300, seed=3)[:5])
    assert Finite([0.2, 0.8]).sample(5, seed=1) == Finite([0.2, 0.8]).sample(90, seed=1)[:5]


def test_draws_of_a_table_have_its_shares():
    drawn = Finite({"a": 0.5, "b": 0.0, "c": 0.5}).sample(4000, seed=0)
    assert set(drawn) == {"a", "c"} and abs(drawn.count("a") - 2000) < 130  # 4 standard errors


@pytest.mark.parametrize(
    "thing, law",
    [
        (torch.distributions.Normal(1.0, 2.0), Normal(1.0, 4.0)),
        (stats.norm(1.0, 2.0), Normal(1.0, 4.0)),
        (stats.multivariate_normal([1.0, 0.0], COVARIANCE), Normal([1.0, 0.0], COVARIANCE)),
        (torch.distributions.Uniform(torch.zeros(2).double(), 2 * torch.ones(2).double()), Uniform([0.0, 0.0], 2.0)),
    ],
)
def test_other_libraries_laws_are_asked_alike(thing, law):
    asked, state = law_of(thing), torch.get_rng_state()
    x = asked.sample(7, seed=0)
    assert x.shape == (7, law.size) and torch.allclose(asked.log_prob(x), law.log_prob(x), atol=1e-12)
    assert torch.equal(asked.sample(7, seed=0), x) and torch.equal(torch.get_rng_state(), state)


def test_outcomes_are_keys():
    assert plain(np.int64(3)) == plain(torch.tensor([3])) == 3 and plain(np.array([1.0, 2.0])) == (1.0, 2.0)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Finite({}), "empty"),
        (lambda: Finite([]), "empty"),
        (lambda: Finite([0.5, 0.6]), "sum to 1.1"),
        (lambda: Finite({"a": -0.5, "b": 1.5}), "'a' the probability -0.5"),
        (lambda: Finite([float("nan"), 1.0]), "probability nan"),
        (lambda: Normal(0.0, 0.0), "positive definite"),
        (lambda: Normal([0.0, 1.0, 2.0], COVARIANCE), "belong together"),
        (lambda: Uniform(1.0, 1.0), "low end"),
        (lambda: Uniform([0.0, 0.0]).log_prob([[1.0, 2.0, 3.0]]), "3 variables; this law is one of 2"),
    ],
)
def test_what_is_no_law_is_refused(make, words):
    with pytest.raises(BadData, match=words):
        make()


def test_a_misspelt_law_is_guessed():
    with pytest.raises(Usage, match="Did you mean 'uniform'"):
        law_of("unifrom")
    with pytest.raises(Usage, match="neither sample"):
        law_of(object())
