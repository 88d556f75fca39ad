"""Odd rows are found, their p-values hold what they promise, and the columns to blame are named."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.anomaly import Anomaly, anomaly, benjamini_hochberg, conformal
from pushforward.errors import BadData, Unable, Usage


def normal(n, d=2, seed=0, spread=1.0):
    return spread * np.random.default_rng(seed).normal(size=(n, d))


@pytest.fixture(scope="module")
def bell():
    """N(0, I) in two variables, exactly."""
    return exact(2)


def exact(d):
    model = pf.Gaussian().fit(normal(d + 50, d))
    model.mean.zero_()
    model.spread.copy_(torch.eye(d))
    return model


# ---- p-values ------------------------------------------------------------------------------------------------------------


def test_conformal_p_values_are_exactly_uniform():
    """With ties broken at random p is uniform whatever the law, continuous or full of ties. A right build fails under 1 seed of 1000 each."""
    for k, draw in enumerate((lambda r, n: r.normal(size=n), lambda r, n: r.integers(0, 4, n).astype(float))):
        rng = np.random.default_rng(k)
        p = [conformal(draw(rng, 1), draw(rng, 19), seed)[0] for seed in range(4000)]
        assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_counted_ties_never_promise_too_much():
    rng = np.random.default_rng(0)
    p = np.array([conformal(rng.integers(0, 4, 1), rng.integers(0, 4, 19))[0] for _ in range(4000)])
    for level in (0.05, 0.1, 0.3, 0.5):
        assert (p <= level).mean() <= level + 4 * np.sqrt(level * (1 - level) / 4000)
    assert p.min() >= 1 / 20


def test_p_values_by_hand():
    assert conformal(np.array([3.0, 2.0, np.inf]), np.array([1.0, 2.0, 3.0])).tolist() == [0.5, 0.75, 0.25]
    inside = conformal(np.full(2000, 2.0), np.array([1.0, 2.0, 3.0]), seed=0)  # above: 1; ties: 1 and itself
    assert inside.min() > 0.25 and inside.max() <= 0.75 and stats.kstest((inside - 0.25) / 0.5, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("way", ["likelihood", "typicality", "latent"])
def test_p_values_of_a_wrong_model_are_uniform_too(bell, way):
    """The law is not the model's: the p-values hold all the same. Fails under 1 seed of 1000."""
    rng = np.random.default_rng(1)
    p = []
    for seed in range(40):
        x = rng.exponential(size=(120, 2)) * [1.0, 3.0]
        found = anomaly(bell, x[:10], way, reference=x[10:], attribute=0, ties="random", seed=seed)
        p.append(found.p_values)
    share = np.mean([(row <= 0.2).mean() for row in p])
    spread = np.std([(row <= 0.2).mean() for row in p]) / 40**0.5
    assert abs(share - 0.2) < 3.3 * spread
    assert stats.kstest([row[0] for row in p], "uniform").pvalue > 1e-3  # rows of one call share their reference


def test_what_fits_a_score_does_not_calibrate_it():
    """12 variables and 40 reference rows: a centre and covariance of all 40 would make each of them less odd than a new row. 1 seed of 1000."""
    model, rng = exact(12), np.random.default_rng(3)
    p = [
        anomaly(
            model, rng.normal(size=(1, 12)), "latent", rng.normal(size=(40, 12)), ties="random", seed=s, attribute=0
        )
        for s in range(150)
    ]
    assert stats.kstest([found.p_values[0] for found in p], "uniform").pvalue > 1e-3 and p[0].reference == 20


def test_flags_hold_their_rate():
    """2 of 10 rows odd, 40 calls: the mean share of false flags among flags is at most the rate, within 3 of its errors."""
    x, model = normal(400, seed=5), exact(2)
    rng, shares, found = np.random.default_rng(0), [], 0
    for _ in range(40):
        rows = np.concatenate([rng.normal(size=(8, 2)), [[7.0, 0.0], [0.0, -7.0]]])
        flags = anomaly(model, rows, reference=x, rate=0.2, attribute=0).flags
        shares.append(flags[:8].sum() / max(flags.sum(), 1))
        found += flags[8:].sum()
    assert np.mean(shares) < 0.2 + 3 * np.std(shares) / 40**0.5 and found == 80


