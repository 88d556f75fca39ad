"""What gives rows away is found, what does not is cleared as often as chance allows, and copies are shown."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Usage
from pushforward.metrics.privacy import closest, duplicates, membership, memorisation, privacy


def normal(n, seed, d=3):
    return np.random.default_rng(seed).normal(size=(n, d))


def people(n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"age": rng.integers(18, 90, n), "wage": rng.gamma(2.0, 900.0, n), "job": rng.choice(list("abcde"), n)}
    )


def honest(measure, n, repeats=100, **options):
    """The measure of three draws of one law, of as many seeds."""
    return [measure(*(normal(n, 3 * seed + i, 2) for i in range(3)), seed=seed, **options) for seed in range(repeats)]


# ---- calibration --------------------------------------------------------------------------------------------------------


def test_the_share_nearer_to_train_is_a_half_under_equal_laws():
    """100 seeds: the mean within 4 errors of 1/2, each z of variance about 1 (between 0.6 and 1.5: 1 in 1000 of seeds would fail), p-values uniform."""
    found = honest(closest, 60)
    values, errors = np.array([[e.value, e.stderr] for e in found]).T
    assert abs(values.mean() - 0.5) < 4 * errors.mean() / 10
    assert 0.6 < ((values - 0.5) / errors).var() < 1.5
    assert stats.kstest([e.p_value for e in found], "uniform").pvalue > 0.001
    assert errors.mean() > 1.05 * 0.5 / 60**0.5  # the error of a coin would be too small


def test_c_t_is_normal_under_equal_laws():
    """z of all rows and the mean over cells: variance and law, each refused for 1 in 1000 of seeds."""
    found = honest(memorisation, 120, cells=3)
    for scores in (
        np.array([s["all at once"].value for s in found]),
        np.array([s.overall.value / s.overall.stderr for s in found]),
    ):
        assert stats.kstest(scores, "norm").pvalue > 0.001 and 0.6 < scores.var() < 1.5


def test_the_interval_of_membership_covers_a_half_for_an_honest_holdout():
    """95 of 100 are awaited; below 88 or above 99 both attacks would fail for 1 in 300 of seeds."""
    found = [
        membership(normal(50, 3 * s, 2), normal(50, 3 * s + 1, 2), normal(50, 3 * s + 2, 2), seed=s) for s in range(100)
    ]
    for attack in ("distance", "density ratio"):
        covered = sum(low <= 0.5 <= high for low, high in (scores[attack].interval() for scores in found))
        assert 88 <= covered <= 100, attack
    alarms = [scores["distance, found at 1 % false alarms"].value for scores in found]
    assert np.mean(alarms) < 0.06  # of 50 held out the highest score, which 1 in 51 train rows exceeds


# ---- what gives rows away -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [normal, people])
def test_a_memoriser_is_caught_by_every_measure(draw):
    train, holdout = draw(300, 0), draw(300, 1)
    fake = train + 1e-6 if isinstance(train, np.ndarray) else train.assign(wage=train.wage + 1e-4)
    assert closest(train, holdout, fake).value == 1 and closest(train, holdout, fake).p_value < 1e-6
    attacks = membership(fake, train, holdout)
    assert (
        float(attacks) > 0.999
        and attacks["distance, found at 1 % false alarms"].value > 0.99
        and attacks["density ratio"].value > 0.9
    )
    assert memorisation(train, holdout, fake).overall.value < -10
    copied = duplicates(train, fake)
    assert float(copied) == 0 and copied["near"].value == 1 and copied.rows["train row"].tolist()[:5] != []


@pytest.mark.parametrize("draw", [normal, people])
def test_the_honest_are_cleared(draw):
    found = privacy(*(draw(400, seed) for seed in (0, 1, 2)))
    assert (
        abs(found.overall.value - 0.5) < 4 * found.overall.stderr and abs(found["C_T"].value) < 4 * found["C_T"].stderr
    )
    assert abs(found["membership by distance"].value - 0.5) < 4 * found["membership by distance"].stderr
    assert found["copies, equal"].value <= 0.01 and found["nearest-neighbour distance ratio"].p_value > 1e-4


def test_a_mixture_of_copies_and_draws_is_between():
    train, holdout, fake = normal(500, 0), normal(500, 1), normal(500, 2)
    fake[:100] = train[:100]
    found = closest(train, holdout, fake)
    assert (
        found.value == pytest.approx(0.2 + 0.8 * 0.5, abs=4 * found.stderr)
        and found.p_value < 0.01
        and abs(found.floor - 0.5) < 0.15
    )
    assert privacy(train, holdout, fake)["copies, equal"].parameters["found"] == 100


def test_planted_copies_are_found_and_shown():
    train, fake = people(200, 0), people(100, 1)
    fake.loc[[17, 60]] = train.loc[[150, 3]].to_numpy()
    fake = fake.astype({"age": float})  # another type of the same numbers
    found = duplicates(train, fake)
    assert found["equal"].parameters["found"] == 2 and found.overall.value == 0.02
    shown = found.rows[found.rows.distance == 0]
    assert (
        shown.index.tolist() == [17, 60]
        and shown["train row"].tolist() == [150, 3]
        and shown.job.tolist() == train.job[[150, 3]].tolist()
    )
    assert str(shown.wage.iloc[0])[:6] in str(found)


def test_near_copies_have_a_reach():
    train = np.arange(40.0)[:, None] * [1.0, 0.0] + [0.0, 1.0]
    fake = np.array([[5.1, 1.0], [5.5, 1.0], [90.0, 1.0]])
    sd = train[:, 0].std()
    found = duplicates(train, fake, within=0.2 / sd)
    assert found["near"].parameters["found"] == 1 and found["near"].parameters["within"] == pytest.approx(0.2 / sd)
    assert found.rows["train row"].tolist() == [5] and found.rows.distance.iloc[0] == pytest.approx(0.1 / sd)


# ---- by hand ------------------------------------------------------------------------------------------------------------


def test_shares_and_ties_by_hand():
    train, holdout = np.array([[0.0], [4.0]]), np.array([[2.0], [6.0]])
    fake = np.array([[0.1], [2.1], [1.0], [3.0]])  # nearer to train, to holdout, and two ties
    assert closest(train, holdout, fake).value == 0.5
    assert closest(train, holdout, np.array([[0.1], [1.0]])).value == 0.75


def test_the_error_is_that_of_exchanging_the_sides():
    """All 70 divisions of 8 records into train and holdout: the standard deviation of the share is the error that is told."""
    from itertools import combinations

    records, fake = normal(8, 0, 2), normal(25, 1, 2)
    shares, errors = [], []
    for train in combinations(range(8), 4):
        rest = [i for i in range(8) if i not in train]
        found = closest(records[list(train)], records[rest], fake)
        shares.append(found.value)
        errors.append(found.stderr)
    assert np.mean(shares) == pytest.approx(0.5, abs=1e-12) and np.allclose(errors, np.std(shares), rtol=1e-9)


def test_c_t_is_scipys_mann_whitney():
    train, holdout, fake = normal(60, 0), normal(50, 1), 0.7 * normal(70, 2)
    scale = np.concatenate([train, holdout])
    near = [np.sqrt((((x[:, None] - train) / scale.std(0)) ** 2).sum(2)).min(1) for x in (fake, holdout)]
    p = stats.mannwhitneyu(*near, method="asymptotic", use_continuity=False).pvalue
    assert memorisation(train, holdout, fake)["all at once"].p_value == pytest.approx(p, rel=1e-9)


def test_a_model_attacks_by_its_own_density():
    train, holdout = normal(150, 0, 2), normal(150, 1, 2)
    sharp = pf.KernelDensity(bandwidth=0.05).fit(train, quiet=True)
    found = membership(sharp, train, holdout)
    assert found["log p"].value > 0.95 and found["distance"].value > 0.6
    smooth = membership(pf.GaussianMixture(components=1).fit(train, quiet=True), train, holdout)
    assert abs(smooth["log p"].value - 0.5) < 4 * smooth["log p"].stderr


# ---- what comes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["standard", "range", "quantile"])
def test_gaps_equal_rows_and_few_rows(scale):
    gappy = [
        people(60, s).assign(wage=lambda t: t.wage.where(t.index % 3 > 0), job=lambda t: t.job.where(t.index % 4 > 0))
        for s in range(3)
    ]
    alike = [pd.concat([people(1, 0)] * 7, ignore_index=True)] * 3
    few = [people(3, s) for s in range(3)]
    for sides in (gappy, alike, few):
        found = privacy(*sides, scale=scale)
        assert 0 <= float(found) <= 1 and json.dumps(found.to_json(), allow_nan=False)
    assert privacy(*alike, scale=scale).overall.value == 0.5 and privacy(*alike).parts["copies, equal"].value == 1
    assert 0 <= float(privacy(*(people(1, s) for s in range(3)))) <= 1


def test_broken_rows_and_rows_not_held_out_are_said():
    train, holdout, fake = normal(80, 0), normal(80, 1), normal(80, 2)
    fake[3, 1], holdout[:7] = np.inf, train[:7]
    words = str(closest(train, holdout, fake))
    assert (
        "1 cells in 1 of 80 rows of fake are infinite" in words
        and "7 of 80 holdout rows are equal to train rows" in words
    )


def test_unequal_sides_are_made_equal_and_said():
    found = closest(normal(300, 0), normal(100, 1), normal(50, 2))
    assert found.n == (50, 100) and "100 rows of each side" in str(found)
    assert "200 of the 300 rows of train" in str(closest(normal(300, 0), normal(200, 1), normal(50, 2), rows=200))
    assert str(found) == str(closest(normal(300, 0), normal(100, 1), normal(50, 2)))


def test_a_column_of_many_words_is_compared_not_multiplied():
    n = 2000
    train, holdout, fake = (people(n, s).assign(id=[f"{s}-{i}" for i in range(n)]) for s in range(3))
    fake.loc[4] = train.loc[9].to_numpy()
    found = privacy(train, holdout, fake)
    assert found["copies, equal"].parameters["found"] == 1 and abs(float(found) - 0.5) < 0.1


@pytest.mark.parametrize(
    "call, problem, words",
    [
        (lambda: closest(people(9, 0), people(9, 1).drop(columns="job"), people(9, 2)), BadData, "holdout lacks 'job'"),
        (lambda: closest(normal(9, 0), normal(9, 1), normal(9, 2), scale="ranks"), Usage, "scale='ranks'"),
        (lambda: duplicates(normal(9, 0), normal(9, 1), within=-1.0), Usage, "within"),
        (lambda: memorisation(normal(9, 0), normal(9, 1), normal(9, 2), cells=-1), Usage, "cells"),
        (lambda: closest(normal(9, 0), normal(9, 1), None), Usage, "fake is None"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(call, problem, words):
    with pytest.raises(problem, match=words):
        call()
