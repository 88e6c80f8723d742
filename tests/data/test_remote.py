"""Remote shards: what bad servers do costs time, never a sample; the cache keeps its bound, and deletes only what it fetched."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.data.dataset import Pictures
from lightning_diff.data.order import epoch_order
from lightning_diff.data.remote import ahead, cache, finding, objects, transport, web
from lightning_diff.data.remote.cache import NodeCache
from lightning_diff.data.remote.failures import Failed
from lightning_diff.data.remote.finding import remote_shards
from lightning_diff.data.remote.shard import RemoteShard, open_shard
from lightning_diff.data.remote.transport import Head, heads_of
from lightning_diff.data.remote.urls import faults_of, masked
from lightning_diff.data.sources.base import meant_by
from lightning_diff.data.sources.shards import Shards
from tests.data.shard_server import ShardServer, serving, taken

COUNT, EACH = 5, 4  # shards, and samples in each


def write(path: Path, number: int) -> None:
    with tarfile.open(path, "w") as tar:
        for i in range(EACH):
            picture = io.BytesIO()
            Image.effect_noise((48, 40), 40 + 9 * i + number).convert("RGB").save(picture, "PNG")
            for ending, data in (("png", picture.getvalue()), ("txt", f"picture {i} of {number}".encode())):
                info = tarfile.TarInfo(f"s{number}{i}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("set")
    for number in range(COUNT):
        write(made / f"{number:03d}.tar", number)
    return made


@pytest.fixture
def server(folder: Path) -> Iterator[ShardServer]:
    with serving(folder) as found:
        yield found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        *((web, "STALL", 0.4), (transport, "FIRST", 0.01), (transport, "LONGEST", 0.02), (cache, "GRACE", 0.05)),
        *((finding, "FRESH", 0.0), (cache, "TRIES", 4)),
    ):
        monkeypatch.setattr(module, name, value)


def pattern(server: ShardServer) -> str:
    return f"{server.url}/{{000..{COUNT - 1:03d}}}.tar"


def size(folder: Path, number: int = 0) -> int:
    return (folder / f"{number:03d}.tar").stat().st_size


def hashes(source: Shards, scratch: Path, kept: Path | None = None) -> tuple[list[str], int]:
    """(a hash of each batch of two epochs, the most bytes that the cache held)."""
    most, stop = [0], threading.Event()

    def watch() -> None:
        while kept is not None and not stop.wait(0.001):
            most[0] = max(most[0], taken(kept))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        index = source.prepare(scratch).splits["train"]
        some = Pictures(index, 16)
        found = []
        batches = [[(0, int(i)) for i in epoch_order(len(some), 3, n // 5)[n % 5 * 4 :][:4]] for n in range(10)]
        for places in ahead.Ahead(batches, index):  # type: ignore[arg-type]
            rows = [some.read(i) for _, i in places]
            found.append(hashlib.sha256(b"".join(r[0].numpy().tobytes() + r[1].encode() for r in rows)).hexdigest())
    finally:
        stop.set()
        thread.join()
    return found, most[0]


def test_batches_are_those_of_the_local_set_whatever_the_server_does(
    server: ShardServer, folder: Path, tmp_path: Path
) -> None:
    local, _ = hashes(Shards(source=str(folder), image_size=16, test="none"), tmp_path / "local")
    server.faults = {
        "000.tar": [500, 503, "cut"],
        "001.tar": ["stall", "cut"],
        "002.tar": ["cut", "whole"],
        "003.tar": [429, "stall", 500],
    }
    kept, most = tmp_path / "kept", 2.5 * size(folder)
    mine = tmp_path / "kept" / "mine.tar"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    source = Shards(source=pattern(server), image_size=16, test="none", cache_gb=most / 1e9, cache_folder=str(kept))
    remote, held = hashes(source, tmp_path / "remote", kept)
    assert remote == local
    assert 0 < held <= most + len(b"mine")
    assert not any(server.faults.values()) and mine.read_bytes() == b"mine"


def test_a_download_goes_on_where_it_was_cut(server: ShardServer, folder: Path, tmp_path: Path) -> None:
    server.faults = {"000.tar": ["cut", 500, "cut"]}
    (shard, *_) = remote_shards(pattern(server), NodeCache(tmp_path, 10**9))
    with shard.open("rb") as file:
        assert file.read() == (folder / "000.tar").read_bytes()
    assert server.sent["000.tar"] == size(folder) and len(server.ranges) == 2  # no byte came twice
    assert server.ranges[0] == ("000.tar", f"bytes={size(folder) // 2}-")


def test_servers_whose_tags_say_little(server: ShardServer, folder: Path, tmp_path: Path) -> None:
    """A tag that GET lacks, or calls weak, is no change. Without any, shards of one name and size stay apart by their URLs."""
    given = server.tag
    for number, tag in enumerate(("", "W/")):
        kept = NodeCache(tmp_path / str(number), 10**9)
        server.tag = given  # type: ignore[method-assign]
        (shard, *_) = remote_shards(pattern(server), kept)
        server.tag = lambda name, tag=tag: tag and tag + given(name)  # type: ignore[method-assign, misc]
        assert Path(os.fspath(shard)).read_bytes() == (folder / "000.tar").read_bytes()
    one, other = (RemoteShard(f"{server.url}/{place}/000.tar", Head(10240, ""), kept) for place in "ab")
    assert one.stat() != other.stat() and one.stat() == RemoteShard(one.url, Head(10240, ""), kept).stat()


def test_a_set_that_changed_is_listed_anew_by_the_same_command(
    server: ShardServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "FRESH", 600.0)
    kept = NodeCache(tmp_path, 10**9)
    (shard, *_) = remote_shards(pattern(server), kept)
    server.tags["000.tar"] = '"new"'
    (same, *_) = remote_shards(pattern(server), kept)
    assert same.head == shard.head
    with pytest.raises(ConfigError, match="has changed since the set was listed"):
        os.fspath(same)
    (new, *_) = remote_shards(pattern(server), kept)
    assert new.head.tag == '"new"' and Path(os.fspath(new)).is_file()


def test_each_shard_is_fetched_once_if_the_cache_holds_all(server: ShardServer, folder: Path, tmp_path: Path) -> None:
    source = Shards(source=pattern(server), image_size=16, test="none", cache_folder=str(tmp_path / "kept"))
    hashes(source, tmp_path / "one")
    hashes(source, tmp_path / "two")
    assert set(server.gets.values()) == {1} and len(server.gets) == COUNT


def test_what_was_used_longest_ago_goes_first_and_nothing_that_is_not_ours(
    server: ShardServer, folder: Path, tmp_path: Path
) -> None:
    shards = remote_shards(pattern(server), NodeCache(tmp_path, 3 * size(folder) + 100))
    for name in ("foreign.tar", "foreign.part"):
        (tmp_path / name).write_bytes(b"x" * size(folder))
    for number in (0, 1, 2, 0, 3):
        os.close(open_shard(shards[number]))
        time.sleep(0.08)
    there = [number for number, shard in enumerate(shards) if shard.present()]  # type: ignore[attr-defined]
    assert there == [0, 2, 3]
    assert (tmp_path / "foreign.tar").stat().st_size == (tmp_path / "foreign.part").stat().st_size == size(folder)


def test_a_file_that_another_put_in_the_place_of_a_shard_is_neither_read_nor_deleted(
    server: ShardServer, folder: Path, tmp_path: Path
) -> None:
    shard, *others = remote_shards(pattern(server), NodeCache(tmp_path, 2 * size(folder)))
    place = Path(os.fspath(shard))
    place.write_bytes(b"another file, of somebody")
    for use in (lambda: os.fspath(shard), lambda: shard.open("rb")):
        with pytest.raises(ConfigError, match="not the file that was fetched"):
            use()
    for other in others:
        os.close(open_shard(other))
        time.sleep(0.06)
    assert place.read_bytes() == b"another file, of somebody"


def fetch(source: str, kept: str, names: list[int]) -> None:
    shards = remote_shards(source, NodeCache(Path(kept), 10**9))
    for number in names:
        os.close(open_shard(shards[number]))


def test_processes_of_a_node_never_fetch_the_same_shard_twice(server: ShardServer, tmp_path: Path) -> None:
    server.gate.clear()  # until all of them have asked
    apart = multiprocessing.get_context("spawn")
    some = [apart.Process(target=fetch, args=(pattern(server), str(tmp_path), [0, 1])) for _ in range(3)]
    for one in some:
        one.start()
    while not server.gets:
        time.sleep(0.01)
    time.sleep(0.3)
    server.gate.set()
    for one in some:
        one.join(300)
    assert [one.exitcode for one in some] == [0, 0, 0]
    assert server.gets == {"000.tar": 1, "001.tar": 1}


def test_threads_of_a_process_never_fetch_the_same_shard_twice(server: ShardServer, tmp_path: Path) -> None:
    (shard, *_) = remote_shards(pattern(server), NodeCache(tmp_path, 10**9))
    server.gate.clear()
    threads = [threading.Thread(target=os.fspath, args=(shard,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    server.gate.set()
    for thread in threads:
        thread.join(30)
    assert server.gets == {"000.tar": 1}


def test_a_killed_download_goes_on_and_its_room_is_counted(server: ShardServer, folder: Path, tmp_path: Path) -> None:
    kept = NodeCache(tmp_path, 10**9)
    (shard, *_) = remote_shards(pattern(server), kept)
    assert isinstance(shard, RemoteShard)
    place = kept.place(shard.url, shard.head)
    half = size(folder) // 2
    place.with_suffix(".part").write_bytes((folder / "000.tar").read_bytes()[:half])
    place.with_suffix(".json").write_text(json.dumps({"url": shard.url, "size": size(folder), "tag": "", "file": None}))
    assert [one.size for one in kept.entries()] == [size(folder)]
    os.close(open_shard(shard))
    assert server.sent["000.tar"] == size(folder) - half


def test_a_shard_whose_download_ends_during_a_count_is_counted(
    server: ShardServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = NodeCache(tmp_path, 10**9)
    (shard, *_) = remote_shards(pattern(server), kept)
    os.close(open_shard(shard))
    (one,) = kept.entries()
    whole = one.note.read_bytes()
    part = one.place.with_suffix(".part")
    one.place.replace(part)
    one.note.write_text(json.dumps({**json.loads(whole), "file": None}))
    read = Path.read_bytes

    def read_and_end_the_download(path: Path) -> bytes:
        said = read(path)
        if path == one.note and part.exists():
            path.write_bytes(whole)
            part.replace(one.place)
        return said

    monkeypatch.setattr(Path, "read_bytes", read_and_end_the_download)
    assert [entry.note for entry in kept.entries()] == [one.note] and one.place.exists()


@pytest.mark.parametrize("tag", ['"another"', ""])
def test_a_shard_that_changes_in_the_middle_is_one_line(
    server: ShardServer, folder: Path, tmp_path: Path, tag: str
) -> None:
    (shard, *_) = remote_shards(pattern(server), NodeCache(tmp_path, 10**9))
    server.faults = {"000.tar": ["cut"]}
    given = server.tag
    server.tag = lambda name: tag if server.ranges or server.gets[name] > 1 else given(name)  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"000\.tar: it has changed since the set was listed") as e:
        os.fspath(shard)
    assert "\n" not in str(e.value) and not list(tmp_path.glob("*.part"))
    (again, *_) = remote_shards(pattern(server), NodeCache(tmp_path, 10**9))  # the same command again
    with again.open("rb") as file:
        assert file.read() == (folder / "000.tar").read_bytes()


def test_what_is_not_there_or_not_allowed_is_one_line(server: ShardServer, folder: Path, tmp_path: Path) -> None:
    kept = NodeCache(tmp_path, 10**9)
    with pytest.raises(ConfigError, match=r"no such shard: http.*/005\.tar \(2 of 7 are missing\)"):
        remote_shards(f"{server.url}/{{000..006}}.tar", kept)
    with pytest.raises(ConfigError, match=r"^data\.source=http.*/none\.tar: no such shard: http"):
        remote_shards(f"{server.url}/none.tar", kept)
    server.faults, server.heads = {"001.tar": [403]}, False
    with pytest.raises(ConfigError, match=r"001\.tar: the server refuses it \(403\); write a name and password into"):
        remote_shards(pattern(server), kept)
    assert len(remote_shards(pattern(server), kept)) == COUNT  # without HEAD
    server.faults, server.heads = {"000.tar": [500] * 9}, True
    with pytest.raises(ConfigError, match="the server answered 500, 4 times in a row"):
        os.fspath(remote_shards(f"{server.url}/000.tar", kept)[0])


def test_offline_is_one_line_and_what_was_fetched_is_used(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        source = Shards(source=pattern(server), image_size=16, test="none", cache_folder=str(tmp_path / "kept"))
        online, _ = hashes(source, tmp_path / "made")
    assert hashes(source, tmp_path / "made")[0] == online
    with pytest.raises(ConfigError, match=r"^data\.source=http.*: the host cannot be reached \(connection refused\)"):
        Shards(source=source.source).prepare(tmp_path / "other")


def test_a_cache_that_is_too_small_is_one_line(server: ShardServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data\.cache_gb=1e-06: http.*000\.tar alone has .* GB; allow more"):
        os.fspath(remote_shards(pattern(server), NodeCache(tmp_path, 1000))[0])


@pytest.mark.parametrize(
    "source", ["https://me:geheim@{0}/{{000..001}}.tar", "https://{0}/a.tar?sig=geheim", "https://geheim@{0}/a.tar#b"]
)
def test_a_credential_in_a_url_is_refused_and_never_said(source: str) -> None:
    command = ["prepare.py", "data=shards", f"source={source.format('127.0.0.1:9')}"]
    done = subprocess.run([sys.executable, *command], cwd=PACKAGE_FOLDER, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert "geheim" not in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "geheim" not in masked(source) + repr(list(faults_of(source)))


def test_a_credential_goes_to_no_other_host(
    server: ShardServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password geheim\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv(web.TOKEN, "never over http")
    with serving(folder) as first:
        first.moved = server.url
        assert web.head(f"{first.url}/000.tar")[0] == size(folder)
        assert first.seen[0]["Authorization"].startswith("Basic ") and "Authorization" not in server.seen[0]
    asked = web.urllib.request.Request("https://host/a.tar")
    with pytest.raises(Failed, match="not https"):
        web._Redirects().redirect_request(asked, io.BytesIO(), 302, "", web.Message(), "http://host/a.tar")


@pytest.mark.parametrize(
    "source, said",
    [
        ("pipe:touch x", "nothing from outside is executed"),
        ("file:///x.tar", "nothing from outside is executed"),
        ("ftp://host/x.tar", "nothing from outside is executed"),
        ("https://host/", "it names no shard"),
        ("https:///x.tar", "it names no host"),
        ("https://host/set/*.tar", "a web server does not list its files"),
        ("https://[x/a.tar", "not a URL"),
    ],
)
def test_what_is_no_remote_set_is_refused_before_anybody_is_asked(source: str, said: str, tmp_path: Path) -> None:
    assert any(said in line for line in Shards(source=source).conflicts("diffusion", None))
    with pytest.raises(ConfigError, match=said):
        Shards(source=source).prepare(tmp_path)


def test_keys_of_the_cache_need_a_url(folder: Path) -> None:
    lines = list(Shards(source=str(folder), cache_gb=3, cache_folder="x").conflicts("diffusion", None))
    assert [line.partition(":")[0] for line in lines] == ["data.cache_gb=3", "data.cache_folder=x"]


def test_a_text_with_a_scheme_means_shards() -> None:
    assert meant_by("https://host/set/{0..9}.tar") == ("shards", {"source": "https://host/set/{0..9}.tar"})


def test_an_object_store_gives_what_the_folder_holds(
    server: ShardServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        *(("AWS_ENDPOINT_URL", server.url), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "geheim")),
        ("AWS_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    kept = NodeCache(tmp_path, 10**9)
    server.faults = {"000.tar": ["cut"]}
    for source in ("s3://bucket/{000..004}.tar", "s3://bucket/*.tar"):
        shards = remote_shards(source, kept)
        assert [shard.name for shard in shards] == [f"{n:03d}.tar" for n in range(COUNT)]
    with shards[0].open("rb") as file:
        assert file.read() == (folder / "000.tar").read_bytes()
    with pytest.raises(ConfigError, match=r"no such shard: s3://bucket/none\.tar"):
        remote_shards("s3://bucket/none.tar", kept)
    (head,) = heads_of(["s3://bucket/001.tar"])
    assert isinstance(head, Head)
    with pytest.raises(Failed, match="it has changed"):
        list(transport.read_from("s3://bucket/001.tar", 0, Head(head.size, "another")))


def test_without_obstore_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "installed", lambda: False)
    (line,) = Shards(source="s3://bucket/{0..1}.tar").conflicts("diffusion", None)
    assert line == f"data.source=s3://bucket/{{0..1}}.tar: {objects.INSTALL}"
