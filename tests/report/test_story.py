"""The report: one whole page for every kind of rows, escaped, with headings in order, and numbers that say what is not known and why."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch

import pushforward as pf
from pushforward.errors import BadData, Usage
from pushforward.metrics.estimate import Estimate
from pushforward.report.case import Case
from pushforward.report.measures import MEASURES, Measure, applies, asked
from pushforward.report.overlays import ranked_correlation, strongest
from pushforward.report.rows import copies, readable
from pushforward.report.sections.chances import Lead
from pushforward.report.story import SECTIONS, story
from pushforward.report.verdict import against, apart, told_apart
from pushforward.space import Space

EVIL = "<img src=x onerror=alert(1)>\"'&"
ORDER = [
    "verdict",
    "data",
    "model",
    "training",
    "likelihood",
    "samples",
    "neighbours",
    "quality",
    "calibration",
    "diagnosis",
    "privacy",
    "again",
]


class Reader(HTMLParser):
    """Every tag opens and closes in order; attributes, headings and texts are collected."""

    def __init__(self, html):
        super().__init__()
        self.open, self.seen, self.texts = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.seen if name == tag]


def whole(told):
    """What holds of every page."""
    html = told.html()
    found = Reader(html)
    assert not re.search(r"""(?:src|href)=["'](?!data:image/png;base64,|#)""", html)
    assert "@import" not in html and "url(" not in html
    assert not [tag for tag, _ in found.seen if tag in ("script", "link", "iframe")]
    assert found.all("img") and all(len(a.get("alt", "")) > 10 for a in found.all("img"))
    levels = [int(tag[1]) for tag, _ in found.seen if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    assert [a["id"] for a in found.all("h2")] == ORDER
    marks = {a["id"] for _, a in found.seen if "id" in a}
    assert {a["href"][1:] for a in found.all("a")} <= marks and found.all("a")[0]["class"] == "skip"
    assert len(told.verdict) == 3 and all(one.said.endswith(".") for one in told.verdict)
    facts = told.to_json()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts and set(SECTIONS) <= set(facts)
    return found, facts


def vectors(n, d, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d))
    x[:, -1] += x[:, 0]
    return x


@pytest.fixture(scope="module")
def people():
    data = pf.data.load("people", n=700)
    frame = data.space.restore(data.x)
    return frame, pf.Histogram(bins=4, smooth=0.1), pf.data.Examples(frame)


# ---- every kind of rows ----------------------------------------------------------------------------------------------------
def test_numbers_on_a_line():
    x = vectors(400, 1)
    told = story(
        pf.Gaussian().fit(x[:200]),
        x[200:],
        train=x[:200],
        baselines={"a wide Gaussian": pf.Gaussian().fit(3 * x[:200])},
        n=150,
        quick=True,
    )
    found, facts = whole(told)
    assert "The grey line is its density, exact." in " ".join(found.texts)
    lead = facts["likelihood"]["baselines"]["a wide Gaussian"]["lead"]
    assert lead["nats"] > 0.3 and told.verdict[0].word == "Good"  # log 3 - 4/9 = 0.65 in the mean
    assert facts["data"]["training_rows"] == 200 and facts["data"]["rows_also_in_training"] == 0
    assert told.verdict[1].word in ("Good", "Fair") and told.verdict[2].word == "Good"


def test_points_in_the_plane():
    x = pf.data.toys.moons(500, seed=0)
    told = story(pf.GaussianMixture(components=6).fit(x[:250]), x[250:], n=150, quick=True)
    found, facts = whole(told)
    assert [a["alt"][:7] for a in found.all("img")][:3] == ["Scatter", "Scatter", "Density"]
    assert (
        facts["neighbours"]["not_known"] and "not known" in told.verdict[2].said.lower() + told.verdict[2].word.lower()
    )
    assert told.verdict[0].word == "Not known" and "no baseline" in told.verdict[0].said


def test_a_table_with_gaps(people):
    frame, model, data = people
    assert frame.isna().any().any()
    fitted = model.fit(data.head(400))
    told = story(
        fitted,
        frame[400:],
        train=frame[:400],
        baselines={"marginals": pf.Factorised(smooth=1.0).fit(data.head(400))},
        n=200,
        quick=True,
    )
    found, facts = whole(told)
    assert {row["column"] for row in facts["data"]["columns"]} == set(frame.columns)
    assert any(row["missing"] not in ("0 %", None) for row in facts["data"]["columns"])
    assert facts["quality"]["missingness"]["missingness"]["value"] > 0.5
    assert any("Pair plot" in a["alt"] for a in found.all("img"))


