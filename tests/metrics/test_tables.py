"""Tables are judged as the definitions say, told from their shuffles, and refused by the name of what is wrong."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.data import Examples
from pushforward.errors import BadData, Usage
from pushforward.metrics.efficacy import utility
from pushforward.metrics.frames import read
from pushforward.metrics.rules import violations
from pushforward.metrics.tables import columns, conditionals, missingness, trends


def people(n, seed=0):
    """Numbers, whole numbers, dates, truths and words that hang together."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 70, n)
    job = rng.choice(["cook", "smith", "nurse"], n, p=[0.5, 0.3, 0.2])
    return pd.DataFrame(
        {
            "age": age,
            "wage": 100.0 * age + rng.normal(0, 300, n) + 1000 * (job == "smith"),
            "job": job,
            "trade": np.where(job == "nurse", "care", "craft"),
            "since": pd.Timestamp("2000-01-01") + pd.to_timedelta(rng.integers(0, 5000, n), unit="D"),
            "married": rng.random(n) < (age - 18) / 60,
        }
    )


def torn(frame, seed=1):
    """Each column shuffled by itself: the columns stay, what goes with what is lost."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: frame[name].to_numpy()[rng.permutation(len(frame))] for name in frame})


REAL, FAKE = people(1500, 0), people(1200, 1)


# ---- columns, trends, conditionals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [columns, trends, conditionals])
def test_identical_tables_score_one(measure):
    found = measure(REAL, REAL)
    assert float(found) == pytest.approx(1, abs=1e-12) and all(
        found[name].value == pytest.approx(1, abs=1e-12) for name in found
    )


@pytest.mark.parametrize("measure", [columns, trends, conditionals])
def test_another_draw_of_one_law_is_as_good_as_the_floor(measure):
    """Within 5 standard errors of the floor, or above it: the halves are smaller than the fake."""
    found = measure(REAL, FAKE).overall
    assert found.floor - 5 * found.stderr < found.value < 1 and 0.9 < found.floor < 1 and 0 < found.stderr < 0.02


def test_columns_are_scipys_and_counts():
    found = columns(REAL, FAKE)
    assert found["wage"].value == pytest.approx(1 - stats.ks_2samp(REAL.wage, FAKE.wage).statistic, abs=1e-14)
    shares = [frame.job.value_counts(normalize=True) for frame in (REAL, FAKE)]
    assert found["job"].value == pytest.approx(1 - 0.5 * shares[0].sub(shares[1]).abs().sum(), abs=1e-14)
    days = [frame.since.astype("int64").to_numpy() for frame in (REAL, FAKE)]
    assert found["since"].value == pytest.approx(1 - stats.ks_2samp(*days).statistic, abs=1e-14)
    assert float(found) == pytest.approx(np.mean([found[name].value for name in found]), abs=1e-14)
    assert found.overall.n == (1500, 1200) and "halves of the real rows" in str(found)


def test_independent_columns_keep_their_shapes_and_lose_their_trends():
    fake = torn(FAKE)
    assert float(columns(REAL, fake)) > 0.96
    lost, kept = trends(REAL, fake), trends(REAL, FAKE)
    assert lost["age & wage"].value < 0.6 < 0.97 < kept["age & wage"].value
    assert lost["job & trade"].value < 0.7 < 0.95 < kept["job & trade"].value
    assert (
        conditionals(REAL, fake, [("trade", "job")]).overall.value
        < 0.75
        < 0.95
        < conditionals(REAL, FAKE, [("trade", "job")]).overall.value
    )
    assert conditionals(REAL, fake, [("wage", "age")], bins=5).overall.value < 0.7


def test_trends_are_pearson_and_counts():
    found = trends(REAL, FAKE)
    r = [stats.pearsonr(frame.age, frame.wage)[0] for frame in (REAL, FAKE)]
    assert found["age & wage"].value == pytest.approx(1 - abs(r[0] - r[1]) / 2, abs=1e-12)
    tables = [pd.crosstab(f.job, f.married, normalize=True) for f in (REAL, FAKE)]
    assert found["job & married"].value == pytest.approx(
        1 - 0.5 * (tables[0] - tables[1]).abs().to_numpy().sum(), abs=1e-12
    )
    edges = np.histogram_bin_edges(REAL.wage, 10)
    binned = [pd.crosstab(np.digitize(f.wage, edges), f.job) / len(f) for f in (REAL, FAKE)]
    gap = binned[0].sub(binned[1], fill_value=0).abs().to_numpy().sum()
    assert found["wage & job"].value == pytest.approx(1 - 0.5 * gap, abs=1e-12)
    assert len(found) == 15


def test_conditionals_weigh_codes_by_their_real_share():
    real = pd.DataFrame(
        {"kind": ["a"] * 60 + ["b"] * 40 + ["c"] * 3, "size": np.r_[np.linspace(0, 1, 60), np.linspace(5, 6, 43)]}
    )
    fake = real[real.kind != "b"]
    found = conditionals(real, fake, [("size", "kind")])
    assert float(found) == pytest.approx(0.6) and "left out: kind: 1 codes" in str(found)
    few = conditionals(real[:5], fake[:5], [("size", "kind")])
    assert math.isnan(few.overall.value) and "nothing to compare" in str(few)


# ---- what comes ---------------------------------------------------------------------------------------------------------


def test_the_same_cells_in_other_types_are_the_same():
    dressed = REAL.assign(
        age=REAL.age.astype(float),
        wage=REAL.wage.astype(str),
        job=REAL.job.astype("category"),
        since=REAL.since.dt.strftime("%Y-%m-%d"),
        married=REAL.married.map({True: "True", False: "False"}),
    )[["since", "job", "married", "trade", "wage", "age"]]
    assert float(columns(REAL, dressed)) == pytest.approx(1) and float(trends(REAL, dressed)) == pytest.approx(1)


def test_examples_models_arrays_and_tensors_are_read():
    assert float(columns(Examples(REAL), REAL)) == pytest.approx(1)
    x = np.random.default_rng(0).normal(size=(400, 2))
    model = pf.GaussianMixture(components=1).fit(x, quiet=True)
    found = columns(x, model, seed=3)
    assert found.overall.n == (400, 400) and float(found) > 0.9 and float(found) == float(columns(x, model, seed=3))
    assert float(columns(torch.from_numpy(x), x)) == 1 and float(columns(x > 0, x > 0)) == 1


@pytest.mark.parametrize(
    "call, problem, words",
    [
        (lambda: columns(REAL, FAKE.drop(columns="wage")), BadData, "fake lacks 'wage'"),
        (lambda: trends(REAL, FAKE.rename(columns={"wage": "pay"})), BadData, "lacks 'wage'; fake has 'pay'"),
        (lambda: columns(REAL, FAKE.assign(age="old")), BadData, "fake, column 'age', row 0: 'old' is not a number"),
        (lambda: columns(REAL, FAKE.assign(since="soon")), BadData, "fake: Column 'since'.*not a date"),
        (lambda: columns(REAL, FAKE.to_numpy()), BadData, "same kind of thing"),
        (lambda: columns(np.zeros((3, 2)), np.zeros((3, 3))), BadData, r"shape \(2,\).*shape \(3,\)"),
        (lambda: columns(REAL, FAKE[:0]), BadData, "fake has no rows"),
        (lambda: columns({"a": 0.5, "b": 0.5}, REAL), Usage, "rows of columns are awaited"),
        (lambda: columns(pd.concat([REAL, REAL], axis=1), REAL), BadData, "'age' stands twice"),
        (lambda: trends(REAL[["age"]], FAKE[["age"]]), BadData, "one column"),
        (lambda: conditionals(REAL, FAKE, [("wage", "jbo")]), Usage, "Did you mean 'job'"),
        (lambda: conditionals(REAL, FAKE, ["wage"]), Usage, "pairs of names"),
        (lambda: conditionals(REAL[["age", "wage"]], FAKE[["age", "wage"]]), BadData, "pairs="),
        (lambda: columns(REAL, FAKE)["aeg"], Usage, "Did you mean 'age'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_by_name(call, problem, words):
    with pytest.raises(problem, match=words):
        call()


def test_a_broken_fake_is_counted_not_dropped():
    wage = FAKE.wage.to_numpy().copy()
    wage[:40], wage[40:100] = np.inf, np.nan
    found = columns(REAL, FAKE.assign(wage=wage))
    assert "40 cells in 40 of 1,200 rows of fake are infinite" in str(
        found
    ) and "100 of 1,200 rows of fake lack cells" in str(found)
    assert missingness(REAL, FAKE.assign(wage=wage))["wage"].value == pytest.approx(1 - 100 / 1200)


def test_many_categories_cost_no_more_than_their_rows():
    n = 100_000  # a million take some seconds more
    one, two = (pd.DataFrame({"id": [f"{k}" for k in range(s, s + n)]}) for s in (0, n // 2))
    assert float(columns(one, two)) == pytest.approx(0.5)
    some = one[:20_000].assign(other=[f"u{k}" for k in range(20_000)])
    assert float(trends(some, some)) == pytest.approx(1)


@pytest.mark.parametrize("rows", [1, 3])
def test_few_and_equal_rows(rows):
    alike = pd.concat([REAL[:1]] * 6, ignore_index=True)
    for real, fake in ((REAL[:rows], FAKE[:rows]), (alike, alike), (alike, FAKE[:rows])):
        for measure in (columns, trends, missingness, violations):
            assert 0 <= float(measure(real, fake)) <= 1 or math.isnan(float(measure(real, fake)))
    assert "does not vary" in str(trends(np.ones((5, 2)), np.ones((5, 2))))


def test_results_print_and_are_json():
    for found in (columns(REAL, FAKE), trends(REAL, FAKE), violations(REAL, FAKE), missingness(REAL, FAKE)):
        facts = json.loads(json.dumps(found.to_json(), allow_nan=False))
        assert facts["overall"]["value"] == pytest.approx(float(found)) and facts["overall"]["floor"] is not None
    assert "… and 3 more" in str(trends(REAL, FAKE))


# ---- missing cells ------------------------------------------------------------------------------------------------------


def test_missing_cells_by_column_and_together():
    rng = np.random.default_rng(0)
    x, gone = rng.normal(size=(4000, 3)), rng.random(4000) < 0.3
    together, apart = x.copy(), x.copy()
    together[gone, 0] = together[gone, 1] = np.nan
    other = rng.permutation(gone)
    apart[gone, 0], apart[other, 1] = np.nan, np.nan
    found = missingness(together, apart)
    assert found["x0"].value == pytest.approx(1) and found["x1"].value == pytest.approx(1) and "x2" not in found.parts
    assert found["x0 & x1"].value == pytest.approx(1 - 2 * (gone & ~other).mean(), abs=1e-12)
    assert (
        found["x0 & x1"].value < 0.63 and float(missingness(x, x)) == 1 and float(missingness(together, together)) == 1
    )


def test_a_missing_code_is_a_code_and_a_missing_number_left_to_missingness():
    real = pd.DataFrame({"kind": ["a", "b", None, None], "size": [0.5, 1.5, np.nan, np.nan]})
    found = columns(real, real.assign(kind=["a", "b", "a", "b"], size=[0.5, 1.5, 0.5, 1.5]))
    assert found["kind"].value == 0.5 and found["size"].value == 1


# ---- rules --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 1, 37])
def test_a_rule_broken_k_times_is_counted_k_times(k):
    real, fake = people(800, 3), people(600, 4)
    for frame in (real, fake):
        frame["left"] = frame.since + pd.to_timedelta(np.arange(len(frame)) % 3000, unit="D")
        frame["twice"] = frame.age
    fake["age"] = fake.age.clip(real.age.min(), real.age.max())
    fake["twice"] = fake.age
    broken = fake.copy()
    at = broken.index[:k]
    broken.loc[at, "trade"] = broken.loc[at, "trade"].map({"care": "craft", "craft": "care"})
    late = broken.index[100 : 100 + k]
    broken.loc[late, "left"] = broken.loc[late, "since"] - pd.Timedelta(days=1)
    broken.loc[broken.index[200 : 200 + k], "twice"] = 17
    broken.loc[broken.index[300 : 300 + k], "job"] = "king"
    found = violations(real, broken)
    assert found["job determines trade"].parameters["broken"] == k and found["since <= left"].parameters["broken"] == k
    assert found["age = twice"].parameters["broken"] == k and found["job known"].parameters["broken"] == k
    assert found["twice within its range"].parameters == {"broken": k, "allowed": "18 to 69"}
    assert "trade determines job" not in found.parts and len(found.rows) == round(600 * float(found)) >= 3 * k


def test_rules_are_not_found_by_chance():
    """Independent columns: 50 codes and numbers of 60 rows, where a coincidence among 100 pairs would be a rule by itself."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {f"c{i}": rng.choice(list("ab"), 60, p=[0.95, 0.05]) for i in range(8)}
        | {f"n{i}": rng.normal(i, 1, 60) for i in range(5)}
    )
    found = violations(frame, frame)
    assert (
        not [name for name in found if "determines" in name or "=" in name]
        and float(found) == 0
        and found.overall.stderr > 0
    )


