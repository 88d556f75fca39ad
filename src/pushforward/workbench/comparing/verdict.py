"""What to take, in words, each with the number behind it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite

from .standing import CLEAR, Stand, apart, clearly, ranked, top

HASTE = 30.0  # seconds of learning below which an order may still change
ENOUGH = 0.02  # of the area under the curve, by which samples must differ for one model to be called better at them


def verdict(stands: list[Stand]) -> list[str]:
    """Sentences, the most important first."""
    said = likelihoods(stands)
    said = [*said[:1], *hurried(stands), *said[1:], *samples(stands), *memories(stands), *failures(stands)]
    return said or ["No model came to an end, so nothing can be said."]


def hurried(stands: Sequence[Stand]) -> list[str]:
    """A word where models that take steps had next to no time."""
    short = [
        cell["learning"]
        for one in stands
        for cell in one.done
        if not one.entrant.solved and cell.get("reason") == "time"
    ]
    if not short or min(short) >= HASTE:
        return []
    return [
        f"Models that take steps had {min(short):.0f} s each to learn. That is little: their order may change with more time."
    ]


def likelihoods(stands: list[Stand]) -> list[str]:
    group = top(stands)
    if not group:
        why = (
            "A density of these data has no limit"
            if stands and stands[0].limitless
            else "No model here can say how likely a row is"
        )
        return [f"{why}, so they are compared by their samples alone."] if any(s.done for s in stands) else []
    best, margins = (
        group[0],
        [one for one in ranked(stands) if one.entrant.baseline == "marginals" and one.values is not None],
    )
    said = []
    beaten = bool(margins) and all(clearly(best, one) for one in margins)
    structured = [one for one in ranked(stands) if one.entrant.baseline != "marginals" and one.done and one.kind]
    if margins and not (beaten and best.entrant.baseline != "marginals"):
        said.append(independent(margins[0], structured))
    elif best.entrant.baseline:
        said.append(
            f"{'In so short a time a' if hurried(stands) else 'A'} simple model is enough: nothing is likelier than the baseline {best.name} "
            f"({best.entrant.why}), {against(best, margins)}."
        )
    else:
        plain = next((one for one in group[1:] if one.entrant.baseline or one.entrant.solved), None)
        said.append(
            f"By likelihood, take {best.name}: {best.nats:.3f} ± {best.stderr:.2g} nats a row, {against(best, margins)}."
        )
        if plain is not None:
            said.append(
                f"{plain.name} is not told apart from it ({gap(best, plain)}) and is simpler: {plain.entrant.why}."
            )
    rest = [one.name for one in group[1:]]
    if rest:
        said.append(f"Within two errors of the best: {', '.join(rest)}.")
    bounds = [one.name for one in stands if one.kind == "lower bound"]
    if bounds:
        said.append(
            f"Of {', '.join(bounds)} only a lower bound is known: it may be likelier than it stands here, and is not less likely."
        )
    return said


def independent(margin: Stand, structured: list[Stand]) -> str:
    words = "Nothing beats the marginals: no model is clearly likelier than one that takes every column by itself"
    if structured:
        words += f" (the nearest, {structured[0].name}: {gap(structured[0], margin)})"
    reasons = ["the columns do not depend on each other", "there are too few rows to see how"]
    if any(not one.entrant.solved for one in structured):
        reasons.append("the models had too little time")
    if any(one.kind == "lower bound" for one in structured):
        reasons.append("a likelihood is higher than its bound")
    return f"{words}. Either {', or '.join(reasons)}."


def gap(a: Stand, b: Stand) -> str:
    """a less b in words."""
    value, error = apart(a, b)
    if not isfinite(value):
        return (
            "rows that one holds to be impossible decide" if value in (inf, -inf) else "the difference is not defined"
        )
    return f"{value:+.3f} ± {error:.2g} nats a row"


def against(best: Stand, margins: list[Stand]) -> str:
    if not margins:
        return "the highest of all"
    value, error = apart(best, margins[0])
    if not isfinite(value):
        return "while columns by themselves hold some rows to be impossible"
    return f"{value:.3f} ± {error:.2g} more than columns by themselves"


def samples(stands: list[Stand]) -> list[str]:
    drawn = [(one.mean("told apart"), one) for one in stands if one.done and one.entrant.baseline != "copy"]
    # Below 0.5 is chance as much as a little above it.
    known = sorted(
        ((value, error, one) for (value, error), one in drawn if isfinite(value)), key=lambda row: max(row[0], 0.5)
    )
    if not known:
        return []
    value, error, best = known[0]
    alike = [
        one.name for v, e, one in known[1:] if max(v, 0.5) - max(value, 0.5) < max(ENOUGH, 2 * (e**2 + error**2) ** 0.5)
    ]
    words = f"By its samples, {best.name} comes nearest: a classifier tells them from real rows with an AUC of {value:.3f} ± {error:.2g}, where 0.5 is chance"
    copy = next(
        (one.mean("told apart")[0] for one in stands if one.entrant.baseline == "copy" and one.done), float("nan")
    )
    words += f" (the training rows themselves: {copy:.3f})" if isfinite(copy) else ""
    return [words + (f". Much alike: {', '.join(alike)}." if alike else ".")]


def memories(stands: list[Stand]) -> list[str]:
    near = []
    for one in stands:
        value, error = one.mean("copied")
        if one.entrant.baseline != "copy" and isfinite(value) and value > max(CLEAR * error, 0.1):
            near.append(f"{one.name} ({100 * min(value, 1):.0f} %)")
    if not near:
        return []
    return [
        f"Samples are copies of rows that were learned from, more than chance gives: {', '.join(near)}. Do not share them unseen."
    ]


def failures(stands: list[Stand]) -> list[str]:
    said = [f"{one.name} holds {one.impossible:,} of {len(one.values):,} test rows to be impossible." for one in stands
            if one.impossible and one.values is not None and one.entrant.baseline != "copy"]  # fmt: skip
    said += [
        f"{one.name} drew {cell['broken']:,} of {cell['drawn']:,} rows with numbers that are not finite: something in it is broken."
        for one in stands
        for cell in one.done[:1]
        if cell.get("broken")
    ]
    lost = [f"{one.name} did not come to an end: {one.said}" for one in stands if not one.done]
    return [*said, *lost]
