"""Sending of W&B's offline files to its server. A separate process does it during the run: training never waits for a server.

python -m lightning_diff.tracking.sending [--live] SEGMENT      runs in that process; it ends when its standard input closes
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

from .segments import file_of, segments_in

log = logging.getLogger(__name__)

WAIT = 30.0  # seconds to wait, at the end of a run, for the rest to be sent


class Sender:
    """Sends the run's earlier segments that are not sent yet, in order, and then the current segment while it grows. The output
    of the sending process is in RUN/wandb/sending.log."""

    def __init__(self, folder: Path, segment: Path) -> None:
        self.folder, self.sent, self.over = folder, False, False
        earlier = [file for one in segments_in(folder) if one.name != segment.name and (file := file_of(one))]
        unsent = [f for f in earlier if not f.with_name(f"{f.name}.synced").is_file()]
        self.jobs = [[str(f)] for f in unsent] + [["--live", str(segment)]]
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._send, name="wandb-sender", daemon=True)
        self.thread.start()

    def _send(self) -> None:
        own = {
            k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"
        }  # the run's service would wait for this process at the end
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
                        start_new_session=True,  # so Ctrl-C reaches only the run
                    )
                if self.process.wait():
                    return
        self.sent = True

    def finish(self) -> None:
        """Wait up to WAIT seconds until all is sent; if it is not, log how to send the rest. Call it when the run's file is
        complete."""
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
    """Exit when standard input closes. The run holds its other end, which closes whenever the run ends, even by a kill."""
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    os.nice(19)  # so it does not slow down the training
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    from wandb.cli.cli import cli

    cli(["beta", "sync", "--yes", *sys.argv[1:]])


if __name__ == "__main__":
    main()
