"""A hint at the value that was probably meant: by the table of what people type, else by edit distance."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import meant, nearest
from .table import VALUES


def nearest_value(place: str, word: str, known: Sequence[str]) -> str:
    """The hint for a value that a place of the config does not take. `known` are those that it takes."""
    said = VALUES.get(place, {}).get(word.lower().replace("-", "_"), VALUES.get(place, {}).get(word.lower(), ""))
    return meant([said]) if said in known else nearest(word, known)
