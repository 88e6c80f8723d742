"""Schedules of the learning rate, and up to which step each of them does not depend on the number of steps. From a checkpoint
up to there a training can get another number of steps. It then ends with the bits of a training that had it from the start."""

from __future__ import annotations

import math

from ..config.schema import Training

DECAY = 0.2  # of all steps: enough for the whole gain of a decay (Hagele et al. 2024, figure 5)


def decay_start(training: Training) -> int:
    """The step where the learning rate begins to fall. All steps before it are the same for every later end."""
    t = training
    if t.schedule == "constant":
        return t.steps
    share = 1.0 if t.schedule in ("cosine", "linear") else DECAY if t.decay is None else t.decay
    return min(t.steps, max(t.warmup, t.steps - round(share * t.steps)))


def learning_rate_factor(training: Training, step: int) -> float:
    """The factor of the learning rate. It rises linearly during warm-up. Then it falls to zero as half a cosine, or as a
    straight line; or it is 1, and falls at the end as 1 - sqrt(x) (wsd: Hagele et al. 2024, "Scaling laws and
    compute-optimal training beyond fixed training durations", section 3); or it stays 1."""
    if step < training.warmup:
        return (step + 1) / (training.warmup + 1)
    start = decay_start(training)
    if step < start or training.schedule == "constant":
        return 1.0
    x = min(1.0, (step - start) / max(1, training.steps - start))
    if training.schedule == "linear":
        return 1 - x
    return 0.5 * (1 + math.cos(math.pi * x)) if training.schedule == "cosine" else 1 - math.sqrt(x)
