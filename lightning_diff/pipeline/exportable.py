"""Whether a run can be exported to diffusers, known from its config before it trains.

The rules are those of interop/export.py, which refuses the same runs after their training.
"""

from __future__ import annotations

from ..config.errors import ConfigError
from ..config.foreign.scheduler import BETAS
from ..config.schema import Config
from ..interop.configs import PEERS, scheduler_config


def export_words(c: Config) -> list[str]:
    """The words that would make this run exportable to diffusers; none if it is so already."""
    nets = [f"{part}=ldm_tiny" for part in ("net", "autoencoder") if getattr(c, part).kind != "ldm"]
    extra = [f"net.{key}=false" for key in ("pooled", "masked") if c.net.kind == "ldm" and getattr(c.net, key)]
    text = {
        "text.more=[]": bool(c.text.more),
        "text.final_norm=true": not c.text.final_norm,
        "text.null=empty": c.text.null != "empty",
    }
    return [*nets, *extra, *_scheduler_words(c), *(word for word, wrong in text.items() if wrong)]


def _scheduler_words(c: Config) -> list[str]:
    scheduled = c.objective.schedule.removesuffix("_zero") in BETAS and c.objective.prediction in PEERS
    try:
        scheduler_config(c.objective.schedule, c.objective.prediction, c.sampler)
        return []
    except ConfigError:
        objective = [] if scheduled else ["objective=v_zero"]
        grid = ["sampler.grid=uniform"] if c.sampler.grid != "uniform" else []
        return [*objective, "sampler=ddim", *grid]


def export_line(c: Config) -> str:
    """What to tell before a training on one's own pictures: that diffusers will not open it, and what would be opened; empty
    if it will."""
    words = export_words(c)
    return (
        f"this run cannot be exported to diffusers; with {' '.join(words)} it could (python export.py)" if words else ""
    )
