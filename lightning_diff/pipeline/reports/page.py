"""report.html of one run, or of several runs side by side. It is made only from the run folders."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...data.account.summary import data_facts
from ...data.shards import digest
from ...evaluation.readiness import cautions
from ...evaluation.results import Shown, reading_order, silent, study_rows, write_tables
from ...evaluation.statistics.seeds import spread
from ...evaluation.statistics.verdict import Row, best_row, held_out, series_of, verdict
from ...strings import counted
from ...tracking.record import Record
from ...tracking.report import data_uri, thinned, write_report
from ..many.comparable import refuse_unlike
from ..many.differences import (
    all_values,
    config_of,
    differing,
    differing_words,
    labels_of,
    names_of,
    seeds_of,
)
from ..many.named import check_runs
from ..origin import origin
from .kept import SHOWN, kept

FREE_COLUMNS = ("passport", "best", "guider", "sampler", "ema")  # and all that end in BEHIND
BEHIND = ("behind", "behind_low", "behind_high")
HELD_OUT = {"loss": "held-out loss", "loss_ema": "held-out loss, averaged weights"}
PICTURES = 800  # of all rows together, about
EXPLORED = "explore.html"  # the page of explore.py in a run folder
SPREAD = ("fid", "clip_score", "accuracy")  # columns whose mean and deviation over several trainings are shown


def make_report(folders: Sequence[Path], out: Path, typed: str = "") -> Path:
    """Write the report of these runs to `out`. For several runs also write their rows as tables beside it. `typed` is the
    argument that names the runs, for the messages.

    Raises ConfigError for a folder without a run, and for runs whose numbers cannot be compared."""
    check_runs(folders, typed)
    found = {folder: study_rows(folder) for folder in folders}
    names, labels = names_of(folders), labels_of(folders)
    runs = {names[folder]: rows for folder, (rows, _) in found.items()}
    refuse_unlike(runs, typed)
    every = [r for rows in runs.values() for r in rows]
    best = best_row(every) if every else None
    several = len(folders) > 1
    if several and every:
        values = {folder: all_values(folder) for folder in folders}
        configs = {names[folder]: some for folder, some in values.items()}
        write_tables(out.with_suffix(""), runs, configs, differing(list(values.values())))
    label_of = partial(_label, labels, found, len({series_of(r) for r in every}) > 1)
    warned = _cautions(found) if best else ""
    most = max(SHOWN, PICTURES // max(len(every), 1))
    data = {
        "title": title_of(folders),
        "made": [*origin(folders), f"This page was made at {time.strftime('%Y-%m-%d %H:%M')}."],
        "facts": _facts(folders, best, label_of, bool(warned)),
        "rows": [_row(label_of(r), r, r is best, shown, most) for rows, shown in found.values() for r in rows],
        "columns": ["label", *_columns(every)],
        "footer": _footer(best),
        "verdict": f"{warned} {verdict(every, best, label_of(best, False) if best and several else '', bool(warned))}",
        "held_out": best is None or held_out(best),
        "spread": _spread({folder: rows for folder, (rows, _) in found.items()}),
        "curves": [_curves(folder, labels[folder]) for folder in folders],
        "papers": [(f"Config of {names[f]}", (f / "config.yaml").read_text()) for f in folders]
        + ([("Passport of the best row", json.dumps(best["passport"], indent=1))] if best else []),
        "pages": _pages(folders, out, labels),
        **kept(folders, labels),
    }
    return write_report(out, data)


def _columns(rows: Sequence[Row]) -> list[str]:
    """The columns that the report's table shows."""
    free = {*FREE_COLUMNS, *silent(rows)}
    every = dict.fromkeys(c for r in rows for c in r)
    return reading_order(c for c in every if c not in free and not c.endswith(BEHIND))


