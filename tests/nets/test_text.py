"""The towers: a small vocabulary is a renumbering, the end of text is found, padding and company change nothing."""

import pytest
import torch
import torch.nn.functional as F

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.models.text_encoders.small import SmallTextEncoder
from lightning_diff.nets.text import Tower, Towers
from lightning_diff.nets.tokenizers.clip import END, START, Tokenizer

CAPTIONS = ["a red apple", "", "two green pears on a wooden table, and a cup", "A Red  APPLE"]
LENGTH = 16


def tower() -> Tower:
    torch.manual_seed(8)
    config = {
        "embedding": 24,
        "vision": {"layers": 1, "width": 32, "head_width": 32, "patch_size": 8, "image_size": 16},
        "text": {"context_length": LENGTH, "width": 32, "heads": 1, "layers": 2},
        "vocabulary": Tokenizer.words_of(CAPTIONS),
    }
    return Tower(config).eval()


def test_a_small_vocabulary_is_a_renumbering() -> None:
    vocabulary = Tokenizer.words_of(CAPTIONS)
    assert vocabulary == sorted(set(vocabulary)) and vocabulary[-2:] == [START, END]
    (plain, mask), (ids, same) = (Tokenizer(LENGTH, v)(CAPTIONS) for v in (None, vocabulary))
    assert torch.equal(mask, same) and ids.dtype == torch.int64
    for row, found, m in zip(plain.tolist(), ids.tolist(), mask.tolist(), strict=True):
        assert found == [vocabulary.index(i) + 2 if seen else 0 for i, seen in zip(row, m, strict=True)]
    assert ids.max() == len(vocabulary) + 1  # the end of text, by which open_clip finds it
    assert torch.equal(ids.argmax(1), mask.sum(1) - 1)
    assert torch.equal(ids[0], ids[3])  # case and spaces say nothing


def test_unknown_words_are_one_and_are_named() -> None:
    tokenizer = Tokenizer(LENGTH, Tokenizer.words_of(CAPTIONS))
    ids, mask = tokenizer(["a red zebra", "a red apple"])
    assert ids[0].tolist().count(1) >= 1 and 1 not in ids[1].tolist()
    assert torch.equal(ids[0, :3], ids[1, :3]) and ids[0, mask[0].sum() - 1] == ids.max()
    assert "".join(tokenizer.unknown("a red zebra")) == "zebra" and tokenizer.unknown("a red apple") == []
    assert Tokenizer(LENGTH).unknown("zebra") == []


@pytest.mark.parametrize("vocabulary", [None, Tokenizer.words_of(["word"])])
def test_a_long_caption_is_cut_and_still_ends(vocabulary: list[int] | None) -> None:
    ids, mask = Tokenizer(LENGTH, vocabulary)(["word " * 99, ""])
    assert ids.shape == mask.shape == (2, LENGTH)
    assert bool(mask[0].all()) and mask[1].sum() == 2 and ids[0, -1] == ids.max() == ids[1, 1]
    assert ids[1, 2:].tolist() == [0] * (LENGTH - 2)


@pytest.mark.parametrize("vocabulary", [[], [5, START], [7, 5, START, END], [5, 5, START, END], [START, END, END + 1]])
def test_what_is_no_vocabulary_is_refused(vocabulary: list[int]) -> None:
    with pytest.raises(ValueError, match="sorted list"):
        Tokenizer(LENGTH, vocabulary)


@torch.no_grad()
def test_tower_shapes_and_lengths() -> None:
    net = tower()
    condition = net.condition(CAPTIONS)
    assert condition.tokens.shape == (4, LENGTH, 32) and condition.mask.shape == (4, LENGTH)
    images = net.image_features(torch.rand(2, 3, 16, 16) * 2 - 1)
    assert condition.pooled.shape == (4, 24) and images.shape == (2, 24)
    for features in (net.text_features(CAPTIONS), images):
        torch.testing.assert_close(features.norm(dim=1), torch.ones(len(features)))
    pooled = torch.nn.functional.normalize(condition.pooled)
    torch.testing.assert_close(pooled, net.text_features(CAPTIONS))
    larger = net.image_features(torch.rand(1, 3, 48, 48) * 2 - 1, normalize=False)
    assert larger.shape == (1, 24) and abs(larger.norm() - 1) > 1e-3


