"""The perceptron whose layers see all that came before them."""

import torch

from pushforward.nets.dense import Dense


def test_each_layer_sees_all_before_it():
    net = Dense(3, 2, 4, hidden=(8, 5))
    assert [layer[0].in_features for layer in net.layers] == [7, 15] and net.out.in_features == 20
    h = torch.randn(6, 3), torch.randn(6, 4)
    net.eval()
    x = torch.cat(h, 1)
    one = torch.cat([net.layers[0](x), x], 1)
    two = torch.cat([net.layers[1](one), one], 1)
    torch.testing.assert_close(net(*h), net.out(two))
    with torch.no_grad():
        torch.testing.assert_close(net(*h), net.out(two))


def test_a_row_does_not_depend_on_others_once_it_has_learned():
    net = Dense(3, 2, hidden=(8,))
    for _ in range(5):
        net(torch.randn(20, 3) * 2 + 1)
    net.eval()
    x = torch.randn(10, 3)
    torch.testing.assert_close(net(x)[3:4], net(x[3:4]))
