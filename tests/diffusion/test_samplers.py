"""Laws of the samplers, on a mixture of normals whose denoiser and probability flow are known in closed form."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from mixture import EVALUATIONS, MEAN, SAMPLERS, SHAPE, STD, Exact, cdf, draw, flow_end, sampler
from torch import Tensor

from lightning_diff.diffusion import noise
from lightning_diff.diffusion.denoiser import conditional
from lightning_diff.diffusion.grids import GRIDS, time_grid
from lightning_diff.diffusion.noise import start
from lightning_diff.diffusion.path import Path
from lightning_diff.diffusion.records import NoiseLevel
from lightning_diff.diffusion.schedules import ENDS_IN_NOISE, SCHEDULES

LEGAL = [
    (s, p) for s in SCHEDULES for p in ("eps", "v", "x0", "flow", "edm") if not (s in ENDS_IN_NOISE and p == "eps")
]
SEEDS = torch.arange(2048) + 10
FEW = SEEDS[:64]
DETERMINISTIC = {"ddim": 1, "euler": 1, "heun": 2, "midpoint": 2, "dpmpp_2m": 2, "unipc": 2}
SMOOTH = {"flow": "uniform", "cosine": "uniform", "edm": "karras", "linear": "karras"}  # a grid that suits the path


def error(name: str, path: Path, steps: int, kind: str) -> float:
    return float((draw(name, path, steps, FEW, kind=kind) - flow_end(path, FEW)).square().mean().sqrt())


@pytest.mark.parametrize("schedule, prediction", LEGAL)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_probability_flow_ends_where_it_should(schedule: str, prediction: str, name: str) -> None:
    path = Path(schedule, prediction)
    x = draw(name, path, 128, FEW)
    torch.testing.assert_close(x, flow_end(path, FEW), rtol=0, atol=0.12)
    assert (x - flow_end(path, FEW)).square().mean().sqrt() < 0.025


@pytest.mark.parametrize("schedule", SMOOTH)
@pytest.mark.parametrize("name, order", DETERMINISTIC.items())
def test_order_of_convergence(schedule: str, name: str, order: int) -> None:
    """Four times the steps, 4^order times less error (as a mean; multistep methods begin and end with order 1)."""
    path = Path(schedule, "v")
    coarse, fine = (error(name, path, steps, SMOOTH[schedule]) for steps in (16, 64))
    assert 4 ** (order - 0.45) < coarse / fine, (coarse, fine)
    assert order == 2 or coarse / fine < 4**1.25


def test_second_order_pays() -> None:
    """At equal evaluations of the network."""
    for schedule, kind in SMOOTH.items():
        path = Path(schedule, "v")
        once = error("euler", path, 32, kind)
        for name in ("heun", "midpoint", "dpmpp_2m", "unipc"):
            assert error(name, path, 32 // EVALUATIONS.get(name, 1), kind) < 0.55 * once, (schedule, name)


def test_straight_coordinates_beat_the_papers_at_few_steps() -> None:
    for schedule in ("cosine", "linear", "edm"):
        path = Path(schedule, "v")
        assert error("heun", path, 8, "karras") < 0.5 * error("heun_karras", path, 8, "karras")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "name, eta", [("ddpm", 0.0), ("ddim", 0.6), ("euler_ancestral", 0.0), ("dpmpp_2m_sde", 0.0), ("heun", 0.0)]
)
def test_the_distribution_is_the_datas(schedule: str, name: str, eta: float) -> None:
    """Kolmogorov and Smirnov's distance of 8,192 numbers, of which 99.99 % of honest draws stay below 0.0246; the rest is
    the steps' own error."""
    path = Path(schedule, "v")
    kind = "uniform" if path.ends_in_noise else "karras"
    x = draw(name, path, 150, SEEDS, eta, kind).flatten().sort().values
    expected = cdf(x, NoiseLevel(0.0, 1.0, 0.0))
    found = torch.arange(1, len(x) + 1) / len(x)
    assert (expected - found).abs().max() < 0.035
    assert abs(float(x.mean()) - MEAN) < 5 * STD / len(x) ** 0.5 + 0.015
    assert abs(float(x.std()) - STD) < 5 * STD / len(x) ** 0.5 + 0.015


@pytest.mark.parametrize("schedule, prediction", LEGAL)
def test_euler_is_ddim_without_fresh_noise(schedule: str, prediction: str) -> None:
    path = Path(schedule, prediction)
    for steps in (1, 3, 20):
        torch.testing.assert_close(draw("euler", path, steps, FEW), draw("ddim", path, steps, FEW))


