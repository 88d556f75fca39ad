"""How good a sample is: measures between real and fake examples that need no density, each with what it is for equal laws.

    kid        the squared MMD with the cubic kernel, over subsets and over all examples, with a p-value
    frechet    the distance of two Gaussians with the samples' moments; biased, and dependent on n
    prdc       precision, recall, density, coverage: whose neighbours lie where
    c2st       how well a classifier tells them apart out of fold, with p-values

Each takes `features=`: what is compared, see `features`. The mathematics, and the papers, stand in `maths`: `discrepancy`, `frechet`, `neighbours`
and `two_sample`. Regions, modes and variety: see `variety`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot, nan, sqrt
from typing import Any

import torch
from torch import Tensor

from .. import noise
from ..errors import Usage
from ..maths import discrepancy, neighbours, two_sample
from ..maths import frechet as gaussian
from .distances import MOST, some
from .estimate import Estimate
from .features import DRAWN, Compared, compared
from .floors import floor

JUDGED = 2000  # examples of a side that classifiers learn from and judge
HELD = "the standard error is that of the examples that are judged, the balls being held"


class Estimates(dict[str, Estimate]):
    """Several numbers of one measure, by name. Printing shows each in full."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.values()))

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        return {name: estimate.to_json() for name, estimate in self.items()}


def estimate(
    of: Compared, name: str, value: float, stderr: float, floor: float | None, words: str, **more: Any
) -> Estimate:
    """An estimate of what was compared."""
    notes = (*of.notes, *more.pop("notes", ()))
    return Estimate(name, value, stderr, floor, of.n, words, features=of.words, notes=notes, **more)


# ---- kernels ------------------------------------------------------------------------------------------------------------


def kid(
    real: Any,
    fake: Any,
    features: Any = None,
    subsets: int = 100,
    size: int = 1000,
    shuffles: int = 200,
    n: int = DRAWN,
    seed: int = 0,
) -> Estimates:
    """The kernel distance with k = (x'y / D + 1)^3, unbiased (it may be negative): `kid`, the mean over subsets, and `mmd2`, of all examples at once.

    >>> x = torch.arange(80.0).reshape(40, 2)
    >>> kid(x, x + 30)["mmd2"].p_value < 0.01
    True
    """
    if min(subsets, size - 1, shuffles) < 1:
        raise Usage(f"subsets={subsets}, size={size}, shuffles={shuffles}: at least 1, 2 and 1 are awaited.")
    of = compared(real, fake, features, n, seed)
    value, error = discrepancy.cubic(of.x, of.y)
    p_value, null, notes = shuffled(of, shuffles, seed)
    words = f"all pairs of examples, unbiased; p from {shuffles} shuffles"
    whole = estimate(of, "MMD2, cubic kernel", value, error, null, words, p_value=p_value, notes=notes)
    return Estimates(kid=over_subsets(of, whole, subsets, min(size, *of.n), seed), mmd2=whole)


def over_subsets(of: Compared, whole: Estimate, subsets: int, size: int, seed: int) -> Estimate:
    """The mean over subsets. They share examples, so their spread alone would say too little: the error of all examples is added."""
    values = discrepancy.kernel_distances(of.x, of.y, subsets, size, seed)
    spread = float(values.std()) if subsets > 1 else nan
    error = hypot(whole.stderr, spread / sqrt(subsets))
    words = f"the cubic kernel, the mean over {subsets} subsets"
    said = f"subsets spread by {spread:.2g}; the error is that of the examples and of the choice of subsets; p is that of all examples"
    notes = (said, *(note for note in whole.notes if note not in of.notes))
    more: dict[str, Any] = {"p_value": whole.p_value, "parameters": {"subset size": size, "subsets": subsets}}
    return estimate(of, "KID", float(values.mean()), error, whole.floor, words, notes=notes, **more)


