"""The tokenizer: open_clip's ids, the marks are no words of a caption, and what is cut is said."""

from __future__ import annotations

import random
import string
import time

import numpy as np
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer

from lightning_diff.nets.text import Tower, Towers
from lightning_diff.nets.tokenizers.clip import END, START, UNKNOWN, Tokenizer

CAPTIONS = [
    "a red apple",
    "",
    "  ",
    "two green pears on a wooden table, and a cup",
    "A Red  APPLE",
    "it's 1,000 €",
    "🥑",
]
CAPTIONS += [
    "a &amp;amp; b &lt;i&gt;",
    "cafe\u0301",
    "\uff32\uff25\uff24",
    "赤いマグカップ",
    "كوب أحمر",
    "red\u200bmug",
    "a\0b",
    "a\x85b\u2028c",
    "Ã©",
]
MARKS = ["<start_of_text>", "<end_of_text>", "<END_OF_TEXT>", "&lt;end_of_text&gt;", "<|endoftext|>", "<|startoftext|>"]
MARKS += ["[PAD]", "<pad>", "</s>", "[?]"]


def numbered(count: int) -> str:
    return " ".join(f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(count))


def test_ids_are_open_clips() -> None:
    draw, letters = random.Random(0), string.printable + "äß€é🥑あ\u2019\u201c\u00a0\u0301"
    many = CAPTIONS + ["".join(draw.choices(letters, k=draw.randint(0, 60))) for _ in range(500)]
    assert torch.equal(Tokenizer(24)(many)[0], SimpleTokenizer(context_length=24)(many))
    bpe = SimpleTokenizer()
    assert Tokenizer(24).lengths(many).tolist() == [len(bpe.encode(c)) + 2 for c in many]
    assert Tokenizer.words_of(many) == sorted({i for c in many for i in bpe.encode(c)} | {START, END})


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("caption", ["{} a mug", "a {} mug", "a<{}> mug", "a mug {}", "{}{}"])
def test_a_mark_in_a_caption_is_text(mark: str, caption: str) -> None:
    caption = caption.replace("{}", mark)
    tokenizer = Tokenizer(40)
    ids, mask = tokenizer([caption])
    said = ids[0][mask[0]].tolist()
    assert said[0] == START and said[-1] == END and not {START, END} & set(said[1:-1])
    heard = tokenizer.read(caption).text.replace(" ", "")
    assert heard == caption.replace(" ", "").lower().replace("&lt;", "<").replace("&gt;", ">")


def test_a_lone_surrogate_is_read_as_what_replaces_it() -> None:
    tokenizer = Tokenizer(16)
    assert torch.equal(*(tokenizer([c])[0] for c in ("a \ud800 mug", "a \ufffd mug")))
    assert tokenizer.read("a \ud800 mug").text == "a \ufffd mug"


@pytest.mark.parametrize("length", [8, 32, 77])
def test_what_is_cut_is_said(length: int) -> None:
    tokenizer = Tokenizer(length)
    for caption in (*CAPTIONS, "word " * 300, numbered(200), "赤いマグカップ" * 60, "🥑 " * 90, "x" * 5000):
        read = tokenizer.read(caption)
        assert read.kept == int(tokenizer([caption])[1].sum()) == min(read.tokens, length)
        assert bool(read.cut) == (read.tokens > length) and read.tokens == tokenizer.lengths([caption])[0]
    words = numbered(200).split()
    read = tokenizer.read(" ".join(words))
    cut = read.cut.split()
    assert cut == words[-len(cut) :]
    kept = read.text.split()
    assert kept[: 200 - len(cut)] == words[: 200 - len(cut)]  # of the next word, a part may have been read


def test_a_word_that_is_read_in_part_is_cut() -> None:
    whole = "a photograph of antidisestablishmentarianism, today"
    room = len(SimpleTokenizer().encode("a photograph of")) + 2
    assert Tokenizer(room).read(whole).cut == "antidisestablishmentarianism, today"
    assert Tokenizer(room + 2).read(whole).cut == "antidisestablishmentarianism, today"
    sentence = "赤いマグカップ" * 60  # no blanks, so a part of it is told
    read = Tokenizer(32).read(sentence)
    assert sentence.endswith(read.cut) and 0 < len(read.cut) < len(sentence) - 10
    assert sentence.startswith(read.text.rstrip("\ufffd"))


def test_words_that_a_vocabulary_lacks_are_shown() -> None:
    tokenizer = Tokenizer(16, Tokenizer.words_of(["a red apple on a table"]))
    assert tokenizer.read("a red zebra on a table").text == f"a red {UNKNOWN} on a table"


def test_of_several_towers_the_shortest_is_told() -> None:
    text = {"width": 32, "heads": 1, "layers": 1}
    vision = {"layers": 1, "width": 32, "head_width": 32, "patch_size": 8, "image_size": 16}
    short, long = (Tower({"embedding": 8, "vision": vision, "text": {**text, "context_length": n}}) for n in (8, 16))
    caption = numbered(40)
    for join in ("channels", "tokens"):
        assert Towers([long, short], join, "all").read(caption) == short.read(caption) == Tokenizer(8).read(caption)


def test_many_captions_are_counted_in_a_moment() -> None:
    captions = [
        f"a {c} mug, number {i}, on a wooden table by the window" for i in range(10_000) for c in ("red", "blue")
    ]
    start = time.process_time()
    lengths = Tokenizer(32).lengths(captions)
    assert lengths.dtype == np.int64 and time.process_time() - start < 3
    start = time.process_time()
    Tokenizer(32).lengths(["".join(random.Random(0).choices(string.ascii_lowercase, k=8000))])
    assert time.process_time() - start < 5
