"""Export of a run to other projects: as a folder for diffusers' StableDiffusionPipeline, or as a single-file checkpoint.

Both need the architecture of latent diffusion (net=ldm, autoencoder=ldm), without a mask over the caption's padding, because
that pipeline has no such mask. diffusers is not imported: this file writes the same files as diffusers does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from ..config.errors import ConfigError
from ..diffusion.samplers.base import Sampler
from ..files import whole_file, whole_folder
from ..nets.autoencoder import LatentSpace
from ..nets.ldm_autoencoder import LatentDiffusionAutoencoder
from ..nets.ldm_unet import LatentDiffusionUNet
from ..nets.text import TextEncoder, Tower
from .diffusers import FILE, UNET_PREFIX, VAE_PREFIX
from .names import RESNET, VAE_BLOCK, to_diffusers, to_ldm, unet_table, vae_table
from .text import text_encoder, write_tokenizer

BETAS = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012)}
PREDICTIONS = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": True}),
    "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun_karras": ("HeunDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {"final_sigmas_type": "zero"}),
}
TEXT_PREFIX = "cond_stage_model.transformer."


def exportable_tower(net: object, autoencoder: object, tower: TextEncoder, null: str) -> Tower:
    """The tower to export. Raises ConfigError for nets, towers and null conditions that StableDiffusionPipeline does not
    have."""
    if not isinstance(net, LatentDiffusionUNet) or not isinstance(autoencoder, LatentDiffusionAutoencoder):
        raise ConfigError("export: only net=ldm with autoencoder=ldm; train with both of them ldm_tiny, or sd15 and sd")
    if net.pooled:
        raise ConfigError("export: net.pooled=true; StableDiffusionPipeline adds no pooled caption; train without")
    if net.masked:
        raise ConfigError("export: net.masked=true; StableDiffusionPipeline attends to the padding; train without")
    if not isinstance(tower, Tower) or not tower.final_norm:
        raise ConfigError(
            "export: StableDiffusionPipeline reads one tower, through its final norm; train with such a one"
        )
    if null != "empty":
        raise ConfigError(
            f"export: text.null={null}; StableDiffusionPipeline asks for the empty caption; train with that"
        )
    return tower


def scheduler_config(schedule: str, prediction: str, sampler: Sampler) -> dict[str, Any]:
    """The config of diffusers' scheduler that draws the same samples. Raises ConfigError if there is no such scheduler."""
    base = schedule.removesuffix("_zero")
    if base not in BETAS or prediction not in PREDICTIONS or sampler.grid != "uniform":
        raise ConfigError(
            f"export: StableDiffusionPipeline has no scheduler for objective.schedule={schedule}, "
            f"prediction={prediction}, sampler.grid={sampler.grid}; it has linear and scaled_linear, eps, v and x0"
        )
    name, more = SCHEDULERS.get(sampler.kind, SCHEDULERS["ddim"])
    low, high = BETAS[base]
    common = {
        "_class_name": name,
        "num_train_timesteps": 1000,
        "beta_start": low,
        "beta_end": high,
        "beta_schedule": base,
        "prediction_type": PREDICTIONS[prediction],
        "timestep_spacing": "trailing",
        "steps_offset": 0,
    }
    return {**common, **({"rescale_betas_zero_snr": True} if schedule != base else {}), **more}


def unet_config(net: LatentDiffusionUNet, token_width: int, side: int) -> dict[str, Any]:
    """The config of UNet2DConditionModel for this net."""
    widths = [block.resnets[-1].conv1.out_channels for block in net.down_blocks]  # type: ignore[union-attr, index]
    cross = [bool(d) for d in net.depth]
    pooled = net.add_embedding.linear_1.in_features if net.pooled else None
    return {
        "_class_name": "UNet2DConditionModel",
        "in_channels": net.conv_in.in_channels,
        "out_channels": net.conv_out.out_channels,
        "sample_size": side,
        "block_out_channels": widths,
        "layers_per_block": net.layers_per_block,
        "down_block_types": ["CrossAttnDownBlock2D" if c else "DownBlock2D" for c in cross],
        "up_block_types": ["CrossAttnUpBlock2D" if c else "UpBlock2D" for c in reversed(cross)],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if any(cross) else "UNetMidBlock2D",
        "attention_head_dim": net.heads_of(widths),  # diffusers' name for the number of heads
        "cross_attention_dim": token_width,
        "transformer_layers_per_block": [max(1, d) for d in net.depth],
        "use_linear_projection": True,
        "norm_num_groups": net.conv_norm_out.num_groups,
        "addition_embed_type": "text_time" if pooled else None,
        "addition_time_embed_dim": 256 if pooled else None,
        "projection_class_embeddings_input_dim": pooled,
    }


