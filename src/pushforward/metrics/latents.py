"""What the latent variables of a model hold: how much, in how many of them, and whether each stands for one thing.

    KL of unit l           E_x KL(q(z_l | x) || N(0, 1)) = E_x 1/2 (mu^2 + v - 1 - log v)
    active units           those with Var_x E_q[z_l | x] > 0.01                                        Burda et al., ICLR 2016, §5.2
    information            I(x; z) = E_x KL(q(z | x) || q(z)),  q(z) = 1/N sum_n q(z | x_n)            Hoffman & Johnson, 2016
    marginal KL            KL(q(z) || p(z)) = E_x KL(q(z | x) || p(z)) - I(x; z)

By draws z_i ~ q(z | x_i), q(z) from the N examples with x_i among them falls short of I(x; z), and is at most log N; without x_i it exceeds it
(Poole et al., ICML 2019, eqs. 10 and 13).

Codes c against known factors f, each a class:
    MIG                    mean_f [I(c_1st; f) - I(c_2nd; f)] / H(f),  codes in 20 bins                Chen et al., NeurIPS 2018
    SAP                    mean_f [a_1st - a_2nd],  a the accuracy of a code alone above chance        Kumar et al., ICLR 2018
    DCI                    1 - entropy of the importances of a code over factors, of a factor over codes; accuracy   Eastwood & Williams, 2018
    FactorVAE              rows that share one factor: the code that varies least, by a majority vote   Kim & Mnih, ICML 2018

N examples, L latents, F factors:   mu, log_var, z, codes (N, L)   factors (N, F)   importance (L, F)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import log, nan, pi, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import noise
from ..errors import BadData, Unable, Usage
from .estimate import Estimate

ACTIVE = 0.01
BINS = 20
BLOCK = 1 << 22  # numbers of log q(z_i | x_j) at once


# ---- how much ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Latents:
    """The answer of `latents`."""

    kl: Estimate  # of all units together
    units: tuple[Estimate, ...]  # KL of each
    active: Estimate
    information: Estimate
    marginal: Estimate

    def to_json(self) -> dict[str, Any]:
        found = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: [u.to_json() for u in x] if isinstance(x, tuple) else x.to_json() for name, x in found.items()}

    def __str__(self) -> str:
        listed = " ".join(f"{unit.value:.3g}" for unit in self.units)
        parts = (self.kl, self.active, self.information, self.marginal)
        return "\n".join([*map(str, parts), f"KL of each unit: {listed}"])

    __repr__ = __str__


def latents(model: Any, x: Any, given: Any = None, seed: int = 0) -> Latents:
    """What the codes of a model with an encoder q(z | x) and the prior N(0, I) hold of the examples x.

    >>> from pushforward.data import toys
    >>> from pushforward.models.latent import VAE
    >>> found = latents(VAE(latent=3, hidden=(16,)).fit(toys.moons(300), steps=20, quiet=True), toys.moons(200))
    >>> len(found.units), found.information.value < 5.3                        # log 200
    (3, True)
    """
    model.check_fitted()
    if not hasattr(model, "posterior"):
        raise Unable(
            f"{type(model).__name__} has no q(z | x) with a mean and a variance, so nothing to measure here. metrics.latents is for models with an "
            "encoder and a Gaussian prior; codes of any other are for metrics.disentanglement."
        )
    with torch.no_grad():
        both = model.per_row(
            x,
            given,
            lambda y, g: torch.cat([part.flatten(1) for part in model.posterior(y, g)], 1),
            seed,
            jacobian=False,
        )
    mu, log_var = torch.as_tensor(both).detach().cpu().double().chunk(2, 1)
    return of_posteriors(mu, log_var, seed)


def of_posteriors(mu: Any, log_var: Any, seed: int = 0) -> Latents:
    """The same of means and log variances (N, L) of Gaussian posteriors.

    >>> found = of_posteriors(torch.zeros(50, 2), torch.zeros(50, 2))                 # the prior itself: nothing is told
    >>> found.kl.value, found.active.value, abs(found.information.value) < 1e-12
    (0.0, 0.0, True)
    """
    mu, log_var = (torch.as_tensor(part).detach().cpu().double() for part in (mu, log_var))
    n = len(mu)
    if n < 2 or mu.ndim != 2 or mu.shape != log_var.shape:
        raise BadData(
            f"Means of shape {tuple(mu.shape)} and log variances of shape {tuple(log_var.shape)}: both (N, L) with N of at least 2 are awaited."
        )
    if not bool(torch.isfinite(mu).all() and torch.isfinite(log_var).all()):
        wrong = int((~(torch.isfinite(mu) & torch.isfinite(log_var)).all(1)).sum())
        raise BadData(f"{wrong} of {n} posteriors are not finite: the encoder is broken there.")
    each = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    words = "the closed form, KL(q(z|x) || N(0, I)) averaged over the examples"
    units = tuple(mean(each[:, j], f"KL of unit {j}", words) for j in range(each.shape[1]))
    total, moving = each.sum(1), mu.var(0, unbiased=True) > ACTIVE
    active = Estimate(
        "active units",
        float(moving.sum()),
        nan,
        None,
        (n,),
        f"the variance of the posterior mean over examples, above {ACTIVE}",
        None,
        (f"of {len(moving)} units: {', '.join(map(str, moving.nonzero()[:, 0].tolist())) or 'none'}",),
    )
    low, high = shares(mu, log_var, seed)
    short = (
        f"at least this and at most about {float(high.mean()):.4g} nats; {n:,} examples show {log(n):.3g} at most",
    )
    told = mean(low, "I(x; z)", f"one draw of z an example, q(z) from all {n:,}", short)
    rest = mean(
        total - low,
        "KL(q(z) || p(z))",
        "the mean KL less the information",
        ("at most this, as the information is at least what it was found to be",),
    )
    return Latents(mean(total, "KL(q(z|x) || p(z))", words), units, active, told, rest)


def mean(values: Tensor, name: str, words: str, notes: tuple[str, ...] = ()) -> Estimate:
    return Estimate(
        name,
        float(values.mean()),
        float(values.std()) / sqrt(len(values)),
        None,
        (len(values),),
        words,
        None,
        notes,
        "nats per example",
    )


def shares(mu: Tensor, log_var: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """log q(z_i | x_i) - log q(z_i) with x_i among the examples that make q(z), and without it: (N,) each."""
    n, width = mu.shape
    with noise.stream(seed, dtype=torch.float64):
        z = mu + (0.5 * log_var).exp() * noise.normal(n, width)
    precise = (-log_var).exp()
    constant = -0.5 * ((mu**2 * precise).sum(1) + log_var.sum(1) + width * log(2 * pi))  # of each x_j
    low, high = [], []
    for rows in torch.arange(n).split(max(1, BLOCK // n)):
        logs = torch.addmm(constant, z[rows], (mu * precise).T) - 0.5 * (z[rows] ** 2) @ precise.T  # log q(z_i | x_j)
        own = logs[torch.arange(len(rows)), rows]
        low.append(own - logs.logsumexp(1) + log(n))
        logs[torch.arange(len(rows)), rows] = -torch.inf
        high.append(own - logs.logsumexp(1) + log(n - 1))
    return torch.cat(low), torch.cat(high)


# ---- one thing each ------------------------------------------------------------------------------------------------------


def disentanglement(codes: Any, factors: Any, seed: int = 0) -> dict[str, Estimate]:
    """All scores of codes (N, L) against known factors (N, F), classes each: 1 where every code stands for one factor. The floor is the same of
    codes dealt out anew to the rows.

    """
    c, f = both(codes, factors)
    return {
        "mig": mig(c, f, seed),
        "sap": sap(c, f, seed),
        **dci(c, f, seed),
        "factor_vae": factor_vae(c, f, seed=seed),
    }


def mig(codes: Any, factors: Any, seed: int = 0) -> Estimate:
    """The mutual information gap: how much more of a factor its best code knows than its second best.

    >>> f = np.stack(np.meshgrid(*3 * [np.arange(4)]), -1).reshape(-1, 3)                      # three factors of four values
    >>> round(mig(f[:, [2, 0, 1]] + 0.0, f).value, 6)
    1.0
    """
    c, f = both(codes, factors)
    value = gap(c, f)
    parts = np.array_split(order(len(c), seed, 1), 10)
    left = [gap(np.delete(c, part, 0), np.delete(f, part, 0)) for part in parts]
    error = sqrt(0.9 * float(np.sum((np.array(left) - np.mean(left)) ** 2)))
    return score(
        "MIG",
        value,
        error,
        gap,
        c,
        f,
        seed,
        f"mutual information with codes in {BINS} bins of equal width",
        {"bins": BINS},
    )


def gap(c: np.ndarray, f: np.ndarray) -> float:
    known = information(c, f)
    ranked = -np.sort(-known, 0)
    second = ranked[1] if len(ranked) > 1 else 0.0
    return float(np.mean((ranked[0] - second) / np.array([entropy(np.bincount(column)) for column in f.T])))


def information(c: np.ndarray, f: np.ndarray) -> np.ndarray:
    """I(c_l; f_k) in nats (L, F), codes in bins of equal width."""
    low, high = c.min(0), c.max(0)
    cells = np.minimum((c - low) / np.where(high > low, high - low, 1.0) * BINS, BINS - 1).astype(np.int64)
    out = np.zeros((c.shape[1], f.shape[1]))
    for k, column in enumerate(f.T):
        levels = int(column.max()) + 1
        for j, own in enumerate(cells.T):
            table = np.bincount(own * levels + column, minlength=BINS * levels).reshape(BINS, levels)
            out[j, k] = entropy(table.sum(0)) + entropy(table.sum(1)) - entropy(table)
    return out


def entropy(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def sap(codes: Any, factors: Any, seed: int = 0) -> Estimate:
    """The separated attribute predictability: how much better the best code alone tells a factor than the second best.

    A code tells a factor by cuts, as many as there are classes; the accuracy is that of the other half, balanced, above chance: 0 to 1.
    """
    c, f = both(codes, factors)

    def value(c: np.ndarray, f: np.ndarray) -> float:
        from sklearn.tree import DecisionTreeClassifier

        a = np.zeros((c.shape[1], f.shape[1]))
        for k, column in enumerate(f.T):
            levels = int(column.max()) + 1
            for j in range(c.shape[1]):
                tree = DecisionTreeClassifier(max_leaf_nodes=levels, class_weight="balanced", random_state=0)
                a[j, k] = judged(tree, c[:, j : j + 1], column, seed)
        ranked = -np.sort(-a, 0)
        return float(np.mean(ranked[0] - (ranked[1] if len(ranked) > 1 else 0.0)))

    return score(
        "SAP", value(c, f), nan, value, c, f, seed, "cuts of one code, accuracy on the half not cut by, above chance"
    )


def dci(codes: Any, factors: Any, seed: int = 0) -> dict[str, Estimate]:
    """Disentanglement (each code tells one factor), completeness (each factor is told by one code), informativeness (all codes tell it).

    The importance of a code is that of a random forest of 30 trees for each factor.
    """
    c, f = both(codes, factors)
    ways: dict[str, Callable[[np.ndarray, float], float]] = {
        "disentanglement": lambda r, a: purity(r),
        "completeness": lambda r, a: purity(r.T),
        "informativeness": lambda r, a: a,
    }
    found, null = forests(c, f, seed), forests(dealt(c, seed), f, seed)
    words = "random forests of 30 trees, accuracy above chance on the half they have not seen"
    return {name: Estimate(f"DCI {name}", way(*found), nan, way(*null), (len(c),), words) for name, way in ways.items()}


def forests(c: np.ndarray, f: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """The importance of each code for each factor (L, F), and the mean accuracy above chance."""
    from sklearn.ensemble import RandomForestClassifier

    columns, rights = [], []
    for column in f.T:
        forest = RandomForestClassifier(
            30, max_features=None, class_weight="balanced", random_state=noise.mix(seed, 2) % (1 << 31)
        )
        rights.append(judged(forest, c, column, seed))
        columns.append(forest.feature_importances_)
    return np.stack(columns, 1), float(np.mean(rights))


def purity(importance: np.ndarray) -> float:
    """1 - entropy of each row over the columns, in units of its most, weighted by the rows' sums.

    >>> round(purity(np.array([[0.5, 0.5] + [0.0] * 8])), 4)            # one code, two of ten factors: 1 - log 2 / log 10
    0.699
    """
    rows = importance.sum(1)
    if importance.shape[1] < 2:
        return 1.0
    if not rows.sum() > 0:
        return 0.0
    clean = 1 - np.array([entropy(row) / log(importance.shape[1]) if row.sum() > 0 else 1.0 for row in importance])
    return float(np.sum(clean * rows) / rows.sum())


def factor_vae(codes: Any, factors: Any, batch: int = 64, votes: int = 800, seed: int = 0) -> Estimate:
    """The score of FactorVAE: from rows that share one value of one factor, which factor it was, told by the code that varies least.

    It is an accuracy, so chance is about one in F, which is what the floor shows.
    """
    c, f = both(codes, factors)
    if batch < 2 or votes < 2:
        raise Usage(f"batch={batch}, votes={votes}: at least 2 of each are needed.")

    def value(c: np.ndarray, f: np.ndarray) -> float:
        scale = c.var(0)
        live = scale > 1e-12 * max(float(scale.max()), 1e-300)
        if not live.any():
            return 1 / f.shape[1]
        with noise.stream(noise.mix(seed, 3), dtype=torch.float64):
            u = noise.uniform(votes, batch + 2).numpy()
        groups = [[np.flatnonzero(column == level) for level in np.unique(column)] for column in f.T]
        told = np.zeros((2, c.shape[1], f.shape[1]))
        for vote in range(votes):
            k = int(u[vote, 0] * f.shape[1])
            some = groups[k][int(u[vote, 1] * len(groups[k]))]
            spread = c[some[(u[vote, 2:] * len(some)).astype(int)]].var(0)[live] / scale[live]
            told[vote % 2, np.flatnonzero(live)[int(spread.argmin())], k] += 1
        return float(told[1][np.arange(c.shape[1]), told[0].argmax(1)].sum() / told[1].sum())

    found = value(c, f)
    error = sqrt(found * (1 - found) / (votes // 2))
    words = "a majority vote of the code that varies least, learned on half the votes and judged on the others"
    return score("FactorVAE score", found, error, value, c, f, seed, words, {"batch": batch, "votes": votes})


# ---- common to the scores ------------------------------------------------------------------------------------------------


def both(codes: Any, factors: Any) -> tuple[np.ndarray, np.ndarray]:
    """Codes as numbers (N, L), factors as classes 0 … K-1 (N, F)."""
    c = np.asarray(codes.detach().cpu() if isinstance(codes, Tensor) else codes, dtype=np.float64)
    f = factors.detach().cpu().numpy() if isinstance(factors, Tensor) else np.asarray(factors)
    c, f = (part[:, None] if part.ndim == 1 else part for part in (c, f))
    if c.ndim != 2 or f.ndim != 2 or len(c) != len(f):
        raise BadData(f"codes of shape {c.shape} and factors of shape {f.shape}: (N, L) and (N, F) are awaited.")
    if not np.isfinite(c).all():
        raise BadData(
            f"{int((~np.isfinite(c)).any(1).sum())} of {len(c)} codes are NaN or infinite: the encoder is broken there."
        )
    classes = np.stack([np.unique(column, return_inverse=True)[1] for column in f.T], 1).astype(np.int64)
    for j, column in enumerate(classes.T):
        counts = np.bincount(column)
        if len(counts) < 2:
            raise BadData(f"Factor {j} has one value in all {len(f)} rows, so there is nothing to tell. Leave it out.")
        if len(counts) * 4 > len(f):
            raise BadData(
                f"Factor {j} has {len(counts)} values in {len(f)} rows: a class needs rows. Pass factors in bins."
            )
    return c, classes


def judged(classifier: Any, c: np.ndarray, column: np.ndarray, seed: int) -> float:
    """The balanced accuracy on the half that it does not learn from, above chance: 0 for guessing, 1 for no mistake."""
    learn, test = np.array_split(order(len(c), seed, 4), 2)
    said = classifier.fit(c[learn], column[learn]).predict(c[test])
    truth = column[test]
    right = [float((said[truth == level] == level).mean()) for level in np.unique(truth)]
    chance = 1 / len(right)
    return max(0.0, (float(np.mean(right)) - chance) / (1 - chance)) if len(right) > 1 else 0.0


def order(n: int, seed: int, use: int) -> np.ndarray:
    with noise.stream(noise.mix(seed, use)):
        return noise.permutation(n).numpy()


def dealt(c: np.ndarray, seed: int) -> np.ndarray:
    """The same codes, each row to another row."""
    return c[order(len(c), seed, 5)]


def score(
    name: str,
    value: float,
    error: float,
    by: Callable[[np.ndarray, np.ndarray], float],
    c: np.ndarray,
    f: np.ndarray,
    seed: int,
    words: str,
    parameters: dict[str, Any] | None = None,
) -> Estimate:
    notes = ("the floor is the score of the same codes, dealt out anew to the rows",)
    return Estimate(name, value, error, by(dealt(c, seed), f), (len(c),), words, None, notes, "", parameters or {})
