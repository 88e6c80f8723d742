"""A table of captions in a folder, metadata.csv or metadata.jsonl: which picture each row describes, and what is left of it."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ...strings import decode_text, json_of
from .captions import KEYS, values_of
from .names import clean, split_ending

TABLES = ("metadata.csv", "metadata.jsonl")
PICTURE_KEYS = (
    "file_name",
    "filename",
    "file",
    "image",
    "path",
    "image_path",
    "file_path",
    "filepath",
    "image_file",
    "img",
)
DELIMITERS = ",;\t|"
MOST_LINES = 200  # of a row: a quote that is not closed would reach to the end
MOST_ABOVE = 5  # lines in which the names of the columns are looked for
csv.field_size_limit(2**31 - 1)  # a field may be of any length

Row = tuple[str, Any]  # (file, caption) as they are written
Rest = tuple[str, str, int]  # (file or table, reason, count)


def is_table(name: str) -> bool:
    return name.rpartition("/")[2].lower() in TABLES


def described_by(table: str, path: Path, names: Iterable[str]) -> tuple[dict[str, Any], bool, list[Rest]]:
    """({file: its caption, or a list of them}, whether all is UTF-8, what is left out) of the table with this name and path.
    `names` are the files of the set. Raises OSError."""
    text, valid = decode_text(path.read_bytes())
    rows, damaged = _rows(text, table.lower().endswith(".csv"))
    found: dict[str, list[Any]] = {}
    left: list[Rest] = [(table, "damaged row", damaged)] if damaged else []
    for (file, value), name in zip(
        rows, _files([file for file, _ in rows], table.rpartition("/")[0], names), strict=True
    ):
        if not name:
            left.append((file, "no picture", 1))
            continue
        some = found.setdefault(name, [])
        some += [one for one in (value if isinstance(value, list) else [value]) if one not in some]
    return {name: some[0] if len(some) == 1 else some for name, some in found.items()}, valid, left


def _files(written: Sequence[str], above: str, names: Iterable[str]) -> list[str]:
    """The file that each of these paths means, "" for none. A path is seen from the folder of the table. Where no file is
    found, the folders that all paths share are dropped, the first one first: the table was made where the set lay before.
    Backslashes are slashes; a name may lack its ending."""
    known = {split_ending(name)[0]: name for name in names}
    known |= {name: name for name in names}
    paths = [file if file in known else file.replace("\\", "/") for file in written]
    folders = [path.split("/")[:-1] for path in paths]
    shared = posixpath.commonprefix(folders) if folders else []
    for drop in range(len(shared) + 1):
        tails = ("/".join(path.split("/")[drop:]) for path in paths)
        found = [known.get(_seen_from(above, tail), "") for tail in tails]
        if any(found):
            return found
    return [""] * len(written)


def _seen_from(folder: str, path: str) -> str:
    """A path in the set. One that leaves the set names no file."""
    place = posixpath.normpath(posixpath.join(folder, path))
    return "" if place.startswith(("/", "..")) else clean(place)


def _rows(text: str, is_csv: bool) -> tuple[list[Row], int]:
    """The rows, and the number of those that cannot be read."""
    found: list[Row] = []
    damaged = 0
    for row in table_of(text) if is_csv else records_of(text):
        fields = {str(key).strip().casefold(): value for key, value in row.items()} if isinstance(row, Mapping) else {}
        file = next((fields[key] for key in PICTURE_KEYS if fields.get(key)), None)
        values = values_of(fields)
        if isinstance(file, str) and any(key in fields for key in KEYS):
            found += [(file.strip(), value) for value in values[:1]]
        else:
            damaged += 1
    return found, damaged


def records_of(text: str) -> Iterator[Any]:
    """The values of JSON lines, or of one list; None for a line that is not JSON."""
    if text.lstrip().startswith("["):
        text = "\n".join(map(json.dumps, json_of(text) or [None]))
    yield from (json_of(line) for line in text.split("\n") if line.strip())


def table_of(text: str) -> Iterator[dict[str, str] | None]:
    """The rows of a table whose columns are separated by the first of DELIMITERS that gives it a file and a caption; None for
    a row that cannot be read. Where a caption is in the last column, it may hold the delimiter."""
    header, delimiter, above = _header(text)
    caption_is_last = bool(header) and header[-1] in KEYS
    for number, row in enumerate(_Lines(text).rows(delimiter)):
        if number <= above or row == []:
            continue
        if row is None:
            yield None
            continue
        if caption_is_last and len(row) > len(header):
            row[len(header) - 1 :] = [delimiter.join(row[len(header) - 1 :])]
        yield None if len(row) > len(header) else dict(zip(header, row + [""] * len(header), strict=False))


class _Lines:
    """The lines of a table, for the csv module: it gets no more than MOST_LINES of them for one row."""

    def __init__(self, text: str) -> None:
        self.all, self.at, self.begin = list(io.StringIO(text, newline="")), 0, 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.at == min(len(self.all), self.begin + MOST_LINES):
            raise StopIteration
        self.at += 1
        return self.all[self.at - 1]

    def rows(self, delimiter: str) -> Iterator[list[str] | None]:
        """The rows; None for a line that cannot be read: a quote that is not closed, or text behind one. The next line begins the
        next row."""
        reader = csv.reader(self, delimiter=delimiter, strict=True)
        while self.at < len(self.all):
            self.begin = self.at
            try:
                yield next(reader)
            except csv.Error:
                self.at, reader = self.begin + 1, csv.reader(self, delimiter=delimiter, strict=True)
                yield None


def _header(text: str) -> tuple[list[str], str, int]:
    """(names of the columns, delimiter, number of lines above them, which may be empty or a comment)."""
    for delimiter in DELIMITERS:
        lines = islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), MOST_ABOVE)
        for above, row in enumerate(lines):
            names = [name.strip().casefold() for name in row]
            if set(names) & set(PICTURE_KEYS) and set(names) & set(KEYS):
                return names, delimiter, above
    return [], DELIMITERS[0], 0
