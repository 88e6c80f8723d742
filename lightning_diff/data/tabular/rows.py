"""Tables of captioned pictures as a source: COCO's captions, JSON, JSON lines, CSV and Parquet. A row names a picture's file,
or holds its bytes, and has a caption or several."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...config.errors import ConfigError
from ...strings import clean_text, decode_text
from ..incoming.captions import KEYS, NOT_UTF8, NoCaption, captions_of, values_of
from ..incoming.ingest import Found, Listing
from ..incoming.names import clean, split_ending
from ..incoming.tables import PICTURE_KEYS, records_of, table_of
from ..sample import LeftOut, left_out
from .filters import passing

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
# Columns that may hold a picture.
BYTES = ("bytes", "image_bytes", "image", "img", "picture", "jpg", "jpeg", "png", "webp")
NAMES = ("key", "__key__", "id", "image_id", "uid")  # columns that name a row
ROW, GROUP = "__row", "__group"  # columns that we add: where a row lies in its file


@dataclass(frozen=True)
class Cell:
    """A picture in a Parquet file: the file, the column, the row group and the row in it."""

    file: Path
    column: str
    group: int
    row: int

    def read_bytes(self) -> bytes:
        """Its bytes. Raises OSError."""
        import pyarrow

        try:
            value = _group(self.file, self.column, self.group)[self.row].as_py()
        except (pyarrow.ArrowException, IndexError) as e:
            raise OSError(f"{self.file}: {e}") from e
        value = value.get("bytes") if isinstance(value, Mapping) else value
        return value if isinstance(value, bytes) else b""


@lru_cache(4)
def _group(file: Path, column: str, group: int) -> Any:
    """A column of a row group. Rows are read in order, so the last ones read are those that are wanted again."""
    from pyarrow import parquet

    return parquet.ParquetFile(file, memory_map=True).read_row_group(group, [column]).column(0)


def table_files(source: str) -> list[Path]:
    """The files that a source names: one, or a pattern. Empty if there is none."""
    places = [source] if os.path.isfile(source) else sorted(glob.glob(source, recursive=True))
    return [Path(place) for place in places if place.lower().endswith(ENDINGS) and os.path.isfile(place)]


def list_tables(files: Sequence[Path], root: Path, lines: bool, wanted: str, words: str) -> Listing:
    """The captioned pictures of tables, and what is left out. Relative paths are seen from the folder `root`; a file that is
    not in it is left out. `wanted` is a filter, or empty. Raises ConfigError."""
    listing = Listing()
    found: dict[str, tuple[Path | Cell, list[Any], int]] = {}
    inside = os.path.realpath(root)
    for file in files:
        table, valid, damaged = _read(file, words)
        source = str(file)
        if damaged:
            listing.left.append(left_out(source, "", "damaged row", count=damaged))
        every = table.num_rows
        if wanted:
            table = passing(wanted, table, f"{words}: data.filter={wanted}")
        if every > table.num_rows:
            listing.left.append(left_out(source, "", "filtered out", count=every - table.num_rows))
        for row in _rows(table):
            found_at = _picture(file, table, row, root, inside)
            if isinstance(found_at, LeftOut):
                listing.left.append(found_at)
                continue
            picture, place = found_at
            if place in found and isinstance(picture, Cell):
                listing.left.append(left_out(source, place, "second of its name"))
                continue
            _, captions, bits = found.setdefault(place, (picture, [], 0))
            values = values_of(row) or [row[name] for name in row if name.strip().casefold() in KEYS][:1]
            captions += [one for value in values[:1] for one in (value if isinstance(value, list) else [value])]
            found[place] = (picture, captions, bits | (0 if valid else NOT_UTF8))
    for place, (picture, values, bits) in sorted(found.items()):
        some = [v for i, v in enumerate(values) if v is not None and v not in values[:i]]
        try:
            said, remarks = captions_of(None, None, lines, some)
        except NoCaption as e:
            listing.left.append(left_out(str(root), place, str(e) if some else "no caption"))
        else:
            key, reads = clean_text(split_ending(place)[0]), picture.read_bytes if isinstance(picture, Cell) else None
            path = picture.file if isinstance(picture, Cell) else picture
            listing.found.append(Found(path, key, clean_text(place), tuple(said), remarks | bits, reads))
    return listing


def _read(file: Path, words: str) -> tuple[Any, bool, int]:
    """(the table, whether its bytes are text, the number of rows that cannot be read). Raises ConfigError."""
    import pyarrow

    try:
        if file.suffix.lower() == ".parquet":
            return _parquet(file), True, 0
        text, valid = decode_text(file.read_bytes())
        if file.suffix.lower() in (".csv", ".tsv"):
            rows = list(table_of(text))
        elif file.suffix.lower() == ".json":
            rows = list(_coco(json.loads(text)))
        else:
            rows = list(records_of(text))
        good = [row for row in rows if isinstance(row, Mapping)]
        return _columns(good), valid, len(rows) - len(good)
    except OSError as e:
        raise ConfigError(f"{words}: {file}: {e.strerror or e}") from e
    except (pyarrow.ArrowException, ValueError, RecursionError) as e:
        raise ConfigError(f"{words}: {file}: damaged: {(str(e).splitlines() or ['?'])[0]}") from e


def _coco(value: Any) -> Iterator[Any]:
    """The rows of COCO's captions (images and annotations), or of a list of tables."""
    if isinstance(value, list):
        yield from value
        return
    if not isinstance(value, Mapping) or not isinstance(value.get("images"), list):
        raise ValueError("neither a list nor COCO's captions, which have images and annotations")
    captions: dict[Any, list[Any]] = {}
    for one in value.get("annotations") or []:
        if isinstance(one, Mapping) and "caption" in one:
            captions.setdefault(one.get("image_id"), []).append(one["caption"])
    for image in value["images"]:
        plain = isinstance(image, Mapping) and {k: v for k, v in image.items() if isinstance(v, str | int | float)}
        yield {**plain, "caption": captions.get(image.get("id"), [])} if plain else None


