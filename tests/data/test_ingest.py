"""A user's folder: pictures beside captions become shards, and what cannot is named and counted."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lightning_diff.config.errors import ConfigError
from lightning_diff.data.decode import open_picture
from lightning_diff.data.index import ShardReader
from lightning_diff.data.sources.folder import Folder


def put(
    folder: Path, name: str, caption: str | None = None, color: str = "red", size: tuple[int, int] = (20, 14)
) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    if caption is not None:
        path.with_suffix(".txt").write_text(caption, "utf-8")


def data(folder: Path, test: int = 0) -> Folder:
    return Folder(source=str(folder), image_size=16, test=test)


def prepared(folder: Path, cache: Path, test: int = 0) -> dict[str, list[tuple[str, str]]]:
    """{split: (key, caption) of each sample}."""
    found = {}
    for split, index in data(folder, test).prepare(cache).splits.items():
        reader = ShardReader(index)
        found[split] = [(str(k), reader.read(i)[1]) for i, k in enumerate(index.keys)]
    return {"train": [], "test": []} | found


def left(folder: Path, cache: Path) -> dict[str, str]:
    """{file: reason} of what is left out."""
    return {one.member: one.reason for one in data(folder).prepare(cache).left}


def test_a_picture_that_changes_while_it_is_read_is_one_line_and_never_kept_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    for name, colour in (("a", "red"), ("b", "blue")):
        put(folder, f"{name}.png", f"picture {name}", colour, (16, 16))
    hashes = Folder.hashes

    def then_swapped(self: Folder, *given: Any) -> list[str]:
        found = hashes(self, *given)
        for old, new in (("a", "t"), ("b", "a"), ("t", "b")):
            (folder / f"{old}.png").rename(folder / f"{new}.png")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "hashes", then_swapped)
        with pytest.raises(ConfigError, match=r"\.png: it changed while the set was read; give the command again"):
            data(folder).prepare(tmp_path / "cache")
    index = data(folder).prepare(tmp_path / "cache").splits["train"]
    seen = {index.keys[i]: open_picture(index.reader().read(i)[0]).getpixel((0, 0)) for i in range(2)}
    assert seen == {"a": (0, 0, 255), "b": (255, 0, 0)}


def test_every_format_and_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "Bilder 猫"
    put(folder, "a.png", "an apple")
    put(folder, "b.JPG", "\n  a banana \nsecond line\n")
    put(folder, "c.webp", "“eine Kirsche”")
    put(folder, "bücher/straße 1.jpeg", "本")
    put(folder, "alone.png")
    (folder / "notes.txt").write_text("not a caption")
    found = prepared(folder, tmp_path / "cache")
    assert sorted(c for _, c in found["train"]) == sorted(["an apple", "a banana second line", "“eine Kirsche”", "本"])
    assert found["test"] == []
    assert left(folder, tmp_path / "cache") == {"alone.png": "no caption", "notes.txt": "no picture"}


@pytest.mark.parametrize(
    "names", [("a.png", "a.jpg"), ("cat.1.png", "cat_1.png"), ("b/c.png", "b_c.png"), ("A.png", "a.png")]
)
def test_names_that_are_alike_stay_apart(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        put(tmp_path / "f", name, "a caption")
    found = prepared(tmp_path / "f", tmp_path / "cache")["train"]
    assert len({key for key, _ in found}) == 2


def test_a_broken_picture_is_named_counted_and_left_out(tmp_path: Path) -> None:
    put(tmp_path / "f", "a.png", "fine")
    put(tmp_path / "f", "b.png", "broken")
    (tmp_path / "f" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert [c for _, c in prepared(tmp_path / "f", tmp_path / "cache")["train"]] == ["fine"]
    assert left(tmp_path / "f", tmp_path / "cache") == {"b.png": "truncated"}


def test_a_byte_order_mark_is_no_part_of_a_caption(tmp_path: Path) -> None:
    put(tmp_path / "f", "a.png")
    (tmp_path / "f" / "a.txt").write_bytes(b"\xef\xbb\xbffrom Notepad\r\n")
    assert prepared(tmp_path / "f", tmp_path / "cache")["train"][0][1] == "from Notepad"


@pytest.mark.parametrize("case", ["missing", "empty", "no captions", "all broken", "only empty captions"])
def test_a_folder_of_nothing_is_one_clear_line(tmp_path: Path, case: str) -> None:
    folder = tmp_path / "f"
    if case != "missing":
        folder.mkdir()
    if case not in ("missing", "empty"):
        put(
            folder, "a.png", None if case == "no captions" else "  \n" if case == "only empty captions" else "a caption"
        )
    if case == "all broken":
        (folder / "a.png").write_bytes(b"?")
    with pytest.raises(ConfigError, match=r"^data\.source=") as e:
        data(folder).prepare(tmp_path / "cache")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("test", [0, 1, 3, 9])
def test_the_splits_share_no_picture_and_lose_none(tmp_path: Path, test: int) -> None:
    for i in range(10):
        put(tmp_path / "f", f"{i}.png", f"caption {i}")
    found = prepared(tmp_path / "f", tmp_path / "cache", test)
    assert (len(found["train"]), len(found["test"])) == (10 - test, test)
    assert sorted(c for _, c in found["train"] + found["test"]) == [f"caption {i}" for i in range(10)]


def test_no_split_may_take_everything(tmp_path: Path) -> None:
    put(tmp_path / "f", "a.png", "a caption")
    with pytest.raises(ConfigError, match=r"data\.test=1"):
        data(tmp_path / "f", test=1).prepare(tmp_path / "cache")


def test_the_identity_follows_what_is_in_the_folder(tmp_path: Path) -> None:
    put(tmp_path / "f", "a.png", "one")
    seen = [data(tmp_path / "f").identity(tmp_path / "cache")]
    (tmp_path / "f" / "a.txt").write_text("two")
    seen.append(data(tmp_path / "f").identity(tmp_path / "cache"))
    put(tmp_path / "f", "b.png", "three")
    seen.append(data(tmp_path / "f").identity(tmp_path / "cache"))
    assert len(set(seen)) == len(seen)
    assert data(tmp_path / "f").identity(tmp_path / "cache") == seen[-1]