def _cautions(found: Mapping[Path, Any]) -> str:
    """What the record of the run says of its numbers; of several runs, of how many the first caution is."""
    said = []
    for folder, (rows, _) in found.items():
        known = Record(folder).read("best")
        if rows and known and (one := cautions(float(best_row(rows)["fid"]), known[-1])):
            said.append(one)
    if len(found) == 1 or not said:
        return "".join(said)
    return f"Of {len(said)} of these {len(found)} runs the numbers are in doubt. {said[0]}"


def report_runs(folders: Sequence[Path], typed: str = "") -> Path:
    """Write the report of one run into its folder, or the report of several runs beside their folders. `typed` is the argument
    that names them."""
    place = folders[0] / "report.html" if len(folders) == 1 else report_place(folders)
    make_report(folders, place, typed)
    print(place)
    return place


def report_place(folders: Sequence[Path]) -> Path:
    """The report of several runs. Its name has a mark of all their names, so that reports of other runs are other files."""
    parent = folders[0].parent
    names = sorted(os.path.relpath(folder, parent) for folder in folders)
    mark = digest(names)[:6]
    stem = "-".join(folder.name for folder in folders)
    if len(stem) > 60:
        groups = dict.fromkeys(config_of(folder).name or "runs" for folder in folders)
        stem = f"{'-'.join(groups)[:60]}-{len(folders)}-runs".replace("/", "_")
    return parent / f"{stem}-{mark}.html"


def title_of(folders: Sequence[Path]) -> str:
    """The name of a run; of several runs what they have in common, and what differs."""
    if len(folders) == 1:
        return folders[0].name
    groups = dict.fromkeys(config_of(folder).name or folder.name for folder in folders)
    words = differing_words(folders)
    return f"{', '.join(groups)}: {len(folders)} runs" + (f" by {words}" if words else "")


def _label(
    labels: Mapping[Path, str],
    found: Mapping[Path, tuple[list[Row], Any]],
    cases: bool,
    row: Row,
    case: bool = True,
) -> str:
    """The name of a row without its scale: its run if there are several runs, its guider, sampler and EMA if these differ."""
    run = next(labels[folder] for folder, (rows, _) in found.items() if any(r is row for r in rows))
    if len(labels) == 1:
        return series_of(row)
    return f"{run}: {series_of(row)}" if cases and case else run


def _pages(folders: Sequence[Path], out: Path, labels: Mapping[Path, str]) -> list[tuple[str, str]]:
    """(words, link) of each other page of these runs."""
    there = [folder for folder in folders if (folder / EXPLORED).is_file()]
    words = {
        folder: f"look inside {labels[folder]}" if len(folders) > 1 else "look inside the model" for folder in there
    }
    return [(words[folder], quote(os.path.relpath(folder / EXPLORED, out.parent))) for folder in there]


def _row(series: str, row: Row, best: bool, shown: Mapping[str, Shown], most: int) -> dict[str, Any]:
    """A row with its first pictures, at most `most`, and each number that every picture has."""
    numbers = {k: v for k, v in row.items() if k != "passport"}
    pictures, values = shown[digest(row["passport"])]
    return {
        **numbers,
        "front": "yes" if row["front"] else "",
        "series": series,
        "label": f"{series}, w = {row['scale']:g}",
        "best": best,
        "pictures": [data_uri(p) for p in pictures[:most]],
        "values": {name: some[:most].tolist() for name, some in values.items()},
    }


