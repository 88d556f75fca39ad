"""Several GANs of one shape, trained at once: the same class, the same game, with networks that hold the weights of all of them.

    row i of a batch goes through network i mod K;   h_k <- a(h_k W_k + b_k)   for all k in one product of K matrices

No layer, loss or penalty looks across rows, so member k has the gradient that it has by itself, over K: the mean of a loss is taken over all rows.
Adam does not mind a factor. Small networks spend their time on being called, so K of them cost little more than one.

B rows, K members, I inputs, O outputs:   x (B, I)   h (K, B / K, I)   W (K, I, O)   b (K, 1, O)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ... import noise
from ...data import load
from ...engine import Journal, Machine, Recipe, play
from ...models.adversarial import GAN

PLAYERS = ("generator", "critic")


class SideBySide(nn.Module):
    """K perceptrons of one shape.

    >>> from ...nets.mlp import mlp
    >>> nets = [mlp(2, 1, (4,)), mlp(2, 1, (4,))]
    >>> out = SideBySide(nets)(torch.ones(6, 2))
    >>> bool(torch.allclose(out[1::2], nets[1](torch.ones(3, 2))))
    True
    """

    def __init__(self, nets: Sequence[nn.Module]):
        super().__init__()
        layers = list(zip(*map(linears, nets), strict=True))
        self.weights = nn.ParameterList(torch.stack([m.weight.detach().T for m in layer]) for layer in layers)
        self.biases = nn.ParameterList(torch.stack([m.bias.detach()[None] for m in layer]) for layer in layers)
        self.active = next(m for m in nets[0].modules() if isinstance(m, nn.ReLU | nn.LeakyReLU))

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        h = x.flatten(1).unflatten(0, (-1, len(self.weights[0]))).transpose(0, 1)  # (B, I) -> (K, B / K, I)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, self.active(h) if i else h, weight)
        return h.transpose(0, 1).flatten(0, 1)

    @torch.no_grad()
    def part(self, nets: Sequence[nn.Module]) -> None:
        """Give each network its weights back."""
        for k, net in enumerate(nets):
            for layer, weight, bias in zip(linears(net), self.weights, self.biases, strict=True):
                layer.weight.copy_(weight[k].T)
                layer.bias.copy_(bias[k, 0])


def linears(net: nn.Module) -> list[nn.Linear]:
    return [m for m in net.modules() if isinstance(m, nn.Linear)]


def raised(
    data: np.ndarray,
    fields: dict[str, Any],
    recipe: Recipe,
    seeds: Sequence[int],
    epoch: int,
    looked: int,
    folder: Path,
) -> tuple[list[GAN], list[dict[str, Any]]]:
    """GANs from as many seeds, and what the journal says: mean and width of each after every epoch, and remarks of the engine.

    The batch of the recipe is that of one member's step. What was stopped goes on from its checkpoint in the folder.
    """
    examples = load(data)
    members, herd = [GAN(**fields) for _ in seeds], GAN(**fields)
    for model, seed in zip([*members, herd], [*seeds, seeds[0]], strict=True):
        model.make(examples.space, None, examples, seed)
    for player in PLAYERS:
        setattr(herd, player, SideBySide([getattr(m, player) for m in members]))
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder, quiet=True)
    whole = recipe.change(batch=recipe.batch * len(seeds) * herd.critic_steps)
    look = watcher(herd, journal, seeds, epoch, looked)
    try:
        begun = (folder / "checkpoints").is_dir()
        outcome = play(herd, examples, whole, Machine("cpu", "float32"), journal, None, folder, begun, [look])
    finally:
        journal.close()
    if outcome.reason != "steps":  # Ctrl-C: the step was finished and kept, the run was not
        raise KeyboardInterrupt
    for player in PLAYERS:
        getattr(herd, player).part([getattr(m, player) for m in members])
    return members, [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def watcher(herd: GAN, journal: Journal, seeds: Sequence[int], epoch: int, looked: int) -> Callable[[Any], None]:
    """Notes mean and width of each member once an epoch, with the same noise each time: what moves is the generator."""

    @torch.no_grad()
    def look(moment: Any) -> None:
        if moment.event == "step" and moment.step % epoch == 0:
            with noise.stream(seeds[0]):
                values = herd.leave(herd.generate(looked * len(seeds))).view(looked, len(seeds))
            both = torch.stack([values.mean(0), values.std(0)], 1)
            journal.note(moment.step, shape=[[round(v, 5) for v in pair] for pair in both.tolist()])

    return look
