"""Laws of the samplers, on data N(m, s^2 I), of which the best denoiser and the probability flow are known in closed form.

At every t, x_t is normal with mean alpha m and variance v = alpha^2 s^2 + sigma^2, and the flow keeps (x_t - mean) / std.
"""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_diff.diffusion import noise
from lightning_diff.diffusion.denoiser import conditional
from lightning_diff.diffusion.path import SCHEDULES, Path
from lightning_diff.diffusion.samplers import sample, trajectory

M, S = 0.7, 0.4
SHAPE = (1, 2, 2)
LEGAL = [(s, p) for s in SCHEDULES for p in ("eps", "v", "x0", "flow") if (s, p) != ("flow", "eps")]
SEEDS = torch.arange(2048) + 10
ORDERS = [
    ("flow", "euler", 1),
    ("flow", "heun", 2),
    ("cosine", "euler", 1),
    ("cosine", "heun", 2),
    ("linear", "euler", 1),
]


class Exact:
    """The network that has learned N(M, S^2) perfectly, in the path's parameterisation. It notes the rows of each call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[int] = []

    def __call__(self, x_t: Tensor, t: Tensor, condition: Any) -> Tensor:
        self.rows.append(len(x_t))
        alpha, sigma = self.path.at(t)
        v = alpha**2 * S**2 + sigma**2
        x_0 = (alpha * S**2 * x_t + sigma**2 * M) / v
        return self.path.target(x_0, sigma * (x_t - alpha * M) / v, t)


def draw(name: str, path: Path, steps: int, seeds: Tensor = SEEDS, eta: float = 0.0) -> Tensor:
    return sample(name, conditional(Exact(path), path, None), path, seeds, SHAPE, steps, eta)


def flow_end(path: Path, seeds: Tensor = SEEDS) -> Tensor:
    """Where the probability flow takes the samplers' x_1, exactly (float64)."""
    alpha, sigma = path.at(torch.ones(1, dtype=torch.float64))
    x_1 = noise.normal(seeds, SHAPE, 0, noise.START).double() * sigma
    return M + S * (x_1 - alpha * M) / (alpha**2 * S**2 + sigma**2).sqrt()


def error(name: str, path: Path, steps: int) -> float:
    return float((draw(name, path, steps, SEEDS[:64]) - flow_end(path, SEEDS[:64])).abs().max())


@pytest.mark.parametrize("schedule, prediction", LEGAL)
@pytest.mark.parametrize("name, steps, atol", [("ddim", 400, 0.02), ("euler", 400, 0.02), ("heun", 100, 0.01)])
def test_probability_flow_ends_where_it_should(
    schedule: str, prediction: str, name: str, steps: int, atol: float
) -> None:
    path, seeds = Path(schedule, prediction), SEEDS[:64]
    x = draw(name, path, steps, seeds)
    torch.testing.assert_close(x.double(), flow_end(path, seeds), rtol=0, atol=atol)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name, eta", [("ddpm", 0.0), ("ddim", 0.6), ("ddim", 0.0), ("euler", 0.0), ("heun", 0.0)])
def test_mean_and_std(schedule: str, name: str, eta: float) -> None:
    x = draw(name, Path(schedule, "v"), 200, SEEDS, eta)
    n = x.numel()
    assert abs(float(x.mean()) - M) < 5 * S / n**0.5 + 0.006
    assert abs(float(x.std()) - S) < 5 * S / (2 * n) ** 0.5 + 0.006


@pytest.mark.parametrize("schedule, prediction", LEGAL)
def test_euler_is_ddim_without_fresh_noise(schedule: str, prediction: str) -> None:
    path = Path(schedule, prediction)
    for steps in (1, 3, 20):
        a, b = draw("euler", path, steps, SEEDS[:64]), draw("ddim", path, steps, SEEDS[:64])
        torch.testing.assert_close(a, b, rtol=0, atol=2e-5)


def test_ddim_with_eta_one_is_ddpm() -> None:
    path = Path("cosine", "eps")
    assert torch.equal(draw("ddim", path, 10, SEEDS[:8], eta=1.0), draw("ddpm", path, 10, SEEDS[:8]))
    assert not torch.allclose(draw("ddim", path, 10, SEEDS[:8], eta=0.5), draw("ddpm", path, 10, SEEDS[:8]), atol=1e-2)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_a_ddim_step_is_the_papers(schedule: str, eta: float) -> None:
    """Song et al. 2021, equations 12 and 16, with abar = alpha^2."""
    path, seeds = Path(schedule, "eps"), SEEDS[:4]
    x, p = next(iter(trajectory("ddim", conditional(Exact(path), path, None), path, seeds, SHAPE, 3, eta)))
    abar_t, abar_s = (SCHEDULES[schedule](torch.tensor(t).double())[0] ** 2 for t in (1.0, 2 / 3))
    sigma = eta * ((1 - abar_s) / (1 - abar_t)).sqrt() * (1 - abar_t / abar_s).sqrt()
    z = noise.normal(seeds, SHAPE, 0, noise.STEP)
    expected = abar_s.sqrt() * p.x_0 + (1 - abar_s - sigma**2).sqrt() * p.eps + sigma * z
    torch.testing.assert_close(x.double(), expected.double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("schedule, name, order", ORDERS)
def test_order_of_convergence(schedule: str, name: str, order: float) -> None:
    """Twice the steps, a half or a quarter of the error. (Linear's sigma begins as sqrt(t), so tau(t) is not smooth at
    t = 0, and Heun falls short of order 2 there.)"""
    path = Path(schedule, "v")
    errors = [error(name, path, steps) for steps in (16, 32, 64)]
    for coarse, fine in pairwise(errors):
        assert 2**order * 0.8 < coarse / fine < 2**order * 1.25, errors


@pytest.mark.parametrize("name, calls", [("ddpm", 5), ("ddim", 5), ("euler", 5), ("heun", 9)])
def test_a_sampler_spends_the_evaluations_that_it_says(name: str, calls: int) -> None:
    path = Path("cosine", "v")
    network = Exact(path)
    said = list(trajectory(name, conditional(network, path, None), path, SEEDS[:3], SHAPE, 5))
    assert len(said) == 5 and network.rows == [3] * calls
    assert said[-1][1].x_0.shape == (3, *SHAPE)


@pytest.mark.parametrize("name", ["ddpm", "ddim", "euler", "heun"])
def test_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    path, seeds = Path("cosine", "v"), torch.tensor([5, 77, 3, 2**33, 0, 9])
    whole = draw(name, path, 6, seeds, eta=0.5)
    alone = torch.cat([draw(name, path, 6, s[None], eta=0.5) for s in seeds])
    torch.testing.assert_close(draw(name, path, 6, seeds.flip(0), eta=0.5).flip(0), whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-5)
    assert len(whole.flatten(1).unique(dim=0)) == len(seeds)
