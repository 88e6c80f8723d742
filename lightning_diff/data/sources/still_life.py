"""The synthetic still life as a source."""

from __future__ import annotations

from ...config.registry import choice
from ..sample import Sample
from ..synthetic.attributes import STILL_LIFE
from .synthetic import SyntheticSource


@choice("data", "still_life")
class StillLife(SyntheticSource):
    """Drawn scenes with exact ground truth: one or two things in a setting, small or large, in six colours."""

    attributes = STILL_LIFE
    unsaid = ("place",)

    def draw(self, split: str, index: int) -> Sample:
        from ..synthetic.still_life import sample

        return sample(split, self.seed, index, self.image_size)
