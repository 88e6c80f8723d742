"""How many captions a text encoder cuts, and the setting that mends it: told without the weights of any net."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lightning_diff.config.errors import ConfigError
from lightning_diff.interop.text import FILE
from lightning_diff.models.text_encoders.base import TextEncoderSpec
from lightning_diff.models.text_encoders.folder import FolderTextEncoder
from lightning_diff.models.text_encoders.open_clip import OpenClipTextEncoder
from lightning_diff.models.text_encoders.small import SmallTextEncoder

NOWHERE = "/nowhere/model.safetensors"


def words(*counts: int) -> list[str]:
    """Captions that need a context of these many tokens."""
    return [" ".join(["word"] * (n - 2)) for n in counts]


def folder(path: Path, length: int) -> FolderTextEncoder:
    """A text_encoder folder whose weights cannot be read."""
    path.mkdir()
    config = {"model_type": "clip_text_model", "hidden_act": "gelu", "vocab_size": 49408}
    (path / "config.json").write_text(json.dumps({**config, "max_position_embeddings": length}))
    save_file({"text_model.embeddings.token_embedding.weight": torch.zeros(1)}, path / FILE)
    return FolderTextEncoder(weights=str(path))


@pytest.mark.parametrize(
    ("text", "counts", "said"),
    [
        (SmallTextEncoder(), (32, 31), ""),
        (SmallTextEncoder(), (), ""),
        (
            SmallTextEncoder(),
            (33, 32, 40),
            r"2 of 3 captions are longer than 32 tokens \(longest 40\): text.context_length=40",
        ),
        (SmallTextEncoder(), (77,), r"1 of 1 captions is longer than 32 tokens \(longest 77\): text.context_length=77"),
        (
            SmallTextEncoder(),
            (50, 83),
            "2 of 2 captions .*longest 83.: text.context_length=77, the most; 1 is cut then too",
        ),
        (
            SmallTextEncoder(context_length=77),
            (83,),
            "than 77 .*what follows is cut; text.context_length=77 is the most",
        ),
        (
            OpenClipTextEncoder(model="ViT-B-32", weights=NOWHERE),
            (78, 5),
            "1 of 2 .*than 77.*77 is the model's own limit",
        ),
        (
            OpenClipTextEncoder(weights=NOWHERE, more=[OpenClipTextEncoder(model="ViT-L-14", weights=NOWHERE)]),
            (83,),
            "than 77",
        ),
    ],
)
def test_the_setting_that_mends_it_is_told(text: TextEncoderSpec, counts: tuple[int, ...], said: str) -> None:
    found = text.caption_lengths(words(*counts)).message()
    assert re.search(said, found) if said else found == ""


def test_of_a_folder_the_limit_is_its_own(tmp_path: Path) -> None:
    text = folder(tmp_path / "text_encoder", 20)
    found = text.caption_lengths(words(30, 3))
    assert (found.captions, found.cut, found.longest, found.limit, found.most) == (2, 1, 30, 20, 0)
    assert "20 is the model's own limit" in found.message()
    both = SmallTextEncoder(more=[text]).caption_lengths(words(30))
    assert both.limit == 20 and "20 is the model's own limit" in both.message()


def test_a_model_with_another_tokenizer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"text.model=roberta-ViT-B-32: its tokenizer is roberta-base"):
        OpenClipTextEncoder(model="roberta-ViT-B-32", weights=NOWHERE).tokenizer()
    with pytest.raises(ConfigError, match="open_clip has no such model"):
        OpenClipTextEncoder(model="ViT-B-33", weights=NOWHERE).tokenizer()