def test_rules_of_the_user():
    found = violations(REAL, FAKE, {"adult": lambda t: t.age >= 21, "paid": lambda t: t.wage > 0})
    assert found["adult"].parameters["broken"] == int((FAKE.age < 21).sum()) and found["adult"].floor == pytest.approx(
        (REAL.age < 21).mean()
    )
    assert len(found.rows) == int(((FAKE.age < 21) | (FAKE.wage <= 0)).sum())
    with pytest.raises(BadData, match="one truth for each row"):
        violations(REAL, FAKE, lambda t: True)
    with pytest.raises(Usage, match="functions of the table"):
        violations(REAL, FAKE, "age > 3")


def test_a_code_may_determine_a_number_of_few_values():
    real, fake = (
        frame.assign(years=frame.job.map({"cook": 3, "smith": 5, "nurse": 14}) + 0.5) for frame in (REAL, FAKE)
    )
    fake.loc[[3, 4], "years"] = [99.5, np.nan]
    found = violations(real, fake)
    assert (
        found["job determines years"].parameters["broken"] == 1
        and found["years determines job"].parameters["broken"] == 0
    )
    assert violations(REAL, torn(FAKE))["job determines trade"].value > 0.2


def test_whole_numbers_and_gaps_are_rules():
    fake = FAKE.assign(age=FAKE.age + 0.5, trade=FAKE.trade.where(FAKE.index != 5))
    found = violations(REAL, fake)
    assert (
        found["age whole"].value == 1 and found["trade there"].parameters["broken"] == 1 and "age whole" in str(found)
    )


