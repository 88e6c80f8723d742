"""Text from outside: what comes out can be written as UTF-8 and as the name of a file, and unlike texts stay unlike."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lightning_diff.cli.drawing.prompts import prompts_of
from lightning_diff.strings import clean_text, decode_text, file_stem, json_of

SAID = ["a mug", "", "a\0b", "🥑", "cafe\u0301", "a\u2028b", "\ufffd", "a\r\nb"]
TEXTS = [
    *("a large green avocado on a table", "a mug!", "a mug?", "a-mug", "a_mug", "a  mug", " a mug", "a mug\n", "a/mug"),
    *(
        "",
        ".",
        "..",
        "../../x",
        "🥑",
        "🥑🥑",
        "!!!",
        "prompt",
        "赤い" * 100,
        "赤い" * 101,
        "x" * 300,
        "\U0001d4b3" * 99,
        "é" * 99,
    ),
    *("a\0mug", "a \ud800 mug", "a \ud801 mug", "-", "--", "grid"),
]


@pytest.mark.parametrize("text", SAID)
def test_valid_text_stays_as_it_is(text: str) -> None:
    assert clean_text(text) == text and decode_text(text.encode()) == (text, True)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a \ud800 mug", "a \ufffd mug"),
        ("\udfff", "\ufffd"),
        ("a \ud83e\udd51", "a 🥑"),
        ("\udcff\udcfe x", "\ufffd\ufffd x"),
        ("caf\udcc3\udca9", "café"),  # UTF-8 that a terminal without a locale handed on byte by byte
        ("\udc80\ud800\udc00", "\ufffd\U00010000"),
    ],
)
def test_lone_surrogates_go(text: str, clean: str) -> None:
    assert clean_text(text) == clean and clean_text(clean) == clean


def test_any_text_becomes_valid() -> None:
    draw = random.Random(0)
    for _ in range(2000):
        text = "".join(chr(draw.choice([65, 0xD800, 0xDBFF, 0xDC00, 0xDCE4, 0xDFFF, 0x1F951])) for _ in range(6))
        clean_text(text).encode()


def test_bytes_that_are_not_utf_8_are_told() -> None:
    assert decode_text("caf\xe9".encode("latin-1")) == ("caf\ufffd", False)
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        assert decode_text("a red mug\n".encode(encoding)) == ("a red mug\n", True)


def test_a_prompts_file_is_decoded_as_a_caption_is(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes("a mug\r\na \u2028cat\n\n".encode("utf-16-le"))
    assert prompts_of("", str(tmp_path / "p.txt")) == ["a mug", "a \u2028cat"]


def test_what_is_no_json_is_none() -> None:
    assert [json_of(text) for text in ('{"a": [1]}', "{", "", "[" * 100_000)] == [{"a": [1]}, None, None, None]


def test_unlike_texts_have_unlike_names_that_every_file_system_takes() -> None:
    names = [file_stem(t) for t in TEXTS]
    assert len(set(names)) == len(TEXTS) and names[0] == "a-large-green-avocado-on-a-table"
    assert all(0 < len(name.encode()) <= 120 and not set("/\0\n.") & set(name) for name in names)


def test_names_fit_a_file_system_that_knows_ascii_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    names = [file_stem(t) for t in TEXTS]
    assert len(set(names)) == len(TEXTS) and all(name.isascii() for name in names)
