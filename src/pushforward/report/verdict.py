"""The verdict: three sentences by rule, from the numbers, with the number behind each. What is not known says why.

    likelihood   Good: surely ahead of every baseline   Fair: no surer than chance   Poor: surely behind one, or rows held impossible
    samples      by the AUC of a classifier, if it was asked: Good below 0.55, Fair below 0.75, else Poor; Fair at best where only a linear one
                 was asked and MMD² finds a difference (p <= 0.05);
                 else by MMD²: Good where no difference is found (p > 0.05), Fair below 0.01, else Poor
    copies       Good: no more than among real rows that the model has not seen   Poor: surely more

Surely: by more than two standard errors. The thresholds are conventions, and the numbers beside them are what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

from ..metrics.estimate import Estimate
from .case import Case
from .sections.chances import Lead

TOLD, SEEN = 0.55, 0.75  # AUC up to which samples are hardly, or sometimes, told apart
APART = 0.01  # MMD² from which a difference is large
FEW = 0.01  # share of broken rows from which the samples are called poor
NEARER = 0.55  # share of samples nearer to the training than to unseen rows from which they are called too near


@dataclass(frozen=True)
class Verdict:
    """One sentence and the word for it."""

    about: str  # likelihood, samples, copies
    word: str  # Good, Fair, Poor, Not known
    said: str

    @property
    def label(self) -> str:
        return f"{self.about.capitalize()}: {self.word.lower()}"

    def to_json(self) -> dict[str, str]:
        return {"about": self.about, "verdict": self.word, "said": self.said}


def verdicts(case: Case, facts: dict[str, Any]) -> list[Verdict]:
    return [likely(case, facts), drawn(case, facts), copied(case, facts)]


# ---- likelihood ----------------------------------------------------------------------------------------------------------
def likely(case: Case, facts: dict[str, Any]) -> Verdict:
    own = case.results.get("likelihood")
    if own is None:
        return Verdict(
            "likelihood",
            "Not known",
            f"How likely it holds new rows is not known: {facts['likelihood'].get('not_known')}",
        )
    if own.by == "energy":
        why = "it gives an energy, and the constant that makes it a likelihood is not known."
        return Verdict("likelihood", "Not known", f"How likely it holds new rows is not known, because {why}")
    shared = facts["data"]["rows_also_in_training"]
    if shared and shared > len(case.x) / 2:
        why = f"{shared:,} of the {len(case.x):,} rows that it was judged on are rows that it learned from. Judge it on others."
        return Verdict("likelihood", "Not known", f"How likely it holds new rows is not known: {why}")
    if own.broken or own.impossible:
        what = f"NaN or infinity for {own.broken:,}" if own.broken else f"probability 0 to {own.impossible:,}"
        return Verdict(
            "likelihood", "Poor", f"It gives {what} of {len(own.values):,} rows that it was judged on{heart(case)}."
        )
    value = f"{own.mean:.4g}{f' ± {own.stderr:.2g}' if own.stderr is not None else ''} nats a row, {own.kind}"
    leads = [one for one in case.results.get("leads", []) if one.rows and isfinite(one.nats)]
    if not leads:
        why = "no baseline could be compared with" if case.baselines else "no baseline was passed"
        return Verdict(
            "likelihood",
            "Not known",
            f"It gives new rows {value}. Whether that is much is not known, because {why}{heart(case)}.",
        )
    word, said = against(min(leads, key=lambda one: one.nats), own.says, len(leads))
    return Verdict("likelihood", word, f"{said} It gives {value}{heart(case)}.")


def against(rival: Lead, says: str, count: int) -> tuple[str, str]:
    """The model beside the strongest baseline."""
    gap = f"{abs(rival.nats):.3g} ± {rival.error:.2g} nats a row"
    if rival.sure and rival.nats > 0:
        all_ = "every baseline; the best of them is " if count > 1 else ""
        return "Good", f"It explains new rows better than {all_}{rival.name}, by {gap}."
    if rival.sure and says == "at least":
        return "Not known", f"Its lower bound lies {gap} below {rival.name}; its true likelihood may be higher."
    if rival.sure:
        name = f"{rival.name[0].upper()}{rival.name[1:]}"
        return "Poor", f"{name} explains new rows better, by {gap}: it is enough, or this model needs more training."
    return "Fair", f"It explains new rows no better than {rival.name}: the difference of {gap} is within the error."


def heart(case: Case) -> str:
    """A word on rows that are known by heart."""
    gap, error = case.results.get("overfit", (0.0, 1.0))
    return f", and is {gap:.3g} ± {error:.2g} nats likelier on rows that it learned from" if gap > 2 * error else ""


# ---- samples -------------------------------------------------------------------------------------------------------------
def drawn(case: Case, facts: dict[str, Any]) -> Verdict:
    if case.draw is None:
        return Verdict(
            "samples", "Not known", f"How good its samples are is not known: {facts['quality']['not_known']}"
        )
    whole, count = len(case.fake), len(case.fake) + case.broken
    if case.broken > FEW * count:
        why = "they hold NaN, infinity or values that the data cannot have."
        return Verdict("samples", "Poor", f"{case.broken:,} of {count:,} drawn rows are not whole: {why}")
    aside = f" {case.broken:,} of {count:,} drawn rows were not whole and are set aside." if case.broken else ""
    tests, mmd = aucs(case), distance(case)
    if tests:
        word, said = told_apart(tests, mmd)
    elif mmd is not None:
        word, said = apart(mmd, whole)
    else:
        word = "Not known"
        said = f"How good its samples are is not known, because no measure could be had of {whole:,} samples."
    return Verdict("samples", word, said + aside)


def aucs(case: Case) -> dict[str, Estimate]:
    """How well each classifier that was asked tells samples from real rows, by name."""
    found = case.results.get("c2st")
    return {name: one for name, one in found.estimates.items() if name.endswith("auc")} if found else {}


def distance(case: Case) -> Estimate | None:
    found = case.results.get("mmd")
    return found.estimates["mmd"] if found else None


def told_apart(tests: Mapping[str, Estimate], mmd: Estimate | None) -> tuple[str, str]:
    """By the sharpest classifier. A linear one alone is a weak witness: what MMD² finds beside it counts."""
    auc = max(tests.values(), key=lambda one: one.value)
    word = "Good" if auc.value < TOLD else "Fair" if auc.value < SEEN else "Poor"
    how = {"Good": "hardly tells", "Fair": "sometimes tells", "Poor": "mostly tells"}[word]
    error = f" ± {auc.stderr:.2g}" if isfinite(auc.stderr) else ""
    linear = all("logistic" in name for name in tests)
    said = f"A {'linear ' if linear else ''}classifier {how} samples from real rows: AUC {auc.value:.3g}{error}, where 0.5 is guessing and 1 is certainty."
    if linear and word == "Good" and mmd is not None and (mmd.p_value or 0.0) <= 0.05:
        return "Fair", f"{said} Yet they differ by more than chance {numbers(mmd)}."
    return word, said


def apart(mmd: Estimate, rows: int) -> tuple[str, str]:
    """By MMD² alone."""
    if (mmd.p_value or 0.0) > 0.05:
        found = f"No difference between {rows:,} samples and real rows was found"
        return "Good", f"{found} {numbers(mmd)}; more rows might show one."
    word = "Fair" if mmd.value < APART else "Poor"
    return word, f"Samples differ from real rows by more than chance {numbers(mmd)}."


def numbers(mmd: Estimate) -> str:
    return f"(MMD² {mmd.value:.3g}, floor {mmd.floor or 0.0:.2g}, p = {mmd.p_value:.3g})"


# ---- copies --------------------------------------------------------------------------------------------------------------
def copied(case: Case, facts: dict[str, Any]) -> Verdict:
    found = case.results.get("copies")
    if found is None:
        return unknown_copies(facts["privacy"]["not_known"])
    made, samples, among, rows = found
    if samples == 0:
        return unknown_copies("no drawn row is whole.")
    if among > rows / 2 and case.space.measure != "counting":
        that = f"{among:,} of {rows:,} rows that it was judged on are themselves rows of the training"
        return unknown_copies(f"{that}, so there is nothing to compare with.")
    pooled = (made + among) / (samples + rows)
    error = sqrt(pooled * (1 - pooled) * (1 / samples + 1 / rows))
    words = f"{made:,} of {samples:,} samples are training rows to the last digit ({among:,} of {rows:,} real rows that were judged are)"
    if made / samples > among / rows + 2 * error and made > 1:
        return Verdict("copies", "Poor", f"It copies: {words}.")
    near = nearer(case)
    if near is None:
        return Verdict("copies", "Good", f"No more copies than chance makes: {words}.")
    sure = near.value - 2 * (near.stderr if isfinite(near.stderr) else 0.0) > 0.5
    if sure and near.value > NEARER:
        words = f"Its samples lie too near to rows that it learned from: {percent(near)}, where 50 is clean; {words}."
        return Verdict("copies", "Poor", words)
    return Verdict("copies", "Good", f"No sign of copying: {percent(near)}, where 50 is clean; {words}.")


def unknown_copies(why: str) -> Verdict:
    return Verdict("copies", "Not known", f"Whether its samples copy rows that it learned from is not known: {why}")


def nearer(case: Case) -> Estimate | None:
    """The share of samples that are nearer to the training than to as many unseen rows, where it was measured."""
    found = case.results.get("privacy")
    return (
        next((one for name, one in found.estimates.items() if "nearer" in name or "nearer" in one.name), None)
        if found
        else None
    )


def percent(near: Estimate) -> str:
    error = f" ± {100 * near.stderr:.2g}" if isfinite(near.stderr) else ""
    return f"{100 * near.value:.3g}{error} of 100 samples are nearer to a training row than to an unseen one"
