"""This project's own text encoder: shipped, trained for a run's captions, or given as a weights file with a passport."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.errors import ConfigError
from ...config.fields import at_least, between, one_of, path
from ...config.registry import choice
from .base import TextEncoderSpec

if TYPE_CHECKING:
    from ...nets.text import Tower
    from ...nets.tokenizers.clip import Tokenizer

HEAD = 32  # the width of a tower's heads
MOST_TOKENS = 77
MOST_SEEN = 128  # pixels of a side: the attention between the squares of larger pictures would take gigabytes


def seen(image_size: int) -> int:
    """The side in pixels at which a tower of its own sees pictures of this size."""
    return min(image_size, MOST_SEEN)


@choice("text", "small")
class SmallTextEncoder(TextEncoderSpec):
    """This project's own tower, a small CLIP model of open_clip. `weights` is auto (shipped, or else trained for this data), or a
    weights file with a passport. `role` is `text` (it conditions the net) or `judge` (it scores pictures); the judge is never
    the tower that conditions. It reads `context_length` tokens of a caption, in `layers` layers of `width` channels. It sees a
    picture, made smaller if it is larger than 128 x 128, as squares of `patch_size` pixels, in `vision_layers` layers of
    `vision_width` channels. Both halves end in `embedding` channels. By default it has 1.3 M parameters, and its vocabulary is
    that of the captions."""

    weights: str = path("auto")
    role: str = one_of("text", "text", "judge")
    embedding: int = between(128, 8, 16384)
    context_length: int = between(32, 8, MOST_TOKENS)
    width: int = between(128, 32, 16384)
    layers: int = between(2, 1, 100)
    vision_width: int = between(128, 32, 16384)
    vision_layers: int = between(4, 1, 100)
    patch_size: int = at_least(8, 1)

    sizes: ClassVar[tuple[str, ...]] = (
        "embedding",
        "context_length",
        "width",
        "layers",
        "vision_width",
        "vision_layers",
        "patch_size",
    )
    has_passport: ClassVar[bool] = True
    of_the_first: ClassVar[tuple[str, ...]] = (*TextEncoderSpec.of_the_first, "role")

    def arguments(self, image_size: int) -> dict[str, Any]:
        """The description of its tower for a passport, without the vocabulary."""
        vision = {"layers": self.vision_layers, "width": self.vision_width, "head_width": HEAD}
        words = {"context_length": self.context_length, "width": self.width, "heads": self.width // HEAD}
        return {
            "embedding": self.embedding,
            "vision": {**vision, "patch_size": self.patch_size, "image_size": seen(image_size)},
            "text": {**words, "layers": self.layers},
        }

    def fitted(self, image_size: int, captions: Sequence[str]) -> dict[str, Any]:
        """The description of its tower for a passport, with the vocabulary of these captions."""
        from ...nets.tokenizers.clip import Tokenizer

        return {**self.arguments(image_size), "vocabulary": Tokenizer.words_of(captions)}

    def open(self, path: Path) -> Tower:
        from ...nets.text import Tower
        from ..build import load_part

        tower = load_part(path)
        if not isinstance(tower, Tower):
            raise ConfigError(f"{path}: not one tower; give the weights of one")
        return tower

    def described(self) -> dict[str, Any]:
        from ...nets.weights import read_passport

        return dict(read_passport(Path(self.weights))["net"])

    def tokenizer(self) -> Tokenizer:
        from ...nets.tokenizers.clip import Tokenizer

        return Tokenizer(self.context_length) if self.weights == "auto" else super().tokenizer()

    def most_tokens(self) -> int:
        return MOST_TOKENS if self.weights == "auto" else 0

    def least_shape(self) -> tuple[int, int, int]:
        return self.context_length, self.width, self.embedding

    def conflicts(self, text: Any, task: Any, data: Any, training: Any) -> Iterator[str]:
        if self is text:
            if task != "aligndraw":  # which has its own net for captions
                yield from self._size_conflicts(data.image_size)
            if task == "diffusion" and self.role != "text":
                yield f"text.role={self.role} on task=diffusion: the judge is never the player; leave text=small"
            if self.weights != "auto" and task != "diffusion":
                yield "text.weights: would be ignored; it belongs to task=diffusion; init_from= is where to start"
        yield from super().conflicts(text, task, data, training)

    def _size_conflicts(self, image_size: int) -> Iterator[str]:
        if seen(image_size) % self.patch_size:
            side = (
                f"data.image_size={image_size}"
                if seen(image_size) == image_size
                else f"{MOST_SEEN}, the pixels that it sees"
            )
            yield f"text.patch_size={self.patch_size}: must divide {side}"
        if self.width % HEAD or self.vision_width % HEAD:
            yield (
                f"text.width={self.width}, text.vision_width={self.vision_width}: must be multiples of {HEAD} "
                "(the head width)"
            )
        if self.weights == "auto" and self.layer > self.layers:
            yield f"text.layer={self.layer}: the tower has text.layers={self.layers} layers"

    def own_conflicts(self, where: str, task: str) -> Iterator[str]:
        if where != "text" and self.weights == "auto":
            yield f"{where}.weights: say which weights file it is; only the first tower is shipped or trained"
        if os.path.isdir(self.weights):
            yield f"{where}.weights={self.weights}: a folder, which text=folder reads; {where}=small reads a file"
