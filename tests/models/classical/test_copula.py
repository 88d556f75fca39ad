"""The Gaussian copula: what is exact of numbers, what is estimated of codes, how it draws and fills in."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.models.classical import Copula, Gaussian


def skewed(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], n)
    return np.stack([np.exp(z[:, 0]), stats.beta.ppf(stats.norm.cdf(z[:, 1]), 2, 5)], 1)


def mixed(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.multivariate_normal(np.zeros(4), 0.5 + 0.5 * np.eye(4), n)
    return pd.DataFrame(
        {
            "size": np.exp(z[:, 0]),
            "kind": np.array(["c", "a", "b", "rare"])[np.digitize(z[:, 1], [-0.5, 0.5, 2.2])],
            "age": np.round(40 + 12 * z[:, 2]).astype(int),
            "sure": z[:, 3] > 0.8,
        }
    )


def test_with_gaussian_margins_it_is_the_gaussian():
    x = np.random.default_rng(0).normal(size=(300, 4)) @ np.random.default_rng(1).normal(size=(4, 4)) + 3
    one, other = Copula(margin="gaussian").fit(x), Gaussian().fit(x)
    np.testing.assert_allclose(one.log_prob(x), other.log_prob(x), atol=1e-9)
    hidden = x[:200].copy()
    hidden[:, 1] = np.nan
    a, b = (np.stack([m.complete(hidden, seed=s)[:, 1] for s in range(200)]) for m in (one, other))
    np.testing.assert_allclose(a.mean(0), b.mean(0), atol=5 * b.std(0).max() / 200**0.5)


def test_the_density_is_that_of_its_margins_and_its_copula():
    x = skewed()
    model = Copula().fit(x)
    (z, ladj), r = model.margins(torch.from_numpy(x)), model.correlation.numpy()
    want = stats.multivariate_normal(np.zeros(2), r).logpdf(z.numpy()) + ladj.numpy()
    np.testing.assert_allclose(model.log_prob(x), want, atol=1e-9)
    assert r[0, 1] == pytest.approx(0.7, abs=0.03)
    fresh = skewed(seed=1)
    assert model.score(fresh) > Gaussian().fit(x).score(fresh) + 0.3


def test_it_is_invariant_to_increasing_maps():
    x = skewed()
    one, two = Copula().fit(x), Copula().fit(np.log(x))
    assert float(one.correlation[0, 1]) == pytest.approx(float(two.correlation[0, 1]), abs=0.01)
    assert one.score(x) == pytest.approx((two.log_prob(np.log(x)) - np.log(x).sum(1)).mean(), abs=0.02)


def test_completion_of_numbers_is_the_conditional():
    """P(x_1 <= drawn | x_0) of draws is uniform: Kolmogorov's test, one chance in a thousand under another seed."""
    x = skewed()
    model = Copula().fit(x)
    gaps = x[:1000].copy()
    gaps[:, 1] = np.nan
    whole = model.complete(gaps, seed=0)
    assert (whole[:, 0] == gaps[:, 0]).all()
    z, rho = model.margins(torch.from_numpy(whole))[0].numpy(), float(model.correlation[0, 1])
    place = stats.norm.cdf((z[:, 1] - rho * z[:, 0]) / (1 - rho**2) ** 0.5)
    assert stats.kstest(place, "uniform").pvalue > 1e-3


def test_columns_keep_their_shares_and_what_ties_them():
    table = mixed()
    model = Copula().fit(table)
    drawn = model.sample(20_000, seed=0)
    for name in ("kind", "sure"):
        a, b = (t[name].value_counts(normalize=True) for t in (table, drawn))
        assert (a - b.reindex(a.index)).abs().max() < 0.01
    assert (drawn["kind"] == "rare").mean() == pytest.approx((table["kind"] == "rare").mean(), abs=0.003)
    assert stats.ks_2samp(drawn["age"], table["age"]).statistic < 0.02
    assert drawn.dtypes.equals(table.dtypes)
    groups = drawn.groupby("kind")["age"].mean()
    assert groups["c"] < groups["a"] < groups["b"] < groups["rare"]  # an order that nobody told
    r = model.correlation.numpy()
    np.testing.assert_allclose(np.abs(r[np.triu_indices(4, 1)]), 0.5, atol=0.06)


def test_the_estimate_comes_to_the_probability_of_the_box():
    table = mixed(1500)
    model = Copula().fit(table)
    rows = table.iloc[:25].reset_index(drop=True)
    evidence = model.evidence(rows, samples=4000)
    error = model.evidence_["stderr"].numpy()
    x = model.space.read(rows)
    (z, ladj), (low, high) = model.margins(x), model.margins.box(x)
    r = model.correlation.numpy()
    mean, rest = r[1:, 0], r[1:, 1:] - np.outer(r[1:, 0], r[1:, 0])
    for i in range(len(rows)):
        box = stats.multivariate_normal.cdf(
            high[i].numpy(), mean * float(z[i, 0]), rest, abseps=1e-10, releps=1e-7, lower_limit=low[i].numpy()
        )
        want = stats.norm.logpdf(float(z[i, 0])) + float(ladj[i]) + np.log(box)
        assert abs(evidence[i] - want) < 5 * error[i] + 2e-3
    bounds = np.mean([model.bound(table, seed=s).mean() for s in range(3)])
    assert bounds <= model.evidence(table, samples=300).mean() + 1e-3
    assert model.reason("log_prob").startswith("Copula has no log_prob: it is the probability of a box with 3 sides")


