"""What the sums of files cost a run: python benchmarks/sums.py [--cold] [--quick]

It trains and measures a run of experiment=base in this process, with caches that an earlier process filled (--cold: without; it
makes the pictures and their features first, as the first command of a new user does). Each function that
makes or checks a sum is timed: the seconds of its thread on a core. They are compared with the seconds of the whole process on
its cores: from its start to the first step, of the steps, and of the sweep. A checkpoint is written every 8 steps here. The
last line says what its sums are of 150 steps, which is how often a run of experiment=base writes one.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

WORDS = (
    *("experiment=base", "training.steps=16", "training.checkpoint_every=8", "training.devices=1"),
    *("evaluation.samples=64", "guidance.scales=[3]", "tracking=disabled"),
)
QUICK = (
    *("data.train=96", "data.test=64", "training.batch=8", "net=tiny", "part_steps=0.0001", "sampler.steps=2"),
    *("evaluation.samples=8", "evaluation.grid=4"),
)
STEPS, SAVED = 16, 2
PHASES = ("start", "training", "sweep")

spent: Counter[str] = Counter()  # seconds of the sums, by phase
calls: Counter[tuple[str, str]] = Counter()
phase, inside = PHASES[0], False


def timed(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; its seconds are counted once, also where another such function calls it."""

    @functools.wraps(work)
    def measured(*given: Any, **named: Any) -> Any:
        global inside
        if inside:
            return work(*given, **named)
        inside, begin = True, time.thread_time()
        try:
            return work(*given, **named)
        finally:
            inside = False
            spent[phase] += time.thread_time() - begin
            calls[phase, work.__name__] += 1

    return measured


def watch() -> None:
    """Time every function that makes or checks a sum, in all files that use it."""
    from lightning_diff import files, sums
    from lightning_diff.config.input import stored
    from lightning_diff.data.cached import segments
    from lightning_diff.nets.files import sealed
    from lightning_diff.tracking import record
    from lightning_diff.training import checkpoint

    watched: dict[Any, tuple[str, ...]] = {
        files: ("sha256",),
        sums: ("crc32", "xxh3", "read_sidecar", "known_sha256", "has_sum"),
        segments: ("row_sums", "_sum"),
        sealed: ("check_sum", "seal"),
        stored: ("with_sum",),
        checkpoint: ("_damaged_in",),
        record: ("_event",),
    }
    for module, name in ((module, name) for module, names in watched.items() for name in names):
        old = getattr(module, name)
        new = timed(old)
        for one in [m for m in sys.modules.values() if getattr(m, "__name__", "").startswith("lightning_diff")]:
            for known, value in list(vars(one).items()):
                if value is old:
                    setattr(one, known, new)


def train(words: list[str]) -> dict[str, float]:
    """Train in this process. Returns the process's seconds on its cores, by phase."""
    global phase
    from lightning_diff.cli.commands import train_command
    from lightning_diff.training.callbacks import Checkpoint
    from lightning_diff.training.trainer import pl

    watch()
    ends: dict[str, float] = {}
    begun, fit = Checkpoint.on_train_start, pl.Trainer.fit

    def first_step(*given: Any) -> None:
        global phase
        ends["start"], phase = time.process_time(), "training"
        begun(*given)

    def fitted(*given: Any, **named: Any) -> None:
        global phase
        fit(*given, **named)
        ends["training"], phase = time.process_time(), "sweep"

    Checkpoint.on_train_start = first_step  # type: ignore[method-assign]
    pl.Trainer.fit = fitted  # type: ignore[method-assign]
    sys.argv = ["train.py", *words]
    train_command()
    ends["sweep"] = time.process_time()
    return {
        "start": ends["start"],
        "training": ends["training"] - ends["start"],
        "sweep": ends["sweep"] - ends["training"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a run of four steps: does it work?")
    parser.add_argument("--cold", action="store_true", help="begin with empty caches")
    parser.add_argument("--cache", type=Path, help="a cache that an earlier run has filled")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = [*WORDS, *(QUICK if a.quick else ()), f"outputs={folder}", f"cache={a.cache or Path(folder) / 'cache'}"]
        steps = [w for w in words if not w.startswith("training.steps")]
        fill = [sys.executable, "train.py", *steps, "training.steps=1", "sampler.steps=2", "name=first"]
        if not a.cold:
            subprocess.run(fill, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        whole = train([*words, "name=second"])
        size = (Path(folder) / "second" / "checkpoints" / "last.ckpt").stat().st_size
    print(f"a checkpoint has {size / 2**20:.1f} MiB")
    for name in PHASES:
        print(f"{name}: sums {spent[name]:.3f} s of {whole[name]:.1f} s on the cores, {spent[name] / whole[name]:.2%}")
        print("  " + ", ".join(f"{count} x {work}" for (where, work), count in calls.items() if where == name))
    steps = 150 * whole["training"] / STEPS
    print(
        f"150 steps take {steps:.1f} s on the cores, the sums of their checkpoint {spent['training'] / SAVED:.4f} s: "
        f"{spent['training'] / SAVED / steps:.3%}"
    )


if __name__ == "__main__":
    main()
