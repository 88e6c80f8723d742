# What all job scripts share: the environment of the tasks, how they are started, and how a stopped job goes on.
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
source slurm/site.sh

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}} # else every rank takes every core of the node
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}                   # since 22.05 srun does not ask sbatch for it
export NCCL_DEBUG=${NCCL_DEBUG:-WARN}                                 # a broken network says what is broken
export PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1                        # the log ends where the task ended

cache=(${CACHE:+"cache=$CACHE"})
ranks=("training.nodes=$SLURM_NNODES" "training.devices=${SLURM_NTASKS_PER_NODE:-1}")

# run SCRIPT WORDS...: python in every task. One that ended by SIGTERM (143: preemption, time limit, scancel --signal=TERM)
# has saved, and the job goes back to the queue. SLURM would not do that: to it, a job that leaves by itself after the
# signal has failed. A cancelled job is no longer RUNNING here.
run() {
  local rc=0
  srun --kill-on-bad-exit=1 "${SRUN[@]}" "${CONTAINER[@]}" "$PYTHON" "$@" || rc=$?
  if [ $rc = 143 ] && scontrol show job --oneliner "$SLURM_JOB_ID" | grep -q 'JobState=RUNNING'; then
    scontrol requeue "$SLURM_JOB_ID" || echo "not requeued; submit the same command again to go on" >&2
  fi
  exit $rc
}
