"""Prompts: a file's lines, and what sample.py says and writes for prompts of every kind."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from lightning_diff.cli.drawing import sample as module
from lightning_diff.cli.drawing.prompts import prompts_of
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.schema import Config
from lightning_diff.nets.tokenizers.clip import Tokenizer


@pytest.mark.parametrize(
    ("data", "prompts"),
    [
        (b"a mug\nan apple\n", ["a mug", "an apple"]),
        (b"a mug\r\nan apple", ["a mug", "an apple"]),
        (b"\xef\xbb\xbfa mug\n", ["a mug"]),
        ("a mug\n".encode("utf-16"), ["a mug"]),
        (b"\n\n  a mug  \n \r\n", ["a mug"]),
        *((f"a{c}mug\nb".encode(), [f"a{c}mug", "b"]) for c in "\u2028\u2029\x85\v\f\x1c\x1d\x1e\r"),
        (b"a\0mug", ["a\0mug"]),
    ],
)
def test_a_line_ends_at_a_line_feed_and_at_nothing_else(tmp_path: Path, data: bytes, prompts: list[str]) -> None:
    (tmp_path / "prompts.txt").write_bytes(data)
    assert prompts_of("", str(tmp_path / "prompts.txt")) == prompts


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p").write_bytes(b"a mug\ncaf\xe9\n[/b] tea\n")
    assert prompts_of("", str(tmp_path / "p")) == ["a mug", "caf\ufffd", "[/b] tea"]
    assert "line 2 is not UTF-8" in " ".join(capsys.readouterr().out.split())


def test_a_prompt_is_made_valid() -> None:
    assert prompts_of("a \udcff mug", "") == ["a \ufffd mug"]


def test_no_prompt_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"\xef\xbb\xbf\n \n")
    for words, said in [
        (("", ""), "say what to draw"),
        (("a", "p"), "one of them"),
        (("", str(tmp_path / "p")), "no prompt in it"),
    ]:
        with pytest.raises(ConfigError, match=said):
            prompts_of(*words)


class Model:
    """Draws black pictures, and reads prompts as a tower of eight tokens does."""

    text_encoder = SimpleNamespace(read=Tokenizer(8).read, unknown=lambda prompt: [])

    sampler, device = Config().sampler, torch.device("cpu")

    def generate(self, prompts: list[str], *_: Any) -> torch.Tensor:
        return torch.zeros(len(prompts), 3, 16, 16, dtype=torch.uint8)


def test_prompts_of_every_kind_are_drawn_and_what_is_cut_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "generator_of", lambda *_: Model())
    prompts = [
        "a red mug",
        "a mug!",
        "a mug?",
        "🥑" * 90,
        "赤い" * 90,
        "!!!",
        "...",
        "../x",
        "a\0b",
        "[/b] [red]",
        ":cat:",
    ]
    prompts += ["a red mug on a small wooden table", "x " * 900, "a\u2028b", "<end_of_text> tea", "a \ufffd", "$x_"]
    module.sample(Config(), tmp_path, prompts, 2, tmp_path / "out")
    said = " ".join(capsys.readouterr().out.split())
    assert "'a red mug on a small wooden table': 8 of its 10 tokens are read; cut: wooden table" in said
    files = {p.name for p in (tmp_path / "out").iterdir()}
    assert len(files) == 2 * len(prompts) + 1 and {"a-red-mug-0.png", "a-red-mug-1.png", "grid.png"} <= files
    assert all(Image.open(p).size for p in (tmp_path / "out").iterdir())
