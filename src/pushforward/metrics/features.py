"""What is compared: the examples as numbers, or features of them.

    None            numbers as they are; the columns of a table standardised by the real rows and one-hot, text one-hot
    "pca:20"        the first principal components of the real examples
    "network:32"    a small network trained here: a classifier's last layer where the real examples have labels, else the code of an autoencoder
    a module        a torch.nn.Module: tensors (B, *shape), images channels first, come in; features (B, ...) come out
    a function      examples as they came go in, as arrays, tables or lists; one row of numbers for each comes out

What is learned is learned on half of the real examples, and the other half is compared: features that have seen the very examples on one side
and none on the other tell the sides apart by that alone.
Weights of other people's networks are never fetched: load the file (as with `torch.jit.load`) and pass the module.

Rows that are NaN or infinite cannot be compared; they are counted, left out, and said.
real x (n, F)   fake y (m, F), float64
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import noise
from ..data import load
from ..data.examples import Examples
from ..errors import BadData, Usage, did_you_mean
from ..maths.laws import numbers
from ..nets.default import Features, into
from ..nets.mlp import mlp
from ..space import Chart, Space
from ..space.space import is_frame, is_text
from .sides import Pair, Side, common, drawn, side, upright

LEARNED = {"pca": 64, "network": 64}  # by name, and how many features where no number is said
LOT = 512  # examples that go through a network at once
STEPS, BATCH = 300, 128  # of the network that is trained here
DRAWN = 5000  # examples of a law, where nothing else is said


@dataclass(frozen=True)
class Compared:
    """Numbers of both sides, and what they are."""

    x: Tensor
    y: Tensor
    words: str = ""
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> tuple[int, int]:
        return len(self.x), len(self.y)


@dataclass
class Rows:
    """One side: rows as they came, without those that are not `good`."""

    what: Side
    raw: Any
    good: Tensor
    labels: Tensor | None = None

    @property
    def lost(self) -> int:
        return int((~self.good).sum())


def compared(real: Any, fake: Any, features: Any = None, n: int = DRAWN, seed: int = 0) -> Compared:
    """Both sides as rows of numbers; n examples are drawn of a side that is a law.

    >>> found = compared(np.eye(4), np.array([[1.0, 2, 3, 4], [0, np.inf, 0, 0], [1, 1, 1, 1]]))
    >>> found.n, found.notes
    ((4, 2), ('1 of 3 fake examples is not finite (NaN or infinity) and was left out.',))
    """
    kind, width = asked(features)
    labels = None
    if isinstance(real, str | os.PathLike):
        real = load(os.fspath(real))
    if kind == "network" and isinstance(real, Examples):
        labels = codes(real)
    one, two = (
        rows(thing, name, n, noise.mix(seed, i)) for i, (thing, name) in enumerate(((real, "real"), (fake, "fake")))
    )
    if labels is not None:
        one.labels = labels[0][one.good]
    if kind == "function":
        x, y, words = by_function(one, two, features)
    elif kind == "module":
        x, y, words = by_module(one, two, features)
    elif kind == "network":
        x, y, words = by_network(one, two, width, labels[1] if labels is not None else 0, seed)
    else:
        x, y, words = plain_numbers(one, two)
        if kind == "pca":
            x, y, words = by_pca(x, y, width, seed)
    return settled(x, y, words, (one, two))


def asked(features: Any) -> tuple[str, int]:
    """The kind of features that was asked for, and how many where that can be said."""
    if features is None:
        return "raw", 0
    if isinstance(features, nn.Module):
        return "module", 0
    if isinstance(features, str):
        name, _, width = features.strip().lower().partition(":")
        if name == "raw" and not width:
            return "raw", 0
        if name not in LEARNED:
            raise Usage(
                f"There are no features {features!r}.{did_you_mean(name, LEARNED)} There are: raw, {', '.join(LEARNED)}, a module, a function."
            )
        if width and not (width.isdigit() and int(width) > 0):
            raise Usage(f"features={features!r}: a whole number is awaited after the colon, as in '{name}:20'.")
        return name, int(width or LEARNED[name])
    if callable(features):
        return "function", 0
    raise Usage(f"features={features!r}: None, 'pca:20', 'network', a torch module or a function is awaited.")


# ---- the rows -----------------------------------------------------------------------------------------------------------


def rows(thing: Any, name: str, n: int, seed: int) -> Rows:
    """A side's rows that are finite. A missing cell of a table is no fault: it is compared as such."""
    what = side(thing, name)
    raw = drawn(what, n, seed)
    raw = raw if is_frame(raw) or is_text(raw) else upright(raw)
    good = finite(raw)
    if not bool(good.any()):
        raise BadData(f"{name}: none of {len(good)} examples is finite, so there is nothing to compare.")
    if not bool(good.all()):
        raw = raw[good] if isinstance(raw, Tensor) else raw[good.numpy()]
    return Rows(what, raw, good)


