"""The six f-divergences of lecture 001 from one table, in the log-ratio v = log p/q.

    D_f(P || Q) = E_Q f(p/q),      f convex, u = e^v
    D_f(P || Q) = sup_v  E_P T(v) - E_Q f*(T(v)),      T = f'(e^v),   f*(T) = e^v f'(e^v) - f(e^v),   reached at v = log p/q

So a critic's output is a log density ratio whichever f is chosen, and two functions of it are all that a bound or a game needs.
Nowozin, Cseke & Tomioka, "f-GAN", NIPS 2016, eq. 4 and table 1; Nguyen, Wainwright & Jordan, IEEE Trans. Inf. Theory 2010.

Three entries of the lecture's table (slips of the paper's table 1 too) do not follow from its own definition; here they do:
    Pearson   f = (u - 1)^2 gives the integral of (p - q)^2 / q; printed is the one over p, which is D_f(Q || P)
    JS        the f printed gives twice the integral printed; here f has the factor 1/2, so that JS is at most log 2
    GAN       f(1) = -log 4, not 0: D(P || P) = -log 4, and D = 2 JS - log 4. It is kept for the game it is the value of.

v, log p, log q and all that is made of them:   (…)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ...errors import Usage, did_you_mean

LOG2 = log(2)
Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Divergence:
    """One f, as functions of v = log p/q."""

    name: str
    formula: str
    f: Map  # f(e^v), for v <= 0
    tail: Map  # f(e^v) / e^v, for v >= 0
    slope: Map  # T = f'(e^v)
    conjugate: Map  # f*(T)
    zero: float  # f(0): what a unit of Q's mass costs where P has none
    far: float  # the limit of f(u) / u: what a unit of P's mass costs where Q has none

    @property
    def least(self) -> float:
        """D(P || P) = f(1)."""
        return float(self.f(torch.zeros((), dtype=torch.float64)))

    @property
    def most(self) -> float:
        """D of two laws that share no outcome."""
        return self.zero + self.far

    def __str__(self) -> str:
        return self.formula.partition(" = ")[0]


def softplus(v: Tensor) -> Tensor:
    """log(1 + e^v), to the last digit also for large v."""
    return -logsigmoid(-v)


def half(v: Tensor) -> Tensor:
    """log((1 + e^v) / 2), to the last digit also near 0."""
    return torch.where(v > 1, softplus(v) - LOG2, torch.log1p(torch.expm1(v.clamp(max=1.0)) / 2))


def shannon(v: Tensor) -> Tensor:
    """(u log u - (u + 1) log((u + 1) / 2)) / 2."""
    return -0.5 * (v.exp() * half(-v) + half(v))


def game(v: Tensor) -> Tensor:
    """u log u - (u + 1) log(u + 1)."""
    return -(v.exp() * softplus(-v) + softplus(v))


TABLE = {
    row.name: row
    for row in (
        Divergence(
            "kl",
            "KL(P || Q) = ∫ p log(p/q)",
            f=lambda v: v * v.exp(),
            tail=lambda v: v,
            slope=lambda v: 1 + v,
            conjugate=torch.exp,
            zero=0.0,
            far=inf,
        ),
        Divergence(
            "reverse_kl",
            "KL(Q || P) = ∫ q log(q/p)",
            f=lambda v: -v,
            tail=lambda v: -v * (-v).exp(),
            slope=lambda v: -(-v).exp(),
            conjugate=lambda v: v - 1,
            zero=inf,
            far=0.0,
        ),
        Divergence(
            "pearson",
            "chi2(P || Q) = ∫ (p - q)^2 / q",
            f=lambda v: torch.expm1(v) ** 2,
            tail=lambda v: -torch.expm1(v) * torch.expm1(-v),
            slope=lambda v: 2 * torch.expm1(v),
            conjugate=lambda v: torch.expm1(2 * v),
            zero=1.0,
            far=inf,
        ),
        Divergence(
            "hellinger",
            "H2(P, Q) = ∫ (√p - √q)^2",
            f=lambda v: torch.expm1(v / 2) ** 2,
            tail=lambda v: torch.expm1(-v / 2) ** 2,
            slope=lambda v: -torch.expm1(-v / 2),
            conjugate=lambda v: torch.expm1(v / 2),
            zero=1.0,
            far=1.0,
        ),
        Divergence(
            "js",
            "JS(P, Q) = 1/2 ∫ p log(2p/(p + q)) + q log(2q/(p + q))",
            f=shannon,
            tail=lambda v: shannon(-v),
            slope=lambda v: -half(-v) / 2,
            conjugate=lambda v: half(v) / 2,
            zero=LOG2 / 2,
            far=LOG2 / 2,
        ),
        Divergence(
            "gan",
            "GAN(P, Q) = ∫ p log(p/(p + q)) + q log(q/(p + q))",
            f=game,
            tail=lambda v: game(-v),
            slope=logsigmoid,
            conjugate=softplus,
            zero=0.0,
            far=0.0,
        ),
    )
}
ALIASES = {
    "forward_kl": "kl",
    "kullback_leibler": "kl",
    "rkl": "reverse_kl",
    "chi2": "pearson",
    "pearson_chi2": "pearson",
    "squared_hellinger": "hellinger",
    "hellinger2": "hellinger",
    "jensen_shannon": "js",
    "jsd": "js",
}


def of(name: str | Divergence) -> Divergence:
    """A row of the table by name.

    >>> of("Jensen-Shannon").name, round(of("gan").least, 4)
    ('js', -1.3863)
    """
    if isinstance(name, Divergence):
        return name
    word = str(name).strip().lower().replace("-", "_").replace(" ", "_")
    found = TABLE.get(ALIASES.get(word, word))
    if found is None:
        raise Usage(
            f"There is no divergence {name!r}.{did_you_mean(word, [*TABLE, *ALIASES])} There are: {', '.join(TABLE)}."
        )
    return found


def integrand(d: Divergence, log_p: Tensor, log_q: Tensor) -> Tensor:
    """q f(p/q), with what is lost on either side where the other has no mass."""
    v = log_p - log_q
    low, high = v.clamp(max=0.0), v.clamp(min=0.0)
    out = torch.where(v > 0, log_p.exp() * d.tail(high), log_q.exp() * d.f(low))
    out = torch.where(log_p == -inf, log_q.exp() * d.zero, torch.where(log_q == -inf, log_p.exp() * d.far, out))
    return torch.where((log_p == -inf) & (log_q == -inf), torch.zeros_like(out), out)


def balanced(d: Divergence, v: Tensor) -> Tensor:
    """2 f(u) / (1 + u): its mean under the even mixture of P and Q is D_f(P || Q).

    f is taken with f(1) and its tangent at 1 off, which changes no divergence, leaves nothing negative and no noise where P = Q.
    """
    at_one = float(d.slope(torch.zeros((), dtype=torch.float64)))
    low, high = v.clamp(max=0.0, min=-700.0), v.clamp(min=0.0, max=700.0)
    below = d.f(low) - d.least - at_one * torch.expm1(low)
    above = d.tail(high) - d.least * (-high).exp() + at_one * torch.expm1(-high)
    out = torch.where(v > 0, 2 * torch.sigmoid(v) * above, 2 * torch.sigmoid(-v) * below)
    out = torch.where(v == -inf, 2 * (d.zero - d.least + at_one), out)
    return torch.where(v == inf, 2 * (d.far - at_one), out) + d.least


def bound(d: Divergence, v_p: Tensor, v_q: Tensor) -> tuple[float, float]:
    """E_P T(v) - E_Q f*(T(v)) from v at draws of P and at draws of Q, and its standard error: at most D_f(P || Q) for any v."""
    gain, loss = d.slope(v_p.double()), d.conjugate(v_q.double())
    spread = gain.var() / len(gain) + loss.var() / len(loss)
    return float(gain.mean() - loss.mean()), float(spread.sqrt())
