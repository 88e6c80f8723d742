"""The typed schema of a run: what may be asked for, and what may not be asked for together (law 5).

One dataclass per config group. A field's metadata says which values are allowed, so one walk checks them all.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any


class ConfigError(Exception):
    """What is wrong, where, and how to mend it, in one line."""


def one_of(default: Any, *allowed: Any) -> Any:
    return field(default=default, metadata={"allowed": allowed})


def at_least(default: Any, low: float) -> Any:
    return field(default=default, metadata={"low": low})


def between(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def listed(*default: Any) -> Any:
    return field(default_factory=lambda: list(default))


@dataclass
class Data:
    """The captioned pictures. `seed` draws other pictures of the same world; `train` and `test` are counts of made
    pictures (a world), or how many of a folder's are kept for testing (`test`; 0 keeps none)."""

    kind: str = one_of("still_life", "still_life", "digits", "folder", "shards")
    source: str | None = None
    image_size: int = one_of(64, 16, 32, 64, 128, 256, 512)
    train: int = at_least(16384, 1)
    test: int = at_least(2048, 0)
    seed: int = at_least(0, 0)
    shard_size: int = at_least(4096, 1)


@dataclass
class Autoencoder:
    """The first stage. `weights`: auto (shipped, else trained for this data), or a safetensors file."""

    weights: str = "auto"
    widths: list[int] = listed(32, 96)
    latent_channels: int = at_least(4, 1)
    blocks: int = at_least(2, 1)
    kl_weight: float = at_least(1e-4, 0)


@dataclass
class Text:
    """A tower: ours, of this size, or with `model` any name that open_clip knows (its weights from a local file).
    `role` says which: `text` conditions, `judge` scores. The judge is never the player."""

    role: str = one_of("text", "text", "judge")
    weights: str = "auto"
    model: str | None = None
    embedding: int = at_least(128, 8)
    context_length: int = between(32, 8, 77)
    width: int = at_least(128, 32)
    layers: int = at_least(2, 1)
    vision_width: int = at_least(128, 32)
    vision_layers: int = at_least(4, 1)
    patch_size: int = at_least(8, 1)


@dataclass
class UNet:
    """The denoising network."""

    widths: list[int] = listed(64, 128)
    blocks: int = at_least(1, 1)
    attention: list[bool] = listed(False, True)
    head_width: int = at_least(32, 8)


@dataclass
class Objective:
    """What is learned: a parameterisation on a path (schedule), and which times are asked for most."""

    prediction: str = one_of("flow", "eps", "v", "x0", "flow")
    schedule: str = one_of("flow", "flow", "cosine", "linear")
    times: str = one_of("logit_normal", "uniform", "logit_normal")
    caption_dropout: float = between(0.1, 0, 1)


@dataclass
class Sampler:
    """How noise becomes a picture: `steps` network evaluations (Heun spends two a step, but one in the last)."""

    name: str = one_of("euler", "ddpm", "ddim", "euler", "heun")
    steps: int = between(20, 1, 1000)
    eta: float = between(0.0, 0, 1)


