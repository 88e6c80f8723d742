# What all job scripts share: the environment of the tasks, how they are started, and how a stopped job goes on.
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
source slurm/site.sh

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}} # else every rank takes every core of the node
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}                   # since 22.05 srun does not ask sbatch for it
export NCCL_DEBUG=${NCCL_DEBUG:-WARN}                                 # a broken network says what is broken
export LIGHTNING_DIFF_JOB=$SLURM_JOB_ID                               # such a job requeues itself
export PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1                        # the log ends where the task ended

cache=(${CACHE:+"cache=$CACHE"})
ranks=("training.nodes=$SLURM_NNODES" "training.devices=${SLURM_NTASKS_PER_NODE:-1}")

# run SCRIPT WORDS...: python in every task. One that a signal stopped (preemption, time limit, scancel --signal=TERM) has
# saved, and ends with 128 + the signal; 75 says that it could not hand the job back itself. Then the job goes back to the
# queue from here. SLURM would not do that: to it, a job that leaves by itself after its signal has failed. A job that was
# cancelled, or is on its way back already, is no longer RUNNING.
run() {
  local rc=0
  srun --kill-on-bad-exit=1 "${SRUN[@]}" "${CONTAINER[@]}" "$PYTHON" "$@" || rc=$?
  case $rc in
    75 | 138 | 140 | 142 | 143)
      if scontrol show job --oneliner "$SLURM_JOB_ID" | grep -q 'JobState=RUNNING'; then
        scontrol requeue "$SLURM_JOB_ID" || echo "not requeued; submit the same command again to go on" >&2
      fi ;;
  esac
  exit $rc
}
