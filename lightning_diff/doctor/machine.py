"""Checks of the machine: ranks, GPUs, threads, the SLURM job, the file system, clocks, the network."""

from __future__ import annotations

import netrc
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import torch

from ..cluster.detection import wrong_tasks
from ..cluster.requeue import job_details, job_id, margin, seconds_left
from ..devices import bf16_pays, device_of, on_gpu
from ..files import whole_file
from ..locks import Held, lock
from ..markers import Marker
from ..pipeline.node import wrong_port, wrong_shared_memory
from ..ranks import rank_of
from ..strings import counted
from ..training.trainer import precision_of
from .findings import OK, WARNING, WRONG, Check, Finding, Patient, existing, number, size

PROBE = 32 * 2**20  # bytes written to measure the speed
REACHED_IN = 5.0  # seconds to wait for a server
SKEW = 2.0  # seconds between two clocks that are tolerated; with more, make and rsync go wrong
DRIVER = Path("/proc/driver/nvidia/version")


def ranks(p: Patient) -> Finding:
    """Whether the number of processes is that of the config, and whether Lightning will recognise how they were started."""
    t, what = p.config.training, "ranks"
    asked, world = f"training.devices={t.devices} training.nodes={t.nodes}", t.devices * t.nodes
    if "SLURM_JOB_ID" not in os.environ:
        started = number("WORLD_SIZE")
        if started is not None and started != world:
            return Finding(what, WRONG, f"WORLD_SIZE={started}, but {asked}", "make devices x nodes equal to it")
        if started is None and t.nodes > 1:
            remedy = "sbatch slurm/train.sbatch, or torchrun on every node; for one machine training.nodes=1"
            return Finding(what, WRONG, f"{asked} outside of SLURM and torchrun: it would wait for ever", remedy)
        return Finding(what, OK, f"no SLURM job; {world} on this machine")
    tasks, nodes, each = number("SLURM_NTASKS") or 1, number("SLURM_NNODES") or 1, number("SLURM_NTASKS_PER_NODE")
    has = f"job {os.environ['SLURM_JOB_ID']}: {tasks} tasks on {nodes} nodes"
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if tasks > 1 and "SLURM_STEP_ID" not in os.environ:
        return Finding(what, WRONG, f"{has}, but python was started once", "start it with srun: srun python ...")
    if tasks > 1 and interactive:  # Lightning takes it for a shell, and each task for the only one
        found = f"{has}, of a job named {os.environ['SLURM_JOB_NAME']!r}: each task would train by itself"
        return Finding(what, WRONG, found, "srun --job-name=train python ...")
    if tasks == 1 and (wrong := wrong_tasks(t.devices, t.nodes)):
        found, _, remedy = wrong.partition("; ")
        return Finding(what, WRONG, found, remedy)
    if interactive or (tasks == 1 and "SLURM_STEP_ID" not in os.environ and nodes == t.nodes):
        return Finding(what, OK, f"{has}; one process here, {asked}")
    if (tasks, nodes) != (world, t.nodes):
        mend = f"training.devices={max(1, tasks // nodes)} training.nodes={nodes}"
        remedy = f"{mend}, or sbatch --nodes={t.nodes} --ntasks-per-node={t.devices}"
        return Finding(what, WRONG, f"{has}, but {asked}", remedy)
    if tasks > 1 and each != t.devices:
        found = f"{has}, SLURM_NTASKS_PER_NODE={'not set' if each is None else each}"
        return Finding(what, WRONG, found, f"ask for them with --ntasks-per-node={t.devices}, not --ntasks")
    return Finding(what, OK, f"{has}, {asked}")


def batch(p: Patient) -> Finding:
    """Whether the batch can be divided among the ranks."""
    b = p.config.training.batch
    n = max(rank_of()[1], p.costs.ranks)
    if b % n:
        remedy = f"training.batch={max(1, b // n) * n} or {(b // n + 1) * n}"
        return Finding("batch", WRONG, f"training.batch={b} cannot be shared by {n} ranks", remedy)
    return Finding("batch", OK, f"{counted(b, 'picture')}, {b // n} a rank")


def requeue(p: Patient) -> Finding:
    """Whether SLURM allows the job to be requeued."""
    job, what = job_id(), "requeue"
    if job is None:
        return Finding(what, OK, "no SLURM job: what stops a run is followed by the same command")
    try:
        allowed = job_details(job).get("Requeue")
    except (OSError, subprocess.SubprocessError) as e:
        why = (getattr(e, "stderr", None) or str(e)).strip()
        remedy = "ask the site why scontrol does not answer on the nodes; till then submit again after a stop"
        return Finding(what, WARNING, f"scontrol show job {job}: {why}", remedy)
    if allowed != "1":
        remedy = f"sbatch --requeue, or for this job scontrol update JobId={job} Requeue=1"
        return Finding(what, WARNING, f"Requeue={allowed}: a preempted or lost job stays away", remedy)
    return Finding(what, OK, "Requeue=1")


