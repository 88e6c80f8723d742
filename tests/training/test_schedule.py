"""Learning-rate schedules, and runs that get another number of steps: they end with the bits of a run that had it at once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from lightning_diff.config.schema import Training
from lightning_diff.models.averages import snapshot_steps
from lightning_diff.nets.weights import read_state
from lightning_diff.tracking.record import Record
from lightning_diff.training.schedule import decay_start, learning_rate_factor
from tests.conftest import SHORT, train_apart

WSD = Training(steps=1000, warmup=100, schedule="wsd")


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
def test_it_rises_never_rises_again_and_ends_where_it_says(schedule: str) -> None:
    training = replace(WSD, schedule=schedule)
    factors = [learning_rate_factor(training, n) for n in range(1001)]
    assert factors[0] == 1 / 101 and factors[100] == 1.0
    assert all(a < b for a, b in pairwise(factors[:100]))
    assert all(a >= b for a, b in pairwise(factors[100:]))
    assert factors[1000] == (1.0 if schedule == "constant" else 0.0)


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
@pytest.mark.parametrize("longer", [1001, 2000, 50_000])
def test_up_to_its_decay_it_does_not_depend_on_the_number_of_steps(schedule: str, longer: int) -> None:
    short, long = (replace(WSD, schedule=schedule, steps=steps) for steps in (1000, longer))
    start = decay_start(short)
    assert start <= decay_start(long)
    assert all(learning_rate_factor(short, n) == learning_rate_factor(long, n) for n in range(start + 1))


def test_wsd_decays_in_the_last_fifth_as_one_minus_a_root() -> None:
    assert decay_start(WSD) == 800
    assert learning_rate_factor(WSD, 800) == 1.0
    assert learning_rate_factor(WSD, 850) == 0.5  # 1 - sqrt(1/4)
    assert decay_start(replace(WSD, decay=0.5)) == 500
    assert decay_start(replace(WSD, decay=1.0)) == 100  # never within the warm-up


def train(root: Path, name: str, steps: int, *more: str) -> None:
    words = [
        *SHORT,
        "evaluation=none",
        f"training.steps={steps}",
        f"outputs={root}",
        f"cache={root}/cache",
        f"name={name}",
    ]
    result = train_apart("experiment=base", *words, "training.warmup=2", "training.ema_every=4", *more)
    assert result.returncode == 0, result.stderr


def ends(root: Path, name: str) -> tuple[dict[str, torch.Tensor], list[int], list[int]]:
    folder = root / name
    return (
        read_state(folder / "weights.safetensors"),
        snapshot_steps(folder),
        [r["step"] for r in Record(folder).curve()],
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    place = tmp_path_factory.mktemp("schedules")
    (place / "cache").symlink_to(cache)
    return place


@pytest.mark.parametrize("schedule", ["wsd", "constant"])
def test_a_finished_run_trained_longer_ends_as_if_it_had_all_steps_at_once(root: Path, schedule: str) -> None:
    said = f"training.schedule={schedule}"
    train(root, f"{schedule}-long", 15, said)
    for steps in (10, 15):
        train(root, f"{schedule}-grown", steps, said)
    (long, long_averages, long_curve), (grown, averages, curve) = (
        ends(root, f"{schedule}-{n}") for n in ("long", "grown")
    )
    assert long.keys() == grown.keys() and all(torch.equal(long[name], grown[name]) for name in long)
    assert averages == long_averages == [4, 8, 12, 15]
    assert curve == long_curve == list(range(1, 16))
    change = Record(root / f"{schedule}-grown").read("steps")
    assert [(c["step"], c["old"], c["new"]) for c in change] == [(8 if schedule == "wsd" else 10, 10, 15)]
    assert (root / f"{schedule}-grown" / "checkpoints" / "weights-10.safetensors").is_file()


def test_a_cosine_is_refused_and_nothing_changes(root: Path) -> None:
    train(root, "cosine", 6)
    folder = root / "cosine"
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    words = [*SHORT, "evaluation=none", "training.steps=12", f"outputs={root}", f"cache={root}/cache", "name=cosine"]
    result = train_apart("experiment=base", *words, "training.warmup=2", "training.ema_every=4")
    assert result.returncode == 2
    assert (
        "training.steps=12" in result.stderr and "wsd" in result.stderr and len(result.stderr.strip().splitlines()) == 1
    )
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert {p for p in after if before.get(p) != after[p]} <= {folder / "lock"}


def test_a_sweep_before_and_after_has_rows_of_both_ends(root: Path) -> None:
    drawn = ["evaluation.samples=8", "guidance.scales=[1]", "sampler.steps=2"]
    words = [*SHORT, *drawn, "training.schedule=constant", f"outputs={root}", f"cache={root}/cache", "name=measured"]
    for steps in (4, 6):
        result = train_apart("experiment=base", *words, f"training.steps={steps}")
        assert result.returncode == 0, result.stderr
    table = (root / "measured" / "sweep.csv").read_text().splitlines()
    column = table[0].split(",").index("steps")
    assert sorted(line.split(",")[column] for line in table[1:]) == ["4", "6"]
    assert "6 steps" in (root / "measured" / "report.html").read_text()
