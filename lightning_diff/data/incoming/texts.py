"""A column of texts in the memory of its letters: one long name makes no other one wider."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np


class Texts:
    """N texts: their `data` as UTF-8, uint8 [bytes], and `ends` int64 [N + 1], where each begins and the last one ends."""

    def __init__(self, data: np.ndarray, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, some: Sequence[str]) -> Texts:
        return cls._of([one.encode("utf-8", "surrogatepass") for one in some])

    @classmethod
    def joined(cls, some: Sequence[Texts]) -> Texts:
        lengths = np.concatenate([np.diff(one.ends) for one in some])
        return cls(np.concatenate([one.data for one in some]), np.concatenate([[0], np.cumsum(lengths)]))

    @classmethod
    def _of(cls, parts: Sequence[bytes]) -> Texts:
        lengths = np.array([0, *map(len, parts)], np.int64)
        return cls(np.frombuffer(b"".join(parts), np.uint8), np.cumsum(lengths))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, i: int | np.integer[Any]) -> str:
        return bytes(self.data[self.ends[i] : self.ends[i + 1]]).decode("utf-8", "surrogatepass")

    def select(self, rows: np.ndarray) -> Texts:
        """The same of these rows alone."""
        data, ends = self.data.tobytes(), self.ends.tolist()
        return Texts._of([data[ends[i] : ends[i + 1]] for i in np.asarray(rows).tolist()])

    def tolist(self) -> list[str]:
        data, ends = self.data.tobytes(), self.ends.tolist()
        return [data[first:last].decode("utf-8", "surrogatepass") for first, last in pairwise(ends)]
