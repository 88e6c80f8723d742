"""The other processes of a training on one machine. They start with the command, load their libraries while the first process
prepares the data, and join it when the training begins. Lightning alone would start them only then.

A process that stands by has read the command's words, and nothing else. It ends when the first process ends, however that is:
what it reads from ends then too. So Ctrl-C, which a terminal sends to both, waits until it is called: in its first moments
Python itself would answer with a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..config.schema import Training
from ..ranks import end_with, started_ranks
from ..terminal import CONSOLE_WORD
from .signals import STOP

STANDS_BY = "LIGHTNING_DIFF_STANDS_BY"  # in a process that is not called yet it names the first one
PERIOD = 1.0  # seconds from one look at the other processes to the next
GRACE = 10.0  # seconds in which a process may notice by itself that another one is gone


class Standby:
    """The processes that this one has started; none in the others."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self.called = False

    def start(self, training: Training) -> None:
        """Start them, if this training needs them and nobody else starts them."""
        alone = training.nodes == 1 and not started_ranks() and not {"LOCAL_RANK", "SLURM_JOB_ID"} & set(os.environ)
        if not alone:
            return
        os.environ.pop("RANK", None)  # it can be 0 alone, and the others would inherit it
        if self.started or not _plainly_started():
            return
        shared = {name: word for name, word in os.environ.items() if name != CONSOLE_WORD}
        role = {"NODE_RANK": 0, "WORLD_SIZE": training.devices, STANDS_BY: os.getpid()}
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # they inherit it
        try:
            for rank in range(1, training.devices):
                said = {name: str(value) for name, value in {**role, "LOCAL_RANK": rank}.items()}
                command = [sys.executable, *sys.orig_argv[1:]]
                with suppress(OSError):  # no room for another process: Lightning starts it, or says what is wrong
                    self.started.append(subprocess.Popen(command, env=shared | said, stdin=subprocess.PIPE))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def call(self, ranks: int) -> bool:
        """Have them join a training of so many ranks. False: they are not that many (or one has died), and are let go."""
        if self.called:
            return True
        # here, because the commands start without it
        from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]

        ready = len(self.started) == ranks - 1 > 0 and all(process.poll() is None for process in self.started)
        port = str(LightningEnvironment().main_port) if ready else ""  # MASTER_PORT, or one that is free
        for process in self.started:
            assert process.stdin
            try:
                process.stdin.write(port.encode())
                process.stdin.close()
            except BrokenPipeError:
                ready = False
        if not ready:
            self.tell(signal.SIGTERM)
            self.started = []
            return False
        os.environ.update(MASTER_PORT=port, NODE_RANK="0", LOCAL_RANK="0", WORLD_SIZE=str(ranks))
        self.called = True
        return True

    def tell(self, number: int) -> None:
        """Pass a signal on to them."""
        for process in self.started:
            process.send_signal(number)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """If one of them fails in a training, end all: the others may wait for it, and never hear that it is gone."""
        done = threading.Event()

        def watch() -> None:
            while not any(codes := [process.poll() for process in self.started]):
                if done.wait(PERIOD):
                    return
            if done.wait(GRACE) or STOP.number or STOP.ends:  # a stop ends all, in its own time
                return
            self.tell(signal.SIGTERM)
            code = next(filter(None, codes))
            how = signal.Signals(-code).name if code < 0 else f"code {code}"
            line = f"error: another process of this run has ended ({how}); the same command continues"
            print(line, file=sys.stderr, flush=True)
            os._exit(1)

        if self.called:
            threading.Thread(target=watch, daemon=True, name="other-ranks").start()
        try:
            yield
        finally:
            done.set()


def _plainly_started() -> bool:
    """Whether the command is a script with its words. A debugger, a profiler or a shell is not started a second time."""
    script = next((word for word in sys.orig_argv[1:] if word != "-u"), "-")
    return not script.startswith("-") and Path(script).name == Path(sys.argv[0]).name


def stand_by(load: Callable[[], object]) -> None:
    """In a process that stands by, load what the training needs, then wait until it is called. The process ends here if it never
    is."""
    if first := os.environ.pop(STANDS_BY, ""):
        load()
        port = os.read(0, 16).decode()
        if not port:
            os._exit(0)
        end_with(int(first))
        os.environ["MASTER_PORT"] = port
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


STANDBY = Standby()
