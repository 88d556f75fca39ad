"""What is true of the causal transformer alone: who sees what, and that its incremental path is the same function."""

import pytest
import torch

from pushforward.errors import Usage
from pushforward.nets.attention import Block, Transformer, Trunk

V, T, L, H, W, B = 11, 9, 3, 2, 8, 4


def net(dtype=torch.float64, seed=0, given=0, dropout=0.0, scale=20.0):
    """A small transformer whose weights are large enough for its logits to differ by more than rounding."""
    torch.manual_seed(seed)
    made = Transformer(V, T, L, H, W, dropout, given).to(dtype)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(scale)
    return made.eval()


def tokens(batch=B, length=T, seed=1):
    return torch.randint(V, (batch, length), generator=torch.Generator().manual_seed(seed))


def steps(model, x, given=None):
    """The logits of all positions, one step at a time: (B, T, V)."""
    state = model.start(len(x), given)
    logits = [model.step(state)]
    for t in range(x.shape[1] - 1):
        logits.append(model.step(state, x[:, t]))
    return torch.stack(logits, 1)


def test_logits_of_a_position_depend_on_all_tokens_before_it_and_on_no_other():
    model, x = net(), tokens(1)
    table = model.embedding.weight.detach()

    def through(rows):  # (T, W), one embedding for every position
        h = torch.cat((model.first(1, None)[:, None], rows[None, :-1]), 1)
        return model.head(model.trunk(h))[0].sum(-1)  # (T,)

    jacobian = torch.autograd.functional.jacobian(through, table[x[0]]).abs().sum(-1)  # (T, T)
    before = torch.ones(T, T).tril(-1).bool()
    assert (jacobian[~before] == 0).all()
    assert (jacobian[before] > 1e-6).all()


@pytest.mark.parametrize("place", range(T))
def test_another_token_changes_exactly_what_comes_after_it(place):
    """Bit by bit. (A NaN would say less: the masked products of the fused kernel are 0 times what they do not see.)"""
    model, x = net(), tokens()
    other = x.clone()
    other[:, place] = (x[:, place] + 1) % V
    with torch.no_grad():
        same = (model(x) == model(other)).all(-1)
    assert same[:, : place + 1].all()
    assert not same[:, place + 1 :].any()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("width", [0, 3])
def test_steps_give_the_logits_of_the_parallel_pass(dtype, tolerance, width):
    model, x = net(dtype, given=width, scale=5.0), tokens()
    given = torch.randn(B, width, dtype=dtype) if width else None
    with torch.no_grad():
        whole = model(x, given)
    assert whole.std() > 0.1
    torch.testing.assert_close(steps(model, x, given), whole, atol=tolerance, rtol=0)


@pytest.mark.parametrize("length", [0, 1, 5, T - 1])
def test_prefill_is_its_steps(length):
    model, x = net(), tokens()
    with torch.no_grad():
        whole = model(x)
    state = model.start(B)
    found = [model.prefill(state, x[:, :length])]
    for t in range(length, T - 1):
        found.append(model.step(state, x[:, t]))
    torch.testing.assert_close(torch.stack(found, 1), whole[:, length:], atol=1e-10, rtol=0)


def test_a_prompt_may_come_in_pieces():
    model, x = net(), tokens()
    state = model.start(B)
    model.step(state)
    model.prefill(state, x[:, :3])
    logits = model.prefill(state, x[:, 3:7])
    assert state.filled == 8
    with torch.no_grad():
        torch.testing.assert_close(logits, model(x)[:, 7], atol=1e-10, rtol=0)


def test_a_row_does_not_depend_on_its_batch_mates():
    model, x = net(), tokens()
    with torch.no_grad():
        whole, alone = model(x), torch.cat([model(row) for row in x.split(1)])
    torch.testing.assert_close(alone, whole, atol=1e-12, rtol=0)
    alone = torch.cat([steps(model, row) for row in x.split(1)])
    torch.testing.assert_close(alone, steps(model, x), atol=1e-12, rtol=0)
    others = torch.cat((x[:1], tokens(B - 1, seed=2)))
    assert torch.equal(steps(model, others)[0], steps(model, x)[0])


def copy_of_gpt2(theirs, ours):
    """Copy the weights; GPT-2's Conv1D keeps its matrices transposed."""
    source, trunk = theirs.transformer, ours.trunk
    pairs = [(ours.embedding.weight, source.wte.weight), (trunk.positions, source.wpe.weight)]
    pairs += [(trunk.norm.weight, source.ln_f.weight), (trunk.norm.bias, source.ln_f.bias)]
    for block, h in zip(trunk.blocks, source.h, strict=True):
        pairs += [(block.norm_attention.weight, h.ln_1.weight), (block.norm_attention.bias, h.ln_1.bias)]
        pairs += [(block.norm_perceptron.weight, h.ln_2.weight), (block.norm_perceptron.bias, h.ln_2.bias)]
        linears = [(block.query_key_value, h.attn.c_attn), (block.mix, h.attn.c_proj)]
        linears += [(block.up, h.mlp.c_fc), (block.down, h.mlp.c_proj)]
        for linear, conv in linears:
            pairs += [(linear.weight, conv.weight.T), (linear.bias, conv.bias)]
    with torch.no_grad():
        for to, origin in pairs:
            to.copy_(origin)


