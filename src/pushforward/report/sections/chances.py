"""How likely the model holds rows that it has not seen: with its kind, its error, and simple models beside it."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import torch

from ...errors import Problem, Unable
from ...metrics.calibration import Ranks
from ...metrics.calibration import ranks as rank
from ...metrics.estimate import Estimate
from ...metrics.likelihood import BEST, WAYS, Likelihood, likelihood, paired, unlike
from .. import overlays, page
from ..case import Case

MORE = 5  # times the rows that measures look at, for a mean over rows costs little
TIGHT = 500  # rows of an estimate by sampling
RANKED = 12  # columns whose ranks are drawn
DRAWS = 9  # of the model beside each real value


@dataclass(frozen=True)
class Lead:
    """By how many nats a row the model is ahead of a baseline, on rows that both hold possible."""

    name: str
    nats: float
    error: float
    rows: int
    left_out: int  # rows that the baseline alone holds to be impossible
    of_model: int  # rows that the model holds to be impossible
    estimate: Estimate

    @property
    def sure(self) -> bool:
        return abs(self.nats) > 2 * self.error

    def to_json(self) -> dict[str, Any]:
        number = {"nats": self.nats, "stderr": self.error}
        known = {key: x if np.isfinite(x) else None for key, x in number.items()}
        return known | {"rows": self.rows, "impossible_for_baseline": self.left_out, "paired": self.estimate.to_json()}


def chances(case: Case, sheet: page.Page) -> dict[str, Any]:
    """Likelihoods, of the model and of baselines, on the same rows."""
    sheet.section("Likelihood", "likelihood").meaning(
        "How likely the model holds rows that it has not seen, in nats a row: higher is better, and a difference of 1 means e ≈ 2.7 times "
        "as likely. Good: clearly above every baseline, and about the same on rows of the training as on others."
    )
    if not any(way in case.model.abilities for way in WAYS):
        why = str(case.model.reason("log_prob"))
        sheet.text(f"Not known: {why}")
        return {"not_known": why}
    rows = case.chosen(len(case.x), MORE * case.most, "rows")
    try:
        own = likelihood(case.model, case.x[rows], given=case.condition(rows), seed=case.seed)
    except Problem as problem:
        sheet.text(f"Not known: {problem}")
        return {"not_known": str(problem)}
    case.results["likelihood"] = own
    table, facts = [line("this model", own)], {"model": own.to_json()}
    told = tighter(case, own, table, facts) | known(case, own, table, facts) | beside(case, own, rows, table, facts)
    sheet.table(
        table,
        caption=f"Nats against the {own.measure} measure" if own.by != "energy" else "Energies, which lack a constant",
    )
    for note in own.notes:
        sheet.text(f"{note[0].upper()}{note[1:]}.", soft=True)
    for words in told.values():
        sheet.text(words)
    return facts


def line(name: str, found: Likelihood) -> dict[str, Any]:
    mean, error = page.measured(-found.mean if found.by == "energy" else found.mean, found.stderr)
    row: dict[str, Any] = {"what": name, "nats a row": mean, "±": error}
    if found.discrete:
        row["bits a variable"] = found.bits
    kind = "up to a constant" if found.by == "energy" else found.kind
    return row | {"kind": kind, "rows": len(found.values), "impossible": found.impossible}


def tighter(case: Case, own: Likelihood, table: list[dict[str, Any]], facts: dict[str, Any]) -> dict[str, str]:
    """A tighter statement on fewer rows, where the model has one that costs more."""
    best = next(way for way in BEST if way in case.model.abilities)
    if case.quick or best == own.by:
        return {}
    rows = case.chosen(len(case.x), TIGHT, "shown")
    try:
        found = likelihood(case.model, case.x[rows], given=case.condition(rows), by=best, seed=case.seed)
    except Problem as problem:
        return {"tighter": f"A tighter estimate is not known: {problem}"}
    table.append(line("this model, a tighter estimate", found))
    facts["tighter"] = found.to_json()
    return {}


def known(case: Case, own: Likelihood, table: list[dict[str, Any]], facts: dict[str, Any]) -> dict[str, str]:
    """The same on rows of the training."""
    if case.train is None:
        return {
            "training": "Whether the model likes the rows that it learned from better than others is not known: no training rows were passed."
        }
    rows = case.chosen(len(case.train), len(own.values), "train")
    there = likelihood(case.model, case.train[rows], given=case.condition(rows, known=True), by=own.by, seed=case.seed)
    table.append(line("this model, on rows it learned from", there))
    facts["training"] = there.to_json()
    if own.by == "energy" or own.stderr is None or there.stderr is None:
        return {}
    gap, error = there.mean - own.mean, sqrt(own.stderr**2 + there.stderr**2)
    case.results["overfit"] = (gap, error)
    facts["gap"] = {"nats": gap, "stderr": error}
    words = f"Rows of the training are {gap:.3g} ± {error:.2g} nats likelier than others"
    if gap > 2 * error:
        return {
            "training": f"{words}: the model has learned some of them by heart. More data, or a smaller or earlier-stopped model, would lessen it."
        }
    return {"training": f"{words}, which is within the error: no sign that the model learned its rows by heart."}


def beside(
    case: Case, own: Likelihood, rows: torch.Tensor, table: list[dict[str, Any]], facts: dict[str, Any]
) -> dict[str, str]:
    """Baselines on the same rows."""
    told: dict[str, str] = {}
    facts["baselines"], leads = {}, []
    for name, model in case.baselines.items():
        try:
            if isinstance(model, str):
                raise Problem(model)
            found = likelihood(model, case.x[rows], seed=case.seed)
            if why := unlike(own, found):
                raise Problem(why)
            one = lead(name, own, found)
        except Problem as problem:
            told[name] = f"Beside {name}: not known, because {problem}"
            facts["baselines"][name] = {"not_known": str(problem)}
            continue
        table.append(line(name, found))
        leads.append(one)
        facts["baselines"][name] = found.to_json() | {"lead": one.to_json()}
        told[name] = said(one)
    if not case.baselines:
        told["baselines"] = "There is no baseline to compare with: none was passed."
    case.results["leads"] = leads
    return told


def lead(name: str, own: Likelihood, other: Likelihood) -> Lead:
    """The model before a baseline, row by row."""
    with np.errstate(invalid="ignore"):
        gaps = own.values - other.values
    both = np.isfinite(own.values) & np.isfinite(other.values)
    kept = gaps[both]
    mean = float(kept.mean()) if len(kept) else float("nan")
    error = float(kept.std(ddof=1) / sqrt(len(kept))) if len(kept) > 1 else float("nan")
    lost = int((np.isneginf(other.values) & np.isfinite(own.values)).sum())
    return Lead(name, mean, error, len(kept), lost, own.impossible, paired(own, other))


def said(one: Lead) -> str:
    if not one.rows:
        return f"No row is possible for both this model and {one.name}."
    direction = "ahead of" if one.nats > 0 else "behind"
    words = f"The model is {abs(one.nats):.3g} ± {one.error:.2g} nats a row {direction} {one.name}"
    if one.left_out:
        rows = "1 row" if one.left_out == 1 else f"{one.left_out:,} rows"
        words += f", not counting {rows} that {one.name} holds impossible, which is in its favour"
    return f"{words}."


def calibration(case: Case, sheet: page.Page) -> dict[str, Any]:
    """Where real values stand among draws, column by column: the probability integral transform by ranks."""
    sheet.section("Calibration", "calibration").meaning(
        f"Where each real value stands among {DRAWS} draws of the model, from below all to above all. Good: level bars inside the grey band. "
        "High ends: the model is too narrow; a hump in the middle: too wide; a slope: beside the truth."
    )
    try:
        if case.picture or case.space.kind == "tokens":
            raise Unable("an image or a text has no columns that mean something alone.")
        rows = max(case.most // (2 * DRAWS if case.quick else DRAWS // 2), 20)
        found = rank(case.model, case.real, "sample", DRAWS, rows, given=case.condition(case.rows), seed=case.seed)
    except Problem as problem:
        sheet.text(f"Not known: {problem}")
        return {"not_known": str(problem)}
    sheet.row([histograms(found)])
    return found.to_json()


def histograms(found: Ranks) -> str:
    """The rank histograms of the columns that are least level."""
    likely = [1.0 if one.p_value is None else one.p_value for one in found.estimates]
    shown = sorted(sorted(range(len(likely)), key=likely.__getitem__)[:RANKED])
    names, n, bins = [found.columns[j] for j in shown], int(found.together.n[0]), 1 / (DRAWS + 1)
    wide = 2 * sqrt(bins * (1 - bins) / max(n, 1))
    p, columns = found.together.p_value or 0.0, len(likely)
    if p > 0.01:
        words = f"No column is clearly out of level (p = {p:.2g} over {columns} columns, {n:,} rows)."
    else:
        words = (
            f"{sum(q < 0.01 for q in likely)} of {columns} columns are out of level, at {n:,} rows: {shapes(found)}."
        )
    caption = words + (f" The {len(shown)} least level of {columns} columns." if len(shown) < columns else "")
    png = overlays.ranks(found.shares[shown], (bins - wide, bins + wide), names)
    return page.picture(png, f"Rank histograms of {', '.join(names)}. {caption}", caption, 175 * min(4, len(names)))


def shapes(found: Ranks) -> str:
    """What the worst columns look like, in words."""
    rows = zip(found.columns, found.estimates, found.shapes, strict=True)
    worst = sorted((row for row in rows if (row[1].p_value or 0.0) < 0.01), key=lambda row: row[1].p_value or 0.0)
    return "; ".join(f"{name} ({what})" for name, _, what in worst[:3])
