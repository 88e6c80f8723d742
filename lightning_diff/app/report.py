"""report.html of a run, or of several side by side: gathered from the run folders alone."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..config import ConfigError
from ..data.decode import to_pixels, to_unit
from ..data.shards import digest
from ..evaluation.sweep import Row, best_row, unlike
from ..generation.text_to_image import TextToImage
from ..nets.weights import read_arrays, save_arrays
from ..tracking.record import Record
from ..tracking.report import data_uri, thinned, write_report
from .train import pictures

SEEN = "sweep"  # the run's folder of what was seen of each case
KEPT = Path("samples") / "kept.safetensors"
SAID = KEPT.with_suffix(".json")
STUDIED = ("weights", "guidance", "ema", "sampler")  # what may differ between numbers on one axis (law 4)
SHOWN = 8  # pictures beside the slider
FREE_COLUMNS = ("passport", "event", "time", "behind_low", "behind_high", "guider", "ema")


def keep_for_report(run: Any, model: TextToImage, captions: Sequence[str], scale: float, split: str) -> None:
    """What the report shows besides the sweep: one denoising, reconstructions, what the model was trained on."""
    film = list(model.film(captions[0], run.config.evaluation.seed * 2**32, scale))
    held_out, train = (pictures(run.config, s) for s in (split, "train"))
    assert held_out is not None and train is not None
    real, seen = held_out.range(0, min(SHOWN, len(held_out))), train.range(0, min(2 * SHOWN, len(train)))
    with torch.no_grad():
        unit = to_unit(real.images).to(model.device)
        rebuilt = to_pixels(model.autoencoder.decode(model.autoencoder.encode(unit).mean)).cpu()
    noisy, guess = (torch.stack(frames) for frames in zip(*film, strict=True))
    kept = {"noisy": noisy, "guess": guess, "real": real.images, "rebuilt": rebuilt, "contact": seen.images}
    save_arrays(run.folder / KEPT, kept)
    said = {"prompts": list(captions[:SHOWN]), "film": captions[0], "scale": scale, "contact": list(seen.captions)}
    (run.folder / SAID).write_text(json.dumps(said))


def sweep_rows(folder: Path) -> list[Row]:
    """The rows of a run's record that may stand beside its last one; of equal passports the last, in order of scale."""
    whole = [r for r in Record(folder).read("sweep") if {"guider", "ema", "scale", "passport"} <= set(r)]
    rows = {digest(r["passport"]): r for r in whole}
    if not rows:
        return []
    found = list(rows.values())
    last = found[-1]
    like = [r for r in found if set(r) == set(last) and not unlike([r["passport"], last["passport"]], STUDIED)]
    return sorted(like, key=lambda r: (r["guider"], str(r["passport"]["sampler"]), r["ema"], r["scale"]))


def make_report(folders: Sequence[Path], out: Path) -> Path:
    """Raises ConfigError for a folder without a run, and where the runs' numbers may not stand on one axis."""
    for folder in folders:
        if not (folder / "config.yaml").is_file():
            raise ConfigError(f"{folder}: no run in it (no config.yaml); run=outputs/NAME")
    rows = {folder: sweep_rows(folder) for folder in folders}
    first = [r[0]["passport"] for r in rows.values() if r]
    if first and (fields := unlike(first, STUDIED)):
        said = ", ".join(f.name for f in folders)
        raise ConfigError(
            f"run={said}: their numbers differ in {fields[0]} and cannot stand on one axis; measure alike"
        )
    every = [r for some in rows.values() for r in some]
    best = best_row(every) if every else None
    names = {folder: folder.name for folder in folders}
    data = {
        "title": ", ".join(names.values()),
        "made": time.strftime("%Y-%m-%d %H:%M"),
        "facts": _facts(folders, best),
        "rows": [_row(folder, r, r is best, len(folders) > 1) for folder, some in rows.items() for r in some],
        "columns": ["label", *[c for c in (every[0] if every else {}) if c not in FREE_COLUMNS]],
        "footer": _footer(best),
        "verdict": _verdict(every, best),
        "curves": [_curves(folder) for folder in folders],
        "papers": [(f"Config of {n}", (f / "config.yaml").read_text()) for f, n in names.items()]
        + ([("Passport of the best row", json.dumps(best["passport"], indent=1))] if best else []),
        **_kept(folders),
    }
    return write_report(out, data)


def _label(row: Row) -> str:
    ema = f", EMA {row['ema']:g}" if row["ema"] else ""
    return f"{row['guider']}, {row['passport']['sampler']['name']} {row['passport']['sampler']['steps']}{ema}"


