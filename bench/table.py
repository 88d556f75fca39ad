"""The table: on the terminal, in Markdown, in JSON."""

from __future__ import annotations

from typing import Any

from measure import BARE, OURS, Result, Setting
from rich.console import Console
from rich.table import Table

HEADS = ("work", "ours", "bare", "ours / bare", "peers", "best peer / ours", "target", "met")

WIDTH = 150  # of a terminal that the table fits


def seconds(value: float | None) -> str:
    """With three digits, in s or ms."""
    if value is None:
        return "–"
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def cells(result: Result, setting: Setting) -> tuple[str, ...]:
    m = result.medians
    others = {a.name: m[a.name] for a in result.row.arms if a.name in m and a.name not in (OURS, BARE)}
    peers = ", ".join(f"{name} {seconds(s)}" for name, s in sorted(others.items(), key=lambda item: item[1]))
    met = {True: "yes", False: "no", None: "–"}[result.met] if not setting.quick else "not judged"
    if result.problem:
        met = "not equal"
    target = result.row.target.text if result.row.target else "–"
    return (
        result.row.work,
        seconds(m.get(OURS)),
        seconds(m.get(BARE)),
        ratio(result.over_bare),
        peers or "–",
        ratio(result.over_us),
        target,
        met,
    )


def spread(result: Result) -> str:
    """The fastest and the slowest turn of each arm."""
    return ", ".join(f"{name} {seconds(min(t))} … {seconds(max(t))}" for name, t in result.times.items())


def notes(result: Result) -> str:
    said = [result.problem, *result.notes, result.row.note]
    return "; ".join(s for s in said if s) + "."


def about(facts: dict[str, Any], setting: Setting) -> str:
    peers = ", ".join(f"{name} {version}" for name, version in facts["peers"].items())
    busy = (
        f" The machine was busy when the run began (load {facts['load before']}): do not trust it."
        if facts["load before"] > 1
        else ""
    )
    quick = " A quick run: one short turn each, so these figures mean nothing." if setting.quick else ""
    return (
        f"{facts['cpu']}, {facts['cores']} cores ({facts['vectors']}), {facts['threads']} threads, {facts['memory GiB']} GiB, {facts['system']}; "
        f"Python {facts['python']}, torch {facts['torch']}; peers: {peers or 'none'}. Medians of {setting.rounds} interleaved rounds, float32.{quick}{busy}"
    )


def show(results: list[Result], facts: dict[str, Any], setting: Setting) -> None:
    console = Console()
    console = console if console.width >= WIDTH else Console(width=WIDTH)
    table = Table(*HEADS, show_lines=True)
    for result in results:
        colour = {"yes": "green", "no": "red", "not equal": "red"}.get(cells(result, setting)[-1], "")
        table.add_row(*cells(result, setting), style=colour)
    console.print(table)
    for result in results:
        console.print(f"{result.row.work}: {notes(result)}", style="dim", markup=False, highlight=False)
    console.print(about(facts, setting), markup=False, highlight=False)


def markdown(results: list[Result], facts: dict[str, Any], setting: Setting) -> str:
    lines = [about(facts, setting), "", f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS)]
    lines += [f"| {' | '.join(cells(result, setting))} |" for result in results]
    lines += ["", "What was found equal, what differs, and the fastest and slowest round:", ""]
    lines += [f"- {result.row.work}: {notes(result)} {spread(result)}." for result in results]
    return "\n".join(lines) + "\n"


def record(result: Result) -> dict[str, Any]:
    row = result.row
    return {
        "workload": row.workload,
        "work": row.work,
        "seconds": result.times,
        "medians": result.medians,
        "ours over bare": result.over_bare,
        "best peer over ours": result.over_us,
        "target": row.target.text if row.target else None,
        "met": result.met,
        "problem": result.problem,
        "notes": [*result.notes, row.note],
    }
