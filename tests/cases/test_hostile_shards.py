"""Shards that are made to do harm: each bad member is one sample that is named and counted, and the others are read."""

from __future__ import annotations

import contextlib
import io
import tarfile
from pathlib import Path

import pytest

from lightning_diff.data.headers.read import read_shard
from lightning_diff.data.incoming.tars import contents_of
from lightning_diff.data.sample import lost
from lightning_diff.ranks import Terminal
from lightning_diff.terminal import Shown

from .eye import encoded, look

J = encoded()
TOO_LARGE = b"\x80" + (2**88 - 1).to_bytes(11, "big")


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    """A header with these 12 bytes as its size."""
    info = tarfile.TarInfo(name)
    info.type = kind
    data = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    data[124:136], data[148:156] = size, b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def member(name: str, data: bytes, kind: bytes = b"0") -> bytes:
    return header(name, b"%011o\0" % len(data), kind) + padded(data)


def pax(*fields: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    lines = b""
    for key, value in fields:
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest) + next(n for n in range(1, 9) if len(str(len(rest) + n)) == n)
        lines += str(length).encode() + rest
    return member("PaxHeader", lines, kind)


PICTURE, TEXT = member("b.jpg", J), member("b.txt", b"b")
CASES = {
    "a negative size": header("b.jpg", b"\xff" * 12) + padded(J),
    "a negative size in octal": header("b.jpg", b"-0000000001\0") + padded(J),
    "2^88": header("b.jpg", TOO_LARGE) + padded(J),
    "2^62": header("b.jpg", b"\x80" + (2**62).to_bytes(11, "big")) + padded(J),
    "a negative size in PAX": pax((b"size", b"-5")) + PICTURE,
    "a very negative size in PAX": pax((b"size", b"-100000000000")) + PICTURE,
    "2^88 in PAX": pax((b"size", str(2**88).encode())) + PICTURE,
    "too many digits in PAX": pax((b"size", b"9" * 5000)) + PICTURE,
    "letters in PAX": pax((b"size", b"abc")) + PICTURE,
    "a negative size for all": pax((b"size", b"-5"), kind=b"g") + PICTURE,
    "a PAX header with a negative size": header("PaxHeader", b"\xff" * 12, b"x") + PICTURE,
    "a long name that is too long": header("@LongLink", TOO_LARGE, b"L") + PICTURE,
    "a map that is none": pax((b"GNU.sparse.map", b"0,5,x,y"), (b"GNU.sparse.size", b"9")) + PICTURE,
    "a map in the data": pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")) + PICTURE,
    "a long line of headers": member("@LongLink", b"b.jpg", b"L") * 3000 + PICTURE,
    "sparse": member("b.jpg", J, b"S"),
    "sparse in PAX": pax((b"GNU.sparse.size", b"9" * 14), (b"GNU.sparse.map", b"0,5")) + PICTURE,
}
DEEP = {
    "lists": b'{"caption": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "tables": b'{"caption": "b", "x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "digits": b'{"caption": "b", "x": ' + b"9" * 10_000 + b"}",
}


def shard(path: Path, hostile: bytes) -> Path:
    a, c = (member(f"{k}.jpg", J) + member(f"{k}.txt", k.encode()) for k in "ac")
    path.write_bytes(a + hostile + c + bytes(1024))
    return path


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_member_is_named_and_costs_its_sample_alone(case: str, tmp_path: Path) -> None:
    found = contents_of(shard(tmp_path / "0.tar", CASES[case] + TEXT))
    assert found.names == ["a.jpg", "a.txt", "b.txt", "c.jpg", "c.txt"]
    assert [(one.member, one.reason) for one in found.left] == [
        ("b.jpg", "sparse member" if case.startswith("sparse") else "damaged shard")
    ]
    assert lost(found.left) == 1


def test_the_caption_of_a_damaged_picture_is_not_counted_again(tmp_path: Path) -> None:
    seen = look(tmp_path, "shards", shard(tmp_path / "0.tar", CASES["2^88"] + TEXT))
    assert (seen.error, seen.train, seen.left) == ("", {"a": "a", "c": "c"}, {"b.jpg": "damaged shard"})


def test_behind_any_number_of_damaged_members_the_others_are_read(tmp_path: Path) -> None:
    bad = (header(f"{i}.jpg", TOO_LARGE) + padded(J) + member(f"{i}.txt", b"b") for i in range(300))
    seen = look(tmp_path, "shards", shard(tmp_path / "0.tar", b"".join(bad)))
    assert (seen.error, seen.train) == ("", {"a": "a", "c": "c"})
    assert seen.left == {f"{i}.jpg": "damaged shard" for i in range(300)}


def test_each_link_is_followed_once(tmp_path: Path) -> None:
    many = 10_000
    to = {f"{i}.jpg": f"{i + 1}.jpg" for i in range(many)} | {f"{many}.jpg": "a.jpg", "self.jpg": "self.jpg"}
    to |= {f"c{i}.jpg": f"c{(i + 1) % many}.jpg" for i in range(many)}  # a circle

    def link(name: str) -> bytes:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, to[name]
        return info.tobuf(tarfile.USTAR_FORMAT)

    found = contents_of(shard(tmp_path / "0.tar", b"".join(map(link, to))))
    assert {*found.names[4:]} == {f"{i}.jpg" for i in range(many + 1)} and {*found.spans[4:]} == {found.spans[0]}
    assert {(one.member, one.reason) for one in found.left} == {
        (name, "broken link") for name in to if name.startswith(("c", "self"))
    }


def test_a_size_may_have_twelve_digits(tmp_path: Path) -> None:
    text = header("b.txt", b"%012o" % 40) + padded(b"x" * 40)
    found = read_shard(shard(tmp_path / "0.tar", PICTURE + text))
    assert found.keys == ["a", "b", "c"] and found.columns["lengths"][1].tolist() == [len(J), 40, 0]


@pytest.mark.parametrize("case", DEEP)
def test_a_record_that_python_cannot_read_costs_its_sample(case: str, tmp_path: Path) -> None:
    seen = look(tmp_path, "shards", shard(tmp_path / "0.tar", PICTURE + member("b.json", DEEP[case])))
    assert (seen.error, seen.train, seen.left) == ("", {"a": "a", "c": "c"}, {"b": "unreadable json"})


def test_names_and_captions_give_a_terminal_no_commands(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "b\x1b[2J\x1b]0;x\x07"
    hostile = pax((b"path", name.encode() + b".jpg")) + PICTURE
    hostile += pax((b"path", b"d\x1b[2J.jpg")) + member("d.jpg", b"<html>") + member("d\x1b[2J.txt", b"\x1b[2Jd")
    seen = look(tmp_path, "shards", shard(tmp_path / "0.tar", hostile))
    assert set(seen.left) == {f"{name}.jpg", "d\x1b[2J.jpg"}
    said = capfd.readouterr()
    assert "no caption" in said.out and "\x1b" not in said.out + said.err and "\x07" not in said.out + said.err


def test_a_console_and_a_warning_show_what_commands_a_terminal() -> None:
    import logging

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        Terminal(markup=False, color_system="standard", force_terminal=True, width=80).print(
            "a\x1b[2Jb", style="red", highlight=False
        )
    assert out.getvalue() == "\x1b[31ma\ufffd[2Jb\x1b[0m\n"
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s: damaged", ("a\x1b]0;b\x07",), None)
    assert Shown().format(record) == "a\ufffd]0;b\ufffd: damaged"
