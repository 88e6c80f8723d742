"""How often a shard occurs in an epoch: the weight of its set, a fraction. Fractions rotate over the epochs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ...config.errors import ConfigError

FINEST = 1000  # the largest denominator of a weight


@dataclass(frozen=True)
class Sets:
    """Sets that are trained on together: their `names`, their `weights`, and `of` int [S], the set of each shard. A set of weight
    w is seen w times in an epoch."""

    names: Sequence[str]
    weights: Sequence[Fraction]
    of: np.ndarray

    @classmethod
    def one(cls, shards: int) -> Sets:
        """All shards are one set, which is seen once in an epoch."""
        return cls(("",), (Fraction(1),), np.zeros(shards, np.int64))


class Copies:
    """The number of times that each of S shards was listed before an epoch. A shard of weight w is listed floor(w) or ceil(w)
    times in an epoch, and in E epochs floor(w E) or ceil(w E) times. Of the shards of a set, whose phases are spread evenly,
    each epoch lists a share that is as near to w as whole shards allow. A pure function of (sets, seed, epoch)."""

    def __init__(self, sets: Sets, seed: int) -> None:
        # Each set counts in parts of its own: a part that suits all sets would need numbers of more than 64 bits.
        ratios = np.array([weight.as_integer_ratio() for weight in sets.weights], np.int64)
        self.times, self.parts = ratios[sets.of].T  # a weight is times / parts
        self.phases = np.zeros(len(sets.of), np.int64)
        for number, weight in enumerate(sets.weights):
            some = np.flatnonzero(sets.of == number)
            if weight.denominator > 1:
                ranks = np.random.Generator(np.random.Philox(key=[seed, number])).permutation(len(some))
                self.phases[some] = ranks * weight.denominator // len(some)

    def before(self, epoch: int) -> np.ndarray:
        """int64 [S]: how often each shard was listed in the epochs before this one."""
        return (epoch * self.times + self.phases) // self.parts


def weighted(said: str) -> tuple[Fraction, str]:
    """(weight, pattern of shards) of a set that is written WEIGHT:PATH. Raises ConfigError."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+|[0-9]+/[1-9][0-9]*)\s*:\s*(\S.*)", said)
    weight = Fraction(found[1]).limit_denominator(FINEST) if found else Fraction(0)
    if found is None or not 0 < weight <= FINEST:
        raise ConfigError(
            f"data.mix={said}: write WEIGHT:PATH, as in 0.5:/sets/b/*.tar; a weight of 1 is once an epoch, from 0.001 to 1000"
        )
    return weight, os.path.expanduser(found[2])  # a Path would write a URL's // as one /
