"""The complete latent diffusion model: captions to conditions, noise to latents, latents to pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..config.errors import ConfigError
from ..data.decode import to_pixels, to_unit
from ..devices import bf16_pays
from ..diffusion.denoiser import Denoiser, WithoutCaption, WorseNetwork
from ..diffusion.effective import Effective, effective_scale
from ..diffusion.guiders.base import Branches, Guider
from ..diffusion.guiders.cfg import CFG
from ..diffusion.noise import start
from ..diffusion.path import Path
from ..diffusion.samplers.base import Sampler
from ..diffusion.samplers.runge_kutta import Euler
from ..nets.autoencoder import LatentSpace, Posterior
from ..nets.denoisers.base import Net
from ..nets.text import TextEncoder
from ..nets.unet import Condition
from .build import null_condition
from .called import OnPrompts
from .prompts import check_one_each


def precision_of(s: Sampler, device: str) -> str:
    """The sampler's precision on a device. If the config says auto, it is bf16 where that is faster, else float32."""
    auto = "bf16" if bf16_pays(device) else "float32"
    return auto if s.precision == "auto" else s.precision


class NotFinite(ConfigError):
    """Pictures with NaN or inf: the rows `bad` of `count`."""

    def __init__(self, count: int, bad: list[int]) -> None:
        super().__init__(f"{len(bad)} of {count} pictures have NaN or inf")
        self.bad = bad

    def message(self, where: str, named: list[str]) -> str:
        """One line, with the first of the pictures' names."""
        more = f" and {len(named) - 1} more" if len(named) > 1 else ""
        remedy = "lower the guidance, say sampler.precision=float32, or train again"
        return f"{self} at {where}: {named[0]}{more}; none is saved or scored; {remedy}"


