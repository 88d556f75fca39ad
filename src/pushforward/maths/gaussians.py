"""A mixture of K Gaussians, all components at once: density, gaps, draws and the two steps of EM.

    p(x) = sum_k w_k N(x; m_k, S_k),   S = L L',   S^-1 = P P',   P = L'^-1
    log N(x; m, S) = -1/2 |(x - m) P|^2 + log |det P| - D/2 log 2 pi
    x_u | x_o ~ N(m_u + L_uo z, L_uu L_uu'),   z = L_oo^-1 (x_o - m_o),   where L has the known variables o first
    r_nk = p(k | x_n);   n_k = sum_n r_nk,   m_k = sum_n r_nk x_n / n_k,   S_k = sum_n r_nk x_n x_n' / n_k - m_k m_k'

A missing cell is NaN: component k loses cell d with probability g_kd, whatever it held, and EM puts the conditional moments of
the lost cell in its place. Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977;
gaps: Ghahramani & Jordan, "Supervised learning from incomplete data via an EM approach", NIPS 1993, §3.

N rows of D variables, K components, O known and U unknown variables:
    x (N, D)   log w, n (K,)   m, g (K, D)   L, P (K, D, D), lower and upper triangular, or (K, D) where S is diagonal   r (N, K)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log, pi

import torch
from torch import Tensor

CACHE = 1 << 21  # bytes of a block of features: so many stay in a core's cache
BLOCK = 1 << 17  # numbers of a block of whitened rows


@dataclass
class Mixture:
    """Weights, means and spreads of K Gaussians.

    >>> two = Mixture(torch.tensor([0.5, 0.5]).log(), torch.tensor([[0.0], [4.0]]), torch.ones(2, 1), torch.zeros(2, 1))
    >>> two.posterior(torch.tensor([[2.0], [4.0]])).round(decimals=3).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """

    log_weights: Tensor
    means: Tensor
    spread: Tensor  # L
    gone: Tensor  # g
    whiten: Tensor = field(default=None)  # type: ignore[assignment]  # P, from L where it is not given

    def __post_init__(self):
        if self.whiten is None:
            self.whiten = whitener(self.spread)

    def joint(self, x: Tensor) -> Tensor:
        """log p(k, x), missing cells summed out: (N, D) -> (N, K)."""
        known = ~torch.isnan(x)
        if known.all():
            return self.log_weights + torch.log1p(-self.gone).sum(1) + self.log_densities(x)
        out = x.new_empty(len(x), len(self.means))
        for rows, o in patterns(known):
            nats = self.log_densities(x[rows]) if o.all() else self.split(x[rows], o)[0]
            out = out.index_copy(0, rows, nats + cells(o, self.gone))
        return self.log_weights + out

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x): (N, D) -> (N,)."""
        joint = self.joint(x).T  # rows last, as `log_densities` has made them
        top = joint.amax(0)
        shares = (joint - torch.where(torch.isfinite(top), top, 0.0)).clamp(min=least(joint)).exp()
        return top + shares.sum(0).log()

    def posterior(self, x: Tensor) -> Tensor:
        return self.joint(x).softmax(1)

    def log_densities(self, x: Tensor) -> Tensor:
        """log N(x; m_k, S_k) of whole rows: (N, D) -> (N, K)."""
        (k, d), p = self.means.shape, self.whiten
        # One product of matrices for all components, so what is common to them is taken off first. Blocks of rows stay in cache, and lie
        # last: a sum over a short last axis costs a CPU several times as much.
        centre = self.means.mean(0)
        x, means = x - centre, self.means - centre
        constant = (p if p.ndim == 2 else p.diagonal(dim1=1, dim2=2)).log().sum(1) - 0.5 * d * log(2 * pi)
        turn = p.mT.reshape(k * d, d) if p.ndim == 3 else p
        offset = (p.mT @ means[:, :, None]).flatten()[:, None] if p.ndim == 3 else means
        squares = []
        for block in x.split(max(64, BLOCK // (k * d))):
            if p.ndim == 3:
                z = torch.addmm(-offset, turn, block.T).view(k, d, -1)
            else:
                z = (block.T - offset[:, :, None]) * turn[:, :, None]
            squares.append((z * z).sum(1))
        return torch.add(constant, torch.cat(squares, 1).T, alpha=-0.5)

    def split(self, x: Tensor, o: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log N(x_o) (N, K); mean (N, K, U) and spread (K, U, U) or (K, U) of the unknown variables, for rows that know the variables o (D,)."""
        order = torch.cat([o.nonzero()[:, 0], (~o).nonzero()[:, 0]])
        count = int(o.sum())
        gap = x[:, None, order[:count]] - self.means[:, order[:count]]  # (N, K, O)
        rest = self.means[:, order[count:]].expand(len(x), -1, -1)
        if self.spread.ndim == 2:
            inner, outer = self.spread[:, order[:count]], self.spread[:, order[count:]]
            z, scales = gap / inner, inner
        else:
            rows = self.spread[:, order]
            spread = torch.linalg.cholesky(rows @ rows.mT)
            inner, outer = spread[:, :count, :count], spread[:, count:, count:]
            z = torch.linalg.solve_triangular(inner, gap.permute(1, 2, 0), upper=False)
            rest, z, scales = (
                rest + (spread[:, count:, :count] @ z).permute(2, 0, 1),
                z.permute(2, 0, 1),
                inner.diagonal(dim1=1, dim2=2),
            )
        return -0.5 * (z * z).sum(2) - scales.log().sum(1) - 0.5 * count * log(2 * pi), rest, outer

    def draw(self, u: Tensor, noise: Tensor, lost: Tensor | None = None) -> Tensor:
        """Uniforms u (N,), normals (N, D) and, for missing cells, uniforms (N, D) -> rows (N, D)."""
        k = pick(self.log_weights.exp().expand(len(u), -1), u)
        out = take(spreading(noise, self.spread), k) + self.means[k]
        return out if lost is None else torch.where(lost < self.gone[k], torch.nan, out)

    def fill(self, x: Tensor, known: Tensor, u: Tensor, noise: Tensor) -> Tensor:
        """x with what is not known drawn from p(unknown | known): exact, one factorisation for each pattern of gaps.

        What fills a gap is a value: a component that often loses the cell has as little part in it as in `log_prob` of the filled row.
        """
        out, there = x.clone(), torch.log1p(-self.gone).clamp(min=least(x)).sum(1)  # never 0 / 0
        for rows, o in patterns(known):
            nats, mean, spread = self.split(x[rows], o)
            k = pick((self.log_weights + there + nats).softmax(1), u[rows])
            new = take(mean, k) + take(spreading(noise[rows][:, ~o], spread), k)
            out[rows] = out[rows].masked_scatter(~o.expand(len(rows), -1), new)
        return out


@dataclass
class Sums:
    """What the E-step leaves of the data."""

    nats: Tensor  # sum_n log p(x_n)
    count: Tensor  # (K,)    sum_n r
    first: Tensor  # (K, D)  sum_n r x
    second: Tensor  # (K, D, D) or (K, D)   sum_n r x x'
    gone: Tensor  # (K, D)  sum_n r [x is missing]


class Rows:
    """Examples laid out for EM. log p(k, x) is linear in the features (x, x_i x_j), and so are the sums that the M-step needs:
    both steps are one product of matrices. The features of a block of rows are made anew in each step, in a place that stays in a
    core's cache: reading them from memory would take longer. Rows lie last there.
    """

    def __init__(self, x: Tensor, full: bool):
        gone = torch.isnan(x)
        d = x.shape[1]
        self.i, self.j = (
            torch.triu_indices(d, d, device=x.device) if full else torch.arange(d, device=x.device).expand(2, -1)
        )
        self.partial = [(x[rows], known) for rows, known in patterns(~gone) if not known.all()] if gone.any() else []
        whole = x[~gone.any(1)] if self.partial else x
        size = max(16, CACHE // (x.element_size() * (d + len(self.i))))
        self.place = x.new_empty(d + len(self.i), min(size, len(whole)))
        self.blocks = [self.lay(block.T.contiguous(), full) for block in whole.split(size)] if len(whole) else []

    def lay(self, block: Tensor, full: bool) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor, Tensor]]]:
        """A block of rows (D, n), where its features go (F, n), and what is multiplied with what to be put where."""
        d, n = block.shape
        out = self.place[:, :n]
        if not full:
            return block, out, [(block, block, out[d:])]
        parts = out[d:].split([*range(d, 0, -1)])
        return block, out, [(block[i], block[i:], part) for i, part in enumerate(parts)]

    def coefficients(self, mixture: Mixture) -> tuple[Tensor, Tensor]:
        """log p(k, x) = c_k + t_k · features(x):   c (K,)   t (K, F)."""
        m, p, d = mixture.means, mixture.whiten, mixture.means.shape[1]
        logdet = (p if p.ndim == 2 else p.diagonal(dim1=1, dim2=2)).log().sum(1)
        precision = p**2 if p.ndim == 2 else p @ p.mT
        slope = precision * m if p.ndim == 2 else (precision @ m[:, :, None])[:, :, 0]
        c = (
            mixture.log_weights
            + torch.log1p(-mixture.gone).sum(1)
            + logdet
            - 0.5 * (m * slope).sum(1)
            - 0.5 * d * log(2 * pi)
        )
        curve = (precision if p.ndim == 2 else precision[:, self.i, self.j]) * torch.where(self.i == self.j, -0.5, -1.0)
        return c, torch.cat([slope, curve], 1)

    def expect(self, mixture: Mixture) -> Sums:
        """The E-step."""
        k, d = mixture.means.shape
        c, t = self.coefficients(mixture)
        nats, count, sums = c.new_zeros(()), torch.zeros_like(c), c.new_zeros(k, t.shape[1])
        for block, f, products in self.blocks:
            f[:d] = block
            for one, other, product in products:
                torch.mul(one, other, out=product)
            logits = torch.addmm(c[:, None], t, f)
            top = logits.amax(0)
            r = logits.sub_(top).clamp_(min=least(logits)).exp_()
            total = r.sum(0)
            nats, count = nats + top.sum() + total.log().sum(), count + r.div_(total).sum(1)
            sums.addmm_(r, f.T)
        second = sums[:, d:]
        if mixture.spread.ndim == 3:
            second = c.new_zeros(k, d, d)
            second[:, self.i, self.j] = second[:, self.j, self.i] = sums[:, d:]
        out = Sums(nats, count, sums[:, :d].contiguous(), second, torch.zeros_like(mixture.means))
        for x, known in self.partial:
            self.add(out, mixture, x, known)
        return out

    def add(self, total: Sums, mixture: Mixture, x: Tensor, o: Tensor) -> None:
        """The E-step of rows that know the variables o alone."""
        nats, mean, spread = mixture.split(x, o)
        logits = mixture.log_weights + cells(o, mixture.gone) + nats
        top = logits.logsumexp(1, keepdim=True)
        r = (logits - top).exp()
        count = r.sum(0)
        full = torch.nan_to_num(x)[:, None].repeat(1, r.shape[1], 1)
        full[:, :, ~o] = mean
        total.nats, total.count = total.nats + top.sum(), total.count + count
        total.first += torch.einsum("nk,nkd->kd", r, full)
        total.gone += count[:, None] * ~o
        if spread.ndim == 2:
            total.second += torch.einsum("nk,nkd->kd", r, full**2)
            total.second[:, ~o] += count[:, None] * spread**2
        else:
            total.second += torch.einsum("nkd,nke->kde", full * r[:, :, None], full)
            where = (~o).nonzero()[:, 0]
            total.second[:, where[:, None], where] += count[:, None, None] * (spread @ spread.mT)


def improved(sums: Sums, old: Mixture, reg: float, spherical: bool) -> Mixture:
    """The M-step. `reg` is added to every variance; a component that no row belongs to stays where it is, with weight 0."""
    alive = sums.count > 1e-10 * sums.count.sum()
    n = torch.where(alive, sums.count, 1.0)[:, None]
    means = sums.first / n
    if sums.second.ndim == 2:
        variance = sums.second / n - means**2
        variance = variance.mean(1, keepdim=True).expand_as(means) if spherical else variance
        spread = (variance.clamp(min=0) + reg).sqrt()
    else:
        covariance = sums.second / n[:, :, None] - means[:, :, None] * means[:, None]
        covariance.diagonal(dim1=1, dim2=2).clamp_(min=0).add_(reg)
        spread, wrong = torch.linalg.cholesky_ex(covariance)
        spread = torch.where((wrong > 0)[:, None, None], torch.nan, spread)
    shape = (-1,) + (1,) * (spread.ndim - 1)
    return Mixture(
        torch.where(alive, sums.count / sums.count.sum(), 0.0).log(),
        torch.where(alive[:, None], means, old.means),
        torch.where(alive.view(shape), spread, old.spread),
        torch.where(alive[:, None], (sums.gone / n).clamp(max=1), old.gone),
    )


def least(logits: Tensor) -> float:
    """Below this an exponential is no normal number, and takes a processor ten times as long."""
    return log(torch.finfo(logits.dtype).tiny) + 1


def whitener(spread: Tensor) -> Tensor:
    """P with S^-1 = P P'."""
    if spread.ndim == 2:
        return 1 / spread
    one = torch.eye(spread.shape[-1], dtype=spread.dtype, device=spread.device).expand_as(spread)
    return torch.linalg.solve_triangular(spread, one, upper=False).mT.contiguous()


def spreading(noise: Tensor, spread: Tensor) -> Tensor:
    """L_k e for all components: (N, D) -> (N, K, D)."""
    return noise[:, None] * spread if spread.ndim == 2 else torch.einsum("nd,ked->nke", noise, spread)


def patterns(known: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The rows (their numbers) that know the same variables, and which those are."""
    kinds, which = torch.unique(known, dim=0, return_inverse=True)
    order, counts = which.argsort(), torch.bincount(which, minlength=len(kinds))
    yield from zip(order.split(counts.tolist()), kinds, strict=True)


def pick(shares: Tensor, u: Tensor) -> Tensor:
    """Row n's component: the first whose cumulated share exceeds u_n, never one of share 0."""
    steps = shares.cumsum(1)
    return torch.searchsorted(steps, u[:, None] * steps[:, -1:], right=True)[:, 0].clamp(max=shares.shape[1] - 1)


def take(x: Tensor, k: Tensor) -> Tensor:
    """(N, K, D) -> (N, D), component k_n of row n."""
    return x[torch.arange(len(k), device=k.device), k]


def cells(known: Tensor, gone: Tensor) -> Tensor:
    """log P(which cells are missing). Of a variable that never was, nothing is said, so that a gap of it is summed out.

    >>> cells(torch.tensor([[True, False]]), torch.tensor([0.5, 0.0])).round(decimals=2), cells(torch.tensor([False, True]), torch.tensor([[0.5, 0.0]]))
    (tensor([-0.6900]), tensor([-0.6931]))
    """
    lost = torch.where((gone > 0).reshape(-1, gone.shape[-1]).any(0), gone.log(), 0.0)
    return torch.where(known, torch.log1p(-gone), lost).sum(-1)
