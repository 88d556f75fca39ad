"""What a model says about examples: how likely they are to it, with the kind of the statement, its unit, error and base measure.

    exact              log p(x)
    at least           a lower bound, or an estimate by importance weights: both by draws, so on average, E log 1/K sum_k w_k <= log p(x)
    between            by annealing: log p(x) = -E(x) - log Z, log Z from below on the way up and from above on the way down
    up to a constant   -E(x)

    mean = 1/n sum_i log p(x_i)      stderr = std / sqrt(n)      bits/dim = -mean / (D log 2), where the data are discrete
    two models on the same rows      1/n sum_i [log p_a(x_i) - log p_b(x_i)],   stderr = std of the n differences / sqrt(n)

Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, theorem 1; Grosse, Ghahramani & Adams, "Sandwiching the
marginal likelihood using bidirectional Monte Carlo", 2015. An error of log Z is one for all rows, so it does not shrink with n.

n examples of D variables:   values, spread, ess (n,)
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import hypot, inf, isfinite, log, nan, sqrt
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from ..data.examples import Examples
from ..errors import BadData, Unable, Usage, did_you_mean
from ..space import Space
from .estimate import Estimate

WAYS = ("log_prob", "bound", "evidence", "energy")  # what is cheap first
BEST = ("log_prob", "evidence", "bound", "energy")  # what is tight first, whatever it costs: by="best"
LOT = 4096  # rows of a fingerprint at once


@dataclass(frozen=True, repr=False)
class Likelihood:
    """The answer of `likelihood`: `values` holds one number a row."""

    values: np.ndarray
    by: str  # the ability that gave it
    kind: str  # exact, lower bound, importance-weighted, unnormalised …
    measure: str  # counting, Lebesgue, mixed
    size: int  # D
    discrete: bool
    low: float | None = None  # of an estimate that comes with a bracket: the means of its ends
    high: float | None = None
    of: str = ""  # the system
    space: Space | None = None
    rows: str = ""  # a fingerprint of the examples
    told: bool = False  # of p(x | given)
    spread: np.ndarray | None = None  # standard error of each row's estimate
    ess: np.ndarray | None = None  # effective number of samples of each row's estimate
    parameters: Mapping[str, Any] = field(default_factory=dict)  # of an estimate: {"samples": 64}

    # ---- rows that are no numbers ----------------------------------------------------------------------------------
    @property
    def impossible(self) -> int:
        """Rows that the model holds to be impossible: log p = -inf."""
        return int(np.isneginf(self.values).sum()) if self.by != "energy" else 0

    @property
    def broken(self) -> int:
        """Rows at which the model gives NaN, or a density without limit."""
        return int((~np.isfinite(self.values)).sum()) - self.impossible

    # ---- numbers ---------------------------------------------------------------------------------------------------
    @property
    def mean(self) -> float:
        with np.errstate(invalid="ignore"):
            return float(np.mean(self.values))

    @property
    def stderr(self) -> float | None:
        if len(self.values) < 2 or not np.isfinite(self.values).all():
            return None
        return hypot(float(np.std(self.values, ddof=1)) / sqrt(len(self.values)), self.common)

    @property
    def common(self) -> float:
        """The error that all rows share: that of log Z."""
        return float(np.mean(self.spread)) if self.spread is not None and self.low is not None else 0.0

    @property
    def bits(self) -> float | None:
        """Bits per dimension; None where the data are not discrete or the number is not a likelihood."""
        return -self.mean / self.size / log(2) if self.discrete and self.by != "energy" else None

    # ---- words -----------------------------------------------------------------------------------------------------
    @property
    def says(self) -> str:
        """How the mean of `values` stands to the mean of log p: exact, at least, between, about, up to a constant."""
        if self.by in ("energy", "log_prob"):
            return "up to a constant" if self.by == "energy" else "exact"
        if self.low is not None and self.high is not None:
            return "between"
        return "at least" if self.by == "bound" or "importance-weighted" in self.kind else "about"

    @property
    def ends(self) -> tuple[float, float]:
        """Where the mean of log p lies, chance of the rows aside."""
        if self.says == "between":
            return float(self.low or 0.0), float(self.high or 0.0)
        return {"exact": (self.mean, self.mean), "at least": (self.mean, inf)}.get(self.says, (nan, nan))

    @property
    def notes(self) -> tuple[str, ...]:
        out, n = [], len(self.values)
        if self.impossible:
            rest = self.values[~np.isneginf(self.values)]
            left = f"; the mean of the others is {np.mean(rest):.4g}" if len(rest) else ""
            out.append(f"{self.impossible:,} of {n:,} rows are impossible for the model (log p = -inf){left}")
        if self.broken:
            out.append(f"{self.broken:,} of {n:,} rows have no number (NaN or +inf): the model is broken there")
        if self.says == "between":
            out.append(f"between {self.low:.4g} and {self.high:.4g} by the ways up and down")
        elif self.says == "at least":
            out.append("log p is at least this on average over the draws that it is made of")
        elif self.says == "up to a constant":
            out.append("log p is minus this, less a constant that is not known")
        if self.ess is not None and len(self.ess):
            of = f" of {self.parameters['samples']}" if "samples" in self.parameters else ""
            out.append(
                f"effective samples: {np.median(self.ess):.3g}{of} in the median row, {self.ess.min():.3g} in the worst"
            )
        return tuple(out)

    @property
    def estimate(self) -> Estimate:
        """The mean as an estimate."""
        what = {"bound": "a lower bound of log p(x)", "energy": "E(x)"}.get(self.by, "log p(x)")
        error = nan if self.stderr is None else self.stderr
        return Estimate(
            f"mean {what}",
            self.mean,
            error,
            None,
            (len(self.values),),
            f"{self.by} of {self.of or 'the model'}: {self.kind}",
            None,
            self.notes,
            f"nats per example, {self.measure} measure",
            self.parameters,
        )

    def to_json(self) -> dict[str, Any]:
        """The facts without the rows. What is infinite is null, as JSON has no infinity."""
        name = "energy" if self.by == "energy" else "nats"
        facts = {name: self.mean, "stderr": self.stderr, "bits/dim": self.bits, "low": self.low, "high": self.high}
        shown = {key: value if value is not None and np.isfinite(value) else None for key, value in facts.items()}
        if self.low is None:
            del shown["low"], shown["high"]
        ess = {} if self.ess is None else {"ess": float(np.median(self.ess))}
        return (
            shown
            | ess
            | {
                "rows": len(self.values),
                "kind": self.kind,
                "says": self.says,
                "by": self.by,
                "measure": self.measure,
                "impossible": self.impossible,
                "broken": self.broken,
                "parameters": dict(self.parameters),
            }
        )

    def __str__(self) -> str:
        bits = [] if self.bits is None else [f"{self.bits:.4g} bits/dim"]
        return "\n  ".join([str(self.estimate), *bits])

    __repr__ = __str__


def likelihood(model: Any, x: Any, given: Any = None, by: str = "", seed: int = 0, **options: Any) -> Likelihood:
    """How likely a model holds each example to be, by its most exact ability or by the one that is named; `by="best"` takes the tightest
    statement whatever it costs. Further options go to the model's `evidence`: samples=, chains=, steps=.

    >>> from pushforward.models.classical import Histogram
    >>> model = Histogram(bins=2).fit(np.array([[0.0], [1.0]]))
    >>> found = likelihood(model, np.array([[0.25], [0.75]]))
    >>> round(found.mean, 3), found.kind, found.measure
    (0.0, 'exact', 'Lebesgue')
    """
    way = chosen(model, by)
    check_given(model, way, options)
    seeded = {} if way in ("log_prob", "energy") else {"seed": seed}
    with torch.no_grad():
        found = getattr(model, way)(x, given=given, **seeded, **options)
    ends = model.evidence_ if way == "evidence" else {}
    low, high = (float(np.mean(array(ends[end]))) if end in ends else None for end in ("low", "high"))
    spread, ess = (array(ends[name]) if name in ends else None for name in ("stderr", "ess"))
    return Likelihood(
        array(found),
        way,
        model.abilities[way],
        model.space.measure,
        model.space.size,
        model.space.discrete,
        low,
        high,
        of=type(model).__name__,
        space=model.space,
        rows=fingerprint(model.space, x),
        told=told(model),
        spread=spread,
        ess=ess,
        parameters=settings(model, options) if way == "evidence" else {},
    )


def chosen(model: Any, by: str) -> str:
    """The ability that answers."""
    if by and by not in (*WAYS, "best"):
        raise Usage(f"by={by!r}: one of {', '.join(WAYS)}, or best, is awaited.{did_you_mean(by, (*WAYS, 'best'))}")
    if by in WAYS:
        getattr(model, by)  # one that the model lacks says why
        return by
    way = next((way for way in (BEST if by else WAYS) if way in model.abilities), "")
    if not way:
        raise Unable(str(model.reason("log_prob")))
    return way


def check_given(model: Any, way: str, options: Mapping[str, Any]) -> None:
    """Options are for an estimate, and those that the model has."""
    if options and way != "evidence":
        raise Usage(
            f"{next(iter(options))}= is an option of evidence; this number comes from {way}. Say by='evidence'."
        )
    known = settings(model, {}) if options else {}
    for name in options:
        if name not in known:
            raise Usage(
                f"The evidence of {type(model).__name__} takes no {name!r}.{did_you_mean(name, known)} It takes: {', '.join(known)}."
            )


def settings(model: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an estimate: as they were given, else as the model has them."""
    known = inspect.signature(type(model)._evidence).parameters
    own = {name: p.default for name, p in known.items() if p.default not in (inspect.Parameter.empty, None)}
    return own | dict(options)


