"""HTML and JavaScript in column names, categories, file names and journals stay text on every page."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pushforward as pf
from pushforward.workbench.reporting import report

SCRIPT, IMAGE, ATTRIBUTE = "<script>canary()</script>", '"><img src=x onerror=canary()>', "' onmouseover='canary()' x='"
TITLE, STYLE, MATHS, TEMPLATE = (
    "</title><svg/onload=canary()>",
    "</style><iframe src=javascript:canary()>",
    "$\\frac{a$ _^{",
    "{{7*7}}&lt;b&gt;",
)
KNOWN = frozenset(  # of a page of ours; none of them starts anything
    "html head meta title style body main nav section article header footer h1 h2 h3 h4 p ul ol li a strong em b i small span div br hr code "
    "pre table caption thead tbody tfoot tr th td figure figcaption img details summary dl dt dd sub sup svg g path "
    "line text tspan rect circle polygon defs marker ellipse polyline".split()
)


class Elements(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.strange: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag not in KNOWN:
            self.strange.append(f"<{tag} {attrs}>")
        for name, value in attrs:
            away = name in ("href", "src", "action", "xlink:href") and not str(value).startswith(("#", "data:image/"))
            if name.startswith("on") or away or name in ("srcdoc", "formaction"):
                self.strange.append(f"{tag} {name}={value}")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_data(self, data):
        self.words += data


def harmless(page: str, *texts: str) -> None:
    found = Elements(page)
    assert not found.strange, found.strange[:3]
    for text in texts:
        assert text in found.words, f"{text} is not on the page as text"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng, n = np.random.default_rng(0), 160
    return pd.DataFrame(
        {
            SCRIPT: rng.choice([IMAGE, ATTRIBUTE, TITLE], n),
            IMAGE: rng.normal(size=n),
            "n": rng.integers(0, 99, n),
            ATTRIBUTE: rng.choice([TITLE, TEMPLATE], n),
            STYLE: rng.normal(size=n),
        }
    )


@pytest.fixture(scope="module")
def place(table, tmp_path_factory) -> Path:
    """A folder with a hostile name that holds data and a model of them, and things to say in its journal."""
    here = tmp_path_factory.mktemp("pages") / "<img src=x onerror=canary()>"
    here.mkdir()
    table.to_csv(here / "<b>rows.csv", index=False)
    model = pf.MADE(hidden=(8,)).fit(table, steps=20, every=5, quiet=True, out=here / "<i>m.pf", overwrite=True)
    model.outcome_["remark"] = SCRIPT
    model.save(here / "<i>m.pf", overwrite=True)
    with open(here / "<i>m.pf" / "journal.jsonl", "a") as file:
        file.write('{"said": "<script>canary()</script>"}\n{"step": 9, "<img src=x onerror=canary()>": 1.0}\n')
    return here


def test_a_report_shows_hostile_names_as_text(place, table):
    story = report(
        place / "<i>m.pf",
        str(place / "<b>rows.csv"),
        quick=True,
        n=200,
        command="pushforward report <script>canary()</script>",
    )
    harmless(story.html(), SCRIPT, IMAGE)
    harmless(
        story._repr_html_().replace("srcdoc=", "data-page=").replace("<iframe", "<div").replace("</iframe", "</div")
    )


def test_names_are_not_read_as_formulas(table):
    named = table.rename(columns={IMAGE: MATHS, "n": "$$$"})
    harmless(report(pf.Copula().fit(named), named, quick=True, n=100).html(), MATHS)


def test_a_comparison_shows_hostile_names_as_text(place, tmp_path):
    source = tmp_path / "<svg onload=canary()>.csv"
    shutil.copy(place / "<b>rows.csv", source)
    done = pf.compare(str(source), ["Factorised", "Copula"], time="2s", workers=1)
    harmless(done.page().html(), "<svg onload=canary()>.csv")


def test_a_model_in_a_notebook_is_text(table):
    harmless(pf.Copula().fit(table)._repr_html_())
    harmless(pf.GaussianMixture(covariance=SCRIPT)._repr_html_())
