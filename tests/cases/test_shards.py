"""Shards as people have them: each is read right, or what is left out is named."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from .eye import Members, encoded, look, tar

J, P = encoded(), encoded(form="PNG")
OK: Members = [("ok.jpg", J), ("ok.txt", "ok")]


def several(endings: str) -> list[tuple[str, object]]:
    return [m for e in endings.split() for m in ((f"{e}.{e}", encoded(form="PNG")), (f"{e}.txt", e))]


def record(caption: Any) -> str:
    return json.dumps({"caption": caption})


# name -> members, {key: caption}, {member: reason}
CASES: dict[str, tuple[Members, dict[str, str], dict[str, str]]] = {
    "dots": (
        [("photo.v1.2.jpg", J), ("photo.v1.2.txt", "dotted"), ("22.05.png", P), ("22.05.txt", "date"), *OK],
        {"photo.v1.2": "dotted", "22.05": "date", "ok": "ok"},
        {},
    ),
    "up to the first dot": (
        [("s0.input.jpg", J), ("s0.outputs.txt", "said"), *OK],
        {"s0": "said", "ok": "ok"},
        {},
    ),
    "dots in a folder": (
        [
            ("train.v1/1.jpg", J),
            ("train.v1/1.txt", "a"),
            ("./2.jpg", J),
            ("./2.txt", "b"),
            ("../3.jpg", J),
            ("../3.txt", "c"),
        ],
        {"train.v1/1": "a", "2": "b", "3": "c"},
        {},
    ),
    "upper case, any order": (
        [
            ("a.TXT", "a"),
            ("b.json", record("b")),
            ("a.JPG", J),
            ("b.JPEG", J),
            ("c.txt", "c"),
            ("d.jpg", J),
            ("d.txt", "d"),
            ("c.Png", P),
        ],
        {"a": "a", "b": "b", "c": "c", "d": "d"},
        {},
    ),
    "not text": (
        [
            *((f"{i}.jpg", J) for i in range(6)),
            ("0.json", record({"en": "a"})),
            ("1.json", record(7)),
            ("2.json", '{"caption": NaN}'),
            ("3.json", record(False)),
            ("4.json", record(True)),
            ("5.json", record([1, 2])),
            *OK,
        ],
        {"ok": "ok"},
        {str(i): "caption is not text" for i in range(6)},
    ),
    "what programs write for nothing": (
        [
            *((f"{i}.jpg", J) for i in range(5)),
            ("0.txt", "None"),
            ("1.txt", "nan"),
            ("2.txt", "null"),
            ("3.json", record("None")),
            ("4.json", record(None)),
            *OK,
        ],
        {"ok": "ok"},
        {**{str(i): "caption is not text" for i in range(4)}, "4": "json without caption"},
    ),
    "a list in a text": ([("a.jpg", J), ("a.txt", '["a mug", "a red mug"]'), *OK], {"a": "a mug", "ok": "ok"}, {}),
    "a bracket in a text": ([("a.jpg", J), ("a.txt", "[red] mug"), *OK], {"a": "[red] mug", "ok": "ok"}, {}),
    "text before json": (
        [
            ("a.jpg", J),
            ("a.txt", "txt"),
            ("a.json", record("json")),
            ("b.jpg", J),
            ("b.txt", ""),
            ("b.json", record("only")),
            ("c.jpg", J),
            ("c.txt", ""),
        ],
        {"a": "txt", "b": "only"},
        {"c": "empty caption"},
    ),
    "whole texts": (
        [
            *((f"{k}.jpg", J) for k in "abcdefg"),
            ("a.txt", "one\ntwo\nthree"),
            ("b.txt", "\ufeffbom"),
            ("c.txt", "x\r\ny"),
            ("d.txt", "u\u2028v"),
            ("e.txt", "utf16".encode("utf-16")),
            ("f.json", b"\xef\xbb\xbf" + record("json").encode()),
            ("g.json", '{"caption": "lone \\ud800 surrogate"}'),
        ],
        {
            "a": "one two three",
            "b": "bom",
            "c": "x y",
            "d": "u v",
            "e": "utf16",
            "f": "json",
            "g": "lone \ufffd surrogate",
        },
        {},
    ),
    "not UTF-8": ([("a.jpg", J), ("a.txt", b"caf\xe9"), *OK], {"a": "caf\ufffd", "ok": "ok"}, {}),
    "a member twice": (
        [
            ("a.jpg", J),
            ("a.txt", "first"),
            ("a.jpg", encoded((0, 255, 0))),
            ("a.txt", "second"),
            ("b.jpg", J),
            ("b.png", P),
            ("b.txt", "b"),
        ],
        {"a": "first", "b": "b"},
        {"a.jpg": "second of its name", "a.txt": "second of its name", "b.png": "second of its name"},
    ),
    "a mac's": (
        [
            ("._a.jpg", b"\0\5\x16\7"),
            ("a.jpg", J),
            ("._a.txt", b"\0\5"),
            ("a.txt", "ok"),
            (".DS_Store", b"x"),
            ("d", None),
            ("__MACOSX/d/._b.jpg", b"\0"),
            ("d/b.jpg", J),
            ("d/b.txt", "in d"),
        ],
        {"a": "ok", "d/b": "in d"},
        {"._a.jpg": "hidden", "._a.txt": "hidden", ".DS_Store": "hidden", "__MACOSX/d/._b.jpg": "hidden"},
    ),
    "links": (
        [
            ("a.jpg", J),
            ("a.txt", "a"),
            ("b.jpg", (tarfile.LNKTYPE, "a.jpg")),
            ("b.txt", "b"),
            ("d/c.jpg", (tarfile.SYMTYPE, "../a.jpg")),
            ("d/c.txt", "c"),
            ("e.jpg", (tarfile.LNKTYPE, "nowhere.jpg")),
            ("e.txt", "e"),
        ],
        {"a": "a", "b": "b", "d/c": "c"},
        {"e.jpg": "broken link", "e.txt": "no picture"},
    ),
    "links to links, and what is no file": (
        [
            ("a.jpg", J),
            ("a.txt", "a"),
            ("b.jpg", (tarfile.SYMTYPE, "a.jpg")),
            ("c.jpg", (tarfile.SYMTYPE, "b.jpg")),
            ("c.txt", "c"),
            ("d.jpg", (tarfile.SYMTYPE, "d.jpg")),
            ("e.jpg", (tarfile.SYMTYPE, "/etc/passwd")),
            ("f.jpg", (tarfile.CHRTYPE, "")),
            ("g", (b"V", "")),
        ],
        {"a": "a", "c": "c"},
        {
            "b.jpg": "no caption",
            "d.jpg": "broken link",
            "e.jpg": "broken link",
            "f.jpg": "not a file",
            "g": "not a file",
        },
    ),
    "dates": (
        [("22.05.jpg", J), ("22.06.txt", "of another"), *OK],
        {"ok": "ok"},
        {"22.05.jpg": "no caption", "22.06.txt": "no picture"},
    ),
    "a packer's mark as a name": ([("BZ_1.jpg", J), ("BZ_1.txt", "bz")], {"BZ_1": "bz"}, {}),
    "further members": (
        [
            m
            for i in "012"
            for m in (
                (f"{i}.jpg", J),
                (f"{i}.txt", f"c{i}"),
                (f"{i}.cls", "7"),
                (f"{i}.npy", b"x"),
                (f"{i}.mask.png", P),
            )
        ],
        {"0": "c0", "1": "c1", "2": "c2"},
        {"*.cls": "unknown ending", "*.npy": "unknown ending", "*.png": "unknown ending"},
    ),
    "names that are endings alone": (
        [("README", "x"), ("a", J), (".jpg", J), (".txt", "t"), *OK],
        {"ok": "ok"},
        {"no ending": "unknown ending", ".jpg": "hidden", ".txt": "hidden"},
    ),
    "any ending of a picture": (
        [
            *several("gif bmp tif avif jfif jpe webp"),
            ("heic.heic", b"\0\0\0\x18ftypheic"),
            ("heic.txt", "heic"),
            ("img.img", J),
            ("img.txt", "x"),
            *OK,
        ],
        {**{e: e for e in ["gif", "bmp", "tif", "avif", "jfif", "jpe", "webp"]}, "ok": "ok"},
        {"heic.heic": "picture format", "*.img": "unknown ending", "img.txt": "no picture"},
    ),
    "as img2dataset writes": (
        [
            ("0.jpg", J),
            ("0.json", record(None)),
            ("1.jpg", J),
            ("1.txt", "c"),
            ("1.json", record("c")),
            ("2.json", record("failed")),
        ],
        {"1": "c"},
        {"0": "json without caption", "2.json": "no picture"},
    ),
    "an error page": ([("a.jpg", b"<!DOCTYPE html>404"), ("a.txt", "a"), *OK], {"ok": "ok"}, {"a.jpg": "web page"}),
}


@pytest.mark.parametrize("case", CASES)
def test_one_shard(case: str, tmp_path: Path) -> None:
    members, captions, left = CASES[case]
    seen = look(tmp_path, "shards", tar(tmp_path / "set" / "0.tar", members))
    assert (seen.error, seen.train, seen.test) == ("", captions, {})
    assert seen.left == left


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_and_any_script(form: int, tmp_path: Path) -> None:
    long = ("d" * 60 + "/") * (2 if form == tarfile.USTAR_FORMAT else 4) + "k" * 60
    members = [
        (f"{long}.jpg", J),
        (f"{long}.txt", "long"),
        ("中文.jpg", J),
        ("中文.txt", "cjk"),
        ("cafe\u0301.jpg", J),
        ("caf\u00e9.txt", "nfc"),
    ]
    seen = look(tmp_path, "shards", tar(tmp_path / "0.tar", members, form))
    assert seen.train == {long: "long", "中文": "cjk", "caf\u00e9": "nfc"}


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as t:
        for name, data in (("café.jpg", J), ("café.txt", b"latin-1 name")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    assert look(tmp_path, "shards", tmp_path / "0.tar").train == {"caf\ufffd": "latin-1 name"}


def test_one_key_in_two_shards_is_two_samples(tmp_path: Path) -> None:
    for i in range(2):
        tar(tmp_path / "set" / f"{i}.tar", [("0.jpg", encoded((i * 90, 0, 0))), ("0.txt", f"shard {i}")])
    rows = look(tmp_path, "shards", tmp_path / "set").rows
    assert [(r["key"], r["caption"]) for r in rows] == [("0", "shard 0"), ("0", "shard 1")]
    assert len({r["file"] for r in rows}) == 2 and rows[0]["source"].endswith("0.tar")


def test_a_folder_of_everything(tmp_path: Path) -> None:
    root = tmp_path / "set"
    tar(root / "a.tar.gz", OK, mode="w:gz")
    tar(root / "b.tar", [("b.jpg", J), ("b.txt", "b")])
    tar(root / "c.tgz", OK, mode="w:gz")
    tar(root / "D.TAR", [("d.jpg", J), ("d.txt", "d")])
    tar(root / "sub" / "e.tar", [("e.jpg", J), ("e.txt", "e")])
    tar(root / "gzip.tar", OK, mode="w:gz")
    tar(root / "none.tar", [])
    (root / "nothing.tar").write_bytes(b"")
    (root / "._b.tar").write_bytes(b"\0\5\x16\7" * 40)
    (root / "b.parquet").write_bytes(b"PAR1")
    (root / "broken.tar").symlink_to("/nowhere.tar")
    (root / "folder.tar").mkdir()
    seen = look(tmp_path, "shards", root)
    assert seen.train == {"b": "b", "d": "d", "e": "e"}
    assert seen.left == {
        **{"a.tar.gz": "compressed shard", "c.tgz": "compressed shard", "gzip.tar": "compressed shard"},
        **{"none.tar": "empty shard", "nothing.tar": "empty shard", "._b.tar": "hidden", "*.parquet": "unknown ending"},
        "broken.tar": "broken link",
    }


def test_a_header_for_all_members(tmp_path: Path) -> None:
    with tarfile.open(
        tmp_path / "0.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "as git archive"}
    ) as t:
        for name, data in (("a.jpg", J), ("a.txt", b"a")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    seen = look(tmp_path, "shards", tmp_path / "0.tar")
    assert (seen.train, seen.left) == ({"a": "a"}, {})


@pytest.mark.parametrize("kind", [b"L", b"x", b"0"])
@pytest.mark.parametrize("size", [b"\x80" + bytes(3) + b"\x7f" * 8, b"\xff" * 12, b"7" * 12, b"x" * 12])
def test_a_header_with_an_odd_size_costs_its_sample_alone(kind: bytes, size: bytes, tmp_path: Path) -> None:
    path = tar(tmp_path / "0.tar", [("a.jpg", J), ("a.txt", "a"), ("b.jpg", J), ("b.txt", "b")])
    data = bytearray(path.read_bytes())
    at = data.find(b"b.jpg")
    data[at + 124 : at + 136], data[at + 156 : at + 157], data[at + 148 : at + 156] = size, kind, b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    path.write_bytes(data)
    seen = look(tmp_path, "shards", path)
    assert seen.train == {"a": "a"} and "damaged shard" in seen.left.values()


def test_patterns_name_files_and_folders(tmp_path: Path) -> None:
    for name in ("a/0", "a/1", "b/0"):
        tar(
            tmp_path / f"{name}.tar",
            [(f"{name[0]}{name[2]}.jpg", J), ("x.txt", name), (f"{name[0]}{name[2]}.txt", name)],
        )
    assert set(look(tmp_path, "shards", f"{tmp_path}/a/*.tar").train) == {"a0", "a1"}
    assert set(look(tmp_path / "again", "shards", f"{tmp_path}/{{a,b}}").train) == {"a0", "a1", "b0"}
    said = look(tmp_path / "last", "shards", f"{tmp_path}/a/{{0..2}}.tar").error
    assert said.endswith("no such shard: " + f"{tmp_path}/a/2.tar (1 of 3 are missing)")


def test_two_tars_in_one_file(tmp_path: Path) -> None:
    parts = [tar(tmp_path / f"{k}.tar", [(f"{k}.jpg", J), (f"{k}.txt", k)]).read_bytes() for k in "ab"]
    (tmp_path / "set.tar").write_bytes(b"".join(parts))
    seen = look(tmp_path, "shards", tmp_path / "set.tar")
    assert (seen.train, seen.left) == ({"a": "a", "b": "b"}, {})


@pytest.mark.parametrize(
    "names, train, test",
    [
        ("train-0 val-0 valid-0 dev-0 test-0 holdout-0", "train-0", "val-0 valid-0 dev-0 test-0 holdout-0"),
        ("testimony-0 testimony-1", "testimony-0 testimony-1", ""),
        ("test-0 test-1", "test-0 test-1", ""),
        ("train/0 test/1 val/2", "train/0", "test/1 val/2"),
        ("cc3m-train-0000 cc3m-validation-0000", "cc3m-train-0000", "cc3m-validation-0000"),
        ("contest-0 latest-1 device-2", "contest-0 latest-1 device-2", ""),
    ],
)
def test_splits_that_are_named(names: str, train: str, test: str, tmp_path: Path) -> None:
    for i, name in enumerate(names.split()):
        tar(tmp_path / "test" / f"{name}.tar", [(f"{i}.jpg", encoded((i * 40, 0, 0))), (f"{i}.txt", name)])
    seen = look(tmp_path, "shards", tmp_path / "test")  # the name of the folder itself says nothing
    assert (sorted(seen.train.values()), sorted(seen.test.values())) == (sorted(train.split()), sorted(test.split()))


def test_a_brace_pattern_over_folders(tmp_path: Path) -> None:
    for i, split in enumerate(("train", "test")):
        tar(tmp_path / split / "0.tar", [("0.jpg", encoded((i * 90, 0, 0))), ("0.txt", split)])
    seen = look(tmp_path, "shards", f"{tmp_path}/{{train,test}}/0.tar")
    assert (seen.train, seen.test) == ({"0": "train"}, {"0": "test"})


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda root: tar(root / "a.tar.gz", OK, mode="w:gz"), "1 compressed shard (a.tar.gz)"),
        (lambda root: tar(root / "0.tar", []), "1 empty shard"),
        (lambda root: tar(root / "0.tar", [("a.jpg", J)]), "no usable sample in 1 shard ("),
        (lambda root: tar(root / "0.tar", [("a.jpg", b"<html>"), ("a.txt", "a")]), "1 web page (a.jpg)"),
        (lambda root: (root / "a.jpg").write_bytes(J), "1 file has an unknown ending (*.jpg)"),
    ],
)
def test_nothing_to_use_says_what_is_there(make: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    make(tmp_path / "set")
    assert said in look(tmp_path, "shards", tmp_path / "set").error


def test_only_this_projects_records_have_labels_and_hard_negatives(tmp_path: Path) -> None:
    from lightning_diff.data.dataset import pictures
    from lightning_diff.data.sources.shards import Shards

    theirs = {"contrast": "high", "labels": {"shape": 99}}
    mine = {**theirs, "made_by": "lightning_diff"}
    for name, said in (("theirs", theirs), ("mine", mine)):
        tar(tmp_path / name / "0.tar", [("a.jpg", J), ("a.txt", "a mug"), ("a.json", json.dumps(said))])
        some = pictures(Shards(source=str(tmp_path / name), image_size=16), tmp_path, "train", ("shape",))
        assert some is not None
        batch = some.range(0, 1)
        expected = (["high"], [99]) if name == "mine" else ([""], [-1])
        assert (batch.hard_negatives, batch.labels["shape"].tolist()) == expected
