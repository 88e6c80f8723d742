"""A sweep as the mirrors are told of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lightning_diff.config.schema import Config
from lightning_diff.pipeline.tracked import tracked_run
from lightning_diff.tracking.base import Sweep
from lightning_diff.tracking.mirrors import Mirrors


def open_mirrors(config: Config, folder: Path, job: str = "train") -> Mirrors:
    """All that a run of this config has."""
    return Mirrors(config.tracking.trackers, tracked_run(config, folder, job))


def made_sweep(folder: Path, *guiders: str, scales: tuple[float, ...] = (3.0, 1.0)) -> Sweep:
    """Of each guider at each scale, FID = 1 + w, with files as a finished run has them."""
    rows = [
        {"guider": g, "ema": 0.0, "scale": w, "n": 4, "fid": 1.0 + w, "fid_std": 0.1, "clip_score": 20.0}
        | {"passport": {"weights": "abc123", "w": w}}
        for g in guiders
        for w in scales
    ]
    grid, report = folder / "figures" / "grid-w1.png", folder / "report.html"
    grid.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(grid)
    report.write_text("<p>report</p>")
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "sweep.csv").write_text("scale,fid\n1,2\n")
    (folder / "sweep.json").write_text("{}")
    pictures = [np.stack([np.full((3, 8, 8), 2 * i + k, np.uint8) for k in (0, 1)]) for i in range(len(rows))]
    best = min(rows, key=lambda r: float(r["fid"]))  # type: ignore[arg-type]
    return Sweep(rows, best, 5, pictures, ["a mug", "a chair"], [grid], report)