def test_probabilities_of_bits_sum_to_one():
    rng = np.random.default_rng(0)
    x = (rng.multivariate_normal(np.zeros(3), 0.4 + 0.6 * np.eye(3), 3000) > [0.5, -0.2, 0.0]).astype(np.uint8)
    model = Copula(smooth=0.0).fit(x)
    every = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], dtype=np.uint8)
    chance = np.exp(model.evidence(every, samples=20_000))
    assert chance.sum() == pytest.approx(1, abs=3e-3)
    share = [(x == row).all(1).mean() for row in every]
    np.testing.assert_allclose(chance, share, atol=0.02)


def test_codes_are_filled_in_by_their_conditional():
    """P(b | a) of bits by 4,000 draws a row: four standard errors are 0.03."""
    rng = np.random.default_rng(0)
    z = rng.multivariate_normal(np.zeros(3), 0.6 + 0.4 * np.eye(3), 4000)
    table = pd.DataFrame({"a": z[:, 0] > 0.3, "b": z[:, 1] > 0.0, "c": z[:, 2] > -0.5})
    model = Copula(smooth=0.0).fit(table)
    ask = pd.DataFrame({"a": [True] * 4000, "b": [None] * 4000, "c": [False] * 4000})
    found = model.complete(ask, seed=0)
    assert found["a"].all() and not found["c"].any()
    both = pd.DataFrame({"a": [True, True], "b": [True, False], "c": [False, False]})
    chance = np.exp(model.evidence(both, samples=20_000))
    assert found["b"].mean() == pytest.approx(chance[0] / chance.sum(), abs=0.03)
    assert model.completion_["ess"].min() > 20


def test_missing_cells_are_kept_drawn_and_filled():
    table = mixed(3000)
    rng = np.random.default_rng(3)
    gone = rng.random(3000) < np.where(table["age"] > 45, 0.5, 0.1)
    table["size"] = table["size"].mask(gone)
    table["kind"] = table["kind"].mask(rng.random(3000) < 0.2)
    model = Copula().fit(table)
    drawn = model.sample(10_000, seed=0)
    assert drawn["size"].isna().mean() == pytest.approx(gone.mean(), abs=0.015)
    assert drawn["kind"].isna().mean() == pytest.approx(table["kind"].isna().mean(), abs=0.015)
    old = drawn["age"] > 45
    assert drawn.loc[old, "size"].isna().mean() > drawn.loc[~old, "size"].isna().mean() + 0.2
    whole = model.complete(table.iloc[:300], seed=0)
    assert not whole.isna().any().any()
    kept = table.iloc[:300]["size"].notna()
    assert (whole["size"][kept.to_numpy()].to_numpy() == table.iloc[:300]["size"][kept].to_numpy()).all()
    assert np.isfinite(model.bound(table.iloc[:100])).all()


def test_codes_come_back_and_it_saves(tmp_path):
    x = skewed(300)
    model = Copula().fit(x)
    np.testing.assert_allclose(model.decode(model.encode(x)), x, atol=1e-8)
    table = mixed(300)
    model = Copula().fit(table)
    again = pf.load(model.save(tmp_path / "c.pf"))
    assert again.sample(20, seed=0).equals(model.sample(20, seed=0))
    assert np.array_equal(again.bound(table), model.bound(table))


def test_it_says_what_it_cannot():
    with pytest.raises(pf.Problem, match="margin='flat' is not one of smooth, gaussian"):
        Copula(margin="flat").fit(skewed(20))
    with pytest.raises(pf.Problem, match="A correlation needs two"):
        Copula().fit(np.zeros((1, 2)))
    with pytest.raises(pf.Problem, match="not conditional"):
        Copula().fit(skewed(20), given=np.arange(20))
    with pytest.raises(pf.Problem, match="smooth=-1"):
        Copula(smooth=-1.0).fit(skewed(20))


def test_constant_and_repeated_columns_do_no_harm():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1))
    table = pd.DataFrame({"a": x[:, 0], "same": x[:, 0], "one": 3.5, "only": ["k"] * 200, "b": rng.normal(size=200)})
    model = Copula().fit(table)
    drawn = model.sample(500, seed=0)
    assert (drawn["one"] == 3.5).all() and (drawn["only"] == "k").all()
    assert np.corrcoef(drawn["a"], drawn["same"])[0, 1] > 0.97


@pytest.mark.parametrize("still", [7.0, 7, "q"])
def test_a_column_of_one_value_hangs_together_with_nothing(still):
    rng = np.random.default_rng(0)
    a = rng.normal(size=240)
    frame = pd.DataFrame({"a": a, "b": a + 0.3 * rng.normal(size=240)})
    r = float(Copula().fit(frame).correlation[0, 1])
    found = Copula().fit(frame.assign(k=still)).correlation
    assert abs(float(found[0, 1]) - r) < 1e-6 and float(found[2, :2].abs().max()) == 0


def test_without_ties_it_is_the_product_of_its_columns():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.normal(size=300), "b": rng.choice(list("xyz"), 300), "c": rng.choice([True, False], 300)}
    )
    whole = Copula(tied=False).fit(frame)
    parts = [Copula().fit(frame[[name]]).log_prob(frame[[name]]) for name in frame]
    assert np.allclose(whole.log_prob(frame), np.sum(parts, 0), atol=1e-9) and "bound" not in whole.abilities
