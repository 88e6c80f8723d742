"""Sources: what one says of its pictures names its cache, and a source of one's own needs its samples alone."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lightning_diff.config import registry
from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.registry import choice
from lightning_diff.data.dataset import pictures
from lightning_diff.data.sample import Sample
from lightning_diff.data.sources.base import SampleSource, Source
from lightning_diff.data.sources.digits import Digits
from lightning_diff.data.sources.folder import Folder
from lightning_diff.data.sources.still_life import StillLife


@pytest.mark.parametrize(
    "source, identity, folder",
    [
        (StillLife(), "still_life-v1-64px", "still_life-3a5daf9ec723"),
        (StillLife(seed=1001, hold_out=False), "still_life-v1-64px", "still_life-3d1e5ff06991"),
        (Digits(image_size=32, train=9, test=8, shard_size=4), "digits-v2-32px", "digits-2d81181aaca9"),
    ],
)
def test_caches_that_are_there_are_found_again(
    source: SampleSource, identity: str, folder: str, tmp_path: Path
) -> None:
    """The names under which weights and shards were kept when these numbers were written down."""
    assert source.identity(tmp_path) == identity
    kept = tmp_path / "data" / folder
    kept.mkdir(parents=True)
    (kept / "recipe.json").write_text('{"sums": {}}')
    found = source.prepared(tmp_path)
    assert found is not None and found.splits == {}


def test_a_folders_cache_is_named_by_what_is_in_it(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a red square")
    size = (tmp_path / "a.png").stat().st_size
    kept = Folder(source=str(tmp_path), image_size=16).prepare(tmp_path / "cache").splits["train"].shards[0].parent
    (tmp_path / "a.txt").write_text("a square, red")
    other = Folder(source=str(tmp_path), image_size=16).prepare(tmp_path / "cache").splits["train"].shards[0].parent
    assert (tmp_path / "a.png").stat().st_size == size and kept != other


def test_a_judges_pictures_are_others_of_the_same_kind() -> None:
    others = StillLife(seed=5, train=9).others(1001, hold_out=False)
    assert others == StillLife(seed=1006, train=9, hold_out=False) and others.fingerprint() == StillLife().fingerprint()
    given = Folder(source=".")
    assert given.others(1001, hold_out=False) is given


@pytest.fixture
def stripes() -> Iterator[type[Source]]:
    """A user's own source, as a plugin would register it."""

    @choice("data", "stripes")
    class Stripes(SampleSource):
        colour: str = "red"
        names: str = "a"

        def count(self, split: str) -> int:
            return 3 if split == "train" else 1

        def samples(self, split: str) -> Iterator[Sample]:
            for i in range(self.count(split)):
                picture = Image.new("RGBA", (40, 30 + i), self.colour)
                yield Sample(f"{split}-{self.names}{i}", picture, f"{i} {self.colour} stripes")

    yield Stripes
    del registry.choices("data")["stripes"]


def test_a_source_of_ones_own_needs_its_samples_alone(stripes: type[Source], tmp_path: Path) -> None:
    config = compose_config(["data=stripes", "data.colour=blue", "data.image_size=16", "data.shard_size=2"])
    train = pictures(config.data, tmp_path, "train", ("count",))
    assert train is not None and len(train.index.shards) == 2
    batch = train.range(0, 9)
    assert batch.captions == [f"{i} blue stripes" for i in range(3)] and batch.labels["count"].tolist() == [-1] * 3
    assert batch.images.shape == (3, 3, 16, 16) and batch.images[:, :, 8, 8].tolist() == [[0, 0, 255]] * 3
    again = pictures(config.data, tmp_path, "train")
    assert again is not None and again.index.shards == train.index.shards
    red = stripes(colour="red", image_size=16)  # type: ignore[call-arg]
    assert red.identity(tmp_path) != config.data.identity(tmp_path) and red.prepared(tmp_path) is None
    with pytest.raises(ConfigError, match=r"^data\.colour: no such key; data=stripes has it"):
        compose_config(["data.colour=blue"])
    with pytest.raises(ConfigError, match=r"^task=attributes with data=stripes: only data=digits or still_life"):
        compose_config(["task=attributes", "data=stripes"])


def test_a_key_that_would_lose_its_sample_is_refused(stripes: type[Source], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^sample train-v1\.0: "):
        stripes(names="v1.", image_size=16).prepare(tmp_path)  # type: ignore[call-arg]
    assert stripes(names="v1.", image_size=16).prepared(tmp_path) is None  # type: ignore[call-arg]


WORLD = StillLife(image_size=16, train=9, test=5, shard_size=4)


@pytest.mark.parametrize("damage", ["bit", "cut", "train gone", "test gone", "recipe"])
def test_a_made_world_that_is_damaged_is_made_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = WORLD.prepare(tmp_path).splits["train"].shards[0].parent
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shard = folder / {"test gone": "test-000000.tar", "recipe": "recipe.json"}.get(damage, "train-000001.tar")
    if "gone" in damage:
        shard.unlink()
    else:
        data, at = shard.read_bytes(), len(before[shard.name]) // 2
        shard.write_bytes(data[:at] if damage == "cut" else data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        os.utime(shard, ns=(0, 0))
    found = WORLD.prepare(tmp_path)
    assert len(found.splits["train"]) == 9 and len(found.splits["test"]) == 5
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    if damage != "recipe":  # a bit of a blank changes nothing
        assert "it is made again" in caplog.text
    assert {n: data for n, data in after.items() if n.endswith(".tar")} == {
        n: data for n, data in before.items() if n.endswith(".tar")
    }


def test_an_older_world_without_sums_lacks_no_split(tmp_path: Path) -> None:
    folder = WORLD.prepare(tmp_path).splits["train"].shards[0].parent
    (folder / "recipe.json").write_text("{}")
    assert WORLD.prepared(tmp_path) is not None
    for path in folder.glob("test-*.tar"):
        path.unlink()
    assert WORLD.prepared(tmp_path) is None and "test" in WORLD.prepare(tmp_path).splits


def test_an_older_world_with_sums_of_another_kind_is_used_and_checked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its shards have CRC-32."""
    folder = WORLD.prepare(tmp_path).splits["train"].shards[0].parent
    recipe = json.loads((folder / "recipe.json").read_text())
    assert all(len(found) == 16 for found in recipe["sums"].values())
    older = {name: f"{zlib.crc32((folder / name).read_bytes()):08x}" for name in recipe["sums"]}
    (folder / "recipe.json").write_text(json.dumps({**recipe, "sums": older}))
    WORLD.prepare(tmp_path)
    assert not caplog.messages and json.loads((folder / "recipe.json").read_text())["sums"] == older
    shard = folder / "train-000001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    WORLD.prepare(tmp_path)
    assert "damaged (train-000001.tar)" in caplog.text and shard.read_bytes() == whole


def test_shards_of_a_folder_that_are_damaged_are_made_again(tmp_path: Path, pictures_folder: Path) -> None:
    source, cache = Folder(source=str(pictures_folder), image_size=16, shard_size=10, test="none"), tmp_path / "cache"
    folder = source.prepare(cache).splits["train"].shards[0].parent
    before = {path.name: path.read_bytes() for path in folder.glob("*.tar")}
    (folder / "pictures-000000.tar").write_bytes(before["pictures-000000.tar"][:-600])
    (folder / "pictures-000001.tar").unlink()
    (folder / "pictures-000002.json").write_text("{")
    assert len(source.prepare(cache).splits["train"]) == 24
    assert {path.name: path.read_bytes() for path in folder.glob("*.tar")} == before
