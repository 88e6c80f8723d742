"""Small pictures and small runs, shared by the tests. Nothing here needs the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from lightning_diff.config.paths import PACKAGE_FOLDER

# As small as a run can be that still goes through every room.
SHORT = [
    "data.train=96",
    "data.test=64",
    "training.steps=3",
    "training.batch=8",
    "training.checkpoint_every=2",
    "training.log_every=1",
    "tracking=disabled",
    "net=tiny",
    "part_steps=0.0001",
    "sampler.steps=2",
    "guidance.scales=[1,3]",
    "evaluation.samples=8",
    "evaluation.grid=4",
]
PARTS = ("autoencoder", "contrastive", "judge", "attributes")


def short(experiment: str, *more: str) -> list[str]:
    """The words of an experiment, shortened by those of SHORT that it has a use for."""
    apart = ("net", "part_steps", "sampler", "guidance", "evaluation") if experiment in PARTS else ()
    if experiment == "aligndraw":
        apart = ("net", "sampler", "guidance")
    if experiment in ("folder", "stamps"):
        apart = ("data.",)
    return [f"experiment={experiment}", *(w for w in SHORT if not w.startswith(apart)), *more]


def train_apart(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """`train.py WORDS` in a process of its own, on one thread; `more` is subprocess.run's."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more.pop("env", {})}
    command = [sys.executable, "train.py", *words]
    return subprocess.run(command, cwd=PACKAGE_FOLDER, capture_output=True, text=True, env=environment, **more)


def draw_pictures(folder: Path) -> Path:
    """24 captioned pictures of discs and squares, as a user might have them."""
    folder.mkdir()
    for i in range(24):
        picture = Image.new("RGB", (80, 72), "white")
        shape, colour = ("disc", "square")[i % 2], ("red", "green", "blue")[i % 3]
        box = (20 + i % 5, 15, 55, 50 + i % 7)
        draw = ImageDraw.Draw(picture)
        (draw.ellipse if shape == "disc" else draw.rectangle)(box, fill=colour)
        picture.save(folder / f"{i:02d}.png")
        (folder / f"{i:02d}.txt").write_text(f"a {colour} {shape}")
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """For this process and those that it starts: one thread each, since several share the cores, and so that all of them
    round alike; no GPU, except for tests/gpu; and the bytecode of what is imported is kept, else each start compiles all of
    torch again."""
    if Path("/dev/nvidiactl").exists() and not any("gpu" in word for word in config.args):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_report_header() -> str:
    """Which kind of core this is: how a sum is rounded, and whether bf16 is taken, depends on it."""
    import torch

    from lightning_diff.devices import bf16_pays

    kind = torch.backends.cpu.get_cpu_capability()
    bf16 = "bf16 by the hardware" if bf16_pays("cpu") else "no bf16"
    return f"cores: {len(os.sched_getaffinity(0))} of {kind}, {bf16}; torch {torch.__version__}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first, so that at the end no worker waits long for another one."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards and features of the short runs, made once by whoever needs them first: one folder for all workers."""
    own = tmp_path_factory.getbasetemp()
    place = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture
def common_cache(tmp_path: Path, cache: Path) -> None:
    """The test's folder `cache` is the one of all."""
    (tmp_path / "cache").symlink_to(cache)


@pytest.fixture(autouse=True)
def train_is_the_command_at_hand() -> None:
    """A process runs one command, and hints are made for it; tests run many."""
    from lightning_diff.config.texts.suggest import AT_HAND

    AT_HAND.use("train.py", ())


@pytest.fixture
def pictures_folder(tmp_path: Path) -> Path:
    return draw_pictures(tmp_path / "pictures")
