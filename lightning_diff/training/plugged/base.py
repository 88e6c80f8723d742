"""The interface of callbacks that a config names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...config.registry import Choice
from ...config.schema import Training, Validation

if TYPE_CHECKING:
    import pytorch_lightning as pl


@dataclass(frozen=True, kw_only=True)
class CallbackChoice(Choice):
    """A callback of Lightning. Its keys say how; `callback` makes it, on every rank. It runs after this project's own callbacks
    and before a checkpoint is written, which holds its `state_dict`. `trainer.callback_metrics` has the last train/loss, and on
    the first rank the last validation/loss and validation/loss_ema."""

    def callback(self, training: Training, validation: Validation) -> pl.Callback:
        """The callback of one training."""
        raise NotImplementedError


def callbacks_of(chosen: Iterable[CallbackChoice], training: Training, validation: Validation) -> list[pl.Callback]:
    """The callbacks of a training, in the order in which the config names them."""
    return [one.callback(training, validation) for one in chosen]
