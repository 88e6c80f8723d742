"""Signals while the ranks of a training meet: they wait for each other in torch's code, where Python hears no signal.

If a rank is gone by then, the others would wait for half an hour, and neither SIGTERM nor Ctrl-C would end them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

from ..ranks import first_rank
from .requeue import hand_back
from .signals import HEARD, Interrupted

GRACE = 10.0  # seconds from a signal until a rank that has not met the others yet is ended


class Meeting:
    """Between `begin` and `end` a thread hears the signals that stop a run. After one of them the ranks have GRACE seconds to
    meet; then the end of the first step acts on it, as always. Else this process ends as a stop: nothing is there to be saved.
    `tell` passes the signal on to the ranks that this process started."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.tell, self._met = tell, threading.Event()
        self._write = -1

    def begin(self) -> None:
        if threading.current_thread() is not threading.main_thread():  # it gets no signals
            return
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        threading.Thread(target=self._hear, name="meeting", daemon=True).start()

    def end(self) -> None:
        if self._write < 0:
            return
        self._met.set()
        signal.set_wakeup_fd(self._before, warn_on_full_buffer=False)
        os.close(self._write)
        self._write = -1

    def _hear(self) -> None:
        while heard := os.read(self._read, 1):
            if heard[0] in HEARD and not self._met.wait(GRACE):
                stop = Interrupted(heard[0])
                self.tell(stop.number)
                hand_back(stop)
                if first_rank():
                    print(stop, file=sys.stderr, flush=True)
                os._exit(stop.exit_code)
        os.close(self._read)
