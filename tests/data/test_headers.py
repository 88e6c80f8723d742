"""An index of headers alone knows the same samples as one that reads a set through, in less time and memory."""

from __future__ import annotations

import errno
import io
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.data.dataset import Pictures
from lightning_diff.data.headers import index as headers
from lightning_diff.data.headers.index import HeaderIndex, header_index
from lightning_diff.data.headers.read import COLUMNS, WIDTHS, read_shard
from lightning_diff.data.headers.sizes import size_of
from lightning_diff.data.headers.walk import plain_members
from lightning_diff.data.index import Index, build_index
from lightning_diff.data.ordering.buckets import Framing, shapes_of
from lightning_diff.data.ordering.ordering import Ordering
from lightning_diff.data.sources.shards import Shards
from lightning_diff.data.survey import Reading
from tests.cases.eye import encoded, tar

READ = Reading(decode=True)


def members(first: int, count: int, form: str = "jpg") -> list[tuple[str, object]]:
    kind = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[form]
    return [
        member
        for i in range(first, first + count)
        for member in (
            (f"{i:05d}.{form}", encoded((i % 256, i * 7 % 256, 9), kind, (20 + i % 23, 40 - i % 19))),
            (f"{i:05d}.txt", f"picture {i}"),
            (f"{i:05d}.json", f'{{"caption": "no {i}"}}'),
        )
    ]


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "set" / f"{n}.tar" for n in range(6)]
    for n, path in enumerate(paths):
        tar(path, members(100 * n, 10 + n, ("jpg", "png", "webp")[n % 3]))
    return paths


def samples(index: Index) -> list[tuple[object, ...]]:
    reader = index.reader()
    return [(index.name(i), index.span(i), reader.picture(i), reader.captions(i)) for i in range(len(index))]


def left(index: Index) -> list[tuple[str, str, int]]:
    return sorted((one.member, one.reason, one.count) for one in index.left)


def both(shards: list[Path], cache: Path) -> tuple[HeaderIndex, Index]:
    return header_index(shards, cache, READ), build_index(shards, cache, READ)


def same(one: HeaderIndex, other: Index) -> None:
    assert samples(one) == samples(other)
    found = np.concatenate([part["sizes"] for part in one.parts()])
    assert found.tolist() == other.facts.sizes.tolist()


def test_it_knows_the_samples_places_sizes_and_captions_of_a_set_that_is_read_through(
    shards: list[Path], tmp_path: Path
) -> None:
    one, other = both(shards, tmp_path / "cache")
    same(one, other)
    assert one.left == other.left == []
    for path in shards:
        with path.open("rb") as raw:
            assert plain_members(raw.fileno(), path.stat().st_size) is not None, "the fast walk takes them"


def test_a_turned_picture_has_the_size_that_a_viewer_shows(tmp_path: Path) -> None:
    def turned(kind: str, by: int, **more: object) -> bytes:
        exif, out = Image.Exif(), io.BytesIO()
        exif[0x112] = by
        Image.new("RGB", (40, 20), "green").save(out, kind, exif=exif, **more)  # type: ignore[arg-type]
        return out.getvalue()

    said = PngImagePlugin.PngInfo()
    said.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="8"/>')
    xmp = io.BytesIO()
    Image.new("RGB", (40, 20)).save(xmp, "PNG", pnginfo=said)
    named = [(f"{by}{kind}.jpg", turned(kind, by)) for kind in ("JPEG", "PNG", "WEBP", "AVIF") for by in (1, 6)]
    named += [("profile.png", turned("PNG", 6, icc_profile=os.urandom(20_000))), ("xmp.png", xmp.getvalue())]
    shard = tar(tmp_path / "0.tar", [m for name, data in named for m in ((name, data), (f"{name}.txt", name))])
    one, other = both([shard], tmp_path / "cache")
    same(one, other)
    assert other.facts.sizes.tolist() == [[40, 20], [20, 40]] * 4 + [[20, 40]] * 2
    size = size_of(turned("PNG", 6).replace(b"eXIf", b"teXt")[:200])
    assert size == (40, 20)  # the first bytes are enough


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_shard_gives_the_same_samples_and_reasons(tmp_path: Path, seed: int) -> None:
    """But for a picture that is bad behind its header, which the training finds."""
    chance = random.Random(seed)
    path = tmp_path / "0.tar"
    some = members(0, 12, ("jpg", "png")[seed % 2])
    some[3 * chance.randrange(12) + 1] = ("lone.txt", "of no picture")
    some[3] = ("00001.jpg", b"<html>404</html>")
    some += [
        ("x/../up.jpg", encoded()),
        ("x/../up.txt", "up"),
        ("é.jpg", encoded()),
        ("é.txt", "é"),
        ("a.mask.png", encoded()),
    ]
    tar(path, some)
    with tarfile.open(path) as known:
        member = chance.choice(known.getmembers()[6:])
    if seed % 3 == 0:
        with path.open("r+b") as raw:
            raw.seek(member.offset)
            raw.write(chance.randbytes(512))
    elif seed % 3 == 1:
        os.truncate(path, member.offset + 100)
    one, other = both([path], tmp_path / "cache")
    same(one, other)
    assert left(one) == left(other) and left(one)


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_formats_of_tars_and_their_times(tmp_path: Path, kind: int) -> None:
    import io

    path, long = tmp_path / "0.tar", "n" * 120
    with tarfile.open(path, "w", format=kind) as out:
        for name, data in (
            *members(0, 4),
            (f"{long[:90]}/{long[:60]}.jpg", encoded()),
            (f"{long[:90]}/{long[:60]}.txt", "far"),
        ):
            info, content = tarfile.TarInfo(name), data.encode() if isinstance(data, str) else data
            info.size, info.mtime = len(content), 1.5 if kind == tarfile.PAX_FORMAT else 1
            out.addfile(info, io.BytesIO(content))
    one, other = both([path], tmp_path / "cache")
    same(one, other)
    assert len(one) == 5


