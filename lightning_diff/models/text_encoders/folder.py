"""Text encoders from folders that diffusers and transformers save."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.registry import choice
from ...files import is_safetensors
from .base import TextEncoderSpec

if TYPE_CHECKING:
    from ...nets.text import Tower
    from ...nets.tokenizers.clip import Tokenizer


@choice("text", "folder")
class FolderTextEncoder(TextEncoderSpec):
    """CLIP's text encoder, saved by transformers, with the tokenizer that it came with. `weights` is the text_encoder folder of a
    diffusers pipeline, the pipeline's folder, or a single-file checkpoint of Stable Diffusion 1.x."""

    def open(self, path: Path) -> Tower:
        from ...interop.text import tower_of_folder

        return tower_of_folder(path)

    def described(self) -> dict[str, Any]:
        from ...interop.text import described_tower

        return described_tower(Path(str(self.weights)))

    def tokenizer(self) -> Tokenizer:
        from ...interop.text import tokenizer_of_folder

        return tokenizer_of_folder(Path(str(self.weights)))

    def own_conflicts(self, where: str, task: str) -> Iterator[str]:
        from ...config.foreign.own_words import safetensors_header

        yield from super().own_conflicts(where, task)
        path = Path(str(self.weights))
        if path.is_file() and is_safetensors(path) and "passport" in safetensors_header(path).get("__metadata__", {}):
            yield f"{where}.weights={self.weights}: weights of this project, which {where}=small reads"
