"""Laws of the path: reading the target gives back the picture and the noise, whatever the parameterisation."""

import math
from itertools import product

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from lightning_diff.diffusion.path import Path
from lightning_diff.diffusion.schedules import ENDS_IN_NOISE, SCHEDULES

PREDICTIONS = ("eps", "v", "x0", "flow", "edm")
LEGAL = [(s, p) for s, p in product(SCHEDULES, PREDICTIONS) if not (s in ENDS_IN_NOISE and p == "eps")]
T = torch.cat([torch.tensor([1e-2, 0.999], dtype=torch.float64), torch.linspace(0.02, 0.99, 30, dtype=torch.float64)])


def pair(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    x_0, eps = torch.randn(2, n, 2, 3, 3, generator=g, dtype=torch.float64)
    return x_0 * 2 + 1, eps


@pytest.mark.parametrize("schedule, prediction", LEGAL)
def test_reading_the_target_recovers_picture_and_noise(schedule: str, prediction: str) -> None:
    path = Path(schedule, prediction, data_std=0.7)
    t = T if schedule != "edm" else T.clamp(min=0.2)  # sigma = 80 t^7 is 1e-12 at 0.01
    x_0, eps = pair(len(t))
    m = path.at(t)
    found = path.read(path.target(x_0, eps, m), path.noised(x_0, eps, m), m)
    torch.testing.assert_close(found.x_0, x_0, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.eps, eps, rtol=0, atol=1e-9)


@pytest.mark.parametrize("schedule, prediction", LEGAL)
def test_any_output_is_read_as_a_pair_that_lies_on_the_path(schedule: str, prediction: str) -> None:
    """x_t = alpha x_0 + sigma eps holds of every prediction, right or wrong, and `target` gives the output back."""
    path = Path(schedule, prediction)
    t = T if schedule != "edm" else T.clamp(min=0.2)
    output, x_t = pair(len(t))
    m = path.at(t)
    found = path.read(output, x_t, m)
    torch.testing.assert_close(path.noised(found.x_0, found.eps, m), x_t, rtol=0, atol=1e-7)
    torch.testing.assert_close(path.target(found.x_0, found.eps, m), output, rtol=0, atol=1e-7)


@pytest.mark.parametrize("schedule, prediction", LEGAL)
def test_one_moment_of_a_batch_is_read_as_each_of_its_rows(schedule: str, prediction: str) -> None:
    """Sampling computes with three numbers, training with three tensors: the same mathematics."""
    path = Path(schedule, prediction)
    output, x_t = pair(3)
    one, each = path.at(0.6), path.at(torch.full((3,), 0.6, dtype=torch.float64))
    a, b = path.read(output, x_t, one), path.read(output, x_t, each)
    torch.testing.assert_close(a.x_0, b.x_0, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(a.eps, b.eps, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(path.from_x_0(a.x_0, x_t, one).eps, a.eps, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule, prediction", LEGAL)
def test_the_start_of_sampling_can_be_read(schedule: str, prediction: str) -> None:
    """t = 1 exactly, in the float32 of sampling."""
    path = Path(schedule, prediction)
    x_0, eps = (a.float() for a in pair(4))
    m = path.at(1.0)
    found = path.read(path.target(x_0, eps, m), path.noised(x_0, eps, m), m)
    torch.testing.assert_close(found.x_0, x_0, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.eps, eps, rtol=0, atol=1e-4)


def test_the_views_are_what_they_are_called() -> None:
    x_0, eps = pair(len(T))
    for schedule in SCHEDULES:
        m = Path(schedule).at(T)
        says = {p: Path(schedule, p).target(x_0, eps, m) for p in PREDICTIONS}
        assert torch.equal(says["eps"], eps) and torch.equal(says["x0"], x_0)
        assert torch.equal(says["flow"], eps - x_0)
        torch.testing.assert_close(says["v"], m.alpha * eps - m.sigma * x_0)
        if schedule not in ("flow", "edm"):  # variance preserving
            torch.testing.assert_close(says["edm"], -says["v"])


def test_edm_is_the_preconditioning_of_the_paper() -> None:
    """Karras et al. 2022, table 1: D(x) = c_skip x + c_out F(c_in x)."""
    s, x_t = 0.5, pair(len(T))[0]
    path = Path("edm", "edm", data_std=s)
    m = path.at(T.clamp(min=0.2))
    output = pair(len(T))[1]
    c_skip = s**2 / (m.sigma**2 + s**2)
    c_out = m.sigma * s / (m.sigma**2 + s**2).sqrt()
    torch.testing.assert_close(path.read(output, x_t, m).x_0, c_skip * x_t + c_out * output)
    torch.testing.assert_close(path.scaled(x_t, m), x_t / (m.sigma**2 + s**2).sqrt())


def test_flow_prediction_is_the_velocity_of_the_straight_path() -> None:
    x_0, eps = pair(len(T))
    path, h = Path("flow", "flow"), 1e-4
    t = T.clamp(max=0.99)
    velocity = (path.noised(x_0, eps, path.at(t + h)) - path.noised(x_0, eps, path.at(t - h))) / (2 * h)
    torch.testing.assert_close(velocity, path.target(x_0, eps, path.at(t)), rtol=0, atol=1e-8)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_goes_from_picture_to_noise(schedule: str) -> None:
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    alpha, sigma = SCHEDULES[schedule](t)
    assert alpha[0] == 1 and sigma[0] == 0
    assert bool((sigma / alpha).diff().gt(0).all())
    if schedule == "flow":
        assert torch.equal(alpha + sigma, torch.ones_like(t))
    elif schedule != "edm":
        torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t))
    ratio = sigma[-1] / alpha[-1]
    assert bool(ratio.isinf() if schedule in ENDS_IN_NOISE else ratio > 14)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_time_of_is_the_inverse(schedule: str) -> None:
    path = Path(schedule)
    t = torch.linspace(0.01, 0.999, 50, dtype=torch.float64)
    alpha, sigma = SCHEDULES[schedule](t)
    torch.testing.assert_close(path.time_of(sigma / alpha), t, rtol=0, atol=1e-6)
    assert math.isclose(float(path.time_of(torch.tensor(1e30))), 1.0)


@pytest.mark.parametrize("name", ["linear", "scaled_linear"])
@pytest.mark.parametrize("zero", [False, True])
def test_the_schedules_of_1000_steps_are_diffusers(name: str, zero: bool) -> None:
    """At t = (i + 1) / 1000, to what float32 products can say."""
    low, high = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012)}[name]
    betas = DDPMScheduler(1000, low, high, name).betas.double()
    exact = (  # the betas themselves in float64, and their product
        torch.linspace(low, high, 1000, dtype=torch.float64)
        if name == "linear"
        else torch.linspace(low**0.5, high**0.5, 1000, dtype=torch.float64) ** 2
    )
    torch.testing.assert_close(betas, exact, rtol=1e-6, atol=0)
    if zero:
        exact = rescale_zero_terminal_snr(exact)
    alpha, sigma = SCHEDULES[name + "_zero" * zero](torch.arange(1, 1001, dtype=torch.float64) / 1000)
    torch.testing.assert_close(alpha**2, torch.cumprod(1 - exact, 0), rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(sigma**2, 1 - torch.cumprod(1 - exact, 0), rtol=1e-6, atol=0)
