"""Winograd's algorithm computes what a convolution computes, and serves where it may."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_diff.nets.convolution import conv, winograd
from lightning_diff.nets.convolution.conv import Conv3x3


def picture(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    made = torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))
    return made.contiguous(memory_format=torch.channels_last).requires_grad_()


def fast(x: Tensor, weight: Tensor) -> Tensor:
    return conv._Conv.apply(x, weight, None, True, conv._fast_weights)  # type: ignore[no-any-return]


@pytest.mark.parametrize("b, i, o, h, w", [(2, 3, 5, 8, 12), (1, 1, 1, 4, 4), (3, 2, 4, 4, 16), (2, 6, 2, 20, 4)])
def test_it_is_the_convolution(b: int, i: int, o: int, h: int, w: int) -> None:
    """In float64, so that nothing but the algebra is tested."""
    x, weight = picture(b, i, h, w, dtype=torch.float64), picture(o, i, 3, 3, dtype=torch.float64)
    grad = picture(b, o, h, w, dtype=torch.float64).detach()
    for given in (x, x.contiguous()):  # channels_last and not
        sides = [fast(given, weight), F.conv2d(given, weight, padding=1)]
        torch.testing.assert_close(*sides, rtol=1e-12, atol=1e-12)
        one, two = (torch.autograd.grad(y, (x, weight), grad) for y in sides)
        torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-11)


def test_each_transform_is_the_transpose_of_its_gradient() -> None:
    """<T a, b> = <a, T' b>."""
    a, b, y = (torch.randn(*shape, dtype=torch.float64) for shape in ((2, 8, 12, 3), (36, 12, 3), (2, 8, 12, 3)))
    winograd.outputs(b, y)
    torch.testing.assert_close((y * a).sum(), (b * winograd.outputs_back(a)).sum())
    k, u = (torch.randn(*shape, dtype=torch.float64) for shape in ((5, 3, 3, 3), (36, 5, 3)))
    torch.testing.assert_close((winograd.kernels(k) * u).sum(), (k * winograd.kernels_back(u)).sum())


@pytest.mark.parametrize("b, h, w, most", [(5, 8, 8, 5), (3, 20, 12, 40), (2, 16, 4, 10**6)])
def test_the_pieces_are_the_whole(b: int, h: int, w: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "MOST", 36 * 3 * most)
    seen = torch.zeros(b, h, w)
    for piece in winograd.pieces(torch.empty(b, h, w, 2), 3):
        assert seen[piece].numel() / 16 <= max(most, w / 4)
        seen[piece] += 1
    assert (seen == 1).all()
    x, weight = picture(b, 2, h, w, dtype=torch.float64), picture(3, 2, 3, 3, dtype=torch.float64)
    sides = [fast(x, weight), F.conv2d(x, weight, padding=1)]
    torch.testing.assert_close(*sides, rtol=1e-12, atol=1e-12)
    one, two = (torch.autograd.grad((y**2).sum(), (x, weight)) for y in sides)
    torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "b, i, o, side",
    [(32, 128, 128, 8), (32, 32, 64, 8), (32, 160, 96, 8), (32, 16, 16, 8), (3, 24, 40, 8), (2, 7, 5, 3)],
)
def test_it_differs_by_rounding_alone(b: int, i: int, o: int, side: int) -> None:
    """In each of the ways to compute a pass."""
    x, layer = picture(b, i, side, side), Conv3x3(i, o)
    exact = F.conv2d(x.double(), layer.weight.double(), layer.bias.double(), padding=1)
    grad = picture(b, o, side, side).detach()
    parameters = (x, layer.weight, layer.bias)
    found = [layer(x), *torch.autograd.grad(layer(x), parameters, grad)]
    right = [exact, *torch.autograd.grad(exact, parameters, grad.double())]
    for got, good in zip(found, right, strict=True):
        assert (got - good).norm() < 5e-6 * good.norm()
    with torch.no_grad():
        assert (layer(x) - exact).norm() < 5e-6 * exact.norm()


