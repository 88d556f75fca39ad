"""Masked networks: autoregressive in their order, whole or step by step, and so they stay while they learn."""

import copy
import itertools

import pytest
import torch

from pushforward.errors import Usage
from pushforward.nets.masked import Inputs, MaskedLinear, MaskedNet
from pushforward.space import Space
from pushforward.space.columns import Column

D = 7
KINDS = {
    "plain": {},
    "deep": {"hidden": (20, 33, 26)},
    "few units": {"hidden": (4, 3)},
    "given": {"given": 3},
    "residual": {"hidden": (24, 24, 24), "residual": True},
    "residual given": {"hidden": (24, 24), "residual": True, "given": 2, "activation": "gelu"},
    "smooth": {"activation": "tanh"},
}


def make(dims=D, seed=0, **fields) -> MaskedNet:
    torch.manual_seed(seed)
    widths = [1 + d % 3 for d in range(dims)]
    fields = {"hidden": (24, 24), "widths": widths, "order": torch.randperm(dims), **fields}
    return MaskedNet(dims, **fields).double()


def data(net, n=5):
    return torch.randn(n, net.dims).double(), torch.randn(n, net.given).double() if net.given else None


def spans(net):
    """The columns of the outputs that belong to each variable."""
    starts = [0, *itertools.accumulate(net.widths)]
    return [slice(a, b) for a, b in itertools.pairwise(starts)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_jacobian_is_strictly_triangular_in_the_order(kind):
    net = make(**KINDS[kind])
    x, given = data(net, 1)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x, given)[0], x)[:, 0]
    for i, d in enumerate(net.sequence):
        rows = jacobian[spans(net)[d]]
        assert (rows[:, net.sequence[i:]] == 0).all()
        if kind != "few units" and i:
            assert (rows[:, net.sequence[:i]].abs().sum(0) > 0).all(), "a variable before it is not seen"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learning", [True, False])
def test_a_change_reaches_only_what_comes_after_it(kind, learning):
    net = make(**KINDS[kind])
    x, given = data(net)
    with torch.set_grad_enabled(learning):
        clean = net(x, given)
        for i, d in enumerate(net.sequence):
            probe = x.clone()
            probe[:, d] = 1e9  # not a NaN: times a weight of zero it would be a NaN in the products of a full pass
            moved = (net(probe, given) != clean).any(0)
            for before in net.sequence[: i + 1]:
                assert not moved[spans(net)[before]].any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dims", [1, 2, D, 70])
def test_steps_equal_the_full_pass(kind, dims):
    net = make(dims, **KINDS[kind])
    x, given = data(net)
    out, partial, seen = net(x, given), net.start(len(x), given), None
    for i, d in enumerate(net.sequence):
        parameters, seen = net.step(partial, i, seen), x[:, d]
        assert parameters.shape == (len(x), net.widths[d])
        assert not parameters.requires_grad
        torch.testing.assert_close(parameters, out[:, spans(net)[d]], rtol=0, atol=1e-12)


def test_a_nan_fed_to_a_step_reaches_no_step_before_it_nor_its_own():
    net = make(40)
    x, _ = data(net)
    for poisoned in (0, 3, 20):
        partial, seen = net.start(len(x)), None
        for i, d in enumerate(net.sequence):
            finite = torch.isfinite(net.step(partial, i, seen)).all()
            assert finite or i > poisoned
            seen = torch.full((len(x),), torch.nan) if i == poisoned else x[:, d]
        assert not finite


def test_the_first_variable_depends_on_what_is_given():
    net = make(given=3)
    x, given = data(net)
    first = spans(net)[net.sequence[0]]
    assert not torch.equal(net(x, given)[:, first], net(x, given + 1)[:, first])


@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_masked_weights_stay_zero_while_it_learns(optimiser):
    net = copy.deepcopy(make())  # a copy is masked as well
    opt = optimiser(net.parameters(), lr=0.1, weight_decay=0.1)
    before = [layer.weight.clone() for layer in net.layers]
    for _ in range(5):
        opt.zero_grad()
        net(data(net)[0]).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
    for layer, old in zip(net.layers, before, strict=True):
        assert (layer.weight[layer.mask == 0] == 0).all()
        assert (layer.weight.grad[layer.mask == 0] == 0).all()
        assert not torch.equal(layer.weight, old)
    x, _ = data(net)
    with torch.no_grad():
        baked = net(x)
    torch.testing.assert_close(baked, net(x), rtol=0, atol=0)  # masked in the graph, baked without


