"""The times' noise while the learning rate falls: objective.shift_end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.schema import Objective, Training
from lightning_diff.nets.unet import Condition
from lightning_diff.training.modules.diffusion import DiffusionModule

NULL = Condition(torch.zeros(1, 2, 4), torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 4))


def shifts(training: Training, end: float | None, steps: list[int]) -> Tensor:
    """The shift of the first position of each of these steps."""
    module = DiffusionModule(nn.Linear(1, 1), training, 0, Objective(shift=3, shift_end=end), NULL)
    return torch.as_tensor(module.shift_of(torch.tensor(steps) * training.batch)).expand(len(steps))


def test_the_shift_goes_to_its_end_in_equal_ratios_while_the_rate_falls() -> None:
    t = Training(steps=110, batch=8, warmup=10, schedule="linear")
    found = shifts(t, 0.75, [0, 10, 35, 60, 85, 110, 200])
    half = 2**0.5
    torch.testing.assert_close(found.float(), torch.tensor([3, 3, 3 / half, 1.5, 1.5 / half, 0.75, 0.75]))
    assert shifts(t, None, [0, 60]).tolist() == [3, 3]


def test_a_later_end_changes_no_time_before_the_decay() -> None:
    early, late = (Training(steps=s, batch=8, warmup=10, schedule="wsd", decay=0.2) for s in (100, 200))
    before = list(range(80))
    assert torch.equal(shifts(early, 1.0, before), shifts(late, 1.0, before))
    assert shifts(early, 1.0, [90])[0] < shifts(late, 1.0, [90])[0] == 3


def test_the_times_of_a_step_follow_its_shift() -> None:
    training = Training(steps=100, batch=2000, warmup=0, schedule="linear")
    module = DiffusionModule(nn.Linear(1, 1), training, 0, Objective(times="uniform", shift=4, shift_end=0.25), NULL)
    mean, medians = torch.zeros(2000, 1, 1, 1), []
    for step in (0, 50, 100):
        rows = step * 2000 + torch.arange(2000)
        medians.append(float(module.noised_latents(mean, mean, rows)[1].median()))
    # u = 1/2 becomes shift / (1 + shift)
    torch.testing.assert_close(torch.tensor(medians), torch.tensor([0.8, 0.5, 0.2]), atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["training.schedule=constant"],
            "objective.shift_end: would be ignored; it belongs to training.schedule=linear",
        ),
        (["objective=v"], "objective.shift_end=2: needs objective.schedule=flow or *_zero"),
        (["objective.shift_end=0"], "objective.shift_end"),
    ],
)
def test_an_end_without_effect_is_refused(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said.replace("*", r"\*")):
        compose_config(["experiment=base", f"outputs={tmp_path}", "objective.shift_end=2", *words])
