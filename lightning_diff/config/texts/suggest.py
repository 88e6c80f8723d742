"""A hint at the key that was probably meant: by the table of what people type, by the key's last part, by edit distance.

Only keys that the command at hand knows are named, five at most.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import MOST, meant, nearest
from .areas import AREAS, within
from .described import all_keys
from .table import WORDS

PRESETS = ("experiment", "debug")


@dataclass
class AtHand:
    """The command at hand, and the words of its own."""

    name: str = "train.py"
    words: Sequence[str] = ()

    def use(self, name: str, words: Sequence[str]) -> None:
        self.name, self.words = name, tuple(words)

    def known(self) -> list[str]:
        """The words and keys that this command knows."""
        keys = [*PRESETS, *dict.fromkeys(key.name for key in all_keys() if key.settable)]
        areas = AREAS.get(self.name, ("",))
        return list(dict.fromkeys([*self.words, *(key for key in keys if within(key, areas))]))


AT_HAND = AtHand()


def suggest(word: str) -> str:
    """The hint for a key or word that the command does not know."""
    known, typed = AT_HAND.known(), _plain(word)
    above, _, last = typed.rpartition(".")
    keys, note = exactly(word)
    if above and (close := difflib.get_close_matches(typed, keys, n=1, cutoff=0.8)):
        return meant(close)
    if keys or note:
        return f"{meant(keys) if keys else ''} {note}".strip()
    beside = {key.rpartition(".")[2]: key for key in known if above and key.rpartition(".")[0] == above}
    whole = {key: key for key in known}
    for part, some in ((last, beside), (typed, {} if beside else whole)):
        if close := difflib.get_close_matches(part, some, n=1, cutoff=0.6):
            return meant([some[close[0]]])
    if close := difflib.get_close_matches(last, {key.rpartition(".")[2]: "" for key in known}, n=2, cutoff=0.7):
        return meant([key for key in known if key.rpartition(".")[2] in close])
    if len(known) <= MOST:
        return nearest(word, known)
    command = AT_HAND.name if AT_HAND.name.endswith(".py") else f"-m {AT_HAND.name}"
    return f"python {command} --help {above + ' ' if above in known else ''}says what there is"


def exactly(word: str) -> tuple[list[str], str]:
    """The keys that a word of other projects means, or that end in this word, and a note on them."""
    known, typed = AT_HAND.known(), _plain(word)
    last = typed.rpartition(".")[2]
    for name in (typed, last):
        for words, keys, note in WORDS:
            found = [key for key in keys.split() if key in known]
            if name in words.split() and (found or not keys):
                return found, note
    return [key for key in known if key.rpartition(".")[2] == last][:MOST], ""


def _plain(word: str) -> str:
    return word.lstrip("-+~").replace("-", "_").replace("/", ".").lower()
