"""Read and write windows (Gregor et al. 2015, "DRAW", section 3.2): a grid of N x N Gaussian filters on a picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOG2_E = 1.4426950408889634
TINY = 1e-4  # keeps a filter that lies outside of the picture from being divided by 0


@dataclass
class Windows:
    """A window for each of B samples. `rows` [B, N, H] and `columns` [B, N, W] are the filters. `gamma` [B] is the intensity.
    `centre` [B, 2] (x, y), `stride` [B] and `sigma` [B] are in pixels; the middle of the first pixel is at 1."""

    rows: Tensor
    columns: Tensor
    gamma: Tensor
    centre: Tensor
    stride: Tensor
    sigma: Tensor

    @classmethod
    def of(cls, parameters: Tensor, n: int, size: int, shifted: bool = False) -> Windows:
        """The windows of `n` x `n` filters that these parameters [B, 5] describe, on pictures of size x size.

        The parameters are gx, gy, log stride, log variance and log intensity, as in the released code. `shifted` repeats what
        that code does: it counts filters and pixels from 0 where the equations count them from 1, and rounds N/2 down. So its
        centres are off by half a stride (odd N) or one stride (even N), and by one pixel."""
        gx, gy, log_stride, log_variance, log_gamma = parameters.float().unbind(1)
        centre = (size + 1) / 2 * (torch.stack([gx, gy], dim=1) + 1)
        stride = (size - 1) / max(n - 1, 1) * log_stride.exp()
        sigma = (log_variance / 2).exp()
        count = torch.arange(n, device=parameters.device, dtype=torch.float32)
        steps = count - n // 2 - 0.5 if shifted else count + 1 - n / 2 - 0.5
        pixels = torch.arange(size, device=parameters.device, dtype=torch.float32) + (0 if shifted else 1)
        means = centre[:, :, None] + stride[:, None, None] * steps  # [B, 2, N]
        # exp2: torch's exp is up to 15 times as slow on a CPU where its result is 0
        filters = ((pixels - means[..., None]).square() * (LOG2_E / -2 / sigma.square())[:, None, None, None]).exp2()
        filters = filters / (filters.sum(dim=-1, keepdim=True) + TINY)
        return cls(filters[:, 1], filters[:, 0], log_gamma.exp(), centre, stride, sigma)

    def read(self, pictures: Tensor) -> Tensor:
        """gamma Fy X Fx^T of each channel: [B, C, H, W] -> [B, C, N, N]."""
        seen = self.rows[:, None] @ pictures @ self.columns[:, None].transpose(-1, -2)
        return self.gamma[:, None, None, None] * seen

    def write(self, patches: Tensor) -> Tensor:
        """Fy^T w Fx / gamma of each channel: [B, C, N, N] -> [B, C, H, W]."""
        drawn = self.rows[:, None].transpose(-1, -2) @ patches @ self.columns[:, None]
        return drawn / self.gamma[:, None, None, None]

    def boxes(self) -> Tensor:
        """The outlines that the filters' centres span, [B, 4]: left, top, right, bottom, in pixels counted from 0."""
        half = self.stride[:, None] * (self.rows.shape[1] - 1) / 2
        return torch.cat([self.centre - half, self.centre + half], dim=1) - 1