def test_few_bytes_a_sample(tmp_path: Path) -> None:
    per_sample = sum(COLUMNS[name].itemsize * WIDTHS[name] for name in COLUMNS)
    found = read_shard(tar(tmp_path / "0.tar", members(0, 10)))
    assert sum(column.nbytes for column in found.columns.values()) == 10 * per_sample <= 10 * 48


@pytest.mark.parametrize("buckets", [1, 5])
def test_batches_in_blocks_are_those_of_a_set_that_is_read_through(
    shards: list[Path], tmp_path: Path, buckets: int
) -> None:
    framing = Framing(shapes_of(16, buckets)) if buckets > 1 else None
    some = [
        Pictures(index, 16, ordering=Ordering("blocks", 20), framing=framing)
        for index in both(shards, tmp_path / "cache")
    ]
    one, other = (pictures.order(4, 3) for pictures in some)
    for step in (*range(60), 1000):
        places = one.places(step)
        assert places == other.places(step)
        batches = [pictures.__getitems__(places) for pictures in some]
        assert batches[0].captions == batches[1].captions and bool((batches[0].images == batches[1].images).all())


def test_few_files_are_open(shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_diff.files.OPEN_FILES", 2)
    index = header_index(shards, tmp_path / "cache", READ)
    names = [index.name(i) for i in (*range(len(index)), 0)]
    assert names[0] == names[-1] == "00000" and len(index._open) == 2


def test_a_moved_set_is_not_read_again_and_an_added_shard_alone_is(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header_index(shards, tmp_path / "cache", READ)
    (tmp_path / "set").rename(tmp_path / "there")
    moved = [tmp_path / "there" / path.name for path in shards]
    new, read = tar(tmp_path / "there" / "9.tar", [*members(900, 3), ("b.txt", "alone")]), list[Path]()
    monkeypatch.setattr(headers, "read_shard", lambda path, lines: (read.append(path), read_shard(path, lines))[1])
    found = header_index([*moved, new], tmp_path / "cache", READ)
    assert read == [new] and len(found) == 78 and found.left[0].source == str(new)


WALK = """
import os, sys
from pathlib import Path
from lightning_diff.data.headers import index
from lightning_diff.data.survey import Reading
known = index.read_shard
def told(path, lines):
    with open(sys.argv[2], "a") as log:
        log.write(f"{os.getpid()} {path.name}\\n")
    if sys.argv[3] == path.name:
        os.kill(os.getpid(), 9)
    return known(path, lines)
index.read_shard = told
shards = sorted(Path(sys.argv[1]).glob("set/*.tar"))[int(sys.argv[4]) :]
index.header_index(shards, Path(sys.argv[1]) / "cache", Reading())
"""


def walk(root: Path, log: str, dies_at: str = "", first: int = 0) -> subprocess.Popen[bytes]:
    """Index the shards from number `first` on, in another process."""
    words = [sys.executable, "-c", WALK, str(root), str(root / log), dies_at, str(first)]
    return subprocess.Popen(words, cwd=PACKAGE_FOLDER)


def walked(log: Path) -> list[str]:
    return sorted(line.split()[1] for line in log.read_text().splitlines())


def test_a_killed_process_repeats_one_shard_and_two_processes_share_the_others(
    shards: list[Path], tmp_path: Path
) -> None:
    assert walk(tmp_path, "first", shards[2].name).wait() == -9
    both = [walk(tmp_path, "then") for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert walked(tmp_path / "first") == [path.name for path in shards[:3]]
    assert walked(tmp_path / "then") == [path.name for path in shards[2:]]


def test_two_sets_never_walk_a_shard_that_both_have(shards: list[Path], tmp_path: Path) -> None:
    both = [walk(tmp_path, "log", first=first) for first in (0, 1, 0, 1)]
    assert [process.wait() for process in both] == [0, 0, 0, 0]
    assert walked(tmp_path / "log") == [path.name for path in shards]


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "another"])
def test_a_damaged_sidecar_is_made_again(shards: list[Path], tmp_path: Path, how: str) -> None:
    before = samples(header_index(shards, tmp_path / "cache", READ))
    files = sorted((tmp_path / "cache").rglob("*.heads"))
    contents = [file.read_bytes() for file in files]
    for file, content, next_one in zip(files, contents, contents[1:] + contents[:1], strict=True):
        flipped = content[:20] + bytes([content[20] ^ 1]) + content[21:]
        file.write_bytes({"cut": content[:-5], "flipped": flipped, "empty": b"", "another": next_one}[how])
    for _ in files:
        try:
            assert samples(header_index(shards, tmp_path / "cache", READ)) == before
            return
        except ConfigError as e:
            assert "damaged; give the command again" in str(e) and how == "cut"
    assert samples(header_index(shards, tmp_path / "cache", READ)) == before


def test_a_caption_that_rots_is_named_and_a_picture_is_replaced(tmp_path: Path) -> None:
    path = tar(tmp_path / "0.tar", members(0, 20))
    index = header_index([path], tmp_path / "cache", READ)
    data, spans = bytearray(path.read_bytes()), [index.span(i) for i in range(20)]
    data[spans[3][3]] ^= 1
    data[spans[5][1] + 200 : spans[5][1] + spans[5][2]] = bytes(spans[5][2] - 200)
    path.write_bytes(data)
    batch = Pictures(index, 16).range(4, 8)
    assert batch.captions[0] == "picture 4" and batch.captions[1] != "picture 5"
    with pytest.raises(ConfigError, match=r"0.tar: damaged: sample 00003 has changed"):
        index.reader().captions(3)


def test_an_edit_that_keeps_size_and_time_is_named_and_the_next_try_reads_it(tmp_path: Path) -> None:
    path = tar(tmp_path / "0.tar", members(0, 20))
    index, then = header_index([path], tmp_path / "cache", READ), path.stat()
    at = index.span(3)[3]
    data = path.read_bytes()
    path.write_bytes(data[:at] + b"P" + data[at + 1 :])
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    with pytest.raises(ConfigError, match=r"0.tar: damaged: sample 00003 has changed"):
        header_index([path], tmp_path / "cache", READ).reader().read(3)
    assert header_index([path], tmp_path / "cache", READ).reader().read(3)[1] == "Picture 3"


def test_shards_of_one_name_size_and_time_stay_apart(tmp_path: Path) -> None:
    paths = [tar(tmp_path / name / "0.tar", members(first, 5)) for name, first in (("a", 0), ("b", 50))]
    assert paths[0].stat().st_size == paths[1].stat().st_size
    for path in paths:
        os.utime(path, (0, 0))
    index = header_index(paths, tmp_path / "cache", READ)
    assert [index.reader().read(i)[1] for i in (0, 5)] == ["picture 0", "picture 50"]


def test_shards_for_testing_are_read_through_and_not_trained_on(shards: list[Path], tmp_path: Path) -> None:
    source = Shards(image_size=16, source=str(tmp_path / "set"), check="headers", features="online", test="12")
    found = source.prepare(tmp_path / "cache")
    train, test = found.splits["train"], found.splits["test"]
    keys = [{index.name(i) for i in range(len(index))} for index in (train, test)]
    assert len(test) == 12 and not keys[0] & keys[1] and "kept for testing, drawn" in found.said
    assert not train.read_through and test.read_through and len(train) <= 75 - 12
    with pytest.raises(ConfigError, match=r"data.check=pictures"):
        train.facts.thumbs.sum()


def test_a_sidecar_that_cannot_be_opened_is_not_damaged(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = header_index(shards, tmp_path / "cache", READ)

    def no_more(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("mmap.mmap", no_more)
    with pytest.raises(OSError, match="Too many open files"):
        index.name(0)
    monkeypatch.undo()
    assert index.name(0) == "00000"
