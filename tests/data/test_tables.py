"""Tables of pictures as a source, and filters: each row is read right or left out by name, and a filter is never executed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from lightning_diff.config.errors import ConfigError
from lightning_diff.data.incoming.captions import NOT_UTF8
from lightning_diff.data.index import Index, ShardReader
from lightning_diff.data.sample import lost
from lightning_diff.data.shards import write_shard
from lightning_diff.data.sources.base import Prepared, Source
from lightning_diff.data.sources.coco import Coco
from lightning_diff.data.sources.shards import Shards
from lightning_diff.data.sources.table import Table
from lightning_diff.data.tabular.filters import fault_of, passing


def png(i: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (20 + i, 16), (40 * i, 9, 200)).save(made, "PNG")
    return made.getvalue()


def pictures(folder: Path, count: int = 4) -> Path:
    folder.mkdir()
    for i in range(count):
        (folder / f"p{i}.png").write_bytes(png(i))
    return folder


def held(index: Index) -> dict[str, list[str]]:
    reader = ShardReader(index)
    return {str(index.keys[i]): reader.captions(i) for i in range(len(index))}


def prepared(table: Path, cache: Path, **keys: str) -> tuple[dict[str, list[str]], Prepared]:
    found = Table(source=str(table), image_size=16, test="none", **keys).prepare(cache)
    return held(found.splits["train"]), found


def reasons(found: Prepared) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in found.left:
        counts[one.reason] = counts.get(one.reason, 0) + one.count
    return counts


def coco(folder: Path) -> Path:
    images = [{"id": i, "file_name": f"p{i}.png", "width": 20 + i, "height": 16} for i in range(5)]
    said = [(0, "a"), (0, "b"), (1, "c"), (2, "d"), (4, "gone")]
    notes = [{"image_id": i, "caption": text} for i, text in said]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": notes}))
    return folder / "captions.json"


def test_cocos_captions(tmp_path: Path) -> None:
    said, found = prepared(coco(pictures(tmp_path / "set")), tmp_path / "cache")
    assert said == {"p0": ["a", "b"], "p1": ["c"], "p2": ["d"]}
    assert reasons(found) == {"no caption": 1, "no picture": 1}


def test_a_filter_leaves_rows_out_by_their_columns(tmp_path: Path) -> None:
    table = coco(pictures(tmp_path / "set"))
    said, found = prepared(table, tmp_path / "cache", filter="width >= 21 and id != 2")
    assert said == {"p1": ["c"]}
    assert reasons(found) == {"filtered out": 2, "no caption": 1, "no picture": 1} and lost(found.left) == 2
    with pytest.raises(ConfigError, match=r"data\.filter=depth > 2: no column 'depth'; there are .*width"):
        prepared(table, tmp_path / "cache", filter="depth > 2")


def test_a_csv_with_a_row_for_each_caption_in_another_folder(tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    rows = [
        "image,score,caption",
        "p0.png,0.3,first",
        "p0.png,0.9,second",
        "p1.png,,third",
        "../secret.png,1,x",
        "p9.png,1,y",
    ]
    (tmp_path / "secret.png").write_bytes(png(0))
    (tmp_path / "t.csv").write_text("\n".join(rows))
    said, found = prepared(tmp_path / "t.csv", tmp_path / "cache", pictures=str(root))
    assert said == {"p0": ["first", "second"], "p1": ["third"]}
    assert reasons(found) == {"outside": 1, "no picture": 1}
    assert prepared(tmp_path / "t.csv", tmp_path / "cache", pictures=str(root), filter="score > 0.5")[0] == {
        "p0": ["second"]
    }


@pytest.mark.parametrize("nested", [False, True])
def test_parquet_with_the_pictures_in_it(tmp_path: Path, nested: bool) -> None:
    data = [png(0), b"no picture", png(2), png(3)]
    column = [{"bytes": one, "path": "x"} for one in data] if nested else data
    table = pyarrow.table({"image": column, "text": ["a", "b", None, ["d"][0]], "similarity": [0.1, 0.3, 0.4, 0.5]})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    said, found = prepared(tmp_path / "t.parquet", tmp_path / "cache", filter="similarity < 0.45 or similarity >= 0.5")
    assert said == {"t/00000-000000": ["a"], "t/00001-000001": ["d"]}
    assert reasons(found) == {"not a picture": 1, "no caption": 1} or reasons(found) == {
        "text file": 1,
        "no caption": 1,
    }
    index = found.splits["train"]
    assert Image.open(io.BytesIO(ShardReader(index).picture(1))).getpixel((8, 8)) == (120, 9, 200)
    assert index.facts.sizes.tolist() == [[20, 16], [23, 16]]


def test_shards_are_filtered_by_their_records_and_true_sizes_without_a_copy(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    members = [
        {
            "__key__": f"k{i}",
            "png": png(i),
            "txt": f"c{i}",
            "json": json.dumps({"similarity": i / 10, "width": 999}).encode(),
        }
        for i in range(4)
    ]
    write_shard(folder / "00000.tar", members)
    found = Shards(
        source=str(folder), image_size=16, test="none", filter="similarity > 0.05 and not width in [22]"
    ).prepare(tmp_path / "cache")
    assert held(found.splits["train"]) == {"k1": ["c1"], "k3": ["c3"]}
    assert reasons(found) == {"filtered out": 2} and found.splits["train"].shards == [folder / "00000.tar"]
    for wanted, said in (("depth > 1", "no field 'depth'"), ("width > 99", "it holds for none of 4 samples")):
        with pytest.raises(ConfigError, match=said):
            Shards(source=str(folder), test="none", filter=wanted).prepare(tmp_path / "cache")


TABLE = {"a": [1, 2, 3, None], "b": ["x", "y", "z", "x"], "c": [0.5, 1.5, 2.5, 3.5]}


@pytest.mark.parametrize(
    "wanted, rows",
    [
        ("a >= 2", [1, 2]),
        ("a > 1 and b == 'y'", [1]),
        ("a < 2 or c > 3", [0, 3]),
        ("not (b in ['x', 'z'])", [1]),
        ("b not in ('x',)", [1, 2]),
        ("1 < a <= 3", [1, 2]),
        ("a * 2 + 1 > c - -1", [0, 1, 2]),
        ("c / a < 0.8", [0, 1]),
        ("whole / 2 > 0.6", [2, 3]),  # 3 / 2 is 1.5
        ("whole / 2 == 1.5", [3]),
        ("small - 100 >= 0", [1, 2, 3]),  # of unsigned numbers
        ("small * 300 * whole > 70000", [3]),  # of 16 bits
        ("-small < -100", [2, 3]),
    ],
)
def test_what_a_filter_keeps(wanted: str, rows: list[int]) -> None:
    assert fault_of(wanted) == ""
    small = pyarrow.array([1, 100, 101, 200], pyarrow.uint16())
    whole = pyarrow.array([0, 1, 2, 3], pyarrow.int64())
    table = pyarrow.table({**TABLE, "row": range(4), "small": small, "whole": whole})
    assert passing(wanted, table, "here").column("row").to_pylist() == rows


@pytest.mark.parametrize(
    "wanted",
    [
        "__import__('os').system('touch {0}')",
        "a.b > 1",
        "a[0] > 1",
        "(lambda: 1)() > a",
        "[x for x in a]",
        "a if b else c",
        "a := 2",
        "f'{{a}}' == b",
        "a > 1; b",
        "a ** 9 ** 9 > 1",
        "a in b",
        "1 < 2",
        "a >",
        "(" * 60 + "a" + ")" * 60 + " > 1" + " and (a > 1" * 40 + ")" * 40,
        "a > " + "9" * 3000,
    ],
)
def test_a_filter_is_never_executed(wanted: str, tmp_path: Path) -> None:
    source = Table(source=str(tmp_path), filter=wanted.format(tmp_path / "executed"))
    assert any(line.startswith("data.filter=") for line in source.conflicts("diffusion", None))
    assert not (tmp_path / "executed").exists()


def test_what_is_no_table_is_one_line(tmp_path: Path) -> None:
    for name, data, said in (
        ("a.json", b'{"x": 1}', "damaged: neither a list nor COCO's captions"),
        ("b.parquet", b"PAR1 not really", "b.parquet: damaged"),
        ("c.json", b"[" * 100_000, "damaged"),
        ("d.txt", b"", "no such table"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigError, match=said) as e:
            Table(source=str(tmp_path / name)).prepare(tmp_path / "cache")
        assert "\n" not in str(e.value)


ROWS = [{"file_name": f"p{i}.png", "caption": f"c {i}", "id": i} for i in range(3)]
ODD_ROWS = {  # a row, the name and the reason it is left out by; none: it is used
    "zero byte": ({"file_name": "p3\0.png", "caption": "x"}, ("p3\0.png", "no picture")),
    "long name": ({"file_name": f"{'x' * 300}.png", "caption": "x"}, (f"{'x' * 300}.png", "no picture")),
    "large number": ({"file_name": "p3.png", "caption": "x", "id": 2**70}, None),
    "larger number": ({"file_name": "p3.png", "caption": "x", "id": 10**400}, None),
    "number": ({"file_name": "p3.png", "caption": 5}, ("p3.png", "caption is not text")),
    "true": ({"file_name": "p3.png", "caption": True}, ("p3.png", "caption is not text")),
    "table": ({"file_name": "p3.png", "caption": {"en": "a"}}, ("p3.png", "caption is not text")),
    "surrogate": ({"file_name": "p3.png", "caption": "a \ud83d"}, None),
    "list": ([1], ("", "damaged row")),
}


@pytest.mark.parametrize("case", ODD_ROWS)
def test_an_odd_row_costs_itself_alone(tmp_path: Path, case: str) -> None:
    row, why = ODD_ROWS[case]
    table = pictures(tmp_path / "set") / "rows.jsonl"
    table.write_text("\n".join(map(json.dumps, [*ROWS, row])))
    said, found = prepared(table, tmp_path / "cache")
    assert said == {**{f"p{i}": [f"c {i}"] for i in range(3)}, **({} if why else {"p3": held_caption(row)})}
    assert [(one.member, one.reason) for one in found.left] == ([why] if why else [])
    remarks = dict(zip(said, found.splits["train"].facts.remarks.tolist(), strict=True))
    assert remarks == dict.fromkeys(said, 0) | ({"p3": NOT_UTF8} if case == "surrogate" else {})


def held_caption(row: object) -> list[str]:
    assert isinstance(row, dict)
    return [row["caption"].replace("\ud83d", "\ufffd")]


ODD_COCO: dict[str, tuple[object, object, dict[str, int] | None]] = {
    "a list for an image": ([{"id": [1], "file_name": "p2.png"}], [], {"damaged row": 1}),
    "two of one id": ([{"id": 0, "file_name": "p2.png"}], [], {"second of its name": 1}),
    "a list in an annotation": ([], [{"image_id": [1], "caption": "x"}], {"damaged row": 1}),
    "no image": ([], [{"image_id": 9, "caption": "x"}] * 2, {"no picture": 2}),
    "no text": ([{"id": 2, "file_name": "p2.png"}], [{"image_id": 2, "caption": 5}], {"caption is not text": 1}),
    "a number of annotations": ([], None, None),
}


@pytest.mark.parametrize("kind", ["coco", "table"])
@pytest.mark.parametrize("case", ODD_COCO)
def test_what_is_odd_in_cocos_captions_is_named(tmp_path: Path, case: str, kind: str) -> None:
    images, notes, reason = ODD_COCO[case]
    root = pictures(tmp_path / "set")
    said = {"images": [{"id": i, "file_name": f"p{i}.png"} for i in range(2)], "annotations": 5}
    if isinstance(notes, list) and isinstance(images, list):
        said["images"] += images  # type: ignore[operator]
        said["annotations"] = [{"image_id": i, "caption": f"c {i}"} for i in range(2)] + notes
    (root / "said.json").write_text(json.dumps(said))
    place, keys = str(root / "said.json"), {"image_size": 16, "test": "none"}
    source: Source = (
        Table(source=place, **keys) if kind == "table" else Coco(source=str(root), annotations=place, **keys)
    )  # type: ignore[arg-type]
    if reason is None:
        with pytest.raises(ConfigError, match="no lists of images and annotations"):
            source.prepare(tmp_path / "cache")
        return
    found = source.prepare(tmp_path / "cache")
    assert held(found.splits["train"]) == {"p0": ["c 0"], "p1": ["c 1"]} and reasons(found) == reason


def test_parquet_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for n, name in enumerate(("one/0000", "two/0000", "two/0001")):
        column = [{"bytes": png(10 * n + i), "path": "x"} for i in range(3)]
        table = pyarrow.table({"image": column, "text": [f"{name} {i}" for i in range(3)]})
        when = pyarrow.array([10**18 + 1] * 3, pyarrow.timestamp("ns"))  # no date of Python; nobody asks for it
        (tmp_path / f"{name}.parquet").parent.mkdir(exist_ok=True)
        parquet.write_table(table.append_column("when", when), tmp_path / f"{name}.parquet", row_group_size=2)
    said, found = prepared(tmp_path / "**" / "*.parquet", tmp_path / "cache")
    assert found.left == []
    assert said == {
        f"{key}/{row // 2:05d}-{row % 2:06d}": [f"{name} {row}"]
        for name, key in (("one/0000", "one/0000"), ("two/0000", "two/0000"), ("two/0001", "0001"))
        for row in range(3)
    }


def test_a_number_that_no_column_holds_is_missing_in_a_filter(tmp_path: Path) -> None:
    digits = ["0.5", "1" + "0" * 400, "0.1"]
    members = ({"__key__": f"{i}", "png": png(i), "txt": "c", "json": f'{{"s": {n}}}'} for i, n in enumerate(digits))
    write_shard(tmp_path / "0.tar", members)
    found = Shards(source=str(tmp_path / "0.tar"), filter="s > 0.2", test="none").prepare(tmp_path / "cache")
    assert held(found.splits["train"]) == {"0": ["c"]} and reasons(found) == {"filtered out": 2}