def told(model: Any) -> bool:
    """Whether its numbers are of p(x | given)."""
    return getattr(model, "_given", None) is not None


def array(found: Any) -> np.ndarray:
    return np.asarray(found.detach().cpu() if isinstance(found, Tensor) else found, dtype=np.float64)


# ---- two models ----------------------------------------------------------------------------------------------------------


def paired(a: Any, b: Any, x: Any = None, given: Any = None, by: str = "", seed: int = 0) -> Estimate:
    """By how many nats an example a is likelier than b, on the same rows: two answers of `likelihood`, or two models and x.

    What does not compare is refused with the reason: other measures, spaces or rows, and energies. `parameters["statement"]` says what the
    number is for the models themselves: exact, at least, at most, between, or nothing.

    >>> from pushforward.models.classical import Histogram
    >>> x = np.array([[0.0], [1.0], [1.0], [1.0]])
    >>> two, one = Histogram(bins=2).fit(x), Histogram(bins=1).fit(x)
    >>> round(paired(two, one, x).value, 4)                   # log 2 + 1/4 log 1/4 + 3/4 log 3/4
    0.1308
    """
    one, two = (side(model, x, given, by, seed) for model in (a, b))
    if why := unlike(one, two):
        raise Usage(f"{why} These numbers are not subtracted.")
    for each in (one, two):
        if each.broken:
            raise BadData(
                f"{each.of} gives NaN or +inf for {each.broken} of {len(each.values)} rows: it is broken there. Fit it again."
            )
    with np.errstate(invalid="ignore"):
        gaps = one.values - two.values
        value = float(gaps.mean())
    whole, n = bool(np.isfinite(gaps).all()), len(gaps)
    error = hypot(float(np.std(gaps, ddof=1)) / sqrt(n), one.common, two.common) if whole and n > 1 else nan
    statement, words = stated(one, two)
    return Estimate(
        f"mean log p(x), {one.of or 'a'} - {two.of or 'b'}",
        value,
        error,
        None,
        (n,),
        f"paired differences on the same rows, {one.kind} against {two.kind}",
        student(value, error, n) if statement == "exact" and whole and n > 1 else None,
        (*words, *lost(one, two, gaps)),
        f"nats per example, {one.measure} measure",
        {"statement": statement},
    )


