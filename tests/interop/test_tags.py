"""open_clip's models: an architecture's name is not enough, and the tokenizer is that of the model."""

from __future__ import annotations

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU

from lightning_diff.config.errors import ConfigError
from lightning_diff.models.text_encoders.open_clip import OpenClipTextEncoder
from lightning_diff.nets.text import Tower
from lightning_diff.nets.tokenizers.clip import OpenClipTokenizer
from tests.interop.prompts import PROMPTS

NOWHERE = "/nowhere/model.safetensors"


def spec(model: str, tag: str | None = None) -> OpenClipTextEncoder:
    return OpenClipTextEncoder(model=model, tag=tag, weights=NOWHERE)


def test_every_tag_is_read_as_open_clip_reads_it_or_refused() -> None:
    read = 0
    for model, tag in open_clip.list_pretrained():
        said = open_clip.get_pretrained_cfg(model, tag)
        try:
            found = spec(model, tag).described()
        except ConfigError as e:
            assert "only CLIP" in str(e) or "-quickgelu" in str(e), (model, tag, str(e))
            continue
        read += 1
        assert found["quick_gelu"] == said.get("quick_gelu", False), (model, tag)
        assert tuple(found["mean"]) == tuple(said.get("mean", open_clip.OPENAI_DATASET_MEAN))
        assert found["interpolation"] == said.get("interpolation", "bicubic") and found["tag"] == tag
    assert read > 100


def test_a_tag_is_asked_for_where_the_weights_differ() -> None:
    with pytest.raises(
        ConfigError, match=r"text\.tag: text\.model=ViT-L-14 has weights that differ.*laion2b_s32b_b82k"
    ):
        spec("ViT-L-14").described()
    with pytest.raises(ConfigError, match=r"text\.tag=laion: .*no such tag"):
        spec("ViT-L-14", "laion").described()
    with pytest.raises(ConfigError, match="a CoCa"):
        spec("coca_ViT-B-32", "mscoco_finetuned_laion2b_s13b_b90k").described()
    assert spec("ViT-L-14", "laion2b_s32b_b82k").described()["mean"] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("tag", "quick"), [("openai", True), ("laion2b_s34b_b79k", False)])
def test_a_tower_has_the_tags_activation_and_normalisation(
    tag: str, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ViT-B-32 of OpenAI has QuickGELU, which the architecture's name does not say. A small net stands for it."""

    def small(name: str, force_quick_gelu: bool, **_: object) -> open_clip.CLIP:
        vision = {"layers": 1, "width": 64, "head_width": 32, "patch_size": 16, "image_size": 32}
        text = {"context_length": 77, "width": 8, "heads": 1, "layers": 3}
        return open_clip.CLIP(8, vision, text, quick_gelu=force_quick_gelu)

    monkeypatch.setattr(open_clip, "create_model", small)
    described = spec("ViT-B-32", tag).described()
    tower = Tower(described)
    assert any(isinstance(m, QuickGELU) for m in tower.model.transformer.modules()) == quick
    assert tower.mean.flatten().tolist() == pytest.approx(described["mean"])
    assert tower.tokenizer.context_length == 77 and tower.layers == 3


@pytest.mark.parametrize("model", ["ViT-B-32", "MobileCLIP-S1", "ViT-H-14"])
def test_ids_are_open_clips_for_odd_characters(model: str) -> None:
    ids, _ = OpenClipTokenizer(model)(PROMPTS)
    assert torch.equal(ids, open_clip.get_tokenizer(model)(PROMPTS))
