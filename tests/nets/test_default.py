"""The networks chosen by space: shapes, what the input becomes, that the condition counts, that everything learns."""

import pytest
import torch

from pushforward.errors import Usage
from pushforward.nets import default
from pushforward.nets.convolution import Decoder, Encoder, sizes_of
from pushforward.nets.mlp import mlp
from pushforward.space import Column, Space

B, WIDTH, G, HIDDEN = 3, 5, 2, (16, 16)

COLUMNS = (
    Column("age", "integer", low=0, high=9, step=1),
    Column("sex", "category", categories=("a", "b"), missing=True),  # 3 codes
    Column("pay", "number", missing=True),
    Column("ok", "boolean", categories=(False, True)),
)
SPACES = {
    "vector": Space("real", (7,)),
    "bits": Space("binary", (6,)),
    "levels": Space("levels", (4,), 9),
    "digits": Space("levels", (1, 8, 8), 17),
    "photo": Space("levels", (3, 17, 30), 256),
    "wide": Space("real", (2, 16, 33)),
    "text": Space("tokens", (9,), 6, end=5),
    "code": Space("tokens", (9,), 6),
    "table": Space("table", (4,), columns=COLUMNS),
}


def examples(space, n=B, seed=0):
    draw = torch.Generator().manual_seed(seed)
    if space.kind == "real":
        return torch.randn(n, *space.shape, generator=draw)
    if space.kind == "table":
        columns = [torch.randint(c.size if c.discrete else 9, (n,), generator=draw) for c in space.columns]
        x = torch.stack(columns, 1).double()
        x[0, 2] = torch.nan
        return x
    top = {"binary": 2}.get(space.kind, space.levels)
    x = torch.randint(top, (n, *space.shape), generator=draw)
    return x if space.kind == "tokens" else x.to(torch.uint8)


def both(space, given=0, each=2, **choice):
    torch.manual_seed(0)
    inward = default.into(space, WIDTH, given, hidden=HIDDEN, **choice)
    return inward, default.out_of(WIDTH, space, each * space.size, given, hidden=HIDDEN, **choice)


