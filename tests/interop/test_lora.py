"""Adapters: they begin as nothing, are all that is trained, can be merged, and are opened by diffusers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file

from lightning_diff.interop.diffusers import unet_arguments
from lightning_diff.interop.names import from_diffusers
from lightning_diff.nets.ldm_unet import LatentDiffusionUNet
from lightning_diff.nets.lora import adapters, add_lora, merged_state
from lightning_diff.nets.unet import Condition

CONFIG: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 2,
    "cross_attention_dim": 48,
    "use_linear_projection": True,
}


@pytest.fixture
def nets() -> tuple[Any, LatentDiffusionUNet]:
    torch.manual_seed(0)
    peer = UNet2DConditionModel(**CONFIG).eval()
    net = LatentDiffusionUNet(**unet_arguments(dict(peer.config))).eval()
    net.load_state_dict(from_diffusers(peer.state_dict()))
    return peer, net


def say(net: LatentDiffusionUNet) -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    x, tokens = torch.randn(2, 4, 16, 16, generator=g), torch.randn(2, 5, 48, generator=g)
    condition = Condition(tokens, torch.ones(2, 5, dtype=torch.bool), torch.zeros(2, 1))
    return net(x, torch.tensor([0.5, 0.9]), condition)


def train(net: LatentDiffusionUNet, steps: int = 3) -> None:
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        say(net).square().mean().backward()
        optimizer.step()


def test_adapters_begin_as_nothing_and_are_all_that_is_trained(nets: Any) -> None:
    net = nets[1]
    before, count = say(net).detach(), sum(1 for n in net.state_dict() if "to_" in n and n.endswith("weight"))
    plain = {n: t.clone() for n, t in net.state_dict().items()}
    add_lora(net, 4)
    trained = [n for n, p in net.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * count and all(n.endswith((".a", ".b")) for n in trained)
    torch.testing.assert_close(say(net).detach(), before)
    train(net)
    assert not torch.allclose(say(net).detach(), before, atol=1e-3)
    kept = {n.replace(".base.", "."): t for n, t in net.state_dict().items() if not n.endswith((".a", ".b"))}
    assert kept.keys() == plain.keys() and all(torch.equal(kept[n], plain[n]) for n in plain)


def test_merged_is_the_plain_net_that_says_the_same(nets: Any) -> None:
    peer, net = nets
    add_lora(net, 4)
    train(net)
    again = LatentDiffusionUNet(**unet_arguments(dict(peer.config))).eval()
    again.load_state_dict(merged_state(net))
    torch.testing.assert_close(say(again), say(net), rtol=1e-4, atol=1e-5)


def test_diffusers_opens_them(nets: Any, tmp_path: Path) -> None:
    peer, net = nets
    add_lora(net, 4)
    train(net)
    save_file(adapters(net), tmp_path / "lora.safetensors")
    state, alphas = StableDiffusionPipeline.lora_state_dict(tmp_path, weight_name="lora.safetensors")[:2]
    StableDiffusionPipeline.load_lora_into_unet(state, alphas, peer)
    g = torch.Generator().manual_seed(1)
    x, tokens = torch.randn(2, 4, 16, 16, generator=g), torch.randn(2, 5, 48, generator=g)
    with torch.no_grad():
        theirs, mine = peer(x, torch.tensor([499, 899]), tokens).sample, say(net)
    assert float((mine - theirs).norm() / theirs.norm()) < 1e-5
