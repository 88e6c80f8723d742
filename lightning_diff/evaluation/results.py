"""Tables of sweep rows that can be compared: of one run, of several runs, of several trainings of one experiment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..config.input.versions import upgraded_passport
from ..data.shards import digest
from ..files import write_text
from ..nets.weights import has_arrays, read_arrays
from ..tracking.record import STEPS, Record
from ..tracking.table import write_csv, write_parquet
from .provenance import UNKNOWN
from .setup import Passport, picture_key
from .statistics.ranking import LOOKS, against_the_best
from .sweep import Row, drawn_by, front, unlike

SEEN = "sweep"  # the run's folder with the stored features and values of each case
FIRST = ("scale", "fid", "clip_score", "accuracy", "single_object_accuracy")  # columns that a reader looks for
STUDIED = ("weights", "guidance", "ema", "sampler", "drawn", "until", "plugins")  # what may differ on one axis (law 4)


def values_path(folder: Path, passport: Passport) -> Path:
    """The file that keeps a row's values for each picture and its first pictures. It is beside the stored features."""
    return folder / SEEN / picture_key(passport) / f"{digest(passport)}.safetensors"


def _with_code(passport: Passport) -> Passport:
    """The passport of a row. A row that does not name its code is never compared with one that does."""
    now = dict(passport)
    if "drawing" not in now and isinstance(now.get("sampler"), Mapping):  # a foreign model's code is never known
        now["drawing"] = dict.fromkeys(("shared", "sampler", "guidance"), UNKNOWN)
    if isinstance(drawing := now.get("drawing"), Mapping) and "nets" not in drawing:
        now["drawing"] = {**drawing, "nets": UNKNOWN}
    if isinstance(judge := now.get("judge"), Mapping) and "code" not in judge:
        now["judge"] = {**judge, "code": UNKNOWN, "precision": UNKNOWN}
    return now


def recorded(record: Record) -> list[tuple[Row, Passport]]:
    """The rows of a run's record, oldest first. Each row has its passport in the newest format. The second value is the passport
    as it is stored, because the names of the row's files depend on it."""
    found = []
    for row in record.read("sweep"):
        stored = row["passport"]
        kept = {k: v for k, v in row.items() if k not in ("event", "time")}
        found.append((kept | {"passport": _with_code(upgraded_passport(stored))}, stored))
    return found


class Shown(NamedTuple):
    """The first pictures of a row, uint8 [N, 3, H, W], and each number that every picture has, {name: [N]}."""

    pictures: np.ndarray
    values: dict[str, np.ndarray]


def study_rows(folder: Path) -> tuple[list[Row], dict[str, Shown]]:
    """The rows of a run's record that can be compared with its last row, in order, each with its distance to the best of them;
    and what can be shown of each row, by the digest of its passport. If passports are equal, the last row counts. Rows of other
    weights count if a change of the steps says whose they are."""
    found: dict[str, tuple[Row, Path]] = {}
    for row, stored in recorded(Record(folder)):
        place = values_path(folder, stored)
        if has_arrays(place):
            found.pop(key := digest(row["passport"]), None)  # so that the last one is behind all others
            found[key] = row, place
    if not found:
        return [], {}
    last = list(found.values())[-1][0]
    changes = Record(folder).read(STEPS)
    trained = {last["passport"].get("weights"), *(change["weights"] for change in changes)}
    codes: dict[str, str] = {}  # the newest row of each sampler and guider says which code is today's
    like = [
        (row, read_arrays(place))
        for row, place in reversed(found.values())
        if set(row) == set(last)
        and row["passport"].get("weights") in trained
        and not unlike([row["passport"], last["passport"]], STUDIED)
        and all(codes.setdefault(part, code) == code for part, code in drawn_by(row["passport"]).items())
    ]
    like.sort(key=lambda pair: (*(pair[0][k] for k in ("guider", "sampler", "ema", "scale")), str(pair[0]["passport"])))
    rows = [row for row, _ in like]
    values = [{k: v.numpy() for k, v in kept.items() if k != "pictures"} for _, kept in like]
    _tell_ends_apart(rows, changes)
    _tell_samplers_apart(rows)
    against_the_best(rows, values)
    best_of = set(front(rows, ["fid", "nfe"], [quality(rows)]))
    for i, row in enumerate(rows):
        row["front"] = i in best_of
    return rows, {
        digest(row["passport"]): _shown(kept["pictures"].numpy(), some, row["drawn"])
        for (row, kept), some in zip(like, values, strict=True)
    }


