"""Copies the weights of finished runs into the package, as float16: python experiments/shipped/ship.py [outputs]"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from lightning_diff.config.paths import PARTS, SHIPPED, WEIGHTS
from lightning_diff.nets.weights import read_passport, read_state, save_weights
from lightning_diff.pipeline.components import EXPERIMENTS

MODEL = "shipped"


def ship(source: Path, target: Path) -> None:
    save_weights(target, read_state(source), read_passport(source), half=True)
    print(f"{target.name}: {target.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    outputs = Path(sys.argv[1] if len(sys.argv) > 1 else "outputs")
    folder = SHIPPED / "still_life"
    for part, experiment in EXPERIMENTS.items():
        if (outputs / experiment / WEIGHTS).is_file():
            ship(outputs / experiment / WEIGHTS, folder / PARTS / f"{part}.safetensors")
    if (outputs / MODEL / WEIGHTS).is_file():
        ship(outputs / MODEL / WEIGHTS, folder / WEIGHTS)
        shutil.copyfile(outputs / MODEL / "config.yaml", folder / "config.yaml")


if __name__ == "__main__":
    main()
