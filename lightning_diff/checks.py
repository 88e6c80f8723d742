"""What may not be asked for, alone or together (law 5): one line that says what, where and how to mend it."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from .config import Config, ConfigError

FOLDERS = ("autoencoder.weights", "text.weights", "text.more", "init_from")  # keys that take a diffusers folder as well
EMA_GUIDE = r"ema:(0?\.\d+)@(\d+)"  # a length of post-hoc EMA, at a step


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
    check_values(config)
    for wrong, message in _combinations(config):
        if wrong:
            raise ConfigError(message)


def check_values(node: Any, prefix: str = "") -> None:
    """Raises ConfigError for the first value of a dataclass that its metadata does not allow."""
    for f in fields(node):
        value, name, rule = getattr(node, f.name), prefix + f.name, f.metadata
        if is_dataclass(value):
            check_values(value, name + ".")
            continue
        numbers = value if isinstance(value, list) else [value]
        for n, part in enumerate(numbers):
            if is_dataclass(part):
                check_values(part, f"{name}[{n}].")
        if any(isinstance(v, float) and not math.isfinite(v) for v in numbers):
            raise ConfigError(f"{name}={value}: must be a finite number")
        allowed = rule.get("allowed", rule.get("each", ()))
        for part in (numbers if "each" in rule else [value]) if allowed else ():
            if part in allowed:
                continue
            words = [str(a) for a in allowed]
            close = difflib.get_close_matches(str(part), words, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{name}={part}: must be one of {', '.join(words)}{hint}")
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
    t = c.training
    ranks = t.devices * t.nodes
    yield from _diffusion_combinations(c)
    yield (
        c.name is not None and (".." in c.name or c.name.startswith("/")),
        f"name={c.name}: a name of a folder in outputs={c.outputs}, not a path out of it",
    )
    also, uri = c.tracking.also, c.tracking.mlflow_uri
    yield len(set(also)) < len(also), f"tracking.also={also}: a tracker is named twice"
    yield (
        uri is not None and "mlflow" not in also,
        "tracking.mlflow_uri: would be ignored; it belongs to tracking.also=[mlflow]",
    )
    yield t.batch % ranks != 0, f"training.batch={t.batch}: must be a multiple of devices x nodes = {ranks}"
    yield from _net_combinations(c)
    yield (
        c.data.image_size % c.text.patch_size != 0,
        f"text.patch_size={c.text.patch_size}: must divide data.image_size={c.data.image_size}",
    )
    yield (
        c.text.width % 32 != 0 or c.text.vision_width % 32 != 0,
        f"text.width={c.text.width}, text.vision_width={c.text.vision_width}: must be multiples of 32 (the head width)",
    )
    yield from _text_combinations(c)
    yield (
        c.data.kind in ("folder", "shards") and not c.data.source,
        f"data.kind={c.data.kind}: say where the pictures are, data.source=PATH",
    )
    yield (
        c.data.kind in ("still_life", "digits") and c.data.test < 64 and c.task == "diffusion" and c.evaluation.enabled,
        f"data.test={c.data.test}: the sweep needs at least 64 test captions, or evaluation.enabled=false",
    )
    yield (
        c.evaluation.features != "judge" and not c.evaluation.features_weights,
        f"evaluation.features={c.evaluation.features}: its weights must be a local file, evaluation.features_weights=PATH",
    )
    yield (
        c.evaluation.features == "judge" and c.evaluation.features_weights is not None,
        "evaluation.features_weights: would be ignored; it belongs to evaluation.features=inception or dinov2",
    )
    yield (
        c.evaluation.every > 0 and (not c.evaluation.enabled or c.task != "diffusion" or c.guidance.kind == "auto"),
        f"evaluation.every={c.evaluation.every}: needs task=diffusion, evaluation.enabled=true and a guider of one network",
    )
    yield (
        c.task == "attributes" and c.data.kind in ("folder", "shards"),
        f"task=attributes on data.kind={c.data.kind}: only made worlds (still_life, digits) know their attributes",
    )
    sharded = t.strategy == "fsdp"
    yield (
        sharded and (c.task != "diffusion" or ranks == 1),
        "training.strategy=fsdp: shards the UNet of task=diffusion over training.devices x training.nodes > 1; use ddp",
    )
    alone = {"lora": t.lora > 0, "ema_every": t.ema_every > 0, "compile": t.compile}
    for name, given in {
        **{f"training.{k}": v for k, v in alone.items()},
        "evaluation.every": c.evaluation.every > 0,
    }.items():
        yield sharded and given, f"{name}: not with training.strategy=fsdp, which has the net in parts; use ddp"
    yield (
        t.lora > 0 and (c.unet.kind != "ldm" or c.init_from is None or c.task != "diffusion"),
        f"training.lora={t.lora}: adapters are trained on weights of unet.kind=ldm that init_from= names",
    )
    yield (
        c.task == "diffusion" and c.text.role != "text",
        f"text.role={c.text.role} on task=diffusion: the judge is never the player; leave text=small",
    )
    for name, path in (
        ("autoencoder.weights", c.autoencoder.weights),
        ("text.weights", c.text.weights),
        *(("text.more", more.weights) for more in c.text.more),
        ("autoencoder.lpips_weights", c.autoencoder.lpips_weights),
        ("evaluation.features_weights", c.evaluation.features_weights),
        ("init_from", c.init_from),
    ):
        if path in (None, "auto"):
            continue
        place = Path(str(path))
        if name in FOLDERS and place.is_dir():
            yield (
                not [*place.glob("config.json"), *place.glob("*/config.json")],
                f"{name}={path}: not a diffusers folder (no config.json in it)",
            )
            continue
        yield not place.is_file(), f"{name}={path}: no such file"
        if name != "evaluation.features_weights" or c.evaluation.features == "dinov2":
            yield not _is_safetensors(place), f"{name}={path}: not a safetensors file"
    if c.data.kind == "shards" and c.data.source:
        source = c.data.source
        yield (
            source.startswith("pipe:") or "://" in source,
            f"data.source={source}: only local paths are read; nothing from outside is executed",
        )
        yield "{" not in source and not Path(source).exists(), f"data.source={source}: no such file or folder"
    if c.data.kind == "folder" and c.data.source:
        yield not Path(c.data.source).is_dir(), f"data.source={c.data.source}: no such folder"


def _text_combinations(c: Config) -> Iterator[tuple[bool, str]]:
    t = c.text
    for name, tower in (("text", t), *((f"text.more[{i}]", more) for i, more in enumerate(t.more))):
        given = tower.weights != "auto" or name != "text"
        yield (
            tower.model is not None and not given,
            f"{name}.model={tower.model}: its weights must be a local file, {name}.weights=/path/to/model.safetensors",
        )
        yield (
            tower.model is not None and given and Path(tower.weights).is_dir(),
            f"{name}.model={tower.model}: would be ignored; {name}.weights={tower.weights} is a folder that says what it is",
        )
    for name, odd in (("join", t.join != "channels"), ("pooled", t.pooled != "all")):
        yield odd and not t.more, f"text.{name}: would be ignored; it belongs to text.more=[...]"
    reads = t.more or t.layer != 1 or not t.final_norm or t.null != "empty"
    yield (
        c.task != "diffusion" and bool(reads),
        f"task={c.task}: text.more, layer, final_norm and null would be ignored; they say how a UNet reads a tower",
    )
    yield (
        t.null == "learned" and c.training.lora > 0,
        "text.null=learned with training.lora: adapters alone are trained; use text.null=empty or zeros",
    )


def _net_combinations(c: Config) -> Iterator[tuple[bool, str]]:
    u, a = c.unet, c.autoencoder
    levels = u.attention if u.kind == "small" else u.depth
    key = "attention" if u.kind == "small" else "depth"
    yield (
        len(u.widths) != len(levels) or not u.widths,
        f"unet.{key}={levels}: needs one value for each of unet.widths={u.widths}",
    )
    ignored = {
        "unet.attention": u.kind == "ldm" and bool(u.attention),
        **{f"unet.{k}": u.kind == "small" and bool(getattr(u, k)) for k in ("depth", "heads", "pooled", "masked")},
        "unet.groups": u.kind == "small" and u.groups != 32,
        "autoencoder.groups": a.kind == "small" and a.groups != 32,
    }
    for name, wrong in ignored.items():
        part = name.split(".")[0]
        yield wrong, f"{name}: would be ignored by {part}.kind={getattr(c, part).kind}"
    attending = [w for w, on in zip(u.widths, levels, strict=False) if on]
    for name, widths, groups in (("unet", u.widths, u.groups), ("autoencoder", a.widths, a.groups)):
        step = 8 if getattr(c, name).kind == "small" else groups
        yield (
            not widths or any(w < step or w % step for w in widths),
            f"{name}.widths={widths}: widths must be positive multiples of {step}",
        )
    yield (
        u.heads > 0 and any(w % u.heads for w in attending),
        f"unet.heads={u.heads}: must divide the widths that attend, {attending}",
    )
    yield (
        u.heads == 0 and any(w % u.head_width for w in attending),
        f"unet.head_width={u.head_width}: must divide the widths that attend, {attending}",
    )
    latent = c.data.image_size // 2 ** (len(a.widths) - (a.kind == "ldm"))
    shrink = 2 ** max(0, len(u.widths) - 1)
    yield (
        latent < 1 or latent % shrink != 0,
        f"unet.widths={u.widths}: {len(u.widths)} resolutions do not fit a latent of {latent} x {latent}; "
        "use fewer, or a larger data.image_size",
    )


def _diffusion_combinations(c: Config) -> Iterator[tuple[bool, str]]:
    """What the mathematics does not allow, and the keys that would be ignored."""
    o, s, g, a = c.objective, c.sampler, c.guidance, c.autoencoder
    pure = o.schedule == "flow" or o.schedule.endswith("_zero")
    why = f"on objective.schedule={o.schedule}: at t = 1 the path is pure noise (alpha = 0)"
    yield (
        o.prediction == "eps" and pure,
        f"objective.prediction=eps {why} and eps says nothing of x_0; use objective.schedule=cosine, linear or "
        "scaled_linear, or objective.prediction=flow, v or x0",
    )
    yield (
        s.grid in ("karras", "exponential") and pure,
        f"sampler.grid={s.grid} {why} and sigma / alpha is infinite; use uniform or shifted",
    )
    yield s.name == "heun_karras" and pure, f"sampler.name=heun_karras {why}; use heun, which is better there"
    ignored = [
        ("data.hold_out", not c.data.hold_out, c.data.kind in ("still_life", "digits"), "data=still_life or digits"),
        ("autoencoder.lpips_weights", a.lpips_weights is not None, a.perceptual > 0, "autoencoder.perceptual > 0"),
        ("autoencoder.adversarial_from", a.adversarial_from > 0, a.adversarial > 0, "autoencoder.adversarial > 0"),
        ("objective.weight_value", o.weight_value is not None, o.weight in ("min_snr", "soft_min_snr", "snr_power"),
         "objective.weight=min_snr, soft_min_snr or snr_power"),
        ("objective.times_mean", o.times_mean is not None, o.times in ("logit_normal", "lognormal"),
         "objective.times=logit_normal or lognormal"),
        ("objective.times_std", o.times_std is not None, o.times in ("logit_normal", "lognormal"),
         "objective.times=logit_normal or lognormal"),
        ("objective.data_std", o.data_std != 1, "edm" in (o.prediction, o.weight), "objective.prediction=edm or weight=edm"),
        ("sampler.eta", s.eta != 0, s.name == "ddim", "sampler.name=ddim"),
        ("sampler.shift", s.shift != 3, s.grid == "shifted", "sampler.grid=shifted"),
        ("guidance.apg_eta", g.apg_eta != 0, g.kind == "apg", "guidance.kind=apg"),
        ("guidance.apg_norm", g.apg_norm != 0, g.kind == "apg", "guidance.kind=apg"),
        ("guidance.apg_momentum", g.apg_momentum != 0, g.kind == "apg", "guidance.kind=apg"),
        ("guidance.guide", g.guide is not None, g.kind == "auto", "guidance.kind=auto"),
    ]  # fmt: skip
    for name, given, used, where in ignored:
        yield given and not used, f"{name}: would be ignored; it belongs to {where}"
    for name, value in (("objective.weight_value", o.weight_value), ("objective.times_std", o.times_std)):
        yield value is not None and value <= 0, f"{name}={value}: must be greater than 0"
    yield not g.scales, "guidance.scales=[]: name at least one scale, for example [1,3]"
    yield any(w < 0 for w in g.scales), f"guidance.scales={g.scales}: scales must be at least 0"
    yield len(set(g.scales)) < len(g.scales), f"guidance.scales={g.scales}: a scale is named twice"
    yield (
        bool(g.interval) and not (len(g.interval) == 2 and 0 <= g.interval[0] < g.interval[1]),
        f"guidance.interval={g.interval}: two limits in sigma / alpha, low < high, for example [0.3,5]",
    )
    yield (
        bool(g.threshold) and not (len(g.threshold) == 2 and 0 < g.threshold[0] <= 1 and g.threshold[1] > 0),
        f"guidance.threshold={g.threshold}: a quantile and a bound, for example [0.995,3]",
    )
    plus = g.kind == "cfgpp"
    yield (
        plus and max([g.scale, *g.scales]) > 1,
        f"guidance.kind=cfgpp with scale={g.scale:g}, scales={g.scales}: its w lies in [0, 1], for example "
        "guidance.scale=0.6 guidance.scales=[0,0.2,0.4,0.6,0.8,1]",
    )
    yield (
        plus and s.name not in ("ddim", "euler", "ddpm", "euler_ancestral"),
        f"guidance.kind=cfgpp with sampler.name={s.name}: its two answers, x_0 and eps, need sampler=ddim, euler or ddpm",
    )
    yield (
        plus and (g.rescale > 0 or bool(g.threshold) or g.schedule != "constant"),
        "guidance.kind=cfgpp: rescale, threshold and schedule change x_0 alone or w beyond 1; leave them off",
    )
    yield (
        g.kind == "auto" and g.guide is None,
        "guidance.kind=auto: say which network is the worse one, guidance.guide=FILE.safetensors or ema:LENGTH@STEP",
    )
    if g.guide is not None and not re.fullmatch(EMA_GUIDE, g.guide):
        wrong = not Path(g.guide).is_file() or not _is_safetensors(Path(g.guide))
        yield wrong, f"guidance.guide={g.guide}: neither a safetensors file nor ema:LENGTH@STEP (ema:0.05@500)"
