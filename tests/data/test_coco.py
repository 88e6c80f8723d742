"""COCO's pictures and captions, and the field's protocol on them (evaluation=coco30k)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import lightning_diff as ld
from lightning_diff.cli.commands import evaluate_command
from lightning_diff.config.compose import compose_config
from lightning_diff.data.incoming.coco import list_coco
from lightning_diff.evaluation.results import study_rows
from tests.evaluation.test_features import random_inception

MODEL = """
import torch

class Noise:
    def generate(self, prompts, seeds, scale):
        draw = torch.Generator().manual_seed(int(seeds[0]))
        return torch.randint(0, 256, (len(prompts), 3, 96, 128), generator=draw, dtype=torch.uint8)

def make():
    return Noise()
"""


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """24 pictures of COCO's form, two captions each; one more is named and not there, one has no caption."""
    folder = tmp_path / "val2014"
    folder.mkdir()
    images = [{"id": 100 + i, "file_name": f"COCO_val2014_{i:012d}.jpg"} for i in range(26)]
    draw = torch.Generator().manual_seed(0)
    for one in images[:25]:
        pixels = torch.randint(0, 256, (60, 90, 3), generator=draw, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / str(one["file_name"]))
    said = [
        {"image_id": one["id"], "id": 2 * n + k, "caption": f"picture {n} in words {k}"}
        for n, one in enumerate(images)
        if n != 24
        for k in range(2)
    ]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": said}))
    return tmp_path


def test_its_captions_and_what_is_left_out(coco: Path) -> None:
    listing = list_coco(coco / "val2014", coco / "captions.json")
    assert len(listing.found) == 24
    assert listing.found[3].captions == ("picture 3 in words 0", "picture 3 in words 1")
    assert sorted(one.reason for one in listing.left) == ["no caption", "no picture"]
    (coco / "other.json").write_text("[1]")
    with pytest.raises(ld.ConfigError, match="not COCO's captions"):
        list_coco(coco / "val2014", coco / "other.json")


def test_the_protocol_is_stated(coco: Path) -> None:
    words = [
        "data=coco",
        f"data.source={coco}/val2014",
        f"data.annotations={coco}/captions.json",
        "data.image_size=256",
    ]
    config = compose_config([*words, "evaluation=coco30k", f"evaluation.features.weights={coco}/captions.json"])
    assert (config.evaluation.samples, config.evaluation.features.kind) == (30000, "inception")
    assert [m.kind for m in config.evaluation.metrics] == ["fid", "clip_score"]


def test_it_runs_at_a_tiny_size_with_random_weights(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    random_inception(tmp_path / "inception.pth")
    words = [f"model={tmp_path}/model.py:make", "data=coco", f"data.source={coco}/val2014", "data.image_size=64"]
    words += [
        f"data.annotations={coco}/captions.json",
        "evaluation=coco30k",
        "evaluation.samples=16",
        "part_steps=0.0001",
    ]
    words += [f"evaluation.features.weights={tmp_path}/inception.pth", "guidance.scales=[1]", "tracking=disabled"]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *words, f"outputs={tmp_path}", f"cache={cache}", "name=measured"])
    evaluate_command()
    ((row,), _) = study_rows(tmp_path / "measured")
    assert row["passport"]["reference"]["n"] == 24 and row["passport"]["prompts"]["n"] == 16
    assert row["passport"]["resize"] == "centre square, Lanczos, 64 px"
    assert "inception" in row["passport"]["judge"]["fid_features"] and row["fid"] > 0
