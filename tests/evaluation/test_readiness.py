"""Beside FID its floor, and the judge's quality: a verdict begins with what makes its numbers worthless."""

from __future__ import annotations

import pytest
import torch

from lightning_diff.evaluation.metrics.fid import Gaussian, fid_floor
from lightning_diff.evaluation.readiness import cautions


def test_the_floor_is_what_a_perfect_model_scores() -> None:
    draw = torch.Generator().manual_seed(0)
    shape = torch.randn(8, 8, generator=draw, dtype=torch.float64)
    real, made = (torch.randn(n, 8, generator=draw, dtype=torch.float64) @ shape for n in (4000, 64))
    many = [torch.randn(64, 8, generator=draw, dtype=torch.float64) @ shape for _ in range(40)]
    scores = torch.tensor([Gaussian(real).distance(some) for some in many])
    floor = fid_floor(real, 64)
    assert abs(floor - float(scores.mean())) < 3 * float(scores.std()) / 8**0.5
    assert fid_floor(real, 1000) < floor / 5 and Gaussian(real).distance(made + 9) > 20 * floor
    assert fid_floor(real, 64) == floor


@pytest.mark.parametrize(
    "fid, known, says",
    [
        (
            128.0,
            {"floor": 1.7, "recall": 0.6, "among": 128},
            "These pictures are noise: FID 128, the floor is 1.7; no scale is best yet.",
        ),
        (
            9.0,
            {"floor": 1.7, "recall": 0.03, "among": 128},
            "The judge guesses: it finds 3 % of the captions of real pictures among 128. FID, KID, precision and the CLIP score "
            "that it gives say little; train it longer (part_steps), or measure by a trained net (evaluation=inception, dinov2 "
            "or imagenet).",
        ),
        (9.0, {"floor": 1.7, "recall": 0.6, "among": 128}, ""),
        (9.0, {"scale": 1.0}, ""),
    ],
)
def test_what_makes_numbers_worthless_comes_first(fid: float, known: dict[str, float], says: str) -> None:
    assert cautions(fid, known) == says
