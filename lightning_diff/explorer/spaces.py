"""Three spaces of a latent diffusion model: the autoencoder's latents, the middle of the UNet (h-space), and the text encoder's
output. Each gives features of captioned pictures, and draws what comes of a step in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..data.decode import to_pixels
from ..diffusion import noise
from ..models.latent_diffusion import LatentDiffusion
from ..nets.unet import Condition

CALL = 64  # samples in a call of a net
NOISY = 0.6  # the time at which the UNet's middle is looked at


@dataclass(frozen=True)
class Looked:
    """Captioned pictures as a space sees them: `images` uint8 [N, 3, H, W]."""

    images: Tensor
    captions: list[str]


class Space(Protocol):
    """A space of a model. `name` and `said` tell it to a reader. `scale` is a walk's longest step, in standard deviations."""

    name: str
    said: str
    scale: float

    def features(self, looked: Looked) -> Tensor:
        """Features [N, D], float32 on the CPU."""
        ...

    def walk(self, steps: Tensor) -> Tensor:
        """Pictures, uint8 [K, 3, H, W], of the space's own starting point moved by each of `steps` [K, D]."""
        ...


def _calls(count: int) -> Iterator[slice]:
    return (slice(at, min(at + CALL, count)) for at in range(0, count, CALL))


@dataclass
class Latents:
    """The autoencoder's latents: one number for each place and channel. The walk starts at a real picture, uint8 [3, H, W]."""

    model: LatentDiffusion
    start: Tensor
    name: str = "the autoencoder's latents"
    said: str = "a held-out picture is encoded, its latent is moved, and the decoder shows what it became"
    scale: float = 3.0

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Pictures -> mean latents [N, C, h, w]."""
        return torch.cat([self.model.encode(images[s]).mean for s in _calls(len(images))]).float()

    def features(self, looked: Looked) -> Tensor:
        return self.encode(looked.images).flatten(1).cpu()

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Latents [N, D] -> pictures, uint8 [N, 3, H, W]."""
        shape = self.model.latent_shape()
        found = [to_pixels(self.model.autoencoder.decode(z[s].view(-1, *shape)).float()) for s in _calls(len(z))]
        return torch.cat(found).cpu()

    def walk(self, steps: Tensor) -> Tensor:
        z = self.encode(self.start[None]).flatten(1)
        return self.decode(z + steps.to(self.model.device))


@dataclass
class OfPrompt:
    """A space whose walk draws a prompt with a seed, at the guidance scale w."""

    model: LatentDiffusion
    prompt: str
    seed: int
    w: float

    def drawn(self, model: LatentDiffusion, count: int) -> Tensor:
        """`count` pictures, uint8 [count, 3, H, W], in one call of this model."""
        return model.generate([self.prompt] * count, [self.seed] * count, self.w)


@dataclass
class Middle(OfPrompt):
    """The output of the UNet's middle, its smallest resolution (Kwon et al. 2023, "h-space"). The walk draws a prompt with a
    seed, and moves this output at every step."""

    latents: Latents
    name: str = "the UNet's middle (h-space)"
    said: str = "one prompt is drawn from one noise, and the UNet's middle is moved at every step"
    scale: float = 8.0

    @torch.no_grad()
    def features(self, looked: Looked) -> Tensor:
        x_0, model = self.latents.encode(looked.images), self.model
        m, found = model.path.at(NOISY), []
        for s in _calls(len(x_0)):
            rows = torch.arange(s.start, s.stop, device=x_0.device)
            x_t = model.path.noised(x_0[s], noise.normal(rows, tuple(x_0.shape[1:]), 0, noise.NOISE), m)
            seen: list[Tensor] = []
            hook = middle_of(model.net).register_forward_hook(lambda _m, _i, out, kept=seen: kept.append(out))  # type: ignore[misc]
            model.net(
                model.path.scaled(x_t, m),
                x_t.new_full((len(x_t),), m.t),
                model.text_encoder.condition(looked.captions[s]),
            )
            hook.remove()
            found.append(seen[0].float().flatten(1).cpu())
        return torch.cat(found)

    def walk(self, steps: Tensor) -> Tensor:
        with pushed(middle_of(self.model.net), steps.to(self.model.device)):
            return self.drawn(self.model, len(steps))


@dataclass
class Text(OfPrompt):
    """The text encoder's output: the mean of a caption's tokens, and the pooled output. The walk draws a prompt with a seed, and
    moves each of its tokens and the pooled output."""

    name: str = "the text encoder"
    said: str = "one prompt is drawn from one noise, and what the text encoder says of the prompt is moved"
    scale: float = 3.0

    @torch.no_grad()
    def features(self, looked: Looked) -> Tensor:
        found = []
        for s in _calls(len(looked.captions)):
            c = self.model.text_encoder.condition(looked.captions[s])
            weight = c.mask[..., None].float()
            mean = (c.tokens * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
            found.append(torch.cat([mean, c.pooled], dim=1).float().cpu())
        return torch.cat(found)

    def walk(self, steps: Tensor) -> Tensor:
        c = self.model.text_encoder.condition([self.prompt] * len(steps))
        tokens, pooled = steps.to(c.tokens.device).split([c.tokens.shape[-1], c.pooled.shape[-1]], dim=1)
        moved = Condition(c.tokens + tokens[:, None], c.mask, c.pooled + pooled)
        return self.drawn(saying(self.model, moved), len(steps))


def middle_of(net: Any) -> nn.Module:
    """The last module of a UNet's smallest resolution. Raises AttributeError for a net without one."""
    found: nn.Module = net.middle[-1] if hasattr(net, "middle") else net.mid_block.resnets[-1]
    return found


def has_middle(net: Any) -> bool:
    return hasattr(net, "middle") or hasattr(net, "mid_block")


@contextmanager
def pushed(module: nn.Module, steps: Tensor) -> Iterator[None]:
    """A context in which `steps` [B, D] are added to the module's output, also for each further branch of guidance."""

    def add(_module: nn.Module, _inputs: Any, out: Tensor) -> Tensor:
        return out + steps.repeat(len(out) // len(steps), 1).view_as(out).to(out.dtype)

    hook = module.register_forward_hook(add)
    try:
        yield
    finally:
        hook.remove()


@dataclass
class _Says:
    """A text encoder that says the same of all prompts."""

    said: Condition

    def condition(self, captions: Sequence[str]) -> Condition:
        return self.said


def saying(model: LatentDiffusion, condition: Condition) -> LatentDiffusion:
    """The model with this condition of B rows in place of what its text encoder makes of B prompts."""
    return replace(model, text_encoder=_Says(condition))  # type: ignore[arg-type]
