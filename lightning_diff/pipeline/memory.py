"""Check, before anything is allocated, that this machine has the GPUs and the memory that a config needs."""

from __future__ import annotations

import os
from typing import Any

import torch

from ..cluster.detection import wrong_tasks
from ..config.errors import ConfigError
from ..config.schema import Config
from ..devices import on_gpu
from ..models.build import autoencoder_net, build, denoising_net
from ..nets.unet import Condition
from ..ranks import rank_of, started_ranks
from ..training.features import rows_of
from .node import wrong_port, wrong_shared_memory

GIB = 2**30
TRAINED = 20  # bytes of a trained parameter in float32: itself, its gradient, two moments, its EMA


def check_machine(config: Config) -> None:
    """Raises ConfigError if GPUs, processes or memory are missing."""
    t = config.training
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if t.accelerator == "gpu" and not gpus:
        raise ConfigError("training.accelerator=gpu: there is no GPU here; use auto or cpu")
    if on_gpu(t.accelerator) and t.devices > gpus:
        raise ConfigError(f"training.devices={t.devices}: there are {gpus} GPUs here")
    if (ranks := started_ranks()) and ranks != t.devices * t.nodes:
        each = (
            f"training.devices={ranks // t.nodes}" if ranks % t.nodes == 0 else "training.devices= and training.nodes="
        )
        raise ConfigError(
            f"training.devices={t.devices} on training.nodes={t.nodes}: {ranks} processes were started; give {each}, as many"
        )
    if wrong := wrong_tasks(t.devices, t.nodes):
        raise ConfigError(wrong)
    if t.nodes > 1 and rank_of()[1] == 1:
        raise ConfigError(
            f"training.nodes={t.nodes}: start a process for each rank, with sbatch slurm/train.sbatch or torchrun"
        )
    if wrong := wrong_shared_memory(config) or wrong_port(config):
        raise ConfigError(wrong)
    has = torch.cuda.get_device_properties(0).total_memory if on_gpu(t.accelerator) else _memory()
    needs = least_memory(config)
    if needs > has:
        raise ConfigError(
            f"training.batch={t.batch} of data.image_size={config.data.image_size} with nets of this size: needs more than "
            f"{needs / GIB:,.0f} GiB a rank, and there are {has / GIB:,.0f}"
        )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def least_memory(config: Config) -> float:
    """Bytes that a training of this net needs on a rank at least: the parameters, and the activations of the first layers.

    The training may need much more. This bound only refuses what is impossible."""
    t, size = config.training, config.data.image_size
    samples = t.batch / (t.devices * t.nodes)
    if config.task == "diffusion":
        kept = config.net.kept(size // config.autoencoder.factor)
        features = rows_of(size) * config.autoencoder.kept(size) * 4  # computed before the training
        return max(numbers_of("net", config) * (4 if t.lora else TRAINED) + samples * kept * 2, features)
    picture = 3 * size**2
    if config.task == "aligndraw":
        kept = config.net.glimpses * (8 * (config.net.encoder + config.net.decoder) + config.net.channels * size**2)
        return numbers_of("net", config) * TRAINED + samples * kept * 4
    if config.task == "autoencoder":
        kept = picture + config.autoencoder.kept(size)
        return numbers_of("autoencoder", config) * TRAINED + samples * kept * 2
    tower = 0
    if config.task == "contrastive":
        text = config.text
        tower = 12 * (text.layers * text.width**2 + text.vision_layers * text.vision_width**2)
    return tower * TRAINED + samples * picture * 4


def numbers_of(component: str, config: Config) -> int:
    """Number of parameters of a net, which is made without memory. The denoising net gets captions of the smallest shape that
    `text` allows."""
    meta = torch.device("meta")
    net: dict[str, Any] = autoencoder_net(config.autoencoder)
    if config.task == "aligndraw":
        net = config.net.described(config.data.image_size, [])
    elif component == "net":
        long, wide, pooled = config.text.least_shape()
        token = torch.empty(1, long, wide, device=meta)
        null = Condition(token, token[..., 0] > 0, torch.empty(1, pooled, device=meta))
        learned = config.text.null == "learned"
        net = denoising_net(config.net, config.autoencoder, null, learned, config.objective)
    with meta:
        return sum(p.numel() for p in build({"part": component, "net": net}).parameters())
