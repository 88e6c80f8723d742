"""A latent diffusion model put together: captions to conditions, noise to latents, latents to pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..config import ConfigError, Guidance, Objective, Sampler
from ..data.decode import to_pixels
from ..devices import bf16_pays
from ..diffusion.denoiser import Answers, Denoiser, WithoutCaption, WorseNetwork
from ..diffusion.grids import time_grid
from ..diffusion.guidance import Branches, Guider
from ..diffusion.path import Moment, Path, Prediction
from ..diffusion.samplers import sample, start, trajectory
from ..nets.autoencoder import LatentSpace
from ..nets.text import TextEncoder
from ..nets.unet import Condition, UNet, prepare

GUIDED = 0.5  # a weight for which every guider asks both branches


def path_of(o: Objective) -> Path:
    """The path that the config describes."""
    return Path(o.schedule, o.prediction, o.data_std)


def guider_of(g: Guidance) -> Guider:
    """The guider that the config describes: there an empty list, and 0 of a limit, mean none."""
    inf = float("inf")
    low, high = g.interval or (0.0, inf)
    return Guider(
        g.kind,
        (low, high),
        g.schedule,
        g.rescale,
        (g.threshold[0], g.threshold[1]) if g.threshold else None,
        g.apg_eta,
        g.apg_norm or inf,
        g.apg_momentum,
        g.zero_above or inf,
    )


class _Counted:
    """Branches that answer nothing and count what they are asked."""

    def __init__(self) -> None:
        self.count = 0

    def answers(self, good: Sequence[Tensor], bad: Sequence[Tensor], m: Moment) -> Answers:
        self.count += len(good) + len(bad)
        return [Prediction(x, x) for x in good], [Prediction(x, x) for x in bad]


def evaluations(s: Sampler, guider: Guider, path: Path, scale: float) -> int:
    """How often a network is evaluated for one picture (NFE): counted, by drawing one of two values."""
    counted, x = _Counted(), torch.ones(1, 1, 1, 2)
    sample(
        s.name, guider.guided(counted, path, scale), path, grid_of(s, path), x, torch.zeros(1, dtype=torch.long), s.eta
    )
    return counted.count


def precision_of(s: Sampler, device: str) -> str:
    """bf16 where it pays, unless the config says otherwise."""
    auto = "bf16" if bf16_pays(device) else "float32"
    return auto if s.precision == "auto" else s.precision


def grid_of(s: Sampler, path: Path) -> list[Moment]:
    """The times of the sampler's steps."""
    return time_grid(path, s.steps, s.grid, s.shift)


def within(s: Sampler, guider: Guider, path: Path) -> Sampler:
    """The sampler of as many steps as its `nfe` allow under guidance. Raises ConfigError if that is none."""
    if not s.nfe:
        return s
    for steps in range(min(s.nfe, 1000), 0, -1):
        one = replace(s, steps=steps, nfe=0)
        if evaluations(one, guider, path, GUIDED) <= s.nfe:
            return one
    raise ConfigError(f"sampler.nfe={s.nfe}: fewer than one guided step of {s.name} takes; raise it")


@dataclass
class TextToImage:
    """All parts on one device, in evaluation mode. `null` is the condition of no caption, of one row; `worse` is
    autoguidance's other network. `apart`: each scale, with the caption and without, is a call of the net of its own, so
    that the bits of a picture do not depend on the scales beside it."""

    net: UNet
    path: Path
    autoencoder: LatentSpace
    tower: TextEncoder
    null: Condition
    sampler: Sampler
    guider: Guider
    image_size: int
    worse: UNet | None = None
    apart: bool = False

    @property
    def device(self) -> torch.device:
        return self.autoencoder.shift.device

    def latent_shape(self) -> tuple[int, int, int]:
        side = self.image_size // self.autoencoder.factor
        return self.autoencoder.latent_channels, side, side

    def _bf16(self) -> torch.autocast:
        enabled = precision_of(self.sampler, self.device.type) == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _run(self, net: UNet, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        with self._bf16():
            return net(x, t, condition).float()

    def _prepare(self, condition: Condition) -> Condition:
        with self._bf16():
            return prepare(self.net, condition)

    def _network(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return self._run(self.net, x, t, condition)

    def _pictures(self, z: Tensor) -> Tensor:
        """Latents -> uint8 on the CPU. In bf16 a seventh of the values are another, nearly all by one of 255."""
        with self._bf16():
            return to_pixels(self.autoencoder.decode(z).float()).cpu()

    def denoiser(self, prompts: Sequence[str], *scales: float) -> Denoiser:
        """The guided denoiser of one generation; of several scales, as Guider.guided has them."""
        condition = self.tower.condition(prompts)
        branches: Branches
        if self.worse is not None:
            worse = self.worse
            branches = WorseNetwork(self._network, lambda *a: self._run(worse, *a), self.path, condition, self.apart)
        else:
            null = self.null.expand(len(prompts))
            branches = WithoutCaption(self._network, self.path, condition, null, self._prepare, self.apart)
        return self.guider.guided(branches, self.path, *scales)

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], *scales: float) -> Tensor:
        """uint8 [scales, B, 3, H, W] on the CPU. Picture i of a scale depends on prompt i, seed i and the scale, not on its
        neighbours; what the scales share is computed once."""
        rows, s = torch.tensor(list(seeds), device=self.device), self.sampler
        x, many = start(self.path, rows, self.latent_shape()), len(scales)
        denoiser = self.denoiser(prompts, *scales)
        z = sample(
            s.name, denoiser, self.path, grid_of(s, self.path), x.repeat(many, 1, 1, 1), rows.repeat(many), s.eta
        )
        return torch.stack([self._pictures(part) for part in z.chunk(many)])

    @torch.no_grad()
    def film(self, prompt: str, seed: int, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
        """After each step the noisy latent and the denoiser's guess at the end, both as pictures, uint8 [3, H, W]."""
        rows, s = torch.tensor([seed], device=self.device), self.sampler
        noise = start(self.path, rows, self.latent_shape())
        for x, p in trajectory(
            s.name, self.denoiser([prompt], scale), self.path, grid_of(s, self.path), noise, rows, s.eta
        ):
            yield self._pictures(x)[0], self._pictures(p.x_0)[0]

    def batches(self, prompts: Sequence[str], seeds: Sequence[int], scale: float, batch: int) -> Tensor:
        """`generate` of one scale, `batch` pictures at a time: uint8 [B, 3, H, W]."""
        firsts = range(0, len(prompts), batch)
        return torch.cat([self.generate(prompts[i : i + batch], seeds[i : i + batch], scale)[0] for i in firsts])
