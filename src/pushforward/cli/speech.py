"""How the command line speaks: results to standard output, remarks and problems to standard error, a problem in one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import typer

from ..errors import Problem, Usage

HERE = Path("-")  # standard output, as other tools call it
READ = re.compile(r"\b(drop|encoding|format|header|key|length|lines|separator|size)=")


# ---- from a problem to an exit code ----------------------------------------------------------------------------------
def sentence(problem: BaseException) -> tuple[str, int] | None:
    """What a user is told, and the exit code; None for a fault of the program."""
    if isinstance(problem, Problem):
        text = str(problem)
        here = READ.search(text) and "--read" not in text  # the library speaks of its own keywords
        return text + " On the command line: --read NAME=VALUE." * bool(here), problem.exit_code
    if hasattr(problem, "format_message"):  # what typer found wrong in the words
        said, ctx = problem.format_message().strip(), getattr(problem, "ctx", None)
        verb = ctx.command_path if ctx else "pushforward"
        fields = type(problem).__name__ == "NoSuchOption" and verb == "pushforward fit"
        more = " Fields of the model and settings of the training are said by --set NAME=VALUE." if fields else ""
        return f"{said}{'' if said.endswith(('.', '?')) else '.'}{more} See `{verb} --help`.", 2
    if isinstance(problem, KeyboardInterrupt | typer.Abort):
        return "Interrupted. A fit that had begun can go on from its last checkpoint with --resume.", 130
    if (
        isinstance(problem, MemoryError)
        or type(problem).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(problem)
    ):
        return (
            f"There is not enough memory ({problem or 'allocation failed'}). Try a smaller model, --set batch=32, or fewer examples.",
            1,
        )
    if isinstance(problem, OSError):
        what = f"{problem.filename}: " if problem.filename else ""
        return f"{what}{problem.strerror or problem}.", 3
    return None


def plain(text: str) -> str:
    """A text as a terminal may have it: what steers one (a name in a file may hold that) is spelled."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def complain(text: str, code: int, as_json: bool) -> None:
    line = plain(" ".join(text.split()))
    if as_json:
        import json

        line = json.dumps({"error": line, "exit_code": code})
    print(line if as_json else f"pushforward: {line}", file=sys.stderr)


# ---- results ---------------------------------------------------------------------------------------------------------
def say(text: str, quiet: bool = False) -> None:
    """A remark beside the result; the result alone goes to standard output."""
    if not quiet:
        print(plain(text), file=sys.stderr)


def warned(message: Warning | str, *where: Any) -> None:
    """A warning of the library or of torch: what it says, not where in the code."""
    say(f"Note: {message}")


def clean(value: Any) -> Any:
    """For JSON, which has neither tuples nor paths, nor infinity or NaN: those are null."""
    if isinstance(value, dict):
        return {str(key): clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value]
    if hasattr(value, "tolist"):
        return clean(value.tolist())
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def show(facts: dict[str, Any], as_json: bool, quiet: bool = False) -> None:
    """Named facts: one JSON object, or two columns."""
    if as_json:
        import json

        print(json.dumps(clean(facts), allow_nan=False))
    elif not quiet:
        table([{"": name, " ": value} for name, value in facts.items() if value not in (None, "", [], {})], head=False)


def table(rows: list[dict[str, Any]], head: bool = True) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140, soft_wrap=False)
    shown = Table(box=box.SIMPLE_HEAD if head else None, show_header=head, pad_edge=False, header_style="bold")
    for name in rows[0] if rows else ():
        number = all(isinstance(row[name], int | float) and not isinstance(row[name], bool) for row in rows)
        shown.add_column(name, justify="right" if number and head else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(words(value) for value in row.values()))
    console.print(shown, markup=False, highlight=False)


def words(value: Any) -> Any:
    from rich.text import Text

    if isinstance(value, dict):
        return Text(
            ", ".join(
                f"{name} ({inner})" if isinstance(inner, str) else f"{name} {words(inner)}"
                for name, inner in value.items()
            )
        )
    if isinstance(value, list | tuple):
        return Text(", ".join(str(words(inner)) for inner in value))
    return Text("–" if value is None else f"{value:.5g}" if isinstance(value, float) else plain(str(value)))


def ready(out: Path | None, overwrite: bool, as_json: bool = False, numbers: bool = False) -> None:
    """Where results go can be written, or an error before any work is done. `numbers`: rows of numbers are neither text nor pictures."""
    from ..workbench.writing import NUMBERS, free

    if out == HERE and as_json:
        raise Usage("-o - and --json both want standard output. Name a file for the rows, or leave one of them out.")
    if out is not None and out != HERE:
        free(out, overwrite, *([NUMBERS] if numbers else []))


def spelled(values: dict[str, Any]) -> str:
    """Fields or settings as --set takes them."""
    inner = {name: ",".join(map(str, v)) if isinstance(v, list | tuple) else v for name, v in values.items()}
    return "  ".join(f"{name}={value}" for name, value in inner.items())


def told(place: Path, rows: int, as_json: bool, quiet: bool) -> None:
    """Where rows were written."""
    show({"out": str(place), "rows": rows}, True) if as_json else say(f"{rows:,} rows are in {place}.", quiet)


def deliver(data: Any, space: Any, out: Path | None, overwrite: bool, as_json: bool, quiet: bool, name: str) -> None:
    """Data to a file, or to standard output as JSON, lines of text or CSV."""
    from ..workbench.writing import frame, write, written

    if out is not None and out != HERE:
        told(write(data, space, out, overwrite), len(data), as_json, quiet)
    elif as_json:
        import json

        text = (
            frame(data, space).to_json(orient="records", date_format="iso", double_precision=15)
            if hasattr(data, "columns")
            else None
        )
        show({"rows": len(data), name: json.loads(text) if text else data}, True)
    elif space is not None and len(space.shape) > 1:
        raise Usage(
            "Images are not printed. Say where they go: -o out.png for one sheet, -o FOLDER for an image each, or -o out.npy."
        )
    elif space is not None and space.form in ("text", "bytes"):
        print("\n".join(map(written, data)))
    else:
        frame(data, space).to_csv(sys.stdout, index=False)
