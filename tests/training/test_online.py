"""data.features=online encodes each batch in its step: the same pictures, noise and times as with cached features. And the loss
on held-out samples, which changes nothing of the training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lightning_diff.nets.weights import read_state
from lightning_diff.tracking.record import Record
from tests.conftest import SHORT, train_apart


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    place = tmp_path_factory.mktemp("online")
    (place / "cache").symlink_to(cache)
    return place


def train(root: Path, name: str, *more: str) -> Path:
    words = [
        *SHORT,
        "evaluation=none",
        "training.steps=12",
        "training.warmup=2",
        f"outputs={root}",
        f"cache={root}/cache",
    ]
    result = train_apart("experiment=base", *words, f"name={name}", *more)
    assert result.returncode == 0, result.stderr
    return root / name


def test_its_losses_are_those_of_cached_features(root: Path) -> None:
    curves = [Record(train(root, kind, f"data.features={kind}")).curve() for kind in ("cached", "online")]
    assert [row["step"] for row in curves[0]] == [row["step"] for row in curves[1]] == list(range(1, 13))
    assert max(abs(a["loss"] - b["loss"]) for a, b in zip(*curves, strict=True)) < 1e-3


def test_the_held_out_loss_is_recorded_and_changes_nothing(root: Path) -> None:
    without = read_state(train(root, "without", "validation.every=0") / "weights.safetensors")
    folder = train(root, "with", "validation.every=4", "validation.samples=32")
    found = read_state(folder / "weights.safetensors")
    assert all(torch.equal(value, found[name]) for name, value in without.items())
    rows = Record(folder).curve("validation")
    assert [row["step"] for row in rows] == [4, 8, 12] and all(row["loss"] > 0 and row["loss_ema"] > 0 for row in rows)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_what_does_not_use_it_refuses_it(root: Path) -> None:
    result = train_apart("experiment=judge", "data.features=online", f"outputs={root}")
    assert result.returncode == 2 and "data.features=online: would be ignored" in result.stderr
