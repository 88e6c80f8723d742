"""Files that are damaged at rest: python -m tests.faults.damage [--moments training,sweep] [--files '*.npy'] [--jobs 2]

Every file of a short run's folder and of its cache is damaged in eight ways, at three moments: the training is half done, the
sweep is half done, all is finished. Then the same command is given again. It must end with the numbers of a run without damage,
or with one line that says what to do; never with other numbers, and never with a traceback.

A file that is damaged at rest keeps its times. So surveys are found here by the names of shards, not by their times. The
processes of the runs are forks of one that has imported everything.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning_diff.config.paths import PACKAGE_FOLDER
from tests.conftest import short
from tests.faults.kill import same_numbers, same_weights

MOMENTS = ("training", "sweep", "finished")
DAMAGES = ("bit", "garbage", "header", "cut", "empty", "zeroed", "deleted", "another")
WORDS = short("base", "training.steps=6", "evaluation.samples=64", "evaluation.batch=64")
LONGEST = 600.0  # seconds of a run
IMPORTED = (
    "lightning_diff.cli.commands",
    "lightning_diff.pipeline.stages",
    "hydra.core.global_hydra",
    "pyarrow.parquet",
    "PIL.Image",
)
UNIMPORTANT = ("lock", "*.lock", "*.damaged")  # nobody reads what is in them


def fork(root: Path, words: Sequence[str], prepare: Callable[[], None] = lambda: None) -> int:
    """Start `train.py WORDS` in a fork of this process, with `root`/out as its standard output and error. Returns its id."""
    if process := os.fork():
        return process
    code = 1
    try:
        os.setsid()
        os.chdir(PACKAGE_FOLDER)
        said = os.open(root / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.argv = ["train.py", *words, f"outputs={root}/outputs", f"cache={root}/cache", "name=run"]
        from lightning_diff.cli.commands import train_command

        find_surveys_by_name()
        prepare()
        train_command()
        code = 0
    except SystemExit as e:
        code = int(e.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def find_surveys_by_name() -> None:
    from lightning_diff.data import survey

    def place(shard: Path, cache: Path, how: Any) -> Path:
        name = hashlib.sha256(f"{shard.parent.name}/{shard.name} {how}".encode()).hexdigest()[:16]
        return cache / "surveys" / name[:2] / f"{name}.npz"

    survey.survey_place = place


def without_figures() -> None:
    """Figures, and the report's pictures of guidance, take long, and no number is read from them."""
    from lightning_diff.evaluation import runner
    from lightning_diff.pipeline.reports import kept

    for name in ("plot_sweep", "plot_front", "plot_loss", "save_table", "save_grid"):
        setattr(runner, name, lambda *_: Path())
    kept.see_guidance = lambda *_: ({}, {})


def wait(process: int) -> int:
    """The exit code; 124 if it took too long."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return 124


def killed_in_training() -> None:
    from lightning_diff.training.callbacks import Checkpoint

    step = Checkpoint.on_train_batch_end

    def counted(self: Any, trainer: Any, *more: Any) -> None:
        step(self, trainer, *more)
        if trainer.global_step == 5:
            os._exit(9)

    Checkpoint.on_train_batch_end = counted  # type: ignore[method-assign]


def killed_in_sweep() -> None:
    from lightning_diff.evaluation import runner

    draw: Any = runner.draw

    def first(*arguments: Any) -> Iterator[int]:
        for _ in draw(*arguments):
            os._exit(9)
        yield 0

    runner.draw = first  # type: ignore[assignment]


def make(root: Path) -> None:
    """The runs to damage, in folders named after their moments, and `other`: a finished run with another seed."""
    for name, words, prepare, code in (
        ("finished", [], lambda: None, 0),
        ("training", [], killed_in_training, 9),
        ("sweep", [], killed_in_sweep, 9),
        ("other", ["seed=1", "data.seed=1"], lambda: None, 0),
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
        found = wait(fork(root / name, [*WORDS, *words], prepare))
        assert found == code, f"{root / name}: {found}\n{(root / name / 'said').read_text()}"


def files_of(folder: Path) -> list[Path]:
    """The files that may be damaged, relative to the folder."""
    some = (
        p.relative_to(folder)
        for part in ("outputs", "cache")
        for p in sorted((folder / part).rglob("*"))
        if p.is_file()
    )
    return [p for p in some if not any(fnmatch.fnmatch(p.name, one) for one in UNIMPORTANT)]


def damage(file: Path, how: str, other: Path | None, number: int) -> bool:
    """Damage a file in place, with its old times. Returns whether that was possible."""
    chance, data, now = random.Random(f"{file.name} {how} {number}"), bytearray(file.read_bytes()), file.stat()
    if how == "deleted":
        file.unlink()
        return True
    if how == "another":
        if other is None or other.read_bytes() == bytes(data):
            return False
        data = bytearray(other.read_bytes())
    elif not data:
        return False
    elif how == "bit":
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how == "garbage":
        at = chance.randrange(max(1, len(data) - 4096))
        data[at : at + 4096] = chance.randbytes(min(4096, len(data) - at))
    elif how == "header":
        data[:16] = chance.randbytes(min(16, len(data)))
    elif how == "cut":
        del data[chance.randrange(len(data)) :]
    elif how == "empty":
        data.clear()
    else:
        data[:] = bytes(len(data))
    file.write_bytes(data)
    os.utime(file, ns=(now.st_atime_ns, now.st_mtime_ns))
    return True


def counterpart(file: Path, other: Path) -> Path | None:
    """The file of another run that could take this one's place: the same name, or the same kind in the same kind of folder."""
    if (other / file).is_file():
        return other / file
    parts = [part if part in ("outputs", "cache", "run", "checkpoints", "parts") else "*" for part in file.parts[:-1]]
    for name in (file.name, f"*{file.suffix}"):
        if found := sorted(other.glob("/".join([*parts, name]))):
            return found[0]
    return None


