"""How many pictures of a sweep are lost, and which: they are named, and too many of them end the sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...config.errors import ConfigError
from ...ranks import say
from .pictures import Seen, lost_rows

if TYPE_CHECKING:
    from ..setup import Measured
    from ..sweep import Case


class LostCount:
    """The numbers of the prompts whose pictures are lost, for each case of a sweep."""

    def __init__(self, one: Measured) -> None:
        self.one = one
        self.numbers: dict[Case, list[int]] = {}

    def add(self, case: Case, first: int, seen: Seen) -> None:
        """Count what was seen of a block that begins with prompt `first`. Raises ConfigError as soon as they are too many."""
        if numbers := [first + int(i) for i in lost_rows(seen).nonzero()]:
            self.numbers.setdefault(case, []).extend(numbers)
            refuse_many(self.one, case, self.numbers[case])


def refuse_many(one: Measured, case: Case, lost: Sequence[int]) -> None:
    """Raises ConfigError if more pictures of a case are lost than evaluation.not_finite allows."""
    limit = one.settings.not_finite
    if len(lost) > limit * min(one.settings.samples, len(one.setup.captions)):
        raise ConfigError(
            f"{_told(one, case, lost)}; evaluation.not_finite={limit:g} is the largest share that may, so the sweep ends; lower "
            "the guidance, say sampler.precision=float32, or train again"
        )


def say_lost(one: Measured, case: Case, seen: Seen) -> None:
    """Say which of all pictures of a case are lost. Raises ConfigError if they are too many."""
    if lost := [int(i) for i in lost_rows(seen).nonzero()]:
        refuse_many(one, case, lost)
        say(f"{_told(one, case, lost)}; they are neither saved nor scored")


def _told(one: Measured, case: Case, lost: Sequence[int]) -> str:
    """How many pictures of a case are lost, with the first one's caption and seed."""
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    first = f"{one.setup.captions[lost[0]]!r}, seed {one.setup.seeds(lost[:1])[0]}"
    return f"{case.label}: {len(lost)} pictures have NaN or inf ({first}{more})"
