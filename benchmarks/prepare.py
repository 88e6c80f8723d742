"""The time to prepare large pictures: python benchmarks/prepare.py [--quick] [--json FILE]

A folder of JPEGs of 12 megapixels is prepared for training at 64 and 256 px: read, hashed, decoded, cropped, resized, and
written into shards. The peer is a plain loop of Pillow, as scripts of this kind have it: open, exif_transpose, convert, LANCZOS,
save as PNG.
Several rounds in turns; the ratio is of the medians. Writes benchmarks/results/prepare.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageOps

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from lightning_diff.data.sources.folder import Folder  # noqa: E402


def photographs(folder: Path, count: int, width: int, height: int) -> None:
    """JPEGs with the detail of photographs: noise of several scales. Each is another one."""
    draw = np.random.default_rng(0)
    layers = [
        Image.fromarray(draw.integers(0, 255, (height // s, width // s, 3), np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for s in (4, 32, 256)
    ]
    base = Image.blend(Image.blend(layers[1], layers[2], 0.5), layers[0], 0.15)
    for i in range(count):
        picture = base.copy()
        picture.paste((i % 256, i // 256, 90), (0, 0, width // 4, height // 4))
        picture.save(folder / f"{i:04d}.jpg", quality=90)
        (folder / f"{i:04d}.txt").write_text(f"picture {i}")


def here(folder: Path, out: Path, size: int) -> None:
    found = Folder(source=str(folder), image_size=size, test="none").prepare(out)
    assert len(found.splits["train"]) == len(list(folder.glob("*.jpg")))


def plain(folder: Path, out: Path, size: int) -> None:
    out.mkdir()
    for path in sorted(folder.glob("*.jpg")):
        picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS).save(out / f"{path.stem}.png", compress_level=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four small pictures, one round: does it run?")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "prepare.json")
    a = parser.parse_args()
    count, width, height, rounds = (4, 400, 300, 1) if a.quick else (48, 4000, 3000, 3)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch) / "pictures", Path(scratch) / "out"
        folder.mkdir()
        photographs(folder, count, width, height)
        for size in (64, 256):
            seconds: dict[str, list[float]] = {"here": [], "peer": []}
            for _ in range(rounds):
                for name, work in (("here", here), ("peer", plain)):
                    begin = time.perf_counter()
                    work(folder, out, size)
                    seconds[name].append((time.perf_counter() - begin) / count)
                    shutil.rmtree(out)
            ours, theirs = (statistics.median(seconds[name]) for name in ("here", "peer"))
            case = f"{width} x {height} to {size} px"
            rows.append(
                {
                    "case": case,
                    "unit": "s a picture",
                    "here": ours,
                    "peer": theirs,
                    "peer_name": "plain Pillow",
                    "ratio": theirs / ours,
                }
            )
            print(
                f"{case}: {ours:.4f} s a picture here, {theirs:.4f} with plain Pillow: {theirs / ours:.1f} times as fast"
            )
    facts = {
        "device": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "pictures": count,
        "rounds": rounds,
        "pillow": PIL.__version__,
    }
    a.json.parent.mkdir(exist_ok=True)
    a.json.write_text(json.dumps({"passport": facts, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
