# What differs from one cluster to the next. Every job script here reads it, on the first node of the job.
#
# Account, partition and time are not here, because sbatch reads them itself: put SBATCH_ACCOUNT=..., SBATCH_PARTITION=...,
# SBATCH_TIMELIMIT=8:00:00, SBATCH_QOS=... into your ~/.bashrc (export), or give --account=... on the command line, which wins.

# module load cuda/12.4

PYTHON=${PYTHON:-.venv/bin/python}
CONTAINER=() # what goes before python in each task: (apptainer exec --nv --bind /sets image.sif)
SRUN=()      # more options of srun: (--container-image=/images/torch.sqsh) with pyxis, (--mpi=none)

# A disk of the node's own, for temporary files: a TMPDIR of the login node often is not there, or is the network's.
export TMPDIR=${SLURM_TMPDIR:-/tmp}

# Where made shards and features are kept instead of outputs/cache: fast, and seen by all nodes of a job.
CACHE=${CACHE:-}

# Which network the ranks talk over, where there are several.
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0
