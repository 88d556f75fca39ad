"""An epoch of a VAE on 60,000 binarised images: 784-400-20-400-784, Bernoulli, Adam 1e-3, batch 128.

Timed is all of it: reading the booleans, shuffling, turning them into floats, 469 steps, and what a library does around them.
Ours is the public `fit`. The bare arm is the shortest loop there can be: one matrix of bits, a permutation, fused Adam.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import torch
from clock import count
from facts import bits
from measure import BARE, OURS, Arm, Row, Setting, agree, peer, within
from torch import Tensor, nn
from torch.nn import functional as F

import pushforward as pf

LATENT, HIDDEN, BATCH, RATE = 20, 400, 128, 1e-3


class Bare(nn.Module):
    """Encoder and decoder, and the bound."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784))

    def forward(self, x: Tensor) -> Tensor:
        """Minus the bound, summed over the rows."""
        mu, log_var = self.encoder(x).chunk(2, 1)
        z = torch.addcmul(mu, (0.5 * log_var).exp(), torch.randn_like(mu))
        kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum()
        return F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") + kl


def bare(x: Tensor, epochs: int = 1) -> Bare:
    torch.manual_seed(0)
    model = Bare()
    optimizer = torch.optim.Adam(model.parameters(), RATE, fused=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            (model(x[rows].float()) / len(rows)).backward()
            optimizer.step()
    return model


def dataloader(x: Tensor) -> None:
    """The loop of most tutorials: a DataLoader that picks image by image, and Adam as it comes."""
    torch.manual_seed(0)
    model = Bare()
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x.float()), BATCH, shuffle=True)
    for (rows,) in loader:
        optimizer.zero_grad()
        (model(rows) / len(rows)).backward()
        optimizer.step()


def ours(x: np.ndarray, epochs: int = 1) -> Any:
    model = pf.VAE(latent=LATENT, hidden=(HIDDEN,), net="mlp")
    return model.fit(x, epochs=epochs, batch=BATCH, lr=RATE, valid=0.0, ema=0.0, quiet=True, device="cpu")


def pythae(x: np.ndarray) -> tuple[Callable[[], nn.Module], Callable[[], None]] | None:
    """A maker of pythae's VAE on the same two networks, and an epoch of its own trainer."""
    if peer("pythae") is None:
        return None
    with redirect_stderr(StringIO()):
        from pythae.data.preprocessors import DataProcessor
        from pythae.models import VAE, VAEConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder
        from pythae.trainers import BaseTrainer, BaseTrainerConfig
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("pythae") and isinstance(logger, logging.Logger):
            logger.setLevel(logging.ERROR)

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.net = Bare().encoder

        def forward(self, x):
            mu, log_var = self.net(x).chunk(2, 1)
            return ModelOutput(embedding=mu, log_covariance=log_var)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.net = Bare().decoder

        def forward(self, z):
            return ModelOutput(reconstruction=self.net(z).sigmoid())

    def make() -> nn.Module:
        torch.manual_seed(0)
        return VAE(VAEConfig(input_dim=(784,), latent_dim=LATENT, reconstruction_loss="bce"), Encoder(), Decoder())

    def epoch() -> None:
        with tempfile.TemporaryDirectory() as folder, redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            how = BaseTrainerConfig(
                folder, per_device_train_batch_size=BATCH, num_epochs=1, learning_rate=RATE, no_cuda=True
            )
            read = DataProcessor()
            data = read.to_dataset(read.process_data(x))
            BaseTrainer(make(), data, training_config=how).train()

    return make, epoch


def rows(setting: Setting) -> Iterator[Row]:
    x, source = bits(6_000 if setting.quick else 60_000)
    tensor = torch.from_numpy(x)
    other = pythae(x)
    epochs = 1 if setting.quick else 5

    def check() -> str:
        mine, plain = ours(x, epochs), bare(tensor, epochs)
        sizes = {
            count(mine.parameters()),
            count(plain.parameters()),
            *([count(other[0]().parameters())] if other else []),
        }
        agree(f"the arms learn {sorted(sizes)} numbers", len(sizes) == 1)
        seen = tensor[:10_000]
        with torch.no_grad():
            nats = -float(np.mean(mine.bound(x[:10_000]))), float(plain(seen.float())) / len(seen)
        agree(
            f"minus the bound after {epochs} epochs is {nats[0]:.1f}, bare {nats[1]:.1f}",
            abs(nats[0] - nats[1]) < (5 if setting.quick else 1),
        )
        agree(
            f"minus the bound is {nats[0]:.1f} nats, not below 120",
            setting.quick or source[:5] != "MNIST" or nats[0] < 120,
        )
        return f"{sizes.pop():,} parameters each; minus the bound after {epochs} epochs {nats[0]:.1f} nats, bare {nats[1]:.1f}"

    arms = [Arm(OURS, lambda: ours(x)), Arm(BARE, lambda: bare(tensor))]
    arms += [Arm("pythae", other[1])] if other else []
    arms += [Arm("DataLoader loop", lambda: dataloader(tensor))]
    note = (
        f"{len(x):,} images: {source}. pythae and the DataLoader loop use Adam as it comes, the others the fused one; "
        "pythae's Bernoulli takes probabilities, the others logits"
    )
    yield Row("vae", "MLP-VAE 784-400-20, one epoch of 60,000, batch 128", arms, within(1.05, BARE), check, note)
