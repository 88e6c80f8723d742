"""kill -9 at random steps, and go on with another number of ranks and workers: python -m tests.faults.elastic --count 100

Lightning's own Trainer trains on two mixed sets of shards, in blocks, in nine buckets, cut at random. Every sample that it gets
is written down with its position; the samples of each step must be those of a process that was never killed, whichever
processes got them. Kill number i, and the ranks and workers after it, are a function of i.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_diff.data.dataset import PictureBatch, pictures
from lightning_diff.data.sources.shards import Shards
from lightning_diff.training.loading.captioned_images import CaptionedImages
from tests.cases.eye import encoded, tar

BATCH, STEPS = 8, 60
EVERY = 3  # steps between checkpoints
FURTHEST = 8  # steps from where a run goes on to where it is killed
RANKS, WORKERS = (1, 2, 4), (0, 2, 3)
SIZES = [(40, 40), (48, 24), (24, 48), (44, 34)]
LONGEST = 300  # seconds of one start


def make_sets(root: Path) -> None:
    for name, shards, each in (("one", 6, 12), ("other", 4, 9)):
        for n in range(shards):
            members: list[tuple[str, object]] = []
            for i in range(each):
                colour = (n * 29 % 256, i * 7 % 256, len(name) * 50 % 256)
                members += [(f"{name}{n}-{i}.png", encoded(colour, "PNG", SIZES[i % 4]))]
                members += [(f"{name}{n}-{i}.txt", f"{name} {n} {i}")]
            tar(root / name / f"{n:03d}.tar", members)


def source(root: Path) -> Shards:
    cuts: dict[str, Any] = {"buckets": 9, "crop": "random", "flip": True, "order": "blocks", "block": 50}
    mix = [f"0.5:{root / 'other'}"]
    return Shards(image_size=32, source=str(root / "one"), test="none", features="online", mix=mix, **cuts)


def lines(batch: PictureBatch) -> list[str]:
    """For each sample its position and a hash of its picture and caption."""
    rows = zip(batch.positions.tolist(), batch.images, batch.captions, strict=True)
    return [f"{p} {hashlib.sha256(i.numpy().tobytes() + c.encode()).hexdigest()}" for p, i, c in rows]


def expected(root: Path) -> dict[int, str]:
    """The hash of the sample at each position, from one process without a Trainer."""
    some = source(root)
    train = pictures(some, root / "cache", "train", framing=some.framing(0))
    assert train is not None
    order = train.order(BATCH, 0)
    said = [line for step in range(STEPS) for line in lines(train.__getitems__(order.places(step)))]
    return {int(line.split()[0]): line.split()[1] for line in said}


class Listening(pl.LightningModule):
    """Trains one number, and writes down what it gets. It kills all processes of the run at step `dies`: before the step is done
    (`early`) or after it."""

    def __init__(self, log: Path, dies: int, early: bool) -> None:
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(()))
        self.log_file, self.dies, self.early = log, dies, early

    def training_step(self, batch: PictureBatch, _: int) -> torch.Tensor:
        with self.log_file.with_name(f"{self.log_file.name}.{self.global_rank}").open("a") as file:
            file.write("".join(f"{line}\n" for line in lines(batch)))
        if self.early:
            self._die(self.global_step)
        return self.number * batch.images.float().mean()

    def on_train_batch_end(self, *_: Any) -> None:
        if not self.early:
            self._die(self.global_step - 1)

    def _die(self, step: int) -> None:
        if step == self.dies and self.trainer.is_global_zero:
            os.killpg(0, signal.SIGKILL)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-6)


def start(root: Path, place: Path, attempt: int, ranks: int, workers: int, dies: int, early: bool) -> int:
    """Train in `place`, from its last checkpoint on, in a fork of this process. Returns the exit code, -9 if it was killed."""
    if process := os.fork():
        _, status = os.waitpid(process, 0)
        return os.waitstatus_to_exitcode(status)
    code = 1
    try:
        os.setsid()
        signal.alarm(LONGEST)
        known = sorted(place.glob("*.ckpt"), key=lambda path: int(path.stem))
        keep = ModelCheckpoint(place, "{step}", every_n_train_steps=EVERY, save_top_k=-1, auto_insert_metric_name=False)
        several: dict[str, Any] = {"devices": ranks, "strategy": "ddp_fork" if ranks > 1 else "auto"}
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = pl.Trainer(max_steps=STEPS, accelerator="cpu", callbacks=[keep], **quiet, **several)
        data = CaptionedImages(source(root), batch=BATCH, workers=workers, cache=root / "cache")
        trainer.fit(
            Listening(place / f"log-{attempt}", dies, early),
            data,
            ckpt_path=known[-1] if known else None,
            weights_only=True,
        )
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def faults(place: Path, right: dict[int, str]) -> list[str]:
    """What is not as it should be in the samples that the processes of a run got."""
    got = defaultdict[int, set[str]](set)
    for log in place.glob("log-*"):
        for line in log.read_text().splitlines():
            position, found = line.split()
            got[int(position)].add(found)
    bad = [f"position {p}: not the sample of this position" for p in sorted(got) if got[p] != {right[p]}]
    return bad + [f"position {p}: nobody got it" for p in right if p not in got]


def run(root: Path, number: int, first: int, count: int, right: dict[int, str]) -> tuple[int, list[str]]:
    """Run `number`, with kills from number `first` on, below `count`. Returns (the number of the next kill, what is wrong)."""
    place = root / f"run{number}"
    place.mkdir()
    kill = first
    for attempt in range(10 * STEPS):
        chance = random.Random(kill)
        ranks, workers = RANKS[(kill + number) % 3], chance.choice(WORKERS)
        step = max((int(path.stem) for path in place.glob("*.ckpt")), default=0)
        dies = step + chance.randrange(FURTHEST) if kill < count else STEPS
        code = start(root, place, attempt, ranks, workers, dies, chance.random() < 0.5)
        if code == 0:
            return kill, faults(place, right)
        if code != -signal.SIGKILL:
            return kill, [f"kill {kill}, {ranks} ranks, {workers} workers: exit code {code}"]
        kill += 1
    return kill, ["it does not end"]


def main(count: int, place: Path | None = None) -> int:
    """How many runs, with `count` kills in all, did not get the samples that they should. In a new folder of `place`."""
    root = Path(tempfile.mkdtemp(prefix="elastic-", dir=place))
    make_sets(root)
    right = expected(root)
    kills = number = bad = 0
    while kills < count:
        kills, wrong = run(root, number, kills, count, right)
        number, bad = number + 1, bad + bool(wrong)
        for line in wrong[:5]:
            print(f"run {number - 1}: {line}", flush=True)
        print(f"{kills} kills in {number} runs of {STEPS} steps: {bad} runs with other samples", flush=True)
    shutil.rmtree(root) if not bad else print(f"see {root}")
    return bad


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--place", type=Path, help="an existing folder, in which a new one is made")
    arguments = parser.parse_args()
    sys.exit(min(1, main(arguments.count, arguments.place)))