def test_benjamini_hochberg_by_hand():
    p = np.array([0.01, 0.04, 0.03, 0.5])
    assert benjamini_hochberg(p, 0.05).tolist() == [True, False, False, False]
    assert benjamini_hochberg(p, 0.06).tolist() == [True, True, True, False]  # 0.04 <= 0.06 * 3/4
    assert not benjamini_hochberg(np.ones(3), 0.5).any()


def test_too_few_reference_rows_for_a_flag_is_said(bell):
    found = anomaly(bell, normal(100), reference=normal(50, seed=1), attribute=0)
    assert any("cannot be flagged: that takes 2,000 reference examples" in line for line in found.words)


# ---- what is found -------------------------------------------------------------------------------------------------------


def test_two_planted_anomalies_rank_first_and_their_column_is_blamed():
    x = normal(900, 4)
    x[:, 3] = x[:, 0] + 0.1 * x[:, 3]  # columns 0 and 3 go together
    model = pf.GaussianMixture(components=3).fit(x[:500])
    rows = x[500:600].copy()
    rows[17, 1] = 9.0  # odd alone
    rows[42, 3] = rows[42, 0] + 2.0  # odd only beside column 0
    found = anomaly(model, rows, reference=x[600:], rate=0.3)
    assert found.way == "likelihood" and set(found.oddest(2)) == {17, 42} and found.flags[[17, 42]].all()
    assert found.blamed(17) == "x1" and found.blamed(42) in ("x0", "x3")
    assert found.attribution.shape == (100, 4) and np.isfinite(found.attribution).any(1).sum() == 20
    assert any("given the rest of its row" in line for line in found.words)


def test_contributions_of_independent_columns_are_their_own_surprise(bell):
    """-log p is a sum over columns: column j adds x_j^2 / 2 - E z^2 / 2, within 5 errors of 32 draws of z^2 / 2 (0.125 each)."""
    rows = np.array([[3.0, 0.0], [0.5, -4.0]])
    found = anomaly(bell, rows, reference=normal(100))
    assert np.allclose(found.attribution, rows**2 / 2 - 0.5, atol=5 * 0.125)


def test_without_exact_conditionals_other_examples_lend_their_values():
    x = normal(600, 3)
    model = pf.VAE(latent=2, hidden=(16,)).fit(x[:300], steps=150, quiet=True)
    rows = x[300:320].copy()
    rows[4, 2] = 12.0
    found = anomaly(model, rows, reference=x[320:])
    assert found.oddest(1)[0] == 4 and found.blamed(4) == "x2"
    assert any("in other examples" in line for line in found.words) and any("lower bound" in line for line in found.words)  # fmt: skip


def test_impossible_rows_are_the_oddest_and_their_column_is_known():
    x = normal(400)
    model = pf.Histogram(bins=4, smooth=1.0).fit(x[:200])
    rows = np.concatenate([x[200:210] / 2, [[0.0, 50.0]]])
    found = anomaly(model, rows, reference=x[210:] / 2)
    assert found.scores[10] == np.inf and found.oddest(1)[0] == 10 and found.blamed(10) == "x1"
    assert found.to_json()["scores"][10] is None


def test_a_table_is_told_by_its_columns():
    table = pf.data.people(900, seed=0)[["height", "income"]]  # income has gaps
    model = pf.GaussianMixture(components=4).fit(table[:400])
    rows = table[400:430].copy()
    rows.iloc[3, 0] = 400.0
    found = anomaly(model, rows, reference=table[430:])
    frame = found.to_frame()
    assert (frame.index == rows.index).all() and found.blamed(3) == table.columns[0] == frame["column"].iloc[3]
    assert list(frame.columns[:4]) == ["score", "p_value", "flagged", "column"]
    assert f"by {table.columns[1]}" in frame and "most by" in str(found)


# ---- the sign flip -------------------------------------------------------------------------------------------------------


