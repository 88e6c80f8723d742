"""Classifier-free guidance and autoguidance. Both use the same rule; autoguidance uses a second network."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.fields import at_least, listed, path
from ...config.registry import choice
from ...config.schema import EMA_GUIDE, LONGEST, SHORTEST
from ...files import is_safetensors
from ..records import NoiseLevel, Prediction
from .base import Guider, lerp

if TYPE_CHECKING:
    from torch import Tensor

    from ..path import Path


@choice("guidance", "cfg")
class CFG(Guider):
    """Classifier-free guidance (Ho & Salimans 2022, eq. 6; their w is our w minus 1)."""

    linear: ClassVar[bool] = True

    def combine(
        self, c: Prediction, u: Prediction, x_t: Tensor, m: NoiseLevel, w: float, path: Path, memory: list[Any]
    ) -> Prediction:
        return lerp(c, u, w)


@choice("guidance", "auto")
class Autoguidance(CFG):
    """Autoguidance (Karras et al. 2024, eq. 3). The prediction moves away from that of a worse network with the same caption.
    `guide` is the worse network: a weights file, or ema:LENGTH@STEP of the run."""

    scale: float = at_least(2.0, 0)
    scales: list[float] = listed(1.0, 1.5, 2.0, 3.0, 4.0, low=0)
    guide: str | None = path(None, run=True)

    without_caption: ClassVar[bool] = False

    def conflicts(self, sampler: Any, training: Any) -> Iterator[str]:
        yield from super().conflicts(sampler, training)
        if self.guide is None:
            yield (
                "guidance=auto: say which network is the worse one, guidance.guide=FILE.safetensors or ema:LENGTH@STEP"
            )
        elif found := re.fullmatch(EMA_GUIDE, self.guide):
            length, step, every = float(found[1]), int(found[2]), training.ema_every
            written = every > 0 and 0 < step <= training.steps and (step % every == 0 or step == training.steps)
            if not written or not SHORTEST <= length <= LONGEST:
                yield (
                    f"guidance.guide={self.guide}: a length from {SHORTEST} to {LONGEST}, at a step that "
                    f"training.ema_every={every} writes averages down at, of training.steps={training.steps}"
                )
        elif not os.path.isfile(self.guide) or not is_safetensors(FilePath(self.guide)):
            yield f"guidance.guide={self.guide}: neither a safetensors file nor ema:LENGTH@STEP (ema:0.05@500)"

    @staticmethod
    def word(name: str, value: Any) -> str:
        if name != "guide":
            return Guider.word(name, value)
        return f"({value if re.fullmatch(EMA_GUIDE, value) else FilePath(value).stem})"

    @property
    def name(self) -> str:
        return super().name.replace("+(", "(")