def test_images_of_levels():
    data = pf.data.load("digits")
    images = data.space.restore(data.x)
    told = story(pf.Factorised(smooth=1.0).fit(data.head(900)), images[900:1100], train=images[:900], n=100, quick=True)
    found, facts = whole(told)
    assert sum("images" in a["alt"].lower() for a in found.all("img")) >= 3  # real, drawn, neighbours
    assert facts["likelihood"]["model"]["bits/dim"] > 0 and facts["calibration"]["not_known"]
    assert "image of 8 × 8 points, grey, 17 levels" in " ".join(found.texts)


def test_bits():
    x = (np.random.default_rng(0).random((300, 6)) < 0.3).astype(np.uint8)
    _, facts = whole(story(pf.Factorised(smooth=1.0).fit(x[:150]), x[150:], train=x[:150], n=100, quick=True))
    assert facts["data"]["measure"] == "counting" and facts["quality"]["wasserstein"]["not_known"].startswith(
        "it is for real"
    )


def test_texts():
    lines = [f"{a} {b}" for a in ("one", "two", "three") for b in ("cat", "dogs", "<b>&")] * 30
    told = story(pf.Factorised(smooth=1.0).fit(lines[:135]), lines[135:], train=lines[:135], n=100, quick=True)
    found, facts = whole(told)
    assert "Texts that the model wrote." in found.texts and "<b>&" in "".join(found.texts)
    assert "novelty" in facts["quality"]["sequences"]


# ---- what comes from data --------------------------------------------------------------------------------------------------
def test_names_and_labels_are_escaped():
    frame = pd.DataFrame({EVIL: [EVIL, "b", "c"] * 40, "n": np.linspace(0.5, 2, 120)})
    model = pf.Histogram(bins=3, smooth=0.5).fit(frame)
    told = story(
        model,
        frame,
        train=frame,
        names={"data": EVIL, "train": EVIL},
        made={"path": EVIL, "command": EVIL},
        n=50,
        quick=True,
    )
    found, _ = whole(told)
    assert "<img src=x" not in told.html() and not [a for _, a in found.seen if "onerror" in a]
    assert any(EVIL in text for text in found.texts)
    assert "rows that it learned from. Judge it on others." in " ".join(found.texts)


def test_more_columns_than_are_shown_are_folded():
    frame = pd.DataFrame({f"c{j}": ["a", "b"] * 30 for j in range(30)})
    found, facts = whole(story(pf.Factorised(smooth=1.0).fit(frame), frame, n=50, quick=True))
    assert len(facts["data"]["columns"]) == 30
    assert "6 more columns" in found.texts and len(found.all("summary")) == len(found.all("details"))


def test_rows_that_a_model_has_no_place_for_are_counted():
    frame = pd.DataFrame({"a": ["x", "y"] * 60, "b": np.linspace(0.5, 2, 120)})
    model = pf.Histogram(bins=3, smooth=0.5).fit(frame)
    odd = frame.copy()
    odd.loc[[3, 5], "a"] = "z"
    odd.loc[7, "b"] = np.nan
    found, facts = whole(story(model, odd, n=50, quick=True))
    assert facts["data"]["rows"] == 117 and "3 of 120 rows" in facts["data"]["outside"]
    assert sum("3 of 120 rows hold what the model has no place for" in text for text in found.texts) == 1
    with pytest.raises(BadData, match="not of the space"):
        story(model, frame.assign(a="z"))
    lines = ["ab", "abc", "b"] * 20
    told = story(pf.Factorised(smooth=1.0).fit(lines), ["abcd", "ax", "ba", "ab", "c", "cc"], n=10, quick=True)
    assert told.to_json()["data"]["rows"] == 4


# ---- what a model cannot ---------------------------------------------------------------------------------------------------
class Silent(pf.Model):
    """It scores and does not draw."""

    why_not = {"sample": "it has no way to draw."}

    def build(self, space, given=None):
        self.register_buffer("nothing", torch.zeros(()))

    def solve(self, x, given=None):
        pass

    def _energy(self, x, given=None):
        return x.flatten(1).square().sum(1)