def test_what_was_never_seen_is_the_oddest_and_does_not_stop_the_rest():
    table = pd.DataFrame({"kind": ["a", "b"] * 50, "x": np.random.default_rng(0).normal(size=100)})
    model = pf.Factorised().fit(table)
    rows = pd.DataFrame({"kind": ["a", "z", "b"], "x": [0.0, 0.1, 0.2]}, index=[7, 8, 9])
    found = anomaly(model, rows, reference=table.iloc[:60])
    assert found.scores[1] == np.inf and np.isfinite(found.scores[[0, 2]]).all() and found.oddest(1)[0] == 1
    assert found.blamed(1) == "kind" and any("1 row holds what was not there" in line for line in found.words)
    assert found.p_values[1] == pytest.approx(1 / 61)


def test_smoother_data_are_likelier_and_typicality_finds_them():
    """N(0, I) in 200 variables: what lies near its mean is likelier than all it has seen, as |x|^2 = 200 -+ 20 there and 50 here."""
    model, x = exact(200), normal(400, 200)
    smooth = normal(50, 200, 1, spread=0.5)
    assert model.log_prob(smooth).min() > model.log_prob(x).max()  # the flip: unseen data, higher likelihood
    likely = anomaly(model, smooth, "likelihood", reference=x, attribute=0)
    typical = anomaly(model, smooth, reference=x, attribute=0)
    assert likely.p_values.min() == 1.0 and not likely.flags.any()
    assert typical.way == "typicality" and typical.flags.all() and typical.p_values.max() < 0.01
    assert any("chosen for 200 variables" in line for line in typical.words)
    fresh = anomaly(model, normal(200, 200, 2), reference=x, attribute=0)
    assert fresh.flags.mean() < 0.05


def test_a_model_of_digits_finds_another_picture_set_likelier():
    """Digits against the same digits at a third of the ink, a paler and smoother set."""
    x, _ = pf.data.builtin.digits()
    x = x.reshape(len(x), -1).astype(np.float64)
    model = pf.Gaussian(shrink="ledoit-wolf").fit(x[:900])
    pale = x[:900].mean(0) + (x[1300:1400] - x[:900].mean(0)) / 3
    reference = x[900:1300]
    assert model.log_prob(pale).mean() > model.log_prob(reference).mean() + 10
    assert not anomaly(model, pale, "likelihood", reference=reference, attribute=0).flags.any()
    assert anomaly(model, pale, "typicality", reference=reference, attribute=0).flags.mean() > 0.9


def test_a_background_takes_away_what_is_common():
    """Columns of noise drown the one that matters; a background that knows the noise takes it out."""
    rng = np.random.default_rng(0)
    x = np.concatenate([0.2 * rng.normal(size=(900, 1)), 3 * rng.standard_t(3, size=(900, 12))], 1)
    rows = x[700:800].copy()
    rows[7, 0] = 1.2
    model = pf.Gaussian().fit(x[:500])
    back = pf.Gaussian().fit(x[:500] + np.concatenate([rng.normal(size=(500, 1)), np.zeros((500, 12))], 1))
    ratio = anomaly(model, rows, background=back, reference=x[500:700], attribute=0)
    plain = anomaly(model, rows, reference=x[500:700], attribute=0)
    assert ratio.way == "ratio" and ratio.oddest(1)[0] == 7 and plain.oddest(1)[0] != 7
    assert any("log p of Gaussian" in line for line in ratio.words)


def test_the_latent_distance_is_mahalanobis(bell):
    rows = np.array([[5.0, 0.0], [0.1, 0.1]])
    found = anomaly(bell, rows, "latent", reference=normal(2000, seed=3), attribute=0)
    assert found.scores[0] == pytest.approx(25, rel=0.15) and found.p_values[0] < 0.01 < found.p_values[1]


# ---- what comes ----------------------------------------------------------------------------------------------------------


def test_without_reference_the_model_draws_its_own(bell):
    found = anomaly(bell, np.array([[0.0, 0.0], [9.0, 9.0]]), attribute=0)
    assert found.reference == 1000 and found.p_values[1] == pytest.approx(1 / 1001)
    assert any("draws of the model itself" in line for line in found.words)


def test_one_odd_row_of_many_can_be_flagged_without_reference(bell):
    """0.05 / 300 lies below 1 / 1001: as many rows are drawn as it takes."""
    found = anomaly(bell, np.concatenate([normal(299, seed=4), [[9.0, 9.0]]]), attribute=0)
    assert found.reference == 6000 and found.flags[299] and found.flags.sum() == 1


