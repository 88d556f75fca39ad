"""`make bench`: ours, bare torch and the peers, in turns; a table here, results in bench/out, and docs/benchmarks.md on request."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORKLOADS = (
    "vae",
    "maf",
    "spline",
    "made",
    "gpt",
    "rbm",
    "gan",
    "classical",
    "metrics",
    "records",
    "tables",
    "scaling",
    "imports",
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=WORKLOADS, help="one workload; may be given several times"
    )
    parser.add_argument("--rounds", type=int, default=0, help="turns of every arm (5; with --quick 1)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short turn each, to see that everything runs; its figures mean nothing",
    )
    parser.add_argument(
        "--profile", action="store_true", help="instead of timing: where our arm spends its time, into bench/out"
    )
    parser.add_argument("--write-docs", action="store_true", help="set the table into docs/benchmarks.md")
    found = parser.parse_args()
    if found.write_docs and (found.quick or found.only or found.profile):
        parser.error("--write-docs records a whole run: it goes neither with --quick, nor --only, nor --profile.")
    return found


def main() -> int:
    told = arguments()
    # Before NumPy and torch are imported: their thread pools are made then.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(told.threads)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}
    import warnings

    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(told.threads)
    from facts import machine
    from measure import Setting, measure
    from table import markdown, record, show

    setting = Setting(told.rounds or (1 if told.quick else 5), told.threads, told.quick)
    facts = machine(told.threads)
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    results = []
    for row in every_row(told.only or WORKLOADS, setting):
        if told.profile:
            profile(row, out)
            continue
        results.append(measure(row, setting, lambda what, row=row: say(f"{row.work}: {what}")))
        whole = {"machine": facts, "setting": asdict(setting), "rows": [record(r) for r in results]}
        (out / "results.json").write_text(json.dumps(whole, indent=1) + "\n")  # after each row: a run takes long
    say("")
    if told.profile:
        return 0
    show(results, facts, setting)
    (out / "results.md").write_text(text := markdown(results, facts, setting))
    if told.write_docs:
        set_into(HERE.parent / "docs" / "benchmarks.md", text)
    return 1 if any(r.problem for r in results) else 0


def every_row(names, setting) -> Iterator:
    for name in names:
        yield from importlib.import_module(f"workloads.{name}").rows(setting)


def say(what: str) -> None:
    """A line that the next one takes the place of; no thread draws it, so that nothing runs beside the work."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what[:150]}")
        sys.stderr.flush()


def profile(row, out: Path) -> None:
    """The operators of our arm, by the time they take themselves."""
    from measure import OURS
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watch

    work = next(arm.work for arm in row.arms if arm.name == OURS)
    work()
    with watch(activities=[ProfilerActivity.CPU], with_stack=True) as seen:
        work()
    name = "".join(c if c.isalnum() else "-" for c in row.work.lower())
    table = seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=40, max_name_column_width=60)
    (out / f"profile-{name}.txt").write_text(table)
    print(f"{row.work}: bench/out/profile-{name}.txt")


def set_into(page: Path, text: str) -> None:
    """Put the table between the two marks of the page."""
    begin, end = "<!-- table -->", "<!-- end of the table -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"docs/{page.name} has no {begin} … {end} to set the table into.")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


if __name__ == "__main__":
    sys.exit(main())
