"""The synthetic captioned digits as a source."""

from __future__ import annotations

from ...config.registry import choice
from ..sample import Sample
from ..synthetic.attributes import DIGITS
from .synthetic import SyntheticSource


@choice("data", "digits")
class Digits(SyntheticSource):
    """Real handwritten digits on a canvas, captioned as in alignDRAW (Mansimov et al. 2015)."""

    attributes = DIGITS

    def draw(self, split: str, index: int) -> Sample:
        from ..synthetic.digits import sample

        return sample(split, self.seed, index, self.image_size)
