"""An array whose rows lie in several other arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


class Rows:
    """Rows [N, ...] of several `parts`, in any order. `where` int64 [N, 2] says for each row its part and its place there.
    Picking rows copies these alone, so the parts may be memory-mapped files that are larger than the memory. A part may have a
    check, which is called with (places, rows) when rows are read."""

    def __init__(
        self, parts: Sequence[np.ndarray], where: np.ndarray, checks: Sequence[Callable[..., None] | None] = ()
    ) -> None:
        self.parts, self.where = list(parts), where
        self.checks = list(checks) or [None] * len(self.parts)

    def __len__(self) -> int:
        return len(self.where)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), *self.parts[0].shape[1:]

    @property
    def dtype(self) -> np.dtype:
        return self.parts[0].dtype

    def take(self, rows: np.ndarray) -> Rows:
        """The same array with these rows alone; nothing is read."""
        return Rows(self.parts, self.where[rows], self.checks)

    def __getitem__(self, rows: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        part, place = self.where[rows].T
        if len(self.parts) == 1:
            return self._read(0, place)
        found = np.empty((len(place), *self.shape[1:]), self.dtype)
        for number in np.unique(part):
            some = part == number
            found[some] = self._read(number, place[some])
        return found

    def _read(self, number: int, places: np.ndarray) -> np.ndarray:
        rows, check = self.parts[number][places], self.checks[number]
        if check is not None:
            check(places, rows)
        return rows
