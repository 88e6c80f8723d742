"""Whether the trackers and the net for FID that were asked for can be had, said before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from ..config import Config, ConfigError


def check_installed(config: Config) -> None:
    """Raises ConfigError for a tracker, or for the net of `evaluation.features`, whose package is not there. Asked by the
    commands that track and measure: a run folder can be sampled from without it."""
    uri = config.tracking.mlflow_uri
    database = ["sqlalchemy", "alembic"] if uri is None or uri.startswith("sqlite:") else []
    needed = {"tensorboard": ["tensorboard"], "mlflow": ["mlflow", *database]}
    for tracker in config.tracking.also:
        _check(f"tracking.also=[{tracker}]", needed.get(tracker, []), tracker)
    if config.evaluation.features == "inception":
        _check("evaluation.features=inception", ["torch_fidelity"], "inception")


def _check(asked: str, packages: Sequence[str], extra: str) -> None:
    missing = [p for p in packages if (spec := find_spec(p)) is None or spec.origin is None]
    if missing:
        raise ConfigError(f"{asked}: {', '.join(missing)} not installed; pip install -e '.[{extra}]', or leave it out")
