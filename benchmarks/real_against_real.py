"""What real pictures score in place of drawn ones: python benchmarks/real_against_real.py

The reference is 2,048 held-out still lifes, as in experiment=base; the pictures are other real ones of the same distribution, by
the features of the shipped judge. A perfect model would score this: what is not 0 (or 1) is the metric's bias at so many
pictures. Prints the mean and the standard deviation over sets of n pictures. Writes benchmarks/results/real_against_real.json, or
--json FILE; --quick takes fewer pictures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from lightning_diff.config.paths import PARTS, SHIPPED
from lightning_diff.config.schema import Evaluation
from lightning_diff.data.decode import to_tensor
from lightning_diff.data.synthetic.still_life import sample
from lightning_diff.evaluation.features import features_of, judge_features
from lightning_diff.evaluation.metrics.base import SetMetric
from lightning_diff.evaluation.metrics.captions import clip_scores
from lightning_diff.models.build import load_part

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULTS / "real_against_real.json")
    arguments = parser.parse_args()
    many, counts = (256, (32, 64)) if arguments.quick else (2048, (64, 256, 1024))
    tower = load_part(SHIPPED / "still_life" / PARTS / "judge.safetensors")

    def features(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The embeddings of `count` held-out pictures, and their CLIP scores."""
        found, scores = [], []
        for at in range(0, count, 64):
            some = [sample("test", seed, i) for i in range(at, min(at + 64, count))]
            found.append(features_of(torch.stack([to_tensor(s.picture) for s in some]), judge_features(tower)))
            with torch.no_grad():
                texts = tower.text_features([s.caption for s in some])
            scores.append(clip_scores(torch.nn.functional.normalize(found[-1], dim=1), texts))
        return torch.cat(found), torch.cat(scores)

    real, _ = features(0, many)
    pool, scores = features(1, max(counts))
    metrics = [m for m in Evaluation().metrics if isinstance(m, SetMetric)]
    ready = [(metric, metric.prepare(real)) for metric in metrics]
    rows = []
    for n in counts:
        values: dict[str, list[float]] = {"clip_score": []}
        for at in range(0, max(counts) - n + 1, n)[:8]:
            values["clip_score"].append(float(scores[at : at + n].mean()))
            for metric, prepared in ready:
                for name, value in metric.compare(prepared, pool[at : at + n]).items():
                    if not getattr(value, "ndim", 0):
                        values.setdefault(name, []).append(float(value))
        for name, every in values.items():
            mean, std = float(np.mean(every)), float(np.std(every, ddof=1)) if len(every) > 1 else None
            print(f"n = {n:5} {name:18} {mean:10.4f} ± {std or 0.0:.4f} ({len(every)} sets)", flush=True)
            row = {"case": f"{name}, n = {n}", "unit": "", "here": mean, "std": std}
            rows.append({**row, "peer": None, "peer_name": "", "ratio": None})
    if not arguments.quick:
        passport = {"torch": torch.__version__, "reference": len(real), "features": real.shape[1], "judge": "shipped"}
        arguments.json.write_text(json.dumps({"passport": passport, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
