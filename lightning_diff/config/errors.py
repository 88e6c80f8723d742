"""The error that a user can mend, and the word that was probably meant."""

from __future__ import annotations

import difflib


class ConfigError(Exception):
    """What is wrong, where, and how to mend it, in one line."""


def nearest(word: str, known: list[str]) -> str:
    """'did you mean X?' when something is near, else 'known are: ...'."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}"
