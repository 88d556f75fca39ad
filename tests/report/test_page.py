"""Pages and pictures: self-contained, escaped, right to the pixel."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import pushforward as pf
from pushforward.report import Page, page, pictures, portrait

EVIL = "<img src=x onerror=alert(1)>\"'&"


class Reader(HTMLParser):
    """Every tag opens and closes in order; attributes and texts are collected."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.texts = [], [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def test_whatever_comes_from_data_is_escaped():
    sheet = Page(EVIL, EVIL)
    sheet.section(EVIL, EVIL).text(EVIL)
    sheet.table([{EVIL: EVIL, "n": 1.23456}], {EVIL: EVIL})
    sheet.row([page.picture(b"png", EVIL, EVIL), page.quotes([EVIL], EVIL)])
    found = read(sheet.html())
    assert not [a for tag, a in found.seen if "onerror" in a] and "<img src=x" not in sheet.html()
    assert EVIL in found.texts and "1.235" in found.texts
    images = [a for tag, a in found.seen if tag == "img"]
    assert (
        len(images) == 1 and images[0]["alt"] == EVIL and base64.b64decode(images[0]["src"].partition(",")[2]) == b"png"
    )


def test_a_page_needs_nothing_else(tmp_path):
    sheet = Page("All")
    for name, data in (
        ("moons", pf.data.load("moons", n=100)),
        ("people", pf.data.load("people", n=100)),
        ("digits", pf.data.load("digits").head(50)),
    ):
        model = pf.Histogram(bins=5).fit(data)
        sheet.section(name).row(portrait(model, data.space.restore(data.x)))
    html = sheet.write(tmp_path / "new" / "page.html").read_text()
    found = read(html)
    assert (
        not re.search(r"""(?:src|href)=["'](?!data:image/png;base64,|#)""", html)
        and "@import" not in html
        and "url(" not in html
    )
    assert not [tag for tag, _ in found.seen if tag in ("script", "link", "iframe")]
    assert all(a.get("alt") for tag, a in found.seen if tag == "img")
    assert "prefers-color-scheme: dark" in html and 'lang="en"' in html and "viewport" in html


def test_tables_align_numbers_and_link_rows():
    html = page.table([{"model": "A", "nats": -1.0, "n": None}, {"model": "B", "nats": -2.0, "n": 3}], {"A": "part-a"})
    assert html.count('<td class="number">') == 4 and '<a href="#part-a">A</a>' in html and "–" in html
    assert "no rows" in page.table([])


def test_tiles_show_every_pixel():
    images = np.random.default_rng(0).integers(0, 17, (5, 1, 8, 8))
    sheet = pixels(pictures.tiles(images, 16.0, columns=3, width=96))  # enlarged 4 times, gaps of 2
    assert sheet.shape == (2 * 32 + 2, 3 * 32 + 2 * 2 + 32 - 32, 4)
    for i, image in enumerate(images):
        top, left = (i // 3) * 34, (i % 3) * 34
        part = sheet[top : top + 32 : 4, left : left + 32 : 4]
        assert np.array_equal(part[..., 0], np.round(image[0] / 16 * 255)) and (part[..., 3] == 255).all()
    assert (sheet[34:, 68:, 3] == 0).all()  # the sixth place is empty


def test_colour_tiles_keep_their_channels():
    images = np.zeros((1, 3, 2, 2))
    images[0, 1] = 1.0
    assert (pixels(pictures.tiles(images, 1.0))[..., :3] == [0, 255, 0]).all()


def test_a_density_map_is_the_right_way_up():
    values = np.zeros((10, 10))
    values[0, 0] = 1.0  # bottom left
    values += 1e-9
    frame = (0.0, 1.0, 0.0, 1.0)
    sheet = pixels(pictures.density(values, frame)).astype(int)
    bright = np.argwhere((sheet[..., 0] > 200) & (sheet[..., 2] < 100) & (sheet[..., 3] == 255))
    middle = bright.mean(0) / sheet.shape[:2]
    assert middle[0] > 0.6 and middle[1] < 0.4


def test_the_cells_of_a_frame_integrate():
    points, area = pictures.grid_of((-4.0, 4.0, -6.0, 6.0), 60)
    total = np.exp(-0.5 * (points**2).sum(1)).sum() / (2 * np.pi) * area
    assert total == pytest.approx(1.0, abs=1e-3)
    assert (
        points[0] == pytest.approx((-4 + 8 / 120, -6 + 12 / 120)) and points[1, 0] > points[0, 0]
    )  # row by row from the bottom


def test_a_frame_leaves_outliers_out():
    points = np.concatenate([np.random.default_rng(0).normal(size=(5000, 2)), [[1e6, 0.0], [np.nan, 0.0]]])
    left, right, bottom, top = pictures.frame_of(points)
    assert -10 < left < -3 and 3 < right < 10 and right - left == pytest.approx(top - bottom)


def test_columns_of_every_kind_are_drawn():
    real = pd.DataFrame(
        {
            "number": np.linspace(0, 1, 60),
            "label": ["a", "b", None] * 20,
            "date": pd.date_range("2020", periods=60, tz="Europe/Berlin"),
            "rank": pd.Categorical(["lo", "hi", "lo"] * 20, ["lo", "hi"], ordered=True),
            "truth": [True, False] * 30,
            "gap": [np.nan, *np.linspace(0, 1, 59)],
            "constant": [3] * 60,
        }
    )
    sheet = pixels(pictures.columns(real, real.iloc[::-1].reset_index(drop=True)))
    orange = (abs(sheet[..., :3].astype(int) - [213, 94, 0]).sum(-1) < 30) & (sheet[..., 3] > 200)
    blue = (abs(sheet[..., :3].astype(int) - [0, 114, 178]).sum(-1) < 30) & (sheet[..., 3] > 200)
    assert orange.sum() > 200 and blue.sum() > 200
    assert (
        pictures.gaps(real["gap"], real["number"]) == " (2% and 0% missing)"
        and pictures.gaps(real["label"], real["label"]) == ""
    )


def test_a_curve_needs_two_points():
    assert pictures.curve([]) is None and pictures.curve([{"step": 1, "loss": 1.0}, {"said": "x"}]) is None
    assert pictures.curve(
        [{"step": i, "loss": 5.0 / (i + 1)} for i in range(9)]
        + [{"step": 9, "valid": 0.5}, {"step": 9, "loss": float("nan")}]
    )


@pytest.mark.parametrize("kind", ["real", "wide", "levels", "binary", "table", "tokens"])
def test_a_portrait_of_every_kind(kind):
    rng = np.random.default_rng(0)
    data = {
        "real": rng.normal(size=(80, 2)),
        "wide": rng.normal(size=(80, 5)),
        "levels": rng.integers(0, 5, (80, 1, 8, 8)).astype(np.uint8),
        "binary": rng.random((80, 6)) > 0.5,
        "table": pd.DataFrame({"a": ["x", "y"] * 40, "b": rng.normal(size=80)}),
        "tokens": [EVIL[:3] + c for c in "abcd"] * 20,
    }[kind]
    system = pf.GPT if kind == "tokens" else pf.VAE
    model = system(**(system.small or {"hidden": (8,), "latent": 2})).fit(data, steps=25, every=5, quiet=True)
    figures = portrait(model, data)
    read(f"<div>{''.join(figures)}</div>")
    assert len(figures) >= (4 if kind in ("real", "levels", "table", "tokens") else 2)
