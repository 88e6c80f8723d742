"""The synthetic captioned digits as a source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...config.errors import ConfigError
from ...config.fields import path
from ...config.registry import choice
from ..sample import Sample
from ..synthetic.attributes import DIGITS
from .synthetic import SyntheticSource


@choice("data", "digits")
class Digits(SyntheticSource):
    """Real handwritten digits on a canvas, captioned as in alignDRAW (Mansimov et al. 2015). `digits` is a folder with MNIST's
    four files (train-images-idx3-ubyte and so on, or these with .gz); without it the small digits are used that come along."""

    digits: str | None = path(None)

    attributes = DIGITS
    version = 2  # 2: hard negatives change the place's word, too

    def draw(self, split: str, index: int) -> Sample:
        from ..synthetic.digits import sample

        return sample(split, self.seed, index, self.image_size, self.digits)

    def fingerprint(self) -> str:
        if self.digits is None:
            return super().fingerprint()
        from ..synthetic.idx import folder_hash

        return f"{super().fingerprint()}-{folder_hash(Path(self.digits))}"

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        yield from super().conflicts(task, evaluation)
        if self.digits is not None:
            from ..synthetic.idx import idx_files

            try:
                idx_files(Path(self.digits))
            except ConfigError as e:
                yield f"data.digits={self.digits}: {e}"
