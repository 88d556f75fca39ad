"""The law of g(z), z ~ q: the pushforward of q by g.   Pr(A) = q(g^-1(A))

    finitely many z         P(x) = sum over z with g(z) = x of q(z)
    g constant in pieces    P(x) = sum of F(b) - F(a) over the pieces (a, b) with g = x, F the distribution function of z
    g with an inverse       p(x) = sum over z with g(z) = x of q(z) / |det g'(z)|
    any other g             draws alone

Lecture 000, definition 1; lecture 003 (change of variables).
n draws:   z (n, D)   x = g(z) (n, D)   g' (n, D, D)   log_prob (n,)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import fsum, log
from typing import Any

import torch
from torch import Tensor

from ..errors import BadData, Unable, Usage
from .laws import Finite, column, fresh, law_of, numbers, plain

LARGEST = 64  # variables whose Jacobian is formed; more are the business of log_det=
CLOSE = 1e-6  # how far map(inverse(x)) may be from x, as a share of 1 + |x|


class Pushforward:
    """A base whose law is known, and a map. `inverse` is a function, or a list of them where several z lead to one x (NaN: none here).

    >>> line = Pushforward("uniform", lambda z: 2 * z + 1, inverse=lambda x: (x - 1) / 2)
    >>> line.log_prob([[1.5], [4.0]]).exp().tolist()
    [0.5, 0.0]
    >>> Pushforward("uniform", lambda z: z < 0.3, cuts=[0.3]).table
    {True: 0.3, False: 0.7}
    """

    def __init__(
        self,
        base: Any,
        map: Callable[..., Any],
        inverse: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
        log_det: Callable[[Tensor], Tensor] | None = None,
        cuts: Sequence[float] | None = None,
    ):
        finite = base.table if isinstance(base, Pushforward) else None
        self.base: Any = law_of(Finite(finite) if finite is not None else base)
        self.map, self.log_det = map, log_det
        self.cuts = None if cuts is None else sorted(float(c) for c in cuts)
        self.branches = [] if inverse is None else [inverse] if callable(inverse) else list(inverse)
        self.proven = False  # that the branches undo the map
        if getattr(self.base, "sample", None) is None:
            raise Unable(f"{self.base!r} cannot sample, so nothing can be pushed forward. Pass a base that can.")
        if cuts is not None and (getattr(self.base, "cdf", None) is None or self.base.size != 1):
            raise Usage(
                f"cuts= are points on the line of a base with a distribution function; this base is {self.base!r}."
            )

    def __repr__(self) -> str:
        return f"Pushforward of {self.base!r}"

    # ---- what it can ---------------------------------------------------------------------------------------------
    @property
    def abilities(self) -> dict[str, str]:
        return {"sample": "exact"} | ({} if self.reason else {"log_prob": "exact"})

    @property
    def reason(self) -> str:
        """Why there is no log_prob; empty where there is one."""
        if self.cuts is not None or isinstance(self.base, Finite):
            return ""
        if not self.branches:
            return (
                "no inverse was given, and the density at x is that of the z which lead there. Pass inverse= (a list of functions where "
                "several z lead to one x), or cuts= where the map is constant in pieces."
            )
        return "" if getattr(self.base, "log_prob", None) is not None else f"its base, {self.base!r}, has no log_prob."

    def sample(self, n: int = 1, seed: int | None = None) -> Any:
        """n draws: a tensor (n, …), or a list of outcomes of a finite base."""
        z = self.base.sample(n, seed=fresh(seed))
        return [self.map(one) for one in z] if isinstance(self.base, Finite) else self.map(column(z))

    @property
    def log_prob(self) -> Callable[[Any], Tensor]:
        if self.reason:
            raise Unable(f"This pushforward has no log_prob: {self.reason} It can: sample.")
        return self.of_outcomes if self.table is not None else self.density

    # ---- finitely many outcomes ----------------------------------------------------------------------------------
    @property
    def table(self) -> dict[Hashable, float] | None:
        """The probability of each outcome, exactly; None where they are not finitely many."""
        if isinstance(self.base, Finite):
            pairs = [(self.map(z), p) for z, p in self.base.table.items()]
        elif self.cuts is not None:
            pairs = self.pieces()
        else:
            return None
        found: dict[Hashable, list[float]] = {}
        for outcome, p in pairs:
            found.setdefault(plain(outcome), []).append(p)
        return {outcome: fsum(parts) for outcome, parts in found.items()}

    def pieces(self) -> list[tuple[Any, float]]:
        """The value of the map between two neighbouring cuts, and the mass there."""
        cuts = self.cuts or []
        levels = [0.0, *self.base.cdf(cuts).tolist(), 1.0]
        ends = [cuts[0] - 1.0 if cuts else 0.0, *cuts, cuts[-1] + 1.0 if cuts else 1.0]
        if getattr(self.base, "low", None) is not None:
            ends[0], ends[-1] = float(self.base.low), float(self.base.high)
        found = []
        for a, b, below, upto in zip(ends, ends[1:], levels, levels[1:], strict=False):
            if upto <= below:
                continue
            values = [plain(v) for v in self.map(torch.tensor([[0.9 * a + 0.1 * b], [0.5 * (a + b)], [0.3 * a + 0.7 * b]], dtype=torch.float64))]  # fmt: skip
            if len(set(values)) > 1:
                raise BadData(
                    f"The map is not constant between the cuts {a:g} and {b:g}: it gives {values[0]} and {values[-1]}. Name every jump."
                )
            found.append((values[0], upto - below))
        return found

    def of_outcomes(self, x: Any) -> Tensor:
        table = self.table or {}
        return torch.tensor([log(p) if (p := table.get(plain(o), 0.0)) else -torch.inf for o in x], dtype=torch.float64)

    # ---- change of variables -------------------------------------------------------------------------------------
    def density(self, x: Any) -> Tensor:
        x = column(x)
        if not self.proven:
            self.prove()
        return torch.stack([self.through(branch, x) for branch in self.branches]).logsumexp(0)

    def through(self, branch: Callable[..., Any], x: Tensor) -> Tensor:
        """log of what one branch of the inverse adds at x: -inf where it has no z."""
        z = column(branch(x))
        there = torch.isfinite(z).all(1)
        inner = torch.where(there[:, None], z, column(self.base.sample(1, seed=0)).to(z))
        nats = numbers(self.base.log_prob(inner))
        image, logs = self.slope(inner)
        off = ((image - x).abs() / (1 + x.abs())).amax(1)
        wrong = there & (nats > -torch.inf) & (off > CLOSE)
        if bool(wrong.any()):
            i = int(wrong.nonzero()[0])
            raise BadData(
                f"The inverse does not undo the map: x = {x[i].tolist()} comes back as {image[i].tolist()}. Give NaN where there is no z."
            )
        return torch.where(there, nats - logs, -torch.inf)

    def slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """g(z) and log |det g'(z)| of each row."""
        if self.log_det is not None:
            return column(self.map(z)), numbers(self.log_det(z)).reshape(len(z))
        if z.shape[1] > LARGEST:
            raise Usage(
                f"A Jacobian of {z.shape[1]} variables would be formed row by row; up to {LARGEST} are. Pass log_det=."
            )
        with torch.enable_grad():
            keep = z.requires_grad  # the density is asked for with its own slope
            z = z if keep else z.detach().requires_grad_()
            try:
                x = column(self.map(z))
            except RuntimeError as problem:
                raise Usage(
                    f"torch cannot differentiate this map ({problem}). Write it with torch's functions, or pass log_det=."
                ) from problem
            if not x.requires_grad:
                raise Usage("torch cannot differentiate this map. Write it with torch's functions, or pass log_det=.")
            lines = [
                torch.autograd.grad(x[:, j].sum(), z, create_graph=keep, retain_graph=True, materialize_grads=True)[0]
                for j in range(x.shape[1])
            ]
        return x if keep else x.detach(), torch.linalg.slogdet(torch.stack(lines, 1))[1]

    def prove(self) -> None:
        """Draws of the base must come back by a branch, or a preimage is missing and the density too small."""
        z = column(self.base.sample(64, seed=0))
        x = column(self.map(z))
        if x.shape != z.shape:
            raise Unable(
                f"The map takes {z.shape[1]} numbers to {x.shape[1]}, so it has no density there. It can: sample."
            )
        gaps = [
            torch.nan_to_num((column(b(x)) - z).abs() / (1 + z.abs()), nan=torch.inf).amax(1) for b in self.branches
        ]
        nearest = torch.stack(gaps).amin(0)
        if float(nearest.max()) > 1e-3:
            i = int(nearest.argmax())
            raise BadData(
                f"The map takes z = {z[i].tolist()} to x = {x[i].tolist()}, and no inverse given leads back there: the density would be too small. "
                "Pass every branch in a list, or no inverse (then it can sample)."
            )
        self.proven = True
