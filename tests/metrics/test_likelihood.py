"""What a model says of examples, and what two models' numbers may be held against each other."""

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.metrics.likelihood import Likelihood, likelihood, paired


def normal(n=50, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def bits(n=50, d=3, seed=0):
    return np.random.default_rng(seed).random((n, d)) > 0.5


@pytest.fixture(scope="module")
def vae():
    return pf.VAE(latent=2, hidden=(8,)).fit(normal(30), steps=2, quiet=True)


@pytest.fixture(scope="module")
def machines():
    """A machine whose log Z is summed, and the same one by annealing."""
    x = bits(200, 8)
    exact = pf.RBM(hidden=4, burn=10).fit(x, steps=60, quiet=True)
    blind = pf.RBM(hidden=4, burn=10, exact=2).fit(x, steps=60, quiet=True)
    return exact, blind, x


# ---- one model -----------------------------------------------------------------------------------------------------------


def test_a_likelihood_carries_kind_error_and_measure():
    x = normal()
    model = pf.Histogram(bins=3).fit(x)
    found = likelihood(model, x)
    assert found.mean == pytest.approx(model.score(x)) and found.stderr == pytest.approx(model.log_prob(x).std(ddof=1) / 50**0.5)  # fmt: skip
    assert (found.kind, found.measure, found.bits, found.impossible, found.says) == ("exact", "Lebesgue", None, 0, "exact")  # fmt: skip
    estimate = found.estimate
    assert (estimate.value, estimate.stderr, estimate.n) == (found.mean, found.stderr, (50,))
    assert "log_prob of Histogram: exact" in str(found) and "Lebesgue measure" in str(found)


def test_impossible_rows_are_counted_and_never_dropped():
    x = normal()
    model = pf.Histogram(bins=3).fit(x)
    far = likelihood(model, np.concatenate([x, [[99.0, 0.0]]]))
    assert far.impossible == 1 and far.mean == -np.inf and far.stderr is None and far.to_json()["nats"] is None
    assert f"the mean of the others is {model.score(x):.4g}" in str(far) and "1 of 51 rows are impossible" in str(far)


def test_bits_are_of_counting_measure():
    found = likelihood(pf.Histogram(smooth=1.0).fit(bits()), bits())
    assert found.bits == pytest.approx(-found.mean / 3 / np.log(2)) and found.measure == "counting"
    assert f"{found.bits:.4g} bits/dim" in str(found)


def test_broken_rows_are_counted(monkeypatch):
    model = pf.Gaussian().fit(normal())
    monkeypatch.setattr(pf.Gaussian, "_log_prob", lambda self, x, given=None: torch.where(x[:, 0] > 0, torch.nan, 0.0))
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [-2.0, 0.0]])
    found = likelihood(model, x)
    assert found.broken == 1 and np.isnan(found.mean) and "1 of 3 rows have no number" in str(found)
    assert found.to_json()["nats"] is None and found.to_json()["broken"] == 1
    with pytest.raises(BadData, match="NaN or \\+inf for 1 of 3"):
        paired(found, found)


def test_an_estimate_brings_its_bracket(monkeypatch, vae):
    x = normal(30)
    assert "low" not in likelihood(vae, x, by="evidence").to_json()

    def bracketed(self, y, given=None):
        self.evidence_ |= {"low": torch.full((len(y),), -3.0), "high": torch.full((len(y),), -1.0)}
        return y.sum(1) * 0 - 2.0

    monkeypatch.setattr(pf.VAE, "_evidence", bracketed)
    found = likelihood(vae, x, by="evidence")
    assert (found.low, found.high, found.says) == (-3.0, -1.0, "between") and found.to_json()["low"] == -3.0


def test_a_likelihood_by_name_or_none(vae):
    x = normal(30)
    assert likelihood(vae, x).by == "bound" and likelihood(vae, x, by="evidence").kind == "importance-weighted"
    with pytest.raises(Usage, match="Did you mean 'evidence'"):
        likelihood(vae, x, by="evidense")
    with pytest.raises(Unable, match="VAE has no log_prob"):
        likelihood(vae, x, by="log_prob")
    with pytest.raises(Unable, match="GAN has no log_prob"):
        likelihood(pf.GAN().fit(x, steps=1, quiet=True), x)


def test_the_best_statement_and_its_samples(vae):
    x = normal(30)
    best = likelihood(vae, x, by="best")
    assert best.by == "evidence" and best.says == "at least" and best.parameters == {"samples": 64}
    assert best.ess.shape == (30,) and (best.ess >= 1).all() and (best.ess <= 64 + 1e-3).all()
    assert "of 64 in the median row" in str(best)
    few = likelihood(vae, x, by="evidence", samples=4)
    assert few.parameters == {"samples": 4} and (few.ess <= 4 + 1e-4).all()
    assert best.mean > likelihood(vae, x).mean  # importance weights are above the bound
    with pytest.raises(Usage, match="takes no 'sample'. Did you mean 'samples'"):
        likelihood(vae, x, by="evidence", sample=4)
    with pytest.raises(Usage, match="option of evidence"):
        likelihood(vae, x, samples=4)


