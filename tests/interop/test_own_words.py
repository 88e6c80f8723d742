"""A model's own words decide: every field of the installed peers' configs has a law, and no value is ignored."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.foreign.laws import EQUAL, Laws, heed, plain
from lightning_diff.config.foreign.scheduler import CLASSES, scheduler_words
from lightning_diff.interop.diffusers import load_autoencoder, load_unet
from lightning_diff.interop.fields import text, unet, vae
from lightning_diff.models.build import Start, heeded, start_from
from lightning_diff.nets.ldm_autoencoder import LatentDiffusionAutoencoder
from lightning_diff.nets.ldm_unet import LatentDiffusionUNet
from lightning_diff.nets.unet import Condition
from tests.interop.models import shaken

CROSS, PLAIN, UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D"


def fields_of(cls: Any) -> dict[str, Any]:
    """The fields of a config of diffusers with their defaults."""
    signature = inspect.signature(inspect.unwrap(cls.__init__)).parameters.values()
    return {p.name: p.default for p in signature if p.name != "self" and p.default is not p.empty}


def wrapped(cls: Any) -> bool:
    """Whether a decorator of diffusers hides the fields of this class (it needs scipy)."""
    return "kwargs" in inspect.signature(inspect.unwrap(cls.__init__)).parameters


@pytest.mark.parametrize(
    ("cls", "laws"),
    [
        (UNet2DConditionModel, unet.LAWS),
        (AutoencoderKL, vae.LAWS),
        *((getattr(diffusers, name), laws) for name, laws in CLASSES.items() if not wrapped(getattr(diffusers, name))),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_field_of_diffusers_has_a_law_with_its_default(cls: Any, laws: Laws) -> None:
    found = fields_of(cls)
    assert set(found) - set(laws) == set(), "a new field: say in the table what becomes of it"
    assert {n: plain(d) for n, d in found.items()} == {n: plain(laws[n].default) for n in found}


def test_every_field_of_a_clip_text_encoder_has_a_law() -> None:
    assert set(CLIPTextConfig().to_dict()) - set(text.LAWS) == {"_name_or_path"}


@pytest.mark.parametrize("laws", [unet.LAWS, vae.LAWS, text.LAWS, *CLASSES.values()])
def test_another_value_of_a_fixed_field_is_refused_by_name(laws: Laws) -> None:
    for name, law in laws.items():
        if law.fate == EQUAL:
            with pytest.raises(ConfigError, match=rf"c\.json: {name}=.*only .* is computed here"):
                heed(laws, {name: "something else"}, "c.json")
    with pytest.raises(ConfigError, match="a_new_field=3: no field that this project knows"):
        heed(laws, {"a_new_field": 3}, "c.json")
    assert heed(laws, {"_name_or_path": "x"}, "c.json") == {n: plain(law.default) for n, law in laws.items()}


def peer_unet(**more: Any) -> Any:
    torch.manual_seed(0)
    usual: dict[str, Any] = {"block_out_channels": (32, 64), "down_block_types": (CROSS, PLAIN), "layers_per_block": 1}
    usual |= {"up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "cross_attention_dim": 24, "attention_head_dim": 4}
    return shaken(UNet2DConditionModel(sample_size=8, **{**usual, **more}), 0.05)


CARRIED_UNET: dict[str, dict[str, Any]] = {
    "heads of each level": {"attention_head_dim": (2, 4)},
    "irregular heads": {"attention_head_dim": (8, 2), "down_block_types": (CROSS,) * 2, "up_block_types": (UP,) * 2},
    "flip_sin_to_cos": {"flip_sin_to_cos": False},
    "freq_shift": {"freq_shift": 1},
    "norm_eps": {"norm_eps": 1e-3},
    "norm_num_groups": {"norm_num_groups": 16},
    "mid_block_type": {"mid_block_type": None},
    "layers of the middle": {"transformer_layers_per_block": (1, 2)},
    "upcast_attention": {"upcast_attention": True},
    "linear": {"use_linear_projection": True},
}  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("name", CARRIED_UNET)
def test_what_is_carried_computes_the_same(name: str, tmp_path: Path) -> None:
    """load_unet takes the shape from the folder. A run's own net takes what no key says, and refuses what a key says."""
    peer = peer_unet(**CARRIED_UNET[name])
    peer.save_pretrained(tmp_path / "unet")
    x, tokens = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 24)
    theirs = peer(x, torch.tensor([999, 17]), tokens).sample
    condition = Condition(tokens, torch.ones(2, 5, dtype=torch.bool), torch.zeros(2, 1))
    ours = load_unet(tmp_path).eval()
    torch.testing.assert_close(ours(x, torch.tensor([1.0, 0.018]), condition), theirs, rtol=1e-4, atol=1e-4)
    usual = {"channels": 4, "token_width": 24, "widths": [32, 64], "blocks": 1, "depth": [1, 0], "heads": 4}
    described = heeded({"kind": "ldm", **usual}, Start(tmp_path))
    net = LatentDiffusionUNet(**{k: v for k, v in described.items() if k != "kind"})
    if name in ("heads of each level", "irregular heads", "norm_num_groups"):
        word = {"irregular heads": "which no key says", "norm_num_groups": r"net\.groups=16"}.get(name, r"net\.heads=2")
        with pytest.raises(ConfigError, match=word):
            start_from(net, tmp_path)
    else:
        start_from(net, tmp_path)
        assert all(torch.equal(a, ours.state_dict()[n]) for n, a in net.state_dict().items())


