"""Opening of an export with diffusers, and the largest difference between its pictures and this project's."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...diffusion.guiders.cfg import CFG
from ...diffusion.noise import start
from ...diffusion.samplers.ancestral import DDIM
from ...interop.export import export_pipeline
from ...models.latent_diffusion import LatentDiffusion
from ...nets.text import Tower

PROMPTS = ["a photograph of an apple", "a house by the sea"]
STEPS, SCALE = 10, 3.0
ROUNDING = 8  # of 255


def opened(model: LatentDiffusion, tower: Tower, scheduler: Mapping[str, Any], out: Path, form: str) -> Any:
    """diffusers' pipeline of what was written. Readers of a single file need its configs as a folder, which is made here."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    if form == "diffusers":
        pipe: Any = StableDiffusionPipeline.from_pretrained(out, safety_checker=None, local_files_only=True)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            configs = Path(scratch) / "configs"
            export_pipeline(
                configs, model.net, model.autoencoder, tower, scheduler, model.image_size, linear=False, weights=False
            )
            pipe = StableDiffusionPipeline.from_single_file(str(out), config=str(configs), local_files_only=True)
    same = {"clip_sample": False, "set_alpha_to_one": True, "thresholding": False}
    pipe.scheduler = DDIMScheduler.from_config({**pipe.scheduler.config, **same})
    pipe.set_progress_bar_config(disable=True)
    return pipe


def differences(
    model: LatentDiffusion, tower: Tower, scheduler: Mapping[str, Any], out: Path, form: str
) -> torch.Tensor:
    """|theirs - ours| of the values of two pictures, in 255ths: the same noise, DDIM, guidance 3."""
    grid = model.sampler.grid if model.sampler.grid in ("uniform", "leading", "leading_1") else "uniform"
    spacing = {"uniform": ("trailing", 0), "leading": ("leading", 0), "leading_1": ("leading", 1)}[grid]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = opened(
            model, tower, {**scheduler, "timestep_spacing": spacing[0], "steps_offset": spacing[1]}, out, form
        )
    pipe.scheduler.register_to_config(timestep_spacing=spacing[0], steps_offset=spacing[1])
    pipe = pipe.to(model.device)
    ours = replace(model, sampler=DDIM(steps=STEPS, grid=grid, precision="float32"), guider=CFG())
    seeds = list(range(len(PROMPTS)))
    mine = ours.generate(PROMPTS, seeds, SCALE).float()
    x = start(model.path, torch.tensor(seeds), model.latent_shape()).to(model.device)
    size = {"height": model.image_size, "width": model.image_size}
    theirs = pipe(PROMPTS, latents=x, guidance_scale=SCALE, num_inference_steps=STEPS, output_type="np", **size).images
    pixels = (torch.from_numpy(theirs).permute(0, 3, 1, 2) * 255).round()
    return (pixels - mine).abs()


def verified(model: LatentDiffusion, tower: Tower, scheduler: Mapping[str, Any], out: Path, form: str) -> str:
    """One line: what diffusers draws from the export, against this project."""
    import diffusers

    found = differences(model, tower, scheduler, out, form)
    most, share = int(found.max()), float((found > 1).float().mean())
    if most <= 1:
        verdict = "the same pictures"
    elif most <= ROUNDING and share < 0.05:
        verdict = "the same pictures up to rounding, which a net that is not trained yet enlarges"
    else:
        verdict = "NOT the same pictures: do not use it, and report this"
    return (
        f"opened with diffusers {diffusers.__version__}: largest difference {most} of 255 ({share:.2%} of the values by more "
        f"than 1) in {len(PROMPTS)} pictures of {STEPS} steps: {verdict}"
    )
