"""Guidance, seen, in the report: the predictions with and without the prompt and their difference at several steps and scales,
and the film with and without fresh noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...explorer.guidance import guidance_seen, pinch_films
from ...models.latent_diffusion import LatentDiffusion
from ...tracking.report import data_uri

SCALES = (1.0, 3.0, 7.0)
SIDE = 192  # pixels; larger pictures are made smaller, as there are more than a hundred of them
FILM = "film"


def see_guidance(model: LatentDiffusion, prompt: str, seed: int, w: float) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(pictures by name, uint8 [..., 3, H, W]; what the page says of them). The films are drawn at the scale `w`. A guider whose
    other branch is another network has nothing to show: both are empty."""
    if not model.guider.without_caption:
        return {}, {}
    seen = guidance_seen(model, prompt, seed, sorted({*SCALES, w}))
    films = pinch_films(model, prompt, seed, w)
    steps = [
        [torch.stack([one.there, one.with_prompt, one.without, one.difference, one.guided]) for one in some]
        for some in seen.values()
    ]
    pictures = {"seen": torch.stack([torch.stack(some) for some in steps])}
    pictures |= {f"{FILM}{i}": torch.stack(frames) for i, frames in enumerate(films.values())}
    said = {
        "prompt": prompt,
        "seed": seed,
        "w": w,
        "scales": list(seen),
        "times": [one.t for one in next(iter(seen.values()))],
        "gains": [[one.gain for one in some] for some in seen.values()],
        "films": list(films),
    }
    return {name: smaller(some) for name, some in pictures.items()}, said


def smaller(pictures: Tensor) -> Tensor:
    """Pictures, uint8 [..., 3, H, W], at most SIDE pixels high and wide."""
    *lead, channels, height, width = pictures.shape
    if max(height, width) <= SIDE:
        return pictures
    flat = pictures.view(-1, channels, height, width).float()
    made = interpolate(flat, scale_factor=SIDE / max(height, width), mode="bilinear", antialias=True)
    return made.round().clamp(0, 255).to(torch.uint8).view(*lead, *made.shape[1:])


def guidance_data(arrays: Mapping[str, Tensor], said: Mapping[str, Any], run: str) -> dict[str, Any]:
    """What the page gets: the pictures as data URIs, [scale][step][one of five]."""
    uris = [[[data_uri(p.numpy()) for p in step] for step in some] for some in arrays["seen"]]
    films = [[title, [data_uri(p.numpy()) for p in arrays[f"{FILM}{i}"]]] for i, title in enumerate(said["films"])]
    return {**said, "run": run, "pictures": uris, "films": films}
