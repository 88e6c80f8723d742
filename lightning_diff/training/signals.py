"""Being asked to stop: the signal sets a flag, the end of the step acts on it. (Lightning's own handler saves inside the
handler, which can deadlock ranks, and ends a terminated run with exit code 0.)"""

from __future__ import annotations

import signal
from types import FrameType


class Interrupted(Exception):
    """The run was asked to stop, has saved itself, and goes on when the same command is given again."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} at step {step}; the same command continues")
        self.exit_code = 128 + number


class StopFlag:
    """`number` is the signal that asked, 0 while none has. A second Ctrl-C stops at once, without saving."""

    def __init__(self) -> None:
        self.number = 0

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.number == signal.SIGINT and number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise KeyboardInterrupt
        self.number = number


STOP = StopFlag()
