"""The two sides of a comparison: whatever came is asked what it can give, a table, examples or a law.

    a dict or Counter                    outcome -> probability, or -> count where whole numbers do not sum to 1
    a vector of floats that sum to 1     probabilities of 0, 1, 2 …
    arrays, tensors, DataFrames, strings, Examples, the path of a file      examples
    models, pushforwards, distributions of torch and scipy                  laws: `sample`, `log_prob`, or one of them

A model is asked for its abilities, never for its name.
x (n, D)   y (m, D)   codes (D,), true for what counts instead of measures
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import noise
from ..data import load
from ..data.examples import Examples
from ..errors import BadData, Usage
from ..maths.laws import Finite, Normal, Uniform, law_of
from ..maths.pushforward import Pushforward
from ..space import Chart, Space
from ..space.space import is_frame, is_text


@dataclass
class Side:
    """One side: at most one of `table`, `raw` and `law` is there."""

    what: str  # in words
    table: Finite | None = None
    weight: float = np.inf  # of a table: how many draws it was counted from
    raw: Any = None  # examples as they came
    law: Any = None
    space: Space | None = None

    @property
    def sample(self) -> Callable[..., Any] | None:
        return getattr(self.law, "sample", None)

    @property
    def log_prob(self) -> Callable[..., Any] | None:
        return getattr(self.law, "log_prob", None)


@dataclass
class Pair:
    """Examples of both sides, read as one space."""

    x: Tensor
    y: Tensor
    codes: Tensor
    space: Space

    @property
    def features(self) -> tuple[Tensor, Tensor]:
        """Numbers as they are; a table with numbers standardised and codes one-hot, text one-hot: what has a distance.

        The scale is that of x, the real side: one wild number of y must not make all others of its column as good as equal.
        """
        both = torch.cat([self.x, self.y])
        if self.space.kind == "tokens":
            both = torch.nn.functional.one_hot(both.long(), self.space.levels).flatten(1).double()
        elif self.space.kind == "table":
            both = Chart.of(self.space, "features", self.x)(both)[0]
        elif bool(torch.isnan(both).any()):
            raise BadData(
                "Some cells are missing (NaN), and a distance to nothing is nothing. Fill them, or take the histogram."
            )
        return both[: len(self.x)], both[len(self.x) :]


def side(thing: Any, name: str) -> Side:
    """What came as `name`, read."""
    if isinstance(thing, Side):
        return thing
    if thing is None:
        raise Usage(f"{name} is None. A model, examples or a table is awaited.")
    if isinstance(thing, Finite):
        return Side(f"a table of {len(thing.table)} outcomes", table=thing)
    if isinstance(thing, Mapping) and all(np.ndim(v) == 0 and not isinstance(v, str) for v in thing.values()):
        return counted(thing, name)
    if not is_frame(thing) and not is_text(thing) and isinstance(thing, list | tuple | np.ndarray | Tensor):
        return of_numbers(thing, name)
    if isinstance(thing, Examples | Mapping | str) or is_frame(thing) or is_text(thing) or hasattr(thing, "iloc"):
        return of_examples(thing)
    return of_law(thing, name)


def counted(table: Mapping[Any, Any], name: str) -> Side:
    """A table of probabilities, or of counts."""
    values = np.asarray(list(table.values()), dtype=np.float64)
    total = float(values.sum())
    if len(values) and np.isfinite(total) and total > 1.5 and (values >= 0).all() and (values == values.round()).all():
        shares = Finite({outcome: count / total for outcome, count in table.items()})
        return Side(f"a table of {len(values)} outcomes counted {total:,.0f} times", table=shares, weight=total)
    if len(values) and total == 0:
        raise BadData(
            f"{name} is a table of {len(values)} outcomes and no count. At least one outcome must have been seen."
        )
    return Side(f"a table of {len(values)} outcomes", table=Finite(table))


def of_numbers(thing: Any, name: str) -> Side:
    """A vector that sums to 1 is a table; other numbers are examples, a vector of them of one variable."""
    x = thing if isinstance(thing, Tensor) else np.asarray(thing)
    if 0 in x.shape:
        raise BadData(f"{name} is empty: its shape is {tuple(x.shape)}. At least one example or outcome is needed.")
    if x.ndim == 1 and (isinstance(x, Tensor) or x.dtype.kind in "fiub"):
        shares = x.is_floating_point() if isinstance(x, Tensor) else x.dtype.kind == "f"  # 0, 0, 1 are three examples
        if shares and len(x) > 1 and bool((x >= 0).all()) and abs(float(x.sum()) - 1) < 1e-6:
            return Side(f"a table of {len(x)} outcomes", table=Finite(x))
        x = x[:, None]
    elif x.ndim == 0:
        raise Usage(f"{name} is one number, {thing!r}. A model, examples or a table is awaited.")
    return Side(f"{len(x):,} examples", raw=x)


def of_examples(thing: Any) -> Side:
    """Examples of any source that `data.load` reads."""
    if is_frame(thing) or is_text(thing):
        return Side(f"{len(thing):,} examples", raw=thing)
    found = load(thing)
    return Side(f"{len(found):,} examples", raw=found.space.restore(found.x))


def of_law(thing: Any, name: str) -> Side:
    try:
        law = law_of(thing)
    except Usage as problem:
        raise Usage(f"{name}: {problem} A model, examples or a table is awaited.") from None
    if isinstance(thing, Pushforward) and thing.table is not None:
        return Side(repr(thing), table=Finite(thing.table))
    found = getattr(thing, "space", None)
    words = f"{type(law).__name__} of {law.size} variables" if isinstance(law, Normal | Uniform) else repr(law)
    return Side(words, law=law, space=found if isinstance(found, Space) else None)


# ---- both together ------------------------------------------------------------------------------------------------------


def drawn(one: Side, n: int, seed: int) -> Any:
    """Examples of a side as they come."""
    if one.raw is not None:
        return one.raw
    if one.table is not None:
        return one.table.sample(n, seed)
    if one.sample is None:
        raise Usage(f"{one.what} cannot sample, and this estimator needs draws of both sides.")
    return one.sample(n, seed=seed)


def pair(p: Side, q: Side, n: int, seed: int) -> Pair:
    """n examples of each side that can sample, all of a side that has them, in one space."""
    raw = [drawn(one, n, noise.mix(seed, i)) for i, one in enumerate((p, q))]
    raw = [x if is_frame(x) or is_text(x) else upright(x) for x in raw]
    space = common([p, q], raw)
    x, y = (space.read(part, missing=space.kind in ("real", "table")).flatten(1).double() for part in raw)
    if x.shape[1] != y.shape[1]:
        raise BadData(f"p has {x.shape[1]} variables and q has {y.shape[1]}. Compare examples of the same variables.")
    codes = [c.discrete for c in space.columns] if space.kind == "table" else [space.kind != "real"] * x.shape[1]
    return Pair(x, y, torch.tensor(codes), space)


def upright(x: Any) -> Any:
    """(n,) as (n, 1)."""
    x = x if isinstance(x, Tensor) else np.asarray(x)
    return x[:, None] if x.ndim == 1 else x


def common(sides: list[Side], raw: list[Any]) -> Space:
    """The space of both: that of a model where there is one, else that of all examples together."""
    spaces = [one.space for one in sides if one.space is not None]
    if len(spaces) == 2 and (spaces[0].shape, spaces[0].kind) != (spaces[1].shape, spaces[1].kind):
        raise BadData(f"p is a law of {spaces[0]}, q of {spaces[1]}. Compare laws of the same space.")
    if spaces:
        return spaces[0]
    if any(map(is_frame, raw)) or any(map(is_text, raw)):
        return together(raw)
    if raw[0].shape[1:] != raw[1].shape[1:]:
        a, b = (tuple(x.shape[1:]) for x in raw)
        raise BadData(f"p has examples of shape {a} and q of shape {b}. Compare examples of the same variables.")
    return Space.of(np.concatenate([x.detach().cpu().numpy() if isinstance(x, Tensor) else x for x in raw]))


def together(raw: list[Any]) -> Space:
    """The space of two tables or two texts."""
    if all(map(is_text, raw)):
        return Space.of([*raw[0], *raw[1]])
    if not all(map(is_frame, raw)):
        raise BadData(
            f"p came as {type(raw[0]).__name__} and q as {type(raw[1]).__name__}. Pass both as the same kind of thing."
        )
    import pandas as pd

    names = [list(map(str, frame.columns)) for frame in raw]
    if sorted(names[0]) != sorted(names[1]):
        lost = sorted(set(names[0]) ^ set(names[1]))
        raise BadData(
            f"The tables have different columns: {', '.join(lost)} stands in one of them. Leave it out, or add it."
        )
    return Space.of(pd.concat(raw, ignore_index=True))
