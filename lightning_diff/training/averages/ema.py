"""An exponential moving average (EMA) of the trained net's parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..sharding import gather_full, local_shard, shard_like


class Ema:
    """The average. At update n the decay is min(decay, (1 + n) / (10 + n)), so that the first steps are soon forgotten."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay, self.net = decay, net
        self.live: list[Tensor] = []
        self.mean: dict[str, Tensor] = {}  # each rank has its own shard
        self.loaded: dict[str, Tensor] | None = None

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after optimizer step number `step`, counted from 1."""
        if not self.mean:
            live = self._live()
            self.live = [local_shard(p) for p in live.values()]
            self.mean = {
                n: shard_like(self.loaded[n], p) if self.loaded else local_shard(p).clone() for n, p in live.items()
            }
        decay = min(self.decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(list(self.mean.values()), self.live, step)

    def state(self) -> dict[str, Tensor]:
        """The average as full tensors on the first rank. All ranks must call this."""
        live = self._live()
        if not self.mean:
            return self.loaded or {n: gather_full(local_shard(p).clone(), p) for n, p in live.items()}
        return {n: gather_full(self.mean[n], p) for n, p in live.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        self.loaded, self.mean = state, {}

    def _live(self) -> dict[str, Tensor]:
        return {n: p.detach() for n, p in self.net.named_parameters() if p.requires_grad}