def test_a_file_brings_its_order():
    net, other = make(seed=0), make(seed=1)
    assert net.sequence != other.sequence
    other.load_state_dict(net.state_dict())
    x, _ = data(net)
    torch.testing.assert_close(other(x), net(x), rtol=0, atol=0)
    assert other.sequence == net.sequence
    assert torch.equal(other.step(other.start(5), 0), net.step(net.start(5), 0))
    assert not [name for name in net.state_dict() if "mask" in name], "a mask is read off the order, not saved"


def test_weights_from_elsewhere_are_masked_on_arrival():
    layer = MaskedLinear(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    layer.load_state_dict({"weight": torch.ones(2, 2), "bias": torch.zeros(2)})
    assert layer.weight.tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_units_are_sorted_and_spread_over_all_degrees():
    net = MaskedNet(10, hidden=(90,))
    assert net.degrees[0].tolist() == sorted(net.degrees[0].tolist())
    assert torch.bincount(net.degrees[0])[1:].tolist() == [10] * 9


def test_it_is_one_graph():
    net = make(given=3)
    found = torch._dynamo.explain(net)(*data(net))
    assert (found.graph_count, found.graph_break_count) == (1, 0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"order": [0, 0, 1, 2, 3, 4, 5]}, "permutation of 0 .. 6"),
        ({"widths": [1, 2]}, "one entry a variable"),
        ({"hidden": ()}, "at least one layer"),
        ({"hidden": (8, 9), "residual": True}, "equal widths"),
        ({"activation": "step"}, "known are relu"),
    ],
)
def test_a_wrong_field_is_named(fields, said):
    with pytest.raises(Usage, match=said):
        make(**fields)


@pytest.mark.parametrize("fields", [{}, {"given": 3}, {"hidden": (24, 24), "residual": True}], ids=str)
@pytest.mark.parametrize("free", [False, True])
def test_a_variable_may_enter_as_several_numbers(fields, free):
    inputs = [1 + (d + 1) % 3 for d in range(D)]
    net = make(inputs=inputs, free=free, activation="tanh", **fields)
    order = torch.randperm(D) if free else None
    sequence = order.tolist() if free else net.sequence
    cuts = [0, *itertools.accumulate(inputs)]
    x, given = torch.randn(5, sum(inputs)).double(), data(net)[1]
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x, given, order).sum(0), x).abs().sum(1)
    out, partial, seen = net(x, given, order), net.start(5, given, order), None
    for i, d in enumerate(sequence):
        for j, e in enumerate(sequence):
            block = jacobian[spans(net)[d], cuts[e] : cuts[e + 1]]
            assert bool((block.sum(0) > 0).all()) if j < i else bool((block == 0).all())
        parameters, seen = net.step(partial, i, seen), x[:, cuts[d] : cuts[d + 1]]
        torch.testing.assert_close(parameters, out[:, spans(net)[d]], rtol=0, atol=1e-12)


def test_a_free_net_is_in_each_order_the_net_of_that_order():
    net = make(free=True, given=2)
    x, given = data(net)
    before = [layer.weight.clone() for layer in net.layers]
    for seed in range(3):
        one = make(seed=seed, given=2)
        weights = {name: value for name, value in net.state_dict().items() if name != "order"}
        one.load_state_dict(weights | {"order": one.order})
        torch.testing.assert_close(net(x, given, one.order), one(x, given), rtol=0, atol=1e-12)
    assert all(torch.equal(layer.weight, old) for layer, old in zip(net.layers, before, strict=True))


def test_dropout_is_for_learning_alone():
    net = make(dropout=0.5)
    x, _ = data(net)
    assert torch.equal(net.eval()(x), net(x)) and not torch.equal(net.train()(x), net(x))


def test_what_a_table_enters_as():
    columns = (
        Column("number", "number"),
        Column("lost", "number", missing=True),
        Column("flag", "boolean", categories=(False, True)),
        Column("kind", "category", categories=("a", "b"), missing=True),
    )
    inputs = Inputs(Space("table", (4,), columns=columns), marked=False).double()
    x = torch.tensor([[0.5, torch.nan, 1.0, 2.0], [-1.0, 3.0, 0.0, 0.0]]).double()
    told = [[0.5, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0], [-1.0, 3.0, 0.0, 0.0, 1.0, 0.0, 0.0]]
    assert inputs(x).tolist() == told and inputs.widths == (1, 2, 1, 3)
    marked = Inputs(Space("table", (4,), columns=columns), marked=True).double()
    for some in (inputs, marked):
        assert torch.equal(torch.cat([some.one(d, x[:, d]) for d in range(4)], 1), some(x))
    assert marked.widths == (2, 3, 2, 4) and bool((marked(x)[:, [1, 4, 6, 10]] == 1).all())
