"""The same trajectories as diffusers' schedulers, from the same start, noise and network, to float32's last digits."""

from collections.abc import Callable
from typing import Any

import diffusers
import pytest
import torch
from mixture import sampler
from torch import Tensor

from lightning_diff.diffusion import noise
from lightning_diff.diffusion.denoiser import conditional
from lightning_diff.diffusion.grids import time_grid
from lightning_diff.diffusion.path import Path
from lightning_diff.diffusion.records import NoiseLevel

SEEDS, SHAPE, STEPS = torch.arange(6), (2, 4, 4), 20
STABLE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TRAILING = {**STABLE, "timestep_spacing": "trailing"}
DDIM = {**TRAILING, "clip_sample": False, "set_alpha_to_one": True}


def network(x: Tensor, t: Tensor, condition: Any = None) -> Tensor:
    """A smooth function; t as Stable Diffusion's nets see it, 0 to 999."""
    return 0.9 * x + 0.2 * (2 * x + 0.003 * t[:, None, None, None]).sin()


def here(name: str, path: Path, grid: list[NoiseLevel], x: Tensor, eta: float = 0.0) -> Tensor:
    def steps(x_t: Tensor, t: Tensor, condition: Any) -> Tensor:
        return network(x_t, 1000 * t - float(path.schedule != "flow"))

    return sampler(name, eta).sample(conditional(steps, path, None), path, x, SEEDS, grid)


def there(scheduler: Any, x: Tensor, **options: Any) -> Tensor:
    """diffusers' loop."""
    for t in scheduler.timesteps:
        shown = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        x = scheduler.step(network(shown, t.expand(len(x)).to(x.dtype)), t, x, **options).prev_sample
    return x


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


def our_noise(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """diffusers' fresh noise is replaced by ours, step by step."""
    count = iter(range(1000))

    def fresh(shape: Any, **_: Any) -> Tensor:
        return noise.normal(SEEDS, tuple(shape[1:]), 0, noise.STEP + next(count))

    monkeypatch.setattr(f"diffusers.schedulers.scheduling_{module}.randn_tensor", fresh)


CASES: list[tuple[str, float, str, Callable[[], Any]]] = [
    ("ddim", 0.0, "ddim", lambda: diffusers.DDIMScheduler(**DDIM)),
    ("ddim", 0.6, "ddim", lambda: diffusers.DDIMScheduler(**DDIM)),
    ("ddpm", 0.0, "ddpm", lambda: diffusers.DDPMScheduler(**TRAILING, clip_sample=False)),
    ("euler", 0.0, "", lambda: diffusers.EulerDiscreteScheduler(**TRAILING)),
    (
        "euler_ancestral",
        0.0,
        "euler_ancestral_discrete",
        lambda: diffusers.EulerAncestralDiscreteScheduler(**TRAILING),
    ),
    ("heun_karras", 0.0, "", lambda: diffusers.HeunDiscreteScheduler(**TRAILING)),
    ("dpmpp_2m", 0.0, "", lambda: diffusers.DPMSolverMultistepScheduler(**TRAILING)),
    (
        "dpmpp_2m_sde",
        0.0,
        "dpmsolver_multistep",
        lambda: diffusers.DPMSolverMultistepScheduler(**TRAILING, algorithm_type="sde-dpmsolver++"),
    ),
    ("unipc", 0.0, "", lambda: diffusers.UniPCMultistepScheduler(**TRAILING, final_sigmas_type="zero")),
]


@pytest.mark.parametrize("name, eta, module, make", CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_stable_diffusions_schedule(
    name: str, eta: float, module: str, make: Callable[[], Any], prediction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("scaled_linear", {"epsilon": "eps", "v_prediction": "v"}[prediction])
    x = noise.normal(SEEDS, SHAPE, 0, noise.START)
    if module:
        our_noise(monkeypatch, module)
    scheduler = type(make()).from_config(make().config, prediction_type=prediction)
    scheduler.set_timesteps(STEPS)
    grid = time_grid(path, STEPS)
    exploding = hasattr(scheduler, "init_noise_sigma") and float(scheduler.init_noise_sigma) > 1
    begin = x / grid[0].alpha if exploding else x
    options = {"eta": eta} if module == "ddim" else {}
    assert relative(here(name, path, grid, x, eta), there(scheduler, begin, **options)) < 2e-6 * (5 if exploding else 1)


@pytest.mark.parametrize("kind", ["karras", "exponential"])
@pytest.mark.parametrize("name, scheduler", [("euler", "EulerDiscrete"), ("dpmpp_2m", "DPMSolverMultistep")])
def test_grids_of_sigma(kind: str, name: str, scheduler: str) -> None:
    path = Path("scaled_linear", "eps")
    peer = getattr(diffusers, scheduler + "Scheduler")(
        **STABLE, timestep_spacing="linspace", **{f"use_{kind}_sigmas": True}
    )
    peer.set_timesteps(STEPS)
    grid = time_grid(path, STEPS, kind)
    torch.testing.assert_close(torch.tensor([m.ratio for m in grid]).float(), peer.sigmas, rtol=2e-4, atol=0)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_matching_euler(shift: float) -> None:
    path = Path("flow", "flow")
    peer = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    peer.set_timesteps(sigmas=[1 - i / STEPS for i in range(STEPS)])
    grid = time_grid(path, STEPS, "shifted", shift=shift)
    torch.testing.assert_close(torch.tensor([m.sigma for m in grid]).float(), peer.sigmas)
    x = noise.normal(SEEDS, SHAPE, 0, noise.START)
    assert relative(here("euler", path, grid, x), there(peer, x)) < 1e-6


def test_flow_matching_heun() -> None:
    path = Path("flow", "flow")
    peer = diffusers.FlowMatchHeunDiscreteScheduler(shift=3.0)
    peer.set_timesteps(STEPS)
    grid = [path.at(float(s)) for s in [*peer.sigmas[:-1:2], 0.0]]
    x = noise.normal(SEEDS, SHAPE, 0, noise.START)
    assert relative(here("heun", path, grid, x), there(peer, x)) < 1e-6
