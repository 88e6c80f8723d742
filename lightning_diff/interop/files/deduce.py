"""The words of a file that has none: a single-file checkpoint has no config, so its shape is read from its tensors.

What tensors cannot tell follows from the family, which the width of the caption's tokens tells: Stable Diffusion 1.x, 2.x or
XL. Every reader of such files takes these values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ...config.errors import ConfigError
from ..fields.unet import MIDDLE

# Width of the tokens -> (its family, the number of heads or None, else the width of a head).
FAMILIES = {768: ("Stable Diffusion 1.x", 8, 0), 1024: ("Stable Diffusion 2.x", 0, 64), 2048: ("XL", 0, 64)}
GROUPS = 32  # of the norms in every UNet and autoencoder of these families
SCALING = {"Stable Diffusion 1.x": 0.18215, "Stable Diffusion 2.x": 0.18215, "XL": 0.13025}
XL_SIGNS = ("conditioner.embedders.1.", "model.diffusion_model.label_emb.")


def counted(names: Iterable[str], start: str) -> int:
    """How many numbers follow `start` in these names: one more than the largest."""
    found = {n.removeprefix(start).split(".", 1)[0] for n in names if n.startswith(start)}
    return max((int(n) for n in found if n.isdigit()), default=-1) + 1


def ldm_levels(names: Iterable[str]) -> tuple[int, list[int]]:
    """(Blocks of a level, transformer layers of each level) of a UNet with LDM's names without prefix."""
    names, levels, n = set(names), [[]], 1  # type: ignore[var-annotated]
    while True:
        if f"input_blocks.{n}.0.op.weight" in names:
            levels.append([])
        elif f"input_blocks.{n}.0.in_layers.0.weight" in names:
            levels[-1].append(counted(names, f"input_blocks.{n}.1.transformer_blocks."))
        else:
            break
        n += 1
    return len(levels[0]), [level[0] if level else 0 for level in levels]


def unet_words(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The fields of UNet2DConditionModel's config that its tensors (diffusers' names) tell; attention_head_dim only if the
    family is known."""
    levels = counted(state, "down_blocks.")
    widths = [state[f"down_blocks.{i}.resnets.0.conv1.weight"].shape[0] for i in range(levels)]
    layers = [counted(state, f"down_blocks.{i}.attentions.0.transformer_blocks.") for i in range(levels)]
    pooled = state.get("add_embedding.linear_1.weight")
    tokens = next((t.shape[1] for n, t in state.items() if n.endswith("attn2.to_k.weight")), 0)
    down = ["CrossAttnDownBlock2D" if n else "DownBlock2D" for n in layers]
    middle = counted(state, "mid_block.attentions.0.transformer_blocks.")
    words: dict[str, Any] = {
        "in_channels": state["conv_in.weight"].shape[1],
        "out_channels": state["conv_out.weight"].shape[0],
        "block_out_channels": widths,
        "layers_per_block": counted(state, "down_blocks.0.resnets."),
        "down_block_types": down,
        "up_block_types": [t.replace("Down", "Up") for t in reversed(down)],
        "mid_block_type": MIDDLE if middle else None,
        "transformer_layers_per_block": [n or middle for n in layers],
        "cross_attention_dim": tokens,
        "norm_num_groups": GROUPS,
    }
    if "time_embedding.cond_proj.weight" in state:
        words["time_cond_proj_dim"] = state["time_embedding.cond_proj.weight"].shape[1]
    if pooled is not None:
        sizes = {"addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": pooled.shape[1]}
        words |= {"addition_embed_type": "text_time", **sizes}
    if tokens in FAMILIES:
        _, heads, width = FAMILIES[tokens]
        words["attention_head_dim"] = heads or [w // width for w in widths]
    return words


def family_of(names: Iterable[str], state: Mapping[str, Tensor]) -> str:
    """The family of a single-file checkpoint, from the names of its tensors; the UNet's attention tells it if it is there."""
    if any(n.startswith(XL_SIGNS) for n in names):
        return "XL"
    width = next((t.shape[1] for n, t in state.items() if n.endswith("attn2.to_k.weight")), 768)
    return FAMILIES.get(width, FAMILIES[768])[0]


def autoencoder_words(state: Mapping[str, Tensor], scaling_factor: float) -> dict[str, Any]:
    """The fields of AutoencoderKL's config that its tensors (diffusers' names) tell, with the factor that was found."""
    levels = counted(state, "encoder.down_blocks.")
    if not levels:
        raise ConfigError("an autoencoder without its encoder; give the whole file")
    widths = [state[f"encoder.down_blocks.{i}.resnets.0.conv1.weight"].shape[0] for i in range(levels)]
    return {
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": counted(state, "encoder.down_blocks.0.resnets."),
        "latent_channels": state["decoder.conv_in.weight"].shape[1],
        "norm_num_groups": GROUPS,
        "scaling_factor": scaling_factor,
        "use_quant_conv": "quant_conv.weight" in state,
        "use_post_quant_conv": "post_quant_conv.weight" in state,
    }
