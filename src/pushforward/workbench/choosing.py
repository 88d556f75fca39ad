"""Which model for these data, and what `name=value` means for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .. import catalogue
from ..errors import BadData, Usage, did_you_mean
from ..fields import parse
from ..space import Space

FEW = 400  # rows below which a closed form is safer than a network
IMAGE = 8  # pixels of the side from which a picture is a picture

GPT = {"GPT": "a causal transformer reads symbols in their order and gives exact likelihoods"}
NETWORK = {
    "MADE": "it gives exact likelihoods of dependent columns, whole numbers, labels and missing cells together",
    "VAE": "it takes numbers, labels, dates and missing cells together",
    "Histogram": "it counts, whatever the columns are",
}
IMAGES = {
    "VAE": "its latent code holds what the images have in common",
    "MADE": "it gives exact likelihoods of dependent pixels",
}
CLOSED = {
    "GaussianMixture": "it is solved at once and does not need many rows",
    "PCA": "it is solved at once",
    "Histogram": "it only counts",
}
FLOWS = {
    "MAF": "a flow gives exact densities of numbers that depend on one another",
    "RealNVP": "a flow gives exact densities of numbers that depend on one another",
    "GaussianMixture": "it gives exact densities",
    "VAE": "it finds what the numbers have in common",
}
# (what the data are, when, the systems in order of preference and why)
PREFERENCES: tuple[tuple[str, Callable[[Space, int], bool], dict[str, str]], ...] = (
    ("lines of text", lambda s, n: s.kind == "tokens" and s.end >= 0, GPT),
    ("text in pieces of one length, where --read lines=yes takes each line", lambda s, n: s.form == "text", GPT),
    ("rows of symbols", lambda s, n: s.kind == "tokens", GPT),
    ("a table of mixed columns", lambda s, n: s.kind == "table", NETWORK),
    ("images", lambda s, n: len(s.shape) == 3 and min(s.shape[1:]) >= IMAGE, IMAGES),
    ("few rows of numbers", lambda s, n: s.kind == "real" and n < FEW, CLOSED),
    ("one number a row", lambda s, n: s.kind == "real" and s.size == 1, CLOSED),
    ("rows of numbers", lambda s, n: s.kind == "real", FLOWS),
    ("rows of whole numbers", lambda s, n: s.kind in ("binary", "levels"), NETWORK),
)


def choose(space: Space, n: int) -> tuple[str, str]:
    """A sensible model for n examples of a space, and one sentence that says why.

    >>> name, why = choose(Space("real", (1,)), 10_000)
    >>> name in catalogue.names(), why.endswith(".")
    (True, True)
    """
    known = [name for name in catalogue.names() if space.kind in catalogue.find(name).spaces]
    for what, fits, names in PREFERENCES:
        if fits(space, n):
            for name, why in names.items():
                if name in known:
                    return name, f"The data are {what} ({n:,} examples): {why}."
    if not known:
        raise BadData(f"No model of the catalogue takes {space}.")
    return known[0], f"It is the first of the catalogue that takes {space.kind} examples."


def settings(kind: type[Any], pairs: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`name=value` words -> (fields of the model, changes of its recipe). A name that both have means the field;
    `recipe.name` means the recipe's.

    >>> settings(catalogue.find("Histogram"), ["bins=10", "seed=3"])
    ({'bins': 10}, {'seed': 3})
    """
    fields: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    known = {name: getattr(kind, name) for name in kind.fields}
    recipe = vars(kind.recipe)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise Usage(f"--set {pair!r}: name=value is awaited, such as --set lr=0.001.")
        inner = name.removeprefix("recipe.")
        if name in known:
            fields[name] = parse(name, text.strip(), known[name])
        elif inner in recipe:
            changes[inner] = parse(inner, text.strip(), recipe[inner])
        else:
            hint = did_you_mean(name, [*known, *recipe])
            raise Usage(
                f"--set {name}: {kind.__name__} has no such field. Fields: {', '.join(known) or 'none'}. Training: {', '.join(recipe)}.{hint}"
            )
    kind.recipe.change(**changes)  # a value out of range is an error before the data are read
    return fields, changes


__all__ = ["choose", "settings"]