@pytest.mark.parametrize("given", [0, G])
@pytest.mark.parametrize("name", SPACES)
def test_shapes_and_gradients(name, given):
    space = SPACES[name]
    inward, outward = both(space, given)
    condition = torch.randn(B, G, requires_grad=True) if given else None
    h = inward(examples(space), condition)
    out = outward(h, condition)
    assert h.shape == (B, WIDTH) and out.shape == (B, 2 * space.size)
    assert torch.isfinite(out).all()
    out.sin().sum().backward()
    parameters = [*inward.named_parameters(), *outward.named_parameters()]
    assert [n for n, p in parameters if p.grad is None or not p.grad.abs().sum() > 0] == []
    if given:
        assert (condition.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize("name", SPACES)
def test_the_condition_and_the_example_meet(name):
    """f(x, c) is not a(x) + b(c): a critic that only adds them could not tell which x belongs to which c."""
    space = SPACES[name]
    inward, outward = (net.double() for net in both(space, G))
    x, c = examples(space, 2, seed=3), torch.randn(2, G).double() * 3
    x = x.double() if space.kind == "real" else x
    z = torch.randn(2, WIDTH).double() * 3
    for net, v in ((inward, x), (outward, z)):
        # Of an additive f the four corners cancel.
        corners = net(v[:1], c[:1]) - net(v[:1], c[1:]) - net(v[1:], c[:1]) + net(v[1:], c[1:])
        assert corners.abs().max() > 1e-9


@pytest.mark.parametrize("name", SPACES)
def test_same_seed_same_network_and_rows_are_alone(name):
    space = SPACES[name]
    (inward, outward), (again, _) = both(space), both(space)
    inward, outward, again = inward.double(), outward.double(), again.double()
    x = examples(space)
    assert torch.equal(inward(x), again(x))
    h = inward(x)
    torch.testing.assert_close(torch.cat([inward(row) for row in x.split(1)]), h, atol=1e-12, rtol=0)
    torch.testing.assert_close(torch.cat([outward(row) for row in h.split(1)]), outward(h), atol=1e-12, rtol=0)


def test_the_choice():
    def kind(space, **choice):
        return type(default.into(space, WIDTH, hidden=HIDDEN, **choice).net).__name__

    assert kind(SPACES["digits"]) == kind(SPACES["table"]) == kind(SPACES["vector"]) == "Perceptron"
    assert kind(SPACES["photo"]) == "Encoder"
    assert kind(SPACES["photo"], net="mlp") == "Perceptron" and kind(SPACES["digits"], net="conv") == "Encoder"
    assert isinstance(default.into(SPACES["text"], WIDTH, hidden=HIDDEN), default.Reader)
    assert kind(SPACES["text"], net="mlp") == "Perceptron"


def test_a_perceptron_has_exactly_the_widths_asked_for():
    space = Space("binary", (784,))
    encoder, decoder = default.into(space, 40, hidden=(400,)), default.out_of(20, space, 784, hidden=(400,))
    shapes = [tuple(p.shape) for p in [*encoder.parameters(), *decoder.parameters()]]
    assert shapes == [(400, 784), (400,), (40, 400), (40,), (400, 20), (400,), (784, 400), (784,)]
    x = torch.randint(2, (2, 784)).float()
    first, _, second = encoder.net.layers
    assert torch.equal(encoder(x), second(first(x).relu()))
    assert [tuple(p.shape) for p in default.into(space, 3, hidden=()).parameters()] == [(3, 784), (3,)]


def test_features_of_a_table():
    features = default.Features(SPACES["table"]).double()
    x = torch.tensor([[4.0, 2.0, torch.nan, 1.0], [-1.0, 0.0, 2.5, 0.0]], dtype=torch.float64)
    # age, pay, pay is missing, sex one-hot of 3, ok one-hot of 2
    expected = [[4.0, 0, 1, 0, 0, 1, 0, 1], [-1.0, 2.5, 0, 1, 0, 0, 1, 0]]
    assert features(x).tolist() == expected and features.width == 8
    # A number that was never missing at fit is not quietly made 0.
    x[0, 0] = torch.nan
    assert torch.isnan(features(x)[0, 0])
    x = x[1:].requires_grad_()
    features(x).sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0, 1.0, 0.0]]


def test_features_are_of_the_size_of_one():
    photo = default.Features(SPACES["photo"])(torch.tensor([0, 255], dtype=torch.uint8))
    assert photo.tolist() == [-1.0, 1.0]
    assert default.Features(Space("levels", (1,), 1))(torch.zeros(1, 1)).isfinite().all()
    assert default.Features(SPACES["bits"])(torch.tensor([[0, 1]], dtype=torch.uint8)).tolist() == [[0.0, 1.0]]
    assert default.Features(SPACES["text"])(torch.tensor([[2]])).tolist() == [[[0, 0, 1, 0, 0, 0]]]
    assert default.Features(SPACES["photo"]).double()(torch.zeros(1, dtype=torch.uint8)).dtype == torch.float64


def test_the_order_of_an_image_is_variable_major():
    """Perturb one pixel's place in the decoder's image: the numbers of that variable move, and no others."""
    space, each = Space("real", (2, 16, 16)), 3
    outward = default.out_of(WIDTH, space, each * space.size, hidden=HIDDEN)
    image = torch.zeros(1, 2 * each, 16, 16)
    image[0, 1 * each + 2, 5, 7] = 1.0  # channel 1, feature 2, row 5, column 7
    outward.decoder.forward = lambda z, given: image
    found = outward(torch.zeros(1, WIDTH))
    variable = (1 * 16 + 5) * 16 + 7
    assert found.nonzero().tolist() == [[0, variable * each + 2]]


