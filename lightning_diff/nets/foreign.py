"""A conditioned net of diffusers as a denoising net of this project."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from ..config.errors import ConfigError
from .unet import Condition


class DiffusersNet(nn.Module):
    """Calls a net of diffusers: forward(sample, timestep, encoder_hidden_states). Its time is 1000 t + `time_offset`: the steps 0
    to 999 of diffusers' discrete schedulers have the offset -1. With `masked`, it does not see the padding of captions."""

    def __init__(self, net: nn.Module, time_offset: float = -1.0, masked: bool = False) -> None:
        super().__init__()
        self.net, self.time_offset, self.masked = net, time_offset, masked
        self.pooled = "pooled_projections" in inspect.signature(net.forward).parameters

    @property
    def checkpointing(self) -> bool:
        return bool(getattr(self.net, "is_gradient_checkpointing", False))

    @checkpointing.setter
    def checkpointing(self, on: bool) -> None:
        if on:
            self.net.enable_gradient_checkpointing()  # type: ignore[operator]

    def prepare(self, condition: Condition) -> Condition:
        return condition

    def blocks(self) -> Iterator[list[nn.Module]]:
        yield from ([child] for child in self.net.children() if next(child.parameters(), None) is not None)

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        more: dict[str, Any] = {}
        if self.masked:
            more["encoder_attention_mask"] = condition.mask
        if self.pooled:
            more["pooled_projections"] = condition.pooled
        time = 1000 * t + self.time_offset
        return self.net(x, time, encoder_hidden_states=condition.tokens, return_dict=False, **more)[0]


def from_diffusers(net: nn.Module, time_offset: float = -1.0, masked: bool = False) -> DiffusersNet:
    """A net of diffusers (UNet2DConditionModel and its like), also one that peft has wrapped, as a net that trains, samples and
    sweeps here. Raises ConfigError for a net that takes no caption, or needs inputs that this project does not have."""
    takes = inspect.signature(net.forward).parameters
    name = type(net).__name__
    if "encoder_hidden_states" not in takes and not any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        raise ConfigError(f"{name}: its forward takes no encoder_hidden_states, so it reads no captions")
    needs: Any = getattr(getattr(net, "config", None), "addition_embed_type", None)
    if needs:
        raise ConfigError(f"{name}: it needs added conditions ({needs}); init_from= with net=sdxl reads such a net")
    return DiffusersNet(net, time_offset, masked)