def _row(folder: Path, row: Row, best: bool, several: bool) -> dict[str, Any]:
    series = (f"{folder.name}: " if several else "") + _label(row)
    seen = sorted((folder / SEEN / digest(row["passport"])).glob("*.safetensors"))
    shown = read_arrays(seen[0]).get("pictures") if seen else None
    numbers = {k: v for k, v in row.items() if k not in ("passport", "event", "time")}
    return {
        **numbers,
        "series": series,
        "label": f"{series}, w = {row['scale']:g}",
        "best": best,
        "pictures": [data_uri(p) for p in shown[:SHOWN].numpy()] if shown is not None else [],
    }


def _facts(folders: Sequence[Path], best: Row | None) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if best is not None:
        facts += [("best guidance", f"{best['guider']}, w = {best['scale']:g}"), ("FID there", f"{best['fid']:.3g}")]
        facts += [("CLIP score there", f"{best['clip_score']:.4g}")]
        if "accuracy" in best:
            facts.append(("captions obeyed there", f"{100 * best['accuracy']:.1f} %"))
    curve = Record(folders[0]).curve()
    if len(folders) == 1 and curve:
        speed = sorted(r["images_per_second"] for r in curve)[len(curve) // 2]
        facts += [("steps", str(curve[-1]["step"])), ("images a second", f"{speed:.0f}")]
    return facts


def _footer(best: Row | None) -> str:
    if best is None:
        return ""
    p = best["passport"]
    return (
        f"guided = uncond + w (cond - uncond). n = {best['n']} pictures of {p['prompts']['split']} captions; reference "
        f"{p['reference']['n']} {p['reference']['split']} pictures; {p['judge']['fid_features']}; bars: 95 % of "
        f"resampled pictures. Passport {digest(p)}."
    )


def _verdict(rows: Sequence[Row], best: Row | None) -> str:
    if best is None or len(rows) < 2 or not all("behind_high" in r for r in rows):
        return ""
    level = [
        f"w = {r['scale']:g}" for r in rows if r is not best and r["guider"] == best["guider"] and r["behind_high"] >= 0
    ]
    if not level:
        return (
            f"w = {best['scale']:g} is better than every other scale, beyond what drawing other pictures would change."
        )
    return f"Best is w = {best['scale']:g}; these pictures show no difference between it and {', '.join(dict.fromkeys(level))}."


def _curves(folder: Path) -> dict[str, Any]:
    record = Record(folder)
    curve, start = record.curve(), record.read("start")
    names = sorted({k for r in curve for k in r if k.startswith("loss")})
    losses = [
        {"name": n.replace("_", " "), "points": thinned([(r["step"], r[n]) for r in curve if n in r])} for n in names
    ]
    last = curve[-1] if curve else {}
    note = f"precision {start[-1]['precision']}, {start[-1]['world_size']} ranks" if start else ""
    note += f", at most {last['peak_memory_mib']:.0f} MiB" if "peak_memory_mib" in last else ""
    note += (
        f", {100 * last['utilisation']:.0f} % of the measured matrix products' rate" if "utilisation" in last else ""
    )
    speed = thinned([(r["step"], r["images_per_second"]) for r in curve if "images_per_second" in r])
    quick = record.curve("quick")
    if quick:
        w = quick[-1]["passport"]["guidance"]["scale"]
        note += f"; FID of {quick[-1]['n']} pictures at w = {w:g} now and then, {sum(r['seconds'] for r in quick):.0f} s in all"
    fid = [(r["step"], r["fid"]) for r in quick]
    return {"name": folder.name, "losses": losses, "speed": speed, "fid": fid, "note": note}


def _kept(folders: Sequence[Path]) -> dict[str, Any]:
    found: dict[str, Any] = {"captions": [], "films": [], "rebuilt": [], "contact": []}
    for folder in folders:
        if not (folder / KEPT).is_file():
            continue
        kept, said = read_arrays(folder / KEPT), json.loads((folder / SAID).read_text())
        uris = {name: [data_uri(p) for p in pixels.numpy()] for name, pixels in kept.items()}
        film = {"caption": said["film"], "scale": said["scale"], "noisy": uris["noisy"], "guess": uris["guess"]}
        found["films"].append(film)
        found["captions"] = found["captions"] or said["prompts"]
        found["rebuilt"] = found["rebuilt"] or list(zip(uris["real"], uris["rebuilt"], strict=True))
        found["contact"] = found["contact"] or list(zip(uris["contact"], said["contact"], strict=True))
    return found
