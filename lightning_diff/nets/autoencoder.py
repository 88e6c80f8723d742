"""This project's own KL autoencoder (Rombach et al. 2022, section 3.1), and the interface that all autoencoders have.

The first downsampling and the last upsampling rearrange 2x2 pixels into channels and back. So no convolution runs at full
resolution, where a CPU would spend most of its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ResidualBlock, Upsample, group_norm


@dataclass
class Posterior:
    """A diagonal Gaussian over latents: mean and std [B, C, h, w], in the latent's scale."""

    mean: Tensor
    std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        return self.mean + self.std * noise


class LatentSpace(nn.Module):
    """The interface of every autoencoder: from pictures to posteriors over latents, and from latents to pictures.

    `shift` and `scale` [C] normalise the latent: `encode` returns (z - shift) / scale, which has mean 0 and std 1 over the
    training set, and `decode` reverses it. One element of a latent stands for `factor` x `factor` pixels.
    """

    shift: Tensor
    scale: Tensor
    exact = False  # whether a picture has one latent alone, without a spread

    def __init__(self, factor: int, latent_channels: int) -> None:
        super().__init__()
        self.factor, self.latent_channels = factor, latent_channels
        self.register_buffer("shift", torch.zeros(latent_channels))
        self.register_buffer("scale", torch.ones(latent_channels))

    def encode_raw(self, x: Tensor) -> Tensor:
        """Picture [B, 3, H, W] -> mean and log variance [B, 2 C, h, w], without shift and scale."""
        raise NotImplementedError

    def decode_raw(self, z: Tensor) -> Tensor:
        """Latent without shift and scale -> picture."""
        raise NotImplementedError

    def last_layer(self) -> nn.Parameter:
        """The weight of the decoder's last convolution, which makes the picture."""
        raise NotImplementedError

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Picture [B, 3, H, W] in [-1, 1] -> (mean, log variance) [B, C, h, w], without shift and scale."""
        mean, log_variance = self.encode_raw(x).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-30, 20)

    def encode(self, x: Tensor) -> Posterior:
        """Picture [B, 3, H, W] in [-1, 1] -> Posterior over latents that have mean 0 and std 1."""
        mean, log_variance = self.moments(x)
        scale = self.scale[:, None, None]
        return Posterior((mean - self.shift[:, None, None]) / scale, (0.5 * log_variance).exp() / scale)

    def decode(self, z: Tensor) -> Tensor:
        """Latent [B, C, h, w] -> picture [B, 3, H, W], about in [-1, 1] (not clamped)."""
        return self.decode_raw(z * self.scale[:, None, None] + self.shift[:, None, None])


class Autoencoder(LatentSpace):
    """The small autoencoder. `widths` are the channels at 1/2, 1/4, ... of the picture's size. The latent's side is
    size / 2 ** len(widths)."""

    def __init__(self, widths: Sequence[int] = (32, 96), latent_channels: int = 4, blocks: int = 2) -> None:
        super().__init__(2 ** len(widths), latent_channels)
        wide = widths[-1]
        encoder: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1)]
        decoder: list[nn.Module] = [nn.Conv2d(latent_channels, wide, 3, padding=1)]
        for i, width in enumerate(widths):
            encoder += [ResidualBlock(width, width) for _ in range(blocks if i else 1)]
            if i + 1 < len(widths):
                encoder.append(nn.Conv2d(width, widths[i + 1], 3, stride=2, padding=1))
        for i in reversed(range(len(widths))):
            decoder += [ResidualBlock(widths[i], widths[i]) for _ in range(blocks)]
            if i:
                decoder.append(Upsample(widths[i], widths[i - 1]))
        encoder += [group_norm(wide), nn.SiLU(), nn.Conv2d(wide, 2 * latent_channels, 3, padding=1)]
        decoder += [group_norm(widths[0]), nn.SiLU(), nn.Conv2d(widths[0], 12, 3, padding=1), nn.PixelShuffle(2)]
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)

    def encode_raw(self, x: Tensor) -> Tensor:
        # In this order of memory a CPU with AVX2 takes .7 of the time.
        return self.encoder(x.contiguous(memory_format=torch.channels_last))

    def decode_raw(self, z: Tensor) -> Tensor:
        return self.decoder(z.contiguous(memory_format=torch.channels_last))

    def last_layer(self) -> nn.Parameter:
        return self.decoder[-2].weight  # type: ignore[return-value]


def reconstruction_loss(x: Tensor, y: Tensor) -> Tensor:
    """L1 + 2 MSE + 0.5 times the L1 of the differences between neighbouring pixels. The last term keeps edges sharp."""
    d = y.float() - x
    edges = (d[..., 1:, :] - d[..., :-1, :]).abs().mean() + (d[..., :, 1:] - d[..., :, :-1]).abs().mean()
    return d.abs().mean() + 2 * F.mse_loss(d, torch.zeros_like(d)) + 0.5 * edges


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of the posterior from N(0, I), per latent element (nats)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
