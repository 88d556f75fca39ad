"""GPT: it is GPT-2, cached and full passes agree, strings of every length sum to 1, and a prompt is conditioning."""

import itertools

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward import noise
from pushforward.errors import BadData
from pushforward.maths.unroll import naive

LINES = ["".join(np.random.default_rng(i).choice(list("ab"), i % 4)) for i in range(200)]  # lengths 0 to 3
SMALL = dict(layers=2, heads=2, width=16)


def quick(data, **how):
    return pf.GPT(**SMALL).fit(data, **{"steps": 60, "precision": "float64", "quiet": True, **how})


def test_the_logits_are_those_of_gpt2():
    """The same weights in the GPT-2 of the transformers package: |difference| < 1e-5 in float32."""
    pytest.importorskip("transformers")
    from transformers import GPT2Config, GPT2LMHeadModel

    model = pf.GPT(layers=3, heads=4, width=32).fit(["abcdefgh"] * 30, steps=3, quiet=True)
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3, generator=generator)
    config = GPT2Config(
        vocab_size=8, n_positions=8, n_embd=32, n_layer=3, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    other = GPT2LMHeadModel(config).eval()
    net = model.net
    with torch.no_grad():
        other.transformer.wte.weight.copy_(net.embedding.weight)
        other.transformer.wpe.weight.copy_(net.trunk.positions)
        pairs = [(other.transformer.ln_f, net.trunk.norm)]
        for theirs, ours in zip(other.transformer.h, net.trunk.blocks, strict=True):
            pairs += [(theirs.ln_1, ours.norm_attention), (theirs.ln_2, ours.norm_perceptron)]
            for conv, linear in (
                (theirs.attn.c_attn, ours.query_key_value),
                (theirs.attn.c_proj, ours.mix),
                (theirs.mlp.c_fc, ours.up),
                (theirs.mlp.c_proj, ours.down),
            ):
                conv.weight.copy_(linear.weight.T)
                conv.bias.copy_(linear.bias)
        for theirs, ours in pairs:
            theirs.weight.copy_(ours.weight)
            theirs.bias.copy_(ours.bias)
        tokens = torch.randint(8, (5, 8), generator=torch.Generator().manual_seed(1))
        assert (other(tokens).logits - net.following(tokens)).abs().max() < 1e-5


def test_strings_of_every_length_sum_to_one():
    model = quick(LINES)
    every = ["".join(t) for n in range(4) for t in itertools.product("ab", repeat=n)]
    assert np.exp(model.log_prob(every)).sum() == pytest.approx(1.0, abs=1e-10)


def test_cached_sampling_is_the_naive_one():
    model = quick(LINES)
    with noise.stream(0, dtype=torch.float64):
        u = model.uniforms(40)
    with torch.no_grad():
        fast, slow = model.push(u, range(4), None), naive(model.under(None), model.head, u, end=model.end)
    slow[:, -1] = model.end
    assert torch.equal(fast.long(), slow.long())


def test_lengths_are_learned():
    drawn = quick(LINES, steps=300, lr=3e-3).sample(2000, seed=0)
    lengths = np.bincount([len(line) for line in drawn], minlength=4) / 2000
    assert np.allclose(lengths, 0.25, atol=0.06)


def test_a_prompt_is_conditioning():
    """Frequencies of continuations against the probabilities of whole strings, enumerated."""
    model = quick(LINES, steps=200, lr=3e-3)
    every = ["a" + "".join(t) for n in range(3) for t in itertools.product("ab", repeat=n)]
    p = np.exp(model.log_prob(every))
    p /= p.sum()
    drawn = model.complete(["a"] * 4000, seed=0)
    found = np.array([drawn.count(line) for line in every]) / 4000
    assert np.allclose(found, p, atol=4 * np.sqrt(0.25 / 4000)) and sum(found) == pytest.approx(1)
    assert model.completion_["kind"] == "exact"


def test_prompts_of_unequal_lengths_are_as_good_as_alone():
    model = quick(LINES)
    together = model.complete(["", "a", "ba"], seed=4)
    assert all(line.startswith(start) for line, start in zip(together, ["", "a", "ba"], strict=True))
    assert together[0] == model.complete([""], seed=4)[0]


def test_codes_come_back():
    model = quick(["abba", "baab", "aabb"] * 40)
    data = ["abba", "bbbb", "baab"]
    assert model.decode(model.encode(data)) == data


def test_a_strange_character_and_a_long_text_are_named():
    model = quick(LINES)
    with pytest.raises(BadData, match="'z'"):
        model.log_prob(["az"])
    with pytest.raises(BadData, match="at most 3"):
        model.log_prob(["aaaa"])


def test_levels_are_symbols_too():
    x = np.random.default_rng(0).integers(0, 3, (100, 4)).astype(np.uint8)
    model = quick(x)
    every = np.array(list(itertools.product(range(3), repeat=4)), dtype=np.uint8)
    assert np.exp(model.log_prob(every)).sum() == pytest.approx(1.0, abs=1e-10)
