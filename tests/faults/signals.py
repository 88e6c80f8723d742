"""Signals at any moment of a command: python -m tests.faults.signals --count 100 --seconds 6

Each of train.py, evaluate.py and sample.py gets SIGTERM or SIGINT at a moment from 0.05 s on. It must end as a stop: with one
line and the exit code 128 + the signal, or without a word if Python had not reached the first line of the command. It must never
end with a traceback or a crash, and never ignore the signal. A command that is finished before has nothing to stop.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from lightning_diff.config.paths import PACKAGE_FOLDER
from tests.conftest import short, train_apart

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def commands(root: Path) -> list[list[str]]:
    """Three commands that take longer than any trial lasts. evaluate.py measures a run that is trained here, first."""
    places = [f"outputs={root}", f"cache={root}/cache"]
    trained = train_apart(*short("base"), *places, "name=trained")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    return [
        ["train.py", *short("base", "training.steps=100000"), *places, "name=run"],
        ["sample.py", "prompt=a small red mug", "count=64", "sampler.steps=100", f"out={root}/samples"],
        ["evaluate.py", f"run={root}/trained", "evaluation.samples=64", "sampler.steps=1000"],
    ]


def stopped(command: list[str], after: float, number: signal.Signals) -> str:
    """How a command ends that gets a signal after some seconds: stop, early, finished; or what must not be, in capitals."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=PACKAGE_FOLDER,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = process.communicate(timeout=after)
        return "finished" if "Traceback" not in said else f"TRACEBACK {said[-300:]}"
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    try:
        said, _ = process.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "IGNORED"
    code = process.returncode
    if "Traceback" in said and "lightning_diff" in said:
        return f"TRACEBACK {said[-600:]}"
    if code == 128 + number and f"stopped by {number.name}" in said:
        return "stop"
    if code in (-number, 128 + number):
        return "early"
    return "finished" if code == 0 else f"CODE {code} {said[-300:]}"


def main(count: int, seconds: float, place: Path | None = None) -> list[str]:
    """Returns what must not be."""
    root = Path(tempfile.mkdtemp(prefix="stopped-", dir=place))
    every, found, bad = commands(root), Counter[str](), list[str]()
    for i in range(count):
        chance = random.Random(i)
        command, number = every[i % 3], SIGNALS[i // 3 % 2]
        after = chance.uniform(0.05, seconds)
        end = stopped(command, after, number)
        found[end.split()[0]] += 1
        if end.split()[0].isupper():
            bad.append(f"{command[0]}, {number.name} after {after:.2f} s: {end}")
            print(bad[-1], flush=True)
    print(", ".join(f"{n} {what}" for what, n in found.most_common()), flush=True)
    return bad


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6.0)
    given = parser.parse_args()
    sys.exit(bool(main(given.count, given.seconds)))
