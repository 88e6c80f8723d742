"""Checks of the run: its data, its weights, its folder, and whether memory and disk are large enough."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import torch

from ..config.errors import ConfigError
from ..config.paths import WEIGHTS
from ..data.account.summary import lines_of
from ..data.dataset import Pictures
from ..data.sample import lost
from ..data.sample import told as summary
from ..devices import on_gpu
from ..files import file_hash
from ..locks import holder
from ..nets.weights import has_passport
from ..pipeline.components import NAMES, check_part, locate_part, needed_parts
from ..pipeline.continuing.same import refuse_another
from ..strings import counted
from ..training.checkpoint import LARGE, read_checkpoint
from ..training.features import missing_features
from ..training.trainer import LAST
from .findings import OK, WARNING, WRONG, Check, Finding, Patient, existing, number, size

LOOKED_AT = 8  # number of shards, or of pictures, to read of a set that has not been read through
PROCESS = 5 * 2**28  # bytes of Python, of torch and of the scratch of its convolutions, roughly
FULL = 0.85  # share of the memory: only tensors are counted, and allocators leave gaps between them


def memory(p: Patient) -> Finding:
    """Whether the tensors of one rank fit into the free memory. They are counted with fake tensors."""
    parts, t = p.costs.memory, p.config.training
    total = sum(parts.values())
    listed = ", ".join(f"{name} {size(count)}" for name, count in parts.items())
    remedy = "smaller training.batch or more ranks, training.checkpointing=true, or a smaller net"
    what, most = max(p.costs.before.items(), key=lambda one: one[1])
    if most > total:
        total = most
        if what.startswith("train"):
            remedy = (
                "a smaller data.image_size, or weights that are trained already (text.weights=, autoencoder.weights=)"
            )
        listed += f"; before it a rank needs {size(total)} to {what}"
    if on_gpu(t.accelerator):
        free, where = torch.cuda.mem_get_info()[0], "on the GPU"
    else:
        free, where = _free_memory(), f"here, for {counted(t.devices, 'rank')}"
        total = t.devices * (total + PROCESS)
        if p.costs.checkpoint >= LARGE:
            total += p.costs.checkpoint
            listed += f", once more {size(p.costs.checkpoint)} of a checkpoint that is being written"
    found = f"{size(total)} of {size(free)} free {where} (a rank, {counted(p.costs.rank_batch, 'picture')} a step: {listed})"
    if total > free:
        return Finding("memory", WRONG, found, remedy)
    return Finding("memory", *((WARNING, found, remedy) if total > FULL * free else (OK, found)))


def _free_memory() -> int:
    table = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(table["MemAvailable"].split()[0]) * 1024
    granted = number("SLURM_MEM_PER_NODE")  # MiB; 0 means all memory of the node
    return min(free, granted * 2**20) if granted else free


def data(p: Patient) -> Finding:
    """Whether the pictures exist, or can be made, and can be read. A set that has not been read through is only glimpsed at."""
    source = p.config.data
    found = source.prepared(Path(p.config.cache))
    if found is not None:
        told = lines_of(found, source)
        some, remedy = found.left, f"python prepare.py {' '.join(source.command)} show=FOLDER lists them"
    else:
        glimpse = source.glimpse(p.scratch, LOOKED_AT)
        told = [f"{source.words}: {glimpse.said}"]
        some, remedy = glimpse.left, "mend them, or they are left out"
        if glimpse.looked_at == glimpse.bad > 0:
            return Finding("data", WRONG, "; ".join([*told, summary(some)]), "make this set again")
    if not lost(some):
        return Finding("data", OK, "; ".join(told))
    said = told if found is not None else [*told, summary(some)]
    return Finding("data", WARNING, "; ".join(said), remedy)


def weights(p: Patient) -> Finding:
    """Where the weights of each frozen component come from, and the weights that the run starts from."""
    c, what = p.config, "weights"
    said: list[str] = []
    for part in needed_parts(c, c.evaluation.enabled) if c.generates else ():
        place = locate_part(part, c, look=True)
        if place.path.is_dir():
            said.append(f"{NAMES[part]}: {place.path}")
        elif place.path.is_file():
            if has_passport(place.path):
                check_part(part, place.path)
            said.append(f"{NAMES[part]}: {place.origin} ({file_hash(place.path)})")
        elif place.recipe is None:
            said.append(f"{NAMES[part]}: {place.origin}")
        else:
            steps = place.recipe.training.steps
            said.append(f"{NAMES[part]}: will be trained first, {steps} steps, in {place.path.parent}")
    others = {"init_from": c.init_from, "evaluation.features.weights": getattr(c.evaluation.features, "weights", None)}
    for name, file in {**others, "autoencoder.lpips_weights": c.autoencoder.lpips_weights}.items():
        if file and Path(file).is_file():
            said.append(f"{name}: given ({file_hash(Path(file))})")
        elif file:
            said.append(f"{name}: {file}")
    if c.task == "diffusion" and c.evaluation.enabled:
        text, judge = (locate_part(part, c, look=True).path for part in ("text", "judge"))
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
    if change := refuse_another(p.folder, p.config, train=True):
        return Finding(what, OK, f"{p.folder}: has {change.old} steps, goes on from step {change.step} to {change.new}")
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
    """Whether the disks have room. A checkpoint is written beside the last two, so it needs three times its size. A cache of
    features is assembled from blocks, so it needs twice its size too."""
    c, outputs, cache = p.config, existing(Path(p.config.outputs)), existing(Path(p.config.cache))
    checkpoint, what = p.costs.checkpoint, "disk"
    free, need = shutil.disk_usage(outputs).free, 3 * checkpoint
    found = f"{outputs}: {size(free)} free; last.ckpt will have {size(checkpoint)}, and there are three while one is written"
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
    kind = c.data.features
    if c.task != "diffusion" or kind == "online" or (kind == "auto" and c.data.varied):
        return 0
    found = c.data.prepared(Path(c.cache))
    if found is None:
        count = c.data.glimpse(p.scratch, LOOKED_AT).train
        whole = missing = p.costs.features(count, count)
    else:
        index = found.splits["train"]
        whole = missing = p.costs.features(len(index), int(index.facts.counts.sum()))
        files = {part: locate_part(part, c, look=True).path for part in ("autoencoder", "text")}
        placed = {part: p.folder / "parts" / f"{part}.safetensors" for part in files}
        files = {part: placed[part] if placed[part].is_file() else file for part, file in files.items()}
        if all(f.is_file() for f in files.values()):
            hashes = {part: file_hash(f) for part, f in files.items()}
            pictures = Pictures(index, c.data.image_size, fit=c.data.fit)
            missing = p.costs.features(*missing_features(pictures, Path(c.cache), hashes).values())
    kind = whole.chosen() if kind == "auto" else kind
    return {"online": 0, "latents": missing.latents}.get(kind, missing.all)


OF_THE_RUN: tuple[Check, ...] = (data, weights, memory, disk, run_folder)
