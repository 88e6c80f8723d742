"""The base class of all trainings: the optimizer, its schedule, the EMA, and meters that never wait for the device."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ...config.schema import Training
from ..adversary import Adversary
from ..averages.ema import Ema
from ..averages.posthoc import PowerEma
from ..optimizers.choice import make_optimizer
from ..optimizers.muon import Muon
from ..schedule import learning_rate_factor
from ..sharding import full_tensor, shard


class BaseModule(pl.LightningModule):
    """Trains `net`. `meters` holds the detached scalars of the last step. The `positions` of a batch determine all of its
    random numbers."""

    def __init__(self, net: nn.Module, training: Training, seed: int) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.training_config, self.seed = training, seed
        self.meters: dict[str, Tensor] = {}
        self.streak = torch.zeros(())  # how many steps in a row were skipped
        self.flops = 0.0  # of one training step of one sample; 0 if it is not known
        self.ema = Ema(self.net, training.ema)
        self.posthoc = PowerEma(self.net) if training.ema_every else None
        self.adversary: Adversary | None = None
        self.run_net = torch.compile(self.net) if training.compile else self.net
        self.recorded = False

    def record(self) -> None:
        """Start the kernels of a step all at once (graphs.py). For one GPU, and gradients of one batch each."""
        self.recorded = True

    def configure_model(self) -> None:
        if self.training_config.strategy == "fsdp" and self.device_mesh is not None:
            shard(self.net, self.device_mesh["data_parallel"])

    def optimizer(self) -> torch.optim.Optimizer:
        return make_optimizer(self, self.training_config)

    def configure_optimizers(self) -> Any:
        c, optimizer = self.training_config, self.optimizer()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: learning_rate_factor(c, n))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Adapt the optimizer's state when the checkpoint comes from the other strategy (ddp or fsdp). Such a checkpoint has
        the wrong `fused` flag. Its moments also have another memory layout than the parameters, but the fused kernel
        expects the same layout."""
        unsharded = self.training_config.strategy == "ddp"
        for optimizer in self.trainer.optimizers:
            if self.recorded and isinstance(optimizer, Muon):
                optimizer.record()
            for group in optimizer.param_groups:
                group["fused"] = unsharded
            for parameter, state in optimizer.state.items() if unsharded else ():
                for name, moment in state.items():
                    if moment.shape == parameter.shape and moment.stride() != parameter.stride():
                        state[name] = torch.empty_like(parameter).copy_(moment)

    def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any = None, *_: Any, **__: Any) -> None:
        """Clip the gradient here, because Lightning refuses to clip with a fused optimizer (bf16 needs no unscaling). If the
        gradient is not finite, the optimizer's kernel skips the step, so the CPU does not wait for the device."""
        norm = full_tensor(self.clip_gradient(gradient_clip_val or self.training_config.clip).detach())
        not_finite = (~torch.isfinite(norm)).float()
        if self.training_config.strategy == "ddp":
            optimizer.found_inf = not_finite
        elif not_finite:  # the sharded optimizer is not fused
            optimizer.zero_grad()
        self.streak = (self.streak.to(not_finite.device) + 1) * not_finite
        self.meters |= {"gradient_norm": torch.where(not_finite > 0, torch.nan, norm), "skipped": not_finite}

    def clip_gradient(self, limit: float) -> Tensor:
        """Clip the gradient, in place, to this norm (0: no limit). Returns the norm that it had."""
        return torch.nn.utils.clip_grad_norm_(self.net.parameters(), limit or float("inf"), foreach=True)

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Make the step and update the averages at once, so that no callback can save a checkpoint with old averages."""
        super().optimizer_step(*arguments, **options)
        self.ema.update(self.global_step + 1)
        if self.posthoc is not None:
            self.posthoc.update(self.global_step + 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["ema"] = self.ema.state()
        checkpoint["streak"] = self.streak
        if self.posthoc is not None:
            checkpoint["posthoc"] = self.posthoc.state()
        if self.adversary is not None:
            checkpoint["adversary"] = self.adversary.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.ema.load(checkpoint["ema"])
        self.streak = torch.tensor(float(checkpoint.get("streak", 0)))
        if self.posthoc is not None:
            self.posthoc.load(checkpoint["posthoc"])
        if self.adversary is not None:
            self.adversary.load(checkpoint["adversary"])

    def averaged(self) -> nn.Module:
        """The net with the averaged weights. This is the net that is measured and saved."""
        self.net.load_state_dict(self.ema.state(), strict=False)
        return self.net.eval()

    def meter(self, **values: Tensor) -> None:
        self.meters = {name: value.detach() for name, value in values.items()}
