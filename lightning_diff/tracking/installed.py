"""Whether the trackers that were asked for can be had, said before anything is loaded."""

from __future__ import annotations

from importlib.util import find_spec

from ..config.errors import ConfigError
from ..config.schema import Tracking


def check_installed(tracking: Tracking) -> None:
    """Raises ConfigError for a tracker whose package is not there. Asked by the commands that track: a run folder can be
    sampled from without it."""
    database = tracking.mlflow_uri is None or tracking.mlflow_uri.startswith("sqlite:")
    needed = {
        "tensorboard": (["tensorboard"], "tensorboard"),
        "mlflow": (["mlflow", *(["sqlalchemy", "alembic"] if database else [])], "-e '.[mlflow]'"),
    }
    for tracker in tracking.also:
        packages, how = needed.get(tracker, ([], ""))
        missing = [p for p in packages if (spec := find_spec(p)) is None or spec.origin is None]
        if missing:
            raise ConfigError(
                f"tracking.also=[{tracker}]: {', '.join(missing)} not installed; pip install {how}, or leave it out"
            )
