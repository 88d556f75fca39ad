"""Sets that need no file: four from scikit-learn, and two that are invented here.

`people` has something of everything that a table may hold, with dependences that a model should find:

    age -> education -> income (log-normal, rises with age and education) -> owner      city -> commute
    income is missing more often for the old, commute for those who do not work: the gaps tell something

`sentences` comes from a grammar in which subject and verb agree in number, a rule over several characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def digits() -> tuple[np.ndarray, np.ndarray]:
    """(images (1797, 8, 8) uint8 of 0 .. 16, labels 0 .. 9)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images.astype(np.uint8), found.target.astype(np.int64)


def iris() -> Any:
    """Four lengths in cm and the species."""
    from sklearn.datasets import load_iris

    return bunch(load_iris(), "species")


def wine() -> Any:
    """Thirteen measurements and the cultivar."""
    from sklearn.datasets import load_wine

    return bunch(load_wine(), "cultivar")


def breast_cancer() -> Any:
    """Thirty measurements and the diagnosis."""
    from sklearn.datasets import load_breast_cancer

    return bunch(load_breast_cancer(), "diagnosis")


def bunch(found: Any, target: str) -> Any:
    """A set of scikit-learn as a DataFrame, the classes by name in the last column."""
    import pandas as pd

    names = [name.removesuffix(" (cm)").replace(" ", "_").replace("/", "_") for name in found.feature_names]
    return pd.DataFrame(np.asarray(found.data, np.float64), columns=names).assign(
        **{target: pd.Categorical([str(found.target_names[t]) for t in found.target])}
    )


EDUCATION = ("school", "college", "bachelor", "master")
CITIES = ("Aster", "Birch", "Cedar", "Dahlia", "Elm")
COMMUTE = np.array(
    [[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.1, 0.3, 0.6], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]]
)  # walk, bus, car


def people(n: int, seed: int = 0) -> Any:
    """n invented people; row i does not depend on n.

    >>> list(people(3).columns)
    ['age', 'height', 'education', 'income', 'city', 'commute', 'children', 'works', 'owner', 'since']
    """
    import pandas as pd
    import torch

    from .. import noise

    with noise.stream(seed, dtype=torch.float64):
        u, e = noise.uniform(n, 9).numpy(), noise.normal(n, 3).numpy()
    age = 18 + np.floor(72 * u[:, 0] ** 1.4)
    level = np.clip(np.floor(4 * u[:, 1] ** (0.8 + age / 90)), 0, 3).astype(int)
    works = u[:, 2] < np.where(age < 66, 0.86, 0.08)
    income = np.exp(9.6 + 0.3 * level + 0.55 * works + 0.008 * np.minimum(age, 60) + 0.25 * e[:, 0])
    city = choose(u[:, 3], np.array([0.35, 0.25, 0.2, 0.15, 0.05]))
    commute = (u[:, 4, None] > COMMUTE.cumsum(1)[city][:, :2]).sum(1)
    children = np.minimum((-np.log1p(-u[:, 5]) * np.clip((age - 20) / 12, 0, 1.6)).astype(int), 5)
    owner = u[:, 6] < 1 / (1 + np.exp(-(np.log(income) - 10.6) * 2.5))
    days = (u[:, 7] * (age - 17) * 365.25).astype(int)
    unknown = u[:, 8] < np.where(age > 65, 0.3, 0.05)
    return pd.DataFrame(
        {
            "age": age.astype(np.int64),
            "height": np.round(172 + 7 * e[:, 1] - 0.05 * np.maximum(age - 50, 0), 1),
            "education": pd.Categorical.from_codes(level, list(EDUCATION), ordered=True),
            "income": np.where(unknown, np.nan, np.round(income, 2)),
            "city": pd.Series(np.array(CITIES, dtype=object)[city], dtype="str"),
            "commute": pd.Series(
                np.where(works, np.array(["walk", "bus", "car"], dtype=object)[commute], None), dtype="str"
            ),
            "children": children.astype(np.int64),
            "works": works,
            "owner": owner,
            "since": pd.Timestamp("2025-01-01") - pd.to_timedelta(days, unit="D"),
        }
    )


ADJECTIVES = ("small", "old", "grey", "quiet", "happy", "green")
NOUNS = (
    ("cat", "cats"),
    ("dog", "dogs"),
    ("child", "children"),
    ("river", "rivers"),
    ("house", "houses"),
    ("bird", "birds"),
)
SEES = (("sees", "see"), ("finds", "find"), ("likes", "like"), ("follows", "follow"))
RESTS = (("sleeps", "sleep"), ("waits", "wait"), ("sings", "sing"))
PLACES = ("near the river", "in the garden", "under a tree", "by the door")


def sentences(n: int, seed: int = 0) -> list[str]:
    """n sentences; sentence i does not depend on n.

    >>> sentences(2)
    ['some happy houses sleep near the river.', 'some children like some houses.']
    """
    import torch

    from .. import noise

    with noise.stream(seed, dtype=torch.float64):
        u = noise.uniform(n, 9).tolist()
    return [sentence(row) for row in u]


def sentence(u: Sequence[float]) -> str:
    """One sentence from nine uniforms."""
    many = u[0] < 0.4
    subject = phrase(u[1], u[2], u[3], many)
    if u[4] < 0.4:
        return f"{subject} {one(RESTS, u[5])[many]} {one(PLACES, u[6])}."
    return f"{subject} {one(SEES, u[5])[many]} {phrase(u[6], u[7], u[8], u[4] > 0.75)}."


def phrase(a: float, b: float, c: float, many: bool) -> str:
    """A noun with its article, and an adjective half of the time."""
    article = one(("the", "some") if many else ("the", "a"), a)
    adjective = f"{one(ADJECTIVES, 2 * b)} " if b < 0.5 else ""
    return f"{article} {adjective}{one(NOUNS, c)[many]}"


def one(words: Sequence[Any], u: float) -> Any:
    return words[min(int(u * len(words)), len(words) - 1)]


def choose(u: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Codes from uniforms."""
    return np.minimum(np.searchsorted(probabilities.cumsum(), u, side="right"), len(probabilities) - 1)