def autoencoder_config(net: LatentDiffusionAutoencoder, size: int) -> dict[str, Any]:
    """The config of AutoencoderKL for this net. The latent's shift and scale are in the weights (see `folded`)."""
    widths = [level.resnets[-1].conv1.out_channels for level in net.encoder.down_blocks]  # type: ignore[union-attr, index]
    return {
        "_class_name": "AutoencoderKL",
        "in_channels": 3,
        "out_channels": 3,
        "sample_size": size,
        "block_out_channels": widths,
        "layers_per_block": net.blocks,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "latent_channels": net.latent_channels,
        "norm_num_groups": net.encoder.conv_norm_out.num_groups,
        "scaling_factor": 1.0,
    }


def folded(net: LatentSpace) -> dict[str, Tensor]:
    """The autoencoder's parameters, with its shift and scale merged into quant_conv and post_quant_conv, which are affine. So
    encoding gives (raw - shift) / scale, and decoding starts with z scale + shift."""
    state = {n: t.clone() for n, t in net.state_dict().items()}
    shift, scale = state.pop("shift"), state.pop("scale")
    c = len(shift)
    state["quant_conv.weight"][:c] /= scale[:, None, None, None]
    state["quant_conv.bias"][:c] = (state["quant_conv.bias"][:c] - shift) / scale
    state["quant_conv.bias"][c:] -= 2 * scale.log()  # the same change for all log variances of a channel
    weight = state["post_quant_conv.weight"]
    state["post_quant_conv.bias"] += (weight[:, :, 0, 0] * shift).sum(1)
    state["post_quant_conv.weight"] = weight * scale[None, :, None, None]
    return state


def _component(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor], file: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    save_file({n: t.detach().cpu().contiguous() for n, t in state.items()}, folder / file, metadata={"format": "pt"})


def export_pipeline(
    out: Path, net: Any, autoencoder: Any, tower: Tower, scheduler: Mapping[str, Any], image_size: int
) -> None:
    """Write a folder that StableDiffusionPipeline.from_pretrained opens. It is complete or does not exist. Raises ConfigError,
    for example if `out` exists already."""
    if out.exists():
        raise ConfigError(f"out={out}: it is there already; give another name")
    text_config, text_state = text_encoder(tower)
    side = image_size // autoencoder.factor
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.30.0",
        "requires_safety_checker": False,
        "scheduler": ["diffusers", scheduler["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    index |= {name: [None, None] for name in ("feature_extractor", "image_encoder", "safety_checker")}
    with whole_folder(out) as partial:
        _component(partial / "unet", unet_config(net, net.token_width, side), to_diffusers(net.state_dict()), FILE)
        _component(
            partial / "vae", autoencoder_config(autoencoder, image_size), to_diffusers(folded(autoencoder)), FILE
        )
        _component(partial / "text_encoder", text_config, text_state, "model.safetensors")
        write_tokenizer(tower, partial / "tokenizer")
        (partial / "scheduler").mkdir()
        (partial / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, indent=2))
        (partial / "model_index.json").write_text(json.dumps(index, indent=2))


def export_single_file(out: Path, net: Any, autoencoder: Any, tower: Tower) -> None:
    """Write one safetensors file with LDM's parameter names, the format in which Stable Diffusion 1.x is shared. Raises
    ConfigError if it cannot be written."""
    vae = to_ldm(
        to_diffusers(folded(autoencoder)),
        vae_table(len(autoencoder.encoder.down_blocks), autoencoder.blocks),
        VAE_BLOCK,
    )
    unet = to_ldm(
        to_diffusers(net.state_dict(), convolutions=True), unet_table(net.layers_per_block, net.depth), RESNET
    )
    state = {UNET_PREFIX + n: t for n, t in unet.items()}
    state |= {VAE_PREFIX + n: t[:, :, None, None] if ".attn_1." in n and t.ndim == 2 else t for n, t in vae.items()}
    state |= {TEXT_PREFIX + n: t for n, t in text_encoder(tower)[1].items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as partial:
        save_file({n: t.detach().cpu().contiguous() for n, t in state.items()}, partial, metadata={"format": "pt"})