def gpt2():
    transformers = pytest.importorskip(
        "transformers", reason="what is held against it is a test of ours, not a need of the library"
    )
    ends = {"bos_token_id": None, "eos_token_id": None}
    # A tenth is five times GPT-2's own scale: logits that are all alike would prove nothing.
    config = transformers.GPT2Config(
        vocab_size=V, n_positions=T, n_embd=W, n_layer=L, n_head=H, initializer_range=0.1, **ends
    )
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # biases and gains are no longer 0 and 1
    return theirs


def test_logits_are_those_of_gpt2():
    theirs, ours = gpt2(), Transformer(V, T, L, H, W)
    copy_of_gpt2(theirs, ours)
    x = tokens()
    with torch.no_grad():
        expected, found = theirs(x).logits, ours.following(x)
    assert expected.std() > 0.1
    assert (found - expected).abs().max() < 1e-5


def test_a_residual_branch_starts_small_and_everything_else_as_gpt2_does():
    torch.manual_seed(0)
    model = Transformer(50, 40, layers=8, heads=4, width=64)
    for block in model.trunk.blocks:
        for linear, std in ((block.query_key_value, 0.02), (block.up, 0.02), (block.mix, 0.005), (block.down, 0.005)):
            assert linear.weight.std().item() == pytest.approx(std, rel=0.05)
            assert (linear.bias == 0).all()
    assert model.embedding.weight.std().item() == pytest.approx(0.02, rel=0.1)
    # Small weights: before it learns, the model is nearly the uniform one.
    nats = torch.nn.functional.cross_entropy(model(torch.randint(50, (3, 40))).flatten(0, 1), torch.randint(50, (120,)))
    assert nats.item() == pytest.approx(torch.tensor(50.0).log().item(), abs=0.05)


def test_given_reaches_every_position_and_every_parameter_learns():
    model, x = net(given=3), tokens()
    given = torch.randn(B, 3, dtype=torch.float64, requires_grad=True)
    logits = model(x, given)
    for t in range(T):
        (slope,) = torch.autograd.grad(logits[:, t].square().sum(), given, retain_graph=True)
        assert (slope.abs().sum(1) > 0).all()
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), x.flatten()).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_dropout_acts_while_learning_only():
    model, x = net(dropout=0.5), tokens()
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
        torch.testing.assert_close(steps(model, x), model(x), atol=1e-10, rtol=0)
        model.train()
        assert not torch.allclose(model(x), model(x))


def test_half_precision_by_weights_and_by_autocast():
    exact, x = net(torch.float32, scale=5.0), tokens()
    with torch.no_grad():
        whole = exact(x)
        with torch.autocast("cpu", torch.bfloat16):
            automatic = exact(x), steps(exact, x)
        model = net(torch.bfloat16, scale=5.0)
        rounded = model(x), steps(model, x)
    for logits in (*automatic, *rounded):
        assert logits.dtype == torch.bfloat16
        # bfloat16 keeps 8 bits: a few of its units in the last place of the largest logits
        assert (logits.float() - whole).abs().max() < 0.05 * whole.abs().max()


def test_the_graph_is_whole():
    model, x = net(torch.float32), tokens()
    whole = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(whole(x), model(x))


def test_a_block_that_is_not_causal_sees_both_ways():
    torch.manual_seed(0)
    trunk = Trunk(T, L, H, W, causal=False).double()
    jacobian = torch.autograd.functional.jacobian(lambda h: trunk(h[None])[0, :, 0], torch.randn(T, W).double())
    assert (jacobian.abs().sum(-1) > 0).all()


def test_mistakes_are_told():
    with pytest.raises(Usage, match="width=9 cannot be shared by heads=2"):
        Trunk(T, L, 2, 9)
    model, x = net(), tokens()
    state = model.start(B)
    with pytest.raises(Usage, match="first step takes no token"):
        model.step(state, x[:, 0])
    model.prefill(state, x[:, :-1])
    with pytest.raises(Usage, match="the token"):
        model.step(state)
    with pytest.raises(Usage, match=f"Position {T + 1} .* length {T}"):
        model.step(state, x[:, -1])


def test_a_block_is_residual():
    block = Block(W, H)
    with torch.no_grad():
        block.mix.weight.zero_(), block.mix.bias.zero_(), block.down.weight.zero_(), block.down.bias.zero_()
        h = torch.randn(B, T, W)
        assert torch.equal(block(h), h)
