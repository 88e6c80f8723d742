"""Shards: what is written is what is read, and nothing but local shards is ever opened (law 8)."""

import os
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from lightning_diff.config.errors import ConfigError
from lightning_diff.data import decode
from lightning_diff.data.incoming.walk import find_shards
from lightning_diff.data.index import ShardReader, build_index
from lightning_diff.data.sample import Sample
from lightning_diff.data.shards import write_shards
from lightning_diff.data.sources.shards import Shards
from lightning_diff.data.sources.still_life import StillLife


def made(count: int) -> list[Sample]:
    return [Sample(f"é{i}", Image.new("RGB", (5, 7), (i, 2, 3)), f"a “{i}” 猫", {"n": i}) for i in range(count)]


def test_round_trip(tmp_path: Path) -> None:
    samples = made(7)
    assert write_shards(iter(samples), tmp_path, "train", 3) == 7
    paths = sorted(tmp_path.glob("*.tar"))
    assert [p.name for p in paths] == [f"train-{i:06d}.tar" for i in range(3)]
    for _ in range(2):  # made, then from the cache
        index = build_index(paths, tmp_path)
        assert (len(index), index.skipped, index.keys.tolist()) == (7, 0, [s.key for s in samples])
        reader = ShardReader(index)
        for i in (6, 0, 3):
            data, caption, record = reader.read(i)
            assert decode.open_picture(data).tobytes() == samples[i].picture.tobytes()
            assert (caption, record["labels"], record["key"]) == (samples[i].caption, {"n": i}, samples[i].key)
    assert len(list((tmp_path / "surveys").rglob("*.npz"))) == 3 + 1


def test_the_same_samples_are_the_same_bytes(tmp_path: Path) -> None:
    for split in ("a", "b"):
        write_shards(made(3), tmp_path, split, 3)
    assert (tmp_path / "a-000000.tar").read_bytes() == (tmp_path / "b-000000.tar").read_bytes()


def test_any_reader_of_tar_can_read_them(tmp_path: Path) -> None:
    write_shards(made(2), tmp_path, "train", 3)
    with tarfile.open(tmp_path / "train-000000.tar") as t:
        assert sorted(t.getnames()) == sorted(f"é{i}.{suffix}" for i in (0, 1) for suffix in ("png", "txt", "json"))
        text = t.extractfile("é1.txt")
        assert text is not None and text.read().decode() == "a “1” 猫"


def test_a_changed_shard_is_indexed_again(tmp_path: Path) -> None:
    path = tmp_path / "train-000000.tar"
    for count in (3, 2):
        write_shards(made(count), tmp_path, "train", 3)
        assert len(build_index([path], tmp_path)) == count


@pytest.mark.parametrize("data", [b"", b"not a tar at all" * 99, b"\0" * 10240])
def test_a_shard_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(ConfigError, match="no usable sample"):
        build_index([tmp_path / "x.tar"], tmp_path)


def test_find_shards(tmp_path: Path) -> None:
    paths = [tmp_path / f"part-{i:03d}.tar" for i in range(12)]
    for p in paths:
        p.touch()
    assert find_shards(str(tmp_path)) == (paths, [])
    assert find_shards(str(tmp_path / "part-{000..011}.tar"))[0] == paths
    assert find_shards(str(tmp_path / "part-{003,005}.tar"))[0] == [paths[3], paths[5]]
    assert find_shards(str(paths[4]))[0] == [paths[4]]


@pytest.mark.parametrize("name", ["part-{000..001}.tar", "", "none", "part-{000..0", "{a,b"])
def test_what_is_not_there_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"^data\.source=") as e:
        find_shards(f"{tmp_path}/{name}")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "source", ["pipe:touch {0}", " pipe:touch {0}", "a.tar::pipe:touch {0}", "{{a,pipe:touch {0}}}", "https://x/y.tar"]
)
def test_nothing_is_executed_and_nothing_fetched(tmp_path: Path, source: str) -> None:
    source = source.format(tmp_path / "executed")
    for use in (find_shards, lambda s: Shards(source=s).identity(tmp_path)):
        with pytest.raises(ConfigError):
            use(source)
    with pytest.raises(ConfigError):
        Shards(source=source).prepare(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_prepare_makes_a_set_once_and_keeps_test_apart(tmp_path: Path) -> None:
    calls: list[str] = []
    data = StillLife(image_size=16, train=5, test=3, shard_size=2)
    first = data.prepare(tmp_path, lambda split, i, n: calls.append(f"{split} {n}"))
    assert {split: len(index) for split, index in first.splits.items()} == {"train": 5, "test": 3}
    assert calls == ["train 5", "test 3"]
    again = data.prepare(tmp_path, lambda split, i, n: calls.append("again"))
    assert again.splits["test"].keys.tolist() == first.splits["test"].keys.tolist() and len(calls) == 2
    given = Shards(source=str(first.splits["train"].shards[0].parent), image_size=16).prepare(tmp_path)
    assert {s: i.keys.tolist() for s, i in given.splits.items()} == {
        s: i.keys.tolist() for s, i in first.splits.items()
    }


def test_a_file_that_several_paths_name_is_read_once_and_a_pipe_is_not_opened(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.tar" for i in range(3)]
    for path in paths[:2]:
        path.touch()
    paths[2].symlink_to("0.tar")
    os.mkfifo(tmp_path / "pipe.tar")
    for pattern in ("", "/*.tar", "/{0.tar,*.tar}", "/{0,0,1,2,pipe}.tar"):
        found, left = find_shards(f"{tmp_path}{pattern}")
        assert found == paths[:2] and sorted(one.reason for one in left) == ["linked twice", "not a file"]
    with pytest.raises(ConfigError, match="1 entry is no file"):
        find_shards(f"{tmp_path}/pipe.tar")