def _shown(pictures: np.ndarray, values: Mapping[str, np.ndarray], drawn: int) -> Shown:
    each = {k: v[: len(pictures)] for k, v in values.items() if "." not in k and k != LOOKS and v.shape == (drawn,)}
    return Shown(pictures, each)


def _tell_ends_apart(rows: Sequence[Row], changes: Sequence[Mapping[str, Any]]) -> None:
    """If a run that got another number of steps has rows from several ends, add to each row the `steps` of its training."""
    if changes and len({row["passport"]["weights"] for row in rows}) > 1:
        known = {change["weights"]: change["old"] for change in changes}
        for row in rows:
            row["steps"] = known.get(row["passport"]["weights"], changes[-1]["new"])


def _tell_samplers_apart(rows: Sequence[Row]) -> None:
    """Rows whose samplers have one name, and differ in a setting (grid, precision), get the setting's value into their name:
    euler20 becomes euler20-bf16 and euler20-float32. Like the names, that can be part of a file name."""
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if isinstance(row["passport"].get("sampler"), Mapping):
            alike.setdefault((row["guider"], row["sampler"], row["ema"]), []).append(row)
    for these in alike.values():
        settings = [row["passport"]["sampler"] for row in these]
        differing = [key for key in settings[0] if len({str(one.get(key)) for one in settings}) > 1]
        for row, own in zip(these, settings, strict=True):
            row["sampler"] = "-".join([row["sampler"], *(str(own.get(key)) for key in differing)])


def write_tables(
    place: Path,
    runs: Mapping[str, Sequence[Row]],
    configs: Mapping[str, Mapping[str, Any]],
    differing: Sequence[str] = (),
) -> None:
    """Write the rows of runs as PLACE.csv, with digests of the passports; PLACE.json holds the passports. `configs` are the runs'
    configs, `differing` the keys that tell the runs apart: they are columns too. If pyarrow is installed, also write
    PLACE.parquet, with all keys of passports and configs as columns."""
    every = [{"run": name, **row} for name, rows in runs.items() for row in rows]
    write_parquet(beside(place, ".parquet"), [{**row, "config": configs[row["run"]]} for row in every])
    papers = {digest(row["passport"]): row["passport"] for row in every}
    write_text(beside(place, ".json"), json.dumps(papers, indent=1))
    columns = [c for c in dict.fromkeys(c for row in every for c in row) if c not in ("run", "passport")] + ["passport"]
    rows = [{c: digest(row[c]) if c == "passport" else row.get(c) for c in columns} for row in every]
    told = [
        {"run": row["run"], **{key: configs[row["run"]].get(key) for key in differing}} if len(runs) > 1 else {}
        for row in every
    ]
    write_csv(beside(place, ".csv"), [{**first, **row} for first, row in zip(told, rows, strict=True)])


def beside(place: Path, ending: str) -> Path:
    """The path with this ending. A dot in the name is no ending: a name may hold 0.001."""
    return place.with_name(place.name + ending)


def quality(rows: Sequence[Row]) -> str:
    """The column that says how well pictures fit their captions."""
    return "accuracy" if rows and "accuracy" in rows[0] else "clip_score"


def silent(rows: Sequence[Row]) -> set[str]:
    """Columns that say nothing in this table: FID's limit, if its interval holds FID itself in every row."""
    name = "fid_infinity"
    if rows and all(f"{name}_low" in r and r[f"{name}_low"] <= r["fid"] <= r[f"{name}_high"] for r in rows):
        return {name, f"{name}_low", f"{name}_high"}
    return set()


def reading_order(columns: Iterable[str]) -> list[str]:
    """Columns in the order in which a table shows them: the scale, FID and the CLIP score come first."""
    found = list(columns)
    return [*(c for c in FIRST if c in found), *(c for c in found if c not in FIRST)]