def _columns(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A table of rows that are tables of texts, numbers and lists. A column of texts that are all numbers becomes numbers; of a
    column of unlike values each becomes a text."""
    import pyarrow

    made = {}
    for name in dict.fromkeys(str(key) for row in rows for key in row):
        values = [row.get(name) for row in rows]
        said = name.strip().casefold()
        if said not in (*PICTURE_KEYS, *KEYS) and all(isinstance(v, str | None) for v in values):
            made[name] = _numbers([v.strip() if v else None for v in values])
            continue
        try:
            made[name] = pyarrow.array([[v] if said in KEYS and not isinstance(v, list) else v for v in values])
        except pyarrow.ArrowException:
            made[name] = pyarrow.array([v if isinstance(v, str | None) else json.dumps(v) for v in values])
    table = pyarrow.table(made)
    return table.append_column(ROW, pyarrow.array(range(len(rows)), pyarrow.int64()))


def _numbers(values: Sequence[str | None]) -> Any:
    import pyarrow

    whole = pyarrow.array([v or None for v in values], pyarrow.string())
    for kind in (pyarrow.int64(), pyarrow.float64()):
        try:
            return whole.cast(kind)
        except pyarrow.ArrowException:
            continue
    return whole


def _parquet(file: Path) -> Any:
    """All columns of a Parquet file but those that hold bytes, with each row's group and number in it."""
    import pyarrow
    from pyarrow import parquet

    opened = parquet.ParquetFile(file, memory_map=True)
    names = [field.name for field in opened.schema_arrow if not _holds_bytes(field.type)]
    sizes = [opened.metadata.row_group(i).num_rows for i in range(opened.metadata.num_row_groups)]
    table = opened.read(names)
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    numbers = [row for size in sizes for row in range(size)]
    table = table.append_column(GROUP, pyarrow.array(groups, pyarrow.int64()))
    table = table.append_column(ROW, pyarrow.array(numbers, pyarrow.int64()))
    held = [f.name for f in opened.schema_arrow if _holds_bytes(f.type) and f.name.strip().casefold() in BYTES]
    return table.replace_schema_metadata({"picture": held[0] if held else ""})


def _holds_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return any(kind.field(i).name == "bytes" and _holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return types.is_binary(kind) or types.is_large_binary(kind)


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _picture(
    file: Path, table: Any, row: Mapping[str, Any], root: Path, inside: str
) -> tuple[Path | Cell, str] | LeftOut:
    """(the picture of a row, its place), or why it has none."""
    fields = {str(key).strip().casefold(): value for key, value in row.items()}
    column = (table.schema.metadata or {}).get(b"picture", b"").decode()
    if column:
        named = next((str(fields[name]) for name in NAMES if fields.get(name) is not None), "")
        place = clean(f"{file.stem}/{named or f'{row[GROUP]:05d}-{row[ROW]:06d}'}") + ".picture"
        return Cell(file, column, row[GROUP], row[ROW]), place
    written = next((fields[key] for key in PICTURE_KEYS if isinstance(fields.get(key), str) and fields[key]), "")
    if not written:
        return left_out(str(file), f"row {row[ROW]}", "damaged row")
    path = root / written.strip()
    real = os.path.realpath(path)
    below = os.path.relpath(os.path.abspath(path), os.path.abspath(root))
    if below.startswith("..") or os.path.commonpath([inside, real]) != inside:
        return left_out(str(file), written, "outside")
    return (path, clean(below)) if path.is_file() else left_out(str(file), written, "no picture")
