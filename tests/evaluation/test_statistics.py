"""Scores against closed forms and against what they must not depend on."""

from __future__ import annotations

import torch

from lightning_diff.evaluation.parts import correct, psnr, recall_at_1
from lightning_diff.evaluation.statistics import clip_scores, frechet_distance
from lightning_diff.evaluation.sweep import Case, accuracies, best_row, sweep
from lightning_diff.nets.attributes import AttributeClassifier


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
        row = accuracies(net, images, wrong)
    assert row["accuracy"] == 0.0 and row["accuracy_count"] == 1.0 and row["accuracy_colour"] == 0.0


def test_a_row_with_a_known_passport_is_not_computed_again() -> None:
    def generate(case: Case) -> torch.Tensor:
        raise AssertionError("asked for pictures")

    known = {"scale": 2.0, "fid": 1.0, "passport": {"scale": 2.0}}
    case = Case("cfg", 0.0, 2.0)
    rows = list(sweep([case], generate, [], {}, None, lambda c: {"scale": c.scale}, lambda c, p: known))  # type: ignore[arg-type]
    assert rows == [(case, known, None)]


def test_best_row() -> None:
    rows = [{"fid": 3.0, "single_object_accuracy": 0.2}, {"fid": 5.0, "single_object_accuracy": 0.6}]
    assert best_row(rows) is rows[1]
    assert best_row([{"fid": 3.0}, {"fid": 2.0}])["fid"] == 2.0
