"""Training of the denoising net on cached features. It ends with the weights and their passport."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from ..config.paths import PARTS, WEIGHTS
from ..config.schema import Config
from ..devices import device_of
from ..evaluation.runner import periodic_measure
from ..models.build import build, denoising_net, heeded, null_condition, parameters, start_from
from ..models.latent_diffusion import LatentDiffusion
from ..nets.lora import adapters, add_lora, merged_state
from ..nets.unet import Condition
from ..nets.weights import save_arrays, save_weights
from ..ranks import console, first_rank, say, wait_for
from ..strings import counted
from ..training.checkpoint import checkpoints_in
from ..training.features import Frozen, frozen_nets, held_out_features
from ..training.modules.latent_diffusion import LatentDiffusionModule
from ..training.periodic import QUICK, VALIDATION, Periodic, held_out_loss
from ..training.speed import step_flops
from ..training.trainer import fit
from .fitted import fit_run, origin_of, passport_of
from .objects import start_of
from .run import Run
from .sweep import combination, evaluation_setup


def train_net(run: Run) -> None:
    """Train the denoising net on the features of the frozen components, or continue its training, and write its weights with
    their passport."""
    config, folder = run.config, run.folder
    frozen = frozen_nets(
        config.data, Path(config.cache), folder / PARTS, device_of(config.training.accelerator), config.seed
    )
    autoencoder, tower, train_set = frozen.autoencoder, frozen.tower, frozen.train
    null = null_condition(config.text.null, tower).to(torch.device("cpu"))
    net = denoising_net(config.net, autoencoder, null, config.text.null == "learned", config.objective)
    if start := start_of(config):
        net = heeded(net, start)
    module = _module(config, folder, net, null, frozen)
    side = config.data.image_size // autoencoder.factor
    module.flops = step_flops(net, null, autoencoder.latent_channels, side)
    kind, millions = config.net.kind, parameters(module.net)
    say(f"net of kind {kind}: {millions:.2f} M parameters, {counted(len(train_set), 'captioned picture')}, in {folder}")

    def periodic() -> list[pl.Callback]:
        found: list[pl.Callback] = []
        if not first_rank():
            return found
        if (every := config.validation.every) and config.training.strategy == "fsdp":
            say(
                f"validation.every={every}: no rank has the whole net (training.strategy=fsdp), so no loss on held-out pictures"
            )
        elif every:
            held_out = held_out_features(config.data, Path(config.cache), frozen, config.validation.samples)
            if held_out:
                measured_loss = partial(held_out_loss, module, held_out)
                found.append(Periodic(VALIDATION, every, measured_loss, run.record, run.mirror.train))
            else:
                say(f"validation.every={every}: there are no held-out pictures (data.test), so no loss on them")
        if not config.evaluation.every:
            return found
        guider, on_device = config.guidance, null.to(autoencoder.shift.device)
        sampler, size = config.sampler.resolve_nfe(guider, module.path), config.data.image_size
        model = LatentDiffusion(autoencoder, tower, module.net, module.path, on_device, sampler, guider, size)
        measured = combination(config, folder, evaluation_setup(config, folder), "the average at this step")
        measure = periodic_measure(measured, model)
        return [*found, Periodic(QUICK, config.evaluation.every, measure, run.record, run.mirror.train)]

    title, t, origin = folder.name, config.training, origin_of(config, frozen.index, frozen.hashes)
    end = fit_run(run, module, train_set, origin, title, periodic)
    if not first_rank():
        wait_for((folder / WEIGHTS).is_file, t.patience, f"written {folder / WEIGHTS}")
        return
    if config.training.strategy == "fsdp":  # this rank has only shards of the net; the checkpoint has all of it
        module = _module(config, folder, net, null, frozen)
        fit(module, train_set, t, config.seed, folder, run.record, console, run.mirror.train, title, origin=origin)
    passport = passport_of(config, "net", net, parts=frozen.hashes)
    state = merged_state(module.averaged())
    if config.training.lora:
        save_arrays(folder / "lora.safetensors", adapters(module.net))
    save_weights(folder / WEIGHTS, state, passport)
    run.record.write("weights", end, path=WEIGHTS)


def _module(
    config: Config, folder: Path, described: dict[str, Any], null: Condition, frozen: Frozen
) -> LatentDiffusionModule:
    """Build the net with its initial weights, and the LightningModule that trains it."""
    torch.manual_seed(config.seed)
    net: Any = build({"part": "net", "net": described})
    if learned := getattr(net, "null", None):
        learned.begin(null)
    net.checkpointing = config.training.checkpointing
    start = start_of(config)
    if start and not checkpoints_in(folder):
        start_from(net, start)
    if config.training.lora:
        add_lora(net, config.training.lora)
    return LatentDiffusionModule(
        frozen.autoencoder,
        frozen.tower,
        net,
        config.objective,
        config.training,
        config.seed,
        null,
        keep_frozen=False,  # they are files of the run
    )
