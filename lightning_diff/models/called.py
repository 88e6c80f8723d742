"""A model as a function: a prompt to a PIL picture, a list of prompts to a list of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from PIL.Image import Image, fromarray
from torch import Tensor


class OnPrompts:
    """Calls `generate`, with the seeds `seed`, `seed` + 1, ..."""

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        scale: float | None = None,
        negative: Sequence[str] | None = None,
    ) -> Tensor:
        """Pictures, uint8 [B, 3, H, W] on the CPU."""
        raise NotImplementedError

    @overload
    def __call__(
        self, prompt: str, seed: int = 0, scale: float | None = None, negative: str | None = None
    ) -> Image: ...

    @overload
    def __call__(
        self, prompt: list[str], seed: int = 0, scale: float | None = None, negative: str | None = None
    ) -> list[Image]: ...

    def __call__(
        self, prompt: str | list[str], seed: int = 0, scale: float | None = None, negative: str | None = None
    ) -> Image | list[Image]:
        """A picture of the prompt; of a list of prompts a list of pictures."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        seeds = range(seed, seed + len(prompts))
        pixels = self.generate(prompts, seeds, scale, None if negative is None else [negative] * len(prompts))
        pictures = [fromarray(one.permute(1, 2, 0).numpy()) for one in pixels]
        return pictures[0] if isinstance(prompt, str) else pictures
