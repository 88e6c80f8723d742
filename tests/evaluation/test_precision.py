"""Judges compute in one precision, wherever they are called, and leave torch's settings as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from lightning_diff.devices import full_float32, settings_kept
from lightning_diff.evaluation.sweep import Judges, see
from tests.evaluation.conftest import CAPTIONS


def settings() -> tuple[str, bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark, torch.is_autocast_enabled("cpu")


@pytest.fixture(autouse=True)
def as_a_training_sets_them() -> Iterator[None]:
    with settings_kept():
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = True
        yield


def test_judges_compute_in_float32(judges: Judges) -> None:
    found, images = [], torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)

    def extract(images: Tensor) -> Tensor:
        found.append(settings())
        return images.float().mean(dim=(2, 3))

    told = Judges(judges.tower, extract, None, judges.reference, judges.reference_embedding, judges.metrics)
    before = settings()
    with torch.autocast("cpu", torch.bfloat16):
        seen = see(images, CAPTIONS[:4], {}, told)
    assert found == [("highest", False, False, False)] and settings() == before
    assert seen["embedding"].dtype == seen["clip_score"].dtype == torch.float32
    assert torch.equal(see(images, CAPTIONS[:4], {}, told)["embedding"], seen["embedding"])


def test_settings_come_back_after_an_error() -> None:
    before = settings()
    with pytest.raises(ValueError, match="stop"), full_float32("cpu"):
        raise ValueError("stop")
    assert settings() == before
