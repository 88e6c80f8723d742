"""What a denoising network is: the methods that training and sampling call, and the keys that say how it is built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ...config.registry import Choice

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..unet import Condition


class Net(Protocol):
    """An nn.Module that predicts from x_t what the objective asks for.

    `checkpointing`, set after it is built: the backward pass computes activations again instead of keeping them.
    """

    checkpointing: bool

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """x_t [B, C, H, W], t [B] in [0, 1], Condition of B captions -> [B, C, H, W]."""
        ...

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor: ...

    def prepare(self, condition: Condition) -> Condition:
        """The condition with what the net computes of it alone, once for all steps of a sampling; or as it was."""
        ...

    def blocks(self) -> Iterable[list[nn.Module]]:
        """Groups of submodules that forward calls, each with parameters. When the net is sharded (FSDP), a group is whole
        while it is called; what no group has is whole during all of a step. A parameter belongs to the first group that
        has it."""
        ...


@dataclass(frozen=True)
class Inputs:
    """What a net is built for: latents of `channels`, of which one stands for `factor` x `factor` pixels; captions of tokens
    and of a pooled output that are so wide; times of the schedule `schedule`."""

    channels: int
    factor: int
    token_width: int
    pooled_width: int
    schedule: str


@dataclass(frozen=True, kw_only=True)
class NetSpec(Choice):
    """A denoising network, by its keys."""

    takes_lora: ClassVar[bool] = False  # whether training.lora finds attention to adapt in it

    @staticmethod
    def module() -> type[nn.Module]:
        """The class of the network, a Net."""
        raise NotImplementedError

    def arguments(self, given: Inputs) -> dict[str, Any]:
        """What its class is called with: plain values, which the passport of its weights holds."""
        raise NotImplementedError

    def legal_for(self, side: int) -> str | None:
        """Why it does not take latents of side x side; None if it does."""
        return None

    def kept(self, side: int) -> int:
        """How many numbers its first layer keeps for the backward pass, of one latent of side x side; 0 if not known."""
        return 0

    def conflicts(self, data: Any, autoencoder: Any) -> Iterator[str]:
        if why := self.legal_for(data.image_size // autoencoder.factor):
            yield why
