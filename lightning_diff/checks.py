"""What may not be asked for, alone or together (law 5): one line that says what, where and how to mend it."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from .config import Config, ConfigError
from .ignored import ignored
from .places import is_safetensors, places

SHORTEST, LONGEST = 0.01, 0.28  # lengths of post-hoc EMA that can be put together
MOST = 2**53  # of any whole number
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
    for name, belongs in ignored(config):
        raise ConfigError(f"{name}: would be ignored; it belongs to {belongs}")
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
        if any(v is None or isinstance(v, list | dict) for v in numbers) and isinstance(value, list):
            raise ConfigError(f"{name}={value}: must be a list of plain values")
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
        for part in numbers if {"low", "high", "above"} & set(rule) else []:
            if "low" in rule and not part >= rule["low"]:
                raise ConfigError(f"{name}={value}: must be at least {rule['low']}")
            if "high" in rule and not part <= rule["high"]:
                raise ConfigError(f"{name}={value}: must be at most {rule['high']}")
            if "above" in rule and not part > rule["above"]:
                raise ConfigError(f"{name}={value}: must be greater than {rule['above']}")
        if any(isinstance(v, int) and abs(v) > MOST for v in numbers):
            raise ConfigError(f"{name}={value}: must be at most {MOST}")


def _combinations(c: Config) -> Iterator[tuple[bool, str]]:
    t = c.training
    ranks = t.devices * t.nodes
    yield from _diffusion_combinations(c)
    also = c.tracking.also
    yield len(set(also)) < len(also), f"tracking.also={also}: a tracker is named twice"
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
        c.data.kind == "folder" and 0 < c.data.test < 4 and c.task == "diffusion" and c.evaluation.enabled,
        f"data.test={c.data.test}: the sweep needs at least 4 test pictures, or 0, which measures with the training's",
    )
    yield (
        c.evaluation.features != "judge" and not c.evaluation.features_weights,
        f"evaluation.features={c.evaluation.features}: its weights must be a local file, evaluation.features_weights=PATH",
    )
    yield (
        c.evaluation.every > 0 and (not c.evaluation.enabled or c.task != "diffusion" or c.guidance.kind == "auto"),
        f"evaluation.every={c.evaluation.every}: needs task=diffusion, evaluation.enabled=true and a guider of one network",
    )
    e = c.evaluation
    yield (
        e.enabled and any(e.ema) and not t.ema_every,
        f"evaluation.ema={e.ema}: needs the averages that training.ema_every=STEPS writes down; 0 is the training's own",
    )
    yield not e.ema or len(set(e.ema)) < len(e.ema), f"evaluation.ema={e.ema}: name each length once, for example [0]"
    yield any(0 < x < SHORTEST for x in e.ema), f"evaluation.ema={e.ema}: lengths are 0, or at least {SHORTEST}"
    yield 0 < t.patience < 1, f"training.patience={t.patience}: seconds, at least 1; 0 waits for ever"
    tracked = c.tracking
    yield (
        tracked.wandb != "disabled" and any(not 1 <= len(tag) <= 64 for tag in tracked.tags),
        f"tracking.tags={tracked.tags}: W&B takes tags of 1 to 64 characters",
    )
    for name, value in (("project", tracked.project), ("group", tracked.group), ("entity", tracked.entity)):
        bad = value is not None and (
            not 1 <= len(value) <= 128 or (name == "project" and bool(set(value) & set("/\\#?%:")))
        )
        yield (
            tracked.wandb != "disabled" and bad,
            f"tracking.{name}={value}: W&B takes names of 1 to 128 characters, a project's without / \\ # ? % :",
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
    yield from places(c)


def _text_combinations(c: Config) -> Iterator[tuple[bool, str]]:
    t = c.text
    for name, tower in (("text", t), *((f"text.more[{i}]", more) for i, more in enumerate(t.more))):
        given = tower.weights != "auto" or name != "text"
        yield (
            tower.model is not None and not given,
            f"{name}.model={tower.model}: its weights must be a local file, {name}.weights=/path/to/model.safetensors",
        )
        yield (
            tower.model is not None and given and os.path.isdir(tower.weights),
            f"{name}.model={tower.model}: would be ignored; {name}.weights={tower.weights} is a folder that says what it is",
        )
    yield (
        t.weights == "auto" and t.layer > t.layers,
        f"text.layer={t.layer}: the tower has text.layers={t.layers} layers",
    )
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
    latent = c.data.image_size // a.factor
    shrink = 2 ** max(0, len(u.widths) - 1)
    yield (
        latent < 1 or latent % shrink != 0,
        f"unet.widths={u.widths}: {len(u.widths)} resolutions do not fit a latent of {latent} x {latent}; "
        "use fewer, or a larger data.image_size",
    )


def _diffusion_combinations(c: Config) -> Iterator[tuple[bool, str]]:
    """What the mathematics does not allow, and the keys that would be ignored."""
    o, s, g = c.objective, c.sampler, c.guidance
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
    for name, value in (("objective.weight_value", o.weight_value), ("objective.times_std", o.times_std)):
        yield value is not None and value <= 0, f"{name}={value}: must be greater than 0"
    yield not g.scales, "guidance.scales=[]: name at least one scale, for example [1,3]"
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
    if g.guide is not None and (found := re.fullmatch(EMA_GUIDE, g.guide)):
        length, step, t = float(found[1]), int(found[2]), c.training
        written = t.ema_every > 0 and 0 < step <= t.steps and (step % t.ema_every == 0 or step == t.steps)
        yield (
            not written or not SHORTEST <= length <= LONGEST,
            f"guidance.guide={g.guide}: a length from {SHORTEST} to {LONGEST}, at a step that training.ema_every="
            f"{t.ema_every} writes averages down at, of training.steps={t.steps}",
        )
    elif g.guide is not None:
        wrong = not os.path.isfile(g.guide) or not is_safetensors(Path(g.guide))
        yield wrong, f"guidance.guide={g.guide}: neither a safetensors file nor ema:LENGTH@STEP (ema:0.05@500)"
