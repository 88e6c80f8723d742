"""The table of two sets of pictures for the terminal: a line for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from ...config.errors import ConfigError, nearest
from ...data.sample import LeftOut, lost, told
from ...ranks import Fitting, console, say
from ...strings import counted
from ...tracking.table import with_half_width
from ..metrics.base import MetricChoice
from ..readiness import CHANCE
from ..sweep import Row

ENDS = ("_low", "_high", "_std")  # of an interval; "n" and its like are counts
COUNTS = ("n", "n_reference")


def columns_of(metrics: Sequence[MetricChoice], asked: Sequence[str]) -> list[str]:
    """The columns that are asked for, by their names in a row. Raises ConfigError for one that these metrics do not give."""
    every = [*(name for m in metrics for name in m.columns if not name.endswith(ENDS)), *COUNTS]
    chosen = [name.replace(" ", "_") for name in asked]
    if unknown := [name for name in chosen if name not in every]:
        hint = nearest(unknown[0], every)
        raise ConfigError(f"columns={unknown[0]}: no such column; {hint}; there are {', '.join(every)}")
    return chosen


def print_comparison(values: Row, real: Row, columns: Sequence[str] = ()) -> None:
    """Print each metric of the pictures, with its 95 % interval if it has one, beside what real pictures score. `columns` chooses
    the metrics, else all are printed."""
    chosen = columns or [name for name in values if not name.endswith(ENDS) and name not in COUNTS]
    names = ["metric", f"these {values['n']:,} pictures", "real pictures"]
    rows = [
        [name.replace("_", " "), *(with_half_width(row, name) if name in row else "" for row in (values, real))]
        for name in chosen
    ]
    table = Table(*names)
    for row in rows:
        table.add_row(*row)
    console.print(Fitting(table, names, rows))


def say_what_was_read(left: Mapping[str, Sequence[LeftOut]], n: Mapping[str, int]) -> None:
    """Say how many pictures each folder has, and what was left out of it, by name."""
    for word, some in left.items():
        gone = [one for one in some if lost([one])]
        said = f"; left out: {told(gone, 4)}" if gone else ""
        say(f"{word}: {counted(n[word], 'picture')}{said}")


def warnings(shipped: bool, by_judge: bool, recall: float | None, among: int, common: int) -> list[str]:
    """What a reader must know before the numbers."""
    said = []
    if common:
        said.append(
            f"{counted(common, 'picture')} {'is' if common == 1 else 'are'} in both sets: the distances are too small."
        )
    if recall is not None and recall < CHANCE / among:
        said.append(
            f"The judge guesses: it finds {100 * recall:.0f} % of the captions of these pictures among {among}."
        )
    if shipped and by_judge:
        said.append(
            "The judge is the one of the shipped model, which has seen drawn still lifes alone: name a judge of such pictures "
            "(run=NAME) or a net that has seen many (evaluation/features=inception evaluation.features.weights=FILE)."
        )
    return said
