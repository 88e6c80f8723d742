"""The doctor says what is wrong and how to mend it, counts what a run takes as it is, and leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest
import torch

from lightning_diff.cli.commands import doctor_command
from lightning_diff.cluster.requeue import OURS
from lightning_diff.config.compose import compose_config
from lightning_diff.config.paths import PACKAGE_FOLDER, SHIPPED
from lightning_diff.doctor import machine as doctor_machine
from lightning_diff.doctor import run as doctor_run
from lightning_diff.doctor.costs import Costs
from lightning_diff.doctor.findings import OK, WARNING, WRONG, Check, Finding, Patient
from lightning_diff.doctor.report import _all, _of_the_others
from lightning_diff.pipeline import node
from lightning_diff.pipeline.stages import train
from lightning_diff.training.checkpoint import read_checkpoint
from lightning_diff.training.footprint import Live
from tests.conftest import SHORT

PARTS = SHIPPED / "still_life" / "parts"
STEP = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "train"}


@pytest.fixture(autouse=True)
def outside_of_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith(("SLURM_", "WANDB_"))]:
        monkeypatch.delenv(name)
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "1000")  # a row of the table is a line


def patient(root: Path, *more: str) -> Patient:
    made = not any(word.startswith(("data=folder", "data=shards")) for word in more)  # else data.train means nothing
    words = [*(w for w in SHORT if made or not w.startswith("data.")), "evaluation=none", f"outputs={root}"]
    config = compose_config(["experiment=base", *words, f"cache={root}/cache", *more])
    return Patient(config, root / "base", root)


def found(check: Check, p: Patient, level: str, said: str, remedy: str = "") -> Finding:
    """Holds the finding to its level, and to words of what it says."""
    finding = check(p)
    assert finding.level == level and said in finding.found and remedy in finding.remedy, finding
    assert bool(finding.remedy) == (level != OK)
    return finding


def command(root: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    words = [*SHORT, "evaluation=none", "name=base", f"outputs={root}", f"cache={root}/cache", *more]
    monkeypatch.setattr(sys, "argv", ["doctor", "experiment=base", *words])
    try:
        doctor_command()
    except SystemExit as e:
        return int(str(e.code))
    return 0


def test_a_healthy_run_is_found_healthy_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path, monkeypatch) == 0
    said = capsys.readouterr().out
    assert "0 wrong" in said and "last.ckpt will have" in said and "autoencoder: shipped" in said
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_is_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path, monkeypatch, "training.nodes=2") == 2
    assert "outside of SLURM and torchrun" in capsys.readouterr().out
    assert command(tmp_path, monkeypatch, "training.stepz=2") == 2
    assert capsys.readouterr().err.startswith("error: training.stepz: no such key")
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be_made_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(**_: object) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("lightning_diff.doctor.report.tempfile.mkdtemp", refused)
    monkeypatch.setattr("lightning_diff.doctor.report.tempfile.TemporaryDirectory", lambda: _Plain(tmp_path))
    assert command(tmp_path / "not" / "there", monkeypatch) == 2
    said = capsys.readouterr().out
    assert "Read-only file system" in said and "outputs=FOLDER" in said and "memory" in said


class _Plain:
    """A folder that is there already, in the place of a temporary one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> str:
        return str(self.folder)

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    "environment, words, level, said, remedy",
    [
        ({}, "", OK, "no SLURM job", ""),
        ({"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "2"}, "", WRONG, "4 tasks on 2 nodes",
         "training.devices=2 training.nodes=2"),
        ({"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "2"},
         "training.devices=2 training.nodes=2", OK, "4 tasks", ""),
        ({"SLURM_NTASKS": "2", "SLURM_NNODES": "1"}, "training.devices=2", WRONG, "not set", "--ntasks-per-node=2"),
        ({"SLURM_NTASKS": "2", "SLURM_NNODES": "1", "SLURM_STEP_ID": ""}, "training.devices=2", WRONG,
         "started once", "srun python"),
        ({"SLURM_NTASKS": "2", "SLURM_NNODES": "1", "SLURM_NTASKS_PER_NODE": "2", "SLURM_JOB_NAME": "interactive"},
         "training.devices=2", WRONG, "train by itself", "--job-name"),
        ({"SLURM_NTASKS": "1", "SLURM_NNODES": "1"}, "", OK, "1 tasks", ""),
    ],
)  # fmt: skip
def test_ranks(
    environment: dict[str, str], words: str, level: str, said: str, remedy: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in {**STEP, **environment}.items() if environment else ():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    found(doctor_machine.ranks, patient(tmp_path, *words.split()), level, said, remedy)


def test_a_shell_in_a_job_of_one_task_starts_no_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_NNODES": "1", "SLURM_JOB_NAME": "jupyter"}
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    found(doctor_machine.ranks, patient(tmp_path, "training.devices=2"), WRONG, "has 1 tasks", "cluster.slurm=false")


def test_shared_memory_and_the_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "_free_shared_memory", lambda: 64 * 1024)
    found(doctor_machine.shared_memory, patient(tmp_path), OK, "no workers")
    some = patient(tmp_path, "training.workers=2", "training.devices=2")
    found(doctor_machine.shared_memory, some, WRONG, "0.1 MiB free of at least 4 needed", "training.workers=0")
    monkeypatch.setattr(node, "_free_shared_memory", lambda: 2**40)
    found(doctor_machine.shared_memory, some, OK, "2 workers")
    found(doctor_machine.port, some, OK, "a free one")
    with socket.create_server(("", 0)) as server:
        monkeypatch.setenv("MASTER_PORT", str(server.getsockname()[1]))
        found(doctor_machine.port, some, WRONG, "Address already in use", "unset MASTER_PORT")


def test_torchruns_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    found(doctor_machine.ranks, patient(tmp_path, "training.devices=4"), WRONG, "WORLD_SIZE=2", "equal to it")
    monkeypatch.setenv("WORLD_SIZE", "3")
    found(doctor_machine.batch, patient(tmp_path), WRONG, "8 cannot be shared by 3", "training.batch=6 or 9")


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A scontrol that says what is in a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "scontrol").write_text(f"#!/bin/sh\ncat {tmp_path}/said\n")
    (folder / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(OURS, STEP["SLURM_JOB_ID"])  # slurm/job.sh started it
    yield tmp_path / "said"


def test_requeue_and_the_time_that_is_left(scontrol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    p = patient(tmp_path)
    p.rate = 1e9
    scontrol.write_text("JobId=7 JobState=RUNNING Requeue=1 EndTime=2999-01-01T00:00:00")
    found(doctor_machine.requeue, p, OK, "Requeue=1")
    found(doctor_machine.time_left, p, OK, "a checkpoint takes about")
    p.rate = 1e3
    found(doctor_machine.time_left, p, WARNING, "KiB/s", "--time")
    scontrol.write_text("JobId=7 JobState=RUNNING Requeue=0")
    found(doctor_machine.requeue, p, WARNING, "Requeue=0", "scontrol update JobId=7 Requeue=1")
    scontrol.with_name("bin").joinpath("scontrol").write_text("#!/bin/sh\nexit 1\n")
    found(doctor_machine.requeue, p, WARNING, "scontrol", "ask the site")


def test_gpus_that_are_asked_for_and_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    p, asked = patient(tmp_path), patient(tmp_path, "training.accelerator=gpu", "training.devices=4")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor_machine, "DRIVER", tmp_path / "none")
    monkeypatch.setattr(torch.version, "cuda", None)
    found(doctor_machine.gpus, p, OK, "CPUs alone")
    found(doctor_machine.gpus, asked, WRONG, "but there are GPUs", "built for CUDA")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    found(doctor_machine.gpus, p, OK, "none")
    found(doctor_machine.gpus, asked, WRONG, "no driver", "--gpus-per-node")
    (tmp_path / "none").write_text("a driver")

    def too_old() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update it.")

    monkeypatch.setattr(torch.cuda, "init", too_old)
    found(doctor_machine.gpus, p, WRONG, "too old (found version 11040)", "update the driver")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    found(doctor_machine.gpus, asked, WRONG, "1 x H100 visible", "--gpus-per-node=4")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_120a"])
    found(doctor_machine.gpus, p, WRONG, "9.0", "built for this GPU")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90"])
    found(doctor_machine.gpus, p, OK, "1 x H100")


def test_threads_and_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    p = patient(tmp_path, "training.devices=4", "training.precision=bf16-mixed", "training.accelerator=cpu")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for each, level, remedy in ((2, OK, ""), (8, WARNING, "OMP_NUM_THREADS=2"), (1, WARNING, "OMP_NUM_THREADS=2")):
        monkeypatch.setattr(torch, "get_num_threads", lambda each=each: each)
        found(doctor_machine.threads, p, level, f"{each} threads", remedy)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    found(doctor_machine.bf16, p, WARNING, "emulated", "32-true")
    for able in ("avx512_bf16", "amx_tile"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {able: True})
        found(doctor_machine.bf16, p, OK, "bf16")


def test_file_systems_without_locks_and_clocks_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    p = patient(tmp_path)
    found(doctor_machine.file_system, p, OK, "flushed, locked")
    assert p.rate > 0
    found(doctor_machine.clock, p, OK, "0.0 s apart")
    with monkeypatch.context() as m:
        m.setattr(doctor_machine.time, "time", lambda: 1e9)
        found(doctor_machine.clock, p, WARNING, "s apart", "chronyd")
    with monkeypatch.context() as m:
        m.setattr("lightning_diff.locks.fcntl.lockf", lambda *_: None)  # a lock that binds nobody
        found(doctor_machine.file_system, p, WRONG, "same lock", "flock")
        found(doctor_machine.shared_lock, p, WRONG, "takes a lock", "flock")
    with monkeypatch.context() as m:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        m.setattr(doctor_machine, "whole_file", full)
        found(doctor_machine.file_system, p, WRONG, "No space left", "outputs=FOLDER")


def test_memory_of_what_is_trained_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("data=folder", f"data.source={tmp_path}", "data.image_size=256", "net=tiny", "training.batch=4")
    p = patient(tmp_path, *words)
    first = p.costs.before["train the text encoder"]
    assert first > 10 * sum(p.costs.memory.values())  # 128 pictures of 256 pixels, against 4 of their latents
    monkeypatch.setattr(doctor_run, "_free_memory", lambda: first)
    found(doctor_run.memory, p, WRONG, "before it a rank needs", "text.weights")


def test_room_in_memory_and_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    p = patient(tmp_path, "training.ema_every=1")
    found(doctor_run.memory, p, OK, "optimizer's moments")
    found(doctor_run.disk, p, OK, "features of frozen nets up to")
    usage = shutil.disk_usage(tmp_path)
    for free, said, remedy in (
        (p.costs.checkpoint, "last.ckpt will have", "outputs=FOLDER"),
        (3 * p.costs.checkpoint + 1000, "averages every 1 steps", "training.ema_every"),
        (3 * p.costs.checkpoint + 3 * p.costs.gradients + 1000, "features of frozen nets", "cache=FOLDER"),
    ):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        found(doctor_run.disk, p, WRONG, said, remedy)
    monkeypatch.setattr(doctor_run, "_free_memory", lambda: 2**30)
    found(doctor_run.memory, p, WRONG, "gradients and activations", "training.checkpointing=true")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "4000")
    monkeypatch.undo()
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "100")
    assert doctor_run._free_memory() == 100 * 2**20


