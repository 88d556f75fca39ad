"""Who takes part: baselines that any model must beat, and of each family what suits these data. See docs/comparing.md for the reasons.

What a system is good at is told here, by name, once; everything after asks for abilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ... import catalogue
from ...errors import BadData, Usage
from ...space import Space

MANY = 50_000  # rows beyond which what compares with every row is left out
WIDE = 200  # variables beyond which a covariance, or a map of each pair, is left out
IMAGE = 8  # pixels of the side from which a picture is a picture


@dataclass(frozen=True)
class Entrant:
    """A system with its fields, and why it is here."""

    name: str
    model: str
    why: str
    baseline: str = ""  # marginals, gaussian, mixture, copy; "" for a contender
    fields: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    limit: float = 60.0  # seconds that one which is solved at once should need at most

    @property
    def solved(self) -> bool:
        return hasattr(catalogue.find(self.model), "solve")


Fits = Callable[[Space, int], bool]


def few(space: Space, n: int) -> bool:
    return space.size <= WIDE


def picture(space: Space, n: int) -> bool:
    return len(space.shape) == 3 and min(space.shape[1:]) >= IMAGE


def vector(space: Space, n: int) -> bool:
    return not picture(space, n) and space.size > 1


def small(space: Space, n: int) -> bool:
    return n <= MANY and few(space, n)


def always(space: Space, n: int) -> bool:
    return True


# (kinds of data, when, the entrant), in the order in which they are begun
BASELINES: tuple[tuple[tuple[str, ...], Fits, Entrant], ...] = (
    (("binary", "levels", "tokens"), always, Entrant("marginals", "Factorised", "every variable by itself", "marginals", {"smooth": 0.5})),
    (("real", "table"), always, Entrant("marginals", "Copula", "every column by itself", "marginals", {"tied": False})),
    (("real",), few, Entrant("independent Gaussians", "GaussianMixture", "a bell for every column by itself", "marginals",
                             {"components": 1, "covariance": "diagonal"})),
    (("real", "table"), few, Entrant("Gaussian", "Gaussian", "one bell: means and correlations", "gaussian")),
    (("real", "table"), few, Entrant("mixture", "GaussianMixture", "ten bells", "mixture", {"components": 10})),
    (("binary",), always, Entrant("mixture", "BernoulliMixture", "twenty typical examples", "mixture", {"components": 20})),
    (("tokens",), always, Entrant("Markov", "Markov", "each symbol by the one before it", "mixture", {"smooth": 0.1})),
    (("real", "binary", "levels", "tokens", "table"), always,
     Entrant("copy", "Empirical", "rows of the training data, drawn again: what memorising looks like", "copy")),
)  # fmt: skip
CONTENDERS: tuple[tuple[tuple[str, ...], Fits, Entrant], ...] = (
    (("table", "real"), vector, Entrant("Copula", "Copula", "margins by themselves, one bell for how they hang together")),
    (("table", "binary"), few, Entrant("Chow-Liu tree", "BayesNet", "each column by one other", fields={"smooth": 0.5})),
    (("real",), few, Entrant("Gaussianization", "Gaussianization", "rotations and curves in turns, without gradients")),
    (("real",), small, Entrant("kernels", "KernelDensity", "a bell around every training row")),
    (("binary", "levels"), picture, Entrant("MADE", "MADE", "one pixel after another", fields={"hidden": (500,)}, recipe={"lr": 2e-3, "clip": 5.0})),
    (("real", "binary", "levels", "table"), few, Entrant("MADE", "MADE", "one column after another, mixed columns and gaps included",
                                                            recipe={"lr": 2e-3, "clip": 5.0})),
    (("real",), lambda s, n: vector(s, n) and few(s, n), Entrant(
        "MAF", "MAF", "a flow: exact densities of numbers that depend on one another",
        fields={"transforms": 4, "hidden": (128, 128), "scalar": "spline", "reach": 4.0},
        recipe={"batch": 512, "lr": 2e-3, "schedule": "cosine", "ema": 0.995, "clip": 5.0})),
    (("real",), lambda s, n: vector(s, n) and few(s, n), Entrant("RealNVP", "RealNVP", "a flow that is quick both ways")),
    (("tokens",), always, Entrant("GPT", "GPT", "a transformer that reads symbols in their order", fields={"layers": 2, "heads": 4, "width": 128})),
    (("binary",), always, Entrant("RBM", "RBM", "an energy, learned by its own samples")),
    (("real", "binary", "levels", "table"), vector, Entrant("VAE", "VAE", "a code behind each example")),
    (("binary", "levels"), picture, Entrant("VAE", "VAE", "a code behind each image")),
    (("real", "levels", "binary"), always, Entrant("GAN", "GAN", "samples without a likelihood")),
    (("table",), always, Entrant("TabularGAN", "TabularGAN", "samples of mixed columns without a likelihood")),
)  # fmt: skip


def panel(space: Space, n: int, names: Sequence[str] = ()) -> list[Entrant]:
    """The baselines, and the contenders: those that suit n rows of a space, or those that are named."""
    found = [
        one for kinds, fits, one in BASELINES if space.kind in kinds and fits(space, n) and takes(one.model, space)
    ]
    if names:
        asked = {catalogue.plain(name) for name in names}
        return [
            *(one for one in found if catalogue.plain(one.name) not in asked),
            *(named(name, space) for name in names),
        ]
    taken: set[str] = set()
    for kinds, fits, one in CONTENDERS:
        if space.kind in kinds and fits(space, n) and one.name not in taken and takes(one.model, space):
            taken.add(one.name)
            found.append(one)
    return found


def takes(model: str, space: Space) -> bool:
    kind = catalogue.find(model)
    whole = kind.gaps or not any(c.missing and not c.discrete for c in space.columns)
    return space.kind in kind.spaces and whole


def named(name: str, space: Space) -> Entrant:
    """An entrant that somebody asked for: as the panel has it where it is there, else the system as it comes."""
    for _, _, one in CONTENDERS:
        if catalogue.plain(one.name) == catalogue.plain(name) and space.kind in catalogue.find(one.model).spaces:
            return one
    kind = catalogue.find(name)
    if space.kind not in kind.spaces:
        fitting = [n for n in catalogue.names() if space.kind in catalogue.find(n).spaces]
        raise BadData(
            f"{kind.__name__} takes {', '.join(kind.spaces)} examples; these are {space}. These take them: {', '.join(fitting)}."
        )
    about = (kind.about if hasattr(kind, "about") else kind.__doc__ or "").strip().split("\n")[0]
    return Entrant(kind.__name__, kind.__name__, about)


def chosen(models: str | Sequence[str]) -> list[str]:
    """`auto` or names -> names; none for auto.

    >>> chosen("MADE, VAE")
    ['MADE', 'VAE']
    """
    words = models.split(",") if isinstance(models, str) else list(models)
    names = [word.strip() for word in words if word.strip()]
    if names in ([], ["auto"]):
        return []
    if "auto" in names:
        raise Usage("models: `auto`, or names; not both. Without names a panel across the families is chosen.")
    plain = [catalogue.plain(name) for name in names]
    twice = next((name for name, word in zip(names, plain, strict=True) if plain.count(word) > 1), None)
    if twice:
        raise Usage(f"models: {twice!r} stands twice. Name each once.")
    return names
