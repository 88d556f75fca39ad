"""Inverse-transform sampling of laws that are given and of laws that are found."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.models.classical import InverseTransform

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "law", [stats.norm(2, 3), stats.expon(), stats.cauchy(), stats.beta(0.5, 0.5)], ids=lambda law: law.dist.name
)
def test_a_continuous_law_passes_kolmogorov_and_smirnov(law):
    model = InverseTransform.of(law.cdf)
    drawn = model.sample(5000, seed=1)[:, 0]
    assert stats.kstest(drawn, law.cdf).pvalue > 0.01
    np.testing.assert_allclose(law.cdf(drawn), model.encode(drawn[:, None])[:, 0], atol=1e-12)


def test_a_discrete_law_has_its_probabilities():
    model = InverseTransform.of(stats.poisson(2.5).cdf)
    drawn = model.sample(20000, seed=0)[:, 0]
    want = stats.poisson(2.5).pmf(range(8))
    np.testing.assert_allclose([(drawn == k).mean() for k in range(8)], want, atol=4 * 0.5 / np.sqrt(20000))
    die = InverseTransform.of(points=[1, 2, 3], masses=[0.5, 0.25, 0.25])
    assert die.decode([[0.5], [0.5000001], [0.75], [1.0]])[:, 0].tolist() == [1, 2, 2, 3]
    assert die.table.mass(die.points.T)[:, 0].tolist() == [0.5, 0.25, 0.25]


def test_a_mixed_law_has_both():
    rain = InverseTransform.of(points=[0, 10], at=[0.6, 1.0], below=[0.0, 1.0])
    drawn = rain.sample(10000, seed=0)[:, 0]
    assert (drawn == 0).mean() == pytest.approx(0.6, abs=0.02)
    assert stats.kstest(drawn[drawn > 0], stats.uniform(0, 10).cdf).pvalue > 0.01
    z = rain.encode(drawn[:, None], seed=7)[:, 0]
    assert stats.kstest(z, "uniform").pvalue > 0.01 and (rain.decode(z[:, None])[:, 0] == drawn).all()


def test_the_empirical_law_is_the_bootstrap():
    x = RNG.normal(size=(50, 2))
    model = InverseTransform().fit(x)
    drawn = model.sample(5000, seed=0)
    assert all(set(drawn[:, j]) == set(x[:, j]) for j in range(2))
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.06  # each by itself
    assert (model.decode(model.encode(x)) == x).all()
    with pytest.raises(Unable, match="no density.*smooth"):
        model.log_prob(x)


def test_a_smoothed_law_has_a_density_near_the_truth():
    x = RNG.gamma(3.0, size=(4000, 1))
    model = InverseTransform(law="smooth").fit(x)
    test = RNG.gamma(3.0, size=(2000, 1))
    inside = test[(test > x.min()) & (test < x.max())][:, None]
    truth = stats.gamma(3.0).logpdf(inside).mean()
    assert truth - 0.05 < model.score(inside) < truth + 0.02
    assert stats.ks_2samp(model.sample(4000, seed=0)[:, 0], test[:, 0]).pvalue > 0.01
    np.testing.assert_allclose(model.decode(model.encode(inside)), inside, rtol=1e-12)
    tied = InverseTransform(law="smooth").fit(np.where(RNG.random((500, 1)) < 0.3, 0.0, RNG.random((500, 1))))
    assert (tied.sample(4000, seed=0) == 0).mean() == pytest.approx(0.3, abs=0.06) and "log_prob" not in tied.abilities


def test_codes_have_probabilities():
    x = RNG.integers(0, 4, (200, 2)).astype(np.uint8)
    model = InverseTransform().fit(x)
    np.testing.assert_allclose(model.log_prob(x), pf.Factorised().fit(x).log_prob(x), atol=1e-12)
    table = pd.DataFrame({"side": ["l", "r", None, "l"] * 20, "n": RNG.poisson(30, 80)})
    model = InverseTransform().fit(table)
    assert np.isfinite(model.log_prob(table)).all()
    filled = model.complete(pd.DataFrame({"side": [None] * 900, "n": 30}), seed=0)
    assert (filled.side == "l").mean() == pytest.approx(2 / 3, abs=0.06) and filled.side.notna().all()


def test_a_function_tabulated_can_be_saved_and_a_function_cannot(tmp_path):
    model = InverseTransform.of(stats.norm.cdf)
    with pytest.raises(Unable, match="no code.*points"):
        model.save(tmp_path / "m.pf")
    assert not (tmp_path / "m.pf").exists()
    with pytest.raises(Unable, match="no slope"):
        model.log_prob(np.zeros((1, 1)))
    grid = np.concatenate([[-40.0], np.linspace(-6, 6, 2001), [40.0]])
    table = InverseTransform.of(stats.norm.cdf, points=grid)
    again = pf.load(table.save(tmp_path / "t.pf"))
    x = np.linspace(-5, 5, 101)[:, None] + 1e-3
    assert (again.log_prob(x) == table.log_prob(x)).all()
    np.testing.assert_allclose(np.exp(again.log_prob(x)), stats.norm.pdf(x[:, 0]), atol=2e-3)
    np.testing.assert_allclose(again.sample(9, seed=0), model.sample(9, seed=0), atol=1e-4)


def test_what_is_no_law_is_said():
    with pytest.raises(BadData, match="from 0 to 1 is awaited"):
        InverseTransform.of(lambda x: np.clip(x, 0, 0.9))
    with pytest.raises(BadData, match="rises from 0 to 1"):
        InverseTransform.of(stats.norm.cdf, points=[-1.0, 0.0, 1.0])
    with pytest.raises(Usage, match="takes a cdf, or points"):
        InverseTransform.of(points=[1.0])
    with pytest.raises(BadData, match="number of 0 … 1"):
        InverseTransform.of(stats.norm.cdf).decode([[1.5]])
    with pytest.raises(BadData, match="missing in 1 of 1 columns"):
        InverseTransform().fit(pd.DataFrame({"a": [0.5, np.nan, 2.5]}))
    with pytest.raises(Usage, match="Did you mean 'smooth'"):
        InverseTransform(law="smoothed").fit(np.arange(3.0)[:, None])
