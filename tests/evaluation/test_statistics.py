"""Scores against closed forms and against what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance

from lightning_diff.evaluation.component_metrics import correct, correct_heads, psnr, recall_at_1
from lightning_diff.evaluation.metrics.captions import clip_scores, obeyed
from lightning_diff.evaluation.metrics.coverage import Diversity, PrecisionRecall
from lightning_diff.evaluation.metrics.fid import FID, Gaussian, fid_infinity
from lightning_diff.evaluation.metrics.kernels import CMMD, KID
from lightning_diff.evaluation.results import silent
from lightning_diff.nets.attributes import AttributeClassifier


def frechet_distance(real: torch.Tensor, made: torch.Tensor) -> float:
    return Gaussian(real).distance(made)


def kernel_distance(real: torch.Tensor, made: torch.Tensor) -> float:
    return KID().compare(real, made)["kid"]


def gaussian(n: int, mean: float, std: torch.Tensor, seed: int) -> torch.Tensor:
    """n points whose *sample* mean and covariance are exactly mean and diag(std^2)."""
    x = torch.randn(n, len(std), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(dim=0)
    white = x @ torch.linalg.inv(torch.linalg.cholesky(x.T.cov())).T
    return white * std + mean


def test_frechet_distance_of_gaussians_is_the_closed_form() -> None:
    a_std, b_std = torch.linspace(0.5, 1.5, 16).double(), torch.linspace(1.2, 0.3, 16).double()
    a, b = gaussian(500, 0.0, a_std, 0), gaussian(400, 0.25, b_std, 1)
    expected = 16 * 0.25**2 + float((a_std - b_std).square().sum())
    assert abs(frechet_distance(a, b) - expected) < 1e-3 * expected


def test_frechet_distance_is_zero_of_a_set_with_itself_and_never_negative() -> None:
    x = gaussian(200, 0.0, torch.ones(8).double(), 0)
    assert frechet_distance(x, x) < 1e-4
    flat = torch.zeros(50, 8)
    flat[:, 0] = torch.arange(50)
    assert 0 <= frechet_distance(flat, flat) < 1e-2


def test_clip_score_is_100_cos() -> None:
    a = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), dim=1)
    b = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert torch.allclose(clip_scores(a, b), torch.tensor([100.0, 70.7107]), atol=1e-3)


def test_psnr_and_recall_by_hand() -> None:
    a = torch.full((2, 3, 4, 4), 100, dtype=torch.uint8)
    assert abs(psnr(a, a + 10) - 28.1308) < 1e-3  # 20 log10(255 / 10)
    eye = torch.eye(8)
    assert recall_at_1(eye, eye) == 1.0
    assert recall_at_1(eye, eye.roll(1, dims=0)) == 0.0


def test_an_attribute_that_the_caption_does_not_state_cannot_be_wrong() -> None:
    torch.manual_seed(0)
    net = AttributeClassifier({"count": 2, "colour": 3}, width=8).eval()
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        said = {k: v.argmax(dim=1) for k, v in net(images.float() / 127.5 - 1).items()}
        assert correct(net, images, said).all()
        wrong = {**said, "colour": (said["colour"] + 1) % 3}
        assert not correct(net, images, wrong).any()
        silent = {**said, "colour": torch.full((6,), -1)}
        assert correct(net, images, silent).all()
        found = obeyed({f"right.{k}": v for k, v in correct_heads(net, images, wrong).items()}, wrong)
    means = {k: float(v.nanmean()) for k, v in found.items() if v.isfinite().any()}
    assert means["accuracy"] == 0.0 and means["accuracy_count"] == 1.0 and means["accuracy_colour"] == 0.0


@pytest.fixture
def sets() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(3)
    mix = torch.randn(24, 24, generator=g)
    real = torch.randn(300, 24, generator=g) @ mix
    return real, (0.8 * torch.randn(300, 24, generator=g) + 0.3) @ mix


class Given(torch.nn.Module):
    """Stands where torchmetrics expects a feature net, for features that are already there."""

    num_features = 24

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


@pytest.mark.parametrize("count", [300, 20])  # more and fewer pictures than features
def test_fid_is_torchmetrics_and_torch_fidelitys(sets: tuple[torch.Tensor, torch.Tensor], count: int) -> None:
    real, made = sets[0], sets[1][:count]
    found = frechet_distance(real, made)
    expected = fid_statistics_to_metric(*(fid_features_to_statistics(s) for s in (real, made)), verbose=False)
    assert abs(found - float(next(iter(expected.values())))) < 1e-5 * found
    metric = FrechetInceptionDistance(feature=Given()).set_dtype(torch.float64)
    metric.update(real.double(), real=True)
    metric.update(made.double(), real=False)
    assert abs(found - float(metric.compute())) < 1e-5 * found


def test_kid_is_torch_fidelitys(sets: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Its subsets taken as large as the set are the whole set, in another order."""
    real, made = sets
    theirs = kid_features_to_metric(made, real, kid_subsets=1, kid_subset_size=300, rng_seed=0, verbose=False)
    found = kernel_distance(real, made)
    assert abs(found - theirs["kernel_inception_distance_mean"]) < 1e-6 * abs(found)
    assert abs(kernel_distance(real[:150], real[150:])) < 0.1 * abs(found)  # may be negative: it is unbiased


