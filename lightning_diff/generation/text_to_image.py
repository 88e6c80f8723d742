"""A latent diffusion model put together: captions to conditions, noise to latents, latents to pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import Sampler
from ..data.decode import to_pixels
from ..diffusion.denoiser import guided
from ..diffusion.path import Path
from ..diffusion.samplers import sample, trajectory
from ..nets.autoencoder import Autoencoder
from ..nets.text import Tower
from ..nets.unet import Condition, UNet


@dataclass
class TextToImage:
    """All parts on one device, in evaluation mode."""

    net: UNet
    path: Path
    autoencoder: Autoencoder
    tower: Tower
    sampler: Sampler
    image_size: int

    @property
    def device(self) -> torch.device:
        return self.autoencoder.shift.device

    def latent_shape(self) -> tuple[int, int, int]:
        side = self.image_size // self.autoencoder.factor
        return self.autoencoder.latent_channels, side, side

    def _network(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        cpu = self.device.type == "cpu"
        fast = not cpu or torch.backends.cpu.get_cpu_capability() in ("AVX512", "AMX")
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast):
            return self.net(x, t, condition).float()

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], scale: float) -> Tensor:
        """uint8 [B, 3, H, W] on the CPU. Picture i depends on prompt i, seed i and the scale, not on its neighbours."""
        condition = self.tower.condition(prompts)
        null = self.tower.condition([""]).expand(len(prompts))
        rows = torch.tensor(list(seeds), device=self.device)
        denoise = guided(self._network, self.path, condition, null, scale)
        s = self.sampler
        z = sample(s.name, denoise, self.path, rows, self.latent_shape(), s.steps, s.eta)
        return to_pixels(self.autoencoder.decode(z)).cpu()

    @torch.no_grad()
    def film(self, prompt: str, seed: int, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
        """After each step the noisy latent and the denoiser's guess at the end, both as pictures, uint8 [3, H, W]."""
        null, condition = self.tower.condition([""]), self.tower.condition([prompt])
        denoise = guided(self._network, self.path, condition, null, scale)
        rows, s = torch.tensor([seed], device=self.device), self.sampler
        for x, p in trajectory(s.name, denoise, self.path, rows, self.latent_shape(), s.steps, s.eta):
            yield tuple(to_pixels(self.autoencoder.decode(z))[0].cpu() for z in (x, p.x_0))  # type: ignore[misc]

    def batches(
        self, prompts: Sequence[str], seeds: Sequence[int], scale: float, batch: int, done: Callable[[int], None]
    ) -> Tensor:
        """`generate`, `batch` pictures at a time; `done` is told how many there are after each."""
        parts = []
        for start in range(0, len(prompts), batch):
            stop = min(start + batch, len(prompts))
            parts.append(self.generate(prompts[start:stop], seeds[start:stop], scale))
            done(stop)
        return torch.cat(parts)
