"""`pushforward lesson list` and `pushforward lesson run NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import lessons
from .speech import say, show, table
from .words import Device, Json, Quiet, Seed

app = typer.Typer(
    help="The figures and identities of the lectures: list them, or run one.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def lesson_names(incomplete: str) -> list[str]:
    return [name for name in lessons.names() if name.startswith(incomplete.lower())]


@app.callback(invoke_without_command=True)
def top(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None and (text := ctx.get_help()):
        print(text)


@app.command("list")
def names(json: Json = False, seed: Seed = None, device: Device = "auto", quiet: Quiet = False) -> None:
    """Every lesson and its place in the lectures."""
    rows = [
        {"name": name, "title": facts["title"], "lecture": facts["lecture"]} for name, facts in lessons.names().items()
    ]
    show({"lessons": rows}, True) if json else table(rows)


@app.command(
    epilog="Examples: pushforward lesson run dirac-gan · pushforward lesson run gan-stability --quick -o study"
)
def run(
    name: Annotated[
        str,
        typer.Argument(help="A name from `pushforward lesson list`.", show_default=False, autocompletion=lesson_names),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the figures.")] = Path("lessons"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer draws and steps; the same identities.")] = False,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Draw a lesson's figures and check its identities; the exit code is 1 if one does not hold."""
    board = lessons.run(name, out, quick, seed or 0, lambda text: say(text, quiet or json))
    report(board, json, quiet)
    board.complain()


def report(board: Any, as_json: bool, quiet: bool) -> None:
    facts = lessons.names()[board.name]
    if as_json:
        rows = [
            {key: value for key, value in check.row().items() if key != "holds"} | {"holds": check.holds}
            for check in board.checks
        ]
        show(
            {
                "lesson": board.name,
                "checks": rows,
                "tables": board.tables,
                "remarks": board.remarks,
                "files": board.files,
            },
            True,
        )
        return
    if quiet:
        return
    print(f"{facts['title']}\n{facts['lecture']}\n")
    for title, rows in board.tables.items():
        print(title)
        table(rows)
    table([check.row() for check in board.checks])
    for text in board.remarks:
        print(text)
    files = ", ".join(path.name for path in board.files)
    say(
        f"{sum(check.holds for check in board.checks)} of {len(board.checks)} identities hold. In {board.files[0].parent}: {files}."
    )