def finite(raw: Any) -> Tensor:
    """Which rows can be compared."""
    if is_text(raw):
        return torch.ones(len(raw), dtype=torch.bool)
    if is_frame(raw):
        inside = raw.select_dtypes("number").to_numpy(dtype=np.float64, na_value=np.nan)
        return torch.from_numpy(~np.isinf(inside).any(1))
    x = raw.detach().cpu() if isinstance(raw, Tensor) else raw
    if not isinstance(x, Tensor):
        if x.dtype.kind != "f":
            return torch.ones(len(x), dtype=torch.bool)
        x = torch.from_numpy(np.ascontiguousarray(x))
    if bool(torch.isfinite(x.sum())):  # one that is not finite would show in the sum
        return torch.ones(len(x), dtype=torch.bool)
    return torch.isfinite(x.flatten(1)).all(1)


def codes(examples: Examples) -> tuple[Tensor, int] | None:
    """The labels of examples that have one class each, and how many classes there are."""
    given, space = examples.given, examples.given_space
    if given is None or space is None or len(space.columns) != 1 or not space.columns[0].discrete:
        return None
    return given[:, 0].long(), space.columns[0].size


def settled(x: Tensor, y: Tensor, words: str, sides: tuple[Rows, Rows]) -> Compared:
    """What is left to compare once all that is not finite is counted."""
    kept, notes = [], []
    for part, one, name in zip((x, y), sides, ("real", "fake"), strict=True):
        part = part.detach().cpu().double()
        good = torch.isfinite(part).all(1)
        lost, total = one.lost + int((~good).sum()), len(part) + one.lost
        kept.append(part if bool(good.all()) else part[good])
        if lost:
            verb = (
                "is not finite (NaN or infinity) and was" if lost == 1 else "are not finite (NaN or infinity) and were"
            )
            notes.append(f"{lost} of {total:,} {name} examples {verb} left out.")
        if len(kept[-1]) < 2:
            raise BadData(f"{len(kept[-1])} of {total} {name} examples can be compared; at least 2 are needed.")
    return Compared(kept[0], kept[1], words, tuple(notes))


# ---- the features -------------------------------------------------------------------------------------------------------


def plain_numbers(one: Rows, two: Rows) -> tuple[Tensor, Tensor, str]:
    """Numbers as they are, where nothing has to be read."""
    if all(
        isinstance(r.raw, Tensor) or (isinstance(r.raw, np.ndarray) and r.raw.dtype.kind in "fiub") for r in (one, two)
    ):
        if one.raw.shape[1:] == two.raw.shape[1:] and one.what.space is None and two.what.space is None:
            x, y = (torch.as_tensor(r.raw).detach().cpu().flatten(1).double() for r in (one, two))
            return x, y, ""
    both, space = as_read(one, two)
    words = {
        "table": "columns, numbers standardised by the real rows and codes one-hot",
        "tokens": "characters, one-hot",
    }
    x, y = both.features
    return x, y, words.get(space.kind, "")


def as_read(one: Rows, two: Rows) -> tuple[Pair, Space]:
    """Both sides read in their common space."""
    space = common([one.what, two.what], [one.raw, two.raw])
    x, y = (read(space, r.raw).flatten(1).double() for r in (one, two))
    discrete = [c.discrete for c in space.columns] if space.kind == "table" else [space.kind != "real"] * x.shape[1]
    return Pair(x, y, torch.tensor(discrete), space), space


def read(space: Space, raw: Any) -> Tensor:
    return space.read(raw, missing=space.kind in ("real", "table")).detach().cpu()


def by_function(one: Rows, two: Rows, f: Callable[[Any], Any]) -> tuple[Tensor, Tensor, str]:
    x, y = (in_lots(f, r.raw) for r in (one, two))
    name = getattr(f, "__name__", type(f).__name__)
    name = "the function given" if name in ("<lambda>", "partial") else name
    return *alike(x, y), f"{many(x)} by {name}"


def by_module(one: Rows, two: Rows, net: nn.Module) -> tuple[Tensor, Tensor, str]:
    """Features by a network, which is left in the mode it was in."""
    both, space = as_read(one, two)
    weight = next((p for p in net.parameters() if p.is_floating_point()), torch.zeros(0))

    def call(x: Tensor) -> Any:
        return net(x.to(device=weight.device, dtype=torch.long if space.kind == "tokens" else weight.dtype))

    sides = both.features if space.kind == "table" else tuple(p.unflatten(1, space.shape) for p in (both.x, both.y))
    was = net.training
    net.eval()
    try:
        x, y = (in_lots(call, part) for part in sides)
    finally:
        net.train(was)
    return *alike(x, y), f"{many(x)} by {type(net).__name__}"


