"""The main job: frozen parts, cached features, the UNet's training, its weights, its evaluation."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from ..combinations import EMA_GUIDE
from ..config import Config, ConfigError
from ..data.shards import identity
from ..data.worlds import WORLDS
from ..devices import device_of
from ..generation.text_to_image import TextToImage, guider_of, path_of, within
from ..nets.lora import adapters, add_lora, merged_state
from ..nets.unet import Condition
from ..nets.weights import load_into, read_passport, save_arrays, save_weights
from ..training.modules.diffusion import DiffusionModule
from ..training.posthoc import last_snapshot, reconstruct
from ..training.quick import Quick
from ..training.speed import training_flops
from ..training.trainer import LAST, fit
from .compose import WEIGHTS
from .features import frozen_nets
from .nets import build, load_part, null_condition, start_from, unet_net
from .parts import PARTS, place_part
from .run import Run, console, first_rank, say
from .train import parameters, wait_for


def needed_parts(config: Config) -> tuple[str, ...]:
    """The frozen parts that training and, if asked for, evaluation use."""
    judges: tuple[str, ...] = ()
    if config.evaluation.enabled:
        judges = ("judge", "attributes") if config.data.kind in WORLDS else ("judge",)
    return ("autoencoder", "text", *judges)


def train_diffusion(run: Run) -> None:
    """From whatever is there to weights and a sweep; every step that is done already is passed over."""
    config, folder = run.config, run.folder
    for part in needed_parts(config):
        place_part(part, config, folder)
    if not (folder / WEIGHTS).is_file():
        _train(run)
    if config.evaluation.enabled:
        from .evaluate import sweep_run

        sweep_run(run, [config])


def _train(run: Run) -> None:
    config, folder = run.config, run.folder
    frozen = frozen_nets(config, folder / PARTS)
    autoencoder, tower, features = frozen.autoencoder, frozen.tower, frozen.features
    null = null_condition(config.text.null, tower).to(torch.device("cpu"))
    arguments = unet_net(config, autoencoder, null)
    module = _module(config, folder, arguments, null)
    module.flops = step_flops(arguments, null, config.data.image_size // autoencoder.factor)
    say(f"UNet: {parameters(module.net):.2f} M parameters, {len(features)} captioned pictures, in {folder}")

    def quick() -> list[pl.Callback]:
        if not config.evaluation.every or not first_rank():
            return []
        from .evaluate import quick_measure

        guider, on_device = guider_of(config.guidance), null.to(autoencoder.shift.device)
        sampler, size = within(config.sampler, guider, module.path), config.data.image_size
        model = TextToImage(module.net, module.path, autoencoder, tower, on_device, sampler, guider, size)
        measure = quick_measure(config, folder, model)
        return [Quick(config.evaluation.every, measure, run.record, run.mirror.train)]

    title, mirror = folder.name, run.mirror.train
    fit(module, features, config, folder, run.record, console, mirror, title, quick)
    if not first_rank():
        wait_for(folder / WEIGHTS)
        return
    if config.training.strategy == "fsdp":  # this rank has parts; the checkpoint has all
        module = _module(config, folder, arguments, null)
        fit(module, features, config, folder, run.record, console, mirror, title)
    passport = {
        "part": "unet",
        "net": arguments,
        "data": identity(config.data),
        "config": asdict(config),
        "parts": frozen.hashes,
        "torch": torch.__version__,
    }
    state = merged_state(module.averaged())
    if config.training.lora:
        save_arrays(folder / "lora.safetensors", adapters(module.net))
    save_weights(folder / WEIGHTS, state, passport)
    run.record.write("weights", config.training.steps, path=WEIGHTS)


def _module(config: Config, folder: Path, arguments: dict[str, Any], null: Condition) -> DiffusionModule:
    """The net as it begins, for training."""
    torch.manual_seed(config.seed)
    net: Any = build({"part": "unet", "net": arguments})
    if learned := getattr(net, "null", None):
        learned.begin(null)
    net.checkpointing = config.training.checkpointing
    if config.init_from and not (folder / LAST).is_file():
        start_from(net, Path(config.init_from))
    if config.training.lora:
        add_lora(net, config.training.lora)
    return DiffusionModule(net, config.training, config.seed, config.objective, null)


def step_flops(arguments: dict[str, Any], null: Condition, side: int) -> float:
    """Operations of a training step of one sample of the UNet that the passport's arguments describe."""
    meta = torch.device("meta")
    x = torch.empty(1, arguments["channels"], side, side, device=meta)
    return training_flops(
        lambda: build({"part": "unet", "net": arguments}), x, torch.empty(1, device=meta), null.to(meta)
    )


def _load_net(config: Config, folder: Path, source: str) -> Any:
    """`source`: a weights file, or ema:LENGTH@STEP of this run's post-hoc averages. Raises ConfigError."""
    wanted = re.fullmatch(EMA_GUIDE, source)
    path = folder / WEIGHTS if wanted else Path(source)
    passport = read_passport(path)
    if passport.get("part") != "unet":
        raise ConfigError(f"{path}: its passport says {passport.get('part')!r}, not 'unet'")
    net: Any = build(passport)
    load_into(net, path)
    if wanted:
        net.load_state_dict(reconstruct(folder, float(wanted[1]), int(wanted[2])), strict=False)
    device = device_of(config.training)
    if config.training.compile:
        net.compile()
    return net.to(device, memory_format=torch.channels_last).requires_grad_(False).eval()


def load_model(config: Config, folder: Path, ema: float = 0.0) -> TextToImage:
    """The model of a run folder (or of the shipped one), with its averaged weights, or with those of a post-hoc EMA of
    length `ema` at the run's end. Raises ConfigError."""
    device = device_of(config.training)
    source = f"ema:{ema:g}@{last_snapshot(folder)}" if ema else str(folder / WEIGHTS)
    net = _load_net(config, folder, source)
    guide = config.guidance.guide
    worse = _load_net(config, folder, guide) if guide else None
    autoencoder, tower = (
        load_part(folder / PARTS / f"{part}.safetensors").to(device) for part in ("autoencoder", "text")
    )
    path, guider = path_of(config.objective), guider_of(config.guidance)
    sampler = within(config.sampler, guider, path)
    null = net.null() if hasattr(net, "null") else null_condition(config.text.null, tower)
    return TextToImage(net, path, autoencoder, tower, null, sampler, guider, config.data.image_size, worse)
