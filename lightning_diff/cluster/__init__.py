"""SLURM, signals, and the requeueing of jobs."""
