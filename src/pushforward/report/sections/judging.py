"""How good the samples are, by measures with their floors; and whether they give away rows that the model learned from."""

from __future__ import annotations

from typing import Any

from .. import page
from ..case import Case
from ..measures import MEASURES, PRIVACY, Found, applies, asked
from ..rows import copies

HEAD = 4  # numbers of one measure before the fold


def quality(case: Case, sheet: page.Page) -> dict[str, Any]:
    """Every measure that applies, in one table, with what each says."""
    sheet.section("Quality of the samples", "quality").meaning(
        "How far the samples are from real rows, by several measures. The floor is what the same measure gives for two sets of one law: "
        "good is a value near its floor. A value below zero or below the floor is chance."
    )
    if case.draw is None:
        why = str(case.model.reason("sample"))
        sheet.text(f"Not known: {why}")
        return {"not_known": why}
    return told(case, sheet, MEASURES)


def told(case: Case, sheet: page.Page, measures: Any, head: int = HEAD) -> dict[str, Any]:
    """The numbers of some measures, what each means, and why others are not there."""
    found = [asked(measure, case) for measure in measures]
    case.results |= {one.measure.name: one for one in found if not one.why}
    parts = [one.lines() for one in found]
    rows, more = ([row for part in parts for row in part[piece]] for piece in (slice(0, head), slice(head, None)))
    if rows:
        sheet.table(rows, caption="Measures, their errors and floors")
    if more:
        sheet.fold(f"{len(more)} more numbers", [page.table(more, caption="More numbers")])
    for one in found:
        if not one.why:
            sheet.text(one.measure.says, soft=True)
    lost = [one for one in found if one.why]
    for one in lost:
        if not applies(one.measure, case):  # it was asked and could not answer
            sheet.text(f"{one.measure.title}: not known, because {one.why}")
    protocols = [protocol(one) for one in found if one.estimates]
    if protocols:
        sheet.fold("How each number was made", protocols)
    left = [{"measure": one.measure.title, "left out because": one.why} for one in lost if applies(one.measure, case)]
    if left:
        sheet.fold(f"{len(left)} measures that are not for these data", [page.table(left)])
    return {one.measure.name: one.to_json() for one in found}


def protocol(found: Found) -> str:
    """The numbers of a measure with all that they say of themselves."""
    return page.quotes([str(estimate) for estimate in found.estimates.values()], found.measure.title)


def privacy(case: Case, sheet: page.Page) -> dict[str, Any]:
    """Whether samples lie nearer to rows of the training than they should."""
    sheet.section("Copies and privacy", "privacy").meaning(
        "Whether the samples give away rows that the model learned from, compared with real rows that it has not seen. Good: no copies beyond "
        "those that real rows make by chance, and samples as near to unseen rows as to those of the training. "
        "This is no guarantee: it sees copies, not every way of finding out about a person."
    )
    if case.draw is None or case.train is None:
        why = str(case.model.reason("sample")) if case.draw is None else "no training rows were passed (--train FILE)."
        sheet.text(f"Not known: {why}")
        return {"not_known": why}
    made, real, drawn = copies(case.fake, case.train), copies(case.real, case.train), len(case.fake)
    case.results["copies"] = (made, drawn, real, len(case.real))
    sheet.text(
        f"{made:,} of {drawn:,} samples are training rows to the last digit; of {len(case.real):,} real rows that it was judged on, {real:,} are."
    )
    return {"copies": made, "samples": drawn, "copies_among_real_rows": real, "real_rows": len(case.real)} | told(
        case, sheet, PRIVACY, 2 * HEAD
    )
