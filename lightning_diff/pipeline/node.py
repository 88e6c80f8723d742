"""Check, before anything is started, what the processes of a training need of this machine: shared memory, and a port."""

from __future__ import annotations

import os
import shutil
import socket

import torch

from ..cluster.detection import ALONE
from ..config.schema import Config
from ..ranks import first_rank
from ..training.loading.datamodule import PREFETCH

SMALLEST = 2**20  # bytes of shared memory of a worker, however small its batches are
PORTS = 15000  # Lightning meets at this port + the last four digits of the SLURM job's id


def wrong_shared_memory(config: Config, sample: int = 0) -> str:
    """What is wrong with /dev/shm, where the workers of the data loaders hand samples of `sample` bytes over; empty if nothing
    is. Without it a worker dies, or its batch never comes. By default the smallest possible size of a sample is taken."""
    t, free = config.training, _free_shared_memory()
    batch = t.batch // (t.devices * t.nodes) * (sample or least_sample(config))
    needed = t.devices * t.workers * max(SMALLEST, PREFETCH * batch)
    if free is None or free >= needed:
        return ""
    return (
        f"training.workers={t.workers}: they hand samples over in /dev/shm, which has {free / 2**20:,.1f} MiB free of at "
        f"least {needed / 2**20:,.0f} needed; give training.workers=0, or more room (docker run --shm-size=1g)"
    )


def least_sample(config: Config) -> int:
    """Bytes of a sample that a worker hands over, at least: a picture, or the features of frozen nets in half precision."""
    size, autoencoder = config.data.image_size, config.autoencoder
    if config.task != "diffusion" or config.data.features == "online":
        return 3 * size**2
    long, wide, pooled = config.text.least_shape()
    latent = getattr(autoencoder, "latent_channels", 3) * (size // autoencoder.factor) ** 2
    return int(2 * (latent + long * wide + pooled))


def _free_shared_memory() -> int | None:
    """Bytes that are free in /dev/shm; None if there is none."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return None


def wrong_port(config: Config) -> str:
    """What is wrong with the port at which the ranks meet; empty if nothing is. The first rank opens it, unless torchrun has
    opened it already. Without MASTER_PORT or a SLURM job, Lightning takes a free one."""
    t = config.training
    met = (
        torch.distributed.is_available() and torch.distributed.is_initialized()
    )  # at a training before, in this process
    meets = (t.devices * t.nodes > 1 or t.strategy == "fsdp") and not met
    if not meets or not first_rank() or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return ""
    said = os.environ.get("MASTER_PORT", "")
    job, remedy = _port_of_job(), "unset MASTER_PORT, then a free port is taken"
    if job is not None:
        remedy = "export another MASTER_PORT in slurm/site.sh"
    if "MASTER_PORT" not in os.environ:
        if job is None:
            return ""
        said = str(job)
    if not said.isdecimal() or not 0 < int(said) < 2**16:
        return f"MASTER_PORT={said}: no port; {remedy}"
    try:
        with socket.socket() as probe:  # it does not listen: another rank may be asking for the first one already
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", int(said)))
    except OSError as e:
        return f"MASTER_PORT={said}: the ranks cannot meet at this port ({e.strerror}); {remedy}"
    return ""


def _port_of_job() -> int | None:
    """The port that Lightning takes in a SLURM job whose tasks are the ranks; None outside of one."""
    job = os.environ.get("SLURM_JOB_ID", "")
    ranks = "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ALONE
    return PORTS + int(job[-4:]) if ranks and job.isdecimal() else None
