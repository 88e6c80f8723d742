"""The complete latent diffusion model: captions to conditions, noise to latents, latents to pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.decode import to_pixels
from ..devices import bf16_pays
from ..diffusion.denoiser import Denoiser, WithoutCaption, WorseNetwork
from ..diffusion.guiders.base import Branches, Guider
from ..diffusion.noise import start
from ..diffusion.path import Path
from ..diffusion.samplers.base import Sampler
from ..nets.autoencoder import LatentSpace
from ..nets.denoisers.base import Net
from ..nets.text import TextEncoder
from ..nets.unet import Condition


def precision_of(s: Sampler, device: str) -> str:
    """The sampler's precision on a device. If the config says auto, it is bf16 where that is faster, else float32."""
    auto = "bf16" if bf16_pays(device) else "float32"
    return auto if s.precision == "auto" else s.precision


@dataclass
class TextToImage:
    """A latent diffusion model. All components are on one device, in evaluation mode. `null` is the condition that means "no
    caption", with one row. `worse` is autoguidance's worse net."""

    net: Net
    path: Path
    autoencoder: LatentSpace
    tower: TextEncoder
    null: Condition
    sampler: Sampler
    guider: Guider
    image_size: int
    worse: Net | None = None

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
            return to_pixels(self.autoencoder.decode(z).float()).cpu()

    def denoiser(self, prompts: Sequence[str], *scales: float, apart: bool = False) -> Denoiser:
        """The guided denoiser of one generation. With several scales, x_t is as in Guider.guided. With `apart`, each scale and
        each branch is a separate call of the net, so that the bits of a picture do not depend on the other scales."""
        condition = self.tower.condition(prompts)
        branches: Branches
        if self.worse is not None:
            worse = self.worse
            branches = WorseNetwork(self._network, lambda *a: self._run(worse, *a), self.path, condition, apart)
        else:
            null = self.null.expand(len(prompts))
            branches = WithoutCaption(self._network, self.path, condition, null, self._prepare, apart)
        return self.guider.guided(branches, self.path, *scales)

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], *scales: float, apart: bool = False) -> Tensor:
        """Pictures, uint8 [scales, B, 3, H, W] on the CPU. Picture i of a scale depends on prompt i, seed i and the scale, not on
        the other pictures. Work that is the same for several scales is done once."""
        rows, s = torch.tensor(list(seeds), device=self.device), self.sampler
        x, many = start(self.path, rows, self.latent_shape()), len(scales)
        denoiser = self.denoiser(prompts, *scales, apart=apart)
        z = s.sample(denoiser, self.path, x.repeat(many, 1, 1, 1), rows.repeat(many))
        return torch.stack([self._pictures(part) for part in z.chunk(many)])

    @torch.no_grad()
    def trajectory(self, prompt: str, seed: int, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
        """After each step: the noisy latent and the predicted x_0, both decoded to pictures, uint8 [3, H, W]."""
        rows, s = torch.tensor([seed], device=self.device), self.sampler
        noise = start(self.path, rows, self.latent_shape())
        for x, p in s.trajectory(self.denoiser([prompt], scale), self.path, noise, rows):
            yield self._pictures(x)[0], self._pictures(p.x_0)[0]

    def batches(self, prompts: Sequence[str], seeds: Sequence[int], scale: float, batch: int) -> Tensor:
        """Call `generate` for one scale, with `batch` pictures at a time: uint8 [B, 3, H, W]."""
        firsts = range(0, len(prompts), batch)
        return torch.cat([self.generate(prompts[i : i + batch], seeds[i : i + batch], scale)[0] for i in firsts])
