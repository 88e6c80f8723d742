"""What is left out of a damaged shard is counted and named: nothing is lost in silence (law 7)."""

import errno
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_diff.config.errors import ConfigError
from lightning_diff.data.dataset import Pictures
from lightning_diff.data.decode import BadPicture
from lightning_diff.data.headers.index import header_index
from lightning_diff.data.incoming.tars import MOST_PICTURE, MOST_TEXT
from lightning_diff.data.index import Index, ShardReader, build_index
from lightning_diff.data.sample import Sample
from lightning_diff.data.shards import write_shards
from lightning_diff.data.sources.shards import Shards
from lightning_diff.data.survey import Reading

Members = list[tuple[str, bytes]]
Log = pytest.LogCaptureFixture


def picture(i: int, side: int = 8, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (i * 37 % 256, i * 11 % 256, 90)).save(out, form)
    return out.getvalue()


def tar(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w") as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return path


def index_of(path: Path) -> Index:
    return build_index([path], path.parent / "cache")


def captions(index: Index) -> list[str]:
    return [ShardReader(index).read(i)[1] for i in range(len(index))]


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Samples k0, k1, k2, whole, each of a json, a png and a txt member, in this order."""
    colours = ("black", "white", "red")
    some = (Sample(f"k{i}", Image.new("RGB", (8, 8), colours[i]), f"c{i}", {"n": i}) for i in range(3))
    write_shards(some, tmp_path, "train", 3)
    return tmp_path / "train-000000.tar"


def header(path: Path, name: str) -> tarfile.TarInfo:
    with tarfile.open(path) as t:
        return t.getmember(name)


@pytest.mark.parametrize("into", ["body", "header"])
@pytest.mark.parametrize("member", ["k1.json", "k1.png", "k1.txt"])
def test_a_truncated_shard_loses_its_tail_aloud(shard: Path, member: str, into: str) -> None:
    at = header(shard, member)
    shard.write_bytes(shard.read_bytes()[: at.offset_data + 1 if into == "body" else at.offset + 100])
    index = index_of(shard)
    assert index.keys.tolist() == ["k0"] and captions(index) == ["c0"]
    assert index.skipped >= 1 and index.left[0].source == str(shard)


@pytest.mark.parametrize("filling", [b"\xff", b"\0", b"x"])
@pytest.mark.parametrize(
    "member, left", [("k1.json", ["k0", "k1", "k2"]), ("k1.png", ["k0", "k2"]), ("k2.txt", ["k0", "k1"])]
)
def test_a_bad_header_in_mid_shard_costs_its_member_alone(
    shard: Path, member: str, left: list[str], filling: bytes
) -> None:
    """What follows is found again at the next valid header."""
    data = bytearray(shard.read_bytes())
    at = header(shard, member).offset
    data[at : at + 512] = filling * 512
    shard.write_bytes(data)
    index = index_of(shard)
    assert index.keys.tolist() == left
    assert "damaged shard" in {one.reason for one in index.left}


def test_a_whole_shard_is_silent(shard: Path, tmp_path: Path) -> None:
    """Whatever the padding at its end: tar pads to 10 KiB, or to more, or to nothing but the two empty blocks."""
    data = shard.read_bytes().rstrip(b"\0")
    data += bytes(-len(data) % 512)
    for padding in (1024, 10240, 100_000 // 512 * 512):
        path = tmp_path / f"{padding}.tar"
        path.write_bytes(data + bytes(padding))
        assert (len(index_of(path)), index_of(path).left) == (3, [])


def test_a_sample_without_caption_or_picture_is_counted_and_named(tmp_path: Path) -> None:
    members = [("a.png", picture(0)), ("a.txt", b"whole"), ("b.png", picture(1)), ("c.txt", b"no picture")]
    index = index_of(tar(tmp_path / "x.tar", members))
    assert (index.keys.tolist(), index.skipped) == (["a"], 2)
    assert {one.member: one.reason for one in index.left} == {"b.png": "no caption", "c.txt": "no picture"}


def test_img2dataset_shards(tmp_path: Path) -> None:
    """KEY.jpg and KEY.json with "caption"; a KEY.txt comes before it; folders belong to the key."""
    record = json.dumps({"caption": "ein Fuß", "url": "http://x/y.jpg", "labels": None}).encode()
    members = [("00/0.jpg", picture(0, form="JPEG")), ("00/0.json", record), ("01/0.jpg", picture(1, form="JPEG"))]
    members += [("01/0.json", record), ("01/0.txt", b"from txt\n"), ("01/0.cls", b"7")]
    index = index_of(tar(tmp_path / "x.tar", members))
    assert index.keys.tolist() == ["00/0", "01/0"] and index.skipped == 0
    assert captions(index) == ["ein Fuß", "from txt"]
    assert Pictures(index, 8, ("n",)).range(0, 2).labels["n"].tolist() == [-1, -1]


@pytest.mark.parametrize(
    "record", [b'{"caption": null}', b"{}", b'{"caption": "  "}', b'{"capt', b"[1]", b"\xff\xfe{}"]
)
def test_a_record_without_a_caption_is_left_out_not_invented(tmp_path: Path, record: bytes) -> None:
    members = [("a.jpg", picture(0, form="JPEG")), ("a.json", record), ("b.png", picture(1)), ("b.txt", b"whole")]
    index = index_of(tar(tmp_path / "x.tar", members))
    assert captions(index) == ["whole"] and index.skipped == 1


@pytest.mark.parametrize("record", [b'{"capt', b"[1]", b"\xff\xfe{}", b'{"labels": {"n": null}}', b'{"labels": [1]}'])
def test_a_damaged_record_beside_a_caption_stops_nothing(tmp_path: Path, record: bytes) -> None:
    index = index_of(tar(tmp_path / "x.tar", [("a.png", picture(0)), ("a.json", record), ("a.txt", b"whole")]))
    batch = Pictures(index, 8, ("n",)).range(0, 1)
    assert batch.captions == ["whole"] and batch.labels["n"].tolist() == [-1]


def test_two_samples_of_one_name_are_noticed(tmp_path: Path) -> None:
    members = [("a.png", picture(0)), ("a.txt", b"one"), ("a.png", picture(1)), ("a.txt", b"two")]
    index = index_of(tar(tmp_path / "x.tar", members))
    assert captions(index) == ["one"]
    assert [(one.member, one.reason) for one in index.left] == [
        (name, "second of its name") for name in ("a.png", "a.txt")
    ]


def test_pictures_that_turn_bad_are_replaced_by_others_from_the_whole_set(tmp_path: Path, caplog: Log) -> None:
    """Not by their neighbours: a good picture behind 200 bad ones would be seen 201 times an epoch."""
    bad, count = 30, 60
    pictures = [picture(i) if i >= bad else b"<html>" for i in range(count)]
    members = [
        m for i, data in enumerate(pictures) for m in ((f"{i:03d}.png", data), (f"{i:03d}.txt", str(i).encode()))
    ]
    index = index_of(tar(tmp_path / "x.tar", members))
    batch = Pictures(index, 8).range(0, count)
    assert batch.captions[bad:] == [str(i) for i in range(bad, count)] and batch.positions.tolist() == list(
        range(count)
    )
    instead = [int(caption) for caption in batch.captions[:bad]]
    assert min(instead) >= bad and len(set(instead)) > 10 and max(map(instead.count, instead)) < 6
    assert batch.captions == Pictures(index, 8).range(0, count).captions
    assert "000 cannot be read any more" in caplog.text
    with pytest.raises(BadPicture, match="100 pictures in a row"):
        Pictures(index_of(tar(tmp_path / "y.tar", members[: 2 * bad])), 8).range(0, 1)


def test_pictures_that_cannot_be_decoded_are_left_out_when_the_shard_is_read(tmp_path: Path) -> None:
    members = [("a.png", picture(0)), ("a.txt", b"a"), ("b.png", b"<html>404</html>"), ("b.txt", b"b")]
    index = build_index([tar(tmp_path / "x.tar", members)], tmp_path / "cache", Reading(decode=True))
    assert index.keys.tolist() == ["a"] and [one.member for one in index.left] == ["b.png"] and index.skipped == 1
    assert index.facts.sizes.tolist() == [[8, 8]]


def test_several_captions_take_turns(tmp_path: Path) -> None:
    record = json.dumps({"caption": ["one", "two", "three"]}).encode()
    members = [("a.png", picture(0)), ("a.json", record), ("b.png", picture(1)), ("b.txt", b"alone")]
    some = Pictures(index_of(tar(tmp_path / "x.tar", members)), 8)
    seen = [some.__getitems__([(position, i, position // 2)]).captions[0] for position in range(6) for i in (0, 1)]
    assert seen == ["one", "alone", "one", "alone", "two", "alone", "two", "alone", "three", "alone", "three", "alone"]


def test_more_shards_than_a_process_may_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_diff.files.OPEN_FILES", 2)
    shards = [tar(tmp_path / f"{i}.tar", [("a.png", picture(i)), ("a.txt", str(i).encode())]) for i in range(5)]
    reader = ShardReader(build_index(shards, tmp_path / "cache"))
    assert [reader.read(i)[1] for i in (0, 1, 2, 3, 4, 0)] == ["0", "1", "2", "3", "4", "0"] and len(reader._files) == 2


@pytest.mark.parametrize("member", ["k1.png", "k1.txt"])
def test_a_sample_that_rots_after_it_was_read_is_named(shard: Path, member: str) -> None:
    """Rot leaves a file's times as they are, so that its survey still counts."""
    reader = ShardReader(index_of(shard))
    data, at = bytearray(shard.read_bytes()), header(shard, member).offset_data
    data[at + 1] ^= 1
    shard.write_bytes(data)
    assert reader.read(0)[1] == "c0"
    with pytest.raises(ConfigError, match=r"train-000000.tar: damaged: sample k1 has changed since it was read"):
        reader.read(1)


@pytest.mark.parametrize("rot", [b" ", b"\0"])
def test_a_caption_that_rots_to_nothing_is_named_in_one_line(shard: Path, rot: bytes) -> None:
    reader = ShardReader(index_of(shard))
    data, found = bytearray(shard.read_bytes()), header(shard, "k1.txt")
    data[found.offset_data : found.offset_data + found.size] = rot * found.size
    shard.write_bytes(data)
    for read in (reader.read, reader.captions):
        with pytest.raises(ConfigError, match=r"damaged: sample k1 has changed since it was read"):
            read(1)


def test_what_is_computed_from_a_picture_alone_is_not_of_another_picture(shard: Path) -> None:
    reader = ShardReader(index_of(shard))
    data, found = bytearray(shard.read_bytes()), [header(shard, f"k{i}.png") for i in (0, 1)]
    whole = reader.picture(0)
    data[found[1].offset_data : found[1].offset_data + len(whole)] = whole
    shard.write_bytes(data)
    assert reader.picture(0) == whole
    with pytest.raises(ConfigError, match=r"damaged: sample k1 has changed since it was read"):
        reader.picture(1)


@pytest.mark.parametrize("check", ["pictures", "headers"])
def test_an_error_that_may_pass_ends_the_reading_and_is_not_kept(
    tmp_path: Path, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"{number}").mkdir()
        write_shards(
            [Sample(f"{number}{i}", Image.new("RGB", (8, 8)), "a") for i in range(2)],
            tmp_path / f"{number}",
            "train",
            3,
        )
    source = Shards(source=f"{tmp_path}/*/*.tar", test="none", check=check, features="online")
    opened = Path.open

    def stale(path: Path, *given: Any, **named: Any) -> Any:
        if path.parent.name == "1":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return opened(path, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", stale)
        with pytest.raises(OSError, match="Stale"):
            source.prepare(tmp_path / "cache")
    assert len(source.prepare(tmp_path / "cache").splits["train"]) == 6


@pytest.mark.parametrize("how", ["garbage", "another"])
def test_a_survey_that_is_not_of_this_shard_is_made_again(shard: Path, how: str, caplog: Log) -> None:
    before = index_of(shard)
    (shard.parent / "b").mkdir()
    write_shards([Sample("other", Image.new("RGB", (8, 8)), "other")], shard.parent / "b", "train", 3)
    build_index([shard.parent / "b" / "train-000000.tar"], shard.parent / "cache")
    for name in ("surveys/*/*.npz", "set-*.npz", "surveys/set-*.npz"):
        files = sorted((shard.parent / "cache").glob(name))
        texts = [file.read_bytes() for file in files]
        for file, text in zip(files, texts[1:] + texts[:1], strict=True):
            file.write_bytes(text if how == "another" else text[:40] + b"garbage" + text[47:])
    assert captions(index_of(shard)) == captions(before) and "it is made again" in caplog.text


def test_a_long_name_takes_the_memory_of_its_letters_alone(tmp_path: Path) -> None:
    names = [f"{i}" for i in range(50)] + ["é/" * 100_000 + "x"]
    path = tar(tmp_path / "0.tar", [m for n in names for m in ((f"{n}.png", picture(1)), (f"{n}.txt", n[:9].encode()))])
    for _ in range(2):  # made, and from the cache
        index = index_of(path)
        assert index.keys.tolist() == names and index.select(np.array([50, 3])).keys.tolist() == [names[50], "3"]
        assert index.facts.places[3] == f"{path}/3.png"
    stored = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*.npz"))
    assert stored < 2 * 2 * 3 * 100_000 + 100_000  # two files, of keys and of places


@pytest.mark.parametrize("headers", [False, True])
def test_a_member_that_does_not_fit_into_the_memory_is_named_and_not_read(tmp_path: Path, headers: bool) -> None:
    path, large = tmp_path / "0.tar", {"b.png": MOST_PICTURE, "c.txt": MOST_TEXT, "d.json": MOST_TEXT}
    with path.open("wb") as file:
        for name in [f"{key}.{ending}" for key in "abcd" for ending in ("png", "json" if key == "d" else "txt")]:
            info = tarfile.TarInfo(name)
            data = picture(1) if name.endswith("png") else b"[]" if name == "d.json" else b"a caption"
            info.size = large[name] + 1 if name in large else len(data)
            file.write(info.tobuf(tarfile.USTAR_FORMAT) + data)
            file.seek(info.size - len(data) + -info.size % 512, os.SEEK_CUR)  # a hole
        file.truncate(file.tell() + 1024)
    index = header_index([path], tmp_path, Reading(decode=True)) if headers else index_of(path)
    assert [index.name(i) for i in range(len(index))] == ["a"]
    assert [(one.member, one.reason) for one in index.left] == [(f"{key}.png", "large file") for key in "bcd"]
