"""Laws of the path: reading the target gives back the picture and the noise, whatever the parameterisation."""

import math
from itertools import product

import pytest
import torch

from lightning_diff.diffusion.path import SCHEDULES, Path, times

PREDICTIONS = ("eps", "v", "x0", "flow")
LEGAL = [(s, p) for s, p in product(SCHEDULES, PREDICTIONS) if (s, p) != ("flow", "eps")]
T = torch.cat([torch.tensor([1e-3, 0.999], dtype=torch.float64), torch.linspace(0.01, 0.99, 30, dtype=torch.float64)])


def pair(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    x_0, eps = torch.randn(2, n, 2, 3, 3, generator=g, dtype=torch.float64)
    return x_0 * 2 + 1, eps


@pytest.mark.parametrize("schedule, prediction", LEGAL)
def test_reading_the_target_recovers_picture_and_noise(schedule: str, prediction: str) -> None:
    path = Path(schedule, prediction)
    x_0, eps = pair(len(T))
    found = path.read(path.target(x_0, eps, T), path.noised(x_0, eps, T), T)
    torch.testing.assert_close(found.x_0, x_0, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.eps, eps, rtol=0, atol=1e-9)


@pytest.mark.parametrize("schedule, prediction", LEGAL)
def test_any_output_is_read_as_a_pair_that_lies_on_the_path(schedule: str, prediction: str) -> None:
    """x_t = alpha x_0 + sigma eps holds of every prediction, right or wrong, and `target` gives the output back."""
    path = Path(schedule, prediction)
    output, x_t = pair(len(T))
    found = path.read(output, x_t, T)
    torch.testing.assert_close(path.noised(found.x_0, found.eps, T), x_t, rtol=0, atol=1e-9)
    torch.testing.assert_close(path.target(found.x_0, found.eps, T), output, rtol=0, atol=1e-9)


@pytest.mark.parametrize("schedule, prediction", LEGAL)
def test_the_start_of_sampling_can_be_read(schedule: str, prediction: str) -> None:
    """t = 1 exactly, in the float32 of sampling."""
    path = Path(schedule, prediction)
    x_0, eps = (a.float() for a in pair(4))
    t = torch.ones(4)
    found = path.read(path.target(x_0, eps, t), path.noised(x_0, eps, t), t)
    torch.testing.assert_close(found.x_0, x_0, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.eps, eps, rtol=0, atol=1e-4)


def test_the_views_are_what_they_are_called() -> None:
    x_0, eps = pair(len(T))
    for schedule in SCHEDULES:
        alpha, sigma = Path(schedule).at(T)
        says = {p: Path(schedule, p).target(x_0, eps, T) for p in PREDICTIONS}
        assert torch.equal(says["eps"], eps) and torch.equal(says["x0"], x_0)
        assert torch.equal(says["flow"], eps - x_0)
        torch.testing.assert_close(says["v"], alpha * eps - sigma * x_0)


def test_flow_prediction_is_the_velocity_of_the_straight_path() -> None:
    x_0, eps = pair(len(T))
    path, h = Path("flow", "flow"), 1e-4
    velocity = (path.noised(x_0, eps, T + h) - path.noised(x_0, eps, T - h)) / (2 * h)
    torch.testing.assert_close(velocity, path.target(x_0, eps, T), rtol=0, atol=1e-8)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_goes_from_picture_to_noise(schedule: str) -> None:
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    alpha, sigma = SCHEDULES[schedule](t)
    assert alpha[0] == 1 and sigma[0] == 0
    assert bool((alpha.diff() < 0).all() and (sigma.diff() > 0).all())
    assert sigma[-1] == pytest.approx(1, abs=1e-4)
    if schedule == "flow":
        assert alpha[-1] == 0 and sigma[-1] == 1
        assert torch.equal(alpha + sigma, torch.ones_like(t))
    else:  # variance preserving, and never quite zero signal: that is what makes eps legal there
        torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t))
        assert 2 * math.log(alpha[-1] / sigma[-1]) == pytest.approx(-10, abs=0.1)


def test_linear_is_the_integral_of_its_betas() -> None:
    """alpha^2 = exp(-integral of beta), beta from 0.1 to 20."""
    t = torch.linspace(0, 1, 20001, dtype=torch.float64)
    alpha, _ = SCHEDULES["linear"](t)
    integral = torch.cumulative_trapezoid(0.1 + 19.9 * t, t)
    torch.testing.assert_close(alpha[1:].square(), torch.exp(-integral), rtol=1e-6, atol=0)


def test_times_lie_inside_and_follow_their_density() -> None:
    u = torch.tensor([2**-33, 1e-6, 0.025, 0.25, 0.5, 0.75, 0.975, 1 - 2**-24])
    for density in ("uniform", "logit_normal"):
        t = times(density, u)
        assert t.dtype == torch.float32 and bool(((t > 0) & (t < 1)).all()) and bool((t.diff() > 0).all())
    assert torch.equal(times("uniform", u), u)
    t = times("logit_normal", u)
    assert t[4] == 0.5
    z = torch.distributions.Normal(0.0, 1.0).icdf(u[2:7].double())
    torch.testing.assert_close(torch.logit(t[2:7].double()), z, rtol=0, atol=1e-5)
