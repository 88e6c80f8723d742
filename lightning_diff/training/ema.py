"""An exponential moving average of the trained net alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Ema:
    """decay is min(decay, (1 + n) / (10 + n)) at update n, so that the first steps do not linger."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        trained = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
        self.names, self.live = [n for n, _ in trained], [p for _, p in trained]
        self.mean: list[Tensor] = []
        self.loaded: dict[str, Tensor] | None = None

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After optimizer step number `step`, counted from 1."""
        if not self.mean:
            start = self.loaded or dict(zip(self.names, self.live, strict=True))
            self.mean = [start[n].detach().clone().to(p) for n, p in zip(self.names, self.live, strict=True)]
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.mean, [p.detach() for p in self.live], 1 - decay)

    def state(self) -> dict[str, Tensor]:
        if not self.mean:
            return self.loaded or {n: p.detach().clone() for n, p in zip(self.names, self.live, strict=True)}
        return dict(zip(self.names, self.mean, strict=True))

    def load(self, state: dict[str, Tensor]) -> None:
        self.loaded, self.mean = state, []