def test_energies_texts_conditions_and_examples_are_scored():
    bits = np.random.default_rng(0).random((120, 6)) > 0.5
    machine = pf.RBM(hidden=4, burn=10, exact=2).fit(bits, steps=5, quiet=True)
    found = anomaly(machine, bits[:20], reference=bits[20:], attribute=2)
    assert np.allclose(found.scores, machine.energy(bits[:20])) and any("up to a constant" in w for w in found.words)
    texts = ["abab", "baba", "abba"] * 20
    found = anomaly(pf.Factorised(smooth=1.0).fit(texts), texts[:5], reference=texts)
    assert found.attribution is None and any("no attribution" in line for line in found.words)
    x, y = normal(200), np.array([0, 1] * 100)
    flow = pf.MAF(transforms=1).fit(x, given=y, steps=5, quiet=True)
    some = pf.data.load(x, given=y)
    one = anomaly(flow, x[:30], given=y[:30], reference=some, attribute=2)
    two = anomaly(flow, some.head(30), reference=some, attribute=2)
    assert np.allclose(one.scores, two.scores) and np.allclose(one.p_values, two.p_values)
    alone = anomaly(flow, x[:30], given=y[:30], attribute=0)
    assert alone.reference == 1000 and isinstance(alone, Anomaly)


def test_the_same_seed_gives_the_same_answer(bell):
    x = normal(40)
    a, b = (anomaly(bell, x, ties="random", seed=4) for _ in range(2))
    assert (a.p_values == b.p_values).all() and np.array_equal(a.attribution, b.attribution, equal_nan=True)
    before = torch.random.get_rng_state()
    anomaly(bell, x, "typicality", seed=1)
    assert (torch.random.get_rng_state() == before).all()


def test_what_cannot_be_is_refused_with_the_reason(bell):
    x = normal(60)
    gan = pf.GAN().fit(x, steps=1, quiet=True)
    with pytest.raises(Unable, match="GAN has no encode"):
        anomaly(gan, x)
    with pytest.raises(Unable, match="no likelihood, bound or energy.*GAN has no log_prob"):
        anomaly(gan, x, "typicality")
    with pytest.raises(Unable, match="Histogram has no encode"):
        anomaly(pf.Histogram(bins=2).fit(x), x, "latent")
    with pytest.raises(Usage, match="needs background="):
        anomaly(bell, x, "ratio")
    with pytest.raises(Usage, match="background= is for"):
        anomaly(bell, x, "latent", background=bell)
    with pytest.raises(Usage, match="Did you mean 'typicality'"):
        anomaly(bell, x, "typicaltiy")
    with pytest.raises(Usage, match="rate=2"):
        anomaly(bell, x, rate=2)
    with pytest.raises(Usage, match="ties='coin'"):
        anomaly(bell, x, ties="coin")
    with pytest.raises(Usage, match="attribute=-1"):
        anomaly(bell, x, attribute=-1)
    with pytest.raises(BadData, match="at least 10"):
        anomaly(bell, x, reference=x[:3])
    with pytest.raises(BadData, match="shape"):
        anomaly(bell, x, reference=normal(60, 3))
    with pytest.raises(BadData, match="same variables"):
        anomaly(bell, x, background=exact(3))
    with pytest.raises(Exception, match="not fitted"):
        anomaly(pf.Gaussian(), x)


def test_a_broken_model_is_said_and_not_ranked(bell, monkeypatch):
    monkeypatch.setattr(pf.Gaussian, "_log_prob", lambda self, x, given=None: x[:, 0] * np.nan)
    with pytest.raises(BadData, match="NaN, the first in row 0"):
        anomaly(bell, normal(20), reference=normal(20))


def test_frames_keep_their_index(bell):
    frame = pd.DataFrame(normal(30), columns=["a", "b"], index=range(100, 130))
    model = pf.Gaussian().fit(frame)
    found = anomaly(model, frame[:5], reference=frame)
    assert found.to_frame().index.tolist() == [100, 101, 102, 103, 104] and found.columns == ("a", "b")
    assert len(found) == 5 and found.to_json()["columns"] == ["a", "b"]
