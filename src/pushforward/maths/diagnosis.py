"""How a game of generator and critic goes: what one batch shows, and what a run of such looks says.

Of one look, at N examples x and as many fakes y, in the coordinates of the model:
    gap        E D(x) - E D(y)                                       auc    P(D(x) > D(y)); 1/2 where the critic cannot tell
    near       share of the fakes inside the ball of some example                         (precision, Kynkäänniemi et al. 2019)
    cover      share of the examples with a fake inside their ball, over what equal laws give      (coverage, Naeem et al. 2020, eq. 6)
               a ball has VOLUME times the volume that reaches to the K-th neighbour, so that modes count and not their inner shape
    spread     E|y - y'| / E|x - x'|                                 place  E u'y / sd u'x for one direction u
    distance   (2 E|x - y| - E|x - x'| - E|y - y'|) / E|x - x'|      (energy distance, Székely & Rizzo 2013, without bias)
    pull       root of the mean |dL/dy|^2: what the generator is told
Of held-out examples x*:    memory   (E D(x) - E D(x*)) / (E D(x) - E D(y))               (Karras et al. 2020, section 3.1, eq. 1)

N examples of F numbers:   x, y (N, F)   distances (N, N)   D (N,)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor

K, VOLUME = 3, 8.0
ROWS = 256  # examples of a look at most
LEAST = 12  # looks that a verdict needs

Look = dict[str, float]
REMEDIES = {
    "unknown": "The looks are not kept with a saved model; its journal has the verdict.",
    "too short": "Train longer: a verdict needs a few hundred steps.",
    "collapsed": "Show the critic several examples at once (pac=4), penalise its slope on both sides (penalty='r1r2'), or take a larger batch.",
    "critic won": "Hold the critic back: penalty='r1' or more of its weight, a lower lr, fewer critic_steps.",
    "gradient vanished": "Take an objective that keeps its gradient ('non-saturating', 'relativistic') and penalise the critic's slope (penalty='r1').",
    "adrift": "The critic does not bring the fakes back: more weight of its penalty, more critic_steps, a lower lr, or an objective without exponentials.",
    "blurred": "The fakes have the data's place and width and miss its finer shape: more steps, a deeper network (hidden), less weight of the penalty.",
    "critic overfits": "Penalise the critic's slope more (weight), make it smaller (hidden), stop earlier, or bring more data.",
    "oscillating": "Penalise the critic's slope (penalty='r1' or more of its weight), lower lr, and use averaged weights (ema=0.999).",
    "learning": "Give it more steps.",
    "converged": "More steps change nothing; a larger network or another objective may.",
}


@dataclass(frozen=True)
class Diagnosis:
    """One verdict with the numbers behind it and what to do; `others` were found beside it, the graver first.

    >>> print(Diagnosis("learning", {"distance": 0.25}))
    learning (distance 0.25). Give it more steps.
    """

    verdict: str
    numbers: Look = field(default_factory=dict)
    step: int | None = None  # since when
    others: tuple[Diagnosis, ...] = ()

    @property
    def healthy(self) -> bool:
        return self.verdict in ("learning", "converged")

    @property
    def remedy(self) -> str:
        return REMEDIES[self.verdict]

    def __str__(self) -> str:
        since = "" if self.step is None else f" at step {self.step}"
        told = ", ".join(f"{name} {value:.3g}" for name, value in self.numbers.items())
        also = f" Also: {', '.join(other.verdict for other in self.others)}." if self.others else ""
        return f"{self.verdict}{since}{f' ({told})' if told else ''}. {self.remedy}{also}"


# ---- one look --------------------------------------------------------------------------------------------------------
def due(step: int) -> bool:
    """Whether to look at this step: often at first, seldom later, so that it costs a hundredth of the time."""
    return step % (20 if step < 1000 else 100) == 0


@torch.no_grad()
def rivalry(told: Tensor, fooled: Tensor, pull: Tensor) -> dict[str, Tensor]:
    """gap, auc and pull from D of the examples, D of the fakes, and the slope of the generator's mean loss in the fakes."""
    told, fooled = told.float(), fooled.float()
    above = told[:ROWS, None] - fooled[None, :ROWS]
    return {
        "gap": told.mean() - fooled.mean(),
        "auc": ((above > 0).float() + (above == 0).float() / 2).mean(),
        "pull": pull.float().flatten(1).square().sum(1).mean().sqrt() * len(pull),
    }


