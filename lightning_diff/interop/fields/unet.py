"""The fields of diffusers' UNet2DConditionModel, and the arguments of LatentDiffusionUNet that they become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...config.errors import ConfigError
from ...config.foreign.laws import carried, class_of, equal, heed, no_effect
from ...nets.ldm.shape import NO_MIDDLE

SIZES = 6  # XL adds six numbers to the time embedding (height, width, crop, target), each as SIZE_WIDTH features
SIZE_WIDTH = 256
DOWN = {"CrossAttnDownBlock2D": 1, "DownBlock2D": 0}  # the blocks of this net, and whether they attend
UP = {"CrossAttnDownBlock2D": "CrossAttnUpBlock2D", "DownBlock2D": "UpBlock2D"}
MIDDLE = "UNetMidBlock2DCrossAttn"

LAWS = {
    "sample_size": no_effect(None, "the size of the pictures is data.image_size"),
    "in_channels": carried(4, "must equal out_channels: inpainting and editing nets read more"),
    "out_channels": carried(4),
    "center_input_sample": equal(False),
    "flip_sin_to_cos": carried(True),
    "freq_shift": carried(0),
    "down_block_types": carried(["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]),
    "mid_block_type": carried(MIDDLE, "or none"),
    "up_block_types": carried(["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3, "must mirror the way down"),
    "only_cross_attention": equal(False),
    "block_out_channels": carried([320, 640, 1280, 1280]),
    "layers_per_block": carried(2, "one number"),
    "downsample_padding": equal(1),
    "mid_block_scale_factor": equal(1, why="the output of the middle blocks is not divided"),
    "dropout": equal(0.0),
    "act_fn": equal("silu", "swish"),
    "norm_num_groups": carried(32),
    "norm_eps": carried(1e-5),
    "cross_attention_dim": carried(1280),
    "transformer_layers_per_block": carried(1),
    "reverse_transformer_layers_per_block": carried(None, "must mirror the way down"),
    "encoder_hid_dim": equal(None),
    "encoder_hid_dim_type": equal(None),
    "attention_head_dim": carried(8, "diffusers' name for the number of heads"),
    "num_attention_heads": equal(None, why="diffusers refuses it too"),
    "dual_cross_attention": equal(False),
    "use_linear_projection": no_effect(False, "matrices and 1 x 1 convolutions are read alike"),
    "class_embed_type": equal(None),
    "addition_embed_type": carried(None, "text_time, as in XL, or none"),
    "addition_time_embed_dim": equal(None, SIZE_WIDTH),
    "num_class_embeds": equal(None),
    "upcast_attention": no_effect(False, "says in which precision the peer computes"),
    "resnet_time_scale_shift": equal("default"),
    "resnet_skip_time_act": equal(False),
    "resnet_out_scale_factor": equal(1.0),
    "time_embedding_type": equal("positional"),
    "time_embedding_dim": equal(None),
    "time_embedding_act_fn": equal(None),
    "timestep_post_act": equal(None),
    "time_cond_proj_dim": equal(None, why="nets distilled with a guidance input read it"),
    "conv_in_kernel": equal(3),
    "conv_out_kernel": equal(3),
    "projection_class_embeddings_input_dim": carried(None),
    "attention_type": equal("default"),
    "class_embeddings_concat": equal(False),
    "mid_block_only_cross_attention": equal(None, False),
    "cross_attention_norm": equal(None),
    "addition_embed_type_num_heads": no_effect(64, "belongs to addition_embed_type=text, which is refused"),
}  # fmt: skip


def unet_arguments(config: Mapping[str, Any], where: object = "config.json") -> dict[str, Any]:
    """LatentDiffusionUNet's arguments from a UNet2DConditionModel's config. Raises ConfigError, which names the field, if the
    UNet is not like Stable Diffusion's."""
    class_of(config, "UNet2DConditionModel", where)
    c = heed(LAWS, config, where)

    def refuse(name: str, why: str) -> ConfigError:
        return ConfigError(f"{where}: {name}={c[name]}: {why}")

    if c["in_channels"] != c["out_channels"]:
        kind = {9: "inpainting", 8: "editing"}.get(c["in_channels"], "other")
        raise refuse("in_channels", f"an {kind} net, which reads more than the {c['out_channels']} channels of x_t")
    widths, levels = c["block_out_channels"], len(c["block_out_channels"])
    if any(t not in DOWN for t in c["down_block_types"]) or len(c["down_block_types"]) != levels:
        raise refuse("down_block_types", f"only one of {' or '.join(DOWN)} for each width is computed here")
    if c["up_block_types"] != [UP[t] for t in reversed(c["down_block_types"])]:
        raise refuse("up_block_types", "not the mirror of down_block_types")
    if not isinstance(c["layers_per_block"], int):
        raise refuse("layers_per_block", "only one number for all levels is computed here")
    layers = c["transformer_layers_per_block"]
    layers = layers if isinstance(layers, list) else [layers] * levels
    if any(not isinstance(n, int) for n in layers):
        raise refuse("transformer_layers_per_block", "only one number for each level is computed here")
    back = c["reverse_transformer_layers_per_block"]
    if back not in (None, layers[::-1]):
        raise refuse("reverse_transformer_layers_per_block", "the way up is not the mirror of the way down")
    heads = c["attention_head_dim"]
    if c["mid_block_type"] not in (MIDDLE, None):
        raise refuse("mid_block_type", f"only {MIDDLE} or none is computed here")
    return {
        "channels": c["in_channels"],
        "token_width": c["cross_attention_dim"],
        "widths": widths,
        "blocks": c["layers_per_block"],
        "depth": [n * DOWN[t] for n, t in zip(layers, c["down_block_types"], strict=True)],
        "heads": heads if isinstance(heads, list) else [heads] * levels,
        "pooled_width": _pooled(c, where),
        "groups": c["norm_num_groups"],
        "eps": c["norm_eps"],
        "cosine_first": c["flip_sin_to_cos"],
        "frequency_shift": c["freq_shift"],
        "middle": layers[-1] if c["mid_block_type"] else NO_MIDDLE,
    }


def _pooled(c: Mapping[str, Any], where: object) -> int:
    """The width of the pooled caption that is added to the time embedding, as in XL; 0 for none. Raises ConfigError."""
    kind, inputs = c["addition_embed_type"], c["projection_class_embeddings_input_dim"]
    if kind is None and inputs is None:
        return 0
    if kind != "text_time" or c["addition_time_embed_dim"] != SIZE_WIDTH or inputs is None:
        raise ConfigError(f"{where}: addition_embed_type={kind}: only text_time as in XL's base net is computed here")
    if inputs - (SIZES - 1) * SIZE_WIDTH == c["cross_attention_dim"]:  # its one encoder's pooled output is as wide
        raise ConfigError(
            f"{where}: projection_class_embeddings_input_dim={inputs}: XL's refiner, which reads five numbers and an "
            "aesthetic score; only XL's base net is computed here"
        )
    if inputs <= SIZES * SIZE_WIDTH:
        raise ConfigError(
            f"{where}: projection_class_embeddings_input_dim={inputs}: too few for XL's six numbers; a refiner?"
        )
    return int(inputs) - SIZES * SIZE_WIDTH
