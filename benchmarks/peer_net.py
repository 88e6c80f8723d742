"""diffusers' UNet2DConditionModel as a choice of net, for benchmarks: plugins=[benchmarks/peer_net.py] net=peer."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lightning_diff.config.fields import listed
from lightning_diff.config.registry import choice
from lightning_diff.nets.denoisers.base import Inputs, NetSpec
from lightning_diff.nets.unet import CaptionedUNet, Condition

TIMES = 1000  # diffusers counts the times in steps


class PeerNet(CaptionedUNet):
    """As text_to_image trains it: the caption's tokens alone, no pooled output."""

    def __init__(self, channels: int, token_width: int, widths: list[int]) -> None:
        super().__init__()
        import diffusers

        plain, reads = len(widths) - 1, 1
        build: Any = diffusers.UNet2DConditionModel
        self.net = build(
            in_channels=channels,
            out_channels=channels,
            block_out_channels=tuple(widths),
            layers_per_block=1,
            down_block_types=("DownBlock2D",) * plain + ("CrossAttnDownBlock2D",) * reads,
            up_block_types=("CrossAttnUpBlock2D",) * reads + ("UpBlock2D",) * plain,
            cross_attention_dim=token_width,
            attention_head_dim=4,
        )

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        found: Tensor = self.net(
            x, t * TIMES, condition.tokens.to(x.dtype), encoder_attention_mask=condition.mask
        ).sample
        return found.float()


@choice("net", "peer")
class Peer(NetSpec):
    """A UNet of diffusers with these widths; the last resolution reads the caption."""

    widths: list[int] = listed(64, 128, low=32, high=16384)

    @staticmethod
    def module() -> type[PeerNet]:
        return PeerNet

    def arguments(self, given: Inputs) -> dict[str, Any]:
        return {"channels": given.channels, "token_width": given.token_width, "widths": list(self.widths)}
