"""Classifier-free guidance has its own scale as its effective scale, and nothing orthogonal; other guiders have what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_diff.config.registry import named
from lightning_diff.diffusion.denoiser import BranchPredictions
from lightning_diff.diffusion.effective import Effective, effective_scale
from lightning_diff.diffusion.noise import start
from lightning_diff.diffusion.path import Path
from lightning_diff.diffusion.records import NoiseLevel, Prediction

SEEDS = torch.arange(4)
SHAPE = (2, 4, 4)


class Nets:
    """Two functions of x_t and t."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _says(self, phase: float, x_t: Tensor, m: NoiseLevel) -> Prediction:
        return self.path.read((x_t + phase).sin() * (1 + phase) + 0.1 * m.t, x_t, m)

    def predict(self, x_cond: Sequence[Tensor], x_other: Sequence[Tensor], m: NoiseLevel) -> BranchPredictions:
        return [self._says(0.5, x, m) for x in x_cond], [self._says(0.2, x, m) for x in x_other]


def measured(w: float, path: Path, kind: str = "cfg", sampler: str = "euler", steps: int = 6, **keys: Any) -> Effective:
    guider, nets = named("guidance", kind)(**keys), Nets(path)
    x = start(path, SEEDS, SHAPE).double()
    draws = named("sampler", sampler)(steps=steps)
    return effective_scale(guider.guided(nets, path, w), nets, path, draws, x, SEEDS)


FLOW = Path("flow", "flow")


@pytest.mark.parametrize("path", [FLOW, Path("cosine", "v"), Path("edm", "edm", 0.5)], ids=lambda p: p.schedule)
@pytest.mark.parametrize("sampler", ["euler", "heun", "ddpm"])
@pytest.mark.parametrize("w", [0.0, 0.5, 1.0, 3.0, 8.0])
def test_cfg_has_its_own_scale_and_no_orthogonal_part(w: float, sampler: str, path: Path) -> None:
    found = measured(w, path, sampler=sampler)
    torch.testing.assert_close(found.scale, torch.full_like(found.scale, w), rtol=0, atol=1e-6)
    assert found.orthogonal.max() < 1e-10


def test_a_guider_that_only_changes_w_is_cfg_of_a_smaller_scale() -> None:
    """The interval guides in some steps alone; a schedule that keeps the mean of w does not keep the effective scale."""
    some = measured(4.0, FLOW, interval=[0.3, 2.0])
    assert (some.scale > 1.05).all() and (some.scale < 3.95).all() and some.orthogonal.max() < 1e-10
    never = measured(4.0, FLOW, interval=[1e8, 1e9])
    assert torch.equal(never.scale, torch.ones_like(never.scale)) and (never.orthogonal == 0).all()
    assert measured(4.0, FLOW, schedule="linear").orthogonal.max() < 1e-10


@pytest.mark.parametrize("w", [0.2, 0.6])
def test_cfgpp_is_cfg_whose_scale_changes_from_step_to_step(w: float) -> None:
    """In one step from pure noise nothing is noised again, so its scale is CFG's. With more steps it noises again with the other
    branch's eps, which guides further."""
    one = measured(w, FLOW, "cfgpp", "ddim", steps=1)
    torch.testing.assert_close(one.scale, torch.full_like(one.scale, w))
    more = measured(w, FLOW, "cfgpp", "ddim")
    assert (more.scale > w + 0.1).all() and more.orthogonal.max() < 1e-10


def test_apg_has_an_orthogonal_part_unless_it_keeps_everything() -> None:
    assert (measured(4.0, FLOW, "apg", norm=0.0, momentum=0.0, eta=0.0).orthogonal > 0.01).all()
    whole = measured(4.0, FLOW, "apg", norm=0.0, momentum=0.0, eta=1.0)
    torch.testing.assert_close(whole.scale, torch.full_like(whole.scale, 4.0), rtol=0, atol=1e-6)
    short = measured(4.0, FLOW, "apg", norm=0.5, momentum=0.0, eta=1.0)  # shortened, in the same direction
    assert (short.scale < 3.5).all() and short.orthogonal.max() < 1e-10
