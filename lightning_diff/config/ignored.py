"""Keys that would have no effect (law 5): keys that differ from their default, and keys that a command names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from .errors import ConfigError
from .foreign.own_words import ignored_starts
from .registry import SHARED, owners
from .schema import Config, Evaluation


def ignored(c: Config) -> Iterator[tuple[str, str]]:
    """Yield (key, what it belongs to) for each key that differs from its default but has no effect."""
    o, e = c.objective, c.evaluation
    edm = "edm" in (o.prediction, o.weight)
    for name, given, used, where in (
        *ignored_starts(c),
        ("objective.data_std", o.data_std != 1, edm, "objective.prediction=edm or weight=edm"),
        ("training.compile", c.training.compile, c.task == "diffusion", "task=diffusion"),
        ("training.checkpointing", c.training.checkpointing, c.task == "diffusion", "task=diffusion"),
        ("evaluation.quick", e.quick != Evaluation.quick, e.every > 0, "evaluation.every > 0"),
    ):  # fmt: skip
        if given and not used:
            yield name, where


def check_words(config: Config, words: Sequence[str]) -> None:
    """Raises ConfigError for a key that the command names but that its task, or the given weights, make useless.

    A key from a file of conf/ is not refused, because a preset serves many commands."""
    c, diffusion, generates = config, config.task == "diffusion", config.generates
    trains_autoencoder = not diffusion or c.autoencoder.weights == "auto"
    uses = (
        (("objective", "sampler", "validation"), diffusion, "task=diffusion"),
        (("net", "guidance", "evaluation", "part_steps"), generates, "task=diffusion or aligndraw"),
        (("autoencoder",), diffusion or c.task == "autoencoder", "task=diffusion or autoencoder"),
        (("validation.samples",), c.validation.every > 0, "validation.every > 0"),
        (("objective.shift_end",), c.training.schedule != "constant", "training.schedule=linear, cosine or wsd"),
        (("text",), diffusion or c.task == "contrastive", "task=diffusion or contrastive"),
        (tuple(f"autoencoder.{k}" for k in c.autoencoder.errors), trains_autoencoder, "autoencoder.weights=auto"),
        (tuple(f"text.{k}" for k in c.text.sizes), not diffusion or c.text.weights == "auto", "text.weights=auto"),
    )  # fmt: skip
    for word in words:
        key = word.partition("=")[0].lstrip("+~").split("@")[0]
        group, _, name = key.partition(".")
        if group in SHARED and name and name not in {f.name for f in fields(getattr(c, group))}:
            having = owners(group, name)
            hint = f"{group}={' or '.join(having)} has it" if having else f"give {key.rpartition('.')[0]} itself"
            raise ConfigError(f"{key}: no such key; {hint}")
        for names, used, where in uses:
            if not used and any(key == name or key.startswith(f"{name}.") for name in names):
                raise ConfigError(f"{key}: would be ignored; it belongs to {where}")