def shuffled(of: Compared, times: int, seed: int) -> tuple[float, float, tuple[str, ...]]:
    """The p-value of the cubic kernel by shuffles between the sides, their mean, and a word where not all examples were shuffled."""
    x, y = (some(part, MOST // 2, noise.mix(seed, i)) for i, part in enumerate((of.x, of.y)))
    k, _ = discrepancy.gram(torch.cat([x, y]), "polynomial")
    null = discrepancy.shuffled(k, len(x), times, seed)
    told = f"p is that of {len(x):,} and {len(y):,} of the examples: the kernel between all would not fit"
    notes = () if (len(x), len(y)) == of.n else (told,)
    return discrepancy.p_value(discrepancy.squared(k, len(x))[0], null), float(null.mean()), notes


# ---- moments ------------------------------------------------------------------------------------------------------------


def frechet(
    real: Any,
    fake: Any,
    features: Any = None,
    shrink: bool | None = None,
    extrapolate: bool = False,
    floors: int = 1,
    n: int = DRAWN,
    seed: int = 0,
) -> Estimate:
    """The Frechet distance (squared, as it is always given). Only the features decide what it means: it is no FID, which is one network's.

    `shrink` draws the covariances to a multiple of the identity; None does where there are no more examples than features. `extrapolate` gives the
    value at n = infinity. The floor is the mean over `floors` shuffles between the sides; 0 takes the formula for Gaussians.

    >>> x = torch.linspace(-1, 1, 100)
    >>> round(frechet(x, x + 2).value, 6)
    4.0
    """
    of = compared(real, fake, features, n, seed)
    few = min(of.n) <= of.x.shape[1]
    draw = few if shrink is None else shrink
    p, q = gaussian.fitted(of.x, draw), gaussian.fitted(of.y, draw)
    error, value, notes = gaussian.stderr(of.x, of.y, p, q), gaussian.between(p, q), warned(few, draw, of)
    more: dict[str, Any] = {"parameters": {"shrinkage": max(p.shrinkage, q.shrinkage)} if draw else {}}

    def by(x: Tensor, y: Tensor) -> tuple[float, float]:
        return gaussian.extrapolated(x, y, seed, draw) if extrapolate else (gaussian.frechet(x, y, draw), nan)

    null = floor(by, of.x, of.y, floors, seed)
    if extrapolate:
        value, of_line = by(of.x, of.y)
        words = f"the line through the distance at {gaussian.SIZES} numbers of examples, at 1/n = 0"
        return estimate(of, "FD-infinity", value, hypot(error, of_line), null or 0.0, words, notes=notes, **more)
    null = gaussian.bias(torch.lerp(p.covariance, q.covariance, 0.5), *of.n) if null is None else null
    said = f"it grows as examples get fewer: compare it only with values at the same n, above the floor {null:.3g}"
    return estimate(of, "FD", value, error, null, "means and covariances", notes=(said, *notes), **more)


def warned(few: bool, draw: bool, of: Compared) -> tuple[str, ...]:
    """What is to be said where there are no more examples than features."""
    if not few:
        return ()
    said = f"no more examples ({min(of.n):,}) than features ({of.x.shape[1]:,}): the covariances are singular"
    bare = "and the number is mostly bias; take shrink=True or fewer features"
    return (f"{said}, {'and shrunk' if draw else bare}",)


# ---- neighbours ---------------------------------------------------------------------------------------------------------


def prdc(
    real: Any, fake: Any, features: Any = None, k: int = 3, k_dense: int = 5, n: int = DRAWN, seed: int = 0
) -> Estimates:
    """Precision and recall with balls to the k-th neighbour, density and coverage with k_dense; a neighbour is another example, ties are inside.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> found = prdc(x, 0.1 * x)                     # too little spread
    >>> found["precision"].value > 0.9, found["recall"].value < 0.2
    (True, True)
    """
    of = compared(real, fake, features, n, seed)
    least = min(len(of.x) - 1, len(of.y) - 1)
    if not (isinstance(k, int) and isinstance(k_dense, int) and 1 <= min(k, k_dense) <= max(k, k_dense) <= least):
        raise Usage(
            f"k={k!r}, k_dense={k_dense!r}: whole numbers from 1 to {least} are awaited, as there are {of.n[0]:,} real and {of.n[1]:,} fake examples."
        )
    found = neighbours.coverage(of.x, of.y, k, k_dense)
    alike = float(found.chosen.double().mean())
    chance = neighbours.covered_by_chance(*of.n, k_dense)

    return Estimates(
        precision=share(of, "precision", found.precise, alike, k, "the balls of the real examples"),
        recall=share(of, "recall", found.recalled, alike, k, "the balls of the fake examples"),
        density=share(
            of, "density", found.dense, 1.0, k_dense, "how many balls of real examples a fake one lies in, over k"
        ),
        coverage=share(of, "coverage", found.covered, chance, k_dense, "the real examples whose ball holds a fake one"),
    )


def share(of: Compared, name: str, values: Tensor, chance: float, k: int, words: str) -> Estimate:
    """The mean over the examples that are judged."""
    values = values.double()
    error = float(values.std()) / sqrt(len(values))
    return estimate(of, name, float(values.mean()), error, chance, words, parameters={"k": k}, notes=(HELD,))


# ---- classifiers --------------------------------------------------------------------------------------------------------


def c2st(
    real: Any,
    fake: Any,
    features: Any = None,
    classifiers: Sequence[str] = ("logistic", "boosting"),
    folds: int = 5,
    most: int = JUDGED,
    n: int = DRAWN,
    seed: int = 0,
) -> Estimates:
    """The classifier two-sample test: accuracy and AUC out of fold, as many examples of either side; 1/2 where the laws are one.

    >>> x = torch.linspace(-1, 1, 60)[:, None]
    >>> c2st(x, x + 3, classifiers=["logistic"])["logistic auc"].value > 0.99
    True
    """
    names = [classifiers] if isinstance(classifiers, str) else list(classifiers)
    learners = {name: two_sample.classifier(name) for name in names}
    if folds < 2 or most < 2:
        raise Usage(f"folds={folds}, most={most}: at least 2 of either are awaited.")
    of = compared(real, fake, features, n, seed)
    size = min(most, *of.n)
    thin = (f"{size:,} of each side, drawn from {of.n[0]:,} and {of.n[1]:,}",) if of.n != (size, size) else ()
    of = Compared(some(of.x, size, noise.mix(seed, 1)), some(of.y, size, noise.mix(seed, 2)), of.words, of.notes + thin)
    out = Estimates()
    for name, learner in learners.items():
        found = two_sample.told_apart(of.x.numpy(), of.y.numpy(), learner, folds, seed)
        for measure, (value, error, p_value) in (("accuracy", found.accuracy), ("auc", found.auc)):
            words = f"{name}, {folds} folds; p by judging each part with what learned from those before it"
            said = "AUC" if measure == "auc" else measure
            out[f"{name} {measure}"] = estimate(of, f"C2ST {said}", value, error, 0.5, words, p_value=p_value)
    return out
