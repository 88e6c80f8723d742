"""Small pictures and small runs, shared by the tests. Nothing here needs the network."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

# As small as a run can be that still goes through every room.
SHORT = [
    "unet=tiny",
    "part_steps=0.0001",
    "data.train=96",
    "data.test=64",
    "training.steps=3",
    "training.batch=8",
    "training.checkpoint_every=2",
    "training.log_every=1",
    "sampler.steps=2",
    "guidance.scales=[1,3]",
    "evaluation.samples=8",
    "evaluation.grid=4",
    "tracking=disabled",
]


@pytest.fixture
def pictures_folder(tmp_path: Path) -> Path:
    """24 captioned pictures of discs and squares, as a user might have them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(24):
        picture = Image.new("RGB", (80, 72), "white")
        shape, colour = ("disc", "square")[i % 2], ("red", "green", "blue")[i % 3]
        box = (20 + i % 5, 15, 55, 50 + i % 7)
        draw = ImageDraw.Draw(picture)
        (draw.ellipse if shape == "disc" else draw.rectangle)(box, fill=colour)
        picture.save(folder / f"{i:02d}.png")
        (folder / f"{i:02d}.txt").write_text(f"a {colour} {shape}")
    return folder


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's own package where it is installed. Its pins do not go with those of constraints.txt; without it, a stand-in
    answers the same calls, and the tests ask both the same."""
    if find_spec("mlflow") is None:
        monkeypatch.syspath_prepend(str(Path(__file__).parent / "tracking" / "stand_in"))
    import mlflow

    return mlflow
