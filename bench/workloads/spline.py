"""Neural spline flows, D = 21: 5 transforms, rational-quadratic splines of 8 bins on [-5, 5] with linear tails, (256, 256) units.

Timed: couplings (a training step on 256 rows, log p of 1,000 rows, 1,000 samples) and 1,000 samples of the autoregressive flow.
A coupling moves one half by splines that a perceptron of the other half decides, and that half by splines of its own
(Durkan et al. 2019, eqs. 4-6). nflows leaves the second out unless asked; here it is asked, as `nflows, half` it is not.
The bare arm computes ours with ours' weights by the formulas of the paper (its inverse is the one that loses digits).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from clock import count, fit_step, fitted, loop_step
from density import DRAWN, RATE, STEP, Flow, data, minus, quietly
from measure import BARE, OURS, Arm, Row, Setting, Target, agree, faster, peer
from torch import Tensor, nn
from torch.nn import functional as F

import pushforward as pf
from pushforward.maths.bijections import Spline

DIMS, TRANSFORMS, HIDDEN, BINS, REACH, FLOOR = 21, 5, 256, 8, 5.0, 1e-3
SHIFT = math.log(math.expm1(1 - FLOOR))


def spline(x: Tensor, p: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
    """x (B, M), p (B or 1, M, 3 K - 1) -> y and log |dy/dx|, (B, M). Bins lie first, where a CPU sums them fastest."""
    shares, raw = p.movedim(2, 0).split([2 * BINS, BINS - 1])
    size = (
        shares.unflatten(0, (BINS, 2)).softmax(0) * (2 * REACH * (1 - BINS * FLOOR)) + 2 * REACH * FLOOR
    )  # (K, 2, B, M)
    left = size.cumsum(0) - size - REACH
    v = x.clamp(-REACH, REACH)
    k = (v >= left[1:, int(inverse)]).sum(0, keepdim=True)
    (x0, y0), (w, h) = (
        t.expand(BINS, 2, *x.shape).gather(0, k[:, None].expand(1, 2, *x.shape))[0] for t in (left, size)
    )
    raw = F.pad(raw, (0, 0, 0, 0, 1, 1)).expand(BINS + 1, *x.shape)  # slope 1 at both ends
    d0, d1 = F.softplus(raw.gather(0, torch.cat([k, k + 1])) + SHIFT) + FLOOR
    s = h / w
    curve = d0 + d1 - 2 * s
    if inverse:
        r = v - y0
        a, b, c = h * (s - d0) + r * curve, h * d0 - r * curve, -s * r
        t = 2 * c / (-b - torch.sqrt(b * b - 4 * a * c))
        y = t * w + x0
    else:
        t = (v - x0) / w
        y = y0 + h * (s * t * t + d0 * t * (1 - t)) / (s + curve * t * (1 - t))
    slope = s * s * (d1 * t * t + 2 * s * t * (1 - t) + d0 * (1 - t) * (1 - t)) / (s + curve * t * (1 - t)).square()
    inside = v == x
    ladj = torch.where(inside, slope.log(), 0.0)
    return torch.where(inside, y, x), -ladj if inverse else ladj


class Bare:
    """The coupling flow with the weights of ours."""

    def __init__(self, model: Any):
        self.links = []
        for link in model.flow.links:
            weights = [nn.Parameter(w.detach().clone()) for w in (*link.net.parameters(), link.own.parameter)]
            self.links.append((link.kept, link.moved, link.back, weights))

    def parameters(self) -> list[nn.Parameter]:
        return [w for *_, weights in self.links for w in weights]

    def decided(self, kept: Tensor, weights: list[nn.Parameter], moved: int) -> Tensor:
        w1, b1, w2, b2, w3, b3, _ = weights
        return F.linear(F.linear(F.linear(kept, w1, b1).relu_(), w2, b2).relu_(), w3, b3).view(len(kept), moved, -1)

    def log_prob(self, x: Tensor) -> Tensor:
        total: Any = 0.0
        for kept, moved, back, weights in self.links:
            a, b = x.index_select(1, kept), x.index_select(1, moved)
            b, first = spline(b, self.decided(a, weights, len(moved)), False)
            a, second = spline(a, weights[-1][None], False)
            x, total = torch.cat([a, b], 1).index_select(1, back), total + first.sum(1) + second.sum(1)
        return total - 0.5 * (x * x).sum(1) - 0.5 * DIMS * math.log(2 * math.pi)

    @torch.no_grad()
    def push(self, z: Tensor) -> Tensor:
        for kept, moved, back, weights in reversed(self.links):
            a, b = z.index_select(1, kept), z.index_select(1, moved)
            a, _ = spline(a, weights[-1][None], True)
            b, _ = spline(b, self.decided(a, weights, len(moved)), True)
            z = torch.cat([a, b], 1).index_select(1, back)
        return z

    def sample(self, n: int) -> Tensor:
        return self.push(torch.randn(n, DIMS))


# --- peers ----------------------------------------------------------------------------------------------------------


def zuko_flow(coupling: bool) -> Flow:
    import zuko

    flow = zuko.flows.NSF(
        DIMS, bins=BINS, transforms=TRANSFORMS, hidden_features=(HIDDEN, HIDDEN), **({"passes": 2} if coupling else {})
    )
    return flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,))


def nflows_flow(coupling: bool, own: bool = True) -> Flow:
    from nflows import distributions, flows, transforms
    from nflows.nn.nets import MLP
    from nflows.utils import create_alternating_binary_mask

    links: list[Any] = []
    for turn in range(TRANSFORMS):
        how = {"num_bins": BINS, "tails": "linear", "tail_bound": REACH}
        if coupling:
            mask = create_alternating_binary_mask(DIMS, even=turn % 2 == 0)
            links.append(
                transforms.PiecewiseRationalQuadraticCouplingTransform(
                    mask,
                    lambda a, b: Perceptron(MLP([a], [b], [HIDDEN, HIDDEN])),
                    apply_unconditional_transform=own,
                    **how,
                )
            )
        else:
            links.append(
                transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                    DIMS, HIDDEN, num_blocks=1, use_residual_blocks=False, **how
                )
            )
            links.append(transforms.ReversePermutation(DIMS))
    flow = flows.Flow(transforms.CompositeTransform(links), distributions.StandardNormal([DIMS]))
    return flow, flow.log_prob, flow.sample


class Perceptron(nn.Module):
    """nflows calls a conditioner with a context."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.net(x)


