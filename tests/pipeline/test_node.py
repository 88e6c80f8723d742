"""Shared memory and the port at which the ranks meet are looked at before anything is started, and each is one line."""

from __future__ import annotations

import shutil
import socket
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import pytest

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.schema import Config
from lightning_diff.pipeline.memory import check_machine
from lightning_diff.pipeline.node import least_sample, wrong_port, wrong_shared_memory
from lightning_diff.training.loading.datamodule import PREFETCH

MIB = 2**20
Usage = namedtuple("Usage", "free")


def config(*words: str) -> Config:
    return compose_config(["experiment=base", "training.accelerator=cpu", *words])


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("MASTER_PORT", "RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_USE_AGENT_STORE", "SLURM_JOB_ID")
    for name in (*names, "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how many bytes are free in /dev/shm."""
    real = shutil.disk_usage

    def leave(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free) if path == "/dev/shm" else real(path))

    return leave


def test_shared_memory_that_is_too_small_is_one_line_before_the_first_step(room: Any) -> None:
    room(64 * 1024)
    with pytest.raises(
        ConfigError, match=r"training.workers=1: .*/dev/shm.* 0.1 MiB free of at least 3 needed; give"
    ) as e:
        check_machine(config("training.workers=1"))
    assert "\n" not in str(e.value)
    check_machine(config("training.workers=0"))
    room(3 * MIB)
    check_machine(config("training.workers=1"))


def test_the_workers_of_all_ranks_of_a_machine_share_it(room: Any) -> None:
    """Each keeps PREFETCH batches of its rank's samples ready."""
    large = config("training.workers=2", "training.devices=2", "training.batch=8192", "data.train=16384")
    needed = 2 * 2 * PREFETCH * 4096 * least_sample(large)
    assert needed > 64 * MIB
    room(needed)
    assert not wrong_shared_memory(large)
    room(needed - 1)
    assert f"at least {needed / MIB:,.0f} needed" in wrong_shared_memory(large)
    assert "at least" in wrong_shared_memory(large, 10**6) and not wrong_shared_memory(config(), 10**9)


def test_a_sample_is_a_picture_or_its_features() -> None:
    assert (
        least_sample(config())
        == 2 * (4 * 16**2 + config().text.least_shape()[0] * config().text.least_shape()[1])
        + 2 * (config().text.least_shape()[2])
    )
    assert least_sample(config("data.features=online")) == 3 * 64**2
    assert least_sample(compose_config(["experiment=autoencoder"])) == 3 * 64**2


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another process listens at."""
    with socket.create_server(("", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_one_line(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", str(taken))
    two = config("training.devices=2")
    with pytest.raises(
        ConfigError, match=rf"^MASTER_PORT={taken}: the ranks cannot meet at this port \(Address already"
    ) as e:
        check_machine(two)
    assert "\n" not in str(e.value) and "unset MASTER_PORT" in str(e.value)
    check_machine(config())  # one rank meets nobody
    monkeypatch.setenv("LOCAL_RANK", "1")  # the first rank has opened it
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_machine(two)
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")  # torchrun has
    check_machine(two)


def test_what_is_no_port_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    two = config("training.devices=2")
    assert not wrong_port(two)
    for said in ("", "nonsense", "99999", "0"):
        monkeypatch.setenv("MASTER_PORT", said)
        assert wrong_port(two).startswith(f"MASTER_PORT={said}: no port; unset")


def test_the_port_of_a_slurm_job_follows_from_its_id(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    two = config("training.devices=2")
    for name, value in {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_JOB_ID", "1234567")
    monkeypatch.setattr("lightning_diff.pipeline.node.PORTS", taken - 4567)
    assert f"MASTER_PORT={taken}: " in wrong_port(two) and "slurm/site.sh" in wrong_port(two)
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")
    assert not wrong_port(two)