def test_annealing_says_between_and_holds_the_truth(machines):
    exact, blind, x = machines
    truth, found = likelihood(exact, x), likelihood(blind, x, chains=50, steps=200)
    assert truth.says == "exact" and found.says == "between" and found.parameters == {"chains": 50, "steps": 200}
    assert found.low <= truth.mean <= found.high and found.high - found.low < 1.0
    assert found.common > 0 and found.stderr == pytest.approx(np.hypot(found.values.std(ddof=1) / 200**0.5, found.common))  # fmt: skip
    assert likelihood(blind, x, by="energy").says == "up to a constant"


def test_tensors_that_could_be_differentiated_are_read(vae):
    assert np.isfinite(likelihood(vae, torch.randn(5, 2, requires_grad=True)).mean)


@pytest.mark.parametrize("system", ["Gaussian", "GaussianMixture", "Histogram", "MAF"])
def test_rescaled_columns_change_nats_by_exactly_the_jacobian(system):
    """log p of 1000 x_1 and x_2 / 7 is that of x, less log 1000 - log 7: for every row, by training of its own."""
    x, by = normal(400, seed=3), np.array([1000.0, 1 / 7])
    more = {} if hasattr(getattr(pf, system), "solve") else {"steps": 3, "precision": "float64", "quiet": True}
    one, two = getattr(pf, system)().fit(x, **more), getattr(pf, system)().fit(x * by, **more)
    gap = likelihood(one, x).values - likelihood(two, x * by).values
    known = np.isfinite(gap)
    assert known.mean() > 0.9 and np.allclose(gap[known], np.log(1000 / 7), atol=1e-5)


# ---- two models ----------------------------------------------------------------------------------------------------------


def test_a_paired_difference_is_sharper_than_two_means():
    x, test = normal(300), normal(200, seed=1)
    a, b = pf.Gaussian().fit(x), pf.GaussianMixture(components=2).fit(x)
    found = paired(a, b, test)
    gaps = a.log_prob(test) - b.log_prob(test)
    assert found.value == pytest.approx(gaps.mean()) and found.stderr == pytest.approx(gaps.std(ddof=1) / 200**0.5)
    assert found.stderr < likelihood(a, test).stderr / 2 and found.parameters == {"statement": "exact"}
    assert "Gaussian - GaussianMixture" in str(found) and paired(b, a, test).value == pytest.approx(-found.value)


def test_its_p_value_is_that_of_students_test():
    from scipy import stats

    x, test = normal(100), normal(40, seed=2)
    a, b = pf.Gaussian().fit(x), pf.GaussianMixture(components=2).fit(x)
    told = stats.ttest_rel(a.log_prob(test), b.log_prob(test)).pvalue
    assert paired(a, b, test).p_value == pytest.approx(told, rel=1e-9) and paired(a, a, test).p_value == 1.0


def test_a_bound_is_one_on_average_and_says_so():
    """Of whole numbers under a Gaussian: log P is an integral over the cell, and the bound the log-density at a random place of it."""
    from scipy.stats import norm

    x = np.random.default_rng(0).binomial(7, 0.4, (200, 1)).astype(np.uint8)
    model = pf.Gaussian().fit(x)
    mean, scale = float(model.mean), float(model.spread)
    nats = np.log(np.diff(norm.cdf(np.arange(9), mean, scale)))[x[:, 0]]
    draws = np.stack([model.bound(x, seed=s) for s in range(400)])
    assert (draws > nats + 0.01).mean() > 0.2, "in a row chance lifts it above"
    assert (draws.mean(0) < nats + 4 * draws.std(0) / 20).all() and draws.mean() < nats.mean()
    assert "on average" in str(likelihood(model, x))


def test_a_bound_says_at_least_at_most_or_nothing(vae):
    x = normal(30)
    gauss, bound, iwae = pf.Gaussian().fit(x), likelihood(vae, x), likelihood(vae, x, by="evidence")
    exact = likelihood(gauss, x)
    assert paired(bound, exact).parameters["statement"] == "at least"
    assert paired(exact, bound).parameters["statement"] == "at most" and paired(exact, bound).p_value is None
    assert paired(iwae, exact).parameters["statement"] == "at least"
    both = paired(iwae, bound)
    assert both.parameters["statement"] == "nothing" and "which bound is higher" in str(both)


def test_a_bracket_says_between(machines):
    exact, blind, x = machines
    a, b = likelihood(blind, x, chains=50, steps=200), likelihood(exact, x)
    found = paired(a, b)
    low, high = a.low - b.mean, a.high - b.mean
    assert found.parameters["statement"] == "between" and f"between {low:.4g} and {high:.4g}" in str(found)
    assert found.stderr >= a.common > 0