def verdict(root: Path, whole: Path, file: Path, code: int) -> str:
    """What the command did about the damage: same, mended, line; or, which must not be, SILENT, TRACEBACK, HANG."""
    said = (root / "said").read_text(errors="replace")
    if code == 124:
        return "HANG"
    if "Traceback" in said:
        return "TRACEBACK"
    if code:
        lines = [line for line in said.splitlines() if line.startswith("error: ")]
        return "line" if code in (1, 2) and len(lines) == 1 else f"CODE {code}"
    run, right = root / "outputs" / "run", whole / "outputs" / "run"
    same = same_weights(run, right) and same_numbers(*((f / "sweep.csv").read_text() for f in (run, right)))
    told = "damaged" in said or "is not as it was written" in said
    return ("mended" if told else "same") if same else ("other numbers, told" if told else "SILENT")


def trials(root: Path, moments: Sequence[str], pattern: str, flips: int) -> Iterator[tuple[str, Path, str, int]]:
    for moment in moments:
        for file in files_of(root / moment):
            for how in DAMAGES if fnmatch.fnmatch(str(file), pattern) else ():
                for number in range(flips if how == "bit" else 1):
                    yield moment, file, how, number


def main(
    moments: Sequence[str],
    pattern: str = "*",
    jobs: int = 1,
    flips: int = 1,
    place: Path | None = None,
    every: int = 1,
    first: int = 0,
) -> list[str]:
    """Damage and go on, every `every`-th trial from the `first` on. Returns what must not be, in lines."""
    for module in IMPORTED:
        importlib.import_module(module)
    root = place or Path(tempfile.mkdtemp(prefix="damaged-"))
    if not (root / "other").is_dir():
        make(root)
    counts: Counter[str] = Counter()
    bad: list[str] = []
    running: dict[int, tuple[Path, str, Path]] = {}

    def finish(process: int) -> None:
        folder, words, file = running.pop(process)
        found = verdict(folder, root / "finished", file, wait(process))
        counts[found] += 1
        if found.isupper() or found.startswith(("CODE", "other")):
            bad.append(f"{found}: {words}")
            said = (folder / "said").read_text(errors="replace").strip().splitlines()
            print(f"{bad[-1]}: {said[-1] if said else ''}"[:400], flush=True)
        else:
            print(f"  {found}: {words}", flush=True)
        shutil.rmtree(folder)

    for number, (moment, file, how, flip) in enumerate(trials(root, moments, pattern, flips)):
        if (number - first) % every:
            continue
        folder = root / f"trial{number}"
        shutil.copytree(root / moment, folder, symlinks=True)
        if not damage(folder / file, how, counterpart(file, root / "other"), flip):
            shutil.rmtree(folder)
            continue
        running[fork(folder, WORDS, without_figures)] = folder, f"{moment} {file} {how}", file
        if len(running) >= jobs:
            finish(next(iter(running)))
    for process in list(running):
        finish(process)
    print(", ".join(f"{n} {what}" for what, n in counts.most_common()), flush=True)
    if not bad and place is None:
        shutil.rmtree(root)
    return bad


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", default=",".join(MOMENTS))
    parser.add_argument("--files", default="*")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--flips", type=int, default=3)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--place", type=Path)
    given = parser.parse_args()
    some = given.moments.split(","), given.files, given.jobs, given.flips, given.place, given.every, given.first
    sys.exit(bool(main(*some)))
