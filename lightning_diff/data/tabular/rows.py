"""Tables of captioned pictures as a source: COCO's captions, JSON, JSON lines, CSV and Parquet. A row names a picture's file,
or holds its bytes, and has a caption or several."""

from __future__ import annotations

import glob
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...config.errors import ConfigError
from ...strings import SURROGATE, clean_text, decode_text
from ..incoming.captions import KEYS, NOT_UTF8, NoCaption, captions_of, values_of
from ..incoming.coco import described
from ..incoming.ingest import Found, Listing
from ..incoming.names import clean, split_ending
from ..incoming.tables import PICTURE_KEYS, Rest, records_of, table_of
from ..sample import LeftOut, left_out
from .filters import names_of, passing

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
# Columns that may hold a picture.
BYTES = ("bytes", "image_bytes", "image", "img", "picture", "jpg", "jpeg", "png", "webp")
NAMES = ("key", "__key__", "id", "image_id", "uid")  # columns that name a row
# Columns that we add: where a row lies in its file, and whether its caption has characters that are none.
ROW, GROUP, ODD = "__row", "__group", "__odd"
USED = {*PICTURE_KEYS, *KEYS, *NAMES, ROW, GROUP, ODD}


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


@lru_cache(2)
def _group(file: Path, column: str, group: int) -> Any:
    """A column of a row group, of a column of tables their bytes alone. Rows are read in order, so that the two groups that were
    read last, which take all of the memory here, are those that are wanted again."""
    import pyarrow
    from pyarrow import parquet

    opened = parquet.ParquetFile(file, memory_map=True)
    nested = pyarrow.types.is_struct(opened.schema_arrow.field(column).type)
    return opened.read_row_group(group, [f"{column}.bytes" if nested else column]).column(0)


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
    for file, name in zip(files, _names(files), strict=True):
        table, valid, rest = _read(file, words, wanted)
        source = str(file)
        listing.left += [left_out(source, member, reason, count=count) for member, reason, count in rest]
        every = table.num_rows
        if wanted:
            table = passing(wanted, table, f"{words}: data.filter={wanted}")
        if every > table.num_rows:
            listing.left.append(left_out(source, "", "filtered out", count=every - table.num_rows))
        for row in _rows(table):
            found_at = _picture(file, name, table, row, root, inside)
            if isinstance(found_at, LeftOut):
                listing.left.append(found_at)
                continue
            picture, place = found_at
            if place in found and isinstance(picture, Cell):
                listing.left.append(left_out(source, place, "second of its name"))
                continue
            _, captions, bits = found.setdefault(place, (picture, [], 0))
            values = values_of(row) or [row[key] for key in row if key.strip().casefold() in KEYS][:1]
            captions += [one for value in values[:1] for one in (value if isinstance(value, list) else [value])]
            found[place] = (picture, captions, bits | (0 if valid and not row.get(ODD) else NOT_UTF8))
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


def _names(files: Sequence[Path]) -> list[str]:
    """What the keys of each file's rows begin with: its name without the ending, below the folder that all share where several
    have that name."""
    stems = Counter(file.stem for file in files)
    above = os.path.commonpath([file.parent for file in files]) if files else ""
    return [f.stem if stems[f.stem] == 1 else f.relative_to(above).with_suffix("").as_posix() for f in files]


def _read(file: Path, words: str, wanted: str) -> tuple[Any, bool, list[Rest]]:
    """(the table, whether its bytes are text, what cannot be read of it). Raises ConfigError."""
    import pyarrow

    try:
        if file.suffix.lower() == ".parquet":
            return _parquet(file, wanted), True, []
        text, valid = decode_text(file.read_bytes())
        left = list[Rest]()
        if file.suffix.lower() in (".csv", ".tsv"):
            rows: Iterable[Any] = table_of(text)
        elif file.suffix.lower() == ".json":
            value = json.loads(text)
            rows, left = (value, left) if isinstance(value, list) else _coco(value)
        else:
            rows = records_of(text)
        good, bad = _usable(rows)
        return _columns(good), valid, left + bad
    except OSError as e:
        raise ConfigError(f"{words}: {file}: {e.strerror or e}") from e
    except (pyarrow.ArrowException, ValueError, RecursionError) as e:
        raise ConfigError(f"{words}: {file}: damaged: {(str(e).splitlines() or ['?'])[0]}") from e


def _coco(value: Any) -> tuple[list[Any], list[Rest]]:
    """The rows of COCO's captions, and what is left out. Raises ValueError."""
    if not isinstance(value, Mapping) or "images" not in value:
        raise ValueError("neither a list nor COCO's captions, which have images and annotations")
    images, left = described(value)
    plain = [{k: v for k, v in one.items() if isinstance(v, str | int | float)} for one, _ in images]
    return [{**one, "caption": said} for one, (_, said) in zip(plain, images, strict=True)], left


