"""Text encoders that open_clip knows by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.errors import ConfigError, nearest
from ...config.registry import choice
from .base import TextEncoderSpec

if TYPE_CHECKING:
    from ...nets.text import Tower


@choice("text", "open_clip")
class OpenClipTextEncoder(TextEncoderSpec):
    """Any `model` that open_clip knows by name (Ilharco et al. 2021), with its `weights` in a local safetensors file."""

    model: str = "ViT-B-32"

    def open(self, path: Path) -> Tower:
        from ...nets.text import Tower
        from ...nets.weights import read_state

        tower = Tower(self.described())
        try:
            tower.model.load_state_dict(read_state(path))
        except Exception as e:
            raise ConfigError(
                f"text.weights={path}: not safetensors weights of open_clip's {self.model} ({type(e).__name__})"
            ) from e
        return tower

    def described(self) -> dict[str, Any]:
        import open_clip

        if self.model not in (known := open_clip.list_models()):
            raise ConfigError(f"text.model={self.model}: open_clip has no such model; {nearest(self.model, known)}")
        config: Any = open_clip.get_model_config(self.model)
        if other := config["text_cfg"].get("hf_tokenizer_name"):
            raise ConfigError(
                f"text.model={self.model}: its tokenizer is {other}; only CLIP's byte pairs are read here"
            )
        return {"open_clip": self.model}

    def own_conflicts(self, where: str, task: str) -> Iterator[str]:
        if self.weights is None:
            yield (
                f"{where}.model={self.model}: its weights must be a local file, {where}.weights=/path/to/model.safetensors"
            )
        elif os.path.isdir(self.weights):
            yield f"{where}.weights={self.weights}: a folder, which text=folder reads; {where}=open_clip reads a file"
        yield from super().own_conflicts(where, task)
