"""The error for mistakes that a user can fix, and a hint at the word that was probably meant."""

from __future__ import annotations

import difflib


class ConfigError(Exception):
    """A mistake of the user. The message is one line: what is wrong, where, and how to fix it."""


def nearest(word: str, known: list[str]) -> str:
    """'did you mean X?' if a known word is similar, else 'known are: ...'."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}"
