"""Signals that ask a run to stop. A signal sets a flag; the run acts on it at the end of the step.

Lightning's own handlers are not used: they save and talk to other ranks inside the handler, which can deadlock the ranks,
and they end a terminated run with exit code 0. This file imports nothing slow, so the handlers are set before torch loads.

A signal that comes while a module is imported waits until that import is done: an import that is broken off leaves libraries
half loaded, which end in a traceback or a segmentation fault.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
UNTOUCHED = ("__del__", "_find_and_load", "_shutdown", "_run_exitfuncs")  # functions that no signal breaks off
AGAIN = 0.05  # seconds until a signal that came in one of them comes again


class Interrupted(BaseException):
    """The run was asked to stop; the same command continues it. It derives from BaseException, so that no
    `except Exception` catches it by mistake."""

    def __init__(self, number: int, step: int | None = None) -> None:
        where = "" if step is None else f" at step {step}"
        self.name = "the time limit" if number == signal.SIGALRM else signal.Signals(number).name
        super().__init__(f"stopped by {self.name}{where}; the same command continues")
        self.number, self.exit_code = number, 128 + number
        self.handed_back = False


class StopFlag:
    """Remembers the signal that asked the run to stop: its `number`, or 0.

    While `deferred` is true (a net is being trained), the end of the step acts on the signal. Otherwise there is nothing to
    save, and the run stops at once; it also stops at once at a second Ctrl-C. While `ends` is true the run is already
    stopping, and further signals are ignored, except a second Ctrl-C.
    """

    def __init__(self) -> None:
        self.number = 0
        self.deferred = False
        self.ends = False

    def install(self, deferred: bool = False) -> None:
        """Set the handlers. Raises Interrupted if a signal came while signals were deferred and now they are not."""
        self.deferred = deferred
        for number in HEARD:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it
                signal.signal(number, self._asked)
        if self.number and not deferred:
            raise self.end(self.number)

    def end(self, number: int, step: int | None = None) -> Interrupted:
        """Mark the run as stopping, and return the exception to raise."""
        self.ends = True
        return Interrupted(number, step)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if not self.deferred and _untouched(frame):
            later = threading.Timer(AGAIN, os.kill, (os.getpid(), number))
            later.daemon = True
            later.start()
            return
        second = self.number == number == signal.SIGINT
        if self.ends and not second:
            return
        self.number = number
        if second or not self.deferred:
            raise self.end(number)


def _untouched(frame: FrameType | None) -> bool:
    """Whether a function that no signal breaks off is on the stack."""
    while frame is not None:
        if frame.f_code.co_name in UNTOUCHED:
            return True
        frame = frame.f_back
    return False


STOP = StopFlag()
