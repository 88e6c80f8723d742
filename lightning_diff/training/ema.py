"""An exponential moving average of the trained net alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .sharding import local, part_of, whole_of


class Ema:
    """decay is min(decay, (1 + n) / (10 + n)) at update n, so that the first steps do not linger."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay, self.net = decay, net
        self.live: list[Tensor] = []
        self.mean: dict[str, Tensor] = {}  # on each rank its own part
        self.loaded: dict[str, Tensor] | None = None

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After optimizer step number `step`, counted from 1."""
        if not self.mean:
            live = self._live()
            self.live = [local(p) for p in live.values()]
            self.mean = {n: part_of(self.loaded[n], p) if self.loaded else local(p).clone() for n, p in live.items()}
        decay = min(self.decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(list(self.mean.values()), self.live, step)

    def state(self) -> dict[str, Tensor]:
        """Whole, for the first rank; all ranks must ask."""
        live = self._live()
        if not self.mean:
            return self.loaded or {n: whole_of(local(p).clone(), p) for n, p in live.items()}
        return {n: whole_of(self.mean[n], p) for n, p in live.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        self.loaded, self.mean = state, {}

    def _live(self) -> dict[str, Tensor]:
        return {n: p.detach() for n, p in self.net.named_parameters() if p.requires_grad}
