"""MADE 784-512-784 on binary images: ancestral sampling of all 784 pixels of 100 images.

The bare arm touches every weight once: units are sorted by degree, step i computes those of degree i and pixel i. `784 passes`
is ours sampled as most libraries do, with a full pass for each pixel; it is no peer. pytorch-generative is in no package
index: put a checkout of it into a folder and name that folder in PEERS_SRC.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from types import ModuleType
from typing import Any

import torch
from clock import count, fitted
from density import quietly
from facts import bits, checkout
from measure import BARE, OURS, Arm, Row, Setting, agree, faster
from torch import Tensor

import pushforward as pf
from pushforward.maths.unroll import naive, unroll

PIXELS, HIDDEN, DRAWN = 784, 512, 100


class Bare:
    """Slices of the weights, cut once."""

    def __init__(self, net: Any):
        (w1, b1), (w2, b2) = ((layer.weight.detach(), layer.bias.detach()[:, None]) for layer in net.layers)
        starts = torch.searchsorted(net.degrees[0], torch.arange(PIXELS + 1)).tolist()
        self.steps = []
        for i in range(PIXELS):
            a, b = starts[i], starts[i + 1]
            self.steps.append((a, b, w1[a:b, :i], b1[a:b], w2[i : i + 1, :b], b2[i : i + 1]))
        self.hidden, self.dtype, self.size = len(w1), w1.dtype, sum(t.numel() for t in (w1, b1, w2, b2))

    @torch.no_grad()
    def push(self, u: Tensor) -> Tensor:
        """(B, D) uniforms -> (B, D) bits."""
        u = u.T.contiguous()
        x, h = torch.empty_like(u), u.new_empty(self.hidden, u.shape[1])
        for i, (a, b, w1, b1, w2, b2) in enumerate(self.steps):
            if b > a:
                torch.addmm(b1, w1, x[:i], out=h[a:b]).relu_()
            x[i] = u[i] >= torch.addmm(b2, w2, h[:b])[0].neg_().sigmoid_()
        return x.T

    def sample(self, n: int) -> Tensor:
        return self.push(torch.rand(n, PIXELS, dtype=self.dtype))


def pytorch_generative() -> Callable[[], Any] | None:
    """100 images of its MADE of the same sizes."""
    folder = checkout("pytorch-generative", "pytorch_generative")
    if folder is None:
        return None
    # Its own __init__ imports torchvision, which the CPU build of torch does not go with; its MADE needs none of that.
    for name, path in (("pytorch_generative", folder), ("pytorch_generative.models", folder / "models")):
        package = sys.modules.setdefault(name, ModuleType(name))
        package.__path__ = [str(path)]
    model = importlib.import_module("pytorch_generative.models.autoregressive.made").MADE(PIXELS, [HIDDEN])
    return lambda: model.sample(None, conditioned_on=torch.full((DRAWN, 1, 28, 28), -1.0))


def rows(setting: Setting) -> Iterator[Row]:
    x, source = bits(5_000)
    model = fitted(pf.MADE(hidden=(HIDDEN,), residual=False), x, steps=50)
    order = range(PIXELS)
    bare, other = Bare(model.net), pytorch_generative()

    @torch.no_grad()
    def check() -> str:
        agree(f"parameters {model.size()}, bare {bare.size}", model.size() == bare.size == count(model.parameters()))
        whole = deepcopy(model).double()
        u = torch.rand(16, PIXELS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        slow = naive(whole.under(order), whole.head, u)
        agree(
            "incremental and naive sampling give different pixels",
            torch.equal(unroll(whole.under(order), whole.head, u), slow),
        )
        agree("the bare sampler gives different pixels", torch.equal(Bare(whole.net).push(u), slow))
        return f"{model.size():,} parameters; ours, bare and 784 full passes give the same pixels from the same uniforms (16 images, float64)"

    def passes() -> Tensor:
        return naive(model.under(order), model.head, torch.rand(DRAWN, PIXELS))

    arms = [
        Arm(OURS, lambda: model.sample(DRAWN, seed=0)),
        Arm(BARE, lambda: bare.sample(DRAWN)),
        Arm("784 passes", quietly(lambda _: passes(), None), rival=False),
    ]
    arms += [Arm("pytorch-generative", other)] if other else []
    note = f"ours by the public door; {source}" + (
        "" if other else "; no PEERS_SRC with pytorch-generative, so the target is not judged"
    )
    yield Row(
        "made", f"MADE {PIXELS}-{HIDDEN}-{PIXELS}: sample {DRAWN}", arms, faster(30, "pytorch-generative"), check, note
    )
