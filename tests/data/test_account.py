"""The account of a damaged set: each sample is delivered, or named once by reason; what is repaired is read without a loss."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from lightning_diff.config.errors import ConfigError
from lightning_diff.data.account.reasons import account, remarked
from lightning_diff.data.account.repair import repair
from lightning_diff.data.account.statistics import lines_of, statistics
from lightning_diff.data.account.summary import remarks_of
from lightning_diff.data.index import Index, ShardReader, build_index
from lightning_diff.data.sample import LeftOut, left_out, lost
from lightning_diff.data.survey import Reading

HOW = Reading(decode=True)


def png(i: int) -> bytes:
    made = io.BytesIO()
    Image.linear_gradient("L").rotate(9 * i).resize((12 + i, 10)).save(made, "PNG")
    return made.getvalue()


def tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as made:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return path


def samples(count: int) -> list[tuple[str, bytes]]:
    return [one for i in range(count) for one in ((f"k{i}.png", png(i)), (f"k{i}.txt", f"caption {i}".encode()))]


def destroy(path: Path, member: str) -> None:
    with tarfile.open(path) as made:
        place = made.getmember(member).offset
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 512)


def index_of(shards: list[Path], cache: Path) -> Index:
    return build_index(shards, cache, HOW)


@pytest.mark.parametrize("member", ["k2.png", "k2.txt"])
def test_a_sample_behind_a_bad_header_is_named_once(tmp_path: Path, member: str) -> None:
    path = tar(tmp_path / "a.tar", samples(5))
    destroy(path, member)
    index = index_of([path], tmp_path)
    other = {"k2.png": "k2.txt", "k2.txt": "k2.png"}[member]
    assert index.keys.tolist() == ["k0", "k1", "k3", "k4"] and lost(index.left) == 1
    assert [(one.reason, one.member) for one in index.left] == [("damaged shard", other)]


def test_a_sample_that_is_cut_off_is_named_once(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", samples(3))
    with tarfile.open(path) as made:
        place = made.getmember("k2.txt").offset_data
    os.truncate(path, place + 3)
    index = index_of([path], tmp_path)
    assert index.keys.tolist() == ["k0", "k1"] and lost(index.left) == 1


CAPTIONS = {
    b"a \x1b[31mred\x07 mug": ("a \ufffd[31mred\ufffd mug", "control characters in caption"),
    "a\x9bb".encode(): ("a\ufffdb", "control characters in caption"),
    b"caf\xe9 \xff": ("caf\ufffd \ufffd", "caption not UTF-8"),
    b"one\r\ntwo\tthree\0": ("one two\tthree", ""),
}


@pytest.mark.parametrize("text", CAPTIONS)
def test_captions_that_are_not_all_text_are_mended_and_named(tmp_path: Path, text: bytes) -> None:
    index = index_of([tar(tmp_path / "a.tar", [("k.png", png(0)), ("k.txt", text)])], tmp_path)
    assert (ShardReader(index).captions(0)[0], remarks_of(index.facts, 0)) == CAPTIONS[text]


def test_the_account_names_each_reason_with_its_number_places_and_remedy() -> None:
    left: list[LeftOut] = [left_out("/set/a.tar", f"k{i}.txt", "no picture", 512) for i in range(4)]
    left += [left_out("/set/b.tar", "", "damaged shard", 1024), left_out("/set", "*.json", "unknown ending", count=9)]
    assert account(95, left) == [
        "95 samples can be used, 5 cannot (5.00%)",
        "       4  no picture: a.tar/k0.txt, a.tar/k1.txt, a.tar/k2.txt, ...: put KEY.jpg beside KEY.txt, or remove the caption",
        "       1  damaged shard: b.tar (byte 1024): make this shard again",
        "       9  unknown ending (costs no sample): set/*.json: rename it if it is a picture or a caption",
    ]


def test_repaired_shards_hold_all_that_can_be_used_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    bad = tar(tmp_path / "set" / "0.tar", [*samples(4), ("x.png", b"broken"), ("x.txt", b"x"), ("y.txt", b"alone")])
    destroy(bad, "k1.png")
    odd = tar(tmp_path / "set" / "1.tar", [("m.png", png(7)), ("m.txt", b"a\x1bb"), ("m.json", b'{"similarity": 0.5}')])
    good = tar(tmp_path / "set" / "2.tar", [("n.png", png(8)), ("n.json", b'{"caption": ["p", "q"], "width": 20}')])
    index = index_of([bad, odd, good], tmp_path)
    assert remarked([index]) == ["       1  used, but control characters in caption: 1.tar/m.png"]
    assert repair(index, index.left, tmp_path / "mended") == (2, 1)
    shards = sorted((tmp_path / "mended").glob("*.tar"))
    assert [shard.name for shard in shards] == ["0.tar", "1.tar", "2.tar"] and shards[2].is_symlink()
    mended = index_of(shards, tmp_path)
    assert mended.left == [] and mended.facts.remarks.tolist() == [0] * 5
    assert mended.keys.tolist() == index.keys.tolist() == ["k0", "k2", "k3", "m", "n"]
    assert mended.fingerprint() == index.fingerprint()
    assert ShardReader(mended).record(3)["similarity"] == 0.5 and ShardReader(mended).captions(4) == ["p", "q"]


def test_a_folder_holds_the_repair_of_shards_in_one_state(tmp_path: Path) -> None:
    bad = tar(tmp_path / "0.tar", [*samples(2), ("x.png", b"broken"), ("x.txt", b"x")])
    for _ in range(2):  # the second one finds all done
        index = index_of([bad], tmp_path / "cache")
        assert repair(index, index.left, tmp_path / "mended") == (1, 0)
    tar(bad, [*samples(4), ("x.png", b"broken"), ("x.txt", b"x")])
    changed = index_of([bad], tmp_path / "cache")
    with pytest.raises(ConfigError, match="before they changed"):
        repair(changed, changed.left, tmp_path / "mended")


def test_names_that_are_no_text_are_mended_without_a_loss(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", [("kX-2.png", png(9)), ("kX-2.txt", b"known"), *samples(3), ("y.txt", b"alone")])
    names = {b"k0": b"k\xe8", b"k1": b"k\xe9", b"k2": b"k\xea", b"kX-2": b"k\xe8-2"}
    for old, new in names.items():
        for ending in (b".png", b".txt"):
            _renamed(path, old + ending, new + ending)
    odd = path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.tar"))
    index = index_of([odd], tmp_path / "cache")
    assert repair(index, index.left, tmp_path / "mended") == (1, 0)
    mended = index_of([tmp_path / "mended" / odd.name], tmp_path / "cache")
    assert mended.keys.tolist() == ["k\ufffd-2", "k\ufffd", "k\ufffd-3", "k\ufffd-4"]
    assert mended.fingerprint() == index.fingerprint() and mended.left == []


def _renamed(path: Path, old: bytes, new: bytes) -> None:
    """Give a member a name in bytes."""
    data = bytearray(path.read_bytes())
    place = next(at for at in range(0, len(data), 512) if data[at : at + 100].rstrip(b"\0") == old)
    data[place : place + 100] = new.ljust(100, b"\0")
    data[place + 148 : place + 156] = b" " * 8
    data[place + 148 : place + 156] = b"%06o\0 " % sum(data[place : place + 512])
    path.write_bytes(data)


def test_the_numbers_of_a_set(tmp_path: Path) -> None:
    members = [("a.png", png(0)), ("a.txt", b"one two"), ("b.png", png(0)), ("b.txt", b"three")]
    index = index_of([tar(tmp_path / "a.tar", [*members, ("c.png", png(9)), ("c.txt", b"three")])], tmp_path)
    found = statistics([index])
    assert (found["samples"], found["equal_pictures"], found["equal_captions"]) == (3, 1, 1)
    assert found["width"] == [12, 12, 12, 21, 21] and found["words"] == [1, 1, 1, 2, 2]
    assert lines_of(found)[-2:] == ["1 picture is the same as another one", "1 caption is the same as another one"]
