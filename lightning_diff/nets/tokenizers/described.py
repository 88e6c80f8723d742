"""The tokenizer of a tower, from the tower's description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .clip import OpenClipTokenizer, Tokenizer
from .files import FileTokenizer


def tokenizer_of(config: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of the tower that `config` describes: that of an open_clip model, the one that came with the weights, or
    this project's own."""
    if name := config.get("open_clip"):
        return OpenClipTokenizer(name)
    length = config["text"]["context_length"]
    if described := config.get("tokenizer"):
        return FileTokenizer(length, described)
    return Tokenizer(length, config.get("vocabulary"), config.get("pad", 0))