class Broken(Silent):
    """It draws NaN one time in three."""

    why_not = {"log_prob": "it has none."}

    def _sample(self, n, given=None):
        x = pf.noise.normal(n, self.space.size)
        return torch.where((torch.arange(n) % 3 == 0)[:, None], torch.nan, x)


def test_a_model_that_cannot_sample_or_has_no_likelihood_says_why():
    x = vectors(120, 2)
    told = story(Silent().fit(x), x, train=x, n=60, quick=True)
    _, facts = whole(told)
    assert "it has no way to draw" in facts["quality"]["not_known"] and "it has no way to draw" in told.verdict[1].said
    assert told.verdict[0].word == "Not known" and "constant" in told.verdict[0].said
    told = story(Dumb().fit(x), x, n=60, quick=True)
    assert "it has none" in told.verdict[0].said and told.verdict[0].word == "Not known"


class Dumb(pf.Model):
    """It draws and does not score."""

    why_not = {"log_prob": "it has none."}

    def build(self, space, given=None):
        self.d = space.size

    def solve(self, x, given=None):
        pass

    def _sample(self, n, given=None):
        return pf.noise.normal(n, self.d)


def test_rows_that_are_not_whole_are_counted():
    x = vectors(120, 2)
    told = story(Broken().fit(x), x, train=x[:60], n=90, quick=True)
    found, facts = whole(told)
    assert facts["samples"]["not_whole"] == 30 and facts["samples"]["drawn"] == 90
    assert told.verdict[1].word == "Poor" and "30 of 90 drawn rows are not whole" in told.verdict[1].said
    assert "set aside" in " ".join(found.texts)


def test_what_is_drawn_is_read_row_by_row():
    space = Space("levels", (3,), 4)
    x, good = readable(space, np.array([[0, 1, 3], [0, 4, 1], [-1, 0, 0]]))
    assert good.tolist() == [True, False, False] and x[0].tolist() == [0, 1, 3]
    x, good = readable(Space("real", (2,)), np.array([[0.0, np.nan], [1.0, 2.0], [np.inf, 0.0]]))
    assert good.tolist() == [False, True, False]


def test_rows_of_another_space_are_refused():
    x = vectors(100, 3)
    model = pf.Gaussian().fit(x)
    for wrong in (vectors(50, 2), pd.DataFrame({"a": ["u", "v"] * 20}), ["text", "more"]):
        with pytest.raises(BadData):
            story(model, wrong)
    with pytest.raises(BadData, match="3 columns|shape|not of the space"):
        story(model, x, train=vectors(50, 2))
    with pytest.raises(Exception, match="not fitted"):
        story(pf.Gaussian(), x)
    with pytest.raises(BadData, match="1 row"):
        story(model, x[:1])
    with pytest.raises(Usage, match="n="):
        story(model, x, n=3)


def test_three_rows_make_a_page_that_says_they_are_few():
    x = vectors(100, 2)
    found, facts = whole(story(pf.Gaussian().fit(x), x[:3], train=x[3:], quick=True))
    assert any("3 rows are few" in text for text in found.texts)
    assert all("not_known" in facts["quality"][m.name] for m in MEASURES)


def test_a_condition_goes_with_its_rows():
    x, label = vectors(200, 2), np.array(["a", "b"] * 100)
    x[label == "b"] += 5
    model = pf.MAF(transforms=2, hidden=(16,)).fit(x, given=label, steps=5, quiet=True)
    _, facts = whole(story(model, x, label, n=60, quick=True))
    assert facts["samples"]["drawn"] == 60 and facts["likelihood"]["model"]["rows"] == 200


# ---- numbers ---------------------------------------------------------------------------------------------------------------
def test_the_same_seed_makes_the_same_page():
    x = vectors(200, 3)
    model = pf.Gaussian().fit(x[:100])
    first, again, other = (story(model, x[100:], train=x[:100], n=50, quick=True, seed=seed) for seed in (1, 1, 2))
    assert first.html() == again.html() and first.to_json() == again.to_json()
    assert first.to_json()["quality"] != other.to_json()["quality"]


def test_a_copier_is_called_one():
    x = vectors(300, 3)
    told = story(pf.Empirical().fit(x[:150]), x[150:], train=x[:150], n=100, quick=True)
    assert told.verdict[2].word == "Poor" and "100 of 100 samples are training rows" in told.verdict[2].said
    same = story(pf.Empirical().fit(x), x, train=x, n=100, quick=True)
    assert same.verdict[2].word == "Not known" and "nothing to compare with" in same.verdict[2].said
    honest = story(pf.Gaussian().fit(x[:150]), x[150:], train=x[:150], n=100, quick=True)
    assert honest.verdict[2].word == "Good"