def used(layer: Conv3x3, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The own ways in which the passes were computed."""
    seen = []

    def watch(name: str) -> None:
        way = getattr(conv, name)

        def called(*inputs: Any) -> Tensor:
            seen.append(name)
            return way(*inputs)

        monkeypatch.setattr(conv, name, called)

    for name in ("_fast", "_fast_pictures", "_fast_weights", "_product"):
        watch(name)
    layer(x).float().sum().backward()
    monkeypatch.undo()
    return seen


def test_where_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    assert used(Conv3x3(128, 128), picture(32, 128, 8, 8), monkeypatch) == ["_fast", "_fast_pictures", "_fast_weights"]
    assert used(Conv3x3(96, 96), picture(16, 96, 8, 8), monkeypatch) == ["_fast_weights"]  # few tiles
    assert used(Conv3x3(48, 48), picture(64, 48, 8, 8), monkeypatch) == ["_fast_weights"]  # few channels
    assert used(Conv3x3(96, 96), picture(4, 96, 8, 8), monkeypatch) == ["_product"]  # very few tiles
    assert used(Conv3x3(5, 7), picture(1, 5, 3, 9), monkeypatch) == ["_product"]
    for x in (picture(2, 16, 32, 32), picture(32, 96, 10, 10), picture(32, 128, 8, 8, dtype=torch.float64)):
        assert not used(Conv3x3(x.shape[1], 96).to(x.dtype), x, monkeypatch)
    with torch.autocast("cpu", torch.bfloat16):
        assert not used(Conv3x3(128, 128), picture(32, 128, 8, 8), monkeypatch)
    with torch.no_grad():
        assert conv.Conv3x3(96, 96)(picture(0, 96, 8, 8)).shape == (0, 96, 8, 8)


def test_a_compiler_sees_a_convolution() -> None:
    x = picture(32, 96, 8, 8).detach()
    program = torch.export.export(nn.Sequential(Conv3x3(96, 96)), (x,))
    assert [str(n.target) for n in program.graph.nodes if n.op == "call_function"] == ["aten.conv2d.default"]


def test_it_does_what_a_conv2d_does() -> None:
    """Whatever the shape, and so whatever the way."""
    plain = nn.Conv2d(128, 128, 3, padding=1)
    layer = Conv3x3(128, 128)
    layer.load_state_dict(plain.state_dict())
    x, close = picture(32, 128, 8, 8).detach(), {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(layer(x[0]), plain(x[0]))  # one picture that is no batch
    with pytest.raises(RuntimeError, match="to have 128 channels, but got 64"):
        layer(x[:, :64])
    torch.testing.assert_close(F.relu(layer(x), inplace=True), F.relu(plain(x)), **close)  # type: ignore[arg-type]

    def loss(weights: dict[str, Tensor], of: nn.Module, one: Tensor) -> Tensor:
        return torch.func.functional_call(of, weights, (one[None],)).square().mean()

    each = [
        torch.func.vmap(torch.func.grad(loss), (None, None, 0))(dict(net.named_parameters()), net, x[:3])
        for net in (layer, plain)
    ]
    torch.testing.assert_close(*each, **close)  # type: ignore[arg-type]


class Counted(nn.Module):
    times = 0

    def forward(self, weight: Tensor) -> Tensor:
        self.times += 1
        return weight


def test_a_parametrized_weight_is_computed_once() -> None:
    layer, counted = Conv3x3(128, 128), Counted()
    nn.utils.parametrize.register_parametrization(layer, "weight", counted)
    for x in (picture(32, 128, 8, 8), picture(1, 128, 3, 3), picture(2, 128, 50, 50)):
        before = counted.times
        layer(x)
        assert counted.times == before + 1


def test_its_weights_are_a_conv2ds() -> None:
    torch.manual_seed(0)
    one = Conv3x3(8, 12)
    torch.manual_seed(0)
    two = nn.Conv2d(8, 12, 3, padding=1)
    assert [*one.state_dict()] == [*two.state_dict()] and torch.equal(one.weight, two.weight)
