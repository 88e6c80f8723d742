"""A checkpoint is of one step, whole, and says so when it could not be written."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_diff.cluster.signals import STOP, Interrupted
from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.pipeline.stages import train
from lightning_diff.training import checkpoint as saving
from lightning_diff.training.checkpoint import AtomicCheckpoints, read_checkpoint
from lightning_diff.training.trainer import LAST
from tests.conftest import short


def test_a_large_one_is_of_its_step_whatever_the_next_steps_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "LARGE", 0)
    go, write = threading.Event(), saving._write
    monkeypatch.setattr(saving, "_write", lambda *a: go.wait(60) and write(*a))
    weights = torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last)
    checkpoint = {"global_step": 1, "state_dict": {"a": weights, "b": weights}}
    writer, place, before = AtomicCheckpoints(), tmp_path / "last.ckpt", weights.clone()
    writer.save_checkpoint(checkpoint, place)
    weights.zero_()
    assert not place.exists()
    go.set()
    writer.wait()
    found = read_checkpoint(place)["state_dict"]
    assert torch.equal(found["a"], before) and found["a"].stride() == before.stride()
    assert found["a"].data_ptr() == found["b"].data_ptr() and list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("large", [0, 2**40])
def test_what_could_not_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(saving, "LARGE", large)
    (tmp_path / "file").write_text("")
    writer = AtomicCheckpoints()
    with pytest.raises(FileExistsError):
        writer.save_checkpoint({"global_step": 1, "x": torch.ones(9)}, tmp_path / "file" / "last.ckpt")
        writer.wait()


def test_a_disk_that_keeps_other_bits_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = torch.save

    def bad_disk(what: Any, f: Any) -> None:
        save(what, f)
        f.seek(os.fstat(f.fileno()).st_size // 2)  # within the tensor
        f.write(b"\xff")

    monkeypatch.setattr(torch, "save", bad_disk)
    with pytest.raises((OSError, ConfigError), match=r"data/0 was not written|not a whole checkpoint"):
        AtomicCheckpoints().save_checkpoint({"global_step": 1, "x": torch.zeros(10**5)}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("common_cache")
def test_a_run_that_saves_while_it_trains_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it is stopped, which waits for the last one, and goes on."""
    more = "training.steps=8", "training.keep_every=3", f"outputs={tmp_path}", f"cache={tmp_path}/cache"
    words = short("base", "evaluation=none", *more)
    train(compose_config(words), tmp_path / "whole")
    kept = {path.name for path in (tmp_path / "whole" / LAST).parent.iterdir()}
    assert kept == {"last.ckpt", "previous.ckpt", "step-000000003.ckpt", "step-000000006.ckpt"}
    monkeypatch.setattr(saving, "LARGE", 0)
    write = saving._write

    def stopped_meanwhile(checkpoint: dict[str, Any], place: Path) -> None:
        if checkpoint["global_step"] == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        write(checkpoint, place)

    with monkeypatch.context() as m:
        m.setattr(saving, "_write", stopped_meanwhile)
        with pytest.raises(Interrupted):
            train(compose_config(words), tmp_path / "stopped")
    assert 4 <= read_checkpoint(tmp_path / "stopped" / LAST)["global_step"] < 8
    STOP.number, STOP.ends = 0, False
    train(compose_config(words), tmp_path / "stopped")
    one, two = (read_checkpoint(tmp_path / name / LAST) for name in ("whole", "stopped"))
    assert all(torch.equal(one["state_dict"][n], t) for n, t in two["state_dict"].items())
    assert all(torch.equal(one["ema"][n], t) for n, t in two["ema"].items())