def side(model: Any, x: Any, given: Any, by: str, seed: int) -> Likelihood:
    if isinstance(model, Likelihood):
        return model
    if x is None:
        raise Usage("paired(a, b) takes two answers of likelihood; two models need rows too: paired(a, b, x).")
    return likelihood(model, x, given, by, seed)


def stated(a: Likelihood, b: Likelihood) -> tuple[str, list[str]]:
    """What the difference of two numbers says about that of the log-likelihoods: a name, and a sentence."""
    low, high = a.ends[0] - b.ends[1], a.ends[1] - b.ends[0]
    if a.says == b.says == "exact":
        return "exact", []
    if isfinite(low) and isfinite(high):
        return "between", [f"the true difference lies between {low:.4g} and {high:.4g}, chance of the rows aside"]
    if isfinite(low) or low == inf:
        return "at least", [f"the true difference is at least {low:.4g}, chance of the rows aside"]
    if isfinite(high) or high == -inf:
        return "at most", [f"the true difference is at most {high:.4g}, chance of the rows aside"]
    if a.says == b.says == "at least":
        return "nothing", ["two lower bounds: this says which bound is higher, not which model is likelier"]
    return "nothing", ["an estimate without a bracket: this says nothing certain about the models"]


def lost(a: Likelihood, b: Likelihood, gaps: np.ndarray) -> list[str]:
    """What is to be said of rows that a model holds to be impossible, and of a condition that only one was told."""
    out = [
        f"{each.impossible:,} of {len(gaps):,} rows are impossible for {each.of}" for each in (a, b) if each.impossible
    ]
    kept = gaps[np.isfinite(gaps)]
    if out and len(kept) > 1:
        error = np.std(kept, ddof=1) / sqrt(len(kept))
        out.append(f"on the {len(kept):,} rows that both hold possible it is {kept.mean():.4g} ± {error:.2g}")
    if a.told != b.told:
        out.append(f"only {(a if a.told else b).of} was told what is given")
    return out