def shard(path: Path, pictures: list[bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for i, data in enumerate(pictures):
            for name, member in ((f"{i}.png", data), (f"{i}.txt", b"a thing" if i else b"")):
                info = tarfile.TarInfo(name)
                info.size = len(member)
                tar.addfile(info, io.BytesIO(member))


def test_shards_that_are_damaged(tmp_path: Path, pictures_folder: Path) -> None:
    png = (pictures_folder / "00.png").read_bytes()
    sets = tmp_path / "sets"
    sets.mkdir()
    p = patient(tmp_path, "data=shards", f"data.source={sets}")
    shard(sets / "0.tar", [png, png, png])
    found(doctor_run.data, p, WARNING, "2 pictures in 1 of 1 shard;", "left out")
    shard(sets / "1.tar", [png, b"no picture", b"no picture"])
    found(doctor_run.data, p, WARNING, "2 pictures in 2 of 2 shards", "left out")
    (sets / "0.tar").unlink()
    found(doctor_run.data, p, WRONG, "0 pictures in 1 of 1 shard;", "again")
    mine = patient(tmp_path, "data=folder", f"data.source={pictures_folder}")
    found(doctor_run.data, mine, OK, "24 captioned pictures")
    (pictures_folder / "00.png").write_bytes(b"no picture")
    found(doctor_run.data, mine, WARNING, "1 text file (00.png)", "left out")


def test_where_the_weights_come_from(tmp_path: Path, pictures_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = patient(tmp_path, "data=folder", f"data.source={pictures_folder}", "evaluation.enabled=true", "data.test=0")
    said = found(doctor_run.weights, mine, OK, "judge: will be trained first, 1 steps").found
    assert f"in {tmp_path}/parts/judge-folder-" in said and not (tmp_path / "parts").exists()
    judged = f"text.weights={PARTS / 'judge.safetensors'}"
    own = patient(tmp_path, judged, "data.test=64", "evaluation=judge", "evaluation.samples=8")
    found(doctor_run.weights, own, WRONG, "its own judge", "another tower")
    wrong = f"autoencoder.weights={PARTS / 'text.safetensors'}"
    assert command(tmp_path / "runs", monkeypatch, wrong) == 2


def test_trackers_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    online = patient(tmp_path, "tracking=online")
    found(doctor_machine.tracking, patient(tmp_path), OK, "disabled")
    found(doctor_machine.tracking, online, WARNING, "no API key", "tracking=offline")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password secret\n")
        (tmp_path / "netrc").chmod(0o600)

        def answer() -> None:
            connection = server.accept()[0]
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        found(doctor_machine.tracking, online, OK, "W&B online")
        thread.join()
        monkeypatch.setattr(doctor_machine, "REACHED_IN", 0.2)  # it listens, and does not answer
        found(doctor_machine.tracking, online, WARNING, "", "wandb sync")
    found(doctor_machine.tracking, online, WARNING, "refused", "tracking=offline")


@pytest.mark.usefixtures("common_cache")
@pytest.mark.parametrize(
    "words",
    ["", "training.ema_every=1 text.null=learned objective.uncertainty=true", "net=ldm_tiny training.compile=false"],
)
def test_the_checkpoint_and_the_memory_are_as_large_as_was_said(words: str, tmp_path: Path) -> None:
    p = patient(tmp_path, "training.steps=2", *words.split())
    said, parts = p.costs.checkpoint, p.costs.memory
    found(doctor_run.run_folder, p, OK, "new")
    train(p.config, p.folder)
    last = p.folder / "checkpoints" / "last.ckpt"
    assert last.stat().st_size == pytest.approx(said, rel=0.01)
    checkpoint = read_checkpoint(last)
    trained = {n: t for n, t in checkpoint["state_dict"].items() if not n.startswith("run_net.")}
    state = checkpoint["optimizer_states"][0]["state"].values()
    assert any("momentum" in s for s in state) and any("exp_avg_sq" in s for s in state)
    assert parts["weights"] == sum(t.nbytes for t in trained.values())
    assert parts["optimizer's moments"] == sum(t.nbytes for s in state for k, t in s.items() if k != "step")
    averages = [*checkpoint["ema"].values(), *checkpoint.get("posthoc", {}).values()]
    assert parts["EMA"] == sum(t.nbytes for t in averages)
    found(doctor_run.run_folder, p, OK, "trained")
    (p.folder / "weights.safetensors").unlink()
    found(doctor_run.run_folder, p, OK, "goes on at step 2 of 2")
    last.write_bytes(last.read_bytes()[:5000])
    found(doctor_run.run_folder, p, WRONG, "not a whole checkpoint", "take it from a copy")


def test_sharded_a_rank_holds_its_part_and_two_blocks(tmp_path: Path) -> None:
    words = ["training.devices=4", "training.accelerator=cpu"]
    whole, parts = (Costs(patient(tmp_path, *words, f"training.strategy={s}").config) for s in ("ddp", "fsdp"))
    for name in ("weights", "optimizer's moments", "EMA"):
        assert parts.memory[name] == whole.memory[name] // 4 > 0
    assert 0 < parts.memory["blocks that are whole"] < 2 * whole.memory["weights"]
    less = whole.memory["gradients and activations"] - parts.memory["gradients and activations"]
    assert less == pytest.approx(0.75 * whole.gradients, rel=0.01) and "buckets of gradients" not in parts.memory


@pytest.mark.parametrize("checkpointing", ["false", "true"])
def test_a_steps_memory_is_counted_on_fake_tensors_as_on_real_ones(checkpointing: str, tmp_path: Path) -> None:
    net = ["net=small", "net.widths=[16,32]", "net.head_width=16"]
    words = ["training.precision=32-true", f"training.checkpointing={checkpointing}", *net]
    costs = Costs(patient(tmp_path, *words).config)
    said = costs.memory["gradients and activations"]
    made = costs.make()
    live = Live(made)
    with live:
        costs._output(made).float().square().mean().backward()
    # The fake gradient of a group norm is not in channels_last memory, as the real one is, so a convolution copies it.
    assert said == pytest.approx(live.peak, rel=0.03) and said >= live.peak


def test_a_folder_that_is_in_use_or_of_another_run(tmp_path: Path) -> None:
    p = patient(tmp_path)
    p.folder.mkdir()
    held = "import sys; from pathlib import Path; from lightning_diff.locks import lock\n"
    held += "file = lock(Path(sys.argv[1]), wait=False); print('held', flush=True); sys.stdin.read()"
    (p.folder / "config.yaml").write_text("objective: {prediction: v}\n")
    with subprocess.Popen(
        [sys.executable, "-c", held, p.folder / "lock"],
        cwd=PACKAGE_FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        found(doctor_run.run_folder, p, WRONG, f"in use by process {other.pid} on", "another name=")
        other.communicate("")
    (finding,) = _all([doctor_run.run_folder], p)
    assert finding.level == WRONG and "holds a run with" in finding.found and "name=" in finding.remedy


def test_ranks_tell_the_first_one(tmp_path: Path) -> None:
    """Two processes as srun would start them: one table, and what the other one finds is in it."""
    processes = []
    for rank, threads in (("1", "64"), ("0", "1")):
        environment = {
            **os.environ, **STEP, "SLURM_PROCID": rank, "SLURM_NTASKS": "2", "SLURM_NNODES": "1",
            "SLURM_NTASKS_PER_NODE": "2", "SLURM_CPUS_PER_TASK": "1", "OMP_NUM_THREADS": threads,
        }  # fmt: skip
        words = [*SHORT, "evaluation=none", f"outputs={tmp_path}", f"cache={tmp_path}/cache", "training.devices=2"]
        command = [sys.executable, "-m", "lightning_diff.doctor", "experiment=base", *words]
        processes.append(
            subprocess.Popen(command, cwd=PACKAGE_FOLDER, env=environment, stdout=subprocess.PIPE, text=True)
        )
    others, first = (p.communicate()[0] for p in processes)
    assert [p.returncode for p in processes] == [0, 0] and others == ""
    assert "ranks 1: " in first and "OMP_NUM_THREADS=1 " in first and "0 wrong" in first  # the first one's lock is seen
    assert list(tmp_path.iterdir()) == []


def test_findings_of_ranks_are_said_once_and_silence_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine, slow = Finding("GPU", OK, "none"), Finding("clock", WARNING, "9.0 s apart", "chronyd")
    for rank, finding in ((1, fine), (2, slow), (3, slow)):
        (tmp_path / f"rank-{rank}.json").write_text(json.dumps([f"node{rank}", [astuple(finding)]]))
    assert [f.found for f in _of_the_others(tmp_path, 2)] == [
        "all 2 ranks on 2 hosts answered, and are told of the first one's lock"
    ]
    assert _of_the_others(tmp_path, 4) == [Finding("clock", WARNING, "ranks 2, 3: 9.0 s apart", "chronyd")]
    monkeypatch.setattr("lightning_diff.doctor.report.OTHERS_COME_IN", 0.1)
    assert [(f.what, f.level) for f in _of_the_others(tmp_path, 5)] == [("clock", WARNING), ("other ranks", WRONG)]
