"""Laws of what training asks for: every weight is one of x_0, every density is the one it is called."""

import math

import pytest
import torch

from lightning_diff.diffusion import noise
from lightning_diff.diffusion.objective import WEIGHTS, loss_weight, shifted, times, training_noise, uniforms
from lightning_diff.diffusion.path import Path
from lightning_diff.diffusion.schedules import SCHEDULES

T = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
U = torch.linspace(0.0005, 0.9995, 1000, dtype=torch.float64)
PATHS = [Path(s, p) for s in ("cosine", "linear", "edm") for p in ("eps", "v", "x0", "flow", "edm")]


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("path", PATHS, ids=lambda p: f"{p.schedule}-{p.prediction}")
def test_a_weight_is_the_same_loss_in_every_parameterisation(name: str, path: Path) -> None:
    """weight * |output - target|^2 is WEIGHTS[name] * |x_0 found - x_0|^2."""
    g = torch.Generator().manual_seed(0)
    x_0, eps, wrong = torch.randn(3, len(T), 1, 2, 2, generator=g, dtype=torch.float64)
    m = path.at(T if path.schedule != "edm" else T.clamp(min=0.3))
    x_t, target = path.noised(x_0, eps, m), path.target(x_0, eps, m)
    output = target + wrong
    loss = loss_weight(path, m, name) * (output - target) ** 2
    snr = (m.alpha / m.sigma) ** 2
    value = {"edm": 1.0, "snr_power": 0.5}.get(name, 5.0)
    of_x_0 = WEIGHTS[name](snr, value) * (path.read(output, x_t, m).x_0 - x_0) ** 2
    torch.testing.assert_close(loss, of_x_0, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "prediction, formula",
    [("eps", lambda snr: snr.clamp(max=5) / snr), ("v", lambda snr: snr.clamp(max=5) / (snr + 1))],
)
def test_min_snr_is_that_of_diffusers_scripts(prediction: str, formula: object) -> None:
    path = Path("linear", prediction)
    m = path.at(T)
    snr = (m.alpha / m.sigma) ** 2
    torch.testing.assert_close(loss_weight(path, m, "min_snr"), formula(snr))  # type: ignore[operator]


def test_edm_weight_makes_the_networks_own_loss_uniform() -> None:
    """lambda(sigma) c_out^2 = 1 (Karras et al. 2022, eq. 8)."""
    path = Path("edm", "edm", data_std=0.5)
    m = path.at(T.clamp(min=0.3))
    torch.testing.assert_close(loss_weight(path, m, "edm"), torch.ones(len(T), 1, 1, 1, dtype=torch.float64))
    assert loss_weight(path, m, "uniform") == 1.0


@pytest.mark.parametrize("schedule", ["flow", "cosine", "scaled_linear", "edm"])
def test_lognormal_is_normal_in_log_sigma(schedule: str) -> None:
    path = Path(schedule, "v")
    m = path.at(times(path, "lognormal", U, mean=-0.4, std=1.0).double())
    log = m.ratio.flatten().log()
    expected = (-0.4 + torch.special.ndtri(U)).clamp(max=math.log(path.at(1.0).ratio))  # the path's noisiest
    torch.testing.assert_close(log, expected, rtol=0, atol=2e-3)


def test_the_densities() -> None:
    path = Path("flow", "flow")
    torch.testing.assert_close(times(path, "uniform", U), U.float())
    z = torch.special.ndtri(U)
    torch.testing.assert_close(times(path, "logit_normal", U, 0.3, 0.8), torch.sigmoid(0.3 + 0.8 * z).float())
    cosmap = 1 - 1 / ((0.5 * math.pi * U).tan() + 1)  # Esser et al. 2024, eq. 21
    torch.testing.assert_close(times(path, "cosine", U), cosmap.float())
    inside = U < 0.99  # on the cosine path it is uniform, as far as that path goes
    torch.testing.assert_close(times(Path("cosine"), "cosine", U)[inside] * 0.9957, U[inside].float())


def test_a_shift_multiplies_the_noise_level() -> None:
    for schedule in SCHEDULES:
        path = Path(schedule)
        if path.ends_in_noise:
            torch.testing.assert_close(path.ratio(shifted(path, T, 3.0)), 3 * path.ratio(T), rtol=1e-9, atol=0)
            assert shifted(path, torch.ones(1, dtype=torch.float64), 3.0) == 1
        else:
            with pytest.raises(ValueError, match="does not end in pure noise"):
                shifted(path, T, 3.0)


def test_stratified_times_cover_a_batch_evenly_and_are_functions_of_the_position() -> None:
    rows = torch.arange(64 * 5)
    u = uniforms(rows, 3, 64, True)
    for batch in u.view(5, 64):
        assert batch.sort().values.diff().sub(1 / 64).abs().max() < 1e-6
    assert torch.equal(uniforms(rows[70:90], 3, 64, True), u[70:90])
    assert not torch.allclose(u[:64].sort().values, u[64:128].sort().values, atol=1e-4)
    assert torch.equal(uniforms(rows, 3, 64, False), noise.uniform(rows, 3, noise.TIME))


def test_offset_noise_moves_channels_as_a_whole() -> None:
    rows, shape = torch.arange(4096), (4, 6, 6)
    plain, moved = (training_noise(rows, shape, 0, offset) for offset in (0.0, 0.5))
    difference = moved - plain
    assert difference.std(dim=(2, 3)).max() < 1e-6
    assert abs(float(difference[..., 0, 0].std()) - 0.5) < 0.02
    assert torch.equal(plain, noise.normal(rows, shape, 0, noise.NOISE))
