"""Folders as people have them: each is read right, or what is left out is named."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_diff.config.errors import ConfigError

from .eye import Members, encoded, folder, look, tar

J, P = encoded(), encoded(form="PNG")
B: Members = [("b.jpg", J), ("b.txt", "ok")]
TEXTS: dict[str, tuple[bytes, str]] = {
    "bom": ("\ufeffa red mug".encode(), "a red mug"),
    "crlf": (b"a red mug\r\n", "a red mug"),
    "cr": (b"a red mug\ron a table", "a red mug on a table"),
    "lines": (
        b"A mug on a table.\nThe light comes from the left.\n",
        "A mug on a table. The light comes from the left.",
    ),
    "breaks": ("a red mug\u2028on a table\x85near\x0b a cat".encode(), "a red mug on a table near a cat"),
    "utf16": ("a red mug".encode("utf-16"), "a red mug"),
    "utf16le": ("a red mug".encode("utf-16-le"), "a red mug"),
    "cp1252": (b"the dog\x92s caf\xe9", "the dog\ufffds caf\ufffd"),
    "nul": (b"a red mug\0\0\0", "a red mug"),
    "blankfirst": (b"\n\n  a red mug  \n", "a red mug"),
    "tabs": (b"a\tred   mug", "a\tred   mug"),
    "emoji": ("a \U0001f951 avocado".encode(), "a \U0001f951 avocado"),
    "rtl": ("\u202eabc".encode(), "\u202eabc"),
    "nbsp": ("\u00a0a red mug\u00a0".encode(), "a red mug"),
    "surrogate": (b"a \xed\xa0\x80 mug", "a \ufffd\ufffd\ufffd mug"),
    "quotes": (b'"a red mug"', '"a red mug"'),
    "hash": (b"# not a comment\na red mug", "# not a comment a red mug"),
    "number": (b"7", "7"),
}


def test_one_rule_for_a_caption(tmp_path: Path) -> None:
    files = [f for name, (data, _) in TEXTS.items() for f in ((f"{name}.png", P), (f"{name}.txt", data))]
    seen = look(tmp_path, "folder", folder(tmp_path / "set", files))
    assert seen.train == {name: caption for name, (_, caption) in TEXTS.items()} and seen.left == {}
    named = {r["key"] for r in seen.rows if "UTF-8" in r["remarks"]}
    assert named == {"cp1252", "surrogate"}


def test_each_line_a_caption_if_that_is_asked_for(tmp_path: Path) -> None:
    files = [("a.png", P), ("a.txt", "one\ntwo\u2028still two\r\nthree\n"), *B]
    seen = look(tmp_path, "folder", folder(tmp_path / "set", files), "data.captions=lines")
    assert seen.train == {"a": "one", "b": "ok"} and [r["captions"] for r in seen.rows] == ["3", "1"]


# name -> files, {key: caption}, {file: reason}
CASES: dict[str, tuple[Members, dict[str, str], dict[str, str]]] = {
    "empty captions": (
        [
            ("a.png", P),
            ("a.txt", ""),
            ("c.png", P),
            ("c.txt", "\n \n"),
            ("d.png", P),
            ("d.txt", "\u200b\ufeff \u200e"),
            *B,
        ],
        {"b": "ok"},
        {f"{name}.png": "empty caption" for name in "acd"},
    ),
    "caption.TXT": ([("A.JPG", J), ("A.TXT", "upper"), *B], {"A": "upper", "b": "ok"}, {}),
    "picture.jpg.txt": ([("a.jpg", J), ("a.jpg.txt", "whole name"), *B], {"a": "whole name", "b": "ok"}, {}),
    ".caption": ([("a.jpg", J), ("a.caption", "other ending"), *B], {"a": "other ending", "b": "ok"}, {}),
    ".json": ([("a.jpg", J), ("a.json", '{"caption": "from json"}'), *B], {"a": "from json", "b": "ok"}, {}),
    "metadata.jsonl": (
        [("d/a.jpg", J), ("d/metadata.jsonl", '{"file_name": "a.jpg", "text": "row"}\n'), *B],
        {"d/a": "row", "b": "ok"},
        {},
    ),
    "metadata.csv": (
        [("a.jpg", J), ("metadata.csv", 'file_name,text\na.jpg,"one, row"\n'), *B],
        {"a": "one, row", "b": "ok"},
        {},
    ),
    "normal forms": (
        [(unicodedata.normalize("NFC", "café.png"), P), (unicodedata.normalize("NFD", "café.txt"), "nfd"), *B],
        {"b": "ok", "café": "nfd"},
        {},
    ),
    "hidden": (
        [
            *B,
            ("._b.jpg", b"\0\5"),
            (".DS_Store", b"x"),
            ("__MACOSX/._b.jpg", b"\0"),
            (".ipynb_checkpoints/b-checkpoint.jpg", J),
            (".ipynb_checkpoints/b-checkpoint.txt", "stale"),
            (".Trash-1000/files/d.jpg", J),
            (".Trash-1000/files/d.txt", "deleted"),
        ],
        {"b": "ok"},
        {
            ".DS_Store": "hidden",
            "._b.jpg": "hidden",
            "__MACOSX": "hidden",
            ".ipynb_checkpoints": "hidden",
            ".Trash-1000": "hidden",
        },
    ),
    "formats that nobody reads": (
        [("a.heic", b"\0\0\0\x18ftypheic"), ("a.txt", "a"), ("c.jxl", b"\xff\x0a"), ("notes.md", "x"), *B],
        {"b": "ok"},
        {"a.heic": "picture format", "c.jxl": "picture format", "*.md": "unknown ending"},
    ),
    "one stem, one flat name": (
        [
            ("a.png", P),
            ("a.jpg", J),
            ("a.txt", "shared"),
            ("x/a.png", P),
            ("x/a.txt", "sub"),
            ("x_a.png", P),
            ("x_a.txt", "flat"),
        ],
        {"a": "shared", "a.png": "shared", "x/a": "sub", "x_a": "flat"},
        {},
    ),
    "folders with names of files": (
        [("a.png", None), ("a.txt", "dir"), ("c.png", P), ("c.txt", None), *B],
        {"b": "ok"},
        {"c.png": "no caption", "a.txt": "no picture"},
    ),
    "an error page": ([("a.jpg", b"<!DOCTYPE html>404"), ("a.txt", "a"), *B], {"b": "ok"}, {"a.jpg": "web page"}),
    "dates and versions in names": (
        [("2024.01 a.jpg", J), ("2024.02 b.txt", "of another"), ("c.jpg", J), ("c.txt", "c"), ("c.v2.jpg", J), *B],
        {"b": "ok", "c": "c"},
        {"2024.01 a.jpg": "no caption", "2024.02 b.txt": "no picture", "c.v2.jpg": "no caption"},
    ),
    "several caption files": (
        [("a.jpg", J), ("a.txt", "text"), ("a.caption", "other"), ("a.jpg.txt", "third"), *B],
        {"a": "text", "b": "ok"},
        {"a.caption": "second caption", "a.jpg.txt": "second caption"},
    ),
    "a picture with a caption's name": (
        [("a.jpg", J), ("a.txt", P), *B],
        {"b": "ok"},
        {"a.jpg": "caption is not text"},
    ),
    "a record in a text file": ([("a.jpg", J), ("a.txt", '{"caption": "in it"}'), *B], {"a": "in it", "b": "ok"}, {}),
    "the first that holds a caption": (
        [
            ("a.jpg", J),
            ("a.txt", ""),
            ("a.json", '{"Caption": 7, "TEXT": "json"}'),
            ("c.jpg", J),
            ("c.json", "{}"),
            ("metadata.csv", "file_name,text\nc.jpg,table\n"),
            *B,
        ],
        {"a": "json", "b": "ok", "c": "table"},
        {},
    ),
    "no text": (
        [("a.jpg", J), ("a.txt", "None"), ("c.jpg", J), ("c.json", '{"caption": 7}'), *B],
        {"b": "ok"},
        {"a.jpg": "caption is not text", "c.jpg": "caption is not text"},
    ),
}


BOTH = {"img/a": "a", "img/c": "c"}
RED = BOTH | {"img/a": "a dog, red"}
# metadata.csv for img/a.jpg and img/c.jpg -> {key: caption}, {member: reason}
TABLES: dict[str, tuple[bytes | str, dict[str, str], dict[str, str]]] = {
    name: (table, captions, left)
    for name, table, captions, left in (
        ("semicolons", "Image;Caption\nimg/a.jpg;a dog, red\nimg/c.jpg;c\n", RED, {}),
        ("a mac's lines, UTF-16", "image_path\tid\tprompt\rimg/a.jpg\t1\ta\rimg/c\t2\tc".encode("utf-16"), BOTH, {}),
        ("commas without quotes", 'file_name,text\nimg/a.jpg,a dog, red\nimg/c.jpg,"c"\n', RED, {}),
        ("paths of another machine", "file_name,text\nC:\\x\\img\\a.jpg,a\nC:\\x\\img\\c.jpg,c\n", BOTH, {}),
        ("captions in rows", "file,text\nimg/a.jpg,one\nimg/a.jpg,two\n/gone.jpg,x\nimg/c.jpg,c\n",
         BOTH | {"img/a": "one"}, {"/gone.jpg": "no picture"}),
        ("quotes within quotes", 'file,text\nimg/a.jpg,"the "big" one"\nimg/c.jpg,c\n',
         {"img/c": "c"}, {"img/a.jpg": "no caption", "metadata.csv": "damaged row"}),
        ("a quote that is not closed", 'file,text\nimg/a.jpg,"a dog\nimg/c.jpg,c\n',
         {"img/c": "c"}, {"img/a.jpg": "no caption", "metadata.csv": "damaged row"}),
        ("a caption of two lines", 'file,text\nimg/a.jpg,"a\ndog"\nimg/c.jpg,c\n', {"img/a": "a dog", "img/c": "c"}, {}),
        ("lines above the columns", 'sep=;\n"my" set\n\nfile;text\nimg/a.jpg;a\nimg/c.jpg;c\n', BOTH, {}),
        ("unknown columns", "x,y\nimg/a.jpg,a\n",
         {}, {"img/a.jpg": "no caption", "img/c.jpg": "no caption", "metadata.csv": "damaged row"}),
        ("a long field", "file,text,x\nimg/a.jpg,a," + "x" * 200_000 + "\nimg/c.jpg,c,", BOTH, {}),
    )
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_one_table(case: str, tmp_path: Path) -> None:
    table, captions, left = TABLES[case]
    files = [("img/a.jpg", J), ("img/c.jpg", J), ("metadata.csv", table), *B]
    seen = look(tmp_path, "folder", folder(tmp_path / "set", files))
    assert (seen.error, seen.train, seen.left) == ("", {"b": "ok", **captions}, left)
    assert [r["captions"] for r in seen.rows][1:2] != ["2"] or case == "captions in rows"


@pytest.mark.parametrize("case", CASES)
def test_one_folder(case: str, tmp_path: Path) -> None:
    files, captions, left = CASES[case]
    seen = look(tmp_path, "folder", folder(tmp_path / "set", files))
    assert (seen.error, seen.train, seen.left) == ("", captions, left)


def test_any_format_that_pillow_reads(tmp_path: Path) -> None:
    forms = {
        "gif": "GIF",
        "bmp": "BMP",
        "tif": "TIFF",
        "tiff": "TIFF",
        "avif": "AVIF",
        "jfif": "JPEG",
        "jpe": "JPEG",
        "webp": "WEBP",
    }
    files = [f for e, form in forms.items() for f in ((f"{e}.{e}", encoded(form=form)), (f"{e}.txt", e))]
    seen = look(tmp_path, "folder", folder(tmp_path / "set", files))
    assert (seen.train, seen.left) == ({e: e for e in sorted(forms)}, {})


def test_any_name(tmp_path: Path) -> None:
    names = ["with space", "UPPER", "photo.v1.2", "two..dots", "-dash", "%41", "a;b&c", "quote'", "new\nline", "x" * 240,
             "trailing ",
             "#hash", "[brack]", "{0..3}", "中文", "a=b,c", "sub dir/中 文"]  # fmt: skip
    seen = look(
        tmp_path,
        "folder",
        folder(tmp_path / "set", [f for n in names for f in ((f"{n}.png", P), (f"{n}.txt", n[:20]))]),
    )
    assert seen.train == {n: " ".join(n[:20].split()) for n in names}


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", B)
    for ending, data in ((b".png", P), (b".txt", b"latin name")):
        with open(os.fsencode(root) + b"/caf\xe9" + ending, "wb") as f:
            f.write(data)
        with open(os.fsencode(root) + b"/caf\xe8" + ending, "wb") as f:
            f.write(data)
    seen = look(tmp_path, "folder", root)
    assert seen.train == {"b": "ok", "caf\ufffd": "latin name"} and len(seen.rows) == 3 and not seen.left


def test_links_are_followed_once(tmp_path: Path) -> None:
    elsewhere, root = folder(tmp_path / "elsewhere", [("a.png", P), ("a.txt", "linked")]), folder(tmp_path / "set", B)
    (root / "sub").symlink_to(elsewhere)
    (root / "self").symlink_to(root)
    (root / "c.png").symlink_to(elsewhere / "a.png")
    (root / "c.txt").symlink_to(elsewhere / "a.txt")
    (root / "dangling.png").symlink_to("/nowhere")
    (root / "loop.png").symlink_to("loop.png")
    (root / "up").symlink_to("..")
    (root / "latest").symlink_to("v2")
    folder(root, [("v2/d.png", P), ("v2/d.txt", "real")])
    os.mkfifo(root / "pipe.png")
    seen = look(tmp_path, "folder", root)
    assert seen.train == {"b": "ok", "sub/a": "linked", "c": "linked", "v2/d": "real"}
    assert seen.left == {
        **{"self": "linked twice", "up": "linked twice", "latest": "linked twice", "pipe.png": "not a file"},
        **{"dangling.png": "broken link", "loop.png": "broken link"},
    }


def test_folders_that_name_a_split(tmp_path: Path) -> None:
    files = [
        f for n, s in enumerate(("train", "test", "validation")) for i in range(3)
        for f in ((f"{s}/{i}.png", encoded((90 * n + 9 * i, 0, 0))), (f"{s}/{i}.txt", f"{s} {i}"))
    ]  # fmt: skip
    seen = look(tmp_path, "folder", folder(tmp_path / "set", files))
    assert set(seen.train) == {f"train/{i}" for i in range(3)}
    assert set(seen.test) == {f"{s}/{i}" for s in ("test", "validation") for i in range(3)}
    refused = look(tmp_path / "again", "folder", tmp_path / "set", "data.test=4", "evaluation=none")
    assert refused.error.startswith("data.test=4: ") and "a split of its own (6 test pictures)" in refused.error


@pytest.mark.parametrize(
    "folders, test",
    [
        ("train2017 val2017", "val2017"),
        ("Train_images TEST_images", "TEST_images"),
        ("training validate", "validate"),
        ("train/test train/a dev/a", "dev/a"),
        ("contest latest", ""),
        ("test eval", ""),
    ],
)
def test_what_folders_are_called(folders: str, test: str, tmp_path: Path) -> None:
    files = [
        f for n, s in enumerate(folders.split()) for f in ((f"{s}/0.png", encoded((90 * n, 0, 0))), (f"{s}/0.txt", s))
    ]
    seen = look(tmp_path, "folder", folder(tmp_path / "set", files))
    assert (" ".join(seen.test.values()), len(seen.rows)) == (test, len(folders.split()))


@pytest.mark.parametrize("kind", ["folder", "shards", "one shard"])
@pytest.mark.parametrize("bad", [b"<html>", None])
def test_a_model_is_not_trained_on_its_test_pictures(kind: str, bad: bytes | None, tmp_path: Path) -> None:
    """All pictures of train/ are bad, or have no caption; those of test/ are good."""
    members = [
        f for s in ("train", "test") for i in range(2)
        for f in ((f"{s}/{i}.jpg", bad if bad and s == "train" else encoded((90 * i, 0, 0))), (f"{s}/{i}.txt", f"{s} {i}"))
        if bad or f[0][:5] != "train" or f[0].endswith("jpg")
    ]  # fmt: skip
    place = tmp_path / "set"
    if kind == "folder":
        folder(place, members)
    elif kind == "one shard":
        tar(place / "all.tar", members)
    else:
        for split in ("train", "test"):
            tar(place / f"{split}-000.tar", [(n.partition("/")[2], c) for n, c in members if n.startswith(split)])
    seen = look(tmp_path, kind.split()[-1].rstrip("s").replace("shard", "shards"), place)
    reason = "2 web pages" if bad else "2 pictures have no caption"
    assert f"none of its training pictures can be used: {reason} (" in seen.error and "\n" not in seen.error
    assert "the 2 that can be used lie in paths for testing" in seen.error
    good = folder(
        tmp_path / "good", [("other/0.jpg", b"<html>"), ("other/0.txt", "x"), ("test/b.jpg", J), ("test/b.txt", "b")]
    )
    assert look(tmp_path / "again", "folder", good).train == {"test/b": "b"}


def test_near_equal_pictures_on_both_sides_are_counted(tmp_path: Path) -> None:
    from lightning_diff.data.sources.folder import Folder

    (tmp_path / "set").mkdir()
    for n, split in enumerate(("train", "test")):
        other = encoded((99 * n, 9, 200))
        folder(tmp_path / "set" / split, [("a.txt", split), ("b.png", other), ("b.txt", str(n))])
        Image.radial_gradient("L").resize((64 + 20 * n,) * 2).save(tmp_path / "set" / split / "a.png")
    said = Folder(source=str(tmp_path / "set"), image_size=16).prepare(tmp_path / "cache").said
    assert "2 test for testing; 1 of them are in training too" in said


def test_a_set_that_was_all_bad_can_be_mended(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [("a.png", b"<html>"), ("a.txt", "a")])
    assert look(tmp_path, "folder", root).error
    (root / "a.png").write_bytes(P)
    assert look(tmp_path, "folder", root).train == {"a": "a"}


def test_the_identity_says_which_caption_a_picture_has(tmp_path: Path) -> None:
    from lightning_diff.data.sources.folder import Folder

    def identity(captions: str) -> str:
        root = folder(tmp_path / captions, [("0.png", encoded((1, 2, 3))), ("1.png", P)])
        for i, caption in enumerate(captions):
            (root / f"{i}.txt").write_text(caption)
        return Folder(source=str(root), image_size=16).identity(tmp_path / "cache")

    assert identity("ab") != identity("ba")


def test_a_file_is_named_as_its_key_where_the_disk_can(tmp_path: Path) -> None:
    names = ["A", "a", "k" * 240, "a.png/b", "a/c"]
    seen = look(
        tmp_path, "folder", folder(tmp_path / "set", [f for n in names for f in ((f"{n}.jpg", J), (f"{n}.txt", n))])
    )
    named = {r["key"]: r["file"] for r in seen.rows}
    assert {n: f"train/{n}.png" for n in names if n != "a.png/b"}.items() <= named.items() and len(named) == len(names)


@pytest.mark.parametrize("where", ["file", "file/x", "n" * 300])
def test_a_place_that_cannot_be_written_is_refused(where: str, tmp_path: Path) -> None:
    from lightning_diff.cli.preparing.preview import free_place
    from lightning_diff.config.compose import compose_config

    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^show="):
        free_place(compose_config(["data=folder", f"data.source={tmp_path}"]), str(tmp_path / where), 0)


def test_test_pictures_are_drawn_from_readable_ones(tmp_path: Path) -> None:
    files = [f for i in range(8) for f in ((f"{i}.png", encoded((30 * i, 0, 0))), (f"{i}.txt", f"c{i}"))]
    root = folder(tmp_path / "set", files)
    for i in (3, 7):
        (root / f"{i}.png").write_bytes(b"broken")
    seen = look(tmp_path, "folder", root, "data.test=2", "evaluation=none")
    assert (len(seen.train), len(seen.test), len(seen.left)) == (4, 2, 2)


def test_what_is_alike_stays_on_one_side(tmp_path: Path) -> None:
    """Pairs of equal pictures, of nearly equal ones (another size and quality), and of equal captions."""
    root = tmp_path / "set"
    root.mkdir()
    for i in range(12):
        noise = Image.effect_noise((64, 64), 60 + i).convert("RGB")
        for k in range(2):
            some = noise if i % 3 == 0 else noise.resize((90, 90)) if i % 3 == 1 and k else noise
            some = Image.effect_noise((64, 64), 20 + 2 * i).convert("RGB") if i % 3 == 2 and k else some
            some.save(root / f"{k}{i:02d}.jpg", quality=95 - 10 * k)
            (root / f"{k}{i:02d}.txt").write_text(f"thing {i}" if i % 3 == 2 else f"thing {i} {k}")
    seen = look(tmp_path, "folder", root, "data.test=8", "evaluation=none")
    assert len(seen.test) == 8 and {key[1:] for key in seen.test} & {key[1:] for key in seen.train} == set()


def test_the_split_depends_on_contents_alone(tmp_path: Path) -> None:
    files = [f for i in range(20) for f in ((f"{i:02d}.png", encoded((10 * i, 9, 9))), (f"{i:02d}.txt", f"c{i}"))]
    there = look(tmp_path, "folder", folder(tmp_path / "set", files), "data.test=5", "evaluation=none")
    renamed = [(f"z{99 - int(name[:2])}/{name[2:]}".replace("/.", "x."), data) for name, data in files]
    again = look(tmp_path / "again", "folder", folder(tmp_path / "other", renamed), "data.test=5", "evaluation=none")
    assert sorted(there.test.values()) == sorted(again.test.values()) and len(there.test) == 5


def test_a_picture_that_is_replaced_by_one_of_equal_size_is_seen(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for n, colour in enumerate(((200, 0, 0), (0, 200, 0))):
        picture = root / "a.png"
        Image.new("RGB", (70, 50), colour).save(picture, compress_level=0)
        os.utime(picture, (1e9, 1e9))  # as rsync -t and cp -p leave it
        (root / "a.txt").write_text("one")
        seen = look(tmp_path, "folder", root)
        assert Image.open(seen.folder / "train" / "a.png").getpixel((3, 3)) == colour, n
        shutil.rmtree(seen.folder)


@pytest.mark.parametrize(
    "files, said",
    [
        ([], "it holds nothing"),
        (
            [("a.png", P)],
            "no captioned picture in it; 1 picture has no caption (a.png); put KEY.txt beside KEY.jpg",
        ),
        ([("a.png", P), ("b.png", P)], "it; 2 pictures have no caption (a.png, b.png); put KEY.txt"),
        ([("0.tar", b"x"), ("1.tar", b"x")], "2 files have an unknown ending (*.tar); rename"),
        ([("a.png", P), ("captions.tsv", "x")], "(data=table source='SET/*.tsv' reads a table of captions)"),
        ([("a.png", P), ("all.json", "[]")], "(data=table source='SET/all.json' reads a table of captions)"),
        ([("a.png", b"?"), ("a.txt", "a")], "of 1 captioned picture none can be used"),
    ],
)
def test_nothing_to_use_says_what_is_there(files: Members, said: str, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    said = said.replace("SET", str(tmp_path / "set"))
    assert said in look(tmp_path, "folder", folder(tmp_path / "set", files)).error


def test_max_bad_ends_it_in_one_line(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [*B, ("a.jpg", b"<html>"), ("a.txt", "a")])
    said = look(tmp_path, "folder", root, "data.max_bad=0.01").error
    assert "1 of 2 samples cannot be used, more than data.max_bad=0.01 allows: 1 web page (a.jpg)" in said


def test_what_is_cropped_and_scaled_is_told(tmp_path: Path) -> None:
    files = [
        ("a.png", encoded(form="PNG", size=(8, 8))),
        ("a.txt", "small"),
        ("b.png", encoded(form="PNG", size=(90, 30))),
        ("b.txt", "wide"),
    ]
    seen = look(tmp_path, "folder", folder(tmp_path / "set", files))
    told = [(r["width"], r["height"], r["scaled"], r["cropped"]) for r in seen.rows]
    assert told == [("8", "8", "up", "0.000"), ("90", "30", "down", "0.667")]


def test_padded_pictures_are_shown_whole_and_the_remedy_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Blue with a red quarter at each end: the crop takes the red away. 40 x 30 loses exactly a quarter, which is not more."""
    wide = Image.new("RGB", (80, 20), (0, 0, 200))
    wide.paste((200, 0, 0), (0, 5, 20, 15))
    wide.save(tmp_path / "wide.png")
    files = [
        *(("a.png", (tmp_path / "wide.png").read_bytes()), ("a.txt", "wide")),
        *(("b.png", encoded(form="PNG", size=(40, 30))), ("b.txt", "nearly square")),
    ]
    root = folder(tmp_path / "set", files)
    remedy = "1 picture loses more than a quarter of its pixels to the crop; data.fit=pad keeps it whole"
    for fit, cropped, corner, end in (
        ("crop", ["0.750", "0.250"], (0, 0, 200), (0, 0, 200)),
        ("pad", ["0.000", "0.000"], (0, 0, 200), (200, 0, 0)),
    ):
        seen = look(tmp_path / fit, "folder", root, f"data.fit={fit}")
        assert [r["cropped"] for r in seen.rows] == cropped
        picture = Image.open(seen.folder / "train" / "a.png")
        assert picture.getpixel((0, 0)) == corner and np.allclose(picture.getpixel((1, 8)), end, atol=20)
        assert (remedy in capsys.readouterr().out) == (fit == "crop")
