"""What fake rows are worth for learning: train on fake, test on real, beside train on real, test on real.

The models are few and always the same, each fitted once on the real and once on the fake rows, all judged on the same real test rows, which neither saw:
    logistic, ridge    a linear model of the standardised features
    tree               a decision tree of depth 15
    boosting           gradient boosting of histograms
    adaboost           fifty stumps
    network            one hidden layer of 50
logistic and tree weigh the classes evenly. SDGYM names the four whose mean the SDGym scoreboard (version 0.2.2) prints for tables such as Adult.

Numbers are standardised by the real rows (a missing one is 0, and a feature of its own says so), codes are one-hot, all but the most frequent as one.
The errors come of resampling the test rows, the same for both, so they say how sure the difference is on other rows, not on other fakes: make those with
another seed. The floor of the loss is the loss of one half of the real rows against the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import noise
from ..errors import BadData, Usage, did_you_mean
from ..maths import predictions
from .estimate import Estimate
from .frames import Table, Tables, halves, read, repeated, some
from .rules import Levels, dependency
from .scores import Scores

Numbers = NDArray[np.float64]
CLASSIFIERS = ("logistic", "tree", "boosting", "adaboost", "network")
REGRESSORS = ("ridge", "tree", "boosting", "network")
SDGYM = ("adaboost", "tree", "logistic", "network")
RESAMPLES = 100
FREQUENT = 50  # codes of a column that have a feature of their own
TELLING = 0.999  # of the area under the curve by one column alone: it holds the answer


@dataclass(frozen=True)
class Task:
    """What is to be predicted from what."""

    both: Tables
    target: int
    classes: list[int]  # empty where a number is predicted
    models: tuple[str, ...]
    seed: int

    @property
    def words(self) -> str:
        return f"{self.both.names[self.target]} from {len(self.both.columns) - 1} columns"

    @property
    def measures(self) -> tuple[str, ...]:
        return ("accuracy", "F1", "AUC") if self.classes else ("R2",)


def utility(
    train: Any,
    fake: Any,
    test: Any,
    target: str,
    models: Sequence[str] | None = None,
    rows: int = 20_000,
    n: int | None = None,
    seed: int = 0,
) -> dict[str, Scores]:
    """How well models that learnt from fakes predict `target` on real test rows, by accuracy, F1 (of the rarer class, or the mean over classes) and AUC, or by
    R2; as a whole the mean over models, whose floor is what real rows teach, and under "loss" how much less it is.

    At most `rows` rows of each side are learnt from.

    >>> x = np.random.default_rng(0).normal(size=(60, 3)) @ [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    >>> float(utility(x[:30], x[:30], x[30:], "x2", models=["ridge"])["loss"])
    0.0
    """
    both = read(n, seed, train=train, fake=fake, test=test)
    j = both.place(target)
    if len(both.columns) < 2:
        raise BadData(f"{target!r} is the only column, so there is nothing to predict it from.")
    sides, notes = usable(both, j, rows, seed)
    task = Task(both, j, classes(both, sides["train"], j), chosen(both, j, models), seed)
    notes += [*warned(task, sides), *(note for side in sides.values() for note in side.notes if note not in notes)]
    return compared(task, sides, tuple(dict.fromkeys(notes)))


def usable(both: Tables, j: int, rows: int, seed: int) -> tuple[dict[str, Table], list[str]]:
    """The rows of each side that have a target, at most so many to learn from."""
    sides, notes = {}, list(both.notes)
    for i, (name, side) in enumerate(both.sides.items()):
        there = ~np.isnan(side.x[:, j])
        if not there.all():
            notes.append(
                f"{int((~there).sum()):,} of {len(side):,} rows of {name} lack {both.names[j]} and are not used"
            )
        if not there.any():
            raise BadData(f"No row of {name} has a {both.names[j]}, so there is nothing to learn or to test.")
        sides[name] = side.take(there) if name == "test" else some(side.take(there), rows, noise.mix(seed, i))
    return sides, notes


def classes(both: Tables, train: Table, j: int) -> list[int]:
    """The classes among the real rows, the rarest first; none where the target is a number."""
    if not both.columns[j].discrete:
        return []
    seen, count = np.unique(train.x[:, j].astype(np.int64), return_counts=True)
    if len(seen) < 2:
        raise BadData(f"{both.names[j]!r} is the same in all real rows, so there is nothing to predict.")
    if len(seen) > 100:
        raise BadData(f"{both.names[j]!r} has {len(seen):,} classes; at most 100 are predicted. Take another target.")
    return seen[np.argsort(count, kind="stable")].tolist()


def chosen(both: Tables, j: int, models: Sequence[str] | None) -> tuple[str, ...]:
    known = CLASSIFIERS if both.columns[j].discrete else REGRESSORS
    asked = known[:3] if models is None else (models,) if isinstance(models, str) else tuple(models)
    for name in asked:
        if name not in known:
            raise Usage(
                f"models= names {name!r}.{did_you_mean(name, known)} For {both.names[j]!r} there are: {', '.join(known)}."
            )
    if not asked:
        raise Usage(f"models= is empty. There are: {', '.join(known)}.")
    return asked


def warned(task: Task, sides: dict[str, Table]) -> list[str]:
    """Test rows that were trained on, and columns that hold the answer."""
    test, both = sides["test"].x, task.both
    found = []
    for name in ("train", "fake"):
        same = int((repeated(test, sides[name].x) >= 0).sum())
        if same:
            found.append(
                f"warning: {same:,} of {len(test):,} test rows are equal to rows of {name}, so what was learnt by heart counts as learnt"
            )
    leaks = [both.names[i] for i in range(len(both.columns)) if i != task.target and tells(task, sides["train"].x, i)]
    if leaks:
        found.append(
            f"warning: {', '.join(leaks)} alone tells {both.names[task.target]}: a label that leaked into the features?"
        )
    return found


def tells(task: Task, x: Numbers, i: int) -> bool:
    """Whether column i alone holds the answer: it determines the code, is the number, or sorts the classes."""
    u, v = x[:, i], x[:, task.target]
    there = ~np.isnan(u)
    if not there.any():
        return False
    u, v = u[there], v[there]
    if task.both.columns[i].discrete:
        return bool(task.classes) and dependency(x, Levels.of(x[:, i]), task.target) is not None
    if u.min() == u.max() or v.min() == v.max():
        return False
    if not task.classes:
        return bool(abs(np.corrcoef(u, v)[0, 1]) > TELLING)
    if len(task.classes) > 2 or len(u) < 20:
        return False
    found = float(predictions.area(v == task.classes[0], u, np.ones((1, len(u))))[0])
    return max(found, 1 - found) > TELLING


# ---- learning and judging -----------------------------------------------------------------------------------------------


def compared(task: Task, sides: dict[str, Table], notes: tuple[str, ...]) -> dict[str, Scores]:
    """Each measure by model, learnt from fakes, with what real rows teach as its floor; the loss, with the loss between halves of the real rows as its."""
    features = Features(task, sides["train"].x)
    test = sides["test"].x
    with noise.stream(noise.mix(task.seed, 7)):
        draws = torch.randint(len(test), (RESAMPLES, len(test)), generator=noise.generator()).numpy()
    weights = np.stack([np.ones(len(test)), *(np.bincount(row, minlength=len(test)) for row in draws)]).astype(
        np.float64
    )
    a, b = halves(len(sides["train"]), task.seed)
    parts = {
        "fake": sides["fake"].x,
        "real": sides["train"].x,
        "first": sides["train"].x[a],
        "second": sides["train"].x[b],
    }
    found = {
        part: {m: learnt(task, m, features, x, test, weights) for m in task.models}
        for part, x in parts.items()
        if len(x)
    }
    size = (len(sides["fake"]), len(sides["train"]), len(test))

    def values(measure: str) -> Values:
        return {part: {m: by_model[m][measure] for m in by_model} for part, by_model in found.items()}

    out = {measure: measured(task, measure, values(measure), size, notes) for measure in task.measures}
    key = task.measures[-1]
    out["loss"] = lost(task, key, values(key), size, notes)
    return out


Values = dict[str, dict[str, Numbers]]  # side -> model -> (1 + RESAMPLES,), the rows as they are and resampled


def measured(task: Task, measure: str, values: Values, size: tuple[int, ...], notes: tuple[str, ...]) -> Scores:
    words = "learning from fake rows and testing on real ones; floor by learning from real rows; ± by resampling the test rows"

    def one(name: str, fake: Numbers, real: Numbers, notes: tuple[str, ...] = ()) -> Estimate:
        return Estimate(
            name, float(fake[0]), deviation(fake), float(real[0]), size, words, notes=notes, features=task.words
        )

    parts = {m: one(f"{measure} of {m}", values["fake"][m], values["real"][m]) for m in task.models}
    return Scores(one(measure, average(values["fake"]), average(values["real"]), notes), parts)


def lost(task: Task, measure: str, values: Values, size: tuple[int, ...], notes: tuple[str, ...]) -> Scores:
    words = f"{measure} learnt from real rows less that from fake rows, on the same test rows; floor by two halves of the real rows"

    def one(name: str, by: dict[str, Numbers], notes: tuple[str, ...] = ()) -> Estimate:
        gap = by["real"] - by["fake"]
        null = abs(float(by["first"][0] - by["second"][0])) if "first" in by else None
        return Estimate(name, float(gap[0]), deviation(gap), null, size, words, notes=notes, features=task.words)

    parts = {
        m: one(f"loss of {measure} of {m}", {side: found[m] for side, found in values.items()}) for m in task.models
    }
    return Scores(one(f"loss of {measure}", {side: average(found) for side, found in values.items()}, notes), parts)


def average(by_model: dict[str, Numbers]) -> Numbers:
    return np.mean(list(by_model.values()), 0)


def deviation(values: Numbers) -> float:
    """The standard deviation over the resamples, those without a value left out; nan where fewer than half have one."""
    known = values[1:][~np.isnan(values[1:])]
    return float(known.std(ddof=1)) if len(known) > RESAMPLES // 2 else nan


def learnt(
    task: Task, name: str, features: Features, x: Numbers, test: Numbers, weights: Numbers
) -> dict[str, Numbers]:
    """The measures of one model, as they are and resampled."""
    y, truth = x[:, task.target], test[:, task.target]
    if not task.classes:
        found = (
            np.full(len(test), y.mean())
            if y.min() == y.max()
            else fitted(regressor(name, task.seed), features(x), y).predict(features(test))
        )
        return {"R2": predictions.r2(truth, found, weights)}
    due, truths = y.astype(np.int64), truth.astype(np.int64)
    seen = np.unique(due)
    chances = np.zeros((len(test), max(task.both.sizes[task.target], 1)))
    if len(seen) == 1:  # a fake without the other classes teaches that there are none
        chances[:, seen] = 1.0
    else:
        model = fitted(classifier(name, task.seed), features(x), due)
        chances[:, model.classes_] = model.predict_proba(features(test))
    of = task.classes[:1] if len(task.classes) == 2 else task.classes
    found = chances.argmax(1)
    return {
        "accuracy": predictions.accuracy(truths, found, weights),
        "F1": predictions.f1(truths, found, weights, of),
        "AUC": predictions.auc(truths, chances[:, of], weights, of),
    }


def fitted(model: Any, x: NDArray[Any], y: NDArray[Any]) -> Any:
    """A model of scikit-learn after so many steps as it is given, converged or not."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)


def classifier(name: str, seed: int) -> Any:
    state = noise.mix(seed) % 2**31
    if name == "logistic":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(class_weight="balanced", max_iter=1000)
    if name == "tree":
        from sklearn.tree import DecisionTreeClassifier

        return DecisionTreeClassifier(max_depth=15, class_weight="balanced", random_state=state)
    if name == "adaboost":
        from sklearn.ensemble import AdaBoostClassifier

        return AdaBoostClassifier(n_estimators=50, random_state=state)
    if name == "network":
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier((50,), max_iter=50, random_state=state)
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(early_stopping=False, max_iter=60, random_state=state)


def regressor(name: str, seed: int) -> Any:
    state = noise.mix(seed) % 2**31
    if name == "ridge":
        from sklearn.linear_model import Ridge

        return Ridge()
    if name == "tree":
        from sklearn.tree import DecisionTreeRegressor

        return DecisionTreeRegressor(max_depth=15, min_samples_leaf=5, random_state=state)
    if name == "network":
        from sklearn.neural_network import MLPRegressor

        return MLPRegressor((50,), max_iter=50, random_state=state)
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(early_stopping=False, max_iter=60, random_state=state)


class Features:
    """Rows as features, by what the real rows are: (n, D) -> (n, W)."""

    def __init__(self, task: Task, x: Numbers):
        self.parts = [(j, task.both.columns[j].discrete) for j in range(x.shape[1]) if j != task.target]
        self.kept, self.moments, self.gappy = {}, {}, {}
        for j, discrete in self.parts:
            known = x[~np.isnan(x[:, j]), j]
            if discrete:
                seen, count = np.unique(known, return_counts=True)
                self.kept[j] = seen[np.argsort(-count, kind="stable")[:FREQUENT]]
            else:
                scale = float(known.std()) if len(known) else 0.0
                self.moments[j] = (float(known.mean()) if len(known) else 0.0, scale or 1.0)
                self.gappy[j] = len(known) < len(x)

    def __call__(self, x: Numbers) -> NDArray[np.float32]:
        parts: list[NDArray[Any]] = []
        for j, discrete in self.parts:
            gone = np.isnan(x[:, j])
            if discrete:
                hot = x[:, j, None] == self.kept[j]
                parts += [hot, gone[:, None], ~hot.any(1, keepdims=True) & ~gone[:, None]]
                continue
            mean, scale = self.moments[j]
            parts.append(np.where(gone, 0.0, (x[:, j] - mean) / scale)[:, None])
            parts += [gone[:, None]] if self.gappy[j] else []
        return np.concatenate(parts, 1).astype(np.float32)
