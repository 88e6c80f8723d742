"""The error for mistakes that a user can fix, and a hint at the word that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

MOST = 5  # names in a hint


class ConfigError(Exception):
    """A mistake of the user. The message is one line: what is wrong, where, and how to fix it."""


def nearest(word: str, known: Sequence[str]) -> str:
    """'did you mean X?' if a known word is similar, else the known words: all, or the five that are most like it."""
    if close := difflib.get_close_matches(word, known, n=1, cutoff=0.6):
        return f"did you mean {close[0]!r}?"
    if len(known) <= MOST:
        return f"known are: {', '.join(known)}"
    some = difflib.get_close_matches(word, known, n=MOST, cutoff=0)
    return f"{len(known)} are known, among them {', '.join(some)}"


def meant(names: Sequence[str]) -> str:
    """The question after these names, five at most."""
    some = [repr(name) for name in names[:MOST]]
    return f"did you mean {' or '.join(filter(None, [', '.join(some[:-1]), some[-1]]))}?"