def test_precision_and_recall_are_torch_fidelitys(sets: tuple[torch.Tensor, torch.Tensor]) -> None:
    real, made = sets
    theirs = prc_features_to_metric(made, real, prc_neighborhood=3, prc_batch_size=100, verbose=False)
    found = PrecisionRecall().compare(real, made)
    assert abs(found["precision"] - theirs["precision"]) < 1e-6 and abs(found["recall"] - theirs["recall"]) < 1e-6


def test_density_and_coverage_by_hand() -> None:
    """On a line of 7 points a radius of the fifth neighbour is 5 at the ends, 3 in the middle."""
    real = torch.arange(7.0)[:, None]
    assert PrecisionRecall().compare(real, real)["coverage"] == 1.0
    far = PrecisionRecall().compare(real, real + 100)
    assert far["density"] == far["coverage"] == far["precision"] == far["recall"] == 0.0
    one = PrecisionRecall().compare(
        real, torch.full((7, 1), 3.0)
    )  # every real point has the middle one within its radius
    assert one["density"] == 7 / 5 and one["coverage"] == 1.0


def test_cmmd_is_its_formula(sets: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = ((s.double() / s.double().norm(dim=1, keepdim=True)).numpy() for s in sets)

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([[np.exp(-np.sum((u - v) ** 2) / (2 * 10**2)) for v in b] for u in a]))

    assert abs(CMMD().compare(*sets)["cmmd_google"] - 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))) < 1e-9


def test_cmmd_of_two_sets_of_real_pictures_is_zero_on_average() -> None:
    """As its docstring says; the authors' estimate is far above zero, and the more so the fewer pictures there are."""
    some = torch.randn(40, 128, 64, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    found = [CMMD().compare(x, y) for x, y in zip(some[::2], some[1::2], strict=True)]
    unbiased, google = (torch.tensor([row[name] for row in found]) for name in ("cmmd", "cmmd_google"))
    assert abs(unbiased.mean()) < 3 * unbiased.std() / len(found) ** 0.5 < google.mean() / 4


def test_fid_infinity_takes_the_bias_away() -> None:
    """Two sets of one Gaussian: FID at n is about c / n, its limit about 0."""
    g = torch.Generator().manual_seed(5)
    real, made = torch.randn(20_000, 8, generator=g), torch.randn(800, 8, generator=g)
    assert abs(fid_infinity(Gaussian(real), made)) < 0.5 * frechet_distance(real, made)


def normal_rows(draw: torch.Generator, n: int, shift: float = 0.0) -> torch.Tensor:
    """Features as a judge has them: 16 normal numbers of unlike size."""
    size = torch.linspace(1.5, 0.1, 16).double()
    return (torch.randn(n, 16, generator=draw, dtype=torch.float64) + shift) * size


def test_the_spread_of_fid_and_of_its_limit_is_that_of_drawing_again() -> None:
    """A bootstrap of these pictures says 1.7 times as much, because it repeats pictures."""
    draw = torch.Generator().manual_seed(0)
    real = Gaussian(normal_rows(draw, 4096))
    every = [normal_rows(draw, 128, 0.1) for _ in range(30)]
    found = [FID().compare(real, made) for made in every]
    fid = np.array([row["fid"] for row in found])
    assert 0.9 < np.mean([row["fid_std"] for row in found]) / fid.std(ddof=1) < 1.5
    limit = real.distance(normal_rows(draw, 200_000, 0.1))
    covered = [row["fid_infinity_low"] < limit < row["fid_infinity_high"] for row in found]
    assert np.mean(covered) > 0.9


def test_fid_has_no_limit_near_the_number_of_features() -> None:
    draw = torch.Generator().manual_seed(1)
    real = Gaussian(normal_rows(draw, 500))
    assert "fid_infinity" in FID().compare(real, normal_rows(draw, 64))
    assert "fid_infinity" not in FID().compare(real, normal_rows(draw, 63))


def test_a_limit_that_says_nothing_is_not_shown() -> None:
    row = {"fid": 2.0, "fid_infinity": 1.0, "fid_infinity_low": 0.0, "fid_infinity_high": 3.0}
    assert silent([row, row]) == {"fid_infinity", "fid_infinity_low", "fid_infinity_high"}
    assert silent([row, row | {"fid_infinity_high": 1.5}]) == silent([{"fid": 2.0}]) == set()


def test_diversity_by_hand() -> None:
    some = (torch.eye(5), torch.ones(4, 3), torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]))
    for made, expected in zip(some, (1, 0, 2 / 3), strict=True):
        assert abs(Diversity().compare(made, made)["diversity"] - expected) < 1e-12
