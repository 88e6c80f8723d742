"""What the report shows besides the sweep is read again from the run's folder, and never if it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import pytest
import torch

from lightning_diff.nets.weights import save_arrays
from lightning_diff.pipeline.reports.kept import KEPT, SAID, SUM, kept

TEXT = json.dumps({"prompts": ["a mug"], "film": "a mug", "scale": 3.0, "contact": ["a red mug"], "guided": {}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    arrays = {"contact": torch.zeros(1, 3, 8, 8, dtype=torch.uint8), SUM: torch.tensor(crc32(TEXT.encode()))}
    (tmp_path / SAID).parent.mkdir()
    (tmp_path / SAID).write_text(TEXT)
    save_arrays(tmp_path / KEPT, arrays)
    return tmp_path


def test_what_is_whole_is_shown(folder: Path) -> None:
    found = kept([folder], {})
    assert found["captions"] == ["a mug"] and [caption for _, caption in found["contact"]] == ["a red mug"]


@pytest.mark.parametrize(
    "damaged", [TEXT.replace("contact", "contacu"), TEXT.replace("red", "rad"), "[1]", "", "\0" * 99]
)
def test_damaged_words_are_not_shown(folder: Path, damaged: str, caplog: pytest.LogCaptureFixture) -> None:
    (folder / SAID).write_text(damaged)
    assert not any(kept([folder], {}).values())
    assert "kept.json: damaged" in caplog.text
