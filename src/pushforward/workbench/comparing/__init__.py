"""Which model fits these data? All families on one split, with one budget, judged by the same measures; see docs/comparing.md."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...data import Examples, load, singular
from ...engine import Recipe
from ...engine.locks import hold
from ...errors import BadData, Usage
from ...report.rows import copies
from .cells import Cell, found, keep, noted, plain, run
from .judge import JUDGED
from .page import page
from .panel import Entrant, chosen, panel
from .shown import MEASURES, table
from .standing import Stand, apart, ranked, top
from .verdict import verdict

LEAST = 3.0  # seconds of learning that a model has at least
BEGIN, AROUND = (
    4.0,
    12.0,
)  # seconds that a cell takes to begin; that it takes beside its learning, to begin and to be judged, at least
LONG, SEEDS = 120.0, (1, 2, 3)  # seconds of learning from which another seed says more than a longer run
TEST, FEW = 10_000, 10  # test rows at most; examples below which nothing is compared
JUDGE = "pushforward.workbench.comparing.judge.judge"


@dataclass(repr=False)
class Comparison:
    """What came out: `stands` in their order, `said` in words, `facts` of the split and the budget.

    `print` shows it, `to_json` gives everything, `page` a page, `load(name)` the fitted model where a folder was kept.
    """

    stands: list[Stand]
    facts: dict[str, Any]
    said: list[str]
    folder: Path | None = None

    @property
    def best(self) -> str:
        """The name of the likeliest; where no model has a likelihood, of the one with the best samples."""
        return next((one.name for one in self.stands if one.done and one.entrant.baseline != "copy"), "")

    @property
    def top(self) -> list[str]:
        """The names of those that are not told apart from the best by likelihood."""
        return [one.name for one in top(self.stands)]

    def rows(self) -> list[dict[str, Any]]:
        """The table."""
        best = next(iter(top(self.stands)), None)
        return [line(place, one, best) for place, one in enumerate(self.stands, 1)]

    def to_json(self) -> dict[str, Any]:
        return plain({"best": self.best, "top": self.top, "said": self.said, "table": self.rows(), "facts": self.facts,
                      "runs": [cell for one in self.stands for cell in one.cells]})  # fmt: skip

    def page(self) -> Any:
        return page(self)

    def load(self, name: str, seed: int | None = None) -> Any:
        """The model that was fitted under this name."""
        from ... import catalogue

        if self.folder is None:
            raise Usage("The models of this comparison were not kept. Say where: compare(…, out='compare.html').")
        one = next((one for one in self.stands if one.name == name), None)
        if one is None or not one.done:
            raise Usage(
                f"There is no fitted {name!r} here. There are: {', '.join(s.name for s in self.stands if s.done)}."
            )
        number = one.done[0]["seed"] if seed is None else seed
        return catalogue.load(self.folder / f"{name}-{number}.pf")

    def __str__(self) -> str:
        import pandas as pd

        return "\n".join([*self.said, "", pd.DataFrame(table(self.rows())).to_string(index=False)])

    __repr__ = __str__  # what a notebook shows


def line(place: int, one: Stand, best: Stand | None) -> dict[str, Any]:
    behind = (None, None) if best is None or one.values is None else apart(best, one)
    said = {name: one.mean(name) for name in MEASURES}
    return {
        "place": place,
        "model": one.name,
        "nats": one.nats if one.kind else None,
        "±": one.stderr if one.kind else None,
        "kind": one.kind
        or ("no likelihood" if one.done and not one.limitless else "no limit" if one.done else "not done"),
        "behind the best": behind[0],
        "± ": behind[1],
        **{name: value if value == value else None for name, (value, _) in said.items()},
        **{f"{name} ±": error or None for name, (_, error) in said.items()},
        "parameters": one.done[0].get("size") if one.done else None,
        "learning, s": round(one.total("learning"), 1) if one.done else None,
        "seeds": len(one.done),
    }


def compare(
    data: Any,
    models: str | Sequence[str] = "auto",
    *,
    time: str | float = "5m",
    out: str | Path | None = None,
    held: float = 0.2,
    seed: int = 0,
    seeds: int = 0,
    workers: int = 0,
    overwrite: bool = False,
    given: Any = None,
    tell: Callable[[str], None] | None = None,
    **options: Any,
) -> Comparison:
    """Fit many models on one part of the data and judge them on the other; `models` are names, or `auto` for a panel across the families.

    `time` is that of the whole comparison. With `out`, a page, everything is kept beside it, and the same call goes on where one was stopped; what another
    call left there is replaced only with `overwrite`.
    `seeds` is their number; 0 takes one, and more where there is time. Further options are those of reading the data.
    """
    began, say = clock.monotonic(), tell or (lambda text: None)
    names, seconds = chosen(models), Recipe(time=time).seconds
    if seeds < 0 or workers < 0:
        raise Usage(f"seeds={seeds}, workers={workers}: numbers of at least 0 are awaited; 0 chooses.")
    if not seconds:
        raise Usage(f"time={time!r}: a time for the whole comparison is awaited, as '10m'.")
    examples = data if isinstance(data, Examples) and given is None else load(data, given=given, **options)
    train, test, facts = parts(examples, held, seed)
    entrants = panel(examples.space, len(train), names)
    facts |= {"time": seconds, "models": [one.name for one in entrants], "seed": seed}
    place = Path(tempfile.mkdtemp(prefix="pushforward-compare-")) if out is None else beside(Path(out))
    try:
        with hold(place):
            plan = facts | {"seeds": seeds, "entrants": [asdict(one) for one in entrants]}
            begin(place, plan, train, test, overwrite)
            say(f"{len(entrants)} models, about {seconds:.0f} s.")
            play(place, entrants, seconds - (clock.monotonic() - began), seed, seeds, workers, say)
        stands = ranked([stand(place, one, bool(facts["singular"])) for one in entrants])
    finally:
        if out is None:
            shutil.rmtree(place, ignore_errors=True)
    facts["seconds"] = spent(place if out is not None else None, clock.monotonic() - began)
    done = Comparison(stands, facts, verdict(stands), None if out is None else place)
    if out is not None:
        done.page().write(Path(out))
    return done


def parts(examples: Examples, held: float, seed: int) -> tuple[Examples, Examples, dict[str, Any]]:
    """The rows to learn from, those to be judged on, and what is to be said of them."""
    n = len(examples)
    if n < FEW:
        raise BadData(
            f"There are {n} examples; a comparison needs {FEW} at least, and says something from a few hundred on."
        )
    if not 0 < held < 1:
        raise Usage(f"held={held}: the share of rows to judge on is awaited, between 0 and 1, as 0.2.")
    # Each part is shuffled: files are often sorted, and measures look at the first rows of a part.
    train, test = (part.part(part.order(seed, 0)) for part in examples.split(min(held, TEST / n), seed))
    return train, test, facts_of(examples, train, test)


def facts_of(examples: Examples, train: Examples, test: Examples) -> dict[str, Any]:
    both, said = copies(test.x, train.x), []
    if both == len(test) and copies(train.x, test.x[:1]) == len(train):
        said.append("All rows are the same, so there is nothing to learn but that.")
    elif both > 0.01 * len(test) and not examples.space.discrete:
        said.append(
            f"{both:,} of {len(test):,} test rows stand in the training rows too, word for word: what memorises looks better here than it is."
        )
    if len(test) < 200:
        said.append(f"There are only {len(test)} test rows: small differences cannot be seen.")
    groups = singular(train)
    for group in groups[:3]:
        names = ", ".join(group[:6]) + (", …" if len(group) > 6 else "")
        said.append(
            f"The columns {names} determine one another: a model that sees it finds rows as likely as it resolves them, without limit. "
            "Leave one of them out, and likelihoods compare."
        )
    kept = [part for side in (train, test) for part in (side.x, side.given) if part is not None]
    digest = hashlib.sha256(b"".join(part.numpy().tobytes() for part in kept)).hexdigest()[:16]
    return {"data": examples.name, "space": str(examples.space), "measure": examples.space.measure, "rows": len(examples), "train": len(train),
            "test": len(test), "judged": min(len(test), JUDGED), "warnings": said, "singular": [list(group) for group in groups], "digest": digest}  # fmt: skip


def beside(out: Path) -> Path:
    """The folder of a page."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise Usage(
            f"-o {out}: the name of a page is awaited, as compare.html. The fitted models go into a folder beside it."
        )
    return out.with_suffix(".runs")


