"""The table of the synthetic data sets."""

from __future__ import annotations

from .base import World

WORLDS = ("still_life", "digits")


def get_world(name: str) -> World:
    """The world of that name. Raises KeyError for an unknown one."""
    if name == "still_life":
        from .still_life import STILL_LIFE

        return STILL_LIFE
    if name == "digits":
        from .digits import DIGITS

        return DIGITS
    raise KeyError(name)