@dataclass
class Guidance:
    """guided = uncond + w (cond - uncond): `scale` for samples, `scales` for the sweep; 1 is no guidance."""

    scale: float = at_least(3.0, 0)
    scales: list[float] = listed(1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


@dataclass
class Training:
    """Of any of the trainings; `batch` is the global batch, over all ranks."""

    steps: int = at_least(1000, 1)
    batch: int = at_least(64, 1)
    learning_rate: float = field(default=1e-3, metadata={"above": 0})
    warmup: int = at_least(100, 0)
    weight_decay: float = at_least(0.0, 0)
    clip: float = at_least(1.0, 0)
    ema: float = between(0.999, 0, 0.999999)
    precision: str = one_of("auto", "auto", "bf16-mixed", "32-true")
    accelerator: str = one_of("auto", "auto", "cpu", "gpu")
    devices: int = at_least(1, 1)
    nodes: int = at_least(1, 1)
    workers: int = at_least(0, 0)
    compile: bool = False
    log_every: int = at_least(20, 1)
    checkpoint_every: int = at_least(500, 1)
    sample_every: int = at_least(0, 0)
    profile: bool = False


@dataclass
class Evaluation:
    """The sweep: `samples` pictures a scale, from the same prompts and the same noise. `enabled` false only trains."""

    enabled: bool = True
    samples: int = at_least(256, 4)
    batch: int = at_least(128, 1)
    seed: int = at_least(0, 0)
    grid: int = between(16, 1, 100)
    features: str = one_of("judge", "judge", "inception")
    inception_weights: str | None = None


@dataclass
class Tracking:
    """Where a run is mirrored. The run folder's own record comes first, always."""

    wandb: str = one_of("offline", "offline", "online", "disabled")
    project: str = "lightning-diff"
    entity: str | None = None
    tags: list[str] = listed()


@dataclass
class Config:
    """The whole of a run. `name` is the folder in `outputs`; without one it follows from the command's overrides.

    `init_from` is a weights file to start from. `part_steps` is the share of their own experiments' steps that frozen
    parts get when they have to be trained first.
    """

    task: str = one_of("diffusion", "diffusion", "autoencoder", "contrastive", "attributes")
    name: str | None = None
    outputs: str = "outputs"
    cache: str = "outputs/cache"
    seed: int = between(0, 0, 2**32 - 1)
    init_from: str | None = None
    part_steps: float = field(default=1.0, metadata={"above": 0, "high": 1})
    data: Data = field(default_factory=Data)
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    text: Text = field(default_factory=Text)
    unet: UNet = field(default_factory=UNet)
    objective: Objective = field(default_factory=Objective)
    sampler: Sampler = field(default_factory=Sampler)
    guidance: Guidance = field(default_factory=Guidance)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    tracking: Tracking = field(default_factory=Tracking)


def nearest(word: str, known: list[str]) -> str:
    """'did you mean X?' when something is near, else 'known are: ...'."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}"


def keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of the schema."""
    for f in fields(node):
        yield prefix + f.name
        value = getattr(node, f.name)
        if is_dataclass(value):
            yield from keys(value, f"{prefix}{f.name}.")


def check(config: Config) -> None:
    """Raises ConfigError for the first value that is out of range or for a combination that means nothing."""
    _check_values(config)
    for wrong, message in _combinations(config):
        if wrong:
            raise ConfigError(message)


def _check_values(node: Any, prefix: str = "") -> None:
    for f in fields(node):
        value, name, rule = getattr(node, f.name), prefix + f.name, f.metadata
        if is_dataclass(value):
            _check_values(value, name + ".")
            continue
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(v, float) and not math.isfinite(v) for v in numbers):
            raise ConfigError(f"{name}={value}: must be a finite number")
        if "allowed" in rule and value not in rule["allowed"]:
            words = [str(a) for a in rule["allowed"]]
            close = difflib.get_close_matches(str(value), words, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{name}={value}: must be one of {', '.join(words)}{hint}")
        if "low" in rule and not value >= rule["low"]:
            raise ConfigError(f"{name}={value}: must be at least {rule['low']}")
        if "high" in rule and not value <= rule["high"]:
            raise ConfigError(f"{name}={value}: must be at most {rule['high']}")
        if "above" in rule and not value > rule["above"]:
            raise ConfigError(f"{name}={value}: must be greater than {rule['above']}")


def _is_safetensors(path: Path) -> bool:
    """By its first bytes: the length of a table that fits into the file, and the table's opening brace."""
    with path.open("rb") as f:
        length = int.from_bytes(f.read(8), "little")
        return f.read(1) == b"{" and length < path.stat().st_size


def _combinations(c: Config) -> Iterator[tuple[bool, str]]:
    o, g, t, u = c.objective, c.guidance, c.training, c.unet
    ranks = t.devices * t.nodes
    latent = c.data.image_size // 2 ** len(c.autoencoder.widths)
    shrink = 2 ** max(0, len(u.widths) - 1)
    yield (
        o.prediction == "eps" and o.schedule == "flow",
        "objective.prediction=eps on objective.schedule=flow: at t = 1 the path is pure noise (alpha = 0) and eps says "
        "nothing of x_0; use objective.schedule=cosine or linear, or objective.prediction=flow, v or x0",
    )
    yield (
        c.name is not None and (".." in c.name or c.name.startswith("/")),
        f"name={c.name}: a name of a folder in outputs={c.outputs}, not a path out of it",
    )
    yield t.batch % ranks != 0, f"training.batch={t.batch}: must be a multiple of devices x nodes = {ranks}"
    yield not g.scales, "guidance.scales=[]: name at least one scale, for example [1,3]"
    yield any(w < 0 for w in g.scales), f"guidance.scales={g.scales}: scales must be at least 0"
    yield len(set(g.scales)) < len(g.scales), f"guidance.scales={g.scales}: a scale is named twice"
    yield (
        len(u.widths) != len(u.attention) or not u.widths,
        f"unet.attention={u.attention}: needs one value for each of unet.widths={u.widths}",
    )
    yield (
        any(w < 8 or w % 8 for w in u.widths),
        f"unet.widths={u.widths}: widths must be positive multiples of 8",
    )
    yield (
        any(a and w % u.head_width for w, a in zip(u.widths, u.attention, strict=False)),
        f"unet.head_width={u.head_width}: must divide the widths that attend, {u.widths}",
    )
    yield (
        not c.autoencoder.widths or any(w < 8 or w % 8 for w in c.autoencoder.widths),
        f"autoencoder.widths={c.autoencoder.widths}: widths must be positive multiples of 8",
    )
    yield (
        latent < 1 or latent % shrink != 0,
        f"unet.widths={u.widths}: {len(u.widths)} resolutions do not fit a latent of {latent} x {latent}; "
        "use fewer, or a larger data.image_size",
    )
    yield (
        c.data.image_size % c.text.patch_size != 0,
        f"text.patch_size={c.text.patch_size}: must divide data.image_size={c.data.image_size}",
    )
    yield (
        c.text.width % 32 != 0 or c.text.vision_width % 32 != 0,
        f"text.width={c.text.width}, text.vision_width={c.text.vision_width}: must be multiples of 32 (the head width)",
    )
    yield (
        c.text.model is not None and c.text.weights in ("auto", "shipped"),
        f"text.model={c.text.model}: its weights must be a local file, text.weights=/path/to/model.safetensors",
    )
    yield (
        c.data.kind in ("folder", "shards") and not c.data.source,
        f"data.kind={c.data.kind}: say where the pictures are, data.source=PATH",
    )
    yield (
        c.data.kind in ("still_life", "digits") and c.data.test < 64 and c.task == "diffusion" and c.evaluation.enabled,
        f"data.test={c.data.test}: the sweep needs at least 64 test captions, or evaluation.enabled=false",
    )
    yield (
        c.evaluation.features == "inception" and not c.evaluation.inception_weights,
        "evaluation.features=inception: its weights must be a local file, evaluation.inception_weights=PATH",
    )
    yield (
        c.task == "attributes" and c.data.kind in ("folder", "shards"),
        f"task=attributes on data.kind={c.data.kind}: only made worlds (still_life, digits) know their attributes",
    )
    yield (
        t.accelerator == "cpu" and c.training.compile,
        "training.compile=true on training.accelerator=cpu: measured slower than eager there; leave it false",
    )
    yield (
        c.task == "diffusion" and c.text.role != "text",
        f"text.role={c.text.role} on task=diffusion: the judge is never the player; leave text=small",
    )
    yield (
        c.sampler.eta != 0 and c.sampler.name != "ddim",
        f"sampler.eta={c.sampler.eta} on sampler.name={c.sampler.name}: only ddim has one",
    )
    for name, path in (
        ("autoencoder.weights", c.autoencoder.weights),
        ("text.weights", c.text.weights),
        ("evaluation.inception_weights", c.evaluation.inception_weights),
        ("init_from", c.init_from),
    ):
        missing = path not in (None, "auto") and not Path(str(path)).is_file()
        yield missing, f"{name}={path}: no such file"
        if name != "evaluation.inception_weights" and path not in (None, "auto"):
            yield not _is_safetensors(Path(str(path))), f"{name}={path}: not a safetensors file"
    if c.data.kind == "shards" and c.data.source:
        source = c.data.source
        yield (
            source.startswith("pipe:") or "://" in source,
            f"data.source={source}: only local paths are read; nothing from outside is executed",
        )
        yield "{" not in source and not Path(source).exists(), f"data.source={source}: no such file or folder"
    if c.data.kind == "folder" and c.data.source:
        yield not Path(c.data.source).is_dir(), f"data.source={c.data.source}: no such folder"
