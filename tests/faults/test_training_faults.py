"""Numbers that are not finite, ranks that hang, power that is cut: nothing is lost, nothing waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.data.cached.segments import description, row_sums
from lightning_diff.nets.weights import read_state
from lightning_diff.pipeline.stages import train
from lightning_diff.tracking.record import Record
from tests.conftest import short
from tests.faults import kill


def words(root: Path, *more: str) -> list[str]:
    return [*short("base"), "evaluation=none", f"outputs={root}", f"cache={root}/cache", *more]


def spoil(root: Path, rows: slice) -> None:
    """Latents of these pictures that are not numbers, in the cache, as if they had been computed so."""
    (place,) = (root / "cache" / "latents").rglob("mean.npy")
    latents, sums = np.load(place), np.load(place.with_name("sums.npy"))
    latents[rows] = np.nan
    sums[:, 0] = row_sums(latents)
    np.save(place, latents)
    np.save(place.with_name("sums.npy"), sums)
    arrays = {p.stem: np.load(p) for p in place.parent.glob("*.npy")}
    (place.parent / "shapes.json").write_text(description(arrays))


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(tmp_path: Path) -> None:
    train(compose_config(words(tmp_path)), tmp_path / "clean")
    spoil(tmp_path, slice(0, 4))
    train(compose_config(words(tmp_path, "training.steps=24")), tmp_path / "spoiled")  # two epochs
    curve = Record(tmp_path / "spoiled").curve()
    skipped = [r["step"] for r in curve if r["skipped"]]
    assert 0 < len(skipped) <= 8 and len(curve) == 24
    assert all(("gradient_norm" in r) != (r["step"] in skipped) for r in curve)
    assert all(torch.isfinite(t).all() for t in read_state(tmp_path / "spoiled" / "weights.safetensors").values())


def test_too_many_in_a_row_end_the_run_with_the_pictures_names(tmp_path: Path) -> None:
    """At the second try too: the checkpoint in the middle says how many steps were skipped before it."""
    train(compose_config(words(tmp_path)), tmp_path / "clean")
    spoil(tmp_path, slice(None))
    config = compose_config(words(tmp_path, "training.steps=24", "training.skip_at_most=2"))
    for _ in range(2):
        with pytest.raises(
            ConfigError, match=r"step 3: .* not finite in the last 3 steps .*begins with .*, .*learning_rate"
        ):
            train(config, tmp_path / "spoiled")
    first, second = Record(tmp_path / "spoiled").read("not_finite")
    assert first["step"] == second["step"] == 3
    assert len(first["keys"]) == 8 and all(isinstance(k, str) for k in first["keys"])


def test_a_rank_whose_neighbour_hangs_says_where_it_is_and_ends(tmp_path: Path) -> None:
    more = [
        "training.steps=100000",
        "training.devices=2",
        "training.accelerator=cpu",
        "training.patience=5",
        "name=hung",
    ]
    command = [sys.executable, "train.py", *words(tmp_path, *more)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(
        command, cwd=PACKAGE_FOLDER, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    record, end = Record(tmp_path / "hung"), time.monotonic() + 120
    while not record.curve():
        assert first.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    (second,) = [int(p) for p in children if b"train.py" in Path(f"/proc/{p}/cmdline").read_bytes()]
    os.kill(second, signal.SIGSTOP)
    try:
        assert first.wait(60) == 75
    finally:
        os.kill(second, signal.SIGKILL)
    _, said = first.communicate()
    # where in the step it waits is chance: whichever call of the libraries needs the other rank next
    assert "rank 0: no step has ended for 5 s" in said and "in _run_stage" in said and "in train_command" in said, said


@pytest.mark.slow
def test_killed_at_five_random_moments(tmp_path: Path) -> None:
    assert kill.main(5, tmp_path) == 0