def _spread(found: Mapping[Path, Sequence[Row]]) -> list[dict[str, Any]]:
    """One chart for each column of SPREAD: the mean over the seeds, plus and minus one standard deviation. All that differs
    besides the seed is a line of its own."""
    groups = {
        name: spread({seed: next((found[f] for f in some if found[f]), []) for seed, some in seeds.items()})
        for name, seeds in seeds_of(list(found)).items()
    }
    every = [r for rows in groups.values() for r in rows]
    if all(r["trainings"] < 2 for r in every):
        return []
    cases, charts = len({series_of(r) for r in every}) > 1, []
    for key in (k for k in SPREAD if all(k in r for r in every)):
        lines: dict[str, list[dict[str, float]]] = {}
        for name, rows in groups.items():
            for r in rows:
                words = ", ".join(filter(None, [name, series_of(r) if cases or not name else ""]))
                point = {
                    "x": r["scale"],
                    "y": r[key],
                    "low": r[key] - r[f"{key}_std"],
                    "high": r[key] + r[f"{key}_std"],
                }
                lines.setdefault(f"{words}, {counted(r['trainings'], 'seed')}", []).append(point)
        series = [{"name": name, "points": points} for name, points in lines.items()]
        charts.append({"name": key.replace("_", " "), "series": series})
    return charts


def _facts(
    folders: Sequence[Path], best: Row | None, label_of: Callable[[Row], str], doubted: bool
) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if best is not None:
        title = "best guidance, in doubt" if doubted else "best guidance"
        facts += [(title, f"{label_of(best)}, w = {best['scale']:g}"), ("FID there", f"{best['fid']:.3g}")]
        facts += [("CLIP score there", f"{best['clip_score']:.4g}")]
        known: dict[str, Any] = next(reversed(Record(folders[0]).read("best")), {}) if len(folders) == 1 else {}
        if "floor" in known:
            facts.append(("FID of real pictures", f"{known['floor']:.3g}"))
            facts.append(("captions the judge finds", f"{100 * known['recall']:.0f} % among {known['among']}"))
        if "accuracy" in best:
            facts.append(("captions obeyed there", f"{100 * best['accuracy']:.1f} %"))
    curve = Record(folders[0]).curve()
    if len(folders) == 1 and curve:
        speed = sorted(r["images_per_second"] for r in curve)[len(curve) // 2]
        facts += [("steps", str(curve[-1]["step"])), ("images a second", f"{speed:.0f}")]
    data = Record(folders[0]).read("data")
    if len(folders) == 1 and data:
        facts += data_facts(data[-1])
    return facts


def _footer(best: Row | None) -> str:
    if best is None:
        return ""
    p = best["passport"]
    padded = ", padded to squares" if p["reference"].get("fit") == "pad" else ""
    return (
        f"guided = uncond + w (cond - uncond). n = {best['n']} pictures of {p['prompts']['split']} captions; reference "
        f"{p['reference']['n']} {p['reference']['split']} pictures{padded}; {p['judge']['fid_features']}; bars: 95 % of "
        f"resampled pictures. Passport {digest(p)}."
    )


def _curves(folder: Path, label: str) -> dict[str, Any]:
    record = Record(folder)
    curve, start = record.curve(), record.read("start")
    names = sorted({k for r in curve for k in r if k.startswith("loss")})
    losses = [
        {"name": n.replace("_", " "), "points": thinned([(r["step"], r[n]) for r in curve if n in r])} for n in names
    ]
    held_out = record.curve("validation")
    for key, name in HELD_OUT.items() if held_out else ():
        losses.append({"name": name, "points": thinned([(r["step"], r[key]) for r in held_out])})
    last = curve[-1] if curve else {}
    note = f"precision {start[-1]['precision']}, {counted(start[-1]['world_size'], 'rank')}" if start else ""
    note += f", at most {last['peak_memory_mib']:.0f} MiB" if "peak_memory_mib" in last else ""
    speed = thinned([(r["step"], r["images_per_second"]) for r in curve if "images_per_second" in r])
    quick = record.curve("quick")
    if quick:
        w = quick[-1]["passport"]["guidance"]["scale"]
        note += f"; FID of {quick[-1]['n']} pictures at w = {w:g} now and then, {sum(r['seconds'] for r in quick):.0f} s in all"
    fid = [(r["step"], r["fid"]) for r in quick]
    return {"name": label, "losses": losses, "speed": speed, "fid": fid, "note": note}