@torch.no_grad()
def compare(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """near, cover, spread, distance and place of fakes y beside as many examples x; nothing of too few."""
    x, y = (side[:ROWS].flatten(1).float() for side in (x, y))
    n, wider = len(x), VOLUME ** (1 / x.shape[1])
    if n <= 2 * K:
        return {}
    among, across, own = torch.cdist(x, x), torch.cdist(x, y), torch.cdist(y, y)
    balls = wider * among.kthvalue(K + 1, dim=1).values[:, None]  # an example is its own first neighbour
    # Of examples that repeat (bits, codes) a ball would be a point: it is what lies nearer to them than to any other.
    apart = among.masked_fill(among == 0, torch.inf).amin(1, keepdim=True) / 2
    balls = torch.where((balls == 0) & torch.isfinite(apart), apart, balls)
    equal = (
        1 - (1 + VOLUME) ** -K
    )  # the balls' mass is about Gamma(K) / n, and exp(-VOLUME Gamma(K)) on average that of no fake inside
    pairs = n * (n - 1)
    scale = (among.sum() / pairs).clamp(min=1e-12)
    toward = direction(x)
    return {
        "near": (across <= balls.clamp(max=balls.quantile(0.9)))
        .any(0)
        .float()
        .mean(),  # no outlier's ball holds everything
        "cover": (across <= balls).any(1).float().mean() / equal,
        "spread": own.sum() / pairs / scale,
        "distance": (2 * across.mean() - among.sum() / pairs - own.sum() / pairs) / scale,
        "place": (y @ toward).mean() / (x @ toward).std().clamp(min=1e-12),
    }


def direction(x: Tensor) -> Tensor:
    """One direction (F,), the same at every look."""
    u = torch.randn(x.shape[1], generator=torch.Generator().manual_seed(0)).to(x)
    return u / u.norm()


@torch.no_grad()
def memory(told: Tensor, held: Tensor, fooled: Tensor) -> dict[str, Tensor]:
    """How much better the critic knows the examples it saw than others, as a share of what it knows; and in how many standard errors."""
    lead, whole = told.mean() - held.mean(), told.mean() - fooled.mean()
    error = (told.var() / len(told) + held.var() / len(held)).sqrt().clamp(min=1e-12)
    return {"memory": lead / whole.clamp(min=1e-12), "sure": lead / error}


def numbers(found: dict[str, Tensor]) -> Look:
    """Tensors -> numbers, with one wait for the device."""
    return dict(zip(found, torch.stack(list(found.values())).tolist(), strict=True)) if found else {}


# ---- a run -----------------------------------------------------------------------------------------------------------
def diagnose(record: Sequence[Look], last: Look | None = None) -> Diagnosis:
    """The verdict on a run from its looks, each with its `step`; `last` is one at the weights that are used in the end."""
    looks = [look for look in record if "cover" in look]
    if len(looks) < LEAST:
        return Diagnosis("too short", {"looks": len(looks)}) if record else Diagnosis("unknown")
    now = {name: median(tail(looks, name)) for name in ("auc", "pull", "near", "cover", "spread", "distance")} | (
        last or {}
    )
    found = [
        finding
        for finding in (won(now, looks), collapsed(now), away(now), oscillating(looks), overfits(record))
        if finding
    ]
    if not found or (found[0].verdict == "oscillating" and now["near"] > 0.9 and now["cover"] > 0.9):
        found.insert(0, rest(now, looks))  # averaged weights can rest where the last ones swing
    return Diagnosis(found[0].verdict, found[0].numbers, found[0].step, tuple(found[1:]))


def tail(looks: Sequence[Look], name: str) -> list[float]:
    return [look[name] for look in looks[-max(len(looks) // 4, 4) :]]


def won(now: Look, looks: Sequence[Look]) -> Diagnosis | None:
    """The critic tells all apart, and the fakes are nowhere near the data; or what it tells the generator has died away."""
    if now["auc"] < 0.98 or now["near"] > 0.3:
        return None
    left = now["pull"] / max(max(look["pull"] for look in looks), 1e-30)
    told = {name: now[name] for name in ("auc", "near", "pull")}
    return Diagnosis("gradient vanished" if left < 0.01 else "critic won", told | {"of its most": left})


def collapsed(now: Look) -> Diagnosis | None:
    """The fakes are near the data and reach only a part of it; or they are all one."""
    if now["spread"] > 0.1 and (now["cover"] > 0.9 or now["near"] - now["cover"] < 0.1):
        return None
    return Diagnosis("collapsed", {name: now[name] for name in ("cover", "near", "spread")})


def away(now: Look) -> Diagnosis | None:
    """The fakes are not where the data are, though the critic has not won."""
    if now["near"] > 0.5 or now["auc"] >= 0.98:
        return None
    told = {name: now[name] for name in ("near", "cover", "distance", "auc")}
    return Diagnosis("adrift" if now["distance"] > 0.1 else "blurred", told)


def oscillating(looks: Sequence[Look]) -> Diagnosis | None:
    """The place or the width of the fakes swings to and fro, and the swing does not die away."""
    half = looks[len(looks) // 2 :]
    steps = half[-1]["step"] - half[0]["step"]
    for name, least in (("place", 0.3), ("width", 0.4)):
        series = [look["place"] if name == "place" else math.log(max(look["spread"], 1e-6)) for look in half]
        early, late = (swing(part) for part in (series[: len(series) // 2], series[len(series) // 2 :]))
        turns = crossings(series, swing(series) / 2)
        if min(swing(series), late) > least and late > early / 2 and turns >= 4:
            return Diagnosis("oscillating", {f"swing of the {name}": swing(series), "period": 2 * steps / turns})
    return None


def swing(series: Sequence[float]) -> float:
    """The standard deviation."""
    mean = sum(series) / len(series)
    return math.sqrt(sum((value - mean) ** 2 for value in series) / len(series))


def crossings(series: Sequence[float], least: float) -> int:
    """How often a series goes from above its mean to below it or back, by at least so much on either side.

    >>> crossings([0, 2, 0.1, -0.1, 0.1, -2, 2], 1)
    2
    """
    mean = sum(series) / len(series)
    sides = [value > mean for value in series if abs(value - mean) > least]
    return sum(a != b for a, b in pairwise(sides))


def overfits(record: Sequence[Look]) -> Diagnosis | None:
    """The critic knows the examples it learned from by heart."""
    looks = [look for look in record if "memory" in look]
    if len(looks) < 3:
        return None
    share, sure = (median(tail(looks, name)) for name in ("memory", "sure"))
    if share < 0.5 or sure < 3:
        return None
    since = next(look["step"] for look in looks if look["memory"] >= 0.5)
    return Diagnosis("critic overfits", {"memory": share, "standard errors": sure}, int(since))


def rest(now: Look, looks: Sequence[Look]) -> Diagnosis:
    """Nothing is wrong: whether the fakes still come nearer, and since when they do not."""
    told = {name: now[name] for name in ("distance", "near", "cover", "auc")}
    since = max(settled([look["distance"] for look in looks]), settled([1 - look["cover"] for look in looks]))
    if since > 3 * len(looks) // 4:
        return Diagnosis("learning", told)
    return Diagnosis("converged", told, int(looks[since]["step"]))


def settled(series: Sequence[float]) -> int:
    """From which entry on a falling series stays at its last level, up to its own noise: that of one entry beside the next."""
    smooth = [median(series[max(0, i - 3) : i + 4]) for i in range(len(series))]
    last = slice(-max(len(series) // 4, 4), None)
    level, jumps = median(smooth[last]), [abs(a - b) for a, b in pairwise(series[last])]
    most = level + 4 * max(median(jumps), 0.005)
    return next((i for i in range(len(series) - 1, -1, -1) if smooth[i] > most), -1) + 1
