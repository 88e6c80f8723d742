"""kill -9 at random moments of a short run, from its first import to its last figure: python -m tests.faults.kill --count 200

A run is killed a few times and given the same command again; in the end its weights and its table must be the bits of an
uninterrupted run's. Kill number i is a function of i and of how long the uninterrupted run took.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lightning_diff.config.paths import PACKAGE_FOLDER
from tests.conftest import short

KILLS = 5  # of one run
MORE = ("training.steps=40", "training.checkpoint_every=5", "tracking.wandb=offline")


def start(root: Path, name: str) -> subprocess.Popen[bytes]:
    words = [
        w
        for w in short("base", *MORE)
        if w not in ("training.steps=3", "training.checkpoint_every=2", "tracking=disabled")
    ]
    command = [sys.executable, "train.py", *words, f"outputs={root}", f"cache={root}/cache", f"name={name}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=PACKAGE_FOLDER, env=environment, stdout=out, stderr=out)


def uninterrupted(root: Path) -> float:
    """Seconds; with its caches there already, as in the runs that are killed."""
    for name in ("warm", "whole"):
        begin = time.monotonic()
        assert start(root, name).wait() == 0
    return time.monotonic() - begin


def killed(root: Path, number: int, seconds: float) -> bool:
    """Whether run `number` ended with the same bits."""
    name = f"killed{number}"
    for kill in range(KILLS):
        process = start(root, name)
        try:
            process.wait(random.Random(number * KILLS + kill).uniform(0.2, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert start(root, name).wait() == 0, f"{root / name} did not go on"
    tables = [(root / n / "sweep.csv").read_text() for n in (name, "whole")]
    same = same_numbers(*tables) and same_weights(root / name, root / "whole")
    if same:
        shutil.rmtree(root / name)
    return same


def same_numbers(a: str, b: str) -> bool:
    """But for the last column, the passport's digest: a killed run's weights file is another file, by its name."""
    one, two = ([line.rsplit(",", 1)[0] for line in table.splitlines()] for table in (a, b))
    return one == two


def same_weights(a: Path, b: Path) -> bool:
    from lightning_diff.nets.weights import read_state

    one, two = (read_state(folder / "weights.safetensors") for folder in (a, b))
    return one.keys() == two.keys() and all(bool((one[n] == two[n]).all()) for n in one)


def main(count: int, place: Path | None = None) -> int:
    """How many runs, of `count` kills in all, did not end as they should. In a new folder of `place`."""
    root = Path(tempfile.mkdtemp(prefix="killed-", dir=place))
    seconds = uninterrupted(root)
    runs = -(-count // KILLS)
    bad = 0
    for number in range(runs):
        bad += not killed(root, number, seconds)
        print(
            f"{(number + 1) * KILLS} kills in {number + 1} runs of {seconds:.1f} s: {bad} runs not the same", flush=True
        )
    shutil.rmtree(root) if not bad else print(f"see {root}")
    return bad


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    sys.exit(min(1, main(parser.parse_args().count)))
