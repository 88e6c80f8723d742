"""Whether a process takes notice of the SLURM job around it: of its ranks, its time limit and its requeueing."""

from __future__ import annotations

import os

ALONE = ("bash", "interactive")  # job names for which Lightning starts the ranks itself
KEPT = ("SLURM_CONF",)  # SLURM's commands read it


def heed_slurm(heeded: bool) -> None:
    """Unless the job is to be `heeded`, forget its variables, for this process and those that it starts. Then this process is
    no rank of the job, it stops at no time limit and requeues nothing, and Lightning starts the ranks itself."""
    if not heeded:
        for name in [n for n in os.environ if n.startswith("SLURM_") and n not in KEPT]:
            del os.environ[name]


def wrong_tasks(devices: int, nodes: int) -> str:
    """What is wrong with a SLURM job whose tasks are not the ranks that the config asks for; empty if nothing is.

    Lightning takes the job's tasks for the ranks, unless torchrun started this process or the job has a name of ALONE. So a
    shell, a notebook or a tunnel in a job would train on other ranks than it asked for, or wait for ranks that nobody starts."""
    name, said = os.environ.get("SLURM_JOB_NAME", ""), os.environ.get("SLURM_NTASKS", "")
    if not said.isdecimal() or name in ALONE or "TORCHELASTIC_RUN_ID" in os.environ:
        return ""
    job = f"SLURM job {os.environ.get('SLURM_JOB_ID', '?')} ({name}) has {said} tasks"
    if int(said) != devices * nodes:
        return (
            f"training.devices={devices} on training.nodes={nodes}: {job}; submit slurm/train.sbatch, or give "
            "cluster.slurm=false: then the job is not heeded, and the ranks are started here"
        )
    if int(said) > 1 and "SLURM_STEP_ID" not in os.environ:
        return f"{job}, and this process was started alone; start it with srun, or give cluster.slurm=false"
    if int(said) > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ:
        return f"{job}, of --ntasks; ask for them with --ntasks-per-node={devices}"
    return ""
