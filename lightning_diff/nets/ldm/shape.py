"""The shape of a latent diffusion UNet: all that its weights do not say, in one form, however it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

NO_MIDDLE = -1


@dataclass(frozen=True)
class Shape:
    """`heads` are those of each resolution (0: it does not attend), `middle` is the number of transformer layers in the middle
    (NO_MIDDLE: there is no middle block), `middle_heads` are its heads. `eps` is that of the residual blocks' norms.
    `cosine_first` and `frequency_shift` belong to the sinusoids of the time."""

    channels: int
    token_width: int
    widths: tuple[int, ...]
    blocks: int
    depth: tuple[int, ...]
    heads: tuple[int, ...]
    middle: int
    middle_heads: int
    pooled_width: int
    groups: int
    eps: float
    cosine_first: bool
    frequency_shift: float

    def differences(self, other: Shape) -> dict[str, tuple[Any, Any]]:
        """{field: (here, there)} of the fields that differ."""
        a, b = asdict(self), asdict(other)
        return {name: (a[name], b[name]) for name in a if a[name] != b[name]}


def shape_of(
    channels: int,
    token_width: int,
    widths: Sequence[int],
    blocks: int = 2,
    depth: Sequence[int] = (1, 1, 1, 0),
    heads: int | Sequence[int] = 0,
    head_width: int = 64,
    pooled_width: int = 0,
    groups: int = 32,
    eps: float = 1e-5,
    cosine_first: bool = True,
    frequency_shift: float = 0.0,
    middle: int | None = None,
    **other: Any,
) -> Shape:
    """The shape that LatentDiffusionUNet's arguments ask for; `other` are its arguments that have nothing to do with it."""
    each = [heads or max(1, w // head_width) for w in widths] if isinstance(heads, int) else list(heads)
    if middle is None:  # as deep as the last resolution, or as the deepest that attends
        middle = depth[-1] or next((d for d in reversed(depth) if d), 0)
    return Shape(
        channels,
        token_width,
        tuple(widths),
        blocks,
        tuple(depth),
        tuple(h if d else 0 for h, d in zip(each, depth, strict=True)),
        middle,
        each[-1] if middle > 0 else 0,
        pooled_width,
        groups,
        float(eps),
        bool(cosine_first),
        float(frequency_shift),
    )
