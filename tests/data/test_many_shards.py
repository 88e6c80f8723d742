"""Sets of many shards: few open files, and a shard is read through once, wherever its folder lies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_diff.data import survey
from lightning_diff.data.sources.shards import Shards
from tests.cases.eye import encoded, tar

MANY = """
import itertools, os, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from lightning_diff.data.dataset import collate, pictures
from lightning_diff.data.order import Batches
from lightning_diff.data.sources.shards import Shards
from torch.utils.data import DataLoader
root = Path(sys.argv[1])
known = {"order": sys.argv[2], "check": sys.argv[4], "features": "online"}
source = Shards(image_size=16, source=str(root / "set"), test="none", **known)
train = pictures(source, root / "cache", "train")
loader = DataLoader(train, batch_sampler=Batches(train.order(50, 0), 44), num_workers=int(sys.argv[3]), collate_fn=collate)
captions = {caption for batch in loader for caption in batch.captions}
readers = [pictures(source, root / "cache", "train").reader for _ in range(9)]
for i, reader in itertools.product(range(0, 1100, 10), readers):
    captions.add(reader.read(i)[1])
del readers, reader
assert len(os.listdir("/proc/self/fd")) < 100
print(len(captions))
"""


def test_1100_shards_are_read_with_256_open_files(tmp_path: Path) -> None:
    for n in range(1100):
        tar(
            tmp_path / "set" / f"{n:04d}.tar",
            [("a.png", encoded((n % 256, n // 256, 0), "PNG")), ("a.txt", f"number {n}")],
        )
    for order, workers, check in (("full", "0", "pictures"), ("blocks", "2", "pictures"), ("full", "2", "headers")):
        words = [sys.executable, "-c", MANY, str(tmp_path), order, workers, check]
        found = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert found.returncode == 0, found.stderr[-2000:]
        assert int(found.stdout.split()[-1]) == 1100


def test_a_set_that_is_moved_is_not_read_again_and_an_added_shard_alone_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: Path, *rest: object) -> survey.Survey:
        read.append(path.name)
        return original(path, *rest)  # type: ignore[arg-type]

    original = survey.survey_shard
    monkeypatch.setattr(survey, "survey_shard", counted)
    for split in ("train", "test"):
        tar(tmp_path / "here" / f"{split}-0.tar", [("a.png", encoded()), ("a.txt", split), ("b.txt", "alone")])

    def looked(place: Path) -> tuple[list[str], set[str]]:
        read.clear()
        found = Shards(image_size=16, source=str(place)).prepare(tmp_path / "cache")
        assert {split: len(index) for split, index in found.splits.items()} == {
            "train": len(found.splits["train"]),
            "test": 1,
        }
        places = [place for index in found.splits.values() for place in index.facts.places.tolist()]
        return sorted(read), {*places, *(one.source for one in found.left)}

    def below(root: Path, names: set[str]) -> bool:
        return all(name.startswith(f"{root}/") for name in names)

    first, names = looked(tmp_path / "here")
    assert first == ["test-0.tar", "train-0.tar"] and below(tmp_path / "here", names)
    shutil.move(tmp_path / "here", tmp_path / "there")
    again, names = looked(tmp_path / "there")
    assert again == [] and below(tmp_path / "there", names)
    tar(tmp_path / "there" / "train-1.tar", [("c.png", encoded((1, 2, 3))), ("c.txt", "new")])
    assert looked(tmp_path / "there")[0] == ["train-1.tar"]
