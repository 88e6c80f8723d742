"""The interface of a denoising net: the methods that training and sampling call, and the keys that describe how to build it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ...config.registry import Choice

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..unet import Condition


class Net(Protocol):
    """An nn.Module that predicts the objective's target from x_t.

    `checkpointing` is set after the net is built. If it is True, the backward pass computes the activations again, and they
    are not kept.
    """

    checkpointing: bool

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """x_t [B, C, H, W], t [B] in [0, 1], Condition of B captions -> [B, C, H, W]."""
        ...

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor: ...

    def prepare(self, condition: Condition) -> Condition:
        """The condition, with everything that the net computes from it alone. Sampling calls this once for all steps. A net may
        return the condition unchanged."""
        ...

    def blocks(self) -> Iterable[list[nn.Module]]:
        """Groups of submodules that `forward` calls, each with parameters. When the net is sharded (FSDP), the parameters of a
        group are unsharded while it is called. Parameters that are in no group are unsharded during the whole step. A parameter
        belongs to the first group that has it."""
        ...


@dataclass(frozen=True)
class Inputs:
    """The inputs that a net is built for. Latents have `channels`, and one element of a latent stands for `factor` x `factor`
    pixels. Captions have tokens of `token_width` and a pooled output of `pooled_width`. The times belong to the noise schedule
    `schedule`."""

    channels: int
    factor: int
    token_width: int
    pooled_width: int
    schedule: str


@dataclass(frozen=True, kw_only=True)
class NetChoice(Choice):
    """The net that is trained to draw pictures of captions."""

    takes_lora: ClassVar[bool] = False  # whether training.lora can add adapters to it

    @staticmethod
    def module() -> type[nn.Module]:
        """The class of the net."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class NetSpec(NetChoice):
    """The keys of a denoising net. Its `module()` is a Net."""

    any_shape: ClassVar[bool] = False  # whether it accepts latents that are no squares

    def arguments(self, given: Inputs) -> dict[str, Any]:
        """The arguments of its class: plain values, which the passport of its weights holds."""
        raise NotImplementedError

    def legal_for(self, side: int) -> str | None:
        """The reason why it does not accept latents of side x side; None if it accepts them."""
        return None

    def kept(self, side: int) -> int:
        """How many numbers its first layer keeps for the backward pass, for one latent of side x side; 0 if not known."""
        return 0

    def conflicts(self, data: Any, autoencoder: Any) -> Iterator[str]:
        if why := self.legal_for(data.image_size // autoencoder.factor):
            yield why
        for width, height in [shape for shape in data.shapes if shape[0] != shape[1]]:
            words, factor = f"data.buckets: a shape of {width} x {height} pixels", autoencoder.factor
            if not self.any_shape:
                yield f"{words}: net={self.kind} takes squares alone; leave data.buckets out"
            elif width % factor or height % factor:
                yield f"{words}: one element of a latent is {factor} x {factor}; use a larger data.image_size"
            elif why := self.legal_for(width // factor) or self.legal_for(height // factor):
                yield f"{words}: {why}"