def test_ddim_with_eta_one_is_ddpm() -> None:
    path = Path("cosine", "eps")
    assert torch.equal(draw("ddim", path, 10, FEW, eta=1.0), draw("ddpm", path, 10, FEW))
    assert not torch.allclose(draw("ddim", path, 10, FEW, eta=0.5), draw("ddpm", path, 10, FEW), atol=1e-2)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_a_ddim_step_is_the_papers(schedule: str, eta: float) -> None:
    """Song et al. 2021, equations 12 and 16, with abar = alpha^2."""
    path, x = Path(schedule, "eps"), start(Path(schedule), FEW, SHAPE).double()
    grid = time_grid(path, 3)
    x, p = next(iter(sampler("ddim", eta).trajectory(conditional(Exact(path), path, None), path, x, FEW, grid)))
    abar_t, abar_s = (grid[i].alpha ** 2 for i in (0, 1))
    sigma = eta * ((1 - abar_s) / (1 - abar_t)) ** 0.5 * (1 - abar_t / abar_s) ** 0.5
    z = noise.normal(FEW, SHAPE, 0, noise.STEP)
    expected = abar_s**0.5 * p.x_0 + (1 - abar_s - sigma**2) ** 0.5 * p.eps + sigma * z
    torch.testing.assert_close(x, expected)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_spends_the_evaluations_that_it_says(name: str) -> None:
    path = Path("linear", "v")
    network = Exact(path)
    x = start(path, SEEDS[:3], SHAPE)
    said = list(sampler(name).trajectory(conditional(network, path, None), path, x, SEEDS[:3], time_grid(path, 5)))
    calls = 5 * EVALUATIONS.get(name, 1) - name.startswith("heun")
    assert len(said) == 5 and network.rows == [3] * calls
    assert said[-1][1].x_0.shape == (3, *SHAPE)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    path, seeds = Path("linear", "v"), torch.tensor([5, 77, 3, 2**33, 0, 9])

    def make(seeds: Tensor) -> Tensor:
        return draw(name, path, 6, seeds, eta=0.5, dtype=torch.float32)

    whole = make(seeds)
    torch.testing.assert_close(make(seeds.flip(0)).flip(0), whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.cat([make(s[None]) for s in seeds]), whole, rtol=0, atol=1e-5)
    assert len(whole.flatten(1).unique(dim=0)) == len(seeds)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_one_step_and_two_are_finite(name: str, schedule: str) -> None:
    """The first step's lambda is -inf where alpha(1) = 0, the last one's is +inf everywhere."""
    path = Path(schedule, "v")
    if name == "heun_karras" and path.ends_in_noise:
        return  # refused by the config: sigma / alpha is infinite at t = 1
    for steps in (1, 2, 3, 4):
        assert bool(draw(name, path, steps, FEW).isfinite().all())


@pytest.mark.parametrize("kind", GRIDS[:4])
def test_a_grid_goes_from_noise_to_picture(kind: str) -> None:
    for schedule in SCHEDULES:
        path = Path(schedule)
        if path.ends_in_noise == (kind in ("karras", "exponential")) and kind != "uniform":
            continue  # refused by the config
        for steps in (1, 2, 7, 1000):
            grid = time_grid(path, steps, kind)
            assert len(grid) == steps + 1 and grid[0].t == 1 and grid[-1] == (0.0, 1.0, 0.0)
            assert all(a.t > b.t for a, b in pairwise(grid)), (schedule, steps)


@pytest.mark.parametrize("kind", ["karras", "uniform"])
def test_the_grid_on_edms_path_is_the_papers(kind: str) -> None:
    """Karras et al. 2022, eq. 5 and table 1, with sigma from 80 to 0.002; on this path it is uniform in t."""
    grid = time_grid(Path("edm", "edm"), 18, kind)
    low, high = 0.002, 80.0
    expected = [(high ** (1 / 7) + i / 17 * (low ** (1 / 7) - high ** (1 / 7))) ** 7 for i in range(18)]
    torch.testing.assert_close(torch.tensor([m.sigma for m in grid[:-1]]), torch.tensor(expected), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", ["uniform", "karras", "exponential"])
@pytest.mark.parametrize("name, most", [("euler", 0.1), ("heun", 0.006), ("dpmpp_2m", 0.04)])
def test_no_step_on_edms_path_is_wasted(kind: str, name: str, most: float) -> None:
    """20 steps come near the flow's end: none is spent on noise that no eye and no net can see."""
    assert error(name, Path("edm", "edm"), 20, kind) < most


def test_sample_is_the_end_of_its_trajectory() -> None:
    path: Any = Path("flow", "flow")
    denoise, grid, x = conditional(Exact(path), path, None), time_grid(path, 4), start(path, FEW, SHAPE)
    *_, (last, _) = sampler("heun").trajectory(denoise, path, x, FEW, grid)
    assert torch.equal(sampler("heun").sample(denoise, path, x, FEW, grid), last)
