"""CLIP's byte-pair tokenizer: captions to ids, and what it makes of a caption.

The vocabulary is open_clip's. Its marks of start and end are not words of it: "<end_of_text>" in a caption is text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby

import numpy as np
import regex
import torch
from open_clip import get_tokenizer
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from ...strings import clean_text

START, END = 49406, 49407  # the ids of <start_of_text> and <end_of_text>
# The words, as open_clip finds them. At most 2000 letters are a word: more tokens than any context has. (The time for a word
# grows with its square.)
WORDS = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]{1,2000}|[\p{N}]|[^\s\p{L}\p{N}]{1,2000}", regex.IGNORECASE)
SENTENCE = 32  # letters; longer than a word
UNKNOWN = "[?]"  # how a word that a small vocabulary lacks is read back


@dataclass(frozen=True)
class Reading:
    """What a tokenizer makes of a caption. `tokens` has it in all, and `kept` of them fit into the context. Both count the two
    marks, as the context's length does. `text` is what was kept, read back; `cut` is the text that did not fit."""

    tokens: int
    kept: int
    text: str
    cut: str


@cache
def byte_pairs() -> SimpleTokenizer:
    """open_clip's tokenizer, for which the two marks are text."""
    bpe = SimpleTokenizer()
    bpe.pat, bpe.cache = WORDS, {}
    return bpe


@lru_cache(1 << 17)
def _word(word: str) -> tuple[int, ...]:
    """The ids of one word."""
    bpe = byte_pairs()
    letters = "".join(bpe.byte_encoder[b] for b in word.encode())
    return tuple(bpe.encoder[piece] for piece in bpe.bpe(letters).split(" "))


def _clean(caption: str) -> str:
    """The caption in lower case, without the damage that open_clip repairs (wrong encodings, HTML, blanks)."""
    if caption.isascii() and caption.isprintable() and "&" not in caption:  # nothing to repair, and ten times faster
        return " ".join(caption.split()).lower()
    return str(byte_pairs().clean_fn(clean_text(caption)))


def _encode(text: str) -> list[int]:
    return [i for word in WORDS.findall(text) for i in _word(word)]


class Tokenizer:
    """Captions -> ids [B, L], padded with `pad`.

    `vocabulary` is a sorted list of the byte-pair ids in use. With it, an id is the index in that list plus 2; 0 is padding
    and 1 stands for any id that is not in the list. So a small tower does not need 49,408 word vectors. The end of text keeps
    the highest id, because open_clip finds it by that.
    """

    def __init__(self, context_length: int, vocabulary: Sequence[int] | None = None, pad: int = 0) -> None:
        self.bpe, self.context_length, self.pad = byte_pairs(), context_length, pad
        self.start, self.end = START, END
        self.vocabulary = None if vocabulary is None else list(vocabulary)
        self.places = None
        if self.vocabulary is not None:
            if self.vocabulary != sorted(set(self.vocabulary)) or self.vocabulary[-2:] != [START, END]:
                raise ValueError("a vocabulary is a sorted list of byte-pair ids that ends with the two text marks")
            self.places = torch.ones(END + 1, dtype=torch.long)
            self.places[torch.tensor(self.vocabulary)] = torch.arange(len(self.vocabulary)) + 2

    @staticmethod
    def words_of(captions: Sequence[str]) -> list[int]:
        """The vocabulary of these captions."""
        return sorted({i for c in set(captions) for i in _encode(_clean(c))} | {START, END})

    def ids(self, captions: Sequence[str]) -> list[list[int]]:
        """The byte-pair ids of each caption, without the two marks and in full length."""
        return [_encode(_clean(caption)) for caption in captions]

    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(ids [B, L] int64, mask [B, L] bool)."""
        ids = torch.full((len(captions), self.context_length), self.pad)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for row, seen, words in zip(ids, mask, self.ids(captions), strict=True):
            said = torch.tensor([self.start, *words[: self.context_length - 2], self.end])
            row[: len(said)] = said if self.places is None else self.places[said]
            seen[: len(said)] = True
        return ids, mask

    def lengths(self, captions: Sequence[str]) -> np.ndarray:
        """The number of tokens of each caption with the two marks, int64 [B]: the context length that it needs."""
        return np.fromiter((len(words) + 2 for words in self.ids(captions)), np.int64, len(captions))

    def read(self, caption: str) -> Reading:
        """What this tokenizer makes of a caption."""
        text = _clean(caption)
        ids, room = _encode(text), self.context_length - 2
        return Reading(
            len(ids) + 2, min(len(ids), room) + 2, self._read_back(ids[:room]), text[_end_of(text, room) :].strip()
        )

    def _read_back(self, ids: Sequence[int]) -> str:
        have = set(self.vocabulary or ids)
        groups: Iterator[tuple[bool, Iterator[int]]] = groupby(ids, have.__contains__)
        said = (self.bpe.decode(list(some)) if known else f"{UNKNOWN} " for known, some in groups)
        return "".join(said).strip()

    def unknown(self, caption: str) -> list[str]:
        """The pieces of the caption that this vocabulary lacks."""
        if self.vocabulary is None:
            return []
        have = set(self.vocabulary)
        return [self.bpe.decode([i]).strip() for i in _encode(_clean(caption)) if i not in have]


class OpenClipTokenizer(Tokenizer):
    """The tokenizer of a model that open_clip knows by name, with that model's own options. Its marks of start and end in a
    caption are marks, as they are there."""

    def __init__(self, name: str) -> None:
        self.own = get_tokenizer(name)
        super().__init__(self.own.context_length)

    def ids(self, captions: Sequence[str]) -> list[list[int]]:
        return [self.own.encode(clean_text(caption)) for caption in captions]

    def read(self, caption: str) -> Reading:
        ids, room = self.ids([caption])[0], self.context_length - 2
        kept, cut = (self.own.decode(some).strip() for some in (ids[:room], ids[room:]))
        return Reading(len(ids) + 2, min(len(ids), room) + 2, kept, cut)


def _end_of(text: str, room: int) -> int:
    """How many letters of a cleaned caption fit into `room` tokens. A word that does not fit as a whole does not fit, unless it
    is as long as a sentence, as in a script without blanks."""
    for found in WORDS.finditer(text):
        word, ids = found.group(), _word(found.group())
        if len(ids) > room and len(word) <= SENTENCE:
            begin = text.rfind(" ", 0, found.start()) + 1
            return begin if found.end() - begin <= SENTENCE else found.start()
        if len(ids) > room:
            bpe = byte_pairs()
            letters = "".join(bpe.decoder[i] for i in ids[:room])
            return found.start() + len(bytes(bpe.byte_decoder[c] for c in letters).decode("utf-8", "ignore"))
        room -= len(ids)
    return len(text)
