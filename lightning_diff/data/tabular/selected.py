"""The samples of shards for which a filter holds. What it asks for stands in their records; width and height are measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...config.errors import ConfigError
from ...strings import clean_text, counted
from ..index import Index, ShardReader
from ..sample import LeftOut, left_out
from .filters import names_of, passing

ROW = "__row"
SOME = 50_000  # samples whose fields are in memory at a time
MOST = 2**1023
MEASURED = ("width", "height")


def selected(index: Index, wanted: str, words: str) -> tuple[Index, list[LeftOut]]:
    """(the index of the samples for which the filter `wanted` holds, how many are left out). Raises ConfigError."""
    import pyarrow

    said, reader = f"{words}: data.filter={wanted}", ShardReader(index)
    names = [name for name in names_of(wanted) if name not in MEASURED]
    kept, known = [], set(MEASURED)
    for first in range(0, len(index), SOME):
        numbers = range(first, min(first + SOME, len(index)))
        columns: dict[str, Any] = {name: index.facts.sizes[first : numbers.stop, i] for i, name in enumerate(MEASURED)}
        records = [reader.record(i) for i in numbers] if names else []
        known |= {str(key) for one in records[:100] for key in one}
        for name in names:
            values = [one.get(name) for one in records]
            columns[name] = _column([v if isinstance(v, str | int | float) else None for v in values])
        table = pyarrow.table({**columns, ROW: np.asarray(numbers)})
        if missing := [name for name in names if columns[name].null_count == len(numbers) and name not in known]:
            raise ConfigError(f"{said}: no field {missing[0]!r}; there are {', '.join(sorted(known))}")
        kept.append(passing(wanted, table, said).column(ROW).to_numpy())
    rows = np.concatenate(kept)
    if not len(rows):
        raise ConfigError(f"{said}: it holds for none of {counted(len(index), 'sample')}")
    out = len(index) - len(rows)
    return index.select(rows), [left_out(words, "", "filtered out", count=out)] * bool(out)


def _column(values: list[Any]) -> Any:
    """Values as a column of numbers; of texts if one of them is a text. A number that is too large for a column is missing."""
    import pyarrow

    values = [None if isinstance(v, int) and abs(v) > MOST else v for v in values]
    if any(isinstance(v, str) for v in values):
        return pyarrow.array([None if v is None else clean_text(str(v)) for v in values])
    return pyarrow.array([float(v) if v is not None else None for v in values], pyarrow.float64())
