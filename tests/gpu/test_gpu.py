"""What only a GPU can show: make gpu. The same bits after a kill, recorded steps, no waits, and the commands on a GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lightning_diff as ld
from lightning_diff.config.compose import compose_config
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.config.schema import Objective, Training
from lightning_diff.devices import same_bits_on_gpu, settings_kept
from lightning_diff.diffusion import noise
from lightning_diff.nets.unet import Condition, UNet
from lightning_diff.pipeline.stages import train
from lightning_diff.training.checkpoint import read_checkpoint
from lightning_diff.training.modules.diffusion import DiffusionModule
from tests.conftest import short

ROWS, LENGTH, WIDTH = 8, 6, 32
TINY = ("net.glimpses=3", "net.encoder=16", "net.decoder=16", "net.latent=4", "net.align=8", "net.caption=8")
KINDS = {
    "base": (),
    "base-adamw": ("training=diffusion",),
    "base-learned-null": ("text.null=learned",),
    "base-float32": ("training.precision=32-true",),
    "autoencoder": (),
    "contrastive": (),
    "attributes": (),
    "aligndraw": (*TINY, "net.sharpen=4"),
}


def words(kind: str, root: Path, *more: str) -> list[str]:
    every = ("evaluation.enabled=false",) if kind.startswith("base") or kind == "aligndraw" else ()
    return short(kind.split("-")[0], *KINDS[kind], *every, f"outputs={root}", f"cache={root}/cache", *more)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_same_bits(kind: str, tmp_path: Path) -> None:
    """12 steps in one go, and the same run once more from the checkpoint of step 6, which another process wrote."""
    more = ("training.steps=12", "training.checkpoint_every=6", "training.keep_every=6", "training.warmup=2")
    made = subprocess.run(
        [sys.executable, "train.py", *words(kind, tmp_path, *more, "name=whole")],
        cwd=PACKAGE_FOLDER,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    config = compose_config(words(kind, tmp_path, *more, "name=resumed"))
    (resumed / "checkpoints").mkdir(parents=True)
    half = next((whole / "checkpoints").glob("*6.ckpt"))
    assert read_checkpoint(half)["global_step"] == 6
    (resumed / "checkpoints" / "last.ckpt").write_bytes(half.read_bytes())
    train(config, resumed)
    first, second = (load_file(folder / "weights.safetensors") for folder in (whole, resumed))
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def stepped(recorded: bool, steps: int = 6, **training: Any) -> tuple[dict[str, torch.Tensor], list[float]]:
    """(the weights, the losses) of a few steps of a small net."""
    torch.manual_seed(0)
    null = Condition(torch.zeros(1, LENGTH, WIDTH), torch.ones(1, LENGTH, dtype=torch.bool), torch.zeros(1, WIDTH))
    settings = Training(steps=steps, batch=ROWS, warmup=2, **training)
    module = DiffusionModule(UNet(4, WIDTH, WIDTH, (32, 64)), settings, 0, Objective(), null).to("cuda")
    optimizer: Any = module.optimizer()
    if recorded:
        module.record()
        if hasattr(optimizer, "record"):
            optimizer.record()
    g = torch.Generator().manual_seed(1)
    losses = []
    for step in range(steps):
        batch = {
            "mean": torch.randn(ROWS, 4, 8, 8, generator=g),
            "std": torch.rand(ROWS, 4, 8, 8, generator=g),
            "tokens": torch.randn(ROWS, LENGTH, WIDTH, generator=g),
            "mask": torch.rand(ROWS, LENGTH, generator=g) < 0.8,
            "pooled": torch.randn(ROWS, WIDTH, generator=g),
            "positions": torch.arange(step * ROWS, (step + 1) * ROWS),
        }
        batch["mask"][:, 0] = True
        with torch.autocast("cuda", torch.bfloat16):
            loss = module.training_step({name: value.cuda() for name, value in batch.items()}, step)
        loss.backward()
        module.configure_gradient_clipping(optimizer)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return {name: p.detach().cpu() for name, p in module.net.named_parameters()}, losses


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_recorded_steps_give_the_bits_of_steps_that_are_not(optimizer: str) -> None:
    with settings_kept():
        same_bits_on_gpu()
        plain, losses = stepped(False, optimizer=optimizer)
        recorded, again = stepped(True, optimizer=optimizer)
    assert losses == again
    assert [name for name in plain if not torch.equal(plain[name], recorded[name])] == []


def test_random_bits_are_those_of_the_cpu() -> None:
    rows = torch.tensor([0, 1, 2**33 + 5])
    assert torch.equal(noise._words(rows, 64, 7, noise.NOISE), noise._words(rows.cuda(), 64, 7, noise.NOISE).cpu())
    here, there = (noise.normal(r, (4, 8, 8), 7, noise.NOISE).cpu() for r in (rows, rows.cuda()))
    assert (here - there).abs().max() < 1e-5


def test_the_pictures_are_those_of_the_cpu() -> None:
    """In float32. The shipped model draws the same captions on both devices."""
    prompts = ["a red mug", "a green pear to the left of a blue book"]
    drawn = []
    for device in ("cpu", "cuda"):
        model = ld.load(device=device, sampler=ld.samplers.Euler(steps=10, precision="float32"))
        drawn.append(model.generate(prompts, [0, 1], 3.0).cpu().float())
    assert (drawn[0] - drawn[1]).abs().mean() < 0.5  # of 255


def test_the_main_job_ends_and_is_measured_on_a_gpu(tmp_path: Path) -> None:
    train(compose_config(short("base", f"outputs={tmp_path}", f"cache={tmp_path}/cache")), tmp_path / "run")
    assert (tmp_path / "run" / "sweep.csv").read_text().count("\n") == 3
    assert (tmp_path / "run" / "report.html").is_file()
