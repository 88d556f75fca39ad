"""A self-contained HTML page: no network, no script, light and dark by the reader's own setting, whole on paper.

Whatever comes from data (names of columns, texts, labels) is escaped, so that a page cannot be made to run anything. It can be read by
keyboard alone: a link past the contents, focus that is seen, headings in their order, wide tables that can be scrolled, folds that open.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import floor, isfinite, log10
from pathlib import Path
from typing import Any

STYLE = """
:root { color-scheme: light dark; --ground: #fdfdfc; --card: #ffffff; --ink: #1c1e21; --soft: #5f656d; --line: #e2e3e5; --mark: #0a6ea8; --tint: #f3f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171b; --card: #1b1f24; --ink: #e6e7e9; --soft: #a2a8b0; --line: #30353c; --mark: #6cb8e6; --tint: #20262d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2.5rem 1.25rem 5rem; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 3rem 0 .25rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .25rem; }
p { margin: .4rem 0; max-width: 46rem; overflow-wrap: break-word; }
a { color: var(--mark); }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; border-radius: .2rem; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: .5rem; padding: .4rem .8rem; background: var(--card); }
.soft, figcaption, caption { color: var(--soft); }
.meaning { color: var(--soft); border-left: 3px solid var(--line); padding-left: .8rem; }
.care { border-left: 3px solid #c98500; padding-left: .8rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; padding: 0; margin: 1rem 0 0; font-size: .9rem; }
.verdict { list-style: none; padding: 1rem 1.2rem; margin: 1rem 0; background: var(--tint); border: 1px solid var(--line); border-radius: .6rem; }
.verdict li { display: grid; grid-template-columns: 11rem 1fr; gap: .2rem 1rem; padding: .45rem 0; max-width: 58rem; }
.verdict strong { white-space: nowrap; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: .85rem; padding-bottom: .3rem; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td { max-width: 36rem; overflow-wrap: break-word; }
td.number, th.number { text-align: right; white-space: nowrap; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; align-items: flex-start; }
figure { margin: 0; padding: .9rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; max-width: 100%; }
figure img { display: block; max-width: 100%; height: auto; }
figure pre { margin: 0; max-width: 34rem; white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.5 ui-monospace, Consolas, monospace; }
figure pre + pre { margin-top: .5rem; padding-top: .5rem; border-top: 1px dashed var(--line); }
figure .wide { margin: 0; }
figure table { font-size: .8rem; }
figure td, figure th { padding: .15rem .7rem .15rem 0; white-space: nowrap; }
figcaption { font-size: .85rem; margin-top: .5rem; max-width: 30rem; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--mark); }
code { font: .9em ui-monospace, Consolas, monospace; }
pre.code { padding: .8rem 1rem; background: var(--tint); border: 1px solid var(--line); border-radius: .4rem; overflow-x: auto; }
@media (max-width: 40rem) { .verdict li { grid-template-columns: 1fr; } }
@media print {
  :root { --ground: #fff; --card: #fff; --ink: #000; --soft: #333; --line: #bbb; --mark: #000; --tint: #fff; color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h2, h3, summary, caption { break-after: avoid; }
  figure, img, tr, .verdict, pre.code { break-inside: avoid; }
  .wide, pre.code { overflow: visible; white-space: pre-wrap; }
  td, th, figure td, figure th { white-space: normal; overflow-wrap: anywhere; }
  .skip { display: none; }
  a { color: inherit; }
  details::details-content { display: block; content-visibility: visible; block-size: auto; }
}
"""


class Page:
    """A page that is built from top to bottom.

    >>> page = Page("Moons", "Two half circles.")
    >>> page.section("Samples").table([{"model": "MAF", "nats": -0.5}])
    >>> "<td>MAF</td>" in page.html()
    True
    """

    def __init__(self, title: str, lead: str = ""):
        self.title = title
        self.sections: dict[str, str] = {}  # mark -> title, for the contents
        self.parts = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{escape(lead)}</p>' if lead else ""]

    def section(self, title: str, mark: str = "") -> Page:
        """A heading; `mark` is what a link to it is called."""
        self.sections[mark or title] = title
        self.parts.append(f'<h2 id="{escape(mark or title, quote=True)}">{escape(title)}</h2>')
        return self

    def part(self, title: str) -> Page:
        """A heading inside a section."""
        self.parts.append(f"<h3>{escape(title)}</h3>")
        return self

    def contents(self) -> None:
        """Here go links to all sections, those that are still to come among them."""
        self.parts.append(CONTENTS)

    def text(self, words: str, soft: bool = False) -> None:
        opening = '<p class="soft">' if soft else "<p>"
        self.parts.append(f"{opening}{escape(words)}</p>")

    def meaning(self, words: str) -> None:
        """What the section says and what good would look like."""
        self.parts.append(f'<p class="meaning">{escape(words)}</p>')

    def care(self, words: str) -> None:
        """Something to be careful about; it says so in a word, not by colour alone."""
        self.parts.append(f'<p class="care"><strong>Take care.</strong> {escape(words)}</p>')

    def verdict(self, rows: Iterable[tuple[str, str]]) -> None:
        """Pairs of a word and a sentence."""
        lines = "".join(f"<li><strong>{escape(word)}</strong><span>{escape(said)}</span></li>" for word, said in rows)
        self.parts.append(f'<ul class="verdict">{lines}</ul>')

    def facts(self, named: Mapping[str, Any]) -> None:
        """Two columns: what a thing is called and what it is."""
        self.parts.append(facts(named))

    def table(self, rows: Sequence[dict[str, Any]], links: dict[str, str] | None = None, caption: str = "") -> None:
        """Rows with the same keys. `links` gives the mark of the section that a cell of the first column leads to."""
        self.parts.append(table(rows, links, caption))

    def row(self, figures: Iterable[str]) -> None:
        """Figures side by side, as far as there is room."""
        self.parts.append(f'<div class="row">{"".join(figures)}</div>')

    def fold(self, title: str, inside: Iterable[str]) -> None:
        """What is long and seldom needed, behind a line that opens it."""
        self.parts.append(f"<details><summary>{escape(title)}</summary>{''.join(inside)}</details>")

    def code(self, text: str) -> None:
        self.parts.append(f'<pre class="code" tabindex="0"><code>{escape(text)}</code></pre>')

    def html(self) -> str:
        body = "\n".join(self.linked() if part is CONTENTS else part for part in self.parts if part)
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            f'<a class="skip" href="#content">To the content</a>\n<main id="content">\n{body}\n</main>\n</body>\n</html>\n'
        )

    def linked(self) -> str:
        links = (
            f'<li><a href="#{escape(mark, quote=True)}">{escape(title)}</a></li>'
            for mark, title in self.sections.items()
        )
        return f'<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>'

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")
        return path


CONTENTS = "<!-- contents -->"


def table(rows: Sequence[dict[str, Any]], links: dict[str, str] | None = None, caption: str = "") -> str:
    """Rows with the same keys as a table; numbers stand to the right."""
    if not rows:
        return '<p class="soft">There are no rows.</p>'
    names = list(rows[0])
    right = {
        name: all(
            row[name] is None or (isinstance(row[name], int | float) and not isinstance(row[name], bool))
            for row in rows
        )
        for name in names
    }
    klass = {name: ' class="number"' if right[name] else "" for name in names}
    head = "".join(f'<th scope="col"{klass[name]}>{escape(str(name))}</th>' for name in names)
    lines = ("".join(f"<td{klass[name]}>{cell(row[name], links)}</td>" for name in names) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return wide(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>", caption)


def facts(named: Mapping[str, Any]) -> str:
    """Names and values as a table of two columns; what is None or empty is left out."""
    lines = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{cell(value, None)}</td></tr>'
        for name, value in named.items()
        if value is not None and value != ""
    )
    return wide(f"<tbody>{lines}</tbody>")


def wide(inside: str, caption: str = "") -> str:
    """A table in a frame that scrolls where it is too wide, by the keyboard too."""
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    label = escape(caption or "Table", quote=True)
    return f'<div class="wide" tabindex="0" role="group" aria-label="{label}"><table>{said}{inside}</table></div>'


def cell(value: Any, links: dict[str, str] | None) -> str:
    shown = escape("–" if value is None else number(value) if isinstance(value, float) else str(value))
    mark = (links or {}).get(str(value))
    return f'<a href="#{escape(mark, quote=True)}">{shown}</a>' if mark else shown


def number(value: float) -> str:
    """Four digits that count, without an exponent where it can be avoided."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def measured(value: float | None, error: float | None) -> tuple[float | None, float | None]:
    """A value and its error with as many digits as the error leaves: two of the error, and none of the value beyond them.

    >>> measured(-1.41873, 0.015092), measured(3.0, None)
    ((-1.419, 0.015), (3.0, None))
    """
    if value is None or error is None or not (isfinite(value) and isfinite(error)) or error <= 0:
        return value, None if error is None or error != error else error
    digits = 1 - floor(log10(error))
    return round(value, digits), round(error, digits)


def picture(png: bytes, alt: str, caption: str = "", width: int = 0) -> str:
    """A figure with a PNG inside the page; `width` is in CSS pixels."""
    size = f' width="{width}"' if width else ""
    image = f'<img alt="{escape(alt, quote=True)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"{size}>'
    return figure(image, caption, width)


def quotes(texts: Iterable[str], caption: str = "") -> str:
    """A figure with pieces of text, one below the other."""
    return figure("".join(f"<pre>{escape(text)}</pre>" for text in texts), caption)


def figure(inside: str, caption: str = "", width: int = 0) -> str:
    style = f' style="max-width:{width}px"' if width else ""
    return f"<figure>{inside}{f'<figcaption{style}>{escape(caption)}</figcaption>' if caption else ''}</figure>"
