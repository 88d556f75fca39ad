"""How a model shows itself: a summary for people, a page for notebooks, tags for scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

from .graphs import Graph


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


def graph(model: Any) -> Graph:
    """The model in plate notation. In a notebook it shows itself; `.svg()`, `.dot()`, `.save(path)`, `.separated(a, b, given)` of it do more."""
    plates = model.plates
    found = replace(Graph.read(plates) if isinstance(plates, str) else plates, title=type(model).__name__)
    condition = model.__dict__.get("_given")
    if condition is None:
        return found
    known = {node.name for node in found.nodes}
    names = list(condition.names)
    if not 0 < len(names) <= 3 or known & set(names):
        names = [next(name for name in ("given", "given (all)", "the condition") if name not in known)]
    seen = {node.name for node in found.nodes if node.kind == "observed"}
    # What hangs together with an observed variable by undirected edges depends on the condition with it.
    groups = found.components(node.name for node in found.nodes)
    touched = {name for group in groups if group & seen for name in group if found[name].kind != "parameter"}
    return found.with_parents(names, [node.name for node in found.nodes if node.name in touched])


def sklearn_tags(model: Any) -> Any:
    from sklearn.utils import InputTags, Tags, TargetTags

    vectors = "real" in model.spaces
    return Tags(
        estimator_type="density_estimator",
        target_tags=TargetTags(required=False),
        transformer_tags=None,
        classifier_tags=None,
        regressor_tags=None,
        input_tags=InputTags(two_d_array=vectors, allow_nan=model.gaps),
        requires_fit=True,
    )
