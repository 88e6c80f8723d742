"""What is exported is opened by the peers, and draws the same pictures."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from lightning_diff.config.errors import ConfigError
from lightning_diff.config.registry import named
from lightning_diff.diffusion.denoiser import WithoutCaption
from lightning_diff.diffusion.grids import time_grid
from lightning_diff.diffusion.guiders.cfg import CFG
from lightning_diff.diffusion.noise import start
from lightning_diff.diffusion.path import Path as DiffusionPath
from lightning_diff.diffusion.samplers.ancestral import DDIM
from lightning_diff.diffusion.samplers.runge_kutta import Euler
from lightning_diff.interop.configs import scheduler_config
from lightning_diff.interop.export import export_pipeline, export_single_file, exportable_tower
from lightning_diff.models.build import start_from
from lightning_diff.nets.ldm_autoencoder import LatentDiffusionAutoencoder
from lightning_diff.nets.ldm_unet import LatentDiffusionUNet
from lightning_diff.nets.text import Tower, Towers
from lightning_diff.nets.tokenizers.clip import Tokenizer
from tests.interop.models import shaken

CAPTIONS = ["a large green avocado, on a table", "two bananas"]
SIZE = 64


@pytest.fixture
def parts() -> tuple[LatentDiffusionUNet, LatentDiffusionAutoencoder, Tower]:
    torch.manual_seed(0)
    text = {"context_length": 16, "width": 64, "heads": 2, "layers": 2}
    vision = {"layers": 1, "width": 64, "head_width": 32, "patch_size": 16, "image_size": 64}
    words = Tokenizer.words_of(CAPTIONS)
    tower = shaken(Tower({"embedding": 32, "vision": vision, "text": text, "vocabulary": words})).requires_grad_(False)
    net = shaken(LatentDiffusionUNet(4, 64, (32, 64), 1, (1, 2), head_width=32, groups=8)).requires_grad_(False)
    autoencoder = shaken(LatentDiffusionAutoencoder((16, 32, 32), 4, 1, groups=8)).requires_grad_(False)
    autoencoder.shift.copy_(torch.tensor([0.3, -0.2, 0.1, 0.0]))
    autoencoder.scale.copy_(torch.tensor([1.3, 0.7, 2.0, 1.1]))
    return net, autoencoder, tower


def ours(parts: Any, path: DiffusionPath, sampler: str, steps: int, w: float, x: Tensor) -> Tensor:
    net, autoencoder, tower = parts
    branches = WithoutCaption(net, path, tower.condition(CAPTIONS), tower.condition([""]).expand(2), net.prepare)
    denoise = CFG().guided(branches, path, w)
    z = named("sampler", sampler)().sample(denoise, path, x, torch.arange(2), time_grid(path, steps))
    with torch.no_grad():
        return autoencoder.decode(z)


@pytest.mark.parametrize(
    "sampler, prediction, schedule, w",
    [
        ("ddim", "eps", "scaled_linear", 3.0),
        ("dpmpp_2m", "v", "scaled_linear", 5.0),
        ("unipc", "eps", "linear", 3.0),
        ("ddim", "v", "scaled_linear_zero", 1.0),
    ],
)
def test_the_pipeline_draws_the_same_pictures(
    parts: Any, tmp_path: Path, sampler: str, prediction: str, schedule: str, w: float
) -> None:
    path = DiffusionPath(schedule, prediction)
    scheduler = scheduler_config(schedule, prediction, named("sampler", sampler)())
    export_pipeline(tmp_path / "model", *parts, scheduler, SIZE)
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "model")
    pipe.set_progress_bar_config(disable=True)
    x = start(path, torch.arange(2), (4, 16, 16))
    theirs = pipe(CAPTIONS, latents=x, guidance_scale=w, num_inference_steps=10, output_type="np", height=64, width=64)
    mine = (ours(parts, path, sampler, 10, w, x) / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    pictures = torch.from_numpy(theirs.images)
    assert pictures.std() > 0.05
    assert float((mine - pictures).abs().max()) < 1e-4


def test_tokens_and_hidden_states_are_the_same(parts: Any, tmp_path: Path) -> None:
    """Of words that the tower knows, of some that it does not, and of none."""
    export_pipeline(tmp_path / "m", *parts, scheduler_config("linear", "eps", DDIM()), SIZE)
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "m")
    captions = [*CAPTIONS, "", "an unknown zebra über alles", "a" * 300]
    ids = pipe.tokenizer(captions, padding="max_length", max_length=16, truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        theirs = pipe.text_encoder(ids)[0]
    tower = parts[2]
    torch.testing.assert_close(theirs, tower.condition(captions).tokens, rtol=0, atol=2e-5)


def test_a_single_file_is_opened_again(parts: Any, tmp_path: Path) -> None:
    net, autoencoder, tower = parts
    file, scheduler = tmp_path / "model.safetensors", scheduler_config("scaled_linear", "eps", DDIM())
    export_single_file(file, net, autoencoder, tower, scheduler, SIZE)
    again = LatentDiffusionUNet(4, 64, (32, 64), 1, (1, 2), head_width=32, groups=8)
    start_from(again, file)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), net.state_dict().values(), strict=True))
    vae = LatentDiffusionAutoencoder((16, 32, 32), 4, 1, groups=8)
    start_from(vae, file)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        a, b = autoencoder.encode(x), vae.encode(x)
        torch.testing.assert_close(a.mean, b.mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(a.std, b.std, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(autoencoder.decode(a.mean), vae.decode(b.mean), rtol=0, atol=1e-4)


def test_what_cannot_be_exported_is_one_clear_line(parts: Any, tmp_path: Path) -> None:
    net, autoencoder, tower = parts
    with pytest.raises(ConfigError, match=r"objective\.schedule=flow"):
        scheduler_config("flow", "flow", Euler())
    exportable_tower(net, autoencoder, tower, "empty")
    with pytest.raises(ConfigError, match=r"only net=ldm"):
        exportable_tower(torch.nn.Linear(1, 1), autoencoder, tower, "empty")
    with pytest.raises(ConfigError, match="reads one tower"):
        exportable_tower(net, autoencoder, Towers([tower], "channels", "all"), "empty")
    with pytest.raises(ConfigError, match=r"text\.null=learned"):
        exportable_tower(net, autoencoder, tower, "learned")
    net.masked = True
    with pytest.raises(ConfigError, match=r"net\.masked"):
        exportable_tower(net, autoencoder, tower, "empty")
