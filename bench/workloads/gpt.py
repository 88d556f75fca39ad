"""GPT-2 of 6 layers, 6 heads, width 192 over 65 symbols and 256 positions (2.7 M parameters): a training step, and writing.

Timed: a step on 16 texts of 256, and texts of 256 symbols, one and sixteen at a time, each symbol drawn from the softmax.
The bare arm computes ours with ours' weights: no modules, one fused attention, and for writing a cache that is there from the
start. nanoGPT is in no package index: put a checkout of it into a folder and name that folder in PEERS_SRC.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from typing import Any

import numpy as np
import torch
from clock import count, fit_step, fitted, loop_step
from density import quietly
from facts import checkout
from measure import BARE, OURS, Arm, Row, Setting, Target, agree, faster, peer, within
from torch import Tensor, nn
from torch.nn import functional as F

import pushforward as pf

LAYERS, HEADS, WIDTH, LENGTH, SYMBOLS, BATCH, RATE = 6, 6, 192, 256, 65, 16, 1e-4


class Bare:
    """The transformer as a list of tensors: embedding, positions, twelve of each block, the last norm."""

    def __init__(self, model: Any):
        named = dict(model.net.named_parameters())
        self.beginning = named.pop("beginning").detach()
        self.weights = [nn.Parameter(w.detach().clone()) for w in named.values()]
        self.embedding, self.positions, *rest = self.weights
        self.blocks, self.last = [rest[12 * k : 12 * k + 12] for k in range(LAYERS)], rest[12 * LAYERS :]

    def logits(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, V), of the symbols after each."""
        h = F.embedding(tokens, self.embedding) + self.positions[: tokens.shape[1]]
        for g1, s1, wq, bq, wo, bo, g2, s2, wu, bu, wd, bd in self.blocks:
            parts = F.linear(F.layer_norm(h, (WIDTH,), g1, s1), wq, bq).split(WIDTH, 2)
            q, k, v = (p.unflatten(2, (HEADS, -1)).transpose(1, 2) for p in parts)
            h = h + F.linear(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2), wo, bo)
            h = h + F.linear(F.gelu(F.linear(F.layer_norm(h, (WIDTH,), g2, s2), wu, bu), approximate="tanh"), wd, bd)
        return F.linear(F.layer_norm(h, (WIDTH,), *self.last), self.embedding)

    def loss(self, tokens: Tensor) -> Tensor:
        return F.cross_entropy(self.logits(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    @torch.no_grad()
    def write(self, n: int) -> Tensor:
        """(n, 256) symbols, the first of them 0, the others drawn one by one."""
        embedding, blocks = self.embedding.detach(), [[w.detach() for w in block] for block in self.blocks]
        cache = embedding.new_empty(LAYERS, 2, n, HEADS, LENGTH, WIDTH // HEADS)
        out = torch.zeros(n, LENGTH, dtype=torch.long)
        for t in range(LENGTH - 1):
            h = embedding[out[:, t]] + self.positions[t].detach()
            for layer, (g1, s1, wq, bq, wo, bo, g2, s2, wu, bu, wd, bd) in zip(cache, blocks, strict=True):
                qkv = F.linear(F.layer_norm(h, (WIDTH,), g1, s1), wq, bq).view(n, 3, HEADS, 1, -1)
                layer[:, :, :, t] = qkv[:, 1:, :, 0].transpose(0, 1)
                seen = F.scaled_dot_product_attention(qkv[:, 0], layer[0, :, :, : t + 1], layer[1, :, :, : t + 1])
                h = h + F.linear(seen.flatten(1), wo, bo)
                h = h + F.linear(
                    F.gelu(F.linear(F.layer_norm(h, (WIDTH,), g2, s2), wu, bu), approximate="tanh"), wd, bd
                )
            logits = F.linear(F.layer_norm(h, (WIDTH,), *self.last), embedding)
            out[:, t + 1] = torch.multinomial(logits.softmax(1), 1)[:, 0]
        return out


def texts(n: int) -> list[str]:
    """n texts of 256 characters out of 65; what they say does not change what they cost."""
    alphabet = [chr(48 + k) for k in range(SYMBOLS)]
    drawn = np.random.default_rng(0).integers(0, SYMBOLS, (n, LENGTH))
    drawn[0, :SYMBOLS] = range(SYMBOLS)  # all are there
    return ["".join(alphabet[k] for k in row) for row in drawn]


# --- peers ----------------------------------------------------------------------------------------------------------

Writer = tuple[nn.Module, Callable[[Tensor], Tensor], Callable[[int], Any]]  # its module, loss(tokens), write(n)


def huggingface() -> Writer | None:
    if peer("transformers") is None:
        return None
    from transformers import GPT2Config, GPT2LMHeadModel

    drop = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    config = GPT2Config(
        vocab_size=SYMBOLS,
        n_positions=LENGTH,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        bos_token_id=None,
        eos_token_id=None,
        **drop,
    )
    model = GPT2LMHeadModel(config)
    how = {"max_new_tokens": LENGTH - 1, "do_sample": True, "top_k": 0, "use_cache": True, "pad_token_id": 0}

    def write(n: int) -> Tensor:
        start = torch.zeros(n, 1, dtype=torch.long)
        return model.eval().generate(start, attention_mask=torch.ones_like(start), **how)

    return model, lambda tokens: model.train()(input_ids=tokens, labels=tokens).loss, write


def nano() -> Writer | None:
    file = checkout("nanoGPT", "model.py")
    if file is None:
        return None
    spec = importlib.util.spec_from_file_location("nano_gpt", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with redirect_stdout(StringIO()):
        model = module.GPT(
            module.GPTConfig(block_size=LENGTH, vocab_size=SYMBOLS, n_layer=LAYERS, n_head=HEADS, n_embd=WIDTH)
        )
    return (
        model,
        lambda tokens: model(tokens[:, :-1], tokens[:, 1:].contiguous())[1],
        lambda n: model.eval().generate(torch.zeros(n, 1, dtype=torch.long), LENGTH - 1),
    )


def rows(setting: Setting) -> Iterator[Row]:
    written = texts(512)
    model = fitted(ours(), written, steps=2, batch=BATCH)
    tokens = model.space.read_text(written)
    bare, batches = Bare(model), tokens.split(BATCH)
    torch.manual_seed(0)
    others = {name: made for name, made in (("transformers", huggingface()), ("nanoGPT", nano())) if made}
    sizes = {OURS: model.size(), BARE: count(bare.weights)} | {
        name: count(net.parameters()) for name, (net, _, _) in others.items()
    }

    @cache
    @torch.no_grad()
    def check() -> str:
        # Ours has a learned vector before the first symbol; the others begin with a symbol.
        agree(f"parameters {sizes}", {n + WIDTH * (name != OURS) for name, n in sizes.items()} == {sizes[OURS]})
        apart = float((bare.logits(batches[0]) - model.net.following(batches[0])).abs().max())
        agree(f"the logits of bare are {apart:.1e} from ours", apart < 1e-4)
        state, few = model.net.start(2), tokens[:2]
        steps = [model.net.step(state, few[:, t - 1] if t else None) for t in range(LENGTH)]
        cached = float((torch.stack(steps, 1) - model.net(few)).abs().max())
        agree(f"cached logits are {cached:.1e} from those of one pass", cached < 1e-5)
        agree("a text depends on its batch mates", model.sample(16, seed=0)[:1] == model.sample(1, seed=0))
        return (
            f"{sizes[OURS]:,} parameters ({sizes[BARE]:,} without the vector before the first symbol); bare = ours to {apart:.0e}, "
            f"cached = parallel to {cached:.0e}; a text does not depend on its batch mates"
        )

    def row(work: str, arms: list[Arm], target: Target, note: str) -> Row:
        return Row("gpt", f"GPT {LAYERS} × {WIDTH}, context {LENGTH}: {work}", arms, target, check, note)

    steps = {"skip": 1, "steps": 1 if setting.quick else 4}
    arms = [
        Arm(OURS, fit_step(ours, written, batch=BATCH, lr=RATE, **steps), tells=True),
        Arm(BARE, loop_step(bare.weights, bare.loss, batches, RATE)),
    ]
    arms += [Arm(name, loop_step(net.parameters(), loss, batches, RATE)) for name, (net, loss, _) in others.items()]
    nothing = "" if "nanoGPT" in others else "; no PEERS_SRC with nanoGPT, so the target is judged by the bare arm"
    yield row(
        f"train step {BATCH}",
        arms,
        within(1.05, "nanoGPT", BARE),
        "ours: a step inside fit, which learns all 256 positions; the others: a loop over ready batches, 255 positions; the same fused "
        f"Adam and no clipping for all; nanoGPT's gelu is the exact one, the others' is GPT-2's with tanh{nothing}",
    )

    bare = Bare(model)
    for n, factor in ((1, 1.5), (16, 1.3)):
        arms = [Arm(OURS, lambda n=n: model.sample(n, seed=0)), Arm(BARE, quietly(bare.write, n))]
        arms += [Arm(name, quietly(write, n)) for name, (_, _, write) in others.items()]
        yield row(
            f"generate 256, batch {n}",
            arms,
            faster(factor, "transformers"),
            "ours by the public door, 256 symbols drawn and joined to strings; the others draw 255 after a given one",
        )


def ours() -> Any:
    return pf.GPT(layers=LAYERS, heads=HEADS, width=WIDTH)
