"""The fields of diffusers' AutoencoderKL, and the arguments of LatentDiffusionAutoencoder that they become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...config.errors import ConfigError
from ...config.foreign.laws import carried, class_of, equal, heed, no_effect

LAWS = {
    "in_channels": equal(3),
    "out_channels": equal(3),
    "down_block_types": carried(["DownEncoderBlock2D"], "that block on each level"),
    "up_block_types": carried(["UpDecoderBlock2D"], "that block on each level"),
    "block_out_channels": carried([64]),
    "layers_per_block": carried(1),
    "act_fn": equal("silu", "swish"),
    "latent_channels": carried(4),
    "norm_num_groups": carried(32),
    "sample_size": no_effect(32, "the size of the pictures is data.image_size"),
    "scaling_factor": carried(0.18215, "the latent's scale"),
    "shift_factor": carried(None, "the latent's shift"),
    "latents_mean": carried(None, "the latent's shift"),
    "latents_std": carried(None, "the latent's scale"),
    "force_upcast": no_effect(True, "says in which precision the peer computes"),
    "use_quant_conv": carried(True, "without it, that convolution is the identity"),
    "use_post_quant_conv": carried(True, "without it, that convolution is the identity"),
    "mid_block_add_attention": equal(True),
}


def autoencoder_arguments(config: Mapping[str, Any], where: object = "config.json") -> dict[str, Any]:
    """LatentDiffusionAutoencoder's arguments from an AutoencoderKL's config. Raises ConfigError, which names the field."""
    class_of(config, "AutoencoderKL", where)
    c = heed(LAWS, config, where)
    levels = len(c["block_out_channels"])
    for name, block in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
        if c[name] != [block] * levels:
            raise ConfigError(f"{where}: {name}={c[name]}: only {block} on each of {levels} levels is computed here")
    return {
        "widths": c["block_out_channels"],
        "latent_channels": c["latent_channels"],
        "blocks": c["layers_per_block"],
        "groups": c["norm_num_groups"],
    }


def latent_normalisation(config: Mapping[str, Any], where: object = "config.json") -> tuple[list[float], list[float]]:
    """(shift, scale) of each latent channel: our latents are (raw - shift) / scale. diffusers' are (raw - shift) * factor, or
    (raw - mean) * factor / std where the config has a mean and a std. Raises ConfigError."""
    c = heed(LAWS, config, where)
    n, factor = c["latent_channels"], float(c["scaling_factor"])
    mean, std = c["latents_mean"], c["latents_std"]
    if (mean is None) != (std is None):
        raise ConfigError(f"{where}: latents_mean without latents_std, or the other way round; give both")
    if mean is None:
        return [float(c["shift_factor"] or 0.0)] * n, [1 / factor] * n
    if len(mean) != n or len(std) != n or c["shift_factor"]:
        raise ConfigError(
            f"{where}: latents_mean and latents_std need {n} values each, and no shift_factor beside them"
        )
    return [float(m) for m in mean], [float(s) / factor for s in std]
