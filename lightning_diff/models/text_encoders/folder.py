"""Text encoders from folders that diffusers and transformers save."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.registry import choice
from .base import TextEncoderSpec

if TYPE_CHECKING:
    from ...nets.text import Tower
    from ...nets.tokenizers.clip import Tokenizer


@choice("text", "folder")
class FolderTextEncoder(TextEncoderSpec):
    """CLIP's text encoder, saved by transformers. `weights` is the text_encoder folder of a diffusers pipeline."""

    def open(self, path: Path) -> Tower:
        from ...interop.text import tower_of_folder

        return tower_of_folder(path)

    def described(self) -> dict[str, Any]:
        from ...interop.text import tower_of_folder

        return tower_of_folder(Path(str(self.weights))).config

    def tokenizer(self) -> Tokenizer:
        from ...interop.text import tokenizer_of_folder

        return tokenizer_of_folder(Path(str(self.weights)))

    def own_conflicts(self, where: str, task: str) -> Iterator[str]:
        yield from super().own_conflicts(where, task)
        if self.weights is not None and not os.path.isdir(self.weights):
            yield f"{where}.weights={self.weights}: no folder; {where}=folder reads a text_encoder folder of diffusers"
