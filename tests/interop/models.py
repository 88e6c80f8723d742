"""Small random models of other people's kinds, as diffusers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers import UNet2DConditionModel as Unet
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from lightning_diff.interop.fields.unet import unet_arguments
from lightning_diff.interop.names import RESNET, VAE_BLOCK, to_ldm, unet_table, vae_table
from lightning_diff.interop.text import write_tokenizer
from lightning_diff.nets.text import Tower
from lightning_diff.nets.tokenizers.clip import END

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
ENDS = "<|endoftext|>"
VISION = {"layers": 1, "width": 8, "head_width": 8, "patch_size": 8, "image_size": 8}
SCALED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
KINDS: dict[str, dict[str, Any]] = {
    "sd1": {"unet": {"attention_head_dim": 8}, "scheduler": {"timestep_spacing": "leading", "steps_offset": 1}},
    "sd2_eps": {"unet": {"attention_head_dim": (1, 2), "use_linear_projection": True}, "act": "gelu", "pad": "!"},
    "sd2_v_zero": {
        "unet": {"attention_head_dim": (1, 2), "use_linear_projection": True, "upcast_attention": True},
        "scheduler": {
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        },
        "act": "gelu",
        "pad": "!",
    },
    "xl": {
        "unet": {
            "attention_head_dim": (1, 2),
            "use_linear_projection": True,
            "down_block_types": (PLAIN, CROSS),
            "transformer_layers_per_block": (1, 2),
            "cross_attention_dim": 80,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 24 + 6 * 256,
        },
        "scheduler": {"timestep_spacing": "leading", "steps_offset": 1},
        "vae": {"scaling_factor": 0.13025, "force_upcast": False},
    },
}


def shaken(net: Any, by: float = 0.03) -> Any:
    """Norms begin as 1 and 0 and biases as small numbers: with noise on them a swap of two shows."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(by * torch.randn_like(p))
    return net.eval()


def unet(**more: Any) -> Any:
    usual: dict[str, Any] = {
        "block_out_channels": (32, 64),
        "down_block_types": (CROSS, PLAIN),
        "layers_per_block": 1,
        "cross_attention_dim": 32,
        "norm_num_groups": 8,
    }
    said = {**usual, **more}
    up = [t.replace("Down", "Up") for t in reversed(said["down_block_types"])]
    return shaken(Unet(sample_size=16, up_block_types=tuple(up), **said))


def vae(**more: Any) -> Any:
    usual = {"block_out_channels": (16, 32), "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 8}
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    net = shaken(AutoencoderKL(**usual, **blocks, **more))  # type: ignore[arg-type]
    with torch.no_grad():
        net.decoder.conv_out.weight.mul_(0.2)  # a random net's pictures are saturated, and rounding shows in them
    return net


def text_encoder(beside: Path, kind: Any, width: int, act: str, pad: str) -> tuple[Any, Any]:
    """A small text encoder and its tokenizer, which is also written to the folder `beside`."""
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2, "num_attention_heads": 2}
    marks = {"bos_token_id": END - 1, "eos_token_id": END}
    net = kind(CLIPTextConfig(**sizes, **marks, hidden_act=act, projection_dim=24)).eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.1)
    text = {"width": 8, "heads": 1, "layers": 1, "context_length": 77}
    write_tokenizer(Tower({"embedding": 8, "vision": VISION, "text": text}), beside)
    return net, CLIPTokenizer.from_pretrained(beside, pad_token=pad)


def pipeline(kind: str, scratch: Path) -> Any:
    """A whole random pipeline of one of KINDS."""
    torch.manual_seed(0)
    said = KINDS[kind]
    scheduler = DDIMScheduler(**{**SCALED, "set_alpha_to_one": True, **said.get("scheduler", {"steps_offset": 1})})
    act, pad = said.get("act", "quick_gelu"), said.get("pad", ENDS)
    one, words = text_encoder(scratch / "tokenizer", CLIPTextModel, 32, act, pad)
    parts = {"vae": vae(**said.get("vae", {})), "unet": unet(**said["unet"]), "scheduler": scheduler}
    if kind == "xl":
        two, others = text_encoder(scratch / "tokenizer_2", CLIPTextModelWithProjection, 48, "gelu", "!")
        pipe: Any = StableDiffusionXLPipeline(
            text_encoder=one, tokenizer=words, text_encoder_2=two, tokenizer_2=others, add_watermarker=False, **parts
        )
    else:
        pipe = StableDiffusionPipeline(
            text_encoder=one,
            tokenizer=words,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            **parts,
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def as_ldm(pipe: Any) -> dict[str, Tensor]:
    """A single-file checkpoint's tensors, without the text encoder."""
    a, c = unet_arguments(dict(pipe.unet.config)), pipe.vae.config
    net = to_ldm(dict(pipe.unet.state_dict()), unet_table(a["blocks"], a["depth"]), RESNET)
    first = to_ldm(dict(pipe.vae.state_dict()), vae_table(2, c.layers_per_block), VAE_BLOCK)
    state = {f"model.diffusion_model.{n}": t.contiguous() for n, t in net.items()}
    wide = {n: t[:, :, None, None] if "attn_1." in n and t.ndim == 2 else t for n, t in first.items()}
    return state | {f"first_stage_model.{n}": t.contiguous() for n, t in wide.items()}
