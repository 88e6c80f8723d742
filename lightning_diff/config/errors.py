"""The error that a user can mend."""

from __future__ import annotations


class ConfigError(Exception):
    """What is wrong, where, and how to mend it, in one line."""