def test_a_measure_that_fails_says_why_and_the_others_stand(monkeypatch):
    def fails(case):
        raise Usage("it rains today.")

    rain = Measure("rain", "rain", ("real",), fails, "near 0", "Rain.")
    case = Case.of(pf.Gaussian().fit(vectors(60, 2)), vectors(60, 2, 1), n=50)
    assert asked(rain, case).to_json() == {"not_known": "it rains today."}
    monkeypatch.setattr("pushforward.report.sections.judging.MEASURES", (rain, MEASURES[1]))
    found, facts = whole(story(case.model, vectors(60, 2, 1), n=50))
    assert any("it rains today." in text for text in found.texts) and "mmd" in facts["quality"]["mmd"]


def test_measures_know_for_what_they_are():
    case = Case.of(pf.Gaussian().fit(vectors(60, 1)), vectors(60, 1, 1), n=50)
    trends = next(m for m in MEASURES if m.name == "trends")
    assert "at least 2 variables" in applies(trends, case)
    assert len({m.name for m in MEASURES}) == len(MEASURES) and all(m.says.endswith(".") for m in MEASURES)


LEADS = [
    (0.5, 0.1, "exact", "Good", "better"),
    (0.1, 0.1, "exact", "Fair", "no better"),
    (-0.5, 0.1, "exact", "Poor", "explains new rows better"),
    (-0.5, 0.1, "at least", "Not known", "may be higher"),
]


@pytest.mark.parametrize(("nats", "error", "says", "word", "part"), LEADS)
def test_the_rule_of_the_likelihood(nats, error, says, word, part):
    lead = Lead("a baseline", nats, error, 100, 0, 0, Estimate("d", nats, error))
    found, said = against(lead, says, 1)
    assert found == word and part in said and "0.5" in said or "0.1" in said


def auc(value):
    return Estimate("C2ST AUC", value, 0.01, 0.5)


def mmd(value, p):
    return Estimate("MMD2(P, Q)", value, 0.001, 0.0, p_value=p)


def test_the_rule_of_the_samples():
    two = {"logistic auc": auc(0.51), "boosting auc": auc(0.8)}
    assert told_apart(two, None)[0] == "Poor" and "A classifier mostly" in told_apart(two, None)[1]
    assert [told_apart({"boosting auc": auc(v)}, mmd(1, 0))[0] for v in (0.54, 0.56, 0.76)] == ["Good", "Fair", "Poor"]
    one = {"logistic auc": auc(0.51)}
    assert told_apart(one, mmd(0.1, 0.5))[0] == "Good" and told_apart(one, mmd(0.1, 0.01))[0] == "Fair"
    assert "linear" in told_apart(one, None)[1]
    assert [apart(mmd(*v), 100)[0] for v in ((0.1, 0.5), (0.001, 0.01), (0.1, 0.01))] == ["Good", "Fair", "Poor"]


def test_samples_of_another_law_are_called_poor():
    x = vectors(400, 2)
    told = story(pf.Gaussian().fit(x[:200] + 2), x[200:], n=200)
    assert told.verdict[1].word == "Poor" and told.to_json()["quality"]["c2st"]["boosting auc"]["value"] > 0.8
    assert told.to_json()["calibration"]["together"]["p_value"] < 1e-4


def test_the_columns_that_depend_most_are_drawn():
    x = np.random.default_rng(0).normal(size=(400, 9))
    x[:, 7] = np.exp(x[:, 2])  # a curve, so that ranks are needed
    x[::5, 2] = np.nan
    assert strongest(x, 2) == [2, 7] and len(strongest(x)) == 6
    from scipy.stats import spearmanr

    y = np.random.default_rng(1).integers(0, 5, (200, 4)).astype(float)
    assert np.abs(ranked_correlation(y) - spearmanr(y).statistic).max() < 1e-12


def test_copies_are_to_the_last_bit():
    a = torch.tensor([[1.0, float("nan")], [1.0, 2.0], [1.0, 2.0 + 1e-6]])
    assert copies(a, a[:2]) == 2 and copies(a[2:], a[:2]) == 0