def test_impossible_rows_of_one_model_decide():
    x = normal()
    far = np.concatenate([x, [[99.0, 0.0]]])
    a, b = pf.Histogram(bins=3).fit(x), pf.Gaussian().fit(x)
    lost = paired(a, b, far)
    assert lost.value == -np.inf and "1 of 51 rows are impossible for Histogram" in str(lost)
    assert f"on the 50 rows that both hold possible it is {paired(a, b, x).value:.4g}" in str(lost)
    assert paired(b, a, far).value == np.inf and np.isnan(paired(a, a, far).value)


def test_measures_that_differ_are_refused():
    """The same numbers as they are and in bins; noise on whole numbers and the numbers."""
    x = normal(300)
    binned = np.clip(np.floor(x + 4), 0, 7).astype(np.uint8)
    density, counted = likelihood(pf.Gaussian().fit(x), x), likelihood(pf.Factorised().fit(binned), binned)
    with pytest.raises(Usage, match="counting measure.*binned data"):
        paired(density, counted)
    noisy = binned + np.random.default_rng(0).random(binned.shape)
    with pytest.raises(Usage, match="noise added"):
        paired(likelihood(pf.Gaussian().fit(noisy), noisy), counted)


def test_a_bound_on_whole_numbers_compares_with_their_probability():
    """What the library dequantises itself is a bound of the same probability: that is a fair comparison."""
    x = np.random.default_rng(0).integers(0, 5, (200, 2)).astype(np.uint8)
    found = paired(pf.MAF(transforms=1).fit(x, steps=5, quiet=True), pf.Factorised().fit(x), x)
    assert found.parameters["statement"] == "at least"


def test_columns_of_another_kind_are_refused():
    rng = np.random.default_rng(0)
    one = pd.DataFrame({"a": rng.normal(size=200), "b": ["x", "y"] * 100})
    two = one.assign(a=rng.integers(0, 100, 200))
    a, b = (pf.Histogram(bins=4, smooth=1.0).fit(frame) for frame in (one, two))
    with pytest.raises(Usage, match="counting measure|is counting for one|is Lebesgue for one"):
        paired(likelihood(a, one), likelihood(b, two))
    c = pf.Histogram(bins=4, smooth=1.0).fit(one.rename(columns={"a": "other"}))
    with pytest.raises(Usage, match="'a' and 'other' stand in one place"):
        paired(likelihood(a, one), likelihood(c, one.rename(columns={"a": "other"})))


def test_other_rows_units_or_variables_are_refused():
    x, test = normal(100), normal(40, seed=2)
    a, b = pf.Gaussian().fit(x), pf.Gaussian().fit(1000 * x)
    with pytest.raises(Usage, match="different rows.*Jacobian"):
        paired(likelihood(a, test), likelihood(b, 1000 * test))
    with pytest.raises(Usage, match="different rows"):
        paired(likelihood(a, test), likelihood(a, test[::-1].copy()))
    with pytest.raises(Usage, match="40 rows and .* about 39"):
        paired(likelihood(a, test), likelihood(a, test[1:]))
    with pytest.raises(Usage, match="of the same variables"):
        paired(likelihood(a, test), likelihood(pf.Gaussian().fit(normal(100, 3)), normal(40, 3)))
    with pytest.raises(Usage, match="paired\\(a, b, x\\)"):
        paired(a, b)


def test_energies_are_refused(machines):
    exact, blind, x = machines
    with pytest.raises(Usage, match="lacks a constant"):
        paired(likelihood(blind, x, by="energy"), likelihood(exact, x))


def test_the_same_rows_in_another_dress_are_the_same():
    """Arrays, tensors, single precision, Examples, and a table whose codes are numbered otherwise."""
    x = normal(100)
    model = pf.Gaussian().fit(x)
    for other in (torch.as_tensor(x), x.astype(np.float32), pf.data.load(x), x.tolist()):
        assert likelihood(model, other).rows == likelihood(model, x).rows
    frame = pd.DataFrame({"a": ["x", "y", "z", "x"] * 10, "b": np.arange(40) / 7})
    few = frame[frame["a"] != "x"].reset_index(drop=True)
    a, b = (pf.Histogram(bins=2, smooth=1.0).fit(part) for part in (frame, few))
    assert likelihood(a, few).rows == likelihood(b, few).rows
    assert likelihood(a, few).rows != likelihood(a, few.assign(a="y")).rows


def test_texts_compare_whatever_the_room():
    short, long = ["ab", "b", "aab"], ["ab", "b", "aab", "bbabab"]
    a, b = pf.Factorised(smooth=1.0).fit(short), pf.Factorised(smooth=1.0).fit(long)
    assert np.isfinite(paired(a, b, short).value)


def test_only_one_side_told_the_condition_is_said():
    x, y = normal(60), np.array([0, 1] * 30)
    told = pf.MAF(transforms=1).fit(x, given=y, steps=3, quiet=True)
    found = paired(likelihood(told, x, given=y), likelihood(pf.Gaussian().fit(x), x))
    assert "only MAF was told what is given" in str(found)


def test_one_row_has_no_error():
    found = likelihood(pf.Gaussian().fit(normal()), normal(1))
    assert found.stderr is None and np.isnan(found.estimate.stderr) and isinstance(found, Likelihood)
