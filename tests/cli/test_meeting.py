"""A signal ends a rank that waits for another one that never comes, though it waits in torch's code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from lightning_diff.config.paths import PACKAGE_FOLDER

WAITS = """
import os, signal, sys, time
from datetime import timedelta
import torch.distributed
from lightning_diff.cluster import meeting
from lightning_diff.cluster.signals import STOP
meeting.GRACE = 0.5 if sys.argv[1] == "alone" else 3.0
STOP.install(deferred=True)
held = meeting.Meeting(lambda number: print("told", number, flush=True))
held.begin()
if sys.argv[1] == "alone":
    print("waits", flush=True)
    torch.distributed.TCPStore("127.0.0.1", 0, 2, True, timedelta(seconds=500))
os.kill(os.getpid(), signal.SIGTERM)
held.end()
held.end()
time.sleep(4)
print("trains", STOP.number)
"""


def started(how: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WAITS, how]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=PACKAGE_FOLDER, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_rank_that_waits_for_another_hears_a_signal(number: signal.Signals) -> None:
    process = started("alone")
    assert process.stdout is not None and process.stdout.readline() == "waits\n"
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 128 + number and out == f"told {int(number)}\n"
    assert err == f"stopped by {number.name}; the same command continues\n"


def test_ranks_that_meet_in_time_train_to_the_end_of_the_step() -> None:
    out, err = started("met").communicate(timeout=500)
    assert out == f"trains {int(signal.SIGTERM)}\n" and not err
