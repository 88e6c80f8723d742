"""Export of a run to other projects: as a folder for diffusers' StableDiffusionPipeline, or as a single-file checkpoint.

Both need the architecture of latent diffusion (net=ldm, autoencoder=ldm), without a mask over the caption's padding, because
that pipeline has no such mask. diffusers is not imported: this file writes the same files as diffusers does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from ..config.errors import ConfigError
from ..config.foreign.own_words import OURS
from ..files import whole_file, whole_folder, write_text
from ..nets.autoencoder import LatentSpace
from ..nets.ldm_autoencoder import LatentDiffusionAutoencoder
from ..nets.ldm_unet import LatentDiffusionUNet
from ..nets.text import TextEncoder, Tower
from .configs import FACTOR, autoencoder_config, original_config, unet_config
from .diffusers import FILE, UNET_PREFIX, VAE_PREFIX
from .names import RESNET, VAE_BLOCK, to_diffusers, to_ldm, unet_table, vae_table
from .text import text_encoder, tokenizer_words, write_tokenizer

TEXT_PREFIX = "cond_stage_model.transformer."
OF_OTHERS = {1024: "Stable Diffusion 2.x", 2048: "XL"}  # widths of tokens whose single files have other names


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
    if not any(net.shape.depth):
        raise ConfigError("export: net.depth has no attention; StableDiffusionPipeline's nets attend to the caption")
    if not hasattr(tower.model, "transformer"):
        raise ConfigError("export: the text encoder is no plain CLIP model; transformers has no class for it")
    if null != "empty":
        raise ConfigError(
            f"export: text.null={null}; StableDiffusionPipeline asks for the empty caption; train with that"
        )
    return tower


def folded(net: LatentSpace) -> dict[str, Tensor]:
    """The autoencoder's parameters, with its shift and scale merged into quant_conv and post_quant_conv, which are affine. So
    encoding gives (raw - shift) / scale / FACTOR, which the peers multiply by their scaling factor, and decoding reverses it."""
    state = {n: t.clone() for n, t in net.state_dict().items()}
    shift, scale = state.pop("shift"), state.pop("scale") * FACTOR
    c = len(shift)
    state["quant_conv.weight"][:c] /= scale[:, None, None, None]
    state["quant_conv.bias"][:c] = (state["quant_conv.bias"][:c] - shift) / scale
    state["quant_conv.bias"][c:] -= 2 * scale.log()  # the same change for all log variances of a channel
    weight = state["post_quant_conv.weight"]
    state["post_quant_conv.bias"] += (weight[:, :, 0, 0] * shift).sum(1)
    state["post_quant_conv.weight"] = weight * scale[None, :, None, None]
    return state


def _component(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor] | None, file: str = FILE) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    if state is not None:
        save_file({n: t.detach().cpu().contiguous() for n, t in state.items()}, folder / file, {"format": "pt"})


def export_pipeline(
    out: Path,
    net: Any,
    autoencoder: Any,
    tower: Tower,
    scheduler: Mapping[str, Any],
    image_size: int,
    linear: bool = True,
    weights: bool = True,
) -> None:
    """Write a folder that StableDiffusionPipeline.from_pretrained opens. It is complete or does not exist. Without
    `weights` it has only the configs, as readers of a single file want them. Raises ConfigError, for example if `out` exists."""
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
        unet = to_diffusers(net.state_dict(), convolutions=not linear) if weights else None
        vae = to_diffusers(folded(autoencoder)) if weights else None
        _component(partial / "unet", unet_config(net, side, linear), unet)
        _component(partial / "vae", autoencoder_config(autoencoder, image_size), vae)
        _component(partial / "text_encoder", text_config, text_state if weights else None, "model.safetensors")
        write_tokenizer(tower, partial / "tokenizer")
        (partial / "scheduler").mkdir()
        (partial / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, indent=2))
        (partial / "model_index.json").write_text(json.dumps(index, indent=2))


def single_file_configs(
    net: Any, autoencoder: Any, tower: Tower, scheduler: Mapping[str, Any], size: int
) -> dict[str, Any]:
    """The configs of a single file's parts. Raises ConfigError if readers of such files would take it for something else."""
    if family := OF_OTHERS.get(net.shape.token_width):
        raise ConfigError(
            f"export: {family}'s single files have other names for the text encoder; say format=diffusers"
        )
    if scheduler["beta_schedule"] != "scaled_linear" or scheduler["prediction_type"] == "sample":
        raise ConfigError(
            "export: readers of single files take scaled_linear and eps or v for granted; train so, or say format=diffusers"
        )
    side = size // autoencoder.factor
    return {
        "unet": unet_config(net, side, linear=False),
        "vae": autoencoder_config(autoencoder, size),
        "text_encoder": text_encoder(tower)[0],
        "tokenizer": tokenizer_words(tower),
        "scheduler": dict(scheduler),
    }


def export_single_file(
    out: Path, net: Any, autoencoder: Any, tower: Tower, scheduler: Mapping[str, Any], image_size: int
) -> None:
    """Write one safetensors file with LDM's parameter names, the format in which Stable Diffusion 1.x is shared, and beside it
    the YAML of latent diffusion's own code. The configs of all parts are in the file's metadata; v-prediction and zero terminal
    SNR are also marked as other projects mark them. Raises ConfigError if it cannot be written."""
    configs = single_file_configs(net, autoencoder, tower, scheduler, image_size)
    shape, v = net.shape, scheduler["prediction_type"] == "v_prediction"
    vae = to_ldm(
        to_diffusers(folded(autoencoder)),
        vae_table(len(autoencoder.encoder.down_blocks), autoencoder.blocks),
        VAE_BLOCK,
    )
    unet = to_ldm(
        to_diffusers(net.state_dict(), convolutions=True), unet_table(shape.blocks, list(shape.depth)), RESNET
    )
    state = {UNET_PREFIX + n: t for n, t in unet.items()}
    state |= {VAE_PREFIX + n: t[:, :, None, None] if ".attn_1." in n and t.ndim == 2 else t for n, t in vae.items()}
    state |= {TEXT_PREFIX + n: t for n, t in text_encoder(tower)[1].items()}
    marks = {"v_pred": v, "ztsnr": bool(scheduler.get("rescale_betas_zero_snr"))}
    state |= {name: torch.zeros(0) for name, on in marks.items() if on}
    metadata = {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.prediction_type": "v" if v else "epsilon",
        OURS: json.dumps(configs),
    }
    beside = original_config(net, autoencoder, tower.tokenizer.context_length, image_size, "v" if v else "eps")
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as partial:
        save_file({n: t.detach().cpu().contiguous() for n, t in state.items()}, partial, metadata=metadata)
    write_text(out.with_suffix(".yaml"), yaml.safe_dump(beside, sort_keys=False))


def kohya(adapters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The adapters of `lora.safetensors` under the names of kohya's scripts, with alpha equal to the rank."""
    out: dict[str, Tensor] = {}
    for name, tensor in adapters.items():
        module, kind = name.removeprefix("unet.").rsplit(".", 2)[:2]
        place = f"lora_unet_{module.replace('.', '_')}"
        out[f"{place}.{'lora_down' if kind == 'lora_A' else 'lora_up'}.weight"] = tensor
        if kind == "lora_A":
            out[f"{place}.alpha"] = torch.tensor(float(len(tensor)))
    return out
