"""The restricted Boltzmann machine.   descend  E_data[F(v)] - E_chain[F(v)],   F(v) = -b'v - sum_j softplus(c + v'W)_j

Smolensky 1986; Hinton, "Training products of experts by minimizing contrastive divergence", 2002; Tieleman, "Training
restricted Boltzmann machines using approximations to the likelihood gradient", ICML 2008 (persistent chains); lecture 003
    E(v, h) = -b'v - c'h - v'Wh = -a'(v - m) - d'(h - 1/2) - (v - m)'W(h - 1/2) + const,   m = mean of the data
What learns is (W, a, d): centred, the likelihood is far better conditioned (Montavon & Mueller, "Deep Boltzmann machines and
the centering trick", 2012). What is given, g, shifts the biases:  b + g'V,  c + g'U.
B examples of D bits, H hidden units, C persistent chains, G features given:   x (B, *X)   v (B, D)   h (B, H)   W (D, H)
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ... import noise
from ...engine import Recipe
from ...errors import Usage, did_you_mean
from ...maths import chains
from ...maths.chains import BaseRates, Bipartite, BlockGibbs, LogZ, bits, fire
from .family import Energy

OBJECTIVES = ("cd", "pcd")


class RBM(Energy):
    """A restricted Boltzmann machine: bits that hear only hidden bits, and the other way round.

    >>> import numpy as np
    >>> x = np.array([[0, 0, 1, 1], [1, 1, 0, 0]] * 50, dtype=bool)
    >>> model = RBM(hidden=4, burn=50).fit(x, steps=50, quiet=True)
    >>> model.sample(3, seed=0).shape, model.abilities["log_prob"]
    ((3, 4), 'exact')
    """

    hidden: int = 500  # H, hidden units
    objective: str = "pcd"  # chains start at the examples (cd) or where they stopped (pcd; cd under a condition)
    sweeps: int = 1  # k, Gibbs sweeps a step of training
    chains: int = 100  # C, persistent chains, of which a step moves one for each example of its batch
    renew: float = 0.05  # share of the persistent chains that start again at an example in each step
    burn: int = 500  # Gibbs sweeps of a sample, half of them while warming up from independent bits
    exact: int = 20  # units of the smaller layer up to which log Z is summed; each one more doubles the time

    # float32 everywhere: the chances of a bit must not be rounded to eight bits.
    recipe: ClassVar[Recipe] = Recipe(
        steps=6000, batch=100, lr=0.05, optimizer="sgd", schedule="linear", valid=0.0, precision="float32"
    )
    spaces: ClassVar[tuple[str, ...]] = ("binary",)
    plates: ClassVar[Any] = "N{H{(h)}; D{[x]}; h -- x}"
    small: ClassVar[dict[str, Any]] = {"hidden": 16, "burn": 100}
    kinds: ClassVar[dict[str, str]] = {**Energy.kinds, "encode": "P(h = 1 | x)", "decode": "likeliest bits"}

    def build(self, space, given=None):
        if self.objective not in OBJECTIVES:
            hint = did_you_mean(self.objective, OBJECTIVES)
            raise Usage(f"objective={self.objective!r} is not one of {', '.join(OBJECTIVES)}.{hint}")
        for name in ("hidden", "sweeps", "chains", "burn"):
            if getattr(self, name) < 1:
                raise Usage(f"{name}={getattr(self, name)!r}: a number of at least 1 is awaited.")
        self.weight = nn.Parameter(0.01 * noise.normal(space.size, self.hidden))  # W, as in Hinton's guide of 2010
        self.visible_bias = nn.Parameter(torch.zeros(space.size))  # a
        self.hidden_bias = nn.Parameter(torch.zeros(self.hidden))  # d
        if given:
            self.visible_slope = nn.Parameter(torch.zeros(given, space.size))  # V
            self.hidden_slope = nn.Parameter(0.01 * noise.normal(given, self.hidden))  # U
        self.register_buffer("base", torch.zeros(space.size))  # log-odds of m: where annealing starts
        # A persistent chain rests in its hidden bits, h - 1/2: one matrix product fewer a step than in its visible ones.
        self.register_buffer("resting", torch.zeros(self.chains, self.hidden), persistent=False)

    def prime(self, x, given=None):
        x = x.flatten(1)
        self.base.copy_(torch.logit((x.sum(0) + 0.5) / (len(x) + 1)))
        self.visible_bias.copy_(self.base + self.weight.sum(1) / 2)
        self.resting.copy_(bits(torch.full_like(self.resting, 0.5))).sub_(0.5)

    def unable(self, ability):
        units = min(self.space.size, self.hidden)
        if ability == "log_prob" and units > self.exact:
            return (
                f"log Z would be a sum over 2^{units} states. evidence(x) estimates log p(x) with a standard error and a "
                f"bracket, energy(x) is exact up to log Z, and exact={units} has it summed however long it takes."
            )
        return None

    def machine(self, given: Tensor | None = None) -> Bipartite:
        """The layers as chains see them, with biases that are not centred."""
        visible = self.visible_bias - self.weight.sum(1) / 2
        hidden = self.hidden_bias - self.base.sigmoid() @ self.weight
        if given is not None:
            visible, hidden = visible + given @ self.visible_slope, hidden + given @ self.hidden_slope
        return Bipartite(self.weight, visible, hidden)

    def loss(self, x, given=None):
        x = x.flatten(1)
        if given is not None:  # a persistent chain would belong to one condition: here each starts at its example
            machine = self.machine(given)
            fantasy = BlockGibbs(self.sweeps).step(x, machine)
            return machine.energy(x).mean() - machine.energy(fantasy).mean()
        learning = self.base.sigmoid(), self.weight, self.visible_bias, self.hidden_bias
        if self.objective == "cd":
            return Gap.apply(x, BlockGibbs(self.sweeps).step(x, self.machine()), *learning)[0]
        first = noise.current().start % self.chains  # of several processes, each moves chains of its own
        resting = self.resting[first : first + len(x)]
        with torch.no_grad():
            fantasy = fire(torch.addmm(self.visible_bias, resting, self.weight.mT))
            if self.sweeps > 1:
                fantasy = BlockGibbs(self.sweeps - 1).step(fantasy, self.machine())
        loss, chances = Gap.apply(x, fantasy, *learning)
        following = chances[len(x) :]
        if self.renew:
            again = noise.uniform(len(resting), 1).to(chances.device) < self.renew
            following = torch.where(again, chances[: len(resting)], following)
        torch.sub(bits(following), 0.5, out=resting)
        return loss

    def _energy(self, x, given=None):
        return self.machine(given).energy(x.flatten(1))

    def _log_prob(self, x, given=None):
        found = self.log_z(len(x), given, "exact", lambda g: chains.exact(self.machine(g), self.exact))
        return -self._energy(x, given) - x.new_tensor([z.value for z in found])

    def _evidence(self, x, given=None, chains: int = 100, steps: int = 1000):
        """By annealing `chains` chains over `steps` temperatures up to the machine, and down again for the bracket."""
        seed = noise.current().seed
        found = self.log_z(len(x), given, (seed, chains, steps), lambda g: self.annealed(g, seed, chains, steps))
        energy = self._energy(x, given)
        seen: dict[str, Any] = self.evidence_
        for name, values in (
            ("stderr", [z.stderr for z in found]),
            ("low", [-z.high for z in found]),
            ("high", [-z.low for z in found]),
        ):
            column = torch.tensor(values, dtype=torch.float64)
            column = column if name == "stderr" else column - energy.detach().double().cpu()
            seen[name] = torch.cat([seen[name], column]) if name in seen else column
        return -energy - x.new_tensor([z.value for z in found])

    def annealed(self, given: Tensor | None, seed: int, chains_: int, steps: int) -> LogZ:
        with noise.stream(seed, 1, 0, self.device, self.dtype), torch.no_grad():
            return chains.ais(BaseRates(self.machine(given), self.base), chains_, steps)

    def _encode(self, x, given=None):
        return self.machine(given).hidden_field(x.flatten(1)).sigmoid()

    def _decode(self, z, given=None):
        return (self.machine(given).visible_field(z) > 0).to(z.dtype)

    def _sample(self, n, given=None):
        return self.gibbs(torch.zeros(n, len(self.base), device=self.device, dtype=self.dtype), given)

    def _complete(self, x, known, given=None):
        return self.gibbs(x.flatten(1), given, known.flatten(1))

    def gibbs(self, x: Tensor, given: Tensor | None, known: Tensor | None = None) -> Tensor:
        """The ends of chains with `known` held fast: warmed up from independent bits to the machine, then left to run at it."""
        warm = self.burn // 2
        betas = [*chains.ladder(max(warm, 1))[1:], *[1.0] * (self.burn - warm - 1)]

        def run(rows: slice) -> Tensor:
            index = torch.arange(rows.start, rows.stop, device=x.device).clamp(max=len(x) - 1)
            machine = self.machine(None if given is None else given[index])
            kernel, v = BlockGibbs(known=None if known is None else known[index]), x[index]
            for beta in betas:
                v = kernel.step(v, machine.tempered(beta, self.base) if beta < 1 else machine)
            return v

        with torch.no_grad():
            return chains.in_blocks(len(x), run, self.device)


class Gap(torch.autograd.Function):
    """mean F(data) - mean F(chain), and P(h = 1 | v) of both; the gradient by hand, in one product for both.

    With u = v - m and f = d + u'W:   F = -a'u - sum_j [softplus(f_j) - f_j / 2] + const,   dF/dW = -u (sigmoid(f) - 1/2)'.
    """

    @staticmethod
    def forward(ctx, data, chain, mean, weight, visible, hidden):
        u = torch.cat([data, chain.to(data.dtype)]).sub_(mean)
        field = torch.addmm(hidden, u, weight)
        chances = field.sigmoid()
        share = torch.full_like(u[:, 0], 1 / len(data))
        share[len(data) :] = -1 / len(chain)
        slope = share @ u
        ctx.save_for_backward(u, chances, share, slope)
        ctx.mark_non_differentiable(chances)
        return -(slope @ visible + (share @ softplus(field)).sum() - (share @ field).sum() / 2), chances

    @staticmethod
    def backward(ctx, by, _):
        u, chances, share, slope = ctx.saved_tensors
        means = (chances - 0.5).mul_((share * -by)[:, None])
        return None, None, None, u.mT @ means, slope * -by, means.sum(0)