VAES: dict[str, dict[str, Any]] = {
    "scaling_factor": {"scaling_factor": 0.13025},
    "shift_factor": {"shift_factor": 0.1159},
    "latents_mean": {"latents_mean": [0.5, -0.3, 0.2, 0.1], "latents_std": [2.0, 3.0, 4.0, 5.0]},
    "use_quant_conv": {"use_quant_conv": False, "use_post_quant_conv": False},
    "latent_channels": {"latent_channels": 16},
    "norm_num_groups": {"norm_num_groups": 8},
}


@torch.no_grad()
@pytest.mark.parametrize("name", VAES)
def test_an_autoencoders_words_are_carried(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    peer = shaken(
        AutoencoderKL(
            block_out_channels=(16, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            **{"norm_num_groups": 16, **VAES[name]},
        ),
        0.05,
    )
    peer.save_pretrained(tmp_path / "vae")
    ours, c = load_autoencoder(tmp_path).eval(), peer.config
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    z = peer.encode(x).latent_dist.mean
    if c.latents_mean is not None:
        mean, std = (torch.tensor(a).view(1, -1, 1, 1) for a in (c.latents_mean, c.latents_std))
        wanted = (z - mean) * c.scaling_factor / std
    else:
        wanted = (z - (c.shift_factor or 0)) * c.scaling_factor
    torch.testing.assert_close(ours.encode(x).mean, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.decode(wanted), peer.decode(z).sample, rtol=1e-4, atol=1e-4)
    if name in ("norm_num_groups", "latent_channels"):
        with pytest.raises(ConfigError, match=rf"autoencoder\.{name.removeprefix('norm_num_')}="):
            start_from(LatentDiffusionAutoencoder((16, 32), 4, 1, 16), tmp_path)


SCALED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def model(folder: Path, **more: Any) -> Path:
    """A model's folder as far as a config reads it."""
    for part in ("unet", "scheduler"):
        (folder / part).mkdir(parents=True)
    (folder / "unet" / "config.json").write_text("{}")
    said = {"_class_name": "PNDMScheduler", "skip_prk_steps": True, **SCALED, **more}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(said))
    return folder


def test_the_scheduler_sets_what_the_command_does_not_name(tmp_path: Path) -> None:
    start = f"init_from={model(tmp_path / 'm', prediction_type='v_prediction', steps_offset=1)}"
    words = ["net=ldm_tiny", "autoencoder=ldm_tiny", start]
    c = compose_config([*words, "sampler=ddim"])
    assert (c.objective.prediction, c.objective.schedule, c.objective.times) == ("v", "scaled_linear", "uniform")
    assert c.sampler.grid == "leading_1" and c.sampler.kind == "ddim"
    assert compose_config([*words, "sampler=ddim", "sampler.grid=karras"]).sampler.grid == "karras"
    for word in ("objective=stable_diffusion", "objective.prediction=eps"):
        with pytest.raises(ConfigError, match=r"scheduler_config\.json says objective\.prediction=v"):
            compose_config([*words, word])
    c = compose_config([*words, "objective=flow", "init_scheduler=changed"])
    assert (c.objective.prediction, c.sampler.grid) == ("flow", "uniform")


def test_zero_terminal_snr_and_spacing_are_read(tmp_path: Path) -> None:
    folder = model(
        tmp_path / "m", _class_name="DDIMScheduler", rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    said = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    del said["skip_prk_steps"]
    assert scheduler_words(said, "x").keys == {
        "objective.prediction": "eps",
        "objective.schedule": "scaled_linear_zero",
        "sampler.grid": "uniform",
    }
    for wrong, word in (
        ({"beta_end": 0.02}, "beta_schedule=scaled_linear from 0.00085 to 0.02"),
        ({"prediction_type": "flow"}, "prediction_type=flow"),
        ({"num_train_timesteps": 500}, "num_train_timesteps=500"),
        ({"_class_name": "LCMScheduler"}, "LCMScheduler: its noise schedule is not computed"),
        ({"timestep_spacing": "leading", "steps_offset": 7}, "steps_offset=7"),
    ):
        with pytest.raises(ConfigError, match=word):
            scheduler_words({**said, **wrong}, "x")


def test_labels_never_collide() -> None:
    with pytest.raises(ConfigError, match="a scale is named twice, w = 1"):
        compose_config(["guidance.scales=[1,1.0000001,2]"])
