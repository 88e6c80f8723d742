"""train.py: data, frozen parts, training, weights with a passport, evaluation."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..config.checks import all_choices
from ..config.paths import PARTS, SHIPPED, WEIGHTS
from ..config.registry import plugins_entry
from ..config.schema import Config
from ..data.dataset import Pictures, pictures
from ..data.shards import identity
from ..data.synthetic.registry import WORLDS, get_world
from ..devices import device_of
from ..models.build import autoencoder_net, build, load_part, start_from, tower_config
from ..nets.attributes import AttributeClassifier
from ..nets.perceptual import Lpips, TowerDistance
from ..nets.text import Tower
from ..nets.weights import save_weights
from ..ranks import console, first_rank, say, wait_for
from ..training.modules.attributes import AttributesModule
from ..training.modules.autoencoder import AutoencoderModule
from ..training.modules.base import Trained
from ..training.modules.contrastive import ContrastiveModule
from ..training.trainer import LAST, fit
from .memory import check_machine
from .run import Run

SEEING = SHIPPED / WORLDS[0] / PARTS / "text.safetensors"  # whose picture half is the perceptual distance's net


def train(config: Config, folder: Path, wait: bool = False) -> None:
    """Train (or go on with) the run of this folder, then evaluate it if the config says so. If another process is at it:
    `wait` for it, or raise ConfigError."""
    check_machine(config)
    with Run(config, folder, wait=wait) as run:
        if config.task == "diffusion":
            from .diffusion import train_diffusion

            train_diffusion(run)
        else:
            train_part(run)


def train_part(run: Run) -> None:
    """Train one of the frozen parts and write its weights with their passport."""
    config = run.config
    path = run.folder / WEIGHTS
    if path.is_file():
        say(f"{run.folder}: finished; its weights are {path}")
        return
    world = get_world(config.data.kind) if config.data.kind in WORLDS else None
    heads = tuple(world.attributes) if world else ()
    train_set = pictures(config, "train", heads)
    assert train_set is not None
    torch.manual_seed(config.seed)
    part, description, module = _module(config, train_set)
    size = sum(p.numel() for p in module.net.parameters())
    say(f"{config.name or config.task}: {size / 1e6:.2f} M parameters, {len(train_set)} pictures, in {run.folder}")
    if config.init_from and not (run.folder / LAST).is_file():
        start_from(module.net, Path(config.init_from))
    fit(module, train_set, config, run.folder, run.record, console, run.mirror.train, str(config.name or config.task))
    if not first_rank():
        wait_for(path)
        return
    net = module.averaged().to(device_of(config.training))
    from ..evaluation.component_metrics import measure

    held_out = pictures(config, "test", heads) or train_set
    metrics = measure(net, train_set, held_out, world.unsaid if world else ())
    passport = {
        "part": part,
        "net": description,
        "data": identity(config.data),
        "config": asdict(config),
        "metrics": metrics,
        "torch": torch.__version__,
        **plugins_entry(all_choices(config)),
    }
    save_weights(path, net.state_dict(), passport, half=True)
    run.record.write("weights", config.training.steps, **metrics)
    say(f"{part}: {json.dumps(metrics)}; weights in {path}")


def _module(config: Config, train_set: Pictures) -> tuple[str, dict[str, Any], Trained]:
    """(the part's name, what builds its net again, its LightningModule)."""
    t, seed = config.training, config.seed
    if config.task == "autoencoder":
        net = autoencoder_net(config.autoencoder)
        built = build({"part": "autoencoder", "net": net})
        a = config.autoencoder
        perceptual: Any = None
        if a.perceptual:
            perceptual = Lpips(Path(a.lpips_weights)) if a.lpips_weights else TowerDistance(load_part(SEEING))
        return "autoencoder", net, AutoencoderModule(built, t, seed, a, perceptual)  # type: ignore[arg-type]
    if config.task == "attributes":
        net = {"heads": {name: len(values) for name, values in get_world(config.data.kind).attributes.items()}}
        return "attributes", net, AttributesModule(AttributeClassifier(**net), t, seed)
    net = tower_config(config, [train_set.reader.read(i)[1] for i in range(len(train_set))])
    return config.text.role, net, ContrastiveModule(Tower(net), t, seed)
