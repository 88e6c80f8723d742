"""Pictures with NaN or inf in a sweep: the others of their call are drawn without them, and they are left out of all scores.

In the stored features, the rows of a lost picture are nan. So a sweep that goes on knows which pictures are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...config.errors import ConfigError
from ...data.decode import resized
from ...models.latent_diffusion import NotFinite

Seen = dict[str, Tensor]


class Lost(Exception):
    """Some pictures of a call have NaN or inf: `rows`, bool [cases, B]. `pictures`, uint8 [cases, B, 3, H, W], is black there."""

    def __init__(self, pictures: Tensor, rows: Tensor) -> None:
        super().__init__(f"{int(rows.sum())} of {rows.numel()} pictures have NaN or inf")
        self.pictures, self.rows = pictures, rows


def drawn_by(
    model: Any, captions: Sequence[str], seeds: Sequence[int], scales: Sequence[float], apart: bool, size: int
) -> Tensor:
    """The pictures of a model at several scales, uint8 [scales, B, 3, size, size]. Raises Lost if some have NaN or inf."""
    try:
        return _resized(model.at_scales(captions, seeds, scales, apart=apart), size)
    except ConfigError as e:
        if not isinstance(e.__cause__, NotFinite):
            raise
    parts = [draw_around(model, captions, seeds, scale, apart) for scale in scales]
    raise Lost(_resized([images for images, _ in parts], size), torch.stack([rows for _, rows in parts]))


def _resized(pictures: Iterable[Tensor], size: int) -> Tensor:
    return torch.stack([resized(images, size) for images in pictures])


def tried(generate: Callable[..., Tensor], cases: Sequence[Any], prompts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """What `generate` draws, uint8 [cases, B, 3, H, W], and which of the pictures are lost, bool [cases, B]."""
    try:
        return generate(cases, prompts), torch.zeros(len(cases), len(prompts), dtype=torch.bool)
    except Lost as e:
        return e.pictures, e.rows


def draw_around(
    model: Any, captions: Sequence[str], seeds: Sequence[int], scale: float, apart: bool
) -> tuple[Tensor, Tensor]:
    """The pictures of one scale, uint8 [B, 3, H, W], black where a picture has NaN or inf; and which ones these are, bool [B].

    Another prompt of the call takes the place of a lost one. So each call has the same number of rows, and the other pictures
    have the bits that they would have had."""
    lost = torch.zeros(len(captions), dtype=torch.bool)
    while not lost.all():
        kept = int((~lost).nonzero()[0])
        rows = [kept if gone else i for i, gone in enumerate(lost.tolist())]
        try:
            drawn: Tensor = model.at_scales(
                [captions[i] for i in rows], [seeds[i] for i in rows], [scale], apart=apart
            )[0]
        except ConfigError as e:
            if not isinstance(e.__cause__, NotFinite) or bool(lost[e.__cause__.bad].all()):
                raise
            lost[e.__cause__.bad] = True
            continue
        drawn[lost] = 0
        return drawn, lost
    return torch.zeros(len(lost), 3, model.image_size, model.image_size, dtype=torch.uint8), lost


def without(seen: Seen, lost: Tensor) -> Seen:
    """What was seen of B pictures, with nan in the rows of the `lost` ones, bool [B]."""
    if not lost.any():
        return seen
    found = dict(seen)
    for name, values in seen.items():
        if values.is_floating_point():
            found[name] = values.clone()
            found[name][lost] = torch.nan
    return found


def lost_rows(seen: Seen) -> Tensor:
    """Which pictures are lost, bool [B]."""
    return seen["embedding"].isnan().any(dim=1)  # a picture without a caption has no clip_score


def kept_rows(values: dict[str, Tensor], lost: Tensor) -> dict[str, Tensor]:
    """The rows of the pictures that are not lost. Tensors of another length (the first pictures) are left out."""
    return {name: column[~lost] for name, column in values.items() if len(column) == len(lost)}
