"""A hint at the value that was probably meant: by the table of what people type, else by edit distance."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import meant, nearest
from .table import VALUES

ENDINGS = r"(prediction|pred|parameterization|scheduler|sampler|solver|guidance|guider|loss)$"
OF_YOUR_OWN = "one of your own comes with plugins=FILE.py"


def nearest_value(place: str, word: str, known: Sequence[str], plugins: bool = False) -> str:
    """The hint for a value that a place of the config does not take. `known` are those that it takes. `plugins`: a plugin can
    add others."""
    table = {_plain(typed): value for typed, value in VALUES.get(place, {}).items()}
    table |= {_plain(name): name for name in known}
    for typed in (_plain(word), re.sub(ENDINGS, "", _plain(word))):
        if (said := table.get(typed, "")) in known:
            return meant([said])
    hint = nearest(word, known)
    return hint if hint.startswith("did you mean") or not plugins else f"{hint}; {OF_YOUR_OWN}"


def _plain(word: str) -> str:
    """Words that differ in case, blanks, hyphens and underscores alone are one."""
    return re.sub(r"[-_\s]", "", word.lower())
