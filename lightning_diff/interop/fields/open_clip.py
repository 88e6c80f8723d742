"""The text encoder of single files of Stable Diffusion 2.x and XL. It has open_clip's names and no config: its words are read
from the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...config.errors import ConfigError
from ...nets.tokenizers.files import CLIPS_OWN

HEAD = 64  # the width of a head in all of open_clip's CLIP models
TOKENIZER = {**CLIPS_OWN, "pad": "!"}  # open_clip fills up with the id 0, which is this word
SHAPES = (
    "ln_final.weight",
    "token_embedding.weight",
    "positional_embedding",
    "transformer.resblocks.0.mlp.c_fc.weight",
)


def text_words(shapes: Mapping[str, list[int]], where: object) -> dict[str, Any]:
    """The fields of CLIPTextConfig that the shapes of the tensors (open_clip's names) tell. Raises ConfigError if they are those
    of a whole CLIP model, or of no text encoder."""
    if any(name.startswith("visual.") for name in shapes):
        raise ConfigError(
            f"{where}: a whole CLIP model with open_clip's names; text=open_clip with text.model= and text.tag= opens it"
        )
    if missing := [name for name in SHAPES if name not in shapes]:
        raise ConfigError(f"{where}: its text encoder has open_clip's names, but no {missing[0]}; copy the file again")
    width, words, positions, wide = (shapes[name][0] for name in SHAPES)
    layers = 1 + max(int(name.split(".")[2]) for name in shapes if name.startswith("transformer.resblocks."))
    return {
        "model_type": "clip_text_model",
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": wide,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // HEAD),
        "max_position_embeddings": positions,
        "hidden_act": "gelu",
    }
