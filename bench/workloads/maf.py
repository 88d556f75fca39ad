"""Masked autoregressive flows: 5 affine transforms, masked networks of (256, 256) ReLU units, D = 63 and 21.

Timed: a training step on 256 rows, log p of 1,000 rows, and 1,000 exact samples through the public doors of ours.
The bare arm computes ours with ours' weights: masks are baked and only gradients are masked, no layer reverses its input,
and its sampler goes variable by variable and touches every weight once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import log, pi
from typing import Any

import torch
from clock import count, fit_step, fitted, loop_step
from density import DRAWN, RATE, STEP, Flow, data, minus, quietly
from measure import BARE, OURS, Arm, Row, Setting, Target, agree, faster, peer
from torch import Tensor, nn
from torch.nn import functional as F

import pushforward as pf

TRANSFORMS, HIDDEN, LIMIT = 5, 256, 5.0


class Layer:
    """One transform: three matrices, their masks, and where the units of each degree begin. Parameters are all m, then all s."""

    def __init__(self, net: Any):
        self.order = net.sequence
        tensors = [t for layer in net.layers for t in (layer.weight, layer.bias)]
        tensors[4:] = [t.unflatten(0, (-1, 2)).movedim(0, 1).flatten(0, 1) for t in tensors[4:]]
        self.weights = [nn.Parameter(t.detach().clone()) for t in tensors]
        last = net.layers[2].mask.unflatten(0, (-1, 2)).movedim(0, 1).flatten(0, 1)
        self.masks = [net.layers[0].mask, net.layers[1].mask, last]
        self.starts = [torch.searchsorted(d, torch.arange(net.dims + 1)).tolist() for d in net.degrees]

    def moved(self, x: Tensor) -> tuple[Tensor, Tensor]:
        w1, b1, w2, b2, w3, b3 = self.weights
        m, raw = F.linear(F.linear(F.linear(x, w1, b1).relu_(), w2, b2).relu_(), w3, b3).chunk(2, 1)
        s = raw / (1 + raw.abs() / LIMIT)
        return (x - m) * torch.exp(-s), s

    def plan(self) -> list[tuple]:
        """The slices of the weights that each step of the sampler reads, cut once."""
        w1, b1, w2, b2, w3, b3 = (w.detach() for w in self.weights)
        first, second = self.starts
        w1, dims = w1[:, self.order], len(self.order)
        steps = []
        for i, d in enumerate(self.order):
            # What is known at step i: i variables, the units of degree at most i; new are the units of degree i.
            (a, b), (c, e) = (first[i], first[i + 1]), (second[i], second[i + 1])
            own = [d, dims + d]
            steps.append(
                (
                    d,
                    (a, b, w1[a:b, :i], b1[a:b, None]),
                    (c, e, w2[c:e, :b], b2[c:e, None]),
                    (w3[own, :e], b3[own, None]),
                )
            )
        return steps


class Bare:
    """The whole flow."""

    def __init__(self, model: Any):
        self.layers = [Layer(link.net) for link in model.flow.links]
        self.plans = [layer.plan() for layer in self.layers]

    def parameters(self) -> list[nn.Parameter]:
        return [w for layer in self.layers for w in layer.weights]

    def mask(self) -> None:
        matrices = [w.grad for layer in self.layers for w in layer.weights[::2]]
        torch._foreach_mul_(matrices, [m for layer in self.layers for m in layer.masks])

    def log_prob(self, x: Tensor) -> Tensor:
        total = None
        for layer in self.layers:
            x, s = layer.moved(x)
            total = s if total is None else total + s
        return -(total + 0.5 * x * x).sum(1) - 0.5 * x.shape[1] * log(2 * pi)

    @torch.no_grad()
    def push(self, z: Tensor) -> Tensor:
        x = z.T.contiguous()
        for plan in reversed(self.plans):
            x = invert(plan, x)
        return x.T

    def sample(self, n: int) -> Tensor:
        return self.push(torch.randn(n, len(self.plans[0])))


def invert(plan: list[tuple], z: Tensor) -> Tensor:
    """(D, B) -> (D, B) through one transform, each weight once."""
    known, h1, h2, x = (
        torch.empty_like(z),
        z.new_empty(HIDDEN, z.shape[1]),
        z.new_empty(HIDDEN, z.shape[1]),
        torch.empty_like(z),
    )
    for i, (d, (a, b, w1, b1), (c, e, w2, b2), (w3, b3)) in enumerate(plan):
        if b > a:
            torch.addmm(b1, w1, known[:i], out=h1[a:b]).relu_()
        if e > c:
            torch.addmm(b2, w2, h1[:b], out=h2[c:e]).relu_()
        m, raw = torch.addmm(b3, w3, h2[:e])
        torch.addcmul(m, z[d], torch.exp(raw / (1 + raw.abs() / LIMIT)), out=known[i])
        x[d] = known[i]
    return x


# --- peers ----------------------------------------------------------------------------------------------------------


def zuko_flow(dims: int) -> Flow:
    import zuko

    flow = zuko.flows.MAF(dims, transforms=TRANSFORMS, hidden_features=(HIDDEN, HIDDEN))
    return flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,))


def nflows_flow(dims: int) -> Flow:
    from nflows import distributions, flows, transforms

    links: list[Any] = []
    for _ in range(TRANSFORMS):
        affine = transforms.MaskedAffineAutoregressiveTransform(dims, HIDDEN, num_blocks=1, use_residual_blocks=False)
        links += [affine, transforms.ReversePermutation(dims)]
    flow = flows.Flow(transforms.CompositeTransform(links), distributions.StandardNormal([dims]))
    return flow, flow.log_prob, flow.sample


def normflows_flow(dims: int) -> Flow:
    import normflows as nf
    from normflows.flows.base import Reverse

    links: list[Any] = []
    for _ in range(TRANSFORMS):
        # As it comes, its pass goes from noise to data (an inverse flow): turned round it is the MAF.
        affine = nf.flows.MaskedAffineAutoregressive(dims, HIDDEN, num_blocks=1, use_residual_blocks=False)
        net = affine.autoregressive_net
        net.initial_layer = nn.Sequential(net.initial_layer, nn.ReLU())  # which it leaves out, unlike the others
        links += [Reverse(affine), nf.flows.Permute(dims)]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(dims, trainable=False), links)
    return flow, flow.log_prob, lambda n: flow.sample(n)[0]


def peers(dims: int) -> dict[str, Flow]:
    makers = {"zuko": zuko_flow, "nflows": nflows_flow, "normflows": normflows_flow}
    torch.manual_seed(0)
    return {name: make(dims) for name, make in makers.items() if peer(name) is not None}


# --- rows -----------------------------------------------------------------------------------------------------------


def ours(dims: int) -> Any:
    return pf.MAF(transforms=TRANSFORMS, hidden=(HIDDEN, HIDDEN), norm="none", mix="none")


def rows(setting: Setting) -> Iterator[Row]:
    for dims in (63,) if setting.quick else (63, 21):
        yield from rows_of(dims, setting)


def rows_of(dims: int, setting: Setting) -> Iterator[Row]:
    x = data(dims)
    model = fitted(ours(dims), x.numpy(), steps=20, batch=STEP, lr=1e-3)
    bare, others = Bare(model), peers(dims)
    some, batches = x[:DRAWN], x.split(STEP)[:-1]
    sizes = {OURS: model.size(), BARE: count(bare.parameters())} | {
        name: count(flow.parameters()) for name, (flow, _, _) in others.items()
    }

    @cache
    @torch.no_grad()
    def check() -> str:
        agree(f"parameters {sizes}", len(set(sizes.values())) == 1)
        y, _, ladj = model.enter(some, None)
        apart = float((bare.log_prob(y) + ladj - model.log_prob(some)).abs().max())
        agree(f"log p of the bare arm is {apart:.1e} from ours", apart < 1e-3)
        z = torch.randn(DRAWN, dims, generator=torch.Generator().manual_seed(1))
        drawn = torch.as_tensor(model._decode(z))
        same, back = float((bare.push(z) - drawn).abs().max()), float((model._encode(drawn) - z).abs().max())
        agree(
            f"samples of the bare arm are {same:.1e} from ours, and ours come back to {back:.1e}",
            max(same, back) < 1e-3,
        )
        _, inverse = model.flow.inverse(z)
        nats = float((-0.5 * (z.square().sum(1) + dims * log(2 * pi)) - inverse - model._log_prob(drawn)).abs().max())
        agree(f"log p is {nats:.1e} from that of the sampler", nats < 1e-3)
        return f"{sizes[OURS]:,} parameters each; bare = ours to {max(apart, same):.0e}; f(g(z)) = z to {back:.0e}; log p = that of the sampler to {nats:.0e}"

    def row(work: str, arms: list[Arm], target: Target | None, note: str) -> Row:
        return Row("maf", f"MAF {TRANSFORMS} × ({HIDDEN}, {HIDDEN}), D = {dims}: {work}", arms, target, check, note)

    arms = [Arm(OURS, lambda: model.sample(DRAWN, seed=0)), Arm(BARE, lambda: bare.sample(DRAWN))]
    arms += [Arm(name, quietly(sample, DRAWN)) for name, (_, _, sample) in others.items()]
    yield row(
        f"sample {DRAWN:,}",
        arms,
        faster(10) if dims == 63 else None,  # what 21 variables leave to win is 11 times
        "ours by the public door: NumPy arrays in the units of the data, noise by rows",
    )

    first = fit_step(lambda: ours(dims), x.numpy(), batch=STEP, lr=RATE)
    arms = [
        Arm(OURS, first, tells=True),
        Arm(BARE, loop_step(bare.parameters(), lambda b: -bare.log_prob(b).mean(), batches, RATE, bare.mask)),
    ]
    arms += [
        Arm(name, loop_step(flow.parameters(), minus(log_prob), batches, RATE))
        for name, (flow, log_prob, _) in others.items()
    ]
    yield row(
        f"train step {STEP}",
        arms,
        faster(1),
        "ours: a step inside fit, data path and journal included; the others: a loop over ready batches; the same fused Adam for all",
    )

    bare, others = Bare(model), peers(dims)
    arms = [Arm(OURS, quietly(model.log_prob, some)), Arm(BARE, quietly(bare.log_prob, some))]
    arms += [Arm(name, quietly(log_prob, some)) for name, (_, log_prob, _) in others.items()]
    yield row(f"log_prob {DRAWN:,}", arms, faster(1), "ours by the public door")