def time_left(p: Patient) -> Finding:
    """Whether a checkpoint can be written between the stop and the time limit. Twice its time is asked for, because other
    jobs may use the same disks."""
    need = 2 * p.costs.checkpoint / p.rate + 10 if p.rate else 0.0
    left = seconds_left()
    says = f"a checkpoint takes about {need / 2 - 5:.0f} s at the {size(p.rate)}/s of this disk" if p.rate else ""
    if left is None:
        return Finding("time limit", OK, f"none; {says}")
    grace = margin(left)
    if need > grace or left < need:
        remedy = f"more --time, and sbatch --signal=TERM@{max(120, round(need))}"
        return Finding("time limit", WARNING, f"{left:.0f} s left in this job; {says}", remedy)
    return Finding("time limit", OK, f"{left:.0f} s left in this job; {says}")


def gpus(p: Patient) -> Finding:
    """Whether torch, the driver and the GPUs that the config needs fit together."""
    t, what = p.config.training, "GPU"
    wanted = t.accelerator == "gpu" or any(os.environ.get(n) for n in ("SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE"))
    built = f"torch {torch.__version__} for {f'CUDA {torch.version.cuda}' if torch.version.cuda else 'CPUs alone'}"
    if t.accelerator == "cpu":
        return Finding(what, OK, "training.accelerator=cpu")
    if not torch.cuda.is_available():
        if not torch.version.cuda:
            bad = wanted or DRIVER.is_file()
            remedy = "install a torch that is built for CUDA (pytorch.org says which), or training.accelerator=cpu"
            return Finding(what, *((WRONG, f"{built}, but there are GPUs", remedy) if bad else (OK, f"none; {built}")))
        if not DRIVER.is_file():
            remedy = "ask for a node with GPUs (--gpus-per-node), give a container --nv, or training.accelerator=cpu"
            return Finding(
                what, *((WRONG, f"{built}, but no driver here", remedy) if wanted else (OK, f"none; {built}"))
            )
        try:
            torch.cuda.init()
            why = "no GPU is visible"
        except (RuntimeError, AssertionError) as e:
            why = str(e).split(". ")[0]
        return Finding(what, WRONG, f"{built}: {why}", "update the driver, or install a torch for an older CUDA")
    count, name = torch.cuda.device_count(), torch.cuda.get_device_name()
    if count < t.devices:
        remedy = f"--gpus-per-node={t.devices} without --gpus-per-task or --gpu-bind, or fewer training.devices"
        return Finding(what, WRONG, f"{count} x {name} visible, training.devices={t.devices}", remedy)
    major, minor = torch.cuda.get_device_capability()
    known = [a.split("_")[1] for a in torch.cuda.get_arch_list()]
    if known and not any(a.rstrip("abcdef")[:-1] == str(major) for a in known):
        found = f"{name} has compute capability {major}.{minor}; {built} knows {', '.join(known)}"
        return Finding(what, WRONG, found, "install a torch that is built for this GPU")
    return Finding(what, OK, f"{count} x {name}; {built}")


def bf16(p: Patient) -> Finding:
    """Whether the device has instructions for bf16, if the config uses it."""
    asked, what = precision_of(p.config.training), "precision"
    if asked != "bf16-mixed":
        return Finding(what, OK, str(asked))
    if not bf16_pays(device_of(p.config.training.accelerator)):
        return Finding(what, WARNING, "bf16 is emulated here: right, but slow", "training.precision=32-true")
    return Finding(what, OK, "bf16-mixed, which the device computes with")


