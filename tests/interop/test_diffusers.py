"""The same nets as diffusers', from its folders and from single files: outputs equal to float32's last digits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from lightning_diff.config.errors import ConfigError
from lightning_diff.interop.diffusers import load_autoencoder, load_unet
from lightning_diff.interop.fields.unet import unet_arguments
from lightning_diff.interop.names import (
    RESNET,
    VAE_BLOCK,
    from_diffusers,
    from_ldm,
    to_diffusers,
    to_ldm,
    unet_table,
    vae_table,
)
from lightning_diff.models.build import start_from
from lightning_diff.nets.ldm_autoencoder import LatentDiffusionAutoencoder
from lightning_diff.nets.ldm_unet import LatentDiffusionUNet
from lightning_diff.nets.unet import Condition
from tests.interop.models import shaken

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UNETS: dict[str, dict[str, Any]] = {  # the shapes of the three, with narrow levels
    "sd15": {
        "block_out_channels": (32, 64, 64, 64),
        "down_block_types": (CROSS, CROSS, CROSS, PLAIN),
        "attention_head_dim": 8,
        "cross_attention_dim": 48,
    },
    "sd21": {
        "block_out_channels": (32, 64, 96, 96),
        "down_block_types": (CROSS, CROSS, CROSS, PLAIN),
        "attention_head_dim": (2, 4, 6, 6),
        "cross_attention_dim": 64,
        "use_linear_projection": True,
    },
    "sdxl": {
        "block_out_channels": (32, 64, 96),
        "down_block_types": (PLAIN, CROSS, CROSS),
        "attention_head_dim": (2, 4, 6),
        "cross_attention_dim": 80,
        "use_linear_projection": True,
        "transformer_layers_per_block": (1, 2, 3),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 6 * 256 + 40,
    },
}
VAE = {
    "block_out_channels": (32, 64, 64, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}


def peer_unet(name: str) -> Any:
    torch.manual_seed(0)
    config = UNETS[name]
    up = ["CrossAttnUpBlock2D" if t == CROSS else "UpBlock2D" for t in reversed(config["down_block_types"])]
    net = UNet2DConditionModel(sample_size=16, up_block_types=tuple(up), **config).eval()
    return shaken(net)


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def both(name: str, peer: Any, ours: LatentDiffusionUNet, side: int = 16) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    width = UNETS[name]["cross_attention_dim"]
    x, tokens, pooled = (torch.randn(*s, generator=g) for s in ((2, 4, side, side), (2, 9, width), (2, 40)))
    steps = torch.tensor([999, 17])
    more: dict[str, Any] = {}
    if name == "sdxl":
        sizes = torch.tensor([[8 * side, 8 * side, 0, 0, 8 * side, 8 * side]] * 2)
        more = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}
    with torch.no_grad():
        theirs = peer(x, steps, tokens, **more).sample
        condition = Condition(tokens, torch.ones(2, 9, dtype=torch.bool), pooled)
        mine = ours.eval()(x, (steps + 1) / 1000, condition)
        again = ours(x, (steps + 1) / 1000, ours.prepare(condition))
    assert torch.equal(mine, again)
    return mine, theirs


@torch.no_grad()
def test_a_masked_net_does_not_see_the_padding() -> None:
    torch.manual_seed(0)
    for masked in (True, False):
        net = LatentDiffusionUNet(4, 24, (32, 64), 1, (1, 1), head_width=16, masked=masked)
        for p in net.parameters():
            torch.nn.init.normal_(p, std=0.1)
        tokens, mask = torch.randn(1, 6, 24), torch.arange(6)[None] < 4
        other = torch.where(mask[..., None], tokens, torch.randn(1, 6, 24))
        x, t = torch.randn(1, 4, 8, 8), torch.tensor([0.5])
        a, b = (net(x, t, Condition(k, mask, torch.zeros(1, 1))) for k in (tokens, other))
        assert torch.equal(a, b) == masked


@pytest.mark.parametrize("name", UNETS)
def test_a_folders_unet_says_the_same(name: str, tmp_path: Path) -> None:
    peer = peer_unet(name)
    peer.save_pretrained(tmp_path / "unet")
    mine, theirs = both(name, peer, load_unet(tmp_path))
    assert relative(mine, theirs) < 1e-5


@pytest.mark.parametrize("name", UNETS)
def test_gradients_are_the_same(name: str) -> None:
    """Of a loss on the output, for every parameter under its own name."""
    peer = peer_unet(name)
    arguments = unet_arguments(dict(peer.config))
    ours = LatentDiffusionUNet(**arguments)
    ours.checkpointing = True
    ours.load_state_dict(from_diffusers(peer.state_dict()))
    g = torch.Generator().manual_seed(1)
    tokens, x, pooled = (
        torch.randn(2, 9, arguments["token_width"], generator=g),
        torch.randn(2, 4, 16, 16, generator=g),
        torch.randn(2, 40, generator=g),
    )
    more = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": torch.tensor([[128, 128, 0, 0, 128, 128]] * 2)}}
    peer(x, torch.tensor([500, 20]), tokens, **(more if name == "sdxl" else {})).sample.square().sum().backward()
    condition = Condition(tokens, torch.ones(2, 9, dtype=torch.bool), pooled)
    ours(x, torch.tensor([0.501, 0.021]), condition).square().sum().backward()
    mine = to_diffusers({n: p.grad for n, p in ours.named_parameters() if p.grad is not None}, name == "sd15")
    theirs = {n: p.grad for n, p in peer.named_parameters()}
    assert mine.keys() == theirs.keys()
    size = max(float(g.norm()) for g in theirs.values())  # a bias before a norm has none but rounding errors
    for key, grad in theirs.items():
        assert float((mine[key] - grad).norm()) < 2e-4 * (float(grad.norm()) + 1e-3 * size), key


def test_a_folders_autoencoder_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    peer = shaken(AutoencoderKL(**VAE).eval())
    peer.save_pretrained(tmp_path / "vae")
    ours = load_autoencoder(tmp_path).eval()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = peer.encode(x).latent_dist
        mine = ours.encode(x)
        z = theirs.mean * 0.18215
        assert relative(mine.mean, z) < 1e-5 and relative(mine.std, theirs.std * 0.18215) < 1e-5
        assert relative(ours.decode(z), peer.decode(theirs.mean).sample) < 1e-5
    assert ours.factor == 8 and mine.mean.shape == (2, 4, 8, 8)


@pytest.mark.parametrize("name", UNETS)
def test_names_there_and_back(name: str) -> None:
    """diffusers -> LDM -> diffusers -> ours -> diffusers: nothing is lost, nothing is called alike."""
    peer = peer_unet(name)
    state = dict(peer.state_dict())
    a = unet_arguments(dict(peer.config))
    table = unet_table(a["blocks"], a["depth"])
    single = to_ldm(state, table, RESNET)
    assert len(single) == len(state) and not single.keys() & state.keys()
    back = from_ldm(single, table, RESNET)
    assert back.keys() == state.keys() and all(torch.equal(back[k], state[k]) for k in state)
    again = to_diffusers(from_diffusers(back), convolutions=name == "sd15")
    assert again.keys() == state.keys() and all(torch.equal(again[k], state[k]) for k in state)


LAYER = "transformer_blocks.1.ff.net.0.proj.weight"
KNOWN_UNET = {  # of the published single files of Stable Diffusion 1.x and XL
    "sd15": {
        "input_blocks.1.1.norm.weight": "down_blocks.0.attentions.0.norm.weight",
        "input_blocks.3.0.op.weight": "down_blocks.0.downsamplers.0.conv.weight",
        "input_blocks.4.0.skip_connection.weight": "down_blocks.1.resnets.0.conv_shortcut.weight",
        "input_blocks.11.0.out_layers.3.bias": "down_blocks.3.resnets.1.conv2.bias",
        "middle_block.1.proj_in.weight": "mid_block.attentions.0.proj_in.weight",
        "output_blocks.2.1.conv.weight": "up_blocks.0.upsamplers.0.conv.weight",
        "output_blocks.5.2.conv.weight": "up_blocks.1.upsamplers.0.conv.weight",
        "output_blocks.11.1.proj_out.weight": "up_blocks.3.attentions.2.proj_out.weight",
        "time_embed.2.weight": "time_embedding.linear_2.weight",
        "out.2.weight": "conv_out.weight",
    },
    "sdxl": {
        f"input_blocks.5.1.{LAYER}": f"down_blocks.1.attentions.1.{LAYER}",
        "input_blocks.6.0.op.weight": "down_blocks.1.downsamplers.0.conv.weight",
        "label_emb.0.2.bias": "add_embedding.linear_2.bias",
        "output_blocks.2.2.conv.weight": "up_blocks.0.upsamplers.0.conv.weight",
        "output_blocks.8.0.emb_layers.1.weight": "up_blocks.2.resnets.2.time_emb_proj.weight",
    },
}


@pytest.mark.parametrize("name", KNOWN_UNET)
def test_the_single_files_names(name: str) -> None:
    peer = peer_unet(name)
    a = unet_arguments(dict(peer.config))
    single = to_ldm(dict(peer.state_dict()), unet_table(a["blocks"], a["depth"]), RESNET)
    for theirs, here in KNOWN_UNET[name].items():
        assert torch.equal(single[theirs], peer.state_dict()[here]), theirs


def test_a_single_file_says_the_same(tmp_path: Path) -> None:
    peer = peer_unet("sd15")
    a = unet_arguments(dict(peer.config))
    torch.manual_seed(0)
    vae = shaken(AutoencoderKL(**VAE).eval())
    table = vae_table(4, 2)
    first = to_ldm(dict(vae.state_dict()), table, VAE_BLOCK)
    for theirs, here in (
        ("decoder.up.3.block.0.conv1.weight", "decoder.up_blocks.0.resnets.0.conv1.weight"),
        ("encoder.down.1.block.0.nin_shortcut.weight", "encoder.down_blocks.1.resnets.0.conv_shortcut.weight"),
        ("decoder.mid.attn_1.proj_out.weight", "decoder.mid_block.attentions.0.to_out.0.weight"),
    ):
        assert torch.equal(first[theirs], vae.state_dict()[here])
    first = {k: t[:, :, None, None] if "attn_1." in k and t.ndim == 2 else t for k, t in first.items()}
    second = to_ldm(dict(peer.state_dict()), unet_table(a["blocks"], a["depth"]), RESNET)
    whole = {f"model.diffusion_model.{k}": t.contiguous() for k, t in second.items()}
    whole |= {f"first_stage_model.{k}": t.contiguous() for k, t in first.items()}
    save_file(whole, tmp_path / "model.safetensors")
    ours = LatentDiffusionUNet(**a)
    start_from(ours, tmp_path / "model.safetensors")
    mine, theirs = both("sd15", peer, ours)
    assert relative(mine, theirs) < 1e-5
    net = LatentDiffusionAutoencoder((32, 64, 64, 64))
    start_from(net, tmp_path / "model.safetensors")
    z = torch.randn(1, 4, 4, 4)
    with torch.no_grad():
        assert relative(net.decode(z * 0.18215), vae.decode(z).sample) < 1e-5


def test_published_sizes() -> None:
    """Counted without memory; the numbers are those of the published models."""
    with torch.device("meta"):
        sizes = {
            "sd15": LatentDiffusionUNet(4, 768, (320, 640, 1280, 1280), heads=8),
            "sd21": LatentDiffusionUNet(4, 1024, (320, 640, 1280, 1280)),
            "sdxl": LatentDiffusionUNet(4, 2048, (320, 640, 1280), depth=(0, 2, 10), pooled_width=1280),
            "vae": LatentDiffusionAutoencoder(),
        }
    counted = {name: sum(p.numel() for p in net.parameters()) for name, net in sizes.items()}
    assert counted == {"sd15": 859_520_964, "sd21": 865_910_724, "sdxl": 2_567_463_684, "vae": 83_653_863}


def test_what_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json"):
        load_unet(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        load_unet(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="no weights"):
        load_unet(tmp_path)
    (tmp_path / "diffusion_pytorch_model.bin").write_bytes(b"PK")
    with pytest.raises(ConfigError, match="safe_serialization=True"):
        load_unet(tmp_path)
    with pytest.raises(ConfigError, match="down_block_types"):
        unet_arguments(
            {**UNETS["sd15"], "down_block_types": ("KDownBlock2D",) * 4, "in_channels": 4, "out_channels": 4}
        )
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match="no UNet in it"):
        load_unet(tmp_path / "x.safetensors")