@dataclass
class LatentDiffusion(OnPrompts):
    """A latent diffusion model: captions to conditions, noise to latents, latents to pictures.

    All components are on one device, in evaluation mode. `null` is the condition that means "no caption", with one row; by
    default that of the empty caption, or the one that the net has learned. `worse` is autoguidance's worse net."""

    autoencoder: LatentSpace
    text_encoder: TextEncoder
    net: Net
    path: Path = field(default_factory=Path)
    null: Condition | None = None
    sampler: Sampler = field(default_factory=Euler)
    guider: Guider = field(default_factory=CFG)
    image_size: int = 64
    worse: Net | None = None

    def __post_init__(self) -> None:
        if self.null is None:
            learned = getattr(self.net, "null", None)
            self.null = learned() if learned is not None else null_condition("empty", self.text_encoder)

    @property
    def device(self) -> torch.device:
        return self.autoencoder.shift.device

    def latent_shape(self) -> tuple[int, int, int]:
        side = self.image_size // self.autoencoder.factor
        return self.autoencoder.latent_channels, side, side

    def _bf16(self) -> torch.autocast:
        enabled = precision_of(self.sampler, self.device.type) == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _run(self, net: Net, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        with self._bf16():
            return net(x, t, condition).float()

    def _prepare(self, condition: Condition) -> Condition:
        with self._bf16():
            return self.net.prepare(condition)

    def _network(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return self._run(self.net, x, t, condition)

    def _pictures(self, z: Tensor) -> Tensor:
        """Latents -> uint8 pictures on the CPU. Compared with float32, bf16 changes a seventh of the values, nearly all by 1."""
        with self._bf16():
            x = self.autoencoder.decode(z).float()
        bad = [i for i, picture in enumerate(x) if not bool(torch.isfinite(picture).all())]
        if bad:  # as whole numbers they would look like pictures
            raise NotFinite(len(x), bad)
        return to_pixels(x).cpu()

    @torch.no_grad()
    def encode(self, images: Tensor) -> Posterior:
        """Pictures, uint8 [B, 3, H, W] -> Posterior over their latents."""
        return self.autoencoder.encode(to_unit(images.to(self.device)))

    @torch.no_grad()
    def condition(self, prompts: Sequence[str]) -> Condition:
        return self.text_encoder.condition(prompts)

    def _without_caption(self, negative: Sequence[str] | None, prompts: Sequence[str]) -> Condition:
        """The condition of the other branch: no caption, or the captions that guidance moves away from."""
        if negative is None:
            assert self.null is not None
            return self.null.expand(len(prompts))
        check_one_each("negative", "negative prompts", negative, prompts)
        return self.text_encoder.condition(negative)

    def denoiser(
        self, prompts: Sequence[str], *scales: float, negative: Sequence[str] | None = None, apart: bool = False
    ) -> Denoiser:
        """The guided denoiser of one generation. With several scales, x_t is as in Guider.guided. With `apart`, each scale and
        each branch is a separate call of the net, so that the bits of a picture do not depend on the other scales."""
        condition = self.text_encoder.condition(prompts)
        branches: Branches
        if self.worse is not None:
            if negative is not None:
                raise ConfigError(
                    "negative: autoguidance moves away from a worse network, not from a prompt; use guidance=cfg"
                )
            worse = self.worse
            branches = WorseNetwork(self._network, lambda *a: self._run(worse, *a), self.path, condition, apart)
        else:
            other = self._without_caption(negative, prompts)
            branches = WithoutCaption(self._network, self.path, condition, other, self._prepare, apart)
        return self.guider.guided(branches, self.path, *scales)

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        scale: float | None = None,
        negative: Sequence[str] | None = None,
    ) -> Tensor:
        """Pictures, uint8 [B, 3, H, W] on the CPU. Picture i depends on prompt i, seed i and the scale (by default the guider's),
        not on the other pictures. `negative` are the captions that guidance moves away from, instead of from no caption."""
        return self.at_scales(prompts, seeds, [self.guider.scale if scale is None else scale], negative)[0]

    @torch.no_grad()
    def at_scales(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        scales: Sequence[float],
        negative: Sequence[str] | None = None,
        apart: bool = False,
    ) -> Tensor:
        """Pictures at several scales, uint8 [scales, B, 3, H, W] on the CPU. Work that is the same for several scales is done
        once. Raises ConfigError for other numbers of prompts and seeds."""
        check_one_each("seeds", "seeds", seeds, prompts)
        rows, s = torch.tensor(list(seeds), device=self.device), self.sampler.resolve_nfe(self.guider, self.path)
        x, many = start(self.path, rows, self.latent_shape()), len(scales)
        denoiser = self.denoiser(prompts, *scales, negative=negative, apart=apart)
        z = s.sample(denoiser, self.path, x.repeat(many, 1, 1, 1), rows.repeat(many))
        drawn = []
        for scale, part in zip(scales, z.chunk(many), strict=True):
            try:
                drawn.append(self._pictures(part))
            except NotFinite as e:
                raise ConfigError(
                    e.message(f"w={scale:g}", [f"{prompts[i]!r} (seed {seeds[i]})" for i in e.bad])
                ) from e
        return torch.stack(drawn)

    @torch.no_grad()
    def effective_scale(self, prompts: Sequence[str], seeds: Sequence[int], scale: float) -> Effective:
        """The scale of classifier-free guidance that the model's guider at `scale` amounts to, for each picture."""
        check_one_each("seeds", "seeds", seeds, prompts)
        rows, s = torch.tensor(list(seeds), device=self.device), self.sampler.resolve_nfe(self.guider, self.path)
        noise, condition = start(self.path, rows, self.latent_shape()), self.text_encoder.condition(prompts)
        cfg = WithoutCaption(
            self._network, self.path, condition, self._without_caption(None, prompts), self._prepare, apart=True
        )
        return effective_scale(self.denoiser(prompts, scale, apart=True), cfg, self.path, s, noise, rows)

    @torch.no_grad()
    def trajectory(self, prompt: str, seed: int, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
        """After each step: the noisy latent and the predicted x_0, both decoded to pictures, uint8 [3, H, W]."""
        rows, s = torch.tensor([seed], device=self.device), self.sampler.resolve_nfe(self.guider, self.path)
        noise = start(self.path, rows, self.latent_shape())
        for x, p in s.trajectory(self.denoiser([prompt], scale), self.path, noise, rows):
            yield self._pictures(x)[0], self._pictures(p.x_0)[0]
