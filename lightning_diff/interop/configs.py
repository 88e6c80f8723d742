"""The configs of diffusers' and LDM's classes for a run's nets: the words that we write about a model of ours."""

from __future__ import annotations

from typing import Any

from ..config.errors import ConfigError
from ..config.foreign.scheduler import BETAS, CLASSES, PREDICTIONS, SPACINGS
from ..diffusion.samplers.base import Sampler
from ..nets.ldm.shape import NO_MIDDLE
from ..nets.ldm_autoencoder import LatentDiffusionAutoencoder
from ..nets.ldm_unet import LatentDiffusionUNet
from .diffusers import described
from .fields.unet import MIDDLE

FACTOR = 0.18215  # Stable Diffusion's scaling factor, which every reader of a single file assumes
PEERS = {ours: theirs for theirs, ours in PREDICTIONS.items()}
GRIDS = {grid: spacing for spacing, grid in SPACINGS.items()}
SIGMAS = {"karras": "use_karras_sigmas", "exponential": "use_exponential_sigmas"}
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


def scheduler_config(schedule: str, prediction: str, sampler: Sampler) -> dict[str, Any]:
    """The config of diffusers' scheduler that draws the same samples. Raises ConfigError if there is no such scheduler, or if it
    has no place for one of these settings."""
    base = schedule.removesuffix("_zero")
    if base not in BETAS or prediction not in PEERS or sampler.grid not in (*GRIDS, *SIGMAS):
        raise ConfigError(
            f"export: StableDiffusionPipeline has no scheduler for objective.schedule={schedule}, "
            f"prediction={prediction}, sampler.grid={sampler.grid}; it has linear and scaled_linear, eps, v and x0"
        )
    name, more = SCHEDULERS.get(sampler.kind, SCHEDULERS["ddim"])
    low, high = BETAS[base]
    spacing, offset = GRIDS.get(sampler.grid, ("trailing", 0))
    config = {
        "num_train_timesteps": 1000,
        "beta_start": low,
        "beta_end": high,
        "beta_schedule": base,
        "prediction_type": PEERS[prediction],
        "timestep_spacing": spacing,
        "steps_offset": offset,
        **({"rescale_betas_zero_snr": True} if schedule != base else {}),
        **({SIGMAS[sampler.grid]: True} if sampler.grid in SIGMAS else {}),
        **more,
    }
    if lost := [key for key in config if key not in CLASSES[name]]:
        raise ConfigError(f"export: {name}, which is sampler={sampler.kind} there, has no {lost[0]}; say sampler=ddim")
    return {"_class_name": name, **config}


def unet_config(net: LatentDiffusionUNet, side: int, linear: bool = True) -> dict[str, Any]:
    """The config of UNet2DConditionModel for this net. `linear`: proj_in and proj_out are written as matrices."""
    s = net.shape
    cross = [bool(d) for d in s.depth]
    pooled = net.add_embedding.linear_1.in_features if net.pooled else None
    heads = [h or s.middle_heads or 1 for h in s.heads]
    if (s.middle > 0 and s.middle_heads != heads[-1]) or s.middle not in (NO_MIDDLE, s.depth[-1] or s.middle):
        raise ConfigError("export: diffusers has no word for a middle block unlike the last resolution")
    return {
        "_class_name": "UNet2DConditionModel",
        "in_channels": s.channels,
        "out_channels": s.channels,
        "sample_size": side,
        "block_out_channels": list(s.widths),
        "layers_per_block": s.blocks,
        "down_block_types": ["CrossAttnDownBlock2D" if c else "DownBlock2D" for c in cross],
        "up_block_types": ["CrossAttnUpBlock2D" if c else "UpBlock2D" for c in reversed(cross)],
        "mid_block_type": None if s.middle == NO_MIDDLE else MIDDLE,
        "attention_head_dim": heads,  # diffusers' name for the number of heads
        "cross_attention_dim": s.token_width,
        "transformer_layers_per_block": [d or max(1, s.middle) for d in s.depth],
        "use_linear_projection": linear,
        "norm_num_groups": s.groups,
        "norm_eps": s.eps,
        "flip_sin_to_cos": s.cosine_first,
        "freq_shift": int(s.frequency_shift) if s.frequency_shift == int(s.frequency_shift) else s.frequency_shift,
        "addition_embed_type": "text_time" if pooled else None,
        "addition_time_embed_dim": 256 if pooled else None,
        "projection_class_embeddings_input_dim": pooled,
    }


def autoencoder_config(net: LatentDiffusionAutoencoder, size: int) -> dict[str, Any]:
    """The config of AutoencoderKL for this net. The latent's shift and scale are in the weights (see `folded`), up to FACTOR."""
    found = described(net)
    levels = len(found["widths"])
    return {
        "_class_name": "AutoencoderKL",
        "in_channels": 3,
        "out_channels": 3,
        "sample_size": size,
        "block_out_channels": found["widths"],
        "layers_per_block": found["blocks"],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "latent_channels": found["latent_channels"],
        "norm_num_groups": found["groups"],
        "scaling_factor": FACTOR,
    }


def original_config(
    net: LatentDiffusionUNet, autoencoder: LatentDiffusionAutoencoder, length: int, size: int, prediction: str
) -> dict[str, Any]:
    """The config of latent diffusion's own code for a single file, as v1-inference.yaml: readers take the shape and the
    parameterisation from it. `length` is the number of tokens."""
    s, vae = net.shape, described(autoencoder)
    w, factors = s.widths[0], [2**i for i, d in enumerate(s.depth) if d]
    unet = {
        "image_size": size // autoencoder.factor,
        "in_channels": s.channels,
        "out_channels": s.channels,
        "model_channels": w,
        "attention_resolutions": factors,
        "num_res_blocks": s.blocks,
        "channel_mult": [x // w for x in s.widths],
        **(
            {"num_heads": s.middle_heads}
            if len({h for h in s.heads if h}) == 1
            else {"num_head_channels": w // s.heads[0]}
        ),
        "use_spatial_transformer": True,
        "transformer_depth": max(s.depth),
        "context_dim": s.token_width,
        "legacy": False,
    }
    first = vae["widths"][0]
    ddconfig = {
        "double_z": True,
        "z_channels": vae["latent_channels"],
        "resolution": size,
        "in_channels": 3,
        "out_ch": 3,
        "ch": first,
        "ch_mult": [x // first for x in vae["widths"]],
        "num_res_blocks": vae["blocks"],
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    module = "ldm.modules.diffusionmodules.openaimodel.UNetModel"
    stage = {"embed_dim": vae["latent_channels"], "ddconfig": ddconfig, "lossconfig": {"target": "torch.nn.Identity"}}
    return {
        "model": {
            "target": "ldm.models.diffusion.ddpm.LatentDiffusion",
            "params": {
                "parameterization": {"eps": "eps", "v": "v"}[prediction],
                "linear_start": BETAS["scaled_linear"][0],
                "linear_end": BETAS["scaled_linear"][1],
                "timesteps": 1000,
                "scale_factor": FACTOR,
                "conditioning_key": "crossattn",
                "cond_stage_key": "txt",
                "first_stage_key": "jpg",
                "unet_config": {"target": module, "params": unet},
                "first_stage_config": {"target": "ldm.models.autoencoder.AutoencoderKL", "params": stage},
                "cond_stage_config": {
                    "target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder",
                    "params": {"max_length": length},
                },
            },
        }
    }