@torch.no_grad()
def test_a_caption_is_heard_alike_in_any_company() -> None:
    net = tower()
    whole = net.condition(CAPTIONS)
    for i, caption in enumerate(CAPTIONS):
        alone = net.condition([caption])
        torch.testing.assert_close(alone.tokens[0][alone.mask[0]], whole.tokens[i][whole.mask[i]], rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.pooled[0], whole.pooled[i], rtol=0, atol=1e-5)
    assert not torch.allclose(whole.pooled[0], whole.pooled[2], atol=1e-3)


@torch.no_grad()
def test_a_tower_is_built_again_from_its_config() -> None:
    net = tower()
    again = Tower(net.config)
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again.eval().text_features(CAPTIONS), net.text_features(CAPTIONS))


@torch.no_grad()
def test_a_layer_from_the_end_with_and_without_the_final_norm() -> None:
    net = tower()
    states = []
    for block in net.model.transformer.resblocks:
        block.register_forward_hook(lambda *a: states.append(a[2]))
    last = net.condition(CAPTIONS)
    for layer in (1, 2):
        for final_norm in (True, False):
            net.read_at(layer, final_norm)
            again = Tower(net.config).eval()
            again.load_state_dict(net.state_dict())
            c, expected = again.condition(CAPTIONS), states[2 - layer]
            expected = net.model.ln_final(expected) if final_norm else expected
            torch.testing.assert_close(c.tokens, expected)
            assert torch.equal(c.pooled, last.pooled)  # the pooled output is always of the end


@torch.no_grad()
def test_towers_join_what_they_say() -> None:
    one, other = tower(), tower()
    for p in other.parameters():
        p.copy_(p + 0.1 * torch.randn_like(p))
    a, b = one.condition(CAPTIONS), other.condition(CAPTIONS)
    wide = Towers([one, other], "channels", "all").condition(CAPTIONS)
    assert torch.equal(wide.tokens, torch.cat([a.tokens, b.tokens], 2)) and torch.equal(wide.mask, a.mask)
    assert torch.equal(wide.pooled, torch.cat([a.pooled, b.pooled], 1))
    long = Towers([one, other], "tokens", "last").condition(CAPTIONS)
    assert torch.equal(long.tokens, torch.cat([a.tokens, b.tokens], 1)) and torch.equal(long.pooled, b.pooled)
    assert torch.equal(long.mask, torch.cat([a.mask, b.mask], 1))
    assert Towers([one, other], "tokens", "last").unknown("a red zebra") == one.unknown("a red zebra") != []


@torch.no_grad()
def test_towers_of_unlike_sizes_are_filled_up_with_zeros() -> None:
    small, large = tower(), tower()
    text = {**large.config["text"], "width": 64, "heads": 2, "context_length": 20}
    large = Tower({**large.config, "text": text}).eval()
    a, b = small.condition(CAPTIONS), large.condition(CAPTIONS)
    wide = Towers([small, large], "channels", "all").condition(CAPTIONS)
    assert wide.tokens.shape == (4, 20, 96) and torch.equal(wide.tokens[:, :16, :32], a.tokens)
    assert torch.equal(wide.mask, b.mask) and not wide.tokens[:, 16:, :32].any()
    long = Towers([small, large], "tokens", "all").condition(CAPTIONS)
    assert long.tokens.shape == (4, 36, 64) and torch.equal(long.tokens[:, 16:], b.tokens)
    assert not long.tokens[:, :16, 32:].any()


def test_large_pictures_are_made_smaller_for_a_tower_of_ours() -> None:
    """Of 512 pixels it would attend to 4,096 squares, which takes 10 GiB in a batch of 128."""
    vision = [SmallTextEncoder().arguments(size)["vision"]["image_size"] for size in (64, 128, 200, 512)]
    assert vision == [64, 128, 128, 128]
    tower = Tower(SmallTextEncoder(vision_layers=1, layers=1).fitted(512, ["a mug"]))
    x = torch.rand(2, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1
    small = F.interpolate((x + 1) / 2, size=(128, 128), mode="bicubic", antialias=True).clamp(0, 1) * 2 - 1
    assert torch.allclose(tower.image_features(x), tower.image_features(small), atol=1e-5)
    with pytest.raises(ConfigError, match="must divide 128, the pixels that it sees"):
        compose_config(["experiment=folder", "data.source=.", "data.image_size=512", "text.patch_size=7"])
