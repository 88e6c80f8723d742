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
from lightning_diff.data.index import Index, ShardReader
from lightning_diff.data.sample import lost
from lightning_diff.data.shards import write_shard
from lightning_diff.data.sources.base import Prepared
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
