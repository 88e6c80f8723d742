"""The keys of alignDRAW's net. It is no denoising net: task=aligndraw trains it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ...config.fields import at_least, between, one_of
from ...config.registry import choice
from .base import NetChoice

if TYPE_CHECKING:
    from torch import nn


@choice("net", "aligndraw")
class AlignDrawNet(NetChoice):
    """alignDRAW (Mansimov et al. 2015; nets/aligndraw/): a recurrent variational autoencoder that draws patches on a canvas in
    `glimpses` steps, and attends to the caption's words at each. It belongs to task=aligndraw.

    `channels` 1 draws gray pictures, 3 RGB. `read` and `write` are the sides of its windows. `encoder` and `decoder` are the
    widths of their LSTMs, `caption` is that of the caption's in each direction, and `align` is that of the attention to words.
    A glimpse has `latent` numbers. At most `words` words of a caption are read. `sharpen` > 0 trains a sharpening net of that
    width too, against a discriminator with the weight `adversarial`. `paper_weights` begins with the small weights of the
    released code, from which it learns much later (nets/aligndraw/initial.py). Two switches repeat quirks of that code:
    `shifted_filters` moves the windows' filters by half a stride or a whole one, `reversed_batch` lets the second half of the
    caption's net read the batch in reversed order, not the words."""

    channels: int = one_of(3, 1, 3)
    glimpses: int = between(32, 1, 1024)
    read: int = between(8, 2, 64)
    write: int = between(8, 2, 64)
    encoder: int = between(300, 1, 16384)
    decoder: int = between(300, 1, 16384)
    latent: int = between(150, 1, 16384)
    caption: int = between(128, 1, 16384)
    align: int = between(512, 1, 16384)
    words: int = between(64, 1, 1024)
    sharpen: int = between(0, 0, 4096)
    adversarial: float = at_least(0.5, 0)
    paper_weights: bool = False
    shifted_filters: bool = False
    reversed_batch: bool = False

    @staticmethod
    def module() -> type[nn.Module]:
        from ..aligndraw.model import AlignDraw

        return AlignDraw

    def described(self, image_size: int, captions: Iterable[str]) -> dict[str, Any]:
        """The description of its net for a passport, with the vocabulary of these captions."""
        from ..aligndraw.captions import Words

        vocabulary, length = Words.of(captions, self.words)
        keys = ("channels", "glimpses", "read", "write", "encoder", "decoder", "latent", "caption", "align", "sharpen")
        switches = ("paper_weights", "shifted_filters", "reversed_batch")
        values = {key: getattr(self, key) for key in (*keys, *switches)}
        return {"kind": self.kind, "vocabulary": vocabulary, "length": length, "size": image_size, **values}

    def conflicts(self, task: str, data: Any, training: Any, guidance: Any) -> Iterator[str]:
        if task != "aligndraw":
            yield f"net=aligndraw with task={task}: it is no denoising net; say experiment=aligndraw"
            return
        if guidance.name != "cfg":
            yield f"guidance={guidance.name}: alignDRAW has no guidance; leave it out"
        for name, asked in (("scale", [guidance.scale]), ("scales", guidance.scales)):
            if any(w != 1 for w in asked):
                shown = asked if name == "scales" else asked[0]
                one = "[1]" if name == "scales" else "1"
                yield f"guidance.{name}={shown}: alignDRAW has no guidance, so 1 is its only scale; guidance.{name}={one}"
        if len(data.shapes) > 1:
            yield f"data.buckets={data.buckets}: alignDRAW takes squares alone; leave data.buckets out"
        if training.weight_decay and training.optimizer == "rmsprop":
            yield f"training.weight_decay={training.weight_decay}: would be ignored; training.optimizer=rmsprop has none"
        if self.adversarial != type(self).adversarial and not self.sharpen:
            yield "net.adversarial: would be ignored; it belongs to net.sharpen > 0"
