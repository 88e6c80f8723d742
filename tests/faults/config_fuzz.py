"""Valid commands, changed at random: each trains its first step (and draws, where it would), or is refused in one line
that names a key. What was asked for is in the run's config and is read by it.

    python -m tests.faults.config_fuzz --count 1000 --from 0 --to found.jsonl
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from lightning_diff.cli.errors import lacking
from lightning_diff.cluster.signals import STOP, Interrupted
from lightning_diff.config.checks import keys
from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.installed import check_installed
from lightning_diff.config.paths import CONF
from lightning_diff.config.registry import GROUPS
from lightning_diff.config.schema import Config
from lightning_diff.diffusion.samplers.base import Sampler
from lightning_diff.pipeline import run as run_room
from lightning_diff.pipeline.naming import run_name
from lightning_diff.pipeline.stages import train
from lightning_diff.training import trainer as trainer_room
from tests.conftest import draw_pictures
from tests.faults.mutations import Mutation, mutation

SECONDS = 60.0  # of the processor, for one mutation, five times that to compile; a sweep may be cut short, the first step may not
PATIENCE = 10  # times as many seconds of the clock: others use the machine too
MEMORY = 16 << 30  # bytes of address space: what wants more than a laptop has is a defect, not the machine's end
NAMES = {*keys(Config()), *GROUPS, *(p.name for p in CONF.iterdir() if p.is_dir())}
KEPT = (
    "name",
    "outputs",
    "cache",
    "task",
    "part_steps",
    "pins",
    "guidance.scale",
)  # read before the run, for parts, by sample.py
SWITCHED = {  # groups that are kept in the run's folder for later while this is so
    "sampler.": lambda c: not c.evaluation.enabled,
    "guidance.": lambda c: not c.evaluation.enabled,
    "evaluation.": lambda c: not c.evaluation.enabled,
    "tracking.": lambda c: c.tracking.wandb == "disabled",
}


def attempt(m: Mutation, root: Path, number: int) -> tuple[str, str]:
    """(ran | cut | refused | late | DEFECT, what was said). `late`: refused by the run itself, not when composed."""
    begin = "composing"
    try:
        config = compose_config(m.words)
        check_installed(config)
        begin = "running"
        folder = root / f"{number}" / run_name(config, m.words)
        with _limits(SECONDS * (5 if config.training.compile else 1)), _reads(config) as read, _warnings() as lost:
            try:
                train(config, folder)
            except Interrupted:
                done = (folder / "weights.safetensors").is_file()
                return ("cut", "") if done else ("DEFECT", "no first step in time")
        return _judge(m, config, folder, read, lost)
    except ConfigError as e:
        said = str(e)
        if "\n" in said or not any(re.search(rf"(?<![\w]){re.escape(n)}(?![\w])", said) for n in _nameable(m)):
            return "DEFECT", f"not one line that names a key: {said!r}"
        return ("refused" if begin == "composing" else "late"), said
    except Exception as e:
        if why := lacking(e):
            return "late", why
        where = traceback.extract_tb(e.__traceback__)
        ours = [f"{Path(w.filename).name}:{w.lineno}" for w in where if "lightning_diff" in w.filename]
        return "DEFECT", f"{begin}: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''} at {ours[-1:]}"


def _nameable(m: Mutation) -> set[str]:
    return NAMES | {change.split("=")[0].lstrip("+") for change in m.changes}


def _judge(m: Mutation, config: Config, folder: Path, read: set[str], lost: list[str]) -> tuple[str, str]:
    """A run that ended: whether it did what it was asked for."""
    if lost:
        return "DEFECT", f"a mirror is lost: {lost[0]}"
    drawn = config.task == "diffusion" and config.evaluation.enabled
    if not (folder / "weights.safetensors").is_file() or drawn != (folder / "sweep.csv").is_file():
        return "DEFECT", "ended without its files"
    kept, plain = OmegaConf.load(folder / "config.yaml"), OmegaConf.structured(compose_config(m.base))
    for o in OverridesParser.create().parse_overrides(m.changes):
        key = o.key_or_group
        if key not in set(keys(Config())) or OmegaConf.is_dict(OmegaConf.select(kept, key)):
            continue
        asked, has, had = o.value(), OmegaConf.select(kept, key), OmegaConf.select(plain, key)
        if not _same(asked, has):
            return "DEFECT", f"{key}: asked for {asked!r}, the run has {has!r}"
        kept_for_later = any(key.startswith(g) and off(config) for g, off in SWITCHED.items())
        if not _same(asked, had) and key not in KEPT and not kept_for_later and key not in read:
            return "DEFECT", f"{key}={asked}: ignored, nothing has read it"
    return "ran", ""


def _same(asked: Any, has: Any) -> bool:
    plain = OmegaConf.to_container(has) if OmegaConf.is_config(has) else has
    if isinstance(plain, dict) and isinstance(asked, str):
        plain = plain.get("kind")  # a choice is asked for by its name
    if isinstance(plain, list) and isinstance(asked, list):
        return len(plain) == len(asked) and all(isinstance(a, dict) or _same(a, p) for a, p in zip(asked, plain))
    if isinstance(plain, bool) and isinstance(asked, int):
        return bool(asked) == plain  # as OmegaConf reads a number
    if isinstance(plain, int | float) and not isinstance(asked, list | dict):
        words = {"yes": True, "on": True, "no": False, "off": False}
        return float(words.get(str(asked).lower(), asked)) == float(plain)
    return asked == plain if asked is None or plain is None else str(asked) == str(plain)


@contextlib.contextmanager
def _limits(seconds: float) -> Iterator[None]:
    """One step of every training, and so many seconds of the processor, after which the run is asked to stop as by SLURM."""
    made = trainer_room.make_trainer

    def few(*arguments: Any) -> Any:
        trainer = made(*arguments)
        trainer.fit_loop.epoch_loop.max_steps = 1
        return trainer

    STOP.number, STOP.ends = 0, False
    STOP.install()
    signal.signal(signal.SIGPROF, lambda *_: signal.raise_signal(signal.SIGALRM))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)
    try:
        with mock.patch.object(trainer_room, "make_trainer", few):
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        STOP.number, STOP.ends = 0, False


@contextlib.contextmanager
def _reads(config: Config) -> Iterator[set[str]]:
    """The keys of this config that the project's code reads, but for what only checks or copies."""
    found: set[str] = set()
    owners = {id(config): ""} | {
        id(v): f"{f.name}." for f in fields(config) if is_dataclass(v := getattr(config, f.name))
    }
    package = Path(run_room.__file__).parents[1]
    home, passed_by = str(package), [str(package / f"{name}.py") for name in ("checks", "combinations", "config")]

    def reading(self: Any, name: str) -> Any:
        copied = "sampler." if issubclass(type(self), Sampler) else None  # its steps are put in; parts draw nothing
        if (prefix := owners.get(id(self), copied)) is not None:
            by = sys._getframe(1).f_code.co_filename
            if by.startswith(home) and by not in passed_by:
                found.add(prefix + name)
        return object.__getattribute__(self, name)

    with contextlib.ExitStack() as stack:
        for kind in {type(config), *(type(getattr(config, f.name)) for f in fields(config))}:
            if is_dataclass(kind):
                stack.enter_context(mock.patch.object(kind, "__getattribute__", reading, create=True))
        yield found


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """What is said of trackers that were lost."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda r: said.append(r.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("lightning_diff.tracking")
    log.addHandler(handler)
    try:
        yield said
    finally:
        log.removeHandler(handler)


@contextlib.contextmanager
def workplace(root: Path) -> Iterator[Path]:
    """A folder to run in: a user's pictures, an empty folder, a file where a folder may be asked for."""
    draw_pictures(root / "pictures")
    (root / "empty").mkdir()
    (root / "taken").write_text("a file")
    with contextlib.chdir(root), mock.patch.object(run_room.console, "quiet", True):
        yield root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--to", type=Path, help="append a line of JSON for each")
    parser.add_argument("--only", type=int, nargs="*", help="these numbers alone")
    o = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    told = o.to.resolve() if o.to else None
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place, workplace(Path(place)) as root:
        for i in o.only or range(o.first, o.first + o.count):
            m, begin = mutation(i), time.perf_counter()
            outcome, said = attempt(m, root, i)
            counts[outcome] += 1
            row = {"i": i, "outcome": outcome, "seconds": round(time.perf_counter() - begin, 1), "said": said}
            row |= {"base": m.base[0], "changes": m.changes}
            if told:
                with told.open("a") as f:
                    f.write(json.dumps(row, ensure_ascii=False) + "\n")
            if outcome == "DEFECT":
                print(f"{i}: {m.base[0]} {' '.join(m.changes)}\n    {said}", flush=True)
    print(dict(counts))
    sys.exit(1 if counts["DEFECT"] else 0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
