"""A restricted Boltzmann machine 784-500: one epoch of persistent contrastive divergence (one sweep) on 60,000 binarised images.

Batches of 100, 100 chains, learning rate 0.01, from initial weights. Ours is the public `fit`, reading included, without momentum
and without renewed chains, as scikit-learn's. The bare arm takes the same steps with three matrix products and no copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from facts import bits
from measure import BARE, OURS, Arm, Row, Setting, agree, faster, peer
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

import pushforward as pf

HIDDEN, BATCH, RATE = 500, 100, 0.01

Weights = tuple[Tensor, Tensor, Tensor]  # W (D, H), visible and hidden biases


@torch.no_grad()
def bare(x: Tensor) -> Weights:
    torch.manual_seed(0)
    dims, rate = x.shape[1], RATE / BATCH
    weight, visible, hidden = 0.01 * torch.randn(dims, HIDDEN), torch.zeros(dims), torch.zeros(HIDDEN)
    both, chain = torch.empty(2 * BATCH, dims), torch.zeros(BATCH, HIDDEN)
    data, fantasy = both.split(BATCH)
    field, noise_v, noise_h = torch.empty(2 * BATCH, HIDDEN), torch.empty(BATCH, dims), torch.empty(BATCH, HIDDEN)
    below = field[BATCH:]
    for rows in torch.randperm(len(x)).split(BATCH):
        data.copy_(x[rows])
        torch.addmm(visible, chain, weight.T, out=fantasy).sigmoid_()
        torch.lt(noise_v.uniform_(), fantasy, out=fantasy)
        torch.addmm(hidden, both, weight, out=field).sigmoid_()
        torch.lt(noise_h.uniform_(), below, out=chain)
        below.neg_()
        weight.addmm_(both.T, field, alpha=rate)
        hidden.add_(field.sum(0), alpha=rate)
        visible.add_(data.sum(0) - fantasy.sum(0), alpha=rate)
    return weight, visible, hidden


def ours(x: np.ndarray) -> Any:
    model = pf.RBM(hidden=HIDDEN, objective="pcd", sweeps=1, chains=BATCH, renew=0.0)
    return model.fit(
        x,
        epochs=1,
        batch=BATCH,
        lr=RATE,
        optimizer="sgd",
        beta1=0.0,
        schedule="constant",
        valid=0.0,
        ema=0.0,
        quiet=True,
        device="cpu",
    )


@torch.no_grad()
def pseudo(x: Tensor, weights: Weights) -> float:
    """The mean pseudo log-likelihood, D log sigmoid(F(x with one bit turned) - F(x)), with the same bits turned for all."""
    weight, visible, hidden = weights
    turned = x.clone()
    at = torch.arange(len(x)), torch.randint(x.shape[1], (len(x),), generator=torch.Generator().manual_seed(0))
    turned[at] = 1 - turned[at]
    low, high = (-(v @ visible) - softplus(hidden + v @ weight).sum(1) for v in (x, turned))
    return float(x.shape[1] * logsigmoid(high - low).mean())


def rows(setting: Setting) -> Iterator[Row]:
    x, source = bits(6_000 if setting.quick else 60_000)
    tensor, numbers = torch.from_numpy(x), x.astype(np.float32)

    def sklearn() -> Any:
        from sklearn.neural_network import BernoulliRBM

        return BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=BATCH, n_iter=1, random_state=0).fit(numbers)

    there = peer("sklearn") is not None

    def check() -> str:
        seen, model = tensor[:5_000].float(), ours(x)
        with torch.no_grad():
            machine = model.machine()
        agree(f"{model.outcome_['step']} steps were taken", model.outcome_["step"] == len(x) // BATCH)
        found = {
            OURS: pseudo(seen, (model.weight, machine.visible, machine.hidden)),
            BARE: pseudo(seen, bare(tensor)),
        }
        if there:
            other = sklearn()
            learned = (other.components_.T, other.intercept_visible_, other.intercept_hidden_)
            weight, visible, hidden = (torch.from_numpy(np.asarray(t)) for t in learned)
            found["scikit-learn"] = pseudo(seen, (weight, visible, hidden))
        told = ", ".join(f"{name} {value:.1f}" for name, value in found.items())
        least = min(value for name, value in found.items() if name != OURS)
        agree(
            f"pseudo log-likelihoods after the epoch: {told}",
            found[OURS] > least - 10 and abs(found.get("scikit-learn", found[BARE]) - found[BARE]) < 10,
        )
        return (
            f"mean pseudo log-likelihood after the epoch: {told} (ours begins at the bits' own rates, the others at 0)"
        )

    arms = [
        Arm(OURS, lambda: ours(x)),
        Arm(BARE, lambda: bare(tensor)),
        *([Arm("scikit-learn", sklearn)] if there else []),
    ]
    note = (
        f"{len(x):,} images: {source}; scikit-learn is given float32, so that it converts nothing, and takes the images in their order; "
        "it does five products a step, with uniforms of float64"
    )
    yield Row("rbm", "RBM 784-500, PCD-1, one epoch, batch 100", arms, faster(1.25, "scikit-learn"), check, note)
