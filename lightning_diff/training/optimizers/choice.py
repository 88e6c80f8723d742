"""The optimizer that the config asks for."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ...config.schema import Training
from .muon import Muon, inner_matrices
from .rmsprop import RMSProp

BETAS = (0.9, 0.99)


def decayed(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """AdamW's groups: the weight decay is not for vectors."""
    every = list(parameters)
    wide, narrow = [p for p in every if p.ndim > 1], [p for p in every if p.ndim <= 1]
    return [{"params": wide, "weight_decay": weight_decay}, {"params": narrow, "weight_decay": 0.0}]


def make_optimizer(module: nn.Module, training: Training) -> torch.optim.Optimizer:
    """The optimizer of a module's trained parameters. With sharding it is not fused."""
    t, trained = training, [p for p in module.parameters() if p.requires_grad]
    if t.optimizer == "rmsprop":
        return RMSProp(trained, t.learning_rate)
    fused = t.strategy == "ddp"
    if t.optimizer == "adamw":
        return torch.optim.AdamW(decayed(trained, t.weight_decay), lr=t.learning_rate, betas=BETAS, fused=fused)
    matrices = inner_matrices(module)
    names = {id(p) for p in matrices}
    rest = decayed((p for p in trained if id(p) not in names), t.weight_decay)
    inner = {"params": matrices, "lr": t.muon_rate, "weight_decay": t.weight_decay}
    return Muon(rest, inner, lr=t.learning_rate, betas=BETAS, fused=fused)
