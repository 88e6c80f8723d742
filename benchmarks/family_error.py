"""How often a sweep of equal scales calls at least one of them worse: python benchmarks/family_error.py

All scales have the same true value. A row is a number of scales and a way to draw: 256 pictures each, 512 further pictures with
evaluation.extra, or evaluation.until=decided from 64 pictures on, with 2,048 captions. At most 5 % may err. The peer is an
interval of 95 % for each scale alone. Values are normal, or as captions of one object are: 0 or 1 (88 % are obeyed), 40 % of the
prompts state nothing, and 42 contents repeat, of which each scale likes others. Writes benchmarks/results/family_error.json, or
--json FILE; --quick makes fewer sweeps.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lightning_diff.evaluation.statistics.adaptive import ERROR, allocate, compared, growing_looks, planned_looks

RESULTS = Path(__file__).parent / "results"
PROMPTS, CONTENTS, SINGLE = 2048, 42, 0.6
Values = tuple[np.ndarray, np.ndarray | None]  # [cases, PROMPTS], the clusters of the prompts


def normal(cases: int, draw: np.random.Generator) -> Values:
    """Half of the variance belongs to the prompt, which all scales share."""
    return draw.normal(size=(1, PROMPTS)) + draw.normal(size=(cases, PROMPTS)), None


def obeyed(cases: int, draw: np.random.Generator) -> Values:
    """1 where a picture shows what its caption says, 0 where it does not, nan where it has two objects."""
    clusters = draw.integers(0, CONTENTS, PROMPTS)
    content = draw.normal(size=(1, CONTENTS)) + 0.25 * draw.normal(size=(cases, CONTENTS))
    ease = content[:, clusters] + draw.normal(size=(1, PROMPTS)) + draw.normal(size=(cases, PROMPTS))
    values = (ease > -2.05).astype(float)  # 88 %
    values[:, draw.random(PROMPTS) > SINGLE] = np.nan
    return values, clusters


def swept(way: str, values: np.ndarray, clusters: np.ndarray | None) -> tuple[dict[str, np.ndarray], list[int]]:
    """Draw a sweep in this way: each scale's values, and the numbers of pictures at which they were compared."""
    names = [str(i) for i in range(len(values))]

    def look(counts: dict[str, int]) -> dict[str, np.ndarray]:
        return {name: values[int(name)][:n] for name, n in counts.items()}

    if way == "256 pictures":
        return look(dict.fromkeys(names, 256)), []
    if way == "extra=512":
        looks = planned_looks(256, PROMPTS, 512, min(64, max(1, 512 // (2 * len(names)))))
        return look(allocate(names, looks, 512, look, clusters)), looks
    looks = growing_looks(64, PROMPTS, 32)
    return look(allocate(names, looks, None, look, clusters, until_decided=True)), looks


def alone(found: dict[str, np.ndarray]) -> bool:
    """Whether an interval of 95 % for each pair with the best scale alone calls a scale worse, as if prompts were independent."""
    means = {name: float(np.nanmean(v)) for name, v in found.items()}
    best = max(means, key=lambda name: means[name])
    for name, v in found.items():
        n = min(len(v), len(found[best]))
        d = (v[:n] - found[best][:n])[np.isfinite(v[:n] - found[best][:n])]
        if name != best and d.mean() + 1.96 * d.std(ddof=1) / len(d) ** 0.5 < 0:
            return True
    return False


def errors(
    make: Callable[[int, np.random.Generator], Values], cases: int, way: str, sweeps: int
) -> tuple[float, float, float]:
    """The share of sweeps with an error: of ours, and of an interval for each scale alone; and the pictures of a sweep."""
    ours, naive, drawn = 0, 0, 0
    for seed in range(sweeps):
        values, clusters = make(cases, np.random.default_rng(seed))
        found, looks = swept(way, values, clusters)
        ours += any(high < 0 for _, _, high in compared(found, looks, clusters)[1].values())
        naive += alone(found)
        drawn += sum(map(len, found.values()))
    return ours / sweeps, naive / sweeps, drawn / sweeps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sweeps", type=int, default=300)
    parser.add_argument("--json", type=Path, default=RESULTS / "family_error.json")
    arguments = parser.parse_args()
    sweeps, rows = 20 if arguments.quick else arguments.sweeps, []
    print(f"{'values':8} {'scales':>6} {'drawn':18} {'wrong, here':>12} {'each alone':>12} {'pictures':>10}")
    for make in (normal, obeyed):
        for cases in (2, 7, 12):
            for way in ("256 pictures", "extra=512", "until=decided"):
                here, peer, drawn = errors(make, cases, way, sweeps)
                print(f"{make.__name__:8} {cases:6} {way:18} {here:12.1%} {peer:12.1%} {drawn:10.0f}", flush=True)
                row = {"case": f"{make.__name__}, {cases} scales, {way}", "unit": "share of sweeps with an error"}
                ratio = peer / here if here else None
                rows.append({**row, "here": here, "peer": peer, "peer_name": "an interval for each", "ratio": ratio})
    if not arguments.quick:
        passport = {"numpy": np.__version__, "sweeps": sweeps, "error": ERROR, "prompts": PROMPTS, "contents": CONTENTS}
        arguments.json.write_text(json.dumps({"passport": passport, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
