"""Training of the frozen components: autoencoder, text encoder, judge and attribute classifier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..config.paths import PARTS, SHIPPED, WEIGHTS
from ..config.schema import Config
from ..data.dataset import Pictures, pictures
from ..devices import device_of
from ..evaluation.component_metrics import RECALL, measure
from ..models.build import autoencoder_net, build, load_part, start_from
from ..nets.attributes import AttributeClassifier
from ..nets.perceptual import Lpips, TowerDistance
from ..nets.text import Tower
from ..nets.weights import save_weights
from ..ranks import first_rank, say, wait_for
from ..strings import counted
from ..training.checkpoint import checkpoints_in
from ..training.modules.attributes import AttributesModule
from ..training.modules.autoencoder import AutoencoderModule
from ..training.modules.base import BaseModule
from ..training.modules.contrastive import ContrastiveModule
from .fitted import fit_run, origin_of, passport_of
from .run import Run

# The CLIP model whose image tower computes the perceptual distance.
PERCEPTUAL_CLIP = SHIPPED / "still_life" / PARTS / "text.safetensors"


def train_component(run: Run, trained: bool) -> None:
    """Train a frozen component, or continue its training, and write its weights with their passport."""
    config = run.config
    path = run.folder / WEIGHTS
    if trained:
        say(f"{run.folder}: finished; its weights are {path}")
        return
    source, cache = config.data, Path(config.cache)
    heads = tuple(source.attributes)
    train_set = pictures(source, cache, "train", heads)
    assert train_set is not None
    torch.manual_seed(config.seed)
    component, description, module = _module(config, train_set)
    size = sum(p.numel() for p in module.net.parameters())
    say(
        f"{config.name or config.task}: {size / 1e6:.2f} M parameters, {counted(len(train_set), 'picture')}, in {run.folder}"
    )
    if config.init_from and not checkpoints_in(run.folder):
        start_from(module.net, Path(config.init_from))
    title = str(config.name or config.task)
    end = fit_run(run, module, train_set, origin_of(config, train_set.index, {}), title)
    if not first_rank():
        wait_for(path.is_file, config.training.patience, f"written {path}")
        return
    net = module.averaged().to(device_of(config.training.accelerator))
    held_out = pictures(source, cache, "test", heads) or train_set
    metrics = measure(net, train_set, held_out, source.unsaid)
    passport = passport_of(config, component, description, metrics=metrics)
    save_weights(path, net.state_dict(), passport, half=True)
    run.record.write("weights", end, **metrics)
    say(f"{component}: {metrics_words(metrics)}; weights in {path}")


def metrics_words(metrics: Mapping[str, Any]) -> str:
    """The result of `measure` as a sentence."""
    said = []
    for name, value in metrics.items():
        if name.startswith(RECALL):
            said.append(f"finds the own caption among {name.removeprefix(RECALL)} for {value:.1%} of the pictures")
        elif name == "caption_over_contrast":
            said.append(f"tells it from an almost right one for {value:.1%}")
        elif name == "psnr":
            said.append(f"PSNR {value:.1f} dB")
        elif name == "accuracy":
            said.append(f"names all that the caption states for {value:.1%}")
    return f"on {counted(metrics['n'], 'picture')}: {', '.join(said)}"


def _module(config: Config, train_set: Pictures) -> tuple[str, dict[str, Any], BaseModule]:
    """(name of the component, description that rebuilds its net, its LightningModule)."""
    t, seed = config.training, config.seed
    if config.task == "autoencoder":
        net = autoencoder_net(config.autoencoder)
        built = build({"part": "autoencoder", "net": net})
        a = config.autoencoder
        perceptual: Any = None
        if a.perceptual:
            perceptual = Lpips(Path(a.lpips_weights)) if a.lpips_weights else TowerDistance(load_part(PERCEPTUAL_CLIP))
        return "autoencoder", net, AutoencoderModule(built, t, seed, a, perceptual)  # type: ignore[arg-type]
    if config.task == "attributes":
        net = {"heads": {name: len(values) for name, values in config.data.attributes.items()}}
        return "attributes", net, AttributesModule(AttributeClassifier(**net), t, seed)
    captions = [one for i in range(len(train_set)) for one in train_set.reader.captions(i)]
    net = config.text.fitted(config.data.image_size, captions)
    return config.text.role, net, ContrastiveModule(Tower(net), t, seed)
