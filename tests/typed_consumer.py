"""What a user writes, as a type checker sees it: `mypy --strict` passes, and each reveal says what tests/test_types.py awaits.

Nothing here runs. A comment `# -> TYPE` beside a `reveal_type` is the type that is awaited.
"""

from __future__ import annotations

from pathlib import Path
from typing import reveal_type

import numpy as np

import pushforward as pf
from pushforward import metrics
from pushforward.data import load, toys


def data() -> None:
    x = toys.moons(100, seed=0)
    reveal_type(x)  # -> numpy.ndarray[
    examples = load(x)
    reveal_type(examples)  # -> pushforward.data.examples.Examples
    reveal_type(examples.space)  # -> pushforward.space.space.Space
    reveal_type(len(examples))  # -> int
    reveal_type(pf.data.sentences(3))  # -> list[str]
    reveal_type(pf.Recipe(steps=3).change(lr=0.1))  # -> pushforward.engine.recipe.Recipe
    reveal_type(examples.space.names)  # -> tuple[str, ...]


def learning() -> None:
    x = toys.moons(100, seed=0)
    made = pf.VAE(latent=2, hidden=(16,))
    reveal_type(made)  # -> pushforward.models.latent.vae.VAE
    reveal_type(made.fit(x))  # -> pushforward.models.latent.vae.VAE
    reveal_type(made.latent)  # -> int
    reveal_type(pf.WGAN(weight=0.1))  # -> pushforward.model.Model
    made.fit(x, steps=3, seed=0)
    reveal_type(made.score(x))  # -> float
    reveal_type(made.score_samples(x))  # -> numpy.ndarray[
    reveal_type(made.size())  # -> int
    reveal_type(made.abilities)  # -> dict[str, str]
    reveal_type(made.save("model.pf"))  # -> pathlib
    reveal_type(made.sample)  # -> def (n: int =, given: Any =, seed: int | None =)
    reveal_type(pf.load(Path("model.pf")))  # -> pushforward.model.Model
    reveal_type(made.summary())  # -> str
    reveal_type(made.get_params())  # -> dict[str, Any]


def judging(model: pf.Model, other: pf.Model) -> None:
    x = np.zeros((3, 2))
    told = metrics.likelihood(model, x)
    reveal_type(told)  # -> pushforward.metrics.likelihood.Likelihood
    reveal_type(metrics.divergence(model, other))  # -> pushforward.metrics.estimate.Estimate
    reveal_type(float(metrics.wasserstein(model, other)))  # -> float
    reveal_type(metrics.wasserstein(model, other).stderr)  # -> float
    reveal_type(metrics.columns(x, x)["a"])  # -> pushforward.metrics.estimate.Estimate
    reveal_type(pf.expect(model, lambda draws: draws[:, 0]))  # -> pushforward.metrics.estimate.Estimate
    found = pf.compare(x, time="10s")
    reveal_type(found)  # -> pushforward.workbench.comparing.Comparison
    reveal_type(model.anomaly(x).p_values)  # -> numpy.ndarray[tuple[Any, ...], numpy.dtype[Any]] | None
    reveal_type(model.graph())  # -> pushforward.graphs.graph.Graph
    reveal_type(pf.Pushforward("uniform", lambda z: 2 * z).abilities)  # -> dict[str, str]


def failing() -> int:
    try:
        pf.load("model.pf")
    except pf.Unable as problem:
        reveal_type(problem.exit_code)  # -> int
        return problem.exit_code
    except (pf.errors.BadFile, pf.errors.Usage, pf.Diverged):
        return 3
    return 0


def mistakes() -> None:
    """Each of these is an error that a checker finds; `unused ignore` is one too, in strict mode."""
    pf.VAE(latents=2)  # type: ignore[call-arg]
    pf.VAE(latent="two")  # type: ignore[arg-type]
    pf.VAE().sample(rows=3)  # type: ignore[call-arg]
    toys.moons("many")  # type: ignore[arg-type]
    metrics.divergence(1)  # type: ignore[call-arg]
    pf.NoSuchModel()  # type: ignore[attr-defined]
