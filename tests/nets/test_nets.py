"""Laws of the nets: padding says nothing, attention is attention, a latent's scale is undone."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightning_diff.nets.attributes import AttributeClassifier, attribute_loss
from lightning_diff.nets.autoencoder import Autoencoder
from lightning_diff.nets.layers import attend
from lightning_diff.nets.unet import Condition, UNet
from lightning_diff.nets.uvit.attention import NormedAttention, turned, turns
from lightning_diff.nets.uvit.net import UViT

B, L = 3, 7


def awake(net: nn.Module) -> nn.Module:
    """With no parameter at its initial zero, so that every branch says something."""
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn(p.shape, generator=g) * 0.05)
    return net.eval()


NETS = {
    "small": lambda: UNet(4, 24, 12, widths=(16, 32), blocks=1, attention=(False, True), head_width=16),
    "uvit": lambda: UViT(4, 24, 12, widths=(16, 32), blocks=2, depth=2, head_width=16, after=1),
    "rotary": lambda: UViT(4, 24, 12, widths=(16, 32), blocks=2, depth=2, head_width=16, after=1, rotary=True),
}
kinds = pytest.mark.parametrize("kind", NETS)


def case(size: int = 8) -> tuple[torch.Tensor, torch.Tensor, Condition]:
    g = torch.Generator().manual_seed(4)
    mask = torch.arange(L)[None] < torch.tensor([2, 5, L])[:, None]
    condition = Condition(torch.randn(B, L, 24, generator=g), mask, torch.randn(B, 12, generator=g))
    return torch.randn(B, 4, size, size, generator=g), torch.tensor([0.1, 0.5, 1.0]), condition


@pytest.mark.parametrize("widths, attention", [((16, 32), (False, True)), ((16,), (True,)), ((8, 16, 16), (True,) * 3)])
@pytest.mark.parametrize("blocks", [1, 2])
def test_unet_keeps_the_shape(widths: tuple[int, ...], attention: tuple[bool, ...], blocks: int) -> None:
    x, t, condition = case()
    out = UNet(4, 24, 12, widths, blocks, attention, head_width=8)(x, t, condition)
    assert out.shape == x.shape and out.dtype == torch.float32
    assert bool((out == 0).all())  # it begins by saying nothing


@pytest.mark.parametrize("after, rotary", [(0, False), (2, False), (0, True)])
@pytest.mark.parametrize("widths", [(16,), (8, 16), (8, 16, 16)])
def test_the_transformer_of_the_coarsest_resolution_keeps_the_shape(
    widths: tuple[int, ...], after: int, rotary: bool
) -> None:
    x, t, condition = case()
    net = UViT(4, 24, 12, widths, blocks=1, depth=2, head_width=8, after=after, rotary=rotary)
    out = net(x, t, condition)
    assert out.shape == x.shape and bool((out == 0).all()) and len(condition_keys(net, condition)) == 2
    wide = torch.randn(B, 4, 8, 16, generator=torch.Generator().manual_seed(1))
    assert net(wide, t, condition).shape == wide.shape


@torch.no_grad()
@pytest.mark.parametrize("kind", [UNet, UViT])
def test_without_a_pooled_width_a_net_reads_the_tokens_alone(kind: type[UNet | UViT]) -> None:
    (x, t, c) = case()
    net, usual = (awake(kind(4, 24, pooled, widths=(16, 32), head_width=16)) for pooled in (0, 12))
    said = Condition(c.tokens, c.mask, torch.full_like(c.pooled, torch.nan))
    out = net(x, t, said)
    assert torch.equal(out, net(x, t, c)) and bool(out.isfinite().all())
    assert (net(x, t, Condition(-c.tokens, c.mask, c.pooled)) - out).abs().amax() > 1e-3
    more = set(usual.state_dict()) - set(net.state_dict())
    assert more == {"pooled.weight", "pooled.bias"} and not set(net.state_dict()) - set(usual.state_dict())


def condition_keys(net: UViT, condition: Condition) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return net.prepare(condition).prepared or []


def test_a_checkpointed_net_has_the_same_gradients() -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        net, (x, t, c) = awake(NETS["uvit"]()), case()
        net.checkpointing = checkpointing  # type: ignore[assignment]
        net(x, t, c).square().mean().backward()
        found.append([p.grad for p in net.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True) if a is not None and b is not None)
    assert all(g is not None for g in found[0])


@torch.no_grad()
@kinds
def test_padding_says_nothing_and_tokens_say_something(kind: str) -> None:
    net, (x, t, c) = awake(NETS[kind]()), case()
    out = net(x, t, c)
    noise = torch.randn(c.tokens.shape, generator=torch.Generator().manual_seed(5)) * 10
    padded = Condition(torch.where(c.mask[..., None], c.tokens, noise), c.mask, c.pooled)
    torch.testing.assert_close(net(x, t, padded), out, rtol=0, atol=1e-6)
    shorter = Condition(c.tokens[:2, :5], c.mask[:2, :5], c.pooled[:2])
    torch.testing.assert_close(net(x[:2], t[:2], shorter), out[:2], rtol=0, atol=1e-5)
    spoken = Condition(torch.where(c.mask[..., None], noise, c.tokens), c.mask, c.pooled)
    assert bool(((net(x, t, spoken) - out).flatten(1).abs().amax(1) > 1e-3).all())


@torch.no_grad()
@kinds
def test_a_net_hears_time_and_pooled_and_keeps_rows_apart(kind: str) -> None:
    net, (x, t, c) = awake(NETS[kind]()), case()
    out = net(x, t, c)
    assert (net(x, t * 0.9, c) - out).abs().amax() > 1e-3
    assert (net(x, t, Condition(c.tokens, c.mask, -c.pooled)) - out).abs().amax() > 1e-3
    for i in range(B):
        row = Condition(c.tokens[i : i + 1], c.mask[i : i + 1], c.pooled[i : i + 1])
        torch.testing.assert_close(net(x[i : i + 1], t[i : i + 1], row), out[i : i + 1], rtol=0, atol=1e-5)


@torch.no_grad()
def test_turned_attention_sees_how_far_tokens_are_from_each_other() -> None:
    """Scores depend on the difference of two positions alone, and a turn keeps lengths."""
    q, k = torch.randn(2, 1, 1, 1, 16, generator=torch.Generator().manual_seed(1))
    turn = turns(6, 5, 16, torch.device("cpu"))
    q, k = (turned(x.expand(1, 30, 1, 16).contiguous(), turn)[0, :, 0].view(6, 5, 16) for x in (q, k))
    torch.testing.assert_close(q.norm(dim=-1), q[0, 0].norm().expand(6, 5))
    scores = torch.einsum("hwd,yxd->hwyx", q, k)
    torch.testing.assert_close(scores[1, 2, 3, 4], scores[2, 1, 4, 3], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scores[4, 4, 1, 0], scores[5, 4, 2, 0], rtol=1e-5, atol=1e-5)
    assert abs(scores[1, 2, 3, 4] - scores[1, 2, 4, 3]) > 1e-3


@torch.no_grad()
def test_normed_attention_does_not_hear_how_long_queries_and_keys_are() -> None:
    attention = NormedAttention(32, 2)
    x = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(1))
    q, k = attention.queries(x), attention.keys_values(x)[0]
    assert q.shape == k.shape == (2, 2, 5, 16)
    attention.query.weight.mul_(7)
    attention.key_value.weight.mul_(7)
    torch.testing.assert_close(attention.queries(x), q, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(attention.keys_values(x)[0], k, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(k.square().mean(-1), torch.ones(2, 2, 5), rtol=1e-2, atol=0)


def test_conditions_are_joined_chosen_and_repeated() -> None:
    _, _, c = case()
    other = Condition(-c.tokens, ~c.mask, -c.pooled)
    both = Condition.cat(c, other)
    assert torch.equal(both.tokens, torch.cat([c.tokens, -c.tokens])) and both.mask.shape == (2 * B, L)
    mixed = c.where(torch.tensor([True, False, True]), other)
    for name in ("tokens", "mask", "pooled"):
        rows = [getattr(k, name)[i] for i, k in enumerate((c, other, c))]
        assert torch.equal(getattr(mixed, name), torch.stack(rows))
    one = Condition(c.tokens[:1], c.mask[:1], c.pooled[:1]).expand(4)
    assert one.tokens.shape == (4, L, 24) and torch.equal(one.pooled[3], c.pooled[0])


@pytest.mark.parametrize("masked", [False, True])
def test_attend_is_scaled_dot_product_attention(masked: bool) -> None:
    g = torch.Generator().manual_seed(6)
    q, k, v = (torch.randn(B, 2, n, 8, generator=g, dtype=torch.float64) for n in (5, L, L))
    mask = torch.arange(L)[None] < torch.tensor([1, 4, L])[:, None] if masked else None
    inputs = [a.requires_grad_() for a in (q, k, v)]
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask[:, None, None])
    found = attend(q, k, v, mask)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(expected.shape, generator=g, dtype=torch.float64)
    for a, b in zip(*(torch.autograd.grad((o * weights).sum(), inputs) for o in (found, expected)), strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        torch.testing.assert_close(attend(q, k, v, mask), expected)


@torch.no_grad()
@pytest.mark.parametrize("widths", [(8,), (8, 16), (8, 16, 16)])
def test_autoencoder_shapes_and_scale(widths: tuple[int, ...]) -> None:
    """encode gives (mean - shift) / scale of the moments, decode undoes just that, channel by channel."""
    net = awake(Autoencoder(widths, latent_channels=3, blocks=1))
    assert isinstance(net, Autoencoder)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(7)) * 2 - 1
    mean, log_variance = net.moments(x)
    plain = net.decode(net.encode(x).mean)
    net.shift.copy_(torch.tensor([0.5, -1.0, 3.0]))
    net.scale.copy_(torch.tensor([0.1, 2.0, 7.0]))
    p = net.encode(x)
    assert p.mean.shape == p.std.shape == (2, 3, 32 // 2 ** len(widths), 32 // 2 ** len(widths))
    torch.testing.assert_close(p.mean[:, 2], (mean[:, 2] - 3) / 7)
    torch.testing.assert_close(p.std[:, 1], (0.5 * log_variance[:, 1]).exp() / 2)
    torch.testing.assert_close(net.decode(p.mean), plain, rtol=0, atol=1e-4)
    torch.testing.assert_close(p.sample(torch.ones_like(p.std)), p.mean + p.std)
    assert plain.shape == x.shape


def test_the_classifier_learns_nothing_from_unknown_labels() -> None:
    net = AttributeClassifier({"a": 3, "b": 2}, width=8).eval()
    logits = net(torch.zeros(2, 3, 32, 32))
    assert {k: v.shape for k, v in logits.items()} == {"a": (2, 3), "b": (2, 2)}
    none = {"a": torch.tensor([-1, -1]), "b": torch.tensor([-1, -1])}
    assert attribute_loss(logits, none) == 0
    some = {"a": torch.tensor([2, -1]), "b": torch.tensor([-1, -1])}
    torch.testing.assert_close(attribute_loss(logits, some), F.cross_entropy(logits["a"][:1], torch.tensor([2])))