def threads(p: Patient) -> Finding:
    """Whether the threads of this node's processes fit its cores."""
    t, what = p.config.training, "threads"
    bound = number("SLURM_CPUS_PER_TASK")
    cores, here = (bound, 1) if bound else (len(os.sched_getaffinity(0)), t.devices)  # a SLURM task has its own cores
    shared = here > 1 and "OMP_NUM_THREADS" not in os.environ  # then Lightning shares the cores out
    each = max(1, cores // here) if shared else torch.get_num_threads()
    said = f"{each} threads and {t.workers} workers for each of {here} ranks, {cores} cores"
    fit = max(1, cores // here - (t.workers if on_gpu(t.accelerator) else 0))
    if here * each > cores:
        return Finding(what, WARNING, said, f"export OMP_NUM_THREADS={fit}")
    if not on_gpu(t.accelerator) and 2 * here * each <= cores:
        return Finding(
            what, WARNING, f"{said}: cores stand idle", f"export OMP_NUM_THREADS={fit}, --cpus-per-task more"
        )
    return Finding(what, OK, said)


def shared_memory(p: Patient) -> Finding:
    """Whether the workers of the data loaders have room to hand samples over."""
    t, what = p.config.training, "shared memory"
    cached = p.config.task == "diffusion" and p.config.data.features != "online"
    if wrong := wrong_shared_memory(p.config, p.costs.features(1, 1).all if cached else 0):
        found, _, remedy = wrong.partition("; ")
        return Finding(what, WRONG, found, remedy)
    return Finding(what, OK, f"room for {t.workers} workers of each rank" if t.workers else "no workers")


def port(p: Patient) -> Finding:
    """Whether the ranks can meet."""
    if wrong := wrong_port(p.config):
        found, _, remedy = wrong.partition("; ")
        return Finding("port", WRONG, found, remedy)
    return Finding("port", OK, f"MASTER_PORT={os.environ.get('MASTER_PORT') or 'a free one'}")


def file_system(p: Patient) -> Finding:
    """Whether the outputs can be written, flushed and locked. Also measures the speed of writing."""
    what, place = "file system", existing(Path(p.config.outputs))
    remedy = "outputs=FOLDER on a disk that can"
    try:
        begin = time.perf_counter()
        with whole_file(p.scratch / f"probe-{socket.gethostname()}-{os.getpid()}") as partial:
            partial.write_bytes(bytes(PROBE))
        p.rate = PROBE / (time.perf_counter() - begin)
        file = lock(p.scratch / f"lock-{socket.gethostname()}-{os.getpid()}", wait=False)
    except OSError as e:
        return Finding(what, WRONG, f"{place}: {e.strerror or e}", f"{remedy} be written and locked")
    if isinstance(file, Marker):
        file.close()
        found = f"{place}: written at {size(p.rate)}/s, flushed; it has no locks, so marker files are used"
        return Finding(
            what, WARNING, found, "mount it with locks (Lustre: -o flock, NFS: without nolock): they are safer"
        )
    taken = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with file:
        other = subprocess.run([sys.executable, "-c", taken, file.name], capture_output=True)
    if other.returncode == 0:
        found = f"{place}: two processes hold the same lock"
        return Finding(what, WRONG, found, "mount it with locks (Lustre: -o flock, NFS: without nolock)")
    return Finding(what, OK, f"{place}: written at {size(p.rate)}/s, flushed, locked")


def shared_lock(p: Patient, name: str = "first-rank") -> Finding:
    """Whether this rank sees the lock that the first rank holds at this time. For all ranks but the first."""
    try:
        lock(p.scratch / name, wait=False).close()
    except Held as e:
        return Finding("shared locks", OK, f"told of the lock of {e}")
    found = f"{socket.gethostname()} takes a lock that the first rank holds"
    return Finding("shared locks", WRONG, found, "mount the outputs with locks (Lustre: -o flock, NFS: without nolock)")


def clock(p: Patient) -> Finding:
    """Compare this host's clock with the file system's. All hosts of a job share the file system, so this also compares the
    hosts with each other."""
    probe = p.scratch / f"clock-{socket.gethostname()}-{os.getpid()}"
    before = time.time()
    probe.touch()
    after, stamp = time.time(), probe.stat().st_mtime
    skew = max(before - stamp, stamp - after, 0.0)
    found = f"{socket.gethostname()} and the file system are {skew:.1f} s apart"
    if skew > SKEW:
        return Finding(
            "clock", WARNING, found, "have the site set its clocks (chronyd); records and logs are out of order"
        )
    return Finding("clock", OK, found)


def tracking(p: Patient) -> Finding:
    """Whether the servers of the trackers can be reached."""
    t, what = p.config.tracking, "tracking"
    for tracker in t.trackers:
        if not tracker.server:
            continue
        if tracker.kind == "wandb" and not (os.environ.get("WANDB_API_KEY") or _in_netrc(tracker.server)):
            how = f"wandb login, export WANDB_API_KEY=..., or {tracker.remedy}"
            return Finding(what, WARNING, f"no API key for {tracker.server}", how)
        if why := _unreachable(tracker.server):
            return Finding(what, WARNING, f"{tracker.server}: {why}", tracker.remedy)
    return Finding(what, OK, f"W&B {t.wandb}" + "".join(f", {a.kind}" for a in t.also))


def _in_netrc(server: str) -> bool:
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(urlsplit(server).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _unreachable(base: str) -> str:
    """Why a server cannot be reached; empty if it answers anything. A thread asks, because a name look-up has no time limit."""
    said = [f"no answer in {REACHED_IN:g} s"]

    def ask() -> None:
        try:
            urllib.request.urlopen(base, timeout=REACHED_IN).close()
            said[0] = ""
        except urllib.error.HTTPError:
            said[0] = ""
        except (OSError, ValueError) as e:
            said[0] = str(getattr(e, "reason", e))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REACHED_IN)
    return said[0]


OF_EACH_RANK: tuple[Check, ...] = (ranks, gpus, threads, shared_memory, file_system, clock)
OF_THE_FIRST: tuple[Check, ...] = (port, batch, bf16, requeue, time_left, tracking)
