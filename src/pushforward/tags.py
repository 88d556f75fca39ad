"""How a model shows itself: a summary for people, a page for notebooks, tags for scikit-learn."""

from __future__ import annotations

from html import escape
from typing import Any


def lines(model: Any) -> list[tuple[str, str]]:
    rows = [("model", repr(model)), ("about", (type(model).__doc__ or "").strip().split("\n")[0])]
    if "_space" not in model.__dict__:
        return [*rows, ("state", "not fitted")]
    rows += [("examples", str(model.space)), ("measure", model.space.measure)]
    if model._given is not None:
        rows += [("given", ", ".join(model._given.names) or str(model._given))]
    rows += [
        ("parameters", f"{model.size():,}"),
        ("device", f"{model.device}, {str(model.dtype).removeprefix('torch.')}"),
    ]
    rows += [("can", ", ".join(f"{name} ({kind})" for name, kind in model.abilities.items()))]
    told = ", ".join(
        f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
        for k, v in getattr(model, "outcome_", {}).items()
        if v is not None
    )
    return [*rows, ("trained", told)] if told else rows


def summary(model: Any) -> str:
    """The facts of a model, a line each."""
    return "\n".join(f"{name:<11} {value}" for name, value in lines(model))


def html(model: Any) -> str:
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in lines(model)
    )
    return f"<table>{cells}</table>"


def sklearn_tags(model: Any) -> Any:
    from sklearn.utils import InputTags, Tags, TargetTags

    vectors = "real" in model.spaces
    return Tags(
        estimator_type="density_estimator",
        target_tags=TargetTags(required=False),
        transformer_tags=None,
        classifier_tags=None,
        regressor_tags=None,
        input_tags=InputTags(two_d_array=vectors),
        requires_fit=True,
    )