# ---- utility ------------------------------------------------------------------------------------------------------------


def test_real_rows_as_fakes_lose_nothing_and_torn_ones_lose_all():
    test = people(900, 9)
    same = utility(REAL, REAL, test, "married", models=["logistic", "tree"])
    assert (
        float(same["loss"]) == 0
        and same["loss"].overall.stderr == 0
        and same["AUC"].overall.value == same["AUC"].overall.floor
    )
    fair, lost = utility(REAL, FAKE, test, "married"), utility(REAL, torn(FAKE), test, "married", models=["logistic"])
    assert abs(float(fair["loss"])) < 4 * fair["loss"].overall.stderr + fair["loss"].overall.floor + 0.02
    assert float(lost["AUC"]) < 0.65 and 0.1 < float(lost["loss"]) and lost["loss"].overall.interval()[0] > 0
    assert list(fair["F1"].parts) == ["logistic", "tree", "boosting"] and set(fair) == {"accuracy", "F1", "AUC", "loss"}


def test_numbers_are_predicted_too():
    found = utility(REAL, FAKE, people(600, 9), "wage", models=["ridge", "boosting"])
    assert set(found) == {"R2", "loss"} and 0.9 < float(found["R2"]) < 1 and abs(float(found["loss"])) < 0.05


def test_what_was_trained_on_and_what_leaks_is_warned_of():
    test = pd.concat([REAL[:50], people(200, 9)], ignore_index=True)
    found = utility(REAL, FAKE, test, "married", models=["tree"])
    assert "50 of 250 test rows are equal to rows of train" in str(found["F1"])
    leak = [frame.assign(code=np.where(frame.married, "y", "n")) for frame in (REAL, FAKE, people(200, 9))]
    assert "warning: code alone tells married" in str(utility(*leak, "married", models=["tree"])["loss"])
    assert "job alone tells trade" in str(utility(REAL, FAKE, people(200, 9), "trade", models=["tree"])["loss"])
    assert "warning" not in str(utility(REAL, FAKE, people(200, 9), "married", models=["tree"])["loss"])


