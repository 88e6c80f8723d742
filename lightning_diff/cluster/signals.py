"""Being asked to stop: the signal sets a flag, the end of the step acts on it. (Lightning's own handlers save and talk to
other ranks inside the handler, which can deadlock them, and end a terminated run with exit code 0.)

Imports nothing slow: the handlers are there before torch is.
"""

from __future__ import annotations

import signal
from types import FrameType

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)


class Interrupted(BaseException):
    """The run was asked to stop; it goes on when the same command is given again. (No Exception: nothing that catches
    those may take it for its own.)"""

    def __init__(self, number: int, step: int | None = None) -> None:
        where = "" if step is None else f" at step {step}"
        self.name = "the time limit" if number == signal.SIGALRM else signal.Signals(number).name
        super().__init__(f"stopped by {self.name}{where}; the same command continues")
        self.number, self.exit_code = number, 128 + number
        self.handed_back = False


class StopFlag:
    """`number` is the signal that asked, 0 while none has.

    While `deferred`, which is while a net is trained, it is for the end of the step to act on it; at other times there
    is nothing to save, and the run stops at once. So it does at a second Ctrl-C. While it `ends`, further signals change
    nothing: it is leaving already.
    """

    def __init__(self) -> None:
        self.number = 0
        self.deferred = False
        self.ends = False

    def install(self, deferred: bool = False) -> None:
        """Raises Interrupted if one was heard while deferred."""
        self.deferred = deferred
        for number in HEARD:
            signal.signal(number, self._asked)
        if self.number and not deferred:
            raise self.end(self.number)

    def end(self, number: int, step: int | None = None) -> Interrupted:
        """The exception to raise."""
        self.ends = True
        return Interrupted(number, step)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        again = self.number == number == signal.SIGINT
        if self.ends and not again:
            return
        self.number = number
        if again or not self.deferred:
            raise self.end(number)


STOP = StopFlag()
