"""Check, before anything is loaded, that the packages that a config's choices need are installed."""

from __future__ import annotations

from importlib.util import find_spec

from .checks import all_choices
from .errors import ConfigError
from .registry import PLACES
from .schema import Config


def check_installed(config: Config) -> None:
    """Raises ConfigError for a choice whose package is missing. Only commands that track or measure check this: sampling
    from a run folder works without these packages."""
    for made in all_choices(config):
        missing = [p for p in made.packages if (spec := find_spec(p)) is None or spec.origin is None]
        if missing:
            place = PLACES.get(made.group, made.group).replace("/", ".")
            raise ConfigError(
                f"{place}={made.kind}: {', '.join(missing)} not installed; pip install {made.install}, or leave it out"
            )
