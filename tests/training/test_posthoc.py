"""Post-hoc EMA: what is put together afterwards is what would have been kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lightning_diff.config.errors import ConfigError
from lightning_diff.models.averages import FOLDER, LENGTHS, combination, gamma_of, reconstruct
from lightning_diff.nets.weights import save_weights
from lightning_diff.training.averages.posthoc import PowerEma

STEPS, EVERY = 1200, 100


def walk(seed: int = 0) -> np.ndarray:
    """A parameter's way through training: it drifts and jitters. [STEPS, 6]."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(STEPS, 6)), axis=0) * 0.05 + np.linspace(0, 3, STEPS)[:, None] ** 0.5


def kept(path: np.ndarray, length: float) -> np.ndarray:
    """The average with that profile, step by step, in float64."""
    mean, gamma = path[0].copy(), gamma_of(length)
    for t in range(1, len(path) + 1):
        mean += (1 - (1 - 1 / t) ** (gamma + 1)) * (path[t - 1] - mean)
    return mean


@pytest.mark.parametrize("length", [0.02, 0.05, 0.1, 0.2])
def test_a_length_is_the_profiles_relative_standard_deviation(length: float) -> None:
    g = gamma_of(length)
    t = (np.arange(2_000_000) + 0.5) / 2_000_000
    p = (g + 1) * t**g / 2_000_000
    assert abs(np.sqrt((p * t**2).sum() - (p * t).sum() ** 2) - length) < 1e-6


def test_the_average_forgets_as_its_profile_says() -> None:
    net = nn.Linear(1, 1, bias=False)
    ema = PowerEma(net)
    path = walk()[:, 0]
    for t, value in enumerate(path, 1):
        net.weight.data.fill_(value)
        ema.update(t)
    for length in LENGTHS:
        g = gamma_of(length)
        t = (np.arange(STEPS) + 1) / STEPS
        profile = t ** (g + 1) - (t - 1 / STEPS) ** (g + 1)  # the integral of p over each step
        assert abs(float(ema.state()[f"{length}/weight"]) - (profile * path).sum()) < 2e-3


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's snapshots of `walk`, as training writes them."""
    net = nn.Linear(1, 6, bias=False)
    ema = PowerEma(net)
    for t, value in enumerate(walk(), 1):
        net.weight.data.copy_(torch.from_numpy(value)[:, None])
        ema.update(t)
        if t % EVERY == 0:
            save_weights(tmp_path / FOLDER / f"{t:08d}.safetensors", ema.state(), {"step": t}, half=True)
    return tmp_path


@pytest.mark.parametrize(
    "length, step", [(0.04, 1200), (0.05, 1200), (0.07, 1200), (0.1, 1200), (0.15, 1200), (0.2, 1200), (0.07, 600)]
)
def test_any_length_at_any_snapshot(run: Path, length: float, step: int) -> None:
    """As far as so few profiles can say: a twentieth of how far the average is from the parameters themselves."""
    found = reconstruct(run, length, step)["weight"][:, 0].double().numpy()
    expected = kept(walk()[:step], length)
    spread = np.abs(walk()[step - 1] - expected).mean()
    assert np.abs(found - expected).max() < 0.05 * spread + 1e-3


def test_a_length_that_was_kept_is_found_again() -> None:
    shares = combination([400, 800, 1200], LENGTHS[1], 1200)
    assert np.allclose(shares, [[0, 0], [0, 0], [0, 1]], atol=1e-6)


def test_a_resumed_average_is_the_uninterrupted_one() -> None:
    def after(steps: list[range]) -> dict[str, torch.Tensor]:
        net, state = nn.Linear(1, 6, bias=False), {}
        for part in steps:
            ema = PowerEma(net)
            ema.load(state)
            for t in part:
                net.weight.data.copy_(torch.from_numpy(walk()[t - 1])[:, None])
                ema.update(t)
            state = {k: v.clone() for k, v in ema.state().items()}
        return state

    whole, parts = after([range(1, 40)]), after([range(1, 17), range(17, 40)])
    assert whole.keys() == parts.keys() and all(torch.equal(whole[k], parts[k]) for k in whole)


def test_what_is_not_there_is_one_clear_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no averages of step 650; there are 100, 200"):
        reconstruct(run, 0.1, 650)
    with pytest.raises(ConfigError, match=r"train with training\.ema_every"):
        reconstruct(tmp_path / "other", 0.1, 100)
