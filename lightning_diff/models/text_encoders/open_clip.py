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
    from ...nets.tokenizers.clip import Tokenizer

SAID = (
    "quick_gelu",
    "mean",
    "std",
    "interpolation",
)  # what a tag says; pictures are square, so resize_mode changes nothing
USUAL_INTERPOLATION = "bicubic"


@choice("text", "open_clip")
class OpenClipTextEncoder(TextEncoderSpec):
    """Any `model` that open_clip knows by name (Ilharco et al. 2021), with its `weights` in a local safetensors file. `tag` says
    which of the pretrained weights they are, as open_clip lists them: the activation, the normalisation of pictures and the
    interpolation belong to the tag. It can be left out where all tags of the model agree."""

    model: str = "ViT-B-32"
    tag: str | None = None

    def open(self, path: Path) -> Tower:
        from ...nets.text import Tower
        from ...nets.weights import load_state, read_state

        tower = Tower(self.described())
        load_state(tower.model, read_state(path), path, f" (text.model={self.model})")
        return tower

    def described(self) -> dict[str, Any]:
        return {"open_clip": self.model, **self._said(self._architecture())}

    def tokenizer(self) -> Tokenizer:
        from ...nets.tokenizers.clip import OpenClipTokenizer

        self._architecture()
        return OpenClipTokenizer(self.model)

    def _architecture(self) -> dict[str, Any]:
        """open_clip's config of the model. Raises ConfigError if it is none that is read here."""
        import open_clip

        if self.model not in (known := open_clip.list_models()):
            raise ConfigError(f"text.model={self.model}: open_clip has no such model; {nearest(self.model, known)}")
        config: Any = open_clip.get_model_config(self.model)
        text, said = config["text_cfg"], f"text.model={self.model}"
        if other := text.get("hf_tokenizer_name") or text.get("hf_model_name"):
            raise ConfigError(f"{said}: its tokenizer is {other}; only CLIP's byte pairs are read here")
        if "multimodal_cfg" in config:
            raise ConfigError(f"{said}: a CoCa, which also writes captions; only CLIP models are read here")
        return dict(config)

    def _said(self, config: dict[str, Any]) -> dict[str, Any]:
        """What the tag says of the activation and of the pictures. Raises ConfigError if there is no such tag, or if one must
        be named."""
        import open_clip

        tags = open_clip.list_pretrained_tags_by_model(self.model)
        where = f"text.model={self.model}"
        if self.tag is not None and self.tag not in tags:
            hint = nearest(self.tag, tags) if tags else "it has none"
            raise ConfigError(f"text.tag={self.tag}: {where} has no such tag; {hint}")
        found = {tag: _of_tag(open_clip.get_pretrained_cfg(self.model, tag)) for tag in tags}
        if self.tag is None and len({str(f) for f in found.values()}) > 1:
            raise ConfigError(
                f"text.tag: {where} has weights that differ in their settings; say which: {', '.join(tags)}"
            )
        said = found.get(self.tag or next(iter(tags), ""), {"quick_gelu": bool(config.get("quick_gelu"))})
        if config.get("quick_gelu") and not said["quick_gelu"]:
            raise ConfigError(
                f"text.tag={self.tag}: was not trained with {where}'s QuickGELU; leave -quickgelu out of it"
            )
        return {**said, **({"tag": self.tag} if self.tag else {})}

    def own_conflicts(self, where: str, task: str) -> Iterator[str]:
        if self.weights is None:
            yield (
                f"{where}.model={self.model}: its weights must be a local file, {where}.weights=/path/to/model.safetensors"
            )
        elif os.path.isdir(self.weights):
            yield f"{where}.weights={self.weights}: a folder, which text=folder reads; {where}=open_clip reads a file"
        yield from super().own_conflicts(where, task)


def _of_tag(config: dict[str, Any]) -> dict[str, Any]:
    """What our tower needs of a tag's settings; open_clip leaves out what is usual."""
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    usual = {"quick_gelu": False, "mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}
    found = {**usual, "interpolation": USUAL_INTERPOLATION, **config}
    return {name: list(v) if isinstance(v := found[name], tuple | list) else v for name in SAID}
