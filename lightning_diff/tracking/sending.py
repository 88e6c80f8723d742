"""W&B's offline files sent to its server beside a run, by a process of their own: training never waits for a server.

python -m lightning_diff.tracking.sending [--live] SEGMENT      what that process runs; it ends with its standard input
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

log = logging.getLogger(__name__)

WAIT = 30.0  # seconds at the end of a run for what is not sent yet


class Sender:
    """Sends what is left of the run's earlier segments, in order, and then the one that is being written, as it grows.
    What the sending process says is in RUN/wandb/sending.log."""

    def __init__(self, folder: Path, segment: Path) -> None:
        self.folder, self.sent, self.over = folder, False, False
        earlier = [f for f in sorted((folder / "wandb").glob("offline-run-*/run-*.wandb")) if f.parent != segment]
        unsent = [f for f in earlier if not f.with_name(f"{f.name}.synced").is_file()]
        self.jobs = [[str(f)] for f in unsent] + [["--live", str(segment)]]
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._send, name="wandb-sender", daemon=True)
        self.thread.start()

    def _send(self) -> None:
        own = {k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"}  # the run's would wait for it at the end
        with (self.folder / "wandb" / "sending.log").open("ab") as said:
            for job in self.jobs:
                with self.lock:
                    if self.over:
                        return
                    self.process = subprocess.Popen(
                        [sys.executable, "-m", __name__, *job],
                        stdin=subprocess.PIPE,
                        stdout=said,
                        stderr=said,
                        env=own,
                        start_new_session=True,  # Ctrl-C is for the run
                    )
                if self.process.wait():
                    return
        self.sent = True

    def finish(self) -> None:
        """Call it when the run's file is complete. Waits for a while, and says how to send what is not sent then."""
        self.thread.join(WAIT)
        with self.lock:
            self.over = True
            if self.process is not None and self.process.stdin is not None:
                self.process.stdin.close()
        if not self.sent:
            log.warning(
                "W&B has not got all of this run (%s says why); all of it is kept: `wandb beta sync %s` sends it later",
                self.folder / "wandb" / "sending.log",
                self.folder / "wandb",
            )


def _end_with_the_run() -> None:
    """The run holds the other end, and lets go of it however it ends: nothing is left behind by a kill."""
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    os.nice(19)  # it takes what the training leaves of the cores
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    from wandb.cli.cli import cli

    cli(["beta", "sync", "--yes", *sys.argv[1:]])


if __name__ == "__main__":
    main()
