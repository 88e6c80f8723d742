"""Checks of a run's stored config, which may come from somebody else, before a command uses it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...config.errors import ConfigError
from ...config.schema import Config
from ...pipeline.continuing.same import another_key
from ...ranks import say

USED = ("training.accelerator", "training.compile", "training.precision")  # keys of training that a drawing uses


def send_nowhere(config: Config, words: Sequence[str]) -> None:
    """Take the trackers that send away out of a stored config, if the command itself names none: where to send things comes from
    the user alone (law 8)."""
    t = config.tracking
    servers = [tracker.server for tracker in t.trackers if tracker.server]
    if servers and not any(word.lstrip("+").startswith("tracking") for word in words):
        t.also = [tracker for tracker in t.also if not tracker.server]
        t.wandb = "offline" if t.wandb == "online" else t.wandb
        say(
            f"nothing is sent to {', '.join(servers)}, which the run's config names; to send it, give tracking words here"
        )


def refuse_another_model(config: Config, run: Path) -> None:
    """Raises ConfigError for a config that would draw with another model than the run's. The seed is that of the noise."""
    import torch

    if config.training.accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("training.accelerator=gpu: there is no GPU here; use auto or cpu")
    if key := another_key(run, config, ("seed", *USED)):
        raise ConfigError(f"{key}: {run} was trained with another value; draw with a run that has this one")
