"""Sample: a captioned picture, as every source returns it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Sample:
    """A captioned picture. `key` is its name in the shards, without a dot. `labels` holds what the *caption states*, as
    indices into the values of the source's attributes. `hard_negative` is almost the caption, but wrong for the picture; a
    text encoder must learn to tell the two apart."""

    key: str
    picture: Image
    caption: str
    labels: dict[str, int] = field(default_factory=dict)
    hard_negative: str = ""
