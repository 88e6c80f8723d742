"""Being asked to stop: the signal sets a flag, the end of the step acts on it. (Lightning's own handler saves inside the
handler, which can deadlock ranks, and ends a terminated run with exit code 0.)"""

from __future__ import annotations

import signal
from types import FrameType


class Interrupted(Exception):
    """The run was asked to stop; it goes on when the same command is given again."""

    def __init__(self, number: int, step: int | None = None) -> None:
        where = "" if step is None else f" at step {step}"
        super().__init__(f"stopped by {signal.Signals(number).name}{where}; the same command continues")
        self.exit_code = 128 + number


class StopFlag:
    """`number` is the signal that asked, 0 while none has.

    While `deferred`, which is while a net is trained, it is for the end of the step to act on it; at other times there
    is nothing to save, and the run stops at once. So it does at a second Ctrl-C.
    """

    def __init__(self) -> None:
        self.number = 0
        self.deferred = False

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if not self.deferred or (self.number == number == signal.SIGINT):
            raise Interrupted(number)
        self.number = number


STOP = StopFlag()