def normflows_flow(coupling: bool) -> Flow:
    import normflows as nf

    links: list[Any] = []
    for turn in range(TRANSFORMS):
        if coupling:
            links.append(
                nf.flows.CoupledRationalQuadraticSpline(
                    DIMS, 1, HIDDEN, num_bins=BINS, tail_bound=REACH, reverse_mask=turn % 2 == 0
                )
            )
        else:
            links += [
                nf.flows.AutoregressiveRationalQuadraticSpline(DIMS, 1, HIDDEN, num_bins=BINS, tail_bound=REACH),
                nf.flows.Permute(DIMS),
            ]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(DIMS, trainable=False), links)
    return flow, flow.log_prob, lambda n: flow.sample(n)[0]


def peers(coupling: bool) -> dict[str, Flow]:
    makers = {"zuko": zuko_flow, "nflows": nflows_flow, "normflows": normflows_flow}
    if coupling:
        makers["nflows, half"] = lambda _: nflows_flow(True, own=False)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: make(coupling) for name, make in makers.items() if peer(name.partition(",")[0]) is not None}


# --- rows -----------------------------------------------------------------------------------------------------------


def coupling() -> Any:
    return pf.RealNVP(
        transforms=TRANSFORMS, hidden=(HIDDEN, HIDDEN), scalar="spline", bins=BINS, reach=REACH, norm="none"
    )


def autoregressive() -> Any:
    return pf.MAF(transforms=TRANSFORMS, hidden=(HIDDEN, HIDDEN), scalar="spline", bins=BINS, reach=REACH, norm="none")


def arms_of(ours: Arm, bare: Callable[[], Any], others: dict[str, Callable[[], Any]]) -> list[Arm]:
    return [ours, Arm(BARE, bare), *(Arm(name, work, rival="half" not in name) for name, work in others.items())]


def rows(setting: Setting) -> Iterator[Row]:
    yield from couplings()
    yield from sampler()


