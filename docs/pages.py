"""The pages as programs: their blocks are run by the tests, and by Sphinx, which sets what came out below each.

```python                     run; the blocks of one page share their names
```python file=PATH           the content of a file, not run here
```shell                      run if every command of it begins with `pushforward`
```shell exit=3               run, and it must end with this exit code
```shell no-run               shown only
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import re
import shlex
import traceback
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FENCE = re.compile(r"^(?P<ticks>`{3,})(?P<info>[^`]*)$")
PNG = b"\x89PNG"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what else its fence says, its text, the number of its first line, that of its closing fence."""

    language: str
    options: tuple[str, ...]
    text: str
    line: int
    end: int

    @property
    def file(self) -> str:
        return next((word.removeprefix("file=") for word in self.options if word.startswith("file=")), "")

    @property
    def code(self) -> int:
        """The exit code that a shell block ends with."""
        return next((int(word.removeprefix("exit=")) for word in self.options if word.startswith("exit=")), 0)

    @property
    def runs(self) -> bool:
        if self.language == "python":
            return not self.file
        return self.language == "shell" and "no-run" not in self.options and bool(commands(self.text))


@dataclass(frozen=True)
class Shown:
    """Something that a block gave: text, html or png."""

    kind: str
    content: str


class PageError(Exception):
    """A block of a page did not run."""


def all_pages() -> list[Path]:
    """Every page of this folder, in the order of their names."""
    return sorted(path for path in HERE.rglob("*.md") if "_build" not in path.parts)


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page.

    >>> [(b.language, b.options, b.text, b.line) for b in blocks("a\\n```shell no-run\\nls\\n```\\n")]
    [('shell', ('no-run',), 'ls\\n', 3)]
    """
    found, lines, i = [], text.splitlines(), 0
    while i < len(lines):
        opening = FENCE.match(lines[i])
        if opening is None:
            i += 1
            continue
        close = next((j for j in range(i + 1, len(lines)) if lines[j].rstrip() == opening["ticks"]), None)
        if close is None:
            raise PageError(f"The block that opens in line {i + 1} is not closed.")
        language, *options = opening["info"].split() or [""]
        found.append(Block(language, tuple(options), "\n".join(lines[i + 1 : close]) + "\n", i + 2, close + 1))
        i = close + 1
    return found


def commands(text: str) -> list[list[str]]:
    """The words of each command of a shell block, if all of them begin with `pushforward`; else none.

    >>> commands("pushforward sample m.pf \\\\\\n  -n 3  # three\\n"), commands("ls\\n")
    ([['pushforward', 'sample', 'm.pf', '-n', '3']], [])
    """
    found = [words for line in text.replace("\\\n", " ").splitlines() if (words := shlex.split(line, comments=True))]
    return found if all(words[0] == "pushforward" for words in found) else []


class Session:
    """One page as it runs, in the folder where it is."""

    def __init__(self, path: Path):
        self.path, self.names = path, {"__name__": "__page__"}

    def run(self, block: Block) -> list[Shown]:
        """Run a block; what it printed and what its last line gave."""
        said = io.StringIO()
        try:
            with (
                contextlib.redirect_stdout(said),
                contextlib.redirect_stderr(said) if block.language == "shell" else contextlib.nullcontext(),
            ):
                value = self.python(block) if block.language == "python" else self.shell(block)
        except Exception as problem:
            raise PageError(
                f"{self.path.name}, block of line {block.line}:\n{block.text}\n{said.getvalue()}{traceback.format_exc(limit=-6)}"
            ) from problem
        out = [Shown("text", said.getvalue())] if said.getvalue().strip() else []
        return [*out, shown(value)] if value is not None else out

    def python(self, block: Block) -> Any:
        tree = ast.parse("\n" * (block.line - 1) + block.text, str(self.path))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(self.path), "exec"), self.names)
        return None if last is None else eval(compile(ast.Expression(last.value), str(self.path), "eval"), self.names)

    def shell(self, block: Block) -> None:
        from pushforward.cli import main

        for words in commands(block.text):
            if (code := leave(main, words[1:])) != block.code:
                raise PageError(f"{shlex.join(words)} ended with exit code {code}; {block.code} was awaited.")


def leave(main: Any, words: list[str]) -> int:
    """Run the command line in this process; its exit code."""
    try:
        return int(main(words) or 0)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def shown(value: Any) -> Shown:
    """How a page shows the value of a block's last line."""
    if isinstance(value, bytes) and value.startswith(PNG):
        return Shown("png", base64.b64encode(value).decode())
    if hasattr(value, "savefig"):
        out = io.BytesIO()
        value.savefig(out, format="png", dpi=110, bbox_inches="tight")
        return Shown("png", base64.b64encode(out.getvalue()).decode())
    if hasattr(value, "to_html"):
        return Shown("html", value.to_html(border=0))
    if hasattr(value, "_repr_html_"):
        return Shown("html", value._repr_html_())
    return Shown("text", repr(value))


def with_results(path: Path, text: str) -> str:
    """A page with the results of its blocks below them, for Sphinx."""
    session, lines = Session(path), text.splitlines()
    results = {
        block.end: "".join(directive(found) for found in session.run(block)) for block in blocks(text) if block.runs
    }
    return "\n".join(line + results.get(number, "") for number, line in enumerate(lines, 1)) + "\n"


def directive(result: Shown) -> str:
    if result.kind == "text":
        return f"\n\n````{{code-block}} text\n:class: result\n\n{result.content.rstrip()}\n````\n"
    if result.kind == "html":
        return f'\n\n````{{raw}} html\n<div class="result">{result.content}</div>\n````\n'
    return f'\n\n````{{raw}} html\n<img class="result" alt="{escape("What the block above drew")}" src="data:image/png;base64,{result.content}">\n````\n'


def formulas(text: str) -> list[str]:
    """The formulas of a page, in lines of text and on lines of their own.

    >>> formulas("a $x$ and\\n\\n$$\\ny\\n$$\\n`$no$`")
    ['y', 'x']
    """
    text = re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    displayed = re.findall(r"\$\$(.+?)\$\$", text, flags=re.S)
    return [
        found.strip() for found in displayed + re.findall(r"\$([^$]+)\$", re.sub(r"\$\$.+?\$\$", "", text, flags=re.S))
    ]


def slug(title: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it.

    >>> slug("What `fit` does, in short")
    'what-fit-does-in-short'
    """
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
