"""Combinations of choices that mean nothing, each with how to mend it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .paths import places
from .schema import SHORTEST, Config

# Columns of every sweep, and whether higher is better: the best row, the Pareto front, figures and report are of them.
RANKING = {"fid": False, "clip_score": True}


def combinations(c: Config) -> Iterator[tuple[bool, str]]:
    """(whether it is wrong, its message)."""
    yield from _diffusion(c)
    yield from _training(c)
    yield from _nets(c)
    yield from _text(c)
    yield from _data(c)
    yield from _evaluation(c)
    yield from _tracking(c)
    yield from _strategy(c)
    yield from places(c)


def _training(c: Config) -> Iterator[tuple[bool, str]]:
    t = c.training
    ranks = t.devices * t.nodes
    yield t.batch % ranks != 0, f"training.batch={t.batch}: must be a multiple of devices x nodes = {ranks}"
    yield 0 < t.patience < 1, f"training.patience={t.patience}: seconds, at least 1; 0 waits for ever"
    yield (
        t.lora > 0 and (c.unet.kind != "ldm" or c.init_from is None or c.task != "diffusion"),
        f"training.lora={t.lora}: adapters are trained on weights of unet.kind=ldm that init_from= names",
    )


def _data(c: Config) -> Iterator[tuple[bool, str]]:
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
        c.task == "attributes" and c.data.kind in ("folder", "shards"),
        f"task=attributes on data.kind={c.data.kind}: only made worlds (still_life, digits) know their attributes",
    )


def _evaluation(c: Config) -> Iterator[tuple[bool, str]]:
    e = c.evaluation
    names = [metric.kind for metric in e.metrics]
    given = [column for metric in e.metrics for column in metric.columns.items()]
    twice = next((column for column in dict(given) if [c for c, _ in given].count(column) > 1), None)
    yield twice is not None, f"evaluation.metrics={names}: two of them give the column {twice}; leave one out"
    for column, higher in RANKING.items():
        yield (
            (column, higher) not in given,
            f"evaluation.metrics={names}: none gives the column {column} ({'higher' if higher else 'lower'} is better), "
            "by which rows are compared",
        )
    yield (
        e.every > 0 and (not e.enabled or c.task != "diffusion" or not c.guidance.without_caption),
        f"evaluation.every={e.every}: needs task=diffusion, evaluation.enabled=true and a guider of one network",
    )
    yield (
        e.enabled and any(e.ema) and not c.training.ema_every,
        f"evaluation.ema={e.ema}: needs the averages that training.ema_every=STEPS writes down; 0 is the training's own",
    )
    yield not e.ema or len(set(e.ema)) < len(e.ema), f"evaluation.ema={e.ema}: name each length once, for example [0]"
    yield any(0 < x < SHORTEST for x in e.ema), f"evaluation.ema={e.ema}: lengths are 0, or at least {SHORTEST}"


def _tracking(c: Config) -> Iterator[tuple[bool, str]]:
    t = c.tracking
    yield len(set(t.also)) < len(t.also), f"tracking.also={t.also}: a tracker is named twice"
    yield (
        t.wandb != "disabled" and any(not 1 <= len(tag) <= 64 for tag in t.tags),
        f"tracking.tags={t.tags}: W&B takes tags of 1 to 64 characters",
    )
    for name, value in (("project", t.project), ("group", t.group), ("entity", t.entity)):
        bad = value is not None and (
            not 1 <= len(value) <= 128 or (name == "project" and bool(set(value) & set("/\\#?%:")))
        )
        yield (
            t.wandb != "disabled" and bad,
            f"tracking.{name}={value}: W&B takes names of 1 to 128 characters, a project's without / \\ # ? % :",
        )


def _strategy(c: Config) -> Iterator[tuple[bool, str]]:
    t, sharded = c.training, c.training.strategy == "fsdp"
    yield (
        sharded and (c.task != "diffusion" or t.devices * t.nodes == 1),
        "training.strategy=fsdp: shards the UNet of task=diffusion over training.devices x training.nodes > 1; use ddp",
    )
    given = {"training.lora": t.lora > 0, "training.ema_every": t.ema_every > 0, "training.compile": t.compile}
    for name, asked in (given | {"evaluation.every": c.evaluation.every > 0}).items():
        yield sharded and asked, f"{name}: not with training.strategy=fsdp, which has the net in parts; use ddp"


def _text(c: Config) -> Iterator[tuple[bool, str]]:
    t = c.text
    yield (
        c.data.image_size % t.patch_size != 0,
        f"text.patch_size={t.patch_size}: must divide data.image_size={c.data.image_size}",
    )
    yield (
        t.width % 32 != 0 or t.vision_width % 32 != 0,
        f"text.width={t.width}, text.vision_width={t.vision_width}: must be multiples of 32 (the head width)",
    )
    yield (
        c.task == "diffusion" and t.role != "text",
        f"text.role={t.role} on task=diffusion: the judge is never the player; leave text=small",
    )
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


def _nets(c: Config) -> Iterator[tuple[bool, str]]:
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


def _diffusion(c: Config) -> Iterator[tuple[bool, str]]:
    """What the mathematics does not allow."""
    o = c.objective
    yield (
        o.prediction == "eps" and o.ends_in_noise,
        f"objective.prediction=eps {o.pure_noise} and eps says nothing of x_0; use objective.schedule=cosine, linear or "
        "scaled_linear, or objective.prediction=flow, v or x0",
    )
