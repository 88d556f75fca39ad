"""How the training went: curves, how it ended, what the model itself says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ... import noise
from ...engine.stepping import schedule
from ...model import Model
from .. import overlays, page, pictures
from ..case import Case

ENDS = {
    "steps": "It ended because all steps were taken.",
    "time": "It ended because its time was over; it may still have been learning.",
    "patience": "It ended because held-out rows had stopped getting likelier; the best model was kept.",
    "callback": "It was ended by a callback.",
    "interrupted": "It was interrupted; more training would probably help.",
    "terminated": "It was terminated; more training would probably help.",
    "solved": "There were no steps: the model is solved in closed form, so there is no curve.",
}
STALE = 0.1  # share of the steps at the end in which the best validation means that it was still improving


def training(case: Case, sheet: page.Page) -> dict[str, Any]:
    """The curves of a run and how it ended."""
    model = case.model
    history = [entry for entry in getattr(model, "history_", []) if "step" in entry]
    outcome = getattr(model, "outcome_", {})
    sheet.section("Training", "training").meaning(
        "How the model learned. Good: the curve of held-out rows falls and then stays level, close to that of the training. "
        "If it rises again, the model learns its rows by heart; if it still falls at the end, more steps would help."
    )
    reason = str(outcome.get("reason", ""))
    sheet.text(ENDS.get(reason, f"How it ended is not known{f' ({reason})' if reason else ''}."))
    told = ending(outcome)
    sheet.facts(told)
    drawn = curves(case, history)
    if drawn:
        sheet.row([drawn])
    elif reason != "solved":
        sheet.text(
            "There is no curve: the journal of the training is not with the model, or it holds fewer than two entries.",
            soft=True,
        )
    said = [str(entry["said"]) for entry in getattr(model, "history_", []) if "said" in entry]
    if said:
        sheet.fold(f"What was said while it trained ({len(said)})", [page.quotes(said[-40:])])
    return {
        "ended_by": reason or None,
        **{k: v for k, v in outcome.items() if k != "read"},
        "curve": thinned(history),
        "said": said[-40:],
    }


def ending(outcome: dict[str, Any]) -> dict[str, Any]:
    step, best, best_step = (outcome.get(name) for name in ("step", "best", "best_step"))
    late = ""
    if best is not None and step and best_step is not None:
        late = ", so near the end that more steps may help" if best_step > (1 - STALE) * step else ""
    return {
        "steps": f"{step:,}" if step else None,
        "seconds": f"{outcome['seconds']:.1f}" if isinstance(outcome.get("seconds"), float) else None,
        "best held-out": None if best is None else f"{-best:.5g} nats a row at step {best_step:,}{late}",
    }


def curves(case: Case, history: list[dict[str, Any]]) -> str:
    """The picture of the training, in nats of the data where the loss is a likelihood."""
    model = case.model
    if likely(model):
        png = overlays.training(history, shift(case), rates(model, history))
        words = (
            "−log p in nats a row: grey for the rows of the training steps, blue for rows held out. Lower is better."
        )
        if rates(model, history) is not None:
            words += " Above: the learning rate."
    else:
        png = pictures.curve(history)
        words = (
            "The sum of the players' losses. In a game it need not fall, and its level says little."
            if model.players
            else "The loss of the training (grey, right or only axis), and −log p of held-out rows where there is one (blue)."
        )
    return (
        ""
        if png is None
        else page.picture(png, f"Training curves over {history[-1]['step']:,} steps. {words}", words, 520)
    )


def likely(model: Any) -> bool:
    """Whether the loss is minus the mean log-likelihood or bound, so that it compares with that of held-out rows."""
    return type(model).loss is Model.loss and type(model).moves is Model.moves and bool(model.judges())


@torch.no_grad()
def shift(case: Case) -> float:
    """What the chart adds to −log p, so that a loss in the coordinates of the model is one in the units of the data."""
    with noise.stream(case.seed, dtype=case.model.dtype):
        found = case.model.enter(case.x[:512].to(case.model.device), None)[2]
    value = -float(found.double().mean())
    return value if np.isfinite(value) else 0.0


def rates(model: Any, history: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray] | None:
    """The learning rate at the steps of the journal, by the recipe; None where it never changes or is not known."""
    recipe = model.__dict__.get("_recipe")
    if recipe is None or len(history) < 2 or (recipe.schedule == "constant" and not recipe.warmup):
        return None
    last = history[-1]["step"]
    total = last if recipe.epochs or recipe.time is not None else recipe.steps
    steps = np.array([entry["step"] for entry in history])
    share = [
        min(1.0, max(entry["step"] / max(total, 1), entry.get("seconds", 0.0) / recipe.seconds)) for entry in history
    ]
    return steps, np.array([recipe.lr * schedule(recipe, int(s), p) for s, p in zip(steps, share, strict=True)])


def thinned(history: list[dict[str, Any]], most: int = 200) -> list[dict[str, Any]]:
    """Not more entries than a page needs."""
    return history[:: max(1, -(-len(history) // most))]


def diagnosis(case: Case, sheet: page.Page) -> dict[str, Any]:
    """What a model that can look at itself says: a game of two players above all."""
    kind = type(case.model)
    sheet.section("Diagnosis", "diagnosis").meaning(
        "What the model itself says of its training. Good: converged, or learning. Each other word comes with what to try."
    )
    if hasattr(kind, "diagnosis_"):
        found = case.model.diagnosis_
        if found.verdict != "unknown":
            sheet.text(str(found))
            return {
                "verdict": found.verdict,
                "said": str(found),
                "healthy": found.healthy,
                "numbers": dict(found.numbers),
            }
    remark = case.model.outcome_.get("remark", "")  # what it said when training was over
    sheet.text(remark or "This system has no diagnosis of its own: its curve and its likelihood say how it went.")
    return {"verdict": None, "said": remark or None}