def test_tokens_after_the_end_are_not_averaged():
    torch.manual_seed(0)
    reader = default.into(SPACES["text"], WIDTH, hidden=HIDDEN).double()
    reader.trunk.blocks = torch.nn.ModuleList()  # without attention only the average joins positions
    x = torch.tensor([[1, 2, 5, 5, 5, 5, 5, 5, 5]])
    short = torch.tensor([[1, 2, 5, 0, 1, 2, 3, 4, 0]])
    assert torch.equal(reader(x), reader(short))
    assert not torch.equal(reader(x), reader(x.flip(1)))
    empty = torch.full((1, 9), 5)
    assert torch.isfinite(reader(empty)).all()  # the end itself is read


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (9, 11), (16, 65), (28, 28), (31, 8), (3, 5)])
def test_convolutions_take_every_size(size, norm):
    torch.manual_seed(0)
    shape = (3, *size)
    encoder = Encoder(shape, WIDTH, G, channels=4, activation="silu", norm=norm).double()
    decoder = Decoder(WIDTH, shape, G, channels=4, activation="silu", norm=norm).double()
    x, c = torch.randn(B, *shape).double().requires_grad_(), torch.randn(B, G).double()
    z = encoder(x, c)
    image = decoder(z, c)
    assert z.shape == (B, WIDTH) and image.shape == (B, *shape)
    (slope,) = torch.autograd.grad(z.sin().sum(), x, retain_graph=True)
    assert (slope != 0).all()  # every pixel is seen
    _, painted = torch.func.jvp(lambda v: decoder(v, c), (z.detach(),), (torch.ones_like(z),))
    assert (painted != 0).all()  # and every pixel painted
    torch.testing.assert_close(encoder(x[1:2], c[1:2]), z[1:2], atol=1e-12, rtol=0)


def test_a_dcgan_by_default():
    assert sizes_of(28, 28) == [(28, 28), (14, 14), (7, 7)]
    space = Space("real", (1, 28, 28))
    weights = [tuple(p.shape) for p in default.out_of(64, space, 784).parameters() if p.ndim > 1]
    assert weights == [(7 * 7 * 128, 64), (128, 64, 4, 4), (64, 1, 4, 4)]


def test_options_of_the_perceptron():
    kinds = [type(layer).__name__ for layer in mlp(3, 2, (4,), "leaky", dropout=0.1, norm=True)]
    assert kinds == ["Linear", "LayerNorm", "LeakyReLU", "Dropout", "Linear"]
    assert [type(layer).__name__ for layer in mlp(3, 2, (4,))] == ["Linear", "ReLU", "Linear"]


@pytest.mark.parametrize("name", ["photo", "table"])
def test_the_graph_is_whole(name):
    space = SPACES[name]
    inward, outward = both(space)
    x = examples(space)
    h = torch.compile(inward, backend="eager", fullgraph=True)(x)
    torch.testing.assert_close(h, inward(x))
    torch.testing.assert_close(torch.compile(outward, backend="eager", fullgraph=True)(h), outward(h))


def test_mistakes_are_told():
    with pytest.raises(Usage, match="no net 'cnov'.*Did you mean 'conv'"):
        default.into(SPACES["photo"], WIDTH, net="cnov")
    with pytest.raises(Usage, match="needs images"):
        default.into(SPACES["vector"], WIDTH, net="conv")
    with pytest.raises(Usage, match="needs tokens"):
        default.out_of(WIDTH, SPACES["vector"], 7, net="transformer")
    with pytest.raises(Usage, match="hidden=\\(\\)"):
        default.into(SPACES["photo"], WIDTH, hidden=())
    with pytest.raises(Usage, match="cannot be shared"):
        default.out_of(WIDTH, SPACES["photo"], 100)
    with pytest.raises(Usage, match="no activation 'relo'.*Did you mean 'relu'"):
        default.into(SPACES["vector"], WIDTH, activation="relo")
