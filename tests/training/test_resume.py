"""A killed run, given the same command again, ends with the same bits (law 1)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.nets.weights import read_state
from lightning_diff.tracking.record import Record
from lightning_diff.training.checkpoint import read_checkpoint
from tests.conftest import SHORT, train_apart

pytestmark = pytest.mark.xdist_group("resume")  # all go on from one run


def command(root: Path, name: str, *more: str) -> list[str]:
    words = [*SHORT, "evaluation=none", "training.steps=60", "training.checkpoint_every=7", f"outputs={root}"]
    return [sys.executable, "train.py", "experiment=base", *words, f"cache={root}/cache", f"name={name}", *more]


def run(
    root: Path, name: str, *more: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return train_apart(*command(root, name, *more)[2:], env=environment or {})


def stop_after(root: Path, name: str, step: int, number: int, *more: str) -> int:
    """Start the run, send the signal when its record shows `step`; the exit code."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(root, name, *more),
        cwd=PACKAGE_FOLDER,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    record = Record(root / name)
    while process.poll() is None and not any(r["step"] >= step for r in record.read("train")):
        time.sleep(0.02)
    process.send_signal(number)
    return process.wait()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    place = tmp_path_factory.mktemp("runs")
    (place / "cache").symlink_to(cache)
    return place


@pytest.fixture(scope="module")
def whole(root: Path) -> dict[str, torch.Tensor]:
    result = run(root, "whole")
    assert result.returncode == 0, result.stderr
    return read_state(root / "whole" / "weights.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_killed_three_times_ends_with_the_same_bits(root: Path, whole: dict[str, torch.Tensor]) -> None:
    for step in (3, 20, 41):
        assert stop_after(root, "killed", step, signal.SIGKILL) == -signal.SIGKILL
    assert 0 < read_checkpoint(root / "killed" / "checkpoints" / "last.ckpt")["global_step"] < 60
    result = run(root, "killed")
    assert result.returncode == 0, result.stderr
    assert same(read_state(root / "killed" / "weights.safetensors"), whole)


def test_asked_to_stop_saves_where_it_is(root: Path, whole: dict[str, torch.Tensor]) -> None:
    assert stop_after(root, "asked", 9, signal.SIGTERM) == 128 + signal.SIGTERM
    assert read_checkpoint(root / "asked" / "checkpoints" / "last.ckpt")["global_step"] % 7 in range(7)
    result = run(root, "asked")
    assert result.returncode == 0, result.stderr
    assert "continuing at step" in result.stdout
    assert same(read_state(root / "asked" / "weights.safetensors"), whole)


def test_a_damaged_checkpoint_is_one_clear_line(root: Path, whole: dict[str, torch.Tensor]) -> None:
    last = root / "damaged" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.write_bytes((root / "whole" / "checkpoints" / "last.ckpt").read_bytes()[:5000])
    result = run(root, "damaged")
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1 and "last.ckpt" in result.stderr


def alike(root: Path, name: str) -> None:
    """The same pictures, noise and times as `whole`, summed in another order; another batch's loss would differ by 0.1 and
    more."""
    one, other = (Record(root / n).curve() for n in ("whole", name))
    assert [r["step"] for r in one] == [r["step"] for r in other]
    for a, b in zip(one, other, strict=True):
        assert abs(a["loss"] - b["loss"]) < 0.02, (a, b)


TWO = ("training.devices=2", "training.accelerator=cpu")
SHARDED = (*TWO, "training.strategy=fsdp")


def test_two_ranks_train_on_the_same_batches(root: Path, whole: dict[str, torch.Tensor]) -> None:
    result = run(root, "ranks", *TWO)
    assert result.returncode == 0, result.stderr
    alike(root, "ranks")


@pytest.mark.parametrize("first, second", [(SHARDED, ()), (TWO, SHARDED)], ids=["sharded to one", "two to sharded"])
def test_another_number_of_ranks_goes_on(
    root: Path, whole: dict[str, torch.Tensor], first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    """Stopped by a signal to one of two ranks, which agree on the step; continued on others, in parts or whole."""
    name = f"elastic{len(second)}"
    assert stop_after(root, name, 15, signal.SIGUSR1, *first) == 128 + signal.SIGUSR1
    assert 15 <= read_checkpoint(root / name / "checkpoints" / "last.ckpt")["global_step"] < 60
    result = run(root, name, *second)
    assert result.returncode == 0, result.stderr
    assert "continuing at step" in result.stdout
    alike(root, name)
