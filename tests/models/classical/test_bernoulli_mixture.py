"""Mixtures of independent bits: by enumeration, from a known mixture, with gaps."""

import itertools

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.data.stores import Tensors
from pushforward.errors import BadData, Unable, Usage
from pushforward.models.classical import BernoulliMixture
from pushforward.space import Space

WHOLE = np.array(list(itertools.product([0, 1], repeat=6)))
WEIGHTS = np.array([0.5, 0.3, 0.2])
CHANCES = np.array([[0.9, 0.9, 0.8, 0.1, 0.2, 0.1], [0.1, 0.2, 0.1, 0.9, 0.8, 0.9], [0.8, 0.1, 0.9, 0.2, 0.9, 0.7]])


def drawn(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((n, 6)) < CHANCES[rng.choice(3, size=n, p=WEIGHTS)]).astype(np.uint8)


def known_model(weights=WEIGHTS, chances=CHANCES) -> BernoulliMixture:
    model = BernoulliMixture(components=len(weights))
    model.make(Space("binary", (chances.shape[1],)), None, None, 0, torch.float64)
    model.log_weights.copy_(torch.tensor(weights).log())
    model.logits.copy_(torch.tensor(chances).logit())
    return model


def table(x: np.ndarray) -> np.ndarray:
    """p(k, x) of the known mixture, by the definition; NaN is summed out."""
    each = np.where(x[:, None] == 1, CHANCES, np.where(x[:, None] == 0, 1 - CHANCES, 1.0))
    return WEIGHTS * each.prod(2)


def test_probabilities_are_those_of_the_definition_and_sum_to_one():
    model = known_model()
    p = np.exp(model.log_prob(WHOLE))
    np.testing.assert_allclose(p, table(WHOLE).sum(1), atol=1e-14)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(model.encode(WHOLE), table(WHOLE) / table(WHOLE).sum(1, keepdims=True), atol=1e-13)
    assert np.exp(BernoulliMixture(components=4, smooth=0.0).fit(drawn(200)).log_prob(WHOLE)).sum() == pytest.approx(
        1, abs=1e-12
    )


@pytest.mark.parametrize("smooth", [0.0, 0.5])
@pytest.mark.parametrize("gaps", [False, True])
def test_no_step_of_em_goes_down(smooth, gaps):
    x = torch.tensor(drawn(400), dtype=torch.float64)
    if gaps:
        x[torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.2] = torch.nan
    examples = pf.Examples(Tensors(x), space=Space("binary", (6,)))
    model = BernoulliMixture(components=3, smooth=smooth, tolerance=0.0, iterations=60).fit(examples, quiet=True)
    assert len(model.climb_) == 60 and np.diff(model.climb_).min() > -1e-11
    assert model.climb_[-1] > model.climb_[0] + 0.05
    if smooth == 0:
        assert model.climb_[-1] == pytest.approx(float(model._log_prob(x).mean()), abs=1e-4)


def test_a_known_mixture_is_found_again():
    """Of 40,000 rows; the order of the components is not identified."""
    model = BernoulliMixture(components=3, restarts=3, tolerance=1e-9).fit(drawn(40000), quiet=True)
    found, order = model.logits.sigmoid().numpy(), []
    for row in CHANCES:
        order.append(int(np.abs(found - row).sum(1).argmin()))
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(found[order], CHANCES, atol=0.03)
    np.testing.assert_allclose(model.log_weights.exp().numpy()[order], WEIGHTS, atol=0.03)


def test_too_few_bits_do_not_tell_the_components():
    """Two bits: p00, p01, p10 are three numbers, two components have five. Two different mixtures are one law."""
    one = known_model(np.array([0.5, 0.5]), np.array([[0.8, 0.8], [0.2, 0.2]]))
    joint = np.exp(one.log_prob(WHOLE[:4, -2:]))  # 00 01 10 11
    w = 0.6  # another weight, the same marginals and covariance
    a = np.sqrt((joint[3] - 0.25) * (1 - w) / w)
    b = a * w / (1 - w)
    other = known_model(np.array([w, 1 - w]), np.array([[0.5 + a, 0.5 + a], [0.5 - b, 0.5 - b]]))
    np.testing.assert_allclose(other.log_prob(WHOLE[:4, -2:]), np.log(joint), atol=1e-12)


def test_gaps_are_summed_out():
    model = known_model()
    x = torch.tensor(WHOLE[::5], dtype=torch.float64)
    x[:, 1], x[::2, 4] = torch.nan, torch.nan
    np.testing.assert_allclose(model._log_prob(x), np.log(table(x.numpy()).sum(1)), atol=1e-13)
    np.testing.assert_allclose(model._encode(x), table(x.numpy()) / table(x.numpy()).sum(1, keepdims=True), atol=1e-13)


def test_what_is_completed_follows_the_conditional():
    model, n = known_model(), 20000
    row = np.array([[1, 0, np.nan, np.nan, 0, np.nan]])
    whole = model.complete(np.repeat(row, n, 0), seed=2)
    assert (whole[:, [0, 1, 4]] == [1, 0, 0]).all()
    agree = (WHOLE[:, [0, 1, 4]] == [1, 0, 0]).all(1)
    want = np.exp(model.log_prob(WHOLE[agree]))
    want /= want.sum()
    have = np.array([(whole == r).all(1).mean() for r in WHOLE[agree]])
    np.testing.assert_allclose(have, want, atol=4 * np.sqrt(0.25 / n))


def test_what_is_drawn_has_the_probabilities_of_the_model():
    model, n = known_model(), 40000
    x = model.sample(n, seed=0)
    codes = x @ (1 << np.arange(5, -1, -1))
    np.testing.assert_allclose(
        np.bincount(codes.astype(int), minlength=64) / n, np.exp(model.log_prob(WHOLE)), atol=4 * np.sqrt(0.05 / n)
    )


def test_bits_that_never_vary_and_a_component_too_many():
    x = np.repeat([[1, 0, 1], [1, 1, 0]], 20, axis=0)
    for smooth in (0.0, 0.1):
        model = BernoulliMixture(components=5, smooth=smooth).fit(x, quiet=True)
        assert np.isfinite(model.log_prob(WHOLE[:8, -3:])).all()  # a probability stays a little above 0
        assert np.exp(model.log_prob(WHOLE[:8, -3:])).sum() == pytest.approx(1, abs=1e-9)
        assert model.score(x) > np.log(0.5) - 0.3


def test_what_it_cannot_do_is_said():
    with pytest.raises(BadData, match=r"1 examples \(n_samples=1\).*components=1"):
        BernoulliMixture(components=3).fit(np.zeros((1, 3), dtype=bool), quiet=True)
    with pytest.raises(BadData, match="binary"):
        BernoulliMixture().fit(np.random.default_rng(0).normal(size=(50, 3)), quiet=True)
    with pytest.raises(Usage, match="at least 1"):
        BernoulliMixture(components=0).fit(drawn(20), quiet=True)
    with pytest.raises(Usage, match="not conditional"):
        BernoulliMixture().fit(drawn(20), given=np.zeros(20), quiet=True)
    with pytest.raises(Unable, match="which example it was"):
        known_model().decode([[1.0, 0.0, 0.0]])