def in_lots(f: Callable[[Any], Any], raw: Any) -> Tensor:
    """f of all rows, some at a time, checked."""
    out = []
    for start in range(0, len(raw), LOT):
        lot = raw.iloc[start : start + LOT] if is_frame(raw) else raw[start : start + LOT]
        with torch.no_grad():
            found = f(lot)
        if isinstance(found, tuple | dict) or not hasattr(found, "__len__"):
            raise BadData(
                f"The features are a {type(found).__name__}; one row of numbers for each example is awaited, as an array (n, features)."
            )
        found = numbers(found).detach().cpu()
        if found.ndim == 0 or len(found) != len(lot):
            raise BadData(
                f"The features of {len(lot)} examples have shape {tuple(found.shape)}; one row for each example is awaited."
            )
        out.append(found.reshape(len(lot), -1))
    return torch.cat(out)


def many(x: Tensor) -> str:
    return f"{x.shape[1]} feature{'s' if x.shape[1] > 1 else ''}"


def alike(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.shape[1] != y.shape[1]:
        raise BadData(
            f"The real examples have {x.shape[1]} features and the fake ones {y.shape[1]}. Compare the same features."
        )
    return x, y


def halves(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Which real examples are learned from, and which are compared."""
    if n < 4:
        raise BadData(f"{n} real examples: at least 4 are needed where half of them teach the features.")
    with noise.stream(noise.mix(seed, 7)):
        order = noise.permutation(n)
    return order[: n // 2].sort().values, order[n // 2 :].sort().values


def by_pca(x: Tensor, y: Tensor, width: int, seed: int) -> tuple[Tensor, Tensor, str]:
    """The first principal components of half of the real examples."""
    clean = x[torch.isfinite(x).all(1)]
    learn, rest = halves(len(clean), seed)
    some = clean[learn]
    centre = some.mean(0)
    _, values, turn = torch.linalg.svd(some - centre, full_matrices=False)
    width = min(width, len(learn) - 1, x.shape[1])
    share = float(values[:width].square().sum() / values.square().sum().clamp(min=1e-300))
    words = (
        f"the {width} first principal components of {len(learn):,} other real examples ({share:.1%} of their variance)"
    )
    first = turn[:width].T
    return (clean[rest] - centre) @ first, (y - centre) @ first, words


def by_network(one: Rows, two: Rows, width: int, classes: int, seed: int) -> tuple[Tensor, Tensor, str]:
    """The last layer of a small network that has learned from half of the real examples."""
    space = common([one.what, two.what], [one.raw, two.raw])
    x, y = (read(space, r.raw) for r in (one, two))
    learn, rest = halves(len(x), seed)
    labels = one.labels[learn] if one.labels is not None and classes > 1 else None
    net = trained(space, x[learn], labels, classes, width, seed)
    task = f"to tell {classes} classes apart" if labels is not None else "as an autoencoder"
    words = f"the {width} features of a network trained {task} on {len(learn):,} other real examples, seed {seed}"
    return in_lots(net, x[rest]), in_lots(net, y), words


def trained(
    space: Space, x: Tensor, labels: Tensor | None, classes: int, width: int, seed: int
) -> Callable[[Tensor], Tensor]:
    """A network for this space, and its features: of a classifier where there are labels, of an autoencoder where not."""
    chart = Chart.of(space, "natural", x if space.kind == "tokens" else x.double())
    target = Features(chart.space)
    with noise.initialisation(seed), noise.stream(seed):
        body = into(chart.space, width, hidden=(64, 64), activation="silu")
        out, hidden = (classes, ()) if labels is not None else (target.width, (128,))
        head = nn.Sequential(nn.SiLU(), mlp(width, out, hidden, "silu"))
        optimiser = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=2e-3)
        for _ in range(STEPS):
            at = torch.randint(len(x), (min(BATCH, len(x)),), generator=noise.generator())
            h = chart(x[at])[0]
            said = head(body(h))
            loss = (
                nn.functional.mse_loss(said, target(h).flatten(1))
                if labels is None
                else nn.functional.cross_entropy(said, labels[at])
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    body.eval()
    return partial(featured, chart, body)


def featured(chart: Chart, body: nn.Module, x: Tensor) -> Tensor:
    return body(chart(x)[0])