def couplings() -> Iterator[Row]:
    x = data(DIMS)
    model = fitted(coupling(), x.numpy(), steps=50, batch=STEP, lr=1e-3)
    bare, others = Bare(model), peers(True)
    some, batches = x[:DRAWN], x.split(STEP)[:-1]
    sizes = {OURS: model.size(), BARE: count(bare.parameters())} | {
        name: count(flow.parameters()) for name, (flow, _, _) in others.items()
    }

    @cache
    @torch.no_grad()
    def check() -> str:
        alike = [sizes[name] for name in (OURS, BARE, "nflows") if name in sizes]
        # nflows starts with the other half where the number of variables is odd.
        agree(f"parameters {sizes}", max(alike) < 1.02 * min(alike) and sizes[OURS] == sizes[BARE])
        y, _, ladj = model.enter(some, None)
        apart = float((bare.log_prob(y) + ladj - model.log_prob(some)).abs().max())
        z = torch.randn(DRAWN, DIMS, generator=torch.Generator().manual_seed(1))
        drawn = model._decode(z)
        same, back = float((bare.push(z) - drawn).abs().max()), float((model._encode(drawn) - z).abs().max())
        agree(
            f"bare is {apart:.1e} (log p) and {same:.1e} (samples) from ours, f(g(z)) {back:.1e} from z",
            max(apart, same) < 1e-2 and back < 1e-4,
        )
        loud = roundtrip()
        agree(f"at logits of scale 3 ours come back to {loud:.1e}", loud < 1e-4)
        breaks = torch._dynamo.explain(model._log_prob)(y).graph_break_count
        torch._dynamo.reset()
        agree(f"log_prob has {breaks} graph breaks", breaks == 0)
        told = ", ".join(f"{name} {n:,}" for name, n in sizes.items())
        return (
            f"parameters: {told}; bare = ours to {max(apart, same):.0e}; f(g(z)) = z to {back:.0e}, at logits of scale 3 to {loud:.0e}; "
            "0 graph breaks in log_prob"
        )

    def row(work: str, arms: list[Arm], target: Target, note: str) -> Row:
        return Row(
            "spline",
            f"spline coupling {TRANSFORMS} × ({HIDDEN}, {HIDDEN}), D = {DIMS}: {work}",
            arms,
            target,
            check,
            note,
        )

    differ = (
        "normflows' conditioner is a residual block of 256, zuko's is masked and its coupling takes two passes to sample; "
        "`nflows, half` moves one half only, and does not count"
    )
    first = Arm(OURS, fit_step(coupling, x.numpy(), batch=STEP, lr=RATE), tells=True)
    second = loop_step(bare.parameters(), minus(bare.log_prob), batches, RATE)
    loops = {
        name: loop_step(flow.parameters(), minus(log_prob), batches, RATE)
        for name, (flow, log_prob, _) in others.items()
    }
    target = faster(1.15, "nflows")
    yield row(
        f"train step {STEP}",
        arms_of(first, second, loops),
        target,
        f"ours: a step inside fit; the others: a loop over ready batches; the same fused Adam for all; {differ}",
    )

    bare, others = Bare(model), peers(True)
    scored = {name: quietly(log_prob, some) for name, (_, log_prob, _) in others.items()}
    yield row(
        f"log_prob {DRAWN:,}",
        arms_of(Arm(OURS, quietly(model.log_prob, some)), quietly(bare.log_prob, some), scored),
        target,
        "ours by the public door",
    )

    drawn = {name: quietly(sample, DRAWN) for name, (_, _, sample) in others.items()}
    yield row(
        f"sample {DRAWN:,}",
        arms_of(Arm(OURS, lambda: model.sample(DRAWN, seed=0)), lambda: bare.sample(DRAWN), drawn),
        target,
        "ours by the public door",
    )


def roundtrip() -> float:
    """How far f(g(z)) is from z = f(x) for splines with logits of scale 3, where float32 begins to be hard.

    x itself cannot always come back: where a bin is as flat as 1e-6, float32 has no z for each x.
    """
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(10_000, 1, generator=generator) * 2 * REACH - REACH
    p = 3 * torch.randn(10_000, 1, 3 * BINS - 1, generator=generator)
    scalar = Spline(BINS, REACH)
    z = scalar(x, p)[0]
    return float((scalar(scalar.inverse(z, p)[0], p)[0] - z).abs().max())


def sampler() -> Iterator[Row]:
    x = data(DIMS)
    model = fitted(autoregressive(), x.numpy(), steps=20, batch=STEP, lr=1e-3)
    others = peers(False)

    @torch.no_grad()
    def check() -> str:
        z = torch.randn(DRAWN, DIMS, generator=torch.Generator().manual_seed(1))
        back = float((model._encode(model._decode(z)) - z).abs().max())
        agree(f"f(g(z)) is {back:.1e} from z", back < 1e-4)
        sizes = {OURS: model.size()} | {name: count(flow.parameters()) for name, (flow, _, _) in others.items()}
        alike = {n for name, n in sizes.items() if name != "normflows"}
        agree(f"parameters {sizes}", len(alike) == 1)
        return f"parameters: {', '.join(f'{name} {n:,}' for name, n in sizes.items())}; f(g(z)) = z to {back:.0e}"

    arms = [
        Arm(OURS, lambda: model.sample(DRAWN, seed=0)),
        *(Arm(name, quietly(sample, DRAWN)) for name, (_, _, sample) in others.items()),
    ]
    work = f"spline autoregressive {TRANSFORMS} × ({HIDDEN}, {HIDDEN}), D = {DIMS}: sample {DRAWN:,}"
    yield Row(
        "spline",
        work,
        arms,
        faster(10),
        check,
        "ours by the public door; normflows' network is a residual block of 256",
    )
