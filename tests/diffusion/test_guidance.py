"""The one convention (law 3): guided = uncond + w (cond - uncond)."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from lightning_diff.diffusion.denoiser import conditional, guided
from lightning_diff.diffusion.path import SCHEDULES, Path

LEGAL = [(s, p) for s in SCHEDULES for p in ("eps", "v", "x0", "flow") if (s, p) != ("flow", "eps")]
B = 5


class Caption(NamedTuple):
    by: Tensor

    @staticmethod
    def cat(a: Any, b: Any) -> Any:
        return Caption(torch.cat([a.by, b.by]))


class Network:
    """Some function of all that it is given; it notes how many rows each call had."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, x: Tensor, t: Tensor, c: Caption) -> Tensor:
        self.rows.append(len(x))
        return (x * c.by).sin() + t[:, None, None, None] * c.by


def case() -> tuple[Tensor, Tensor, Caption, Caption]:
    g = torch.Generator().manual_seed(2)
    x = torch.randn(B, 2, 3, 3, generator=g, dtype=torch.float64)
    t = torch.rand(B, generator=g, dtype=torch.float64) * 0.9 + 0.05
    cond, uncond = (Caption(torch.randn(B, 1, 1, 1, generator=g, dtype=torch.float64)) for _ in range(2))
    return x, t, cond, uncond


@pytest.mark.parametrize("schedule, prediction", LEGAL)
@pytest.mark.parametrize("w", [0, 0.5, 1, 1.5, 3.0, 8.0])
def test_guided_is_uncond_plus_w_times_the_difference(schedule: str, prediction: str, w: float) -> None:
    """Of x_0 and of eps alike, whatever the network's parameterisation."""
    x, t, cond, uncond = case()
    path, network = Path(schedule, prediction), Network()
    c, u = (conditional(network, path, k)(x, t) for k in (cond, uncond))
    found = guided(network, path, cond, uncond, w)(x, t)
    for mine, a, b in ((found.x_0, c.x_0, u.x_0), (found.eps, c.eps, u.eps)):
        torch.testing.assert_close(mine, b + w * (a - b), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(path.noised(found.x_0, found.eps, t), x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("w, rows", [(1, [B]), (1.0, [B]), (0, [B]), (0.0, [B]), (3.0, [2 * B]), (0.5, [2 * B])])
def test_no_guidance_costs_nothing(w: float, rows: list[int]) -> None:
    x, t, cond, uncond = case()
    network = Network()
    guided(network, Path("cosine", "v"), cond, uncond, w)(x, t)
    assert network.rows == rows


def test_w_one_is_the_caption_alone_and_w_zero_is_none() -> None:
    x, t, cond, uncond = case()
    path, network = Path("cosine", "v"), Network()
    for w, condition, other in ((1.0, cond, uncond), (0.0, uncond, cond)):
        found = guided(network, path, cond, uncond, w)(x, t)
        assert torch.equal(found.x_0, conditional(network, path, condition)(x, t).x_0)
        assert not torch.allclose(found.x_0, conditional(network, path, other)(x, t).x_0)
