"""How odd an example is for a model, with a p-value, and which of its columns make it so.

    likelihood    s(x) = -log p(x), minus the bound, or the energy: whichever the model has
    typicality    s(x) = |log p(x) - m| / d,   m the median of log p over reference examples, d their spread on the side of m that x is on
    ratio         s(x) = log p_background(x) - log p(x)
    latent        s(x) = (z - m)' S^-1 (z - m),  z the code of x, m and S mean and covariance of the codes of reference examples

High is odd. In many variables what is likeliest is not what is typical: near the mode of a Gaussian there is next to no mass, and
smooth pictures may be likelier than any the model has seen (Nalisnick et al. 2019), so that typicality asks on both sides. The ratio
divides by what is common to all such data (Ren et al. 2019).

    p = (1 + #{i: s_i >= s(x)}) / (n + 1),   s_i the scores of n reference examples that the model did not learn from

If x comes from their law, P(p <= a) <= a, whatever model and score are (Vovk, Gammerman & Shafer 2005): split conformal prediction.
Ties broken at random make p exactly uniform. Flags hold the expected share of false ones among them below `rate`: Benjamini & Hochberg 1995,
which stays right for p-values with common reference examples (Bates et al. 2023).

    contribution of column j = s(x) - E s(x with x_j drawn anew),   x_j ~ p(x_j | the rest) where that is exact, else from other examples

With the likelihood and exact conditionals that is the surprise of a cell given the rest of its row, beyond the surprise to be expected.

N rows of D columns, n reference examples:   scores, p_values, flags (N,)   attribution (N, D)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import noise
from .errors import BadData, Unable, Usage, did_you_mean

WAYS = ("likelihood", "typicality", "ratio", "latent")
TIES = ("count", "random")
MANY = 50  # variables from which the typical is no longer the likely, and typicality is the default
DRAWN, NUMBERS = (
    1000,
    1 << 20,
)  # examples of the model itself where there are no reference examples: at least; and numbers in more of them
WIDE = 200  # columns up to which attribution asks each
TIMES = 32  # draws for each cell
WORDS = {"log_prob": "log p(x)", "bound": "a lower bound of log p(x)", "energy": "the energy, up to a constant"}
Scorer = Callable[[Tensor, Tensor | None], np.ndarray]


@dataclass(frozen=True, repr=False)
class Anomaly:
    """The answer of `anomaly`: one number a row, high is odd."""

    scores: np.ndarray
    p_values: np.ndarray | None  # None without reference examples
    flags: np.ndarray | None  # Benjamini-Hochberg at `rate`
    attribution: np.ndarray | None  # (N, D): what each column adds to the score; NaN in rows that were not asked
    columns: tuple[str, ...]
    way: str
    words: tuple[str, ...]  # how the scores, the p-values and the attribution came about
    rate: float
    reference: int  # examples behind the p-values
    index: Any = None  # of the DataFrame that came in

    def __len__(self) -> int:
        return len(self.scores)

    def oddest(self, k: int = 5) -> np.ndarray:
        """The numbers of the k oddest rows, the oddest first."""
        return np.argsort(-self.scores, kind="stable")[:k]

    @property
    def told(self) -> dict[int, np.ndarray]:
        """The rows whose columns were told apart: what each adds."""
        rows = np.zeros((0, 0)) if self.attribution is None else self.attribution
        return {int(i): rows[i] for i in np.flatnonzero(~np.isnan(rows).all(1))}

    def blamed(self, row: int) -> str:
        """The column that adds most to the score of a row; nothing where that was not asked, or none adds."""
        adds = self.told.get(row)
        return "" if adds is None or not np.nanmax(adds) > 0 else self.columns[int(np.nanargmax(adds))]

    def to_frame(self) -> Any:
        """A DataFrame: score, p_value, flagged, column (the one that adds most), and what each column adds."""
        import pandas as pd

        parts: dict[str, Any] = {"score": self.scores}
        if self.p_values is not None:
            parts |= {"p_value": self.p_values, "flagged": self.flags}
        if self.attribution is not None:
            parts["column"] = [self.blamed(row) for row in range(len(self))]
            parts |= {f"by {name}": self.attribution[:, j] for j, name in enumerate(self.columns)}
        return pd.DataFrame(parts, index=self.index)

    def to_json(self) -> dict[str, Any]:
        """All of it; what is infinite or unknown is null."""
        return {name: getattr(self, name) for name in ("way", "rate", "reference")} | {
            "words": list(self.words),
            "columns": list(self.columns),
            "scores": known(self.scores),
            "p_values": None if self.p_values is None else known(self.p_values),
            "flags": None if self.flags is None else self.flags.tolist(),
            "attribution": {i: known(row) for i, row in self.told.items()},
        }

    def __str__(self) -> str:
        flagged = "" if self.flags is None else f", {int(self.flags.sum()):,} flagged at a rate of {self.rate:g}"
        lines = [f"anomaly of {len(self):,} rows by {self.way}{flagged}", *self.words]
        for row in self.oddest():
            p = "" if self.p_values is None else f", p = {self.p_values[row]:.3g}"
            by = f", most by {self.blamed(row)}" if self.blamed(row) else ""
            lines.append(f"row {row}: {self.scores[row]:.4g}{p}{by}")
        return "\n  ".join(lines)

    __repr__ = __str__


@dataclass(frozen=True)
class Rows:
    """Examples in the units of the data, what is given with them, and what they are in words."""

    x: Tensor
    given: Tensor | None
    words: str = ""

    def __len__(self) -> int:
        return len(self.x)

    def part(self, index: Tensor) -> Rows:
        return Rows(self.x[index], None if self.given is None else self.given[index], self.words)


def anomaly(
    model: Any,
    x: Any,
    way: str = "auto",
    reference: Any = None,
    background: Any = None,
    given: Any = None,
    reference_given: Any = None,
    rate: float = 0.05,
    attribute: int = 20,
    ties: str = "count",
    seed: int = 0,
) -> Anomaly:
    """How odd each row of x is for a fitted model: a score, a p-value, a flag, and what each column adds to it.

    `way` is likelihood, typicality, ratio (against `background`, another fitted model) or latent. `reference` are real examples that the
    model has not learned from; without them the p-values are against draws of the model itself. `attribute` is how many rows, the oddest
    ones, have their columns told apart.

    >>> from pushforward.models.classical import GaussianMixture
    >>> x = np.random.default_rng(0).normal(size=(600, 2))
    >>> found = anomaly(GaussianMixture(components=1).fit(x[:300]), np.concatenate([x[590:], [[0.0, 9.0]]]), reference=x[300:590])
    >>> int(found.oddest(1)[0]), found.blamed(10), bool(found.flags[10])
    (10, 'x1', True)
    """
    model.check_fitted()
    check(rate, attribute, ties)
    way, why = choose(model, way, background)
    rows = read(model, x, given, "x")
    held = reference_of(model, reference, reference_given, rows, rate, seed)
    scorer, words, held = scored(model, way, background, held, seed)
    scores = finite(scorer(rows.x, rows.given), "x")
    p_values = flags = None
    if held is not None:
        null = finite(scorer(held.x, held.given), "reference")
        p_values = conformal(scores, null, noise.mix(seed, 4) if ties == "random" else None)
        flags = benjamini_hochberg(p_values, rate)
    parts, how = attributed(model, scorer, rows, scores, held, attribute, noise.mix(seed, 5))
    names = model.space.names or tuple(f"x{j}" for j in range(model.space.size))
    index = x.index if hasattr(x, "iloc") and hasattr(x, "index") else None
    told = (f"{words}{why}", *against_what(model, held, len(rows), rate), how)
    n = 0 if held is None else len(held)
    return Anomaly(scores, p_values, flags, parts, tuple(names), way, told, rate, n, index)


def against_what(model: Any, held: Rows | None, n: int, rate: float) -> list[str]:
    """What the p-values are against, in words."""
    if held is None:
        return [f"no p-values: {type(model).__name__} cannot sample, and no reference= was given"]
    few = f"a single odd row among {n:,} cannot be flagged: that takes {int(n / rate):,} reference examples"
    return [f"p-values against {len(held):,} {held.words}", *([few] if n / (len(held) + 1) > rate else [])]


def check(rate: float, attribute: int, ties: str) -> None:
    if not 0 < rate < 1:
        raise Usage(f"rate={rate!r}: a share between 0 and 1 is awaited, as 0.05.")
    if not isinstance(attribute, int | np.integer) or attribute < 0:
        raise Usage(f"attribute={attribute!r}: the number of rows whose columns are told apart is awaited, 0 for none.")
    if ties not in TIES:
        raise Usage(f"ties={ties!r} is not one of {', '.join(TIES)}.{did_you_mean(ties, TIES)}")


def choose(model: Any, way: str, background: Any) -> tuple[str, str]:
    """The way, and why where it was left to us."""
    if way not in ("auto", *WAYS):
        raise Usage(f"way={way!r} is not one of auto, {', '.join(WAYS)}.{did_you_mean(way, WAYS)}")
    nats, why = number(model), ""
    if way == "auto" and background is not None:
        way = "ratio"
    elif way == "auto" and nats:
        large = model.space.size >= MANY
        way, why = ("typicality" if large else "likelihood"), f"; chosen for {model.space.size} variables"
    elif way == "auto":
        way, why = "latent", f"; chosen as {type(model).__name__} has no likelihood"
    if way == "ratio" and background is None:
        raise Usage("way='ratio' needs background=, another fitted model: a simple one, or one of noisy data.")
    if way != "ratio" and background is not None:
        raise Usage(f"background= is for way='ratio', and this is {way!r}.")
    if way == "latent" and "encode" not in model.abilities:
        raise Unable(f"No way to score: {model.reason('encode')}" if not nats else str(model.reason("encode")))
    if way != "latent" and not nats:
        raise Unable(
            f"There is no likelihood, bound or energy, so way={way!r} has no number. {model.reason('log_prob')}"
        )
    return way, why


def number(model: Any) -> str:
    """The ability that says how likely an example is; nothing where there is none."""
    return next((name for name in ("log_prob", "bound", "energy") if name in model.abilities), "")


# ---- rows ----------------------------------------------------------------------------------------------------------------


def read(model: Any, x: Any, given: Any, name: str) -> Rows:
    """x, and what is given with it, as tensors."""
    if x is None:
        raise Usage(f"{name} is None. Examples like those that the model was fitted on are awaited.")
    if hasattr(x, "given_space"):
        given = x.given if given is None and x.given_space is not None and model._given is not None else given
        return Rows(x.x, model.read_given(given, len(x)))
    tensor = model.space.settle(x.detach()) if isinstance(x, Tensor) else model.space.read(x)
    return Rows(tensor, model.read_given(given, len(tensor)))


def reference_of(model: Any, reference: Any, given: Any, rows: Rows, rate: float, seed: int) -> Rows | None:
    """The examples that scores are held against: those that came, else draws of the model under the same conditions."""
    if reference is not None:
        found = read(model, reference, given, "reference")
        if len(found) < 10:
            raise BadData(f"reference has {len(found)} rows; at least 10 are needed: p is never below 1/(n + 1).")
        return Rows(found.x, found.given, "reference examples")
    if "sample" not in model.abilities:
        return None
    # So many that one odd row among all can be flagged, where that is not too long a work.
    count = max(DRAWN, min(ceil(len(rows) / rate), NUMBERS // model.space.size))
    told = None if rows.given is None else rows.given[torch.arange(count) % len(rows)]
    drawn = model.sample(count, given=told, seed=noise.mix(seed, 3))
    words = "draws of the model itself, for want of reference=: they are right as far as the model is"
    return Rows(model.space.read(drawn), told, words)


def halves(held: Rows, seed: int) -> tuple[Rows, Rows]:
    """Two halves by chance: one to fit a score with, one to hold it against."""
    with noise.stream(seed):
        order = noise.permutation(len(held))
    return held.part(order[: len(held) // 2]), held.part(order[len(held) // 2 :])


# ---- scores --------------------------------------------------------------------------------------------------------------


def scored(model: Any, way: str, background: Any, held: Rows | None, seed: int) -> tuple[Scorer, str, Rows | None]:
    """The score, what it is in words, and the reference examples that are left to hold it against."""
    nats = likely(model, seed)
    word = WORDS.get(number(model), "")
    if way == "likelihood":
        return (lambda x, g: -nats(x, g)), f"score = minus {word}" if "energy" not in word else f"score = {word}", held
    if way == "ratio":
        other = beside(model, background, seed)
        return against(other, nats), f"score = log p of {type(background).__name__} - {word}", held
    if held is None:
        raise Usage(f"way={way!r} needs reference=, real examples: {type(model).__name__} cannot sample.")
    first, rest = halves(held, noise.mix(seed, 6))
    if way == "typicality":
        return typical(nats, first, word) + (rest,)
    return latent(model, first, seed), "score = squared Mahalanobis distance of the code from the reference codes", rest


def against(other: Scorer, nats: Scorer) -> Scorer:
    """What one model says less what another does; what the second holds to be impossible is the oddest, whatever the first says."""

    def ratio(x: Tensor, given: Tensor | None) -> np.ndarray:
        own = nats(x, given)
        with np.errstate(invalid="ignore"):
            return np.where(np.isneginf(own), np.inf, other(x, given) - own)

    return ratio


def typical(nats: Scorer, first: Rows, word: str) -> tuple[Scorer, str]:
    """The distance from the median, on either side in its own spread: log p has a long tail below and an end above."""
    seen = nats(first.x, first.given)
    sure = seen[np.isfinite(seen)]
    centre = float(np.median(sure)) if len(sure) else 0.0
    sides = (sure[sure < centre] - centre, sure[sure > centre] - centre)
    low, high = (float(np.sqrt((part**2).mean())) if len(part) else 0.0 for part in sides)
    low, high = low or high or 1.0, high or low or 1.0

    def distance(x: Tensor, given: Tensor | None) -> np.ndarray:
        away = nats(x, given) - centre
        return np.where(away < 0, -away / low, away / high)

    return distance, f"score = distance of {word} from {centre:.4g}, in its spread: {low:.3g} below, {high:.3g} above"


def likely(model: Any, seed: int) -> Scorer:
    """log p, its bound, or minus the energy."""
    name = number(model)
    seeded = {"seed": noise.mix(seed, 2)} if name == "bound" else {}

    def nats(x: Tensor, given: Tensor | None) -> np.ndarray:
        with torch.no_grad():
            found = getattr(model, name)(x, given=given, **seeded)
        return found.detach().cpu().double().numpy() * (-1 if name == "energy" else 1)

    return nats


def beside(model: Any, background: Any, seed: int) -> Scorer:
    """log p of the background, which reads the rows as they came."""
    background.check_fitted()
    if not number(background):
        raise Unable(f"The background gives no likelihood. {background.reason('log_prob')}")
    if background.space.shape != model.space.shape and background.space.kind != "tokens":
        raise BadData(
            f"The background is of {background.space}, the model of {model.space}. Fit both on the same variables."
        )
    nats, alike, free = likely(background, seed), background.space == model.space, background._given is None
    return lambda x, g: nats(x if alike else background.space.read(model.space.restore(x)), None if free else g)


def latent(model: Any, first: Rows, seed: int) -> Scorer:
    def codes(x: Tensor, given: Tensor | None) -> Tensor:
        with torch.no_grad():
            return model.encode(x, given=given, seed=noise.mix(seed, 2)).detach().cpu().double().flatten(1)

    z = codes(first.x, first.given)
    n, width = z.shape
    centre = z.mean(0)
    covariance = (z - centre).T @ (z - centre) / n
    share = width / (n + width)  # towards a round one: few examples of a long code say little about its directions
    round_ = covariance.diagonal().mean().clamp(min=1e-12) * torch.eye(width, dtype=torch.float64)
    factor = torch.linalg.cholesky(torch.lerp(covariance, round_, share))

    def distance(x: Tensor, given: Tensor | None) -> np.ndarray:
        away = torch.linalg.solve_triangular(factor, (codes(x, given) - centre).T, upper=False)
        return (away**2).sum(0).numpy()

    return distance


def finite(scores: np.ndarray, name: str) -> np.ndarray:
    """Scores without NaN; +inf (impossible) is a score."""
    wrong = np.flatnonzero(np.isnan(scores))
    if len(wrong):
        where = f"The score of {len(wrong)} of {len(scores)} rows of {name} is NaN, the first in row {wrong[0]}"
        raise BadData(f"{where}: the model is broken there. Fit it again, or leave those rows out.")
    return scores


# ---- p-values and flags --------------------------------------------------------------------------------------------------


def conformal(scores: np.ndarray, null: np.ndarray, seed: int | None = None) -> np.ndarray:
    """The share of reference scores, the row's own among them, that reach a score; with a seed, ties are broken at random.

    >>> conformal(np.array([2.5, 0.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [0.5, 1.0]
    """
    ordered, n = np.sort(null), len(null)
    reached = n - np.searchsorted(ordered, scores, side="left")
    if seed is None:
        return (1 + reached) / (n + 1)
    above = n - np.searchsorted(ordered, scores, side="right")
    with noise.stream(seed, dtype=torch.float64):
        u = 1 - noise.uniform(len(scores)).numpy()  # (0, 1]
    return (above + u * (1 + reached - above)) / (n + 1)


def benjamini_hochberg(p: np.ndarray, rate: float) -> np.ndarray:
    """Which hypotheses are rejected: those up to the largest k with p_(k) <= k rate / m.

    >>> benjamini_hochberg(np.array([0.02, 0.9, 0.03, 0.001]), 0.05).tolist()
    [True, False, True, True]
    """
    ordered = np.sort(p)
    below = np.flatnonzero(ordered <= rate * np.arange(1, len(p) + 1) / len(p))
    return p <= ordered[below[-1]] if len(below) else np.zeros(len(p), dtype=bool)


# ---- columns -------------------------------------------------------------------------------------------------------------


def attributed(
    model: Any, scorer: Scorer, rows: Rows, scores: np.ndarray, held: Rows | None, most: int, seed: int
) -> tuple[np.ndarray | None, str]:
    """What each column adds to the score of the oddest rows, and how that was found."""
    if not most:
        return None, "no attribution was asked for"
    if rows.x.ndim != 2 or model.space.kind == "tokens" or rows.x.shape[1] > WIDE:
        return None, f"no attribution: it is for vectors and tables of up to {WIDE} columns"
    exact = model.abilities.get("complete") == "exact"
    if not exact and held is None:
        return None, "no attribution: it takes reference examples, or a model that completes exactly"
    out = np.full(tuple(rows.x.shape), np.nan)
    odd = np.argsort(-scores, kind="stable")[:most]
    impossible = np.isinf(scores[odd])
    for index, whole in ((odd[~impossible], exact), (odd[impossible], exact and held is None)):
        if len(index):
            drawn = conditionals(model, rows, index, seed) if whole else replaced(rows, index, held, seed)
            out[index] = np.stack([gain(scorer, x, g, scores[index]) for x, g in drawn], 1)
    how = "draws of the cell given the rest of its row" if exact else "values of the column in other examples"
    note = "; impossible rows by values of other examples" if exact and held is not None and impossible.any() else ""
    return out, f"a column adds: score - mean score with the cell replaced by {TIMES} {how}{note}, in {len(odd)} rows"


def gain(scorer: Scorer, x: Tensor, given: Tensor | None, scores: np.ndarray) -> np.ndarray:
    """score - mean of the scores after replacement. Of an impossible row: infinite where most replacements make it possible, else 0."""
    other = scorer(x, given).reshape(len(scores), TIMES)
    heals = np.isfinite(other).mean(1) >= 0.5
    with np.errstate(invalid="ignore"):  # inf - inf is asked and not taken
        return np.where(np.isinf(scores), np.where(heals, np.inf, 0.0), scores - other.mean(1))


def conditionals(model: Any, rows: Rows, index: np.ndarray, seed: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Column by column: each row TIMES times, with the cell drawn given the rest."""
    many = rows.part(torch.as_tensor(index).repeat_interleave(TIMES))
    for j in range(many.x.shape[1]):
        mask, x = np.arange(many.x.shape[1]) != j, many.x.clone()
        with torch.no_grad():
            filled = model.complete(many.x, known=mask, given=many.given, seed=noise.mix(seed, j))
        x[:, j] = filled[:, j].to(x)
        yield x, many.given


def replaced(rows: Rows, index: np.ndarray, held: Rows | None, seed: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The same with values that the column has in other examples."""
    assert held is not None
    many = rows.part(torch.as_tensor(index).repeat_interleave(TIMES))
    with noise.stream(seed):
        picks = (noise.uniform(TIMES, rows.x.shape[1]) * len(held)).long().clamp(max=len(held) - 1)
    for j in range(rows.x.shape[1]):
        x = many.x.clone()
        x[:, j] = held.x[picks[:, j], j].to(x).repeat(len(index))
        yield x, many.given


def known(values: np.ndarray) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]