def _usable(rows: Iterable[Any]) -> tuple[list[dict[str, Any]], list[Rest]]:
    """(the rows as Arrow takes them, their captions as lists of texts; what is left out of them)."""
    good, left, damaged = list[dict[str, Any]](), list[Rest](), 0
    for number, row in enumerate(rows):
        try:
            plain = _plain(row) if isinstance(row, Mapping) else None
        except RecursionError:
            plain = None
        if plain is None:
            damaged += 1
            continue
        first = [one if isinstance(one, list) else [one] for one in values_of(row)[:1]]
        texts = [[part for part in one if isinstance(part, str)] for one in first]
        if first and first[0] and not texts[0]:
            file = next(
                (v for k, v in plain.items() if k.strip().casefold() in PICTURE_KEYS and isinstance(v, str)), ""
            )
            left.append((file or f"row {number}", "caption is not text", 1))
            continue
        for key, value in plain.items():
            if key.strip().casefold() in KEYS and value is not None:
                plain[key] = [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, str)]
        odd = {ODD: True} if any(map(SURROGATE.search, texts[0] if texts else [])) else {}
        good.append({**plain, **odd, ROW: number})
    return good, left + [("", "damaged row", damaged)] * bool(damaged)


def _plain(value: Any) -> Any:
    """A value without lone surrogates, and without whole numbers of more than 64 bits. Raises RecursionError."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 2**1023 else None
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {clean_text(str(key)): _plain(one) for key, one in value.items()} if isinstance(value, Mapping) else value


def _columns(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A table of usable rows. A column of texts that are all numbers becomes numbers; of a column of unlike values each becomes
    a text."""
    import pyarrow

    made = {}
    for name in dict.fromkeys(str(key) for row in rows for key in row):
        values = [row.get(name) for row in rows]
        said = name.strip().casefold()
        if said not in (*PICTURE_KEYS, *KEYS) and all(isinstance(v, str | None) for v in values):
            made[name] = _numbers([v.strip() if v else None for v in values])
            continue
        try:
            made[name] = pyarrow.array(values)
        except pyarrow.ArrowException:
            made[name] = pyarrow.array([v if isinstance(v, str | None) else json.dumps(v) for v in values])
    return pyarrow.table(made)


def _numbers(values: Sequence[str | None]) -> Any:
    import pyarrow

    whole = pyarrow.array([v or None for v in values], pyarrow.string())
    for kind in (pyarrow.int64(), pyarrow.float64()):
        try:
            return whole.cast(kind)
        except pyarrow.ArrowException:
            continue
    return whole


def _parquet(file: Path, wanted: str) -> Any:
    """The columns of a Parquet file that are used, here or by the filter `wanted`, but for those that hold bytes; with each row's
    group and number in it."""
    import pyarrow
    from pyarrow import parquet

    opened = parquet.ParquetFile(file, memory_map=True)
    every = [field.name for field in opened.schema_arrow if not _holds_bytes(field.type)]
    asked = names_of(wanted) if wanted else []
    if set(asked) - set(every):
        return opened.schema_arrow.empty_table().select(every)  # the filter says what is missing
    table = opened.read([name for name in every if name.strip().casefold() in USED or name in asked])
    sizes = np.array([opened.metadata.row_group(i).num_rows for i in range(opened.metadata.num_row_groups)], np.int64)
    groups, first = np.repeat(np.arange(len(sizes)), sizes), np.repeat(np.cumsum(sizes) - sizes, sizes)
    table = table.append_column(GROUP, pyarrow.array(groups, pyarrow.int64()))
    table = table.append_column(ROW, pyarrow.array(np.arange(len(groups)) - first, pyarrow.int64()))
    held = [f.name for f in opened.schema_arrow if _holds_bytes(f.type) and f.name.strip().casefold() in BYTES]
    return table.replace_schema_metadata({"picture": held[0] if held else ""})


def _holds_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return any(kind.field(i).name == "bytes" and _holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return types.is_binary(kind) or types.is_large_binary(kind)


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    used = table.select([i for i, name in enumerate(table.column_names) if name.strip().casefold() in USED])
    for batch in used.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _picture(
    file: Path, name: str, table: Any, row: Mapping[str, Any], root: Path, inside: str
) -> tuple[Path | Cell, str] | LeftOut:
    """(the picture of a row, its place), or why it has none."""
    fields = {str(key).strip().casefold(): value for key, value in row.items()}
    column = (table.schema.metadata or {}).get(b"picture", b"").decode()
    if column:
        named = next((str(fields[key]) for key in NAMES if fields.get(key) is not None), "")
        place = clean(f"{name}/{named or f'{row[GROUP]:05d}-{row[ROW]:06d}'}") + ".picture"
        return Cell(file, column, row[GROUP], row[ROW]), place
    written = next((fields[key] for key in PICTURE_KEYS if isinstance(fields.get(key), str) and fields[key]), "")
    if not written:
        return left_out(str(file), f"row {row[ROW]}", "damaged row")
    path = root / written.strip()
    try:
        real = os.path.realpath(path)
    except (OSError, ValueError):  # it cannot be the name of a file
        return left_out(str(file), written, "no picture")
    below = os.path.relpath(os.path.abspath(path), os.path.abspath(root))
    if below.startswith("..") or os.path.commonpath([inside, real]) != inside:
        return left_out(str(file), written, "outside")
    return (path, clean(below)) if os.path.isfile(path) else left_out(str(file), written, "no picture")
