"""What a model is asked to draw, checked before it draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..config.errors import ConfigError


def check_one_each(key: str, what: str, given: Sequence[Any], prompts: Sequence[str]) -> None:
    """Raises ConfigError, which names the key, if there is not one of `given` for each prompt."""
    if len(given) != len(prompts):
        raise ConfigError(f"{key}: {len(given)} {what} for {len(prompts)} prompts; give one for each")
