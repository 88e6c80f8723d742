"""What every training shares: the optimizer, its schedule, the EMA, and meters that never wait for the device."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ...config.schema import Training
from ..ema import Ema
from ..posthoc import PowerEma
from ..sharding import shard, whole


def learning_rate_factor(step: int, warmup: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))


class Trained(pl.LightningModule):
    """`net` is trained; `meters` holds the last step's detached scalars; `positions` of a batch address its randomness."""

    def __init__(self, net: nn.Module, training: Training, seed: int) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.training_config, self.seed = training, seed
        self.meters: dict[str, Tensor] = {}
        self.streak = torch.zeros(())  # steps in a row that were skipped
        self.flops = 0.0  # of a training step of one sample, where it is known
        self.ema = Ema(self.net, training.ema)
        self.posthoc = PowerEma(self.net) if training.ema_every else None
        self.run_net = torch.compile(self.net) if training.compile else self.net

    def configure_model(self) -> None:
        if self.training_config.strategy == "fsdp" and self.device_mesh is not None:
            shard(self.net, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> Any:
        c = self.training_config
        wide = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        narrow = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": wide, "weight_decay": c.weight_decay}, {"params": narrow, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=c.learning_rate, betas=(0.9, 0.99), fused=c.strategy == "ddp")
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: learning_rate_factor(n, c.warmup, c.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """A checkpoint of the other strategy says that its optimizer was (not) fused, and its moments lie in memory in
        another order than the parameters, which the fused kernel takes to be the same."""
        whole_net = self.training_config.strategy == "ddp"
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["fused"] = whole_net
            for parameter, state in optimizer.state.items() if whole_net else ():
                for name, moment in state.items():
                    if moment.shape == parameter.shape and moment.stride() != parameter.stride():
                        state[name] = torch.empty_like(parameter).copy_(moment)

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Lightning refuses to clip under a fused optimizer; bf16 needs no unscaling, so it is done here. A step whose
        gradient is not finite is skipped by the optimizer's kernel, so that nothing waits for the device to know."""
        norm = torch.nn.utils.clip_grad_norm_(
            self.net.parameters(), self.training_config.clip or float("inf"), foreach=True
        )
        norm = whole(norm.detach())
        bad = (~torch.isfinite(norm)).float()
        if self.training_config.strategy == "ddp":
            optimizer.found_inf = bad
        elif bad:  # the sharded optimizer is not fused
            optimizer.zero_grad()
        self.streak = (self.streak.to(bad.device) + 1) * bad
        self.meters |= {"gradient_norm": torch.where(bad > 0, torch.nan, norm), "skipped": bad}

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """The average follows at once, before any callback can save a checkpoint without it."""
        super().optimizer_step(*arguments, **options)
        self.ema.update(self.global_step + 1)
        if self.posthoc is not None:
            self.posthoc.update(self.global_step + 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["ema"] = self.ema.state()
        if self.posthoc is not None:
            checkpoint["posthoc"] = self.posthoc.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.ema.load(checkpoint["ema"])
        if self.posthoc is not None:
            self.posthoc.load(checkpoint["posthoc"])

    def averaged(self) -> nn.Module:
        """The net with the averaged weights in it: what is measured and kept."""
        self.net.load_state_dict(self.ema.state(), strict=False)
        return self.net.eval()

    def meter(self, **values: Tensor) -> None:
        self.meters = {name: value.detach() for name, value in values.items()}