def test_fakes_without_a_class_and_rows_without_a_target():
    one = FAKE.assign(married=False)
    found = utility(REAL, one, people(200, 9), "married", models=["tree"])
    assert float(found["AUC"]) == 0.5 and float(found["F1"]) == 0
    job = FAKE.assign(job=FAKE.job.where(FAKE.index >= 30), wage=FAKE.wage.where(FAKE.index >= 70))
    found = utility(REAL, job, people(200, 9), "job", models=["tree"])
    assert "30 of 1,200 rows of fake lack job" in str(found["F1"]) and float(found["AUC"]) > 0.7


@pytest.mark.parametrize(
    "call, problem, words",
    [
        (lambda: utility(REAL, FAKE, FAKE, "maried"), Usage, "Did you mean 'married'"),
        (lambda: utility(REAL, FAKE, FAKE, "married", models=["boostin"]), Usage, "Did you mean 'boosting'"),
        (lambda: utility(REAL, FAKE, FAKE.drop(columns="age"), "married"), BadData, "test lacks 'age'"),
        (lambda: utility(REAL.assign(job="cook"), FAKE, FAKE, "job"), BadData, "the same in all real rows"),
        (lambda: utility(REAL[["age"]], FAKE[["age"]], FAKE[["age"]], "age"), BadData, "only column"),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_refused(call, problem, words):
    with pytest.raises(problem, match=words):
        call()


def test_the_global_generators_stay_as_they_are():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    columns(REAL, FAKE), utility(REAL[:200], FAKE[:200], FAKE[200:300], "married", models=["tree"])
    assert torch.equal(before[0], torch.random.get_rng_state()) and (before[1] == np.random.get_state()[1]).all()


def test_reading_keeps_the_order_of_the_first_side():
    both = read(real=REAL, fake=FAKE[FAKE.columns[::-1]])
    assert both.names == list(REAL.columns) and both["fake"].x[:, 0].tolist() == FAKE.age.tolist()
