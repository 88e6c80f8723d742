"""The table of a sweep for the terminal. It holds the rows that the verdict below it speaks of."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from ..config.errors import nearest
from ..ranks import Fitting, console, say
from ..tracking.table import with_half_width
from .results import FIRST, reading_order
from .statistics.verdict import series_of
from .sweep import Row

USUAL = (*FIRST, "accuracy_setting", "named", "n")


def print_rows(rows: Sequence[Row], best: Row, columns: Sequence[str] = ()) -> None:
    """Print the rows; the best one is bold. `columns` chooses the columns, else they are the usual ones."""
    several = len({series_of(r) for r in rows}) > 1
    known = reading_order(c for c in rows[0] if c != "passport")
    columns = [c.replace(" ", "_") for c in columns]  # as the table's head writes them
    if unknown := [c for c in columns if c not in known]:
        say(f"columns={unknown[0]}: no such column; {nearest(unknown[0], known)}; there are {', '.join(known)}")
    chosen = [c for c in columns if c in known] or [c for c in (*USUAL, *(["nfe"] if several else [])) if c in known]
    names = [*(["case"] if several else []), *[c.replace("_", " ") for c in chosen]]
    table = Table(*names)
    cells = [[*([series_of(row)] if several else []), *[with_half_width(row, c) for c in chosen]] for row in rows]
    for row, line in zip(rows, cells, strict=True):
        table.add_row(*line, style="bold" if row is best else None)
    lines = [[f"{names[0]} {line[0]}", *line[1:]] for line in cells]
    console.print(Fitting(table, names, cells if several else lines))
