"""A self-contained HTML page: no network, no script, light and dark by the reader's own setting.

Whatever comes from data (names of columns, texts, labels) is escaped, so that a page cannot be made to run anything.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

STYLE = """
:root { color-scheme: light dark; --ground: #fdfdfc; --card: #ffffff; --ink: #1c1e21; --soft: #5f656d; --line: #e2e3e5; --mark: #0a6ea8; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171b; --card: #1b1f24; --ink: #e6e7e9; --soft: #a2a8b0; --line: #30353c; --mark: #6cb8e6; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2.5rem 1.25rem 5rem; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .25rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
p { margin: .4rem 0; max-width: 46rem; }
a { color: var(--mark); }
.soft, figcaption { color: var(--soft); }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; align-items: flex-start; }
figure { margin: 0; padding: .9rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; max-width: 100%; }
figure img { display: block; max-width: 100%; height: auto; }
figure pre { margin: 0; max-width: 34rem; white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.5 ui-monospace, Consolas, monospace; }
figure pre + pre { margin-top: .5rem; padding-top: .5rem; border-top: 1px dashed var(--line); }
figure .wide { margin: 0; }
figure table { font-size: .8rem; }
figure td, figure th { padding: .15rem .7rem .15rem 0; white-space: nowrap; }
figcaption { font-size: .85rem; margin-top: .5rem; max-width: 30rem; }
code { font: .9em ui-monospace, Consolas, monospace; }
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
        self.parts = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{escape(lead)}</p>' if lead else ""]

    def section(self, title: str, mark: str = "") -> Page:
        """A heading; `mark` is what a link to it is called."""
        self.parts.append(f'<h2 id="{escape(mark or title, quote=True)}">{escape(title)}</h2>')
        return self

    def text(self, words: str, soft: bool = False) -> None:
        opening = '<p class="soft">' if soft else "<p>"
        self.parts.append(f"{opening}{escape(words)}</p>")

    def table(self, rows: Sequence[dict[str, Any]], links: dict[str, str] | None = None) -> None:
        """Rows with the same keys. `links` gives the mark of the section that a cell of the first column leads to."""
        self.parts.append(table(rows, links))

    def row(self, figures: Iterable[str]) -> None:
        """Figures side by side, as far as there is room."""
        self.parts.append(f'<div class="row">{"".join(figures)}</div>')

    def html(self) -> str:
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{chr(10).join(filter(None, self.parts))}\n</body>\n</html>\n"
        )

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")
        return path


def table(rows: Sequence[dict[str, Any]], links: dict[str, str] | None = None) -> str:
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
    head = "".join(f"<th{klass[name]}>{escape(str(name))}</th>" for name in names)
    lines = ("".join(f"<td{klass[name]}>{cell(row[name], links)}</td>" for name in names) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(value: Any, links: dict[str, str] | None) -> str:
    shown = escape("–" if value is None else number(value) if isinstance(value, float) else str(value))
    mark = (links or {}).get(str(value))
    return f'<a href="#{escape(mark, quote=True)}">{shown}</a>' if mark else shown


def number(value: float) -> str:
    """Four digits that count, without an exponent where it can be avoided."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


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
