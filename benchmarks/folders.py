"""FID of two folders here, by torch-fidelity and by clean-fid: python benchmarks/folders.py [--quick] [--json FILE]

The same pictures and the same Inception file for all three. The Inception has random weights: its distances mean nothing, but
they must agree. torch-fidelity reads the folders with its own command's function. Of clean-fid (`pip install clean-fid`; its rows
are left out without it), the reader of folders, the resizer, the distance and KID are used, over the same net, because its
weights cannot be fetched at run time. The ratio is the peer's number over ours. Writes benchmarks/results/folders.json.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import lightning_diff  # noqa: E402
from tests.evaluation.test_features import random_inception  # noqa: E402

NAMES = {"fid": "frechet_inception_distance", "kid": "kernel_inception_distance_mean"}
NAMES |= {"precision": "precision", "recall": "recall"}


def draw(folder: Path, count: int, seed: int) -> Path:
    """Pictures with the detail of photographs; those of another seed are of other colours."""
    folder.mkdir()
    generator = np.random.default_rng(seed)
    for i in range(count):
        layers = [
            Image.fromarray(generator.integers(0, 255 - 60 * seed, (96 // s, 120 // s, 3), np.uint8)).resize((120, 96))
            for s in (3, 24)
        ]
        Image.blend(*layers, 0.6).save(folder / f"{i:03d}.png")
    return folder


def here(a: Path, b: Path, weights: Path, *more: str) -> dict[str, float]:
    words = ["evaluation/features=inception", f"evaluation.features.weights={weights}", *more]
    words += ["evaluation.metrics=[fid,kid,precision_recall,clip_score]", "training.accelerator=cpu"]
    return lightning_diff.evaluate_pictures(a, b, overrides=words).values


def fidelity(a: Path, b: Path, weights: Path, n: int, crop: int = 0) -> dict[str, float]:
    """torch-fidelity's numbers; KID of one subset that is the whole set."""
    from torch_fidelity import calculate_metrics

    found = calculate_metrics(
        input1=str(a),
        input2=str(b),
        fid=True,
        kid=True,
        kid_subsets=1,
        kid_subset_size=n,
        prc=True,
        feature_extractor="inception-v3-compat",
        feature_layer_prc="2048",  # its own choice would be VGG
        feature_extractor_weights_path=str(weights),
        samples_resize_and_crop=crop,
        cuda=False,
        cache=False,
        verbose=False,
        batch_size=8,
    )
    return {name: found[theirs] for name, theirs in NAMES.items()}


def clean(a: Path, b: Path, weights: Path, n: int) -> dict[str, float]:
    """clean-fid's numbers in mode "clean", over torch-fidelity's net from its first layer on."""
    from cleanfid.fid import frechet_distance, get_folder_features, kernel_distance
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    net: Any = FeatureExtractorInceptionV3("fid", ["2048"], feature_extractor_weights_path=str(weights)).eval()

    def features(images: Tensor) -> Tensor:  # float32 [B, 3, 299, 299] in [0, 255]
        first = net.Conv2d_1a_3x3.register_forward_pre_hook(lambda layer, given: ((images - 128) / 128,))
        found: Tensor = net(torch.zeros(images.shape, dtype=torch.uint8))[0]
        first.remove()
        return found

    sets = [
        get_folder_features(str(x), features, num_workers=0, device=torch.device("cpu"), batch_size=8, verbose=False)
        for x in (a, b)
    ]
    stats = [x for some in sets for x in (some.mean(axis=0), np.cov(some, rowvar=False))]
    return {"fid": float(frechet_distance(*stats)), "kid": kernel_distance(*sets, num_subsets=1, max_subset_size=n)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few pictures")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "folders.json")
    asked = parser.parse_args()
    n = 8 if asked.quick else 20
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        weights = random_inception(Path(scratch) / "inception.pth")
        a, b = (draw(Path(scratch) / str(seed), n, seed) for seed in (0, 1))
        cases: list[tuple[str, str, tuple[str, ...], Callable[[], dict[str, float]]]] = [
            ("as they are", "torch-fidelity", (), lambda: fidelity(a, b, weights, n)),
            (
                "cropped to 64",
                "torch-fidelity",
                ("evaluation.features.crop=64",),
                lambda: fidelity(a, b, weights, n, 64),
            ),
        ]
        if importlib.util.find_spec("cleanfid"):
            cases.append(("clean", "clean-fid", ("evaluation.features.resize=clean",), lambda: clean(a, b, weights, n)))
        for case, peer, words, measured in cases:
            ours = here(a, b, weights, *words)
            for name, value in measured().items():
                row = {"case": f"{name}, {case}", "unit": "", "here": ours[name], "peer": value, "peer_name": peer}
                rows.append({**row, "ratio": value / ours[name] if ours[name] else float(value == ours[name])})
                print(
                    f"{row['case']:28} here {row['here']:.8g}  {peer} {value:.8g}  ratio {rows[-1]['ratio']:.8f}",
                    flush=True,
                )
    packages = ("torch", "torch-fidelity", "pillow", *(["clean-fid"] if len(cases) > 2 else []))
    passport = {"pictures": n, "machine": platform.machine()} | {p: importlib.metadata.version(p) for p in packages}
    asked.json.write_text(json.dumps({"passport": passport, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