def begin(place: Path, plan: dict[str, Any], train: Examples, test: Examples, overwrite: bool) -> None:
    """A folder for this plan. What another plan left there is somebody's work: it is replaced only where that is said."""
    text = json.dumps(plain(plan), sort_keys=True)
    file = place / "plan.json"
    if file.is_file() and file.read_text() == text:
        return
    if place.exists() and any(place.iterdir()) and not file.is_file():
        raise Usage(
            f"{place} is there and is not of a comparison. Choose another name for the page, or move the folder away."
        )
    if file.is_file() and not overwrite:
        raise Usage(
            f"{place} holds another comparison: of other data, models, time or seeds. Say overwrite (--overwrite) to replace it, or name another page."
        )
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    for part, rows in (("train", train), ("test", test)):
        keep(place, rows, part)
    file.write_text(text)  # last: a folder without it was not begun


def play(
    place: Path,
    entrants: Sequence[Entrant],
    seconds: float,
    seed: int,
    seeds: int,
    workers: int,
    say: Callable[[str], None],
) -> None:
    """First what is solved at once, then what takes steps, which share the time that is left."""
    began = clock.monotonic()
    workers, threads = crew(workers)
    solved = [Cell(one, seed, 0.0) for one in entrants if one.solved]
    run(place, [cell for cell in solved if found(place, cell.name) is None], workers, threads, JUDGE, say)
    trained = [one for one in entrants if not one.solved]
    if not trained:
        return
    file = place / "budget.json"
    budget = noted(file)
    if budget is None:
        left = max(0.95 * seconds - (clock.monotonic() - began), 0.0)
        shares = {
            count: left / -(-len(trained) * count // workers) - around(place, solved)
            for count in ([seeds] if seeds else SEEDS)
        }
        count = max((count for count, share in shares.items() if share >= LONG), default=min(shares))
        file.write_text(json.dumps({"seeds": count, "seconds": max(LEAST, shares[count])}))
        budget = noted(file)
    cells = [Cell(one, seed + k, budget["seconds"]) for k in range(budget["seeds"]) for one in trained]
    run(place, [cell for cell in cells if found(place, cell.name) is None], workers, threads, JUDGE, say)


def around(place: Path, solved: Sequence[Cell]) -> float:
    """The seconds that a cell needs beside its learning: as many as those needed that were solved, on these data and this machine."""
    told = [one[0] for cell in solved if (one := found(place, cell.name)) is not None]
    judged = [facts["seconds"] - facts["learning"] for facts in told if facts.get("learning") is not None]
    return max(AROUND, BEGIN + max(judged, default=0.0))


def spent(place: Path | None, seconds: float) -> float:
    """The seconds of all calls that worked on this comparison."""
    file = None if place is None else place / "spent.json"
    before = file and noted(file) or 0.0
    if file is not None:
        file.write_text(json.dumps(before + seconds))
    return round(before + seconds, 1)


def crew(workers: int) -> tuple[int, int]:
    """How many processes, of how many threads each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = workers or max(1, min(cores, 8))
    most = int(os.environ.get("OMP_NUM_THREADS") or cores)
    return workers, max(1, min(cores // workers, most))


def stand(place: Path, entrant: Entrant, limitless: bool = False) -> Stand:
    """What the seeds of an entrant left."""
    names = sorted(
        path.name
        for path in place.glob(f"{entrant.name}-*")
        if path.suffix != ".pf" and (path / "facts.json").is_file()
    )
    left = [one for name in names if (one := found(place, name)) is not None and one[0]["name"] == entrant.name]
    rows = [rows["nats"] for _, rows in left if "nats" in rows and not limitless]
    return Stand(entrant, [facts for facts, _ in left], rows, limitless)
