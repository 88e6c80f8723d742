"""Checks of the run: its data, its weights, its folder, and whether memory and disk are large enough."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import torch

from ..config.errors import ConfigError
from ..config.paths import WEIGHTS
from ..data.dataset import Pictures
from ..data.decode import BadPicture, open_picture
from ..data.index import Index, ShardReader, build_index, index_place
from ..data.sources.base import SampleSource
from ..devices import on_gpu
from ..files import file_hash, holder
from ..nets.weights import has_passport
from ..pipeline.components import NAMES, check_part, locate_part, needed_parts
from ..pipeline.run import refuse_another
from ..training.checkpoint import LARGE, read_checkpoint
from ..training.features import missing_features
from ..training.trainer import LAST
from .findings import OK, WARNING, WRONG, Check, Finding, Patient, existing, number, size

# Number of shards to index if there is no index yet. Of 8 times as many shards, the first picture is read.
LOOKED_AT = 8
PROCESS = 2**30  # bytes that python and torch need by themselves, roughly
FULL = 0.85  # share of the memory: only tensors are counted, and allocators leave gaps between them


def memory(p: Patient) -> Finding:
    """Whether the tensors of one rank fit into the free memory. They are counted with fake tensors."""
    parts, t = p.costs.memory, p.config.training
    total = sum(parts.values())
    listed = ", ".join(f"{name} {size(count)}" for name, count in parts.items())
    if on_gpu(t.accelerator):
        free, where = torch.cuda.mem_get_info()[0], "on the GPU"
    else:
        free, where = _free_memory(), f"here, for {t.devices} ranks"
        total = t.devices * (total + PROCESS)
        if p.costs.checkpoint >= LARGE:
            total += p.costs.checkpoint
            listed += f", once more {size(p.costs.checkpoint)} of a checkpoint that is being written"
    found = f"{size(total)} of {size(free)} free {where} (a rank, {p.costs.rank_batch} pictures a step: {listed})"
    remedy = "smaller training.batch or more ranks, training.checkpointing=true, or a smaller net"
    if total > free:
        return Finding("memory", WRONG, found, remedy)
    return Finding("memory", *((WARNING, found, remedy) if total > FULL * free else (OK, found)))


def _free_memory() -> int:
    table = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(table["MemAvailable"].split()[0]) * 1024
    granted = number("SLURM_MEM_PER_NODE")  # MiB; 0 means all memory of the node
    return min(free, granted * 2**20) if granted else free


def _index(p: Patient, shards: list[Path]) -> tuple[Index, int]:
    """(index, number of shards that it covers): the stored index, or a new index of the first few shards."""
    cache = Path(p.config.cache)
    if index_place(shards, cache).is_file():
        return build_index(shards, cache), len(shards)
    return build_index(shards[:LOOKED_AT], p.scratch), min(LOOKED_AT, len(shards))


def data(p: Patient) -> Finding:
    """Whether the pictures exist, or can be made, and can be read. Reads the first picture of many shards."""
    what = "data"
    found = p.config.data.prepared(Path(p.config.cache))
    if found is None:
        return _to_be_made(p.config.data)
    told: list[str] = []
    level, lost = OK, 0
    for split, shards in found.items():
        if not shards:
            continue
        index, covered = _index(p, shards)
        firsts = np.unique(index.spans[:, 0], return_index=True)[1]
        reader = ShardReader(index)
        looked = firsts[:: max(1, len(firsts) // (8 * LOOKED_AT))]
        bad = [str(index.keys[i]) for i in looked if not _opens(reader.read(int(i))[0])]
        some = "" if covered == len(shards) else f" of the first {covered}"
        told.append(f"{split}: {len(index)} pictures{some} in {len(shards)} shards, {index.skipped} left out")
        lost += index.skipped + len(bad)
        if bad:
            told.append(f"{len(bad)} of {len(looked)} first pictures cannot be read ({bad[0]})")
        if len(bad) == len(looked):
            level = WRONG
    remedy = "make these shards again (the log names the samples); the run passes them over"
    if lost and level == OK:
        level = WARNING
    return Finding(what, level, "; ".join(told), remedy if lost else "")


def _to_be_made(source: SampleSource) -> Finding:
    """The finding for pictures that are not yet in shards: their number, and whether their files can be read."""
    counts = {split: count for split, _, count in source.splits()}
    said = f"{sum(counts.values())} captioned pictures of {source.words}, {counts['test']} of them for testing, will be made"
    said += " into shards first"
    files = source.files()
    bad = [f.name for f in files[:: max(1, len(files) // (8 * LOOKED_AT))] if not _opens(f.read_bytes())]
    if bad:
        return Finding("data", WARNING, f"{said}; {bad[0]} cannot be read", "mend it, or it is left out")
    return Finding("data", OK, said)


def _opens(picture: bytes) -> bool:
    try:
        open_picture(picture)
    except BadPicture:
        return False
    return True


def weights(p: Patient) -> Finding:
    """Where the weights of each frozen component come from, and the weights that the run starts from."""
    c, what = p.config, "weights"
    said: list[str] = []
    for part in needed_parts(c, c.evaluation.enabled) if c.task == "diffusion" else ():
        place = locate_part(part, c)
        if place.path.is_dir():
            said.append(f"{NAMES[part]}: {place.path}")
        elif place.path.is_file():
            if has_passport(place.path):
                check_part(part, place.path)
            said.append(f"{NAMES[part]}: {place.origin} ({file_hash(place.path)})")
        else:
            assert place.recipe is not None
            steps = place.recipe.training.steps
            said.append(f"{NAMES[part]}: will be trained first, {steps} steps, in {place.path.parent}")
    others = {"init_from": c.init_from, "evaluation.features.weights": getattr(c.evaluation.features, "weights", None)}
    for name, file in {**others, "autoencoder.lpips_weights": c.autoencoder.lpips_weights}.items():
        if file and Path(file).is_file():
            said.append(f"{name}: given ({file_hash(Path(file))})")
        elif file:
            said.append(f"{name}: {file}")
    if c.task == "diffusion" and c.evaluation.enabled:
        text, judge = (locate_part(part, c).path for part in ("text", "judge"))
        if text.is_file() and judge.is_file() and file_hash(text) == file_hash(judge):
            return Finding(what, WRONG, f"{text} would be its own judge", "give another tower in text.weights")
    return Finding(what, OK, "; ".join(said) or "none are needed")


def run_folder(p: Patient) -> Finding:
    """Whether the run folder is new, unfinished, finished, in use, or holds another run."""
    what, steps = "run folder", p.config.training.steps
    if not (p.folder / "config.yaml").is_file():
        return Finding(what, OK, f"{p.folder}: new")
    if user := holder(p.folder / "lock"):
        return Finding(what, WRONG, f"{p.folder}: in use by {user}", "wait for it, stop it, or give another name=")
    refuse_another(p.folder, p.config)
    if (p.folder / WEIGHTS).is_file():
        return Finding(what, OK, f"{p.folder}: trained; only what is missing of the evaluation is left")
    if not (p.folder / LAST).is_file():
        return Finding(what, OK, f"{p.folder}: begun, without a checkpoint yet")
    try:
        step = read_checkpoint(p.folder / LAST, mmap=True)["global_step"]
    except ConfigError as e:
        found, _, remedy = str(e).partition("; ")
        return Finding(what, WRONG, found, remedy)
    return Finding(what, OK, f"{p.folder}: unfinished, goes on at step {step} of {steps}")


def disk(p: Patient) -> Finding:
    """Whether the disks have room. A checkpoint is written beside the last one, so it needs twice its size. A cache of
    features is assembled from blocks, so it needs twice its size too."""
    c, outputs, cache = p.config, existing(Path(p.config.outputs)), existing(Path(p.config.cache))
    checkpoint, what = p.costs.checkpoint, "disk"
    free, need = shutil.disk_usage(outputs).free, 2 * checkpoint
    found = f"{outputs}: {size(free)} free; last.ckpt will have {size(checkpoint)}, twice that while it is written"
    if free < need:
        return Finding(what, WRONG, found, "make room, or outputs=FOLDER on a larger disk")
    if c.training.ema_every:
        averages = p.costs.gradients * c.training.steps // c.training.ema_every  # two averages in half precision
        found += f"; averages every {c.training.ema_every} steps, {size(averages)} in all"
        need += averages
        if free < need:
            return Finding(what, WRONG, found, "make room, or a larger training.ema_every")
    if missing := _cache_to_come(p):
        found += f"; features of frozen nets up to {size(missing)} in {cache}, twice that while they are made"
        if shutil.disk_usage(cache).free < 2 * missing + (need if same_disk(outputs, cache) else 0):
            return Finding(what, WRONG, found, "make room, or cache=FOLDER on a larger disk")
    if over := _over_quota():
        return Finding(
            what, WARNING, f"{found}; quota: {over}", "delete what is not needed, or outputs=FOLDER elsewhere"
        )
    return Finding(what, OK, found)


def same_disk(*places: Path) -> bool:
    return len({p.stat().st_dev for p in places}) == 1


def _over_quota() -> str:
    """The output of `quota` for file systems above their quota; empty if the command is not installed."""
    try:
        return " ".join(subprocess.run(["quota", "-q"], capture_output=True, text=True, timeout=10).stdout.split())
    except (OSError, subprocess.SubprocessError):
        return ""


def _cache_to_come(p: Patient) -> int:
    """Bytes of the frozen nets' features that are not yet cached, as far as this is known."""
    c = p.config
    if c.task != "diffusion":
        return 0
    shards = c.data.prepared(Path(c.cache))
    if shards is None:
        return p.costs.sample * int(c.data.count("train"))
    index, covered = _index(p, shards["train"])
    files = {part: locate_part(part, c).path for part in ("autoencoder", "text")}
    placed = {part: p.folder / "parts" / f"{part}.safetensors" for part in files}
    files = {part: placed[part] if placed[part].is_file() else file for part, file in files.items()}
    if covered == len(shards["train"]) and all(f.is_file() for f in files.values()):
        hashes = {part: file_hash(f) for part, f in files.items()}
        missing = missing_features(Pictures(index, c.data.image_size), Path(c.cache), hashes)
        return p.costs.sample * max(missing.values())
    return p.costs.sample * len(index) * len(shards["train"]) // covered


OF_THE_RUN: tuple[Check, ...] = (data, weights, memory, disk, run_folder)
