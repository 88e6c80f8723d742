"""The verdict of a sweep: what each metric prefers, and from which scales these pictures tell it apart, in two sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]
DECIDING = ("single_object_accuracy", "accuracy", "clip_score")  # the first of these that the data has ranks the cases
SAID = {
    "single_object_accuracy": "captions of one object are obeyed best",
    "accuracy": "captions are obeyed best",
    "clip_score": "the CLIP score is highest",
    "fid": "FID is lowest",
}
SURE = "surely "
BETTER = {"clip_score": "higher", "fid": "lower"}


def deciding_column(row: Mapping[str, Any]) -> str:
    """The column that ranks the rows: the accuracy on single objects, else the accuracy, or the CLIP score if the data has no
    attributes."""
    return next((c for c in DECIDING if math.isfinite(row.get(c, math.nan))), "clip_score")


def best_row(rows: Sequence[Row]) -> Row:
    """The leader of the table. Of several runs, or of a part of a table: the row that is least behind its leader, and of equal
    ones the row with the highest value in the deciding column."""
    return max(
        rows, key=lambda r: (r.get("best", False), r.get("behind", 0.0), float(r.get(deciding_column(r), -math.inf)))
    )


def series_of(row: Row) -> str:
    """The name of a case without its guidance scale, with the training's steps if the run has rows from several ends."""
    name = f"{row['guider']}, {row['sampler']}" + (f", EMA {row['ema']:g}" if row["ema"] else "")
    return name + (f", {row['steps']:,} steps" if "steps" in row else "")


def held_out(row: Row) -> bool:
    """Whether a row was measured with captions and pictures that the training did not see, as far as it is known."""
    passport = row["passport"]
    return str(passport["reference"]["split"]) != "train" or passport.get("trained_on") == "unknown"


def verdict(rows: Sequence[Row], best: Row | None, run: str = "", doubted: bool = False) -> str:
    """Two sentences. The first says which scale is best, and which others may be as good. The second says what FID and the CLIP
    score prefer. `run` is the label of the best row's run, if there are several; only that run's rows are compared. Nothing is
    sure if the numbers are `doubted`: `cautions` says why."""
    if best is None or len(rows) < 2:
        return ""
    like = [r for r in rows if r["passport"]["weights"] == best["passport"]["weights"]]
    column, several = deciding_column(best), len({series_of(r) for r in like}) > 1
    first = _sentence(column, best, like, several)
    lowest = min(like, key=lambda r: (float(r["fid"]), like.index(r)))
    parts = [_sentence("fid", lowest, like, several)]
    if column != "clip_score":
        parts.append(_sentence("clip_score", _first_of("clip_score", like), like, several))
    warning = "" if held_out(best) else "Measured on training pictures. "
    start = f"{run}: " if run else ""
    said = f"{warning}{start}{_capital(first)}. {_capital('; '.join(parts))}.{_end(column, best, like)}"
    return said.replace(f", {SURE}", ", ") if doubted else said


def _end(column: str, best: Row, rows: Sequence[Row]) -> str:
    """How a sweep ended that went on until the best scale was known; empty for others."""
    rule = best["passport"].get("until")
    if not rule:
        return ""
    mine = [r for r in rows if series_of(r) == series_of(best)]
    count, error = sum(int(r["drawn"]) for r in mine), 100 * rule["error"]
    if all(r is best or _worse(column, r) for r in mine):
        return f" The best scale is known after {count:,} pictures, with at most {error:g} % error."
    return f" After {count:,} pictures it cannot be told which scale is best."


def _first_of(column: str, rows: Sequence[Row]) -> Row:
    """The row with the highest value, on the prompts that the rows share."""
    return max(rows, key=lambda r: (r.get(f"{column}_behind", 0.0), float(r[column])))


def _sentence(column: str, best: Row, rows: Sequence[Row], several: bool) -> str:
    value = f"{100 * best[column]:.1f} %" if "accuracy" in column else f"{best[column]:.4g}"
    where = f"with {series_of(best)}, w = {best['scale']:g}" if several else f"at w = {best['scale']:g}"
    said = f"{SAID[column]} {where} ({value})"
    if not any(_known(column, r) for r in rows):
        return said
    mine = [r for r in rows if r is not best and series_of(r) == series_of(best)]
    worse = [r for r in mine if _worse(column, r)]
    level = [r for r in mine if r not in worse]
    others = [r for r in rows if series_of(r) != series_of(best)]
    open_ones = sum(not _worse(column, r) for r in others)
    if worse:
        which = "every other scale" if not level else _scales(worse)
        said += f", {SURE}{BETTER.get(column, 'better')} than at {which}"
    if level:
        said += f"{';' if worse else ', but'} these pictures do not tell it from {_scales(level)}"
    if open_ones:
        said += f"{',' if level else '; these pictures do not tell it from'} {'and not from ' if level else ''}"
        said += f"{open_ones} of the {len(others)} rows of other cases"
    return said


def _ends(column: str, row: Row) -> tuple[Any, Any]:
    name = "behind" if column == deciding_column(row) and "behind_low" in row else f"{column}_behind"
    return row.get(f"{name}_low"), row.get(f"{name}_high")


def _known(column: str, row: Row) -> bool:
    return _ends(column, row)[0] is not None


def _worse(column: str, row: Row) -> bool:
    """Whether its interval says that it is worse than the best one."""
    low, high = _ends(column, row)
    if low is None:
        return False
    return bool(low > 0 if column == "fid" else high < 0)


def _scales(rows: Sequence[Row]) -> str:
    """`w = 1, 2 and 3`."""
    names = [f"{r['scale']:g}" for r in rows]
    return "w = " + (f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
