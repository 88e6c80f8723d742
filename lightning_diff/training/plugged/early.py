"""Stopping early: the training ends when the loss on held-out pictures falls no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...config.fields import at_least
from ...config.registry import choice
from ...config.schema import Training, Validation
from .base import CallbackChoice

if TYPE_CHECKING:
    import pytorch_lightning as pl


@choice("callback", "early")
class Early(CallbackChoice):
    """Ends the training when validation/loss_ema has not fallen for `patience` validations in a row. A value counts as a fall if
    it is smaller than the smallest one by more than `least`. The weights are those of the last step."""

    patience: int = at_least(5, 1)
    least: float = at_least(0.0, 0)

    def callback(self, training: Training, validation: Validation) -> pl.Callback:
        from ..stopping import StopEarly

        return StopEarly(validation.every, self.patience, self.least)

    def conflicts(self, task: Any, training: Any, validation: Any) -> Iterator[str]:
        if task != "diffusion" or not validation.every or training.strategy == "fsdp":
            yield (
                "callbacks=[early]: needs the loss on held-out pictures: task=diffusion, validation.every=STEPS and "
                "training.strategy=ddp"
            )
