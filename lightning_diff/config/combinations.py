"""Combinations of settings that make no sense, each with a message that says how to fix it."""

from __future__ import annotations

from collections.abc import Iterator

from .paths import path_mistakes
from .schema import SHORTEST, Config

# Columns that every sweep has: name -> whether higher is better. The best row, the Pareto front, the figures and the
# report are made from them.
RANKING = {"fid": False, "clip_score": True}


def combinations(c: Config) -> Iterator[tuple[bool, str]]:
    """Yield (whether it is wrong, its message) for each combination."""
    yield from _diffusion(c)
    yield from _training(c)
    yield from _evaluation(c)
    yield from _tracking(c)
    yield from _strategy(c)
    yield (
        c.task == "aligndraw" and c.net.kind != "aligndraw",
        f"task=aligndraw with net={c.net.kind}: it trains net=aligndraw; say experiment=aligndraw",
    )
    yield from path_mistakes(c)


def _training(c: Config) -> Iterator[tuple[bool, str]]:
    t = c.training
    ranks = t.devices * t.nodes
    yield t.batch % ranks != 0, f"training.batch={t.batch}: must be a multiple of devices x nodes = {ranks}"
    yield 0 < t.patience < 1, f"training.patience={t.patience}: seconds, at least 1; 0 waits for ever"
    yield (
        t.lora > 0 and (not c.net.takes_lora or c.init_from is None or c.task != "diffusion"),
        f"training.lora={t.lora}: adapters are trained on weights of net=ldm that init_from= names",
    )
    yield (
        t.optimizer == "muon" and t.lora > 0,
        "training.optimizer=muon: not with training.lora; say training=diffusion, or training.optimizer=adamw",
    )
    yield (
        t.optimizer == "rmsprop" and c.task != "aligndraw",
        f"training.optimizer=rmsprop: is that of alignDRAW's paper, not of task={c.task}; adamw or muon",
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
    lengths = {f"{x:g}" for x in e.ema}
    yield len(lengths) < max(1, len(e.ema)), f"evaluation.ema={e.ema}: name each length once, for example [0]"
    yield any(0 < x < SHORTEST for x in e.ema), f"evaluation.ema={e.ema}: lengths are 0, or at least {SHORTEST}"


def _tracking(c: Config) -> Iterator[tuple[bool, str]]:
    t = c.tracking
    also, every = [tracker.kind for tracker in t.also], [tracker.kind for tracker in t.trackers]
    short = f" (tracking.wandb={t.wandb} is one)" if t.short and "wandb" in also else ""
    yield len(set(every)) < len(every), f"tracking.also=[{','.join(also)}]: a tracker is named twice{short}"


def _strategy(c: Config) -> Iterator[tuple[bool, str]]:
    t, sharded = c.training, c.training.strategy == "fsdp"
    yield (
        sharded and (c.task != "diffusion" or t.devices * t.nodes == 1),
        "training.strategy=fsdp: shards the net of task=diffusion over training.devices x training.nodes > 1; use ddp",
    )
    given = {"training.lora": t.lora > 0, "training.ema_every": t.ema_every > 0, "training.compile": t.compile}
    for name, asked in (given | {"evaluation.every": c.evaluation.every > 0}).items():
        yield sharded and asked, f"{name}: not with training.strategy=fsdp, which has the net in parts; use ddp"


def _diffusion(c: Config) -> Iterator[tuple[bool, str]]:
    """Combinations that the mathematics does not allow."""
    o = c.objective
    yield (
        o.prediction == "eps" and o.ends_in_noise,
        f"objective.prediction=eps {o.pure_noise} and eps says nothing of x_0; use objective.schedule=cosine, linear or "
        "scaled_linear, or objective.prediction=flow, v or x0",
    )
    for name, shift in (("shift", o.shift), ("shift_end", o.shift_end or 1)):
        wrong = shift != 1 and not o.ends_in_noise
        yield wrong, f"objective.{name}={shift:g}: needs objective.schedule=flow or *_zero"
