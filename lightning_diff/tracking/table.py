"""Writing of tables: CSV for people and spreadsheets, Parquet for programs. A file is complete or does not exist."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..files import whole_file, write_text

Row = Mapping[str, Any]
NORMAL = 1.96  # standard errors in half an interval of 95 %


def ends(row: Row, name: str) -> tuple[float, float] | None:
    """The ends of a value's interval of 95 %: NAME_low and NAME_high, or else by NAME_std. None if the row has neither."""
    if f"{name}_low" in row:
        return row[f"{name}_low"], row[f"{name}_high"]
    if f"{name}_std" in row:
        half = NORMAL * row[f"{name}_std"]
        return row[name] - half, row[name] + half
    return None


def with_half_width(row: Row, name: str) -> str:
    """A cell for people: the number with four digits, and half the width of its interval if it has one."""
    value, (low, high) = row[name], ends(row, name) or (0.0, 0.0)
    said = f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return said + (f" ± {(high - low) / 2:.2g}" if high > low else "")


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV. Numbers are rounded to five decimals."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()})
    write_text(path, text.getvalue())


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as Parquet. Tables inside a row become columns with dotted names, lists become text. Without pyarrow (the extra
    `parquet`) no file is written, and an older file is removed, because it has other rows."""
    if find_spec("pyarrow") is None:
        path.unlink(missing_ok=True)
        return
    import pyarrow
    from pyarrow import parquet

    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    with whole_file(path) as partial:
        parquet.write_table(pyarrow.table({n: pyarrow.array(_alike([r.get(n) for r in flat])) for n in names}), partial)


def _alike(values: list[Any]) -> list[Any]:
    """The values of a column, which has one type: values of several types become text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2 or kinds == {int, float}:
        return values
    return [None if value is None else str(value) for value in values]


def _flat(row: Row, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = str(value) if isinstance(value, list | tuple) else value
    return found