def student(value: float, error: float, n: int) -> float:
    """The chance of a mean so far from 0 where there is none: two-sided, by Student's t with n - 1 degrees of freedom."""
    from scipy.special import stdtr

    if not error > 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(value / error)))


# ---- what compares with what ---------------------------------------------------------------------------------------------


def unlike(a: Likelihood, b: Likelihood) -> str:
    """Why the numbers of two models cannot be subtracted; nothing where they can."""
    for one in (a, b):
        if one.by == "energy":
            return f"{one.of} gives an energy, which lacks a constant of its own: no difference to another model's number has a meaning."
    if a.measure != b.measure:
        words = {
            "counting": "probabilities",
            "Lebesgue": "densities",
            "mixed": "densities of some variables and probabilities of others",
        }
        return (
            f"{a.of} gives {words[a.measure]} ({a.measure} measure) and {b.of} {words[b.measure]} ({b.measure} measure): binned data and data with "
            "noise added are other data than the numbers themselves. Fit both on the same data."
        )
    if a.space is not None and b.space is not None and (found := apart(a.space, b.space)):
        return found
    if len(a.values) != len(b.values):
        return f"{a.of} was asked about {len(a.values):,} rows and {b.of} about {len(b.values):,}. Ask both about the same."
    if a.rows and b.rows and a.rows != b.rows:
        return (
            f"{a.of} and {b.of} were asked about different rows. The same rows in other units are other rows too: a density changes by the "
            "Jacobian. Ask both about the same, in one order and in the same units."
        )
    return ""


def apart(a: Space, b: Space) -> str:
    """What distinguishes the base measures of two spaces."""
    if written(a) and written(b):
        return ""
    if a.shape != b.shape:
        return f"One model is of {a}, the other of {b}. Compare models of the same variables."
    if a.names and b.names and a.names != b.names:
        odd = next(f"{i!r} and {j!r}" for i, j in zip(a.names, b.names, strict=True) if i != j)
        return f"The columns differ: {odd} stand in one place. Fit both on the same columns in the same order."
    for name, one, two in zip(a.names or map(str, range(a.size)), units(a), units(b), strict=False):
        if one != two:
            return f"Column {name!r} is {one} for one model and {two} for the other. Fit both on the same data."
    return ""


def written(space: Space) -> bool:
    """Strings with an end: their probabilities compare whatever the room for them."""
    return space.kind == "tokens" and space.form == "text"


def units(space: Space) -> list[str]:
    """The measure of each variable."""
    if space.kind != "table":
        return [space.measure] * space.size
    return ["counting" if c.discrete or c.step else "Lebesgue" for c in space.columns]


def fingerprint(space: Space, x: Any) -> str:
    """A hash of the rows: of numbers to single precision, of codes by what they stand for."""
    digest = hashlib.blake2b(digest_size=16)
    names = [
        np.array([crc32(str(v).encode()) for v in c.categories] + [-1.0]) if c.discrete else None for c in space.columns
    ]
    for lot in lots(space, x):
        if written(space):
            digest.update("\0".join([*space.restore(lot), ""]).encode("utf-8", "surrogatepass"))
            continue
        part = lot.detach().cpu().flatten(1).double().numpy().copy()
        if space.kind == "table":
            for j, words in enumerate(names):
                if words is not None:
                    part[:, j] = words[part[:, j].astype(int)]
        single = part.astype(np.float32) + np.float32(0)  # no -0
        single[np.isnan(single)] = np.nan  # NaN has many names
        digest.update(np.ascontiguousarray(single).tobytes())
    return digest.hexdigest()


def lots(space: Space, x: Any) -> Iterator[Tensor]:
    if isinstance(x, Examples):
        for start in range(0, len(x), LOT):
            yield x.take(slice(start, start + LOT))[0]
        return
    tensor = space.settle(x.detach()) if isinstance(x, Tensor) else space.read(x)
    yield from tensor.split(LOT)
