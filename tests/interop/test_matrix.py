"""Other people's models in every layout: read, drawn, exported, and read again by the peer. The pictures are the peer's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lightning_diff.cli.exporting.verify import differences
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.foreign.own_words import said_by
from lightning_diff.diffusion.guiders.cfg import CFG
from lightning_diff.diffusion.noise import start
from lightning_diff.diffusion.path import Path as DiffusionPath
from lightning_diff.diffusion.samplers.ancestral import DDIM
from lightning_diff.interop.configs import scheduler_config
from lightning_diff.interop.diffusers import load_autoencoder, load_unet
from lightning_diff.interop.export import export_pipeline, export_single_file, exportable_tower
from lightning_diff.interop.fields.unet import unet_arguments
from lightning_diff.interop.fields.vae import autoencoder_arguments
from lightning_diff.models.build import Start, null_condition, start_from
from lightning_diff.models.latent_diffusion import LatentDiffusion
from lightning_diff.models.text_encoders.folder import FolderTextEncoder
from lightning_diff.nets.ldm_autoencoder import LatentDiffusionAutoencoder
from lightning_diff.nets.ldm_unet import LatentDiffusionUNet
from tests.interop.models import KINDS, as_ldm, pipeline, unet, vae

PROMPTS, SIZE, STEPS, SCALE = ["a red mug", "a leaf, \u201cat night\u201d"], 32, 5, 4.0
LAYOUTS = ("folder", "sharded", "fp16", "single", "parts")


def laid_out(pipe: Any, layout: str, folder: Path) -> tuple[Path, Path]:
    """(The UNet's path, the autoencoder's path) of the model in that layout; its text encoders are always in `folder`."""
    if layout == "sharded":
        pipe.save_pretrained(folder, max_shard_size="200KB")
        assert list((folder / "unet").glob("*.index.json"))
    elif layout == "fp16":
        pipe.save_pretrained(folder, variant="fp16")
        assert not (folder / "unet" / "diffusion_pytorch_model.safetensors").exists()
    else:
        pipe.save_pretrained(folder)
    if layout == "single":
        file = folder.with_suffix(".safetensors")
        save_file(as_ldm(pipe), file)
        return file, file
    if layout == "parts":
        file = "diffusion_pytorch_model.safetensors"
        return folder / "unet" / file, folder / "vae" / file
    return folder, folder


def opened(pipe: Any, kind: str, layout: str, folder: Path) -> LatentDiffusion:
    """The model, read in that layout."""
    unet_path, vae_path = laid_out(pipe, layout, folder)
    said = said_by(unet_path if layout != "parts" else folder) or said_by(folder)
    assert said is not None
    keys = said.keys
    net = LatentDiffusionUNet(**{**unet_arguments(dict(pipe.unet.config)), "pixels_per_latent": 2})
    autoencoder = LatentDiffusionAutoencoder(**autoencoder_arguments(dict(pipe.vae.config)))
    start_from(net, Start(unet_path))
    start_from(autoencoder, Start(vae_path))
    end: dict[str, Any] = {"layer": 2, "final_norm": False} if kind == "xl" else {}
    more = [FolderTextEncoder(weights=str(folder / "text_encoder_2"), **end)] if kind == "xl" else []
    text = FolderTextEncoder(weights=str(folder), more=more, pooled="last" if more else "all", **end)
    tower = text.encoder(folder)
    null = null_condition("zeros" if kind == "xl" else "empty", tower)
    path = DiffusionPath(keys["objective.schedule"], keys["objective.prediction"])
    sampler = DDIM(steps=STEPS, grid=keys["sampler.grid"], precision="float32")
    parts = (autoencoder.eval().requires_grad_(False), tower.eval(), net.eval().requires_grad_(False))
    return LatentDiffusion(*parts, path, null, sampler, CFG(), SIZE)


def theirs(pipe: Any, model: LatentDiffusion) -> Tensor:
    x = start(model.path, torch.arange(2), model.latent_shape())
    size = {"height": SIZE, "width": SIZE}
    made = pipe(PROMPTS, latents=x, guidance_scale=SCALE, num_inference_steps=STEPS, output_type="np", **size).images
    return (torch.from_numpy(made).permute(0, 3, 1, 2) * 255).round()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_in_every_layout_draws_the_peers_pictures(kind: str, tmp_path: Path) -> None:
    pipe, pictures = pipeline(kind, tmp_path / "scratch"), None
    for layout in LAYOUTS:
        model = opened(pipe, kind, layout, tmp_path / layout)
        pictures = theirs(pipe, model) if pictures is None else pictures
        assert pictures.std() > 5
        mine = model.generate(PROMPTS, [0, 1], SCALE).float()
        assert float((mine - pictures).abs().max()) <= 1, layout
    schedule, prediction = model.path.schedule, model.path.prediction
    if kind == "xl":
        with pytest.raises(ConfigError, match=r"net\.pooled=true"):
            exportable_tower(model.net, model.autoencoder, model.text_encoder, "empty")
        return
    tower = exportable_tower(model.net, model.autoencoder, model.text_encoder, "empty")
    scheduler = scheduler_config(schedule, prediction, model.sampler)
    parts = (model.net, model.autoencoder, tower, scheduler, SIZE)
    export_pipeline(tmp_path / "out", *parts)
    export_single_file(tmp_path / "out.safetensors", *parts)
    forms = {"diffusers": tmp_path / "out", "single_file": tmp_path / "out.safetensors"}
    for form, out in forms.items():
        assert float(differences(model, tower, scheduler, out, form).max()) <= 1, form
        said = said_by(out)
        assert said is not None and said.keys["objective.prediction"] == prediction
        assert said.keys["objective.schedule"] == schedule
        again = (load_unet(out), load_autoencoder(out), FolderTextEncoder(weights=str(out)).encoder(out))
        for mine, found in zip((model.net, model.autoencoder), again, strict=False):
            assert found.state_dict().keys() == mine.state_dict().keys()
        made = (again[1].eval(), again[2].eval(), again[0].eval())
        redrawn = LatentDiffusion(*made, model.path, model.null, model.sampler, CFG(), SIZE)
        mine, new = (m.generate(PROMPTS, [0, 1], SCALE).float() for m in (model, redrawn))
        assert float((mine - new).abs().max()) <= 1, form


def test_nets_that_read_more_are_one_true_line(tmp_path: Path) -> None:
    unet(in_channels=9, attention_head_dim=8).save_pretrained(tmp_path / "inpainting" / "unet")
    with pytest.raises(ConfigError, match="in_channels=9: an inpainting net"):
        load_unet(tmp_path / "inpainting")
    xl = KINDS["xl"]["unet"]
    unet(**{**xl, "projection_class_embeddings_input_dim": 5 * 256 + 80}).save_pretrained(tmp_path / "refiner" / "unet")
    with pytest.raises(ConfigError, match="XL's refiner"):
        load_unet(tmp_path / "refiner")
    torch.manual_seed(0)
    net = vae()
    save_file({n: t.contiguous() for n, t in net.state_dict().items()}, tmp_path / "vae.safetensors")
    with pytest.raises(ConfigError, match=r"say autoencoder\.scaling_factor=0\.18215 .* or 0\.13025"):
        load_autoencoder(tmp_path / "vae.safetensors")
    ours = LatentDiffusionAutoencoder((16, 32), 4, 1, 8)
    start_from(ours, Start(tmp_path / "vae.safetensors", scaling_factor=0.13025))
    assert float(ours.scale[0]) == pytest.approx(1 / 0.13025)
