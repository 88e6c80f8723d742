"""How many captions are longer than a text encoder reads, and the setting that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KEY = "text.context_length"


@dataclass(frozen=True)
class CaptionLengths:
    """`cut` of `captions` have more than `limit` tokens, and `longest` is the most that one has. All of them count the two marks
    of start and end. `most` is the largest limit that the config allows, 0 if the limit is the model's own; `still` captions are
    longer than that too."""

    captions: int
    cut: int
    longest: int
    limit: int
    most: int
    still: int

    @classmethod
    def of(cls, lengths: Sequence[int], limit: int, most: int) -> CaptionLengths:
        cut, still = (sum(n > bound for n in lengths) for bound in (limit, max(limit, most)))
        return cls(len(lengths), cut, max(lengths, default=0), limit, most, still)

    def message(self) -> str:
        """One line; empty if nothing is cut."""
        if not self.cut:
            return ""
        many = "is" if self.cut == 1 else "are"
        said = f"{self.cut:,} of {self.captions:,} captions {many} longer than {self.limit} tokens (longest {self.longest:,})"
        if not self.most:
            return f"{said}: what follows is cut; {self.limit} is the model's own limit"
        if self.limit >= self.most:
            return f"{said}: what follows is cut; {KEY}={self.limit} is the most"
        wanted = min(self.longest, self.most)
        still = f"{self.still:,} {'is' if self.still == 1 else 'are'} cut then too"
        return f"{said}: {KEY}={wanted}" + (f", the most; {still}" if self.still else "")
