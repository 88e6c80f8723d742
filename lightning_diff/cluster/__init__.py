"""SLURM, signals, and jobs that go back into the queue."""
