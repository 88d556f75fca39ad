"""The systems by name, read from the families' `__init__.py`: one line a system, no registry.

A preset is a system with the hyper-parameters of a paper, under the name of that paper: an entry of the family's `PRESETS`,

    "NAME": {"system": …, "fields": {…}, "recipe": {…}, "about": …}

The names are read as text, so that listing them (for `--help`, completion, "did you mean") costs no import of torch.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Usage, did_you_mean

if TYPE_CHECKING:
    from .model import Model

FAMILIES = ("classical", "autoregressive", "latent", "flows", "adversarial", "energy")


@cache
def read(family: str) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """The systems and the presets that a family lists."""
    tree = ast.parse((Path(__file__).parent / "models" / family / "__init__.py").read_text())
    systems: list[str] = []
    presets: dict[str, dict[str, Any]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            systems += [alias.asname or alias.name for alias in node.names]
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["PRESETS"]:
            presets |= ast.literal_eval(node.value)
    return systems, presets


@cache
def names() -> dict[str, str]:
    """Every system and its family, in the order of the families.

    >>> names()["VAE"]
    'latent'
    """
    return {name: family for family in FAMILIES for name in read(family)[0]}


@cache
def presets() -> dict[str, Preset]:
    """Every preset by its name."""
    return {name: Preset(name, **told) for family in FAMILIES for name, told in read(family)[1].items()}


class Preset:
    """A system with the fields and the recipe of a paper; called like the system, with fields to change.

    >>> model = find("WGAN-GP")(weight=1.0)
    >>> type(model).__name__, model.penalty, model.weight, model.recipe.beta1
    ('GAN', 'gradient', 1.0, 0.0)
    """

    def __init__(self, name: str, system: str, fields: dict[str, Any], recipe: dict[str, Any], about: str):
        self.__name__, self.system, self.fields_, self.recipe_, self.about = name, system, fields, recipe, about

    def __repr__(self) -> str:
        return f"<preset {self.__name__} of {self.system}>"

    @property
    def kind(self) -> Any:
        """The class of the system."""
        return find(self.system)

    @property
    def recipe(self) -> Any:
        return self.kind.recipe.change(**self.recipe_)

    def __call__(self, **fields: Any) -> Model:
        model: Model = self.kind(**{**self.fields_, **fields})
        vars(model)["recipe"] = self.recipe
        return model

    def __getattr__(self, name: str) -> Any:
        """Facts of the class, and defaults of its fields as they are here."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self.fields_[name] if name in self.fields_ else getattr(self.kind, name)


def find(name: str) -> Any:
    """The class of a system, or a preset; letter case, hyphens and underscores do not matter."""
    known = {plain(n): n for n in (*names(), *presets())}
    if plain(name) not in known:
        every = (*names(), *presets())
        raise Usage(
            f"There is no model {name!r}.{did_you_mean(name, every)} `pushforward models` lists all {len(known)}."
        )
    exact = known[plain(name)]
    if exact in presets():
        return presets()[exact]
    return getattr(importlib.import_module(f"pushforward.models.{names()[exact]}"), exact)


def plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def table() -> list[dict[str, Any]]:
    """A row for each system, and below it its presets: family, name, what it takes and can, one line about it."""
    rows = []
    for name, family in names().items():
        kind = find(name)
        about = (kind.__doc__ or "").strip().split("\n")[0]
        rows.append(
            {
                "family": family,
                "model": name,
                "of": "",
                "takes": list(kind.spaces),
                "can": kind().abilities,
                "about": about,
            }
        )
        rows += [
            {**rows[-1], "model": preset.__name__, "of": name, "about": preset.about}
            for preset in presets().values()
            if preset.system == name
        ]
    return rows


def load(path: str | Path, trust: str | None = None) -> Model:
    """A saved model. Only classes of pushforward are made, unless `trust` names the package of another."""
    from .loading import load as read

    model: Model = read(path, find, trust)
    return model
